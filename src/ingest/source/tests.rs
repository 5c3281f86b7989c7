use std::io::Cursor;

use super::*;
use crate::demo;

fn gathered(source: Source) -> Vec<Batch> {
    let ontology = quipu_schema::compile(demo::CRYOX_ONTOLOGY).expect("the demo's ontology compiles");
    let split = |_: &str| Vec::new();
    let shaper = Shaper::new(&ontology, &split);
    let mut gathered = Vec::new();
    assert!(batches(source, &shaper, 10_000, &mut |batch| {
        gathered.push(batch);
        true
    }));
    gathered
}

fn text(text: impl Into<Vec<u8>>) -> Source {
    Source { name: "x.jsonl".into(), lines: Box::new(Lines::new(Cursor::new(text.into()))) }
}

fn contract(id: usize) -> String {
    format!(
        r#"{{"row":"Contract","id":"c{id}","properties":{{"supplier":"S","service":"s","startsOn":"2026-01-01","endsOn":"2026-12-31","annualValue":1,"currency":"EUR"}}}}"#
    )
}

#[test]
fn lines_are_gathered_into_batches_of_a_thousand() {
    let lines: Vec<String> = (1..=2_500).map(contract).collect();
    let whole = lines.join("\n");
    let batches = gathered(text(whole.clone()));
    let sizes: Vec<_> = batches.iter().map(|b| (b.first, b.last, b.records, b.shaped.ops.len())).collect();
    assert_eq!(sizes, [(1, 1000, 1000, 1000), (1001, 2000, 1000, 1000), (2001, 2500, 500, 500)]);
    assert_eq!(batches.iter().map(|b| b.size).sum::<u64>(), whole.len() as u64);
}

#[test]
fn a_bad_line_is_named_and_the_lines_around_it_are_read() {
    let whole =
        format!("\n{}\r\n\nnonsense\n{}\n\u{feff}\n{}", contract(1), contract(2).replace("\"S\"", "3"), contract(3));
    let batches = gathered(text(whole));
    let problems: Vec<_> = batches[0].problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("x.jsonl:4: not valid JSON"), "{problems:?}");
    assert_eq!(problems[1], "x.jsonl:5: supplier: expected String, found a number");
    assert!(problems[2].starts_with("x.jsonl:6: "), "{problems:?}");
    assert_eq!((batches.len(), batches[0].records, batches[0].lines.clone()), (1, 5, vec![2, 7]));
}

#[test]
fn bytes_that_are_no_text_are_refused_and_what_follows_is_read() {
    let mut whole = b"{\"row\":\"\xff\"}\n".to_vec();
    whole.extend(contract(1).into_bytes());
    let batches = gathered(text(whole));
    assert_eq!(batches[0].problems[0].to_string(), "x.jsonl:1: not UTF-8");
    assert_eq!(batches[0].shaped.ops.len(), 1);
}

#[test]
fn a_document_that_comes_twice_begins_a_new_batch() {
    let document = |title: &str| format!(r#"{{"document":{{"id":"m1","title":"{title}","text":"x"}}}}"#);
    let batches = gathered(text([document("a"), contract(1), document("b")].join("\n")));
    assert_eq!(batches.iter().map(|b| b.records).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn reading_stops_when_nobody_wants_more() {
    let ontology = quipu_schema::compile(demo::CRYOX_ONTOLOGY).expect("the demo's ontology compiles");
    let split = |_: &str| Vec::new();
    let lines: Vec<String> = (1..=1_500).map(contract).collect();
    assert!(!batches(text(lines.join("\n")), &Shaper::new(&ontology, &split), 10_000, &mut |_| false));
}
