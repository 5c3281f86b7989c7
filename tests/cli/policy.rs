//! `quipu policy test`: a table of who sees what, asked of the real thing.

use super::quipu::{Ended, FARM, Quipu};

const RECORDS: &str = r#"{"node":"Farm","id":"f1","properties":{"name":"North","region":"EU"}}
{"node":"Farm","id":"f2","properties":{"name":"South","region":"US"}}
{"node":"Animal","id":"a1","properties":{"kind":"cow"}}
{"relationship":"KEEPS","from":{"Farm":"f2"},"to":{"Animal":"a1"},"properties":{"since":"2024-01-01"}}
{"row":"Bill","id":"b1","properties":{"amount":7,"farm_id":"f1"}}
"#;

const TABLE: &str = r#"
ontology = "farm.graphql"
data = ["records.jsonl"]

[who.eva]
sub = "eva"
regions = ["EU"]

[who.root]
sub = "root"
roles = ["admin"]

[who.nobody]

[[case]]
name = "farms are seen in one's own regions"
query = "{ farms { id } }"
expect.eva = ["f1"]
expect.root = ["f2", "f1"]
expect.nobody = []

[[case]]
name = "a farm that is not seen cannot be removed, and one that is, can"
query = 'mutation { deleteFarms(where: {id: {eq: "f2"}}) { nodesDeleted } }'
expect.root = [1]
expect.eva = [0]

[[case]]
name = "amounts are for administrators"
query = "query ($least: Int!) { bills(where: {id: {eq: \"b1\"}}) { id amount } farms(limit: $least) { id } }"
variables = { least = 1 }
expect.eva = [{ id = "b1", amount = "FORBIDDEN" }]
expect.root = [{ id = "b1", amount = 7 }]

[[case]]
name = "animals are for callers with an identity"
query = "{ animalsConnection { edges { node { kind } } } }"
expect.nobody = "UNAUTHENTICATED"
expect.eva = 1
"#;

fn tested(table: &str, args: &[&str]) -> Ended {
    let quipu = Quipu::empty();
    let farm = FARM
        .replace("amount: Int!", "amount: Int @role(anyOf: [\"admin\"])")
        .replace("type Animal @node", "type Animal @node @authentication(operations: [READ, AGGREGATE])");
    quipu.file("farm.graphql", farm);
    quipu.file("records.jsonl", RECORDS);
    quipu.file("rules.toml", table);
    let ended = quipu.run(&[&["policy", "test", "rules.toml"], args].concat());
    assert!(!quipu.path("quipu.db").exists(), "a test touches no store of the user's");
    ended
}

#[test]
fn a_table_that_says_what_is_so_passes_and_tells_what_each_saw() {
    let ended = tested(TABLE, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "farms are seen in one's own regions\n  ok    eva: 1 row\n  ok    nobody: 0 rows\n  ok    root: 2 rows\n",
        "  ok    nobody: UNAUTHENTICATED\n",
        "\n4 cases: 9 answers as expected, 0 not\n",
    ] {
        assert!(ended.out.contains(line), "{line}: {}", ended.out);
    }
    let ended = tested(TABLE, &["--complete"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("  ????  nobody: nothing is said of them"), "{}", ended.out);
    assert!(ended.err.contains("of 3 answers nothing is said"), "{}", ended.err);
}

#[test]
fn an_expectation_that_does_not_hold_fails_and_shows_both() {
    for (said, instead, told) in [
        (
            r#"expect.eva = ["f1"]"#,
            r#"expect.eva = ["f1", "f2"]"#,
            r#"FAIL  eva: expected ["f1","f2"], and saw ["f1"]"#,
        ),
        ("expect.nobody = []", "expect.nobody = 1", "FAIL  nobody: expected 1, and saw []"),
        ("expect.eva = 1", r#"expect.eva = "FORBIDDEN""#, r#"FAIL  eva: expected "FORBIDDEN", and saw ["cow"]"#),
        (r#""UNAUTHENTICATED""#, "[]", "FAIL  nobody: expected [], and saw UNAUTHENTICATED"),
        (r#"amount = "FORBIDDEN""#, "amount = 7", r#"and saw [{"amount":"FORBIDDEN","id":"b1"}]"#),
    ] {
        assert!(TABLE.contains(said));
        let ended = tested(&TABLE.replacen(said, instead, 1), &[]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.out.contains(told), "{told}: {}", ended.out);
        assert!(ended.out.contains("8 answers as expected, 1 not"), "{}", ended.out);
    }
}

#[test]
fn a_table_that_cannot_be_asked_says_why() {
    for (said, instead, told) in [
        (
            "{ farms { id } }",
            "{ farmz { id } }",
            "the question of \"farms are seen in one's own regions\" is not one that can be asked",
        ),
        ("records.jsonl", "none.jsonl", "cannot read none.jsonl"),
        ("farm.graphql", "none.graphql", "cannot read none.graphql"),
        ("[who.nobody]", "", "speaks of nobody, and there is no [who.nobody]"),
        ("name = \"animals", "nam = \"animals", "rules.toml: TOML parse error at line 36"),
    ] {
        let ended = tested(&TABLE.replacen(said, instead, 1), &[]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(told), "{told}: {}", ended.err);
    }
}

/// The tables of the ontologies that ship hold; what is said of whom in each is in `tests/access`.
#[test]
fn the_tables_of_the_ontologies_that_ship_hold() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/access");
    let mut tested = 0;
    for entry in folder.read_dir().expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let ended = Quipu::empty().run(&["policy", "test", &path.to_string_lossy()]);
            assert_eq!(ended.code, Some(0), "{}: {ended:?}", path.display());
            tested += 1;
        }
    }
    assert_eq!(tested, 5);
}
