use serde_json::json;

use super::*;
use crate::demo;
use crate::ingest::chunk::{self, Words};
use crate::ingest::records;

fn split(text: &str) -> Vec<chunk::ChunkSpan> {
    chunk::split(text, &Words, 16, 0)
}

/// What lines come to under the ontology of the demo's cold chain, or why one of them is refused.
fn shaped(lines: &[&str]) -> Result<Shaped, String> {
    let ontology = quipu_schema::compile(demo::CRYOX_ONTOLOGY).expect("the demo's ontology compiles");
    let shaper = Shaper::new(&ontology, &split);
    let mut shaped = Shaped::default();
    for line in lines {
        shaper.shape(records::parse(line)?, &mut shaped)?;
    }
    Ok(shaped)
}

fn refused(line: &str) -> String {
    shaped(&[line]).expect_err(line)
}

const INSTALLATION: &str = r#"{"relationship":"HAS_DEVICE","from":{"Facility":"f1"},"to":{"Device":"d1"},"id":"k","properties":{"since":"2026-01-01T00:00:00+01:00","slot":"B2"}}"#;

#[test]
fn nodes_and_rows_are_put_under_stored_names() {
    let lines = [
        r#"{"node":"Product","id":"p1","properties":{"name":"Milk","gtin":"0401234567890","category":"dairy","minCelsius":2,"maxCelsius":6,"shelfLifeDays":9,"description":"Fresh"}}"#,
        r#"{"row":"Contract","id":7,"properties":{"supplier":"S","service":"energy","startsOn":"2026-01-01","endsOn":"2026-12-31","annualValue":1,"currency":"EUR","facility_id":"f1"}}"#,
    ];
    let ops = shaped(&lines).expect("fits").ops;
    let Op::Put { record, row: false, mode: Mode::Upsert, set, unique, embed } = &ops[0] else {
        panic!("{:?}", ops[0])
    };
    assert_eq!((record.of.as_str(), record.id.as_str()), ("Product", "p1"));
    assert_eq!((set["gtin"].clone(), set["minCelsius"].clone()), (json!(401234567890i64), json!(2.0)));
    assert_eq!(set["freezeSensitive"], json!(false), "a default");
    assert_eq!((unique.join(" "), embed.join(" ")), ("name gtin".to_owned(), "description".to_owned()));
    let Op::Put { record, row: true, set, .. } = &ops[1] else { panic!("{:?}", ops[1]) };
    assert_eq!((record.id.as_str(), &set["starts_on"], &set["facility_id"]), ("7", &json!("2026-01-01"), &json!("f1")));
}

#[test]
fn relationships_are_known_from_either_end_and_through_unions() {
    let lines = [
        INSTALLATION,
        r#"{"relationship":"COVERS","from":{"ComplianceRecord":"r1"},"to":{"Vehicle":"v1"}}"#,
        r#"{"relationship":"DESCRIBED_IN","from":{"Device":"d1"},"to":{"Document":"m1"}}"#,
        r#"{"relationship":"MENTIONS","from":{"Chunk":"m1#0"},"to":{"Product":"p1"}}"#,
    ];
    let ops = shaped(&lines).expect("fits").ops;
    let Op::Link { relationship_type, from, to, key, set } = &ops[0] else { panic!("{:?}", ops[0]) };
    assert_eq!(
        (relationship_type.as_str(), from.id.as_str(), to.id.as_str(), key.as_str()),
        ("HAS_DEVICE", "f1", "d1", "k")
    );
    assert_eq!(set["since"], json!("2025-12-31T23:00:00.000Z"));
    assert_eq!(ops.len(), 4);
}

