use quipu_schema::ontology::{EnumType, EnumValue, Kind, PageLimit};
use quipu_schema::policy::Rules;
use serde_json::json;

use super::*;

fn property(name: &str, scalar: Scalar) -> Property {
    Property {
        name: name.into(),
        stored: name.into(),
        description: None,
        deprecated: None,
        scalar,
        list: false,
        required: false,
        item_required: false,
        unique: false,
        indexed: false,
        default: None,
        generated: None,
        embed: false,
        selectable: true,
        filterable: true,
        sortable: true,
        implicit: false,
        rules: Rules::default(),
    }
}

fn entity() -> EntityType {
    let of = |names: Vec<Property>| names.into_iter().map(|p| (p.name.clone(), p)).collect();
    EntityType {
        name: "Device".into(),
        description: None,
        plural: "devices".into(),
        singular: "device".into(),
        kind: Kind::Node { labels: vec!["Device".into()] },
        built_in: false,
        properties: of(vec![
            Property { required: true, unique: true, ..property("id", Scalar::Id) },
            Property { required: true, unique: true, stored: "serial_no".into(), ..property("serial", Scalar::String) },
            Property { default: Some(json!("ACTIVE")), ..property("status", Scalar::Enum("Status".into())) },
            property("battery", Scalar::Int),
            property("weight", Scalar::Float),
            property("bytes", Scalar::BigInt),
            property("seen", Scalar::DateTime),
            property("made", Scalar::Date),
            property("extra", Scalar::Json),
            Property { list: true, item_required: true, ..property("tags", Scalar::String) },
            Property { embed: true, ..property("summary", Scalar::String) },
            Property { implicit: true, ..property("facility_id", Scalar::Id) },
        ]),
        relationships: IndexMap::new(),
        joins: IndexMap::new(),
        order: vec![],
        interfaces: vec![],
        limit: PageLimit::default(),
        cache: None,
        rules: Rules::default(),
    }
}

fn ontology() -> Ontology {
    let values = ["ACTIVE", "RETIRED"].map(|name| EnumValue { name: name.into(), description: None, deprecated: None });
    let status = EnumType { name: "Status".into(), description: None, values: values.into() };
    Ontology {
        types: IndexMap::from([("Device".to_owned(), entity())]),
        enums: IndexMap::from([("Status".to_owned(), status)]),
        ..Ontology::default()
    }
}

fn map(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

fn normal(input: Json) -> Result<Json, String> {
    properties(&ontology(), &entity(), map(input), true).map(Json::Object)
}

#[test]
fn brings_each_scalar_into_its_stored_form() {
    let input = json!({"serial": "s", "status": "RETIRED", "battery": 7.0, "weight": 2, "bytes": "9007199254740993",
        "seen": "2026-01-31T10:00:00.1234+02:00", "made": "2026-01-31", "extra": {"a": [1]}, "tags": ["x"],
        "facility_id": 12});
    let stored = json!({"serial_no": "s", "status": "RETIRED", "battery": 7, "weight": 2.0, "bytes": 9007199254740993i64,
        "seen": "2026-01-31T08:00:00.123Z", "made": "2026-01-31", "extra": {"a": [1]}, "tags": ["x"],
        "facility_id": "12"});
    assert_eq!(normal(input), Ok(stored));
}

#[test]
fn fills_in_defaults_only_when_creating_and_null_overrules_them() {
    assert_eq!(normal(json!({"serial": "s"})), Ok(json!({"serial_no": "s", "status": "ACTIVE"})));
    assert_eq!(normal(json!({"serial": "s", "status": null})), Ok(json!({"serial_no": "s", "status": null})));
    let update = properties(&ontology(), &entity(), map(json!({"battery": null})), false);
    assert_eq!(update, Ok(map(json!({"battery": null}))));
}

#[test]
fn refuses_with_the_name_and_the_reason() {
    let refused = |input: Json| normal(input).expect_err("refused");
    assert_eq!(refused(json!({})), "serial: a value is required");
    assert_eq!(refused(json!({"serial": null})), "serial: expected a value, found null");
    assert_eq!(
        refused(json!({"serial": "s", "batery": 1})),
        "Device has no property \"batery\"; did you mean \"battery\"?"
    );
    assert_eq!(refused(json!({"serial": "s", "zzz": 1})), "Device has no property \"zzz\"");
    assert_eq!(
        refused(json!({"serial": "s", "status": "RETIERD"})),
        "status: Status has no value \"RETIERD\"; did you mean \"RETIRED\"?"
    );
    assert!(
        refused(json!({"serial": "s", "battery": 3_000_000_000i64})).starts_with("battery: expected an Int between")
    );
    assert!(refused(json!({"serial": "s", "battery": "3"})).starts_with("battery: expected Int, found"));
    assert!(refused(json!({"serial": "s", "bytes": "9223372036854775808"})).starts_with("bytes: expected a 64-bit"));
    assert!(refused(json!({"serial": "s", "seen": "yesterday"})).starts_with("seen: expected a DateTime"));
    assert_eq!(refused(json!({"serial": "s", "tags": "x"})), "tags: expected a list of String");
    assert_eq!(refused(json!({"serial": "s", "tags": ["x", null]})), "tags: [1]: expected a value, found null");
}

#[test]
fn a_put_names_unique_and_embedded_properties_and_leaves_out_the_id() {
    let input = map(json!({"id": "d1", "serial": "s", "summary": "cold"}));
    let op = put(&ontology(), &entity(), "d1".into(), Mode::Upsert, input).expect("fits");
    let Op::Put { record, row, mode, set, unique, embed } = op else { panic!("not a put") };
    assert_eq!((record.of.as_str(), record.id.as_str(), row, mode), ("Device", "d1", false, Mode::Upsert));
    assert_eq!(Json::Object(set), json!({"serial_no": "s", "summary": "cold", "status": "ACTIVE"}));
    assert_eq!((unique, embed), (vec!["serial_no".to_owned()], vec!["summary".to_owned()]));
}

#[test]
fn a_put_refuses_another_id_and_an_empty_one() {
    let other = put(&ontology(), &entity(), "d1".into(), Mode::Update, map(json!({"id": "d2"})));
    assert_eq!(other, Err("id: expected \"d1\" as in the record, found \"d2\"".to_owned()));
    assert!(put(&ontology(), &entity(), String::new(), Mode::Update, Map::new()).is_err());
}
