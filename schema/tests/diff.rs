//! Pairs of ontologies under `fixtures/diff/`, two to a file, and what changes from the first to the second.

use quipu_schema::diff::Effect;
use quipu_schema::{Diff, compile, diff};

use crate::fixtures::snapshot;

fn between(old: &str, new: &str) -> Diff {
    let [old, new] = [old, new].map(|sdl| compile(sdl).unwrap_or_else(|problems| panic!("{problems}")));
    diff(&old, &new)
}

#[test]
fn pairs() {
    insta::glob!("fixtures/diff/*.graphql", |path| {
        let both = std::fs::read_to_string(path).expect("the fixture can be read");
        let (old, new) = both.split_once("# becomes\n").expect("a fixture holds two ontologies");
        assert!(between(old, old).is_empty(), "an ontology is the same as itself");
        assert!(between(new, new).is_empty(), "an ontology is the same as itself");
        snapshot(path, between(old, new).to_string());
    });
}

#[test]
fn what_comes_can_go() {
    let (small, large) = ("type A { id: ID! }", "type A { id: ID! name: String } type B { id: ID! }");
    let grows = between(small, large);
    assert!(!grows.is_breaking(), "{grows}");
    assert_eq!(grows.count(Effect::Safe), 2, "{grows}");
    let shrinks = between(large, small);
    assert_eq!(shrinks.count(Effect::Breaking), 2, "{shrinks}");
}

#[test]
fn programs_can_read_it() {
    let diff = between("type A { id: ID! }", "type A { id: ID! name: String! @default(value: \"x\") }");
    let json = serde_json::to_value(&diff).expect("a diff is JSON");
    assert_eq!(json["changes"][0]["effect"], "safe");
    assert_eq!(json["changes"][0]["element"], "A.name");
    assert_eq!(json["migrations"][0]["do"], "fill");
    assert_eq!(json["migrations"][0]["with"], "x");
}
