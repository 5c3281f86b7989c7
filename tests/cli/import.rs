use serde_json::{Value as Json, json};

use super::quipu::{Ended, Quipu};

fn farm(id: usize) -> String {
    json!({"node": "Farm", "id": format!("f{id}"), "properties": {"name": format!("Farm {id}"), "region": "EU"}})
        .to_string()
}

fn animal(id: usize) -> String {
    json!({"node": "Animal", "id": format!("a{id}"), "properties": {"kind": "cow"}}).to_string()
}

fn keeps(farm: usize, animal: usize) -> String {
    let end = |of: &str, id: String| json!({ of: id });
    json!({"relationship": "KEEPS", "from": end("Farm", format!("f{farm}")), "to": end("Animal", format!("a{animal}")),
        "properties": {"since": "2026-01-31"}})
    .to_string()
}

fn import(quipu: &Quipu, lines: &[String]) -> Ended {
    quipu.file("records.jsonl", lines.join("\n"));
    quipu.run(&["import", "--tenant", "farm", "--no-embed", "records.jsonl"])
}

fn count(quipu: &Quipu, root: &str) -> Json {
    let query = format!("{{ {root}Connection {{ totalCount }} }}");
    quipu.answer("farm", &query, &["--role", "admin"])["data"][format!("{root}Connection")]["totalCount"].clone()
}

#[test]
fn records_of_every_kind_come_back_and_again_changes_nothing() {
    let quipu = Quipu::with_farm();
    let lines = [
        farm(1),
        animal(1),
        keeps(1, 1),
        r#"{"row":"Bill","id":"b1","properties":{"amount":7,"farm_id":"f1"}}"#.to_owned(),
        r#"{"document":{"id":"d1","title":"Cows","text":"A cow gives milk.","properties":{"page":2}}}"#.to_owned(),
    ];
    let first = import(&quipu, &lines);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.out.starts_with("imported 5 of 5 records in "), "{first:?}");
    assert!(first.out.ends_with(": 5 created, 0 updated, 0 deleted\n"), "a chunk is created, too: {first:?}");
    let query = "{ farms { name keepsConnection { edges { properties { since } node { id kind } } } bills { amount } }
        documents { title properties chunks { id text start end } } }";
    let answer = quipu.answer("farm", query, &["--claim", "regions=[\"EU\"]"]);
    let expected = json!({"farms": [{"name": "Farm 1",
            "keepsConnection": {"edges": [{"properties": {"since": "2026-01-31"}, "node": {"id": "a1", "kind": "cow"}}]},
            "bills": [{"amount": 7}]}],
        "documents": [{"title": "Cows", "properties": {"page": 2},
            "chunks": [{"id": "d1#0", "text": "A cow gives milk.", "start": 0, "end": 17}]}]});
    assert_eq!(answer["data"], expected);
    let again = import(&quipu, &lines);
    assert!(
        again.out.contains("imported 5 of 5") && again.out.ends_with(": 0 created, 0 updated, 0 deleted\n"),
        "{again:?}"
    );
}

#[test]
fn a_bad_line_is_named_its_batch_is_left_out_and_the_others_are_imported() {
    let quipu = Quipu::with_farm();
    let mut lines: Vec<String> = (1..=2_500).map(animal).collect();
    lines[1_499] = lines[1_499].replace("\"kind\"", "\"kin\"");
    lines[1_501] = "nonsense".to_owned();
    let ended = import(&quipu, &lines);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.err.contains("records.jsonl:1500: Animal has no property \"kin\"; did you mean \"kind\"?"),
        "{ended:?}"
    );
    assert!(ended.err.contains("records.jsonl:1502: not valid JSON"), "{ended:?}");
    assert!(ended.err.contains("1000 records were not imported") && ended.err.contains("help: "), "{ended:?}");
    assert_eq!(count(&quipu, "animals"), json!(1_500));
}

#[test]
fn what_the_store_refuses_is_named_by_its_line_too() {
    let quipu = Quipu::with_farm();
    let ended = import(&quipu, &[farm(1), animal(1), keeps(1, 1), keeps(1, 2), animal(2)]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("records.jsonl:4: KEEPS needs Animal \"a2\", which does not exist"), "{ended:?}");
    assert_eq!(count(&quipu, "farms"), json!(0), "nothing of the batch is half-applied");
    let twins = [farm(1), farm(2).replace("Farm 2", "Farm 1")];
    let ended = import(&quipu, &twins);
    assert!(ended.err.contains("records.jsonl:2: Farm \"f2\": name \"Farm 1\" is taken"), "{ended:?}");
    assert_eq!(count(&quipu, "farms"), json!(0));
}