#[test]
fn what_the_ontology_does_not_know_is_refused_with_the_nearest_name() {
    insta::assert_snapshot!(refused(r#"{"node":"Facilty","id":"1"}"#), @r#"the ontology has no node type "Facilty"; did you mean "Facility"?"#);
    insta::assert_snapshot!(refused(r#"{"node":"Contract","id":"1"}"#), @r#"Contract is a row type; write {"row":"Contract", ...}"#);
    insta::assert_snapshot!(refused(r#"{"row":"Facility","id":"1"}"#), @r#"Facility is a node type; write {"node":"Facility", ...}"#);
    insta::assert_snapshot!(refused(r#"{"row":"Reading","id":"1","properties":{"celcius":1}}"#), @r#"Reading has no property "celcius"; did you mean "celsius"?"#);
    insta::assert_snapshot!(refused(r#"{"row":"Reading","id":"1","properties":{"at":"2026-01-01T00:00:00Z"}}"#), @"celsius: a value is required");
    insta::assert_snapshot!(refused(r#"{"relationship":"HAS_DEVICES","from":{"Facility":"f1"},"to":{"Device":"d1"}}"#), @r#"the ontology has no relationship type "HAS_DEVICES"; did you mean "HAS_DEVICE"?"#);
    insta::assert_snapshot!(refused(r#"{"relationship":"HAS_DEVICE","from":{"Device":"d1"},"to":{"Facility":"f1"}}"#), @"HAS_DEVICE does not lead from Device to Facility, but from Facility to Device");
    insta::assert_snapshot!(refused(r#"{"relationship":"HAS_DEVICE","from":{"Facility":"f1"},"to":{"Devize":"d1"}}"#), @r#"the ontology has no node type "Devize"; did you mean "Device"?"#);
    insta::assert_snapshot!(refused(r#"{"relationship":"RAISED","from":{"Device":"d1"},"to":{"Alert":"a1"},"properties":{"x":1}}"#), @"RAISED has no properties");
    insta::assert_snapshot!(refused(&INSTALLATION.replace("slot", "slott")), @r#"Installation has no property "slott"; did you mean "slot"?"#);
}

#[test]
fn a_document_becomes_chunks_with_their_places() {
    let text = "Ärger mit dem Verdampfer. ".repeat(8);
    let line = json!({"document": {"id": "m1", "title": "T", "text": text, "url": "u", "properties": {"page": 6}}})
        .to_string();
    let shaped = shaped(&[&line]).expect("fits");
    let Op::Put { record, set, embed, .. } = &shaped.ops[0] else { panic!("{:?}", shaped.ops[0]) };
    assert_eq!((record.of.as_str(), &set["url"], &set["properties"]), ("Document", &json!("u"), &json!({"page": 6})));
    assert_eq!((&set["occurredAt"], embed.is_empty()), (&json!(null), true));
    let chunks: Vec<_> = shaped.ops[1..].chunks(2).collect();
    assert_eq!(shaped.documents, [Taken { id: "m1".into(), chunks: chunks.len() }]);
    assert!(chunks.len() > 2);
    let characters: Vec<char> = text.chars().collect();
    for (index, pair) in chunks.iter().enumerate() {
        let [Op::Put { record, set, embed, .. }, Op::Link { relationship_type, from, to, .. }] = pair else {
            panic!("{pair:?}")
        };
        assert_eq!((record.id.clone(), &set["index"]), (format!("m1#{index}"), &json!(index)));
        let place = |name: &str| set[name].as_u64().expect("a number") as usize;
        let passage: String = characters[place("start")..place("end")].iter().collect();
        assert_eq!((&set["text"], embed.join("")), (&json!(passage), "text".to_owned()));
        assert_eq!((relationship_type.as_str(), from.id.as_str(), to), ("HAS_CHUNK", "m1", record));
    }
}

#[test]
fn of_a_record_that_is_refused_nothing_stays() {
    let ontology = quipu_schema::compile(demo::CRYOX_ONTOLOGY).expect("the demo's ontology compiles");
    let shaper = Shaper::new(&ontology, &split);
    let mut shaped = Shaped::default();
    let line = r#"{"document":{"id":"m1","title":"T","text":"Text","occurredAt":"yesterday"}}"#;
    let reason = shaper.shape(records::parse(line).expect("parses"), &mut shaped).expect_err("no instant");
    assert!(reason.starts_with("occurredAt: expected a DateTime"), "{reason}");
    assert!(shaped.ops.is_empty() && shaped.documents.is_empty());
}