#[test]
fn a_document_with_fewer_chunks_loses_the_old_ones() {
    let quipu = Quipu::with_farm();
    let document = |text: &str| vec![json!({"document": {"id": "d", "title": "T", "text": text}}).to_string()];
    let long = "Every cow has a name, and every name has a story that somebody tells in the evening. ".repeat(60);
    assert_eq!(import(&quipu, &document(&long)).code, Some(0));
    let before = count(&quipu, "chunks").as_u64().expect("a number");
    assert!(before > 3, "{before} chunks");
    let ended = import(&quipu, &document("Cows have names."));
    assert!(ended.out.ends_with(&format!(": 0 created, 2 updated, {} deleted\n", before - 1)), "{ended:?}");
    assert_eq!(count(&quipu, "chunks"), json!(1));
    let ended = import(&quipu, &document("Cows have names."));
    assert!(ended.out.ends_with(": 0 created, 0 updated, 0 deleted\n"), "{ended:?}");
}

#[test]
fn standard_input_is_read_once() {
    let quipu = Quipu::with_farm();
    quipu.file("farms.jsonl", farm(1));
    let args = ["import", "--tenant", "farm", "--no-embed", "farms.jsonl", "-"];
    let ended = quipu.run_reading(&args, &[animal(1), keeps(1, 1), "nonsense".to_owned()].join("\n"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("standard input:3: not valid JSON"), "{ended:?}");
    let ended = quipu.run_reading(&args, &[animal(1), keeps(1, 1)].join("\n"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.starts_with("imported 3 of 3 records"), "{ended:?}");
    assert_eq!(count(&quipu, "animals"), json!(1));
    let ended = quipu.run_reading(&[&args[..], &["-"]].concat(), &animal(2));
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn a_change_never_has_more_operations_than_the_limit() {
    let quipu = Quipu::with_farm();
    let limit = [("QUIPU_LIMITS_CHANGE_OPS", "20")];
    let args = ["import", "--tenant", "farm", "--no-embed", "records.jsonl"];
    let document = |id: usize, times: usize| {
        let text =
            "Every cow has a name, and every name has a story that somebody tells in the evening. ".repeat(times);
        json!({"document": {"id": format!("d{id}"), "title": "T", "text": text}}).to_string()
    };
    // Each fits, any two together do not.
    let lines: Vec<String> = (1..=6).map(|id| document(id, 60)).collect();
    quipu.file("records.jsonl", lines.join("\n"));
    let ended = quipu.run_with(&args, &limit);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(count(&quipu, "documents"), json!(6));
    quipu.file("records.jsonl", [document(7, 60), document(8, 600)].join("\n"));
    let ended = quipu.run_with(&args, &limit);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in
        ["records.jsonl:2: the document has ", "may have 20 (`limits.change_ops`): raise that setting, or split"]
    {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    assert_eq!(quipu.run(&args).code, Some(0), "with the usual limit");
    assert_eq!(count(&quipu, "documents"), json!(8));
}

#[test]
fn without_a_model_records_are_imported_and_the_lack_is_told() {
    let quipu = Quipu::with_farm();
    let lines = [r#"{"node":"Farm","id":"1","properties":{"name":"A","region":"EU","about":"cows"}}"#.to_owned()];
    quipu.file("records.jsonl", lines.join("\n"));
    let ended = quipu.run(&["import", "--tenant", "farm", "records.jsonl"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("warning: 1 texts are not embedded: "), "{ended:?}");
}

#[test]
fn files_and_tenants_that_are_not_there_are_refused_before_anything_is_done() {
    let quipu = Quipu::empty();
    quipu.file("records.jsonl", farm(1));
    let ended = quipu.run(&["import", "--tenant", "farm", "records.jsonl", "none.jsonl"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("cannot read none.jsonl"), "{ended:?}");
    assert!(!quipu.path("quipu.db").exists());
    let ended = quipu.run(&["import", "--tenant", "farm", "records.jsonl"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("no tenant farm is served") && ended.err.contains("ontology publish"), "{ended:?}");
}
