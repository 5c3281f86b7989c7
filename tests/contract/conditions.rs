//! Conditions: operators, absent values, related records.

use quipu_resolvers::read::{Field, Place, Predicate, Read, Related, Scope, Via};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Direction;
use quipu_schema::policy::{Operator, Quantifier};
use serde_json::json;

use super::Stores;
use super::fixture::*;

/// Ids of the records of a type that meet a condition, as both tenants, which must agree.
async fn met(stores: &Stores, of: &str, filter: Predicate) -> Vec<String> {
    let read: Read = all(of, vec![pick(Field::Id)]).filtered(filter.clone());
    let found = ask(stores, "alpha", read.clone()).await;
    assert_eq!(found, ask(stores, "beta", read).await, "{filter:?}");
    serde_json::from_value::<Vec<Vec<String>>>(found).unwrap().concat()
}

fn is(field: Field, operator: Operator, value: impl Into<Value>) -> Predicate {
    Predicate::Compare { field, operator, value: value.into() }
}

pub async fn comparisons(stores: Stores) {
    fill(&stores).await;
    let grade = || field("grade?");
    for (filter, expected) in [
        (is(grade(), Operator::Eq, 3), vec!["f1", "f3"]),
        (is(grade(), Operator::Lt, 3), vec!["f2"]),
        (is(grade(), Operator::Lte, 3), vec!["f1", "f2", "f3"]),
        (is(grade(), Operator::Gt, 1), vec!["f1", "f3"]),
        (is(grade(), Operator::Gte, 4), vec![]),
        (is(grade(), Operator::In, Value::List(vec![Value::Int(1), Value::Int(9)])), vec!["f2"]),
        (is(grade(), Operator::In, Value::List(vec![])), vec![]),
        (is(field("score?"), Operator::Eq, Value::Float(0.1)), vec!["f1"]),
        (is(field("score?"), Operator::Gt, Value::Float(0.1)), vec!["f2"]),
        (is(field("score?"), Operator::In, Value::List(vec![Value::Float(2.5)])), vec!["f2"]),
        (is(field("active?"), Operator::Eq, Value::Bool(true)), vec!["f1"]),
        (is(field("active?"), Operator::Eq, Value::Bool(false)), vec!["f2"]),
        (is(field("region"), Operator::Gt, "north"), vec!["f3", "f4"]),
        (is(Field::Id, Operator::Eq, "f2"), vec!["f2"]),
        (is(Field::Id, Operator::In, Value::List(vec![Value::from("f4"), Value::from("f1")])), vec!["f1", "f4"]),
        (Predicate::True, vec!["f1", "f2", "f3", "f4"]),
        (Predicate::False, vec![]),
        (Predicate::All(vec![]), vec!["f1", "f2", "f3", "f4"]),
        (Predicate::Any(vec![]), vec![]),
        (
            Predicate::Any(vec![is(grade(), Operator::Eq, 1), is(field("region"), Operator::Eq, "south")]),
            vec!["f2", "f3", "f4"],
        ),
        (Predicate::All(vec![is(grade(), Operator::Eq, 3), is(field("region"), Operator::Eq, "south")]), vec!["f3"]),
    ] {
        assert_eq!(met(&stores, "Facility", filter.clone()).await, expected, "{filter:?}");
    }
}

/// Texts are compared letter by letter: there are no wildcards and no folding of case.
pub async fn texts_are_literal(stores: Stores) {
    let names = ["100% pure", "100_ pure", "Ärger", "it's \"so\"", "a\\b", "zebra\u{10ffff}x", ""];
    for who in TENANTS {
        publish(&stores, who).await;
        let ops = names
            .iter()
            .enumerate()
            .map(|(index, name)| put("Facility", &format!("f{index}"), json!({"name": name, "region": "r"})));
        write(&stores, who, ops.collect()).await;
    }
    let every = ["f0", "f1", "f2", "f3", "f4", "f5", "f6"];
    for (operator, text, expected) in [
        (Operator::Contains, "%", vec!["f0"]),
        (Operator::Contains, "_", vec!["f1"]),
        (Operator::Contains, "PURE", vec![]),
        (Operator::Contains, "rge", vec!["f2"]),
        (Operator::Contains, "'", vec!["f3"]),
        (Operator::Contains, "\"", vec!["f3"]),
        (Operator::Contains, "\\", vec!["f4"]),
        (Operator::Contains, "", every.to_vec()),
        (Operator::StartsWith, "100", vec!["f0", "f1"]),
        (Operator::StartsWith, "100_", vec!["f1"]),
        (Operator::StartsWith, "är", vec![]),
        (Operator::StartsWith, "Ä", vec!["f2"]),
        (Operator::StartsWith, "zebra\u{10ffff}", vec!["f5"]),
        (Operator::StartsWith, "", every.to_vec()),
        (Operator::EndsWith, "pure", vec!["f0", "f1"]),
        (Operator::EndsWith, "_ pure", vec!["f1"]),
        (Operator::EndsWith, "\\b", vec!["f4"]),
        (Operator::EndsWith, "Pure", vec![]),
        (Operator::EndsWith, "Ärger", vec!["f2"]),
        (Operator::EndsWith, "xÄrger", vec![]),
        (Operator::EndsWith, "", every.to_vec()),
        (Operator::Eq, "100% pure", vec!["f0"]),
        (Operator::Eq, "100% PURE", vec![]),
        (Operator::Eq, "' OR 1=1 --", vec![]),
    ] {
        assert_eq!(
            met(&stores, "Facility", is(field("name"), operator, text)).await,
            expected,
            "{operator:?} {text:?}"
        );
    }
}

pub async fn lists_and_json(stores: Stores) {
    fill(&stores).await;
    let tags = || field("tags?");
    assert_eq!(met(&stores, "Facility", is(tags(), Operator::Includes, "cold")).await, ["f1"]);
    assert!(met(&stores, "Facility", is(tags(), Operator::Includes, "col")).await.is_empty());
    let list = Value::List(vec![Value::from("cold"), Value::from("new")]);
    assert_eq!(met(&stores, "Facility", is(tags(), Operator::Eq, list)).await, ["f1"]);
    assert_eq!(met(&stores, "Facility", is(tags(), Operator::Eq, Value::List(vec![]))).await, ["f2"]);
    assert_eq!(met(&stores, "Facility", Predicate::Absent(tags())).await, ["f3", "f4"]);
    let not = is(tags(), Operator::Includes, "cold").negate();
    assert_eq!(met(&stores, "Facility", not).await, ["f2"], "of an absent list nothing is known");
}

/// A comparison with an absent value is neither true nor false.
pub async fn unknown_is_neither(stores: Stores) {
    fill(&stores).await;
    let grade = || field("grade?");
    for operator in [Operator::Eq, Operator::Lt, Operator::Gt] {
        let filter = Predicate::Any(vec![is(grade(), operator, 3), is(grade(), operator, 3).negate()]);
        assert_eq!(met(&stores, "Facility", filter).await, ["f1", "f2", "f3"]);
    }
    let either = Predicate::Any(vec![is(grade(), Operator::Eq, 3), is(field("region"), Operator::Eq, "south")]);
    assert_eq!(met(&stores, "Facility", either.clone()).await, ["f1", "f3", "f4"], "unknown or true is true");
    assert_eq!(met(&stores, "Facility", either.negate()).await, ["f2"]);
    let both = Predicate::All(vec![is(grade(), Operator::Eq, 3), is(field("region"), Operator::Eq, "north")]);
    assert_eq!(met(&stores, "Facility", both.negate()).await, ["f2", "f3", "f4"], "unknown and false is false");
    assert_eq!(met(&stores, "Facility", Predicate::Absent(grade())).await, ["f4"]);
    assert_eq!(met(&stores, "Facility", Predicate::Absent(grade()).negate()).await, ["f1", "f2", "f3"]);
    for operator in [Operator::Contains, Operator::StartsWith, Operator::EndsWith] {
        let filter = is(field("code?"), operator, "A").negate();
        assert_eq!(met(&stores, "Facility", filter).await, ["f2"], "{operator:?}");
    }
}

fn related(quantifier: Quantifier, via: Via, of: &str, filter: Predicate) -> Predicate {
    let place = if of == "Contract" { Place::Rows } else { Place::Nodes };
    let targets = vec![Scope { of: of.to_owned(), filter, visible: Predicate::True }];
    Predicate::Related(Box::new(Related { place, via, targets, quantifier }))
}

fn devices(quantifier: Quantifier, filter: Predicate) -> Predicate {
    let via = Via::Relationship { relationship_type: "HAS_DEVICE".to_owned(), direction: Direction::Out };
    related(quantifier, via, "Device", filter)
}

pub async fn quantifiers(stores: Stores) {
    fill(&stores).await;
    let ok = || is(field("status"), Operator::Eq, "OK");
    // f1 has two that are OK and one that failed, f2 one that is OK, f3 one that failed, f4 none.
    for (quantifier, filter, expected) in [
        (Quantifier::Some, ok(), vec!["f1", "f2"]),
        (Quantifier::All, ok(), vec!["f2"]),
        (Quantifier::None, ok(), vec!["f3", "f4"]),
        (Quantifier::Single, ok(), vec!["f2"]),
        (Quantifier::Some, Predicate::True, vec!["f1", "f2", "f3"]),
        (Quantifier::All, Predicate::True, vec!["f1", "f2", "f3"]),
        (Quantifier::None, Predicate::True, vec!["f4"]),
        (Quantifier::Single, Predicate::True, vec!["f2", "f3"]),
    ] {
        assert_eq!(
            met(&stores, "Facility", devices(quantifier, filter.clone())).await,
            expected,
            "{quantifier:?} {filter:?}"
        );
    }
    let warned = Via::Relationship { relationship_type: "RAISED".to_owned(), direction: Direction::Out };
    let severe = related(Quantifier::Some, warned, "Alert", is(field("severity"), Operator::Gte, 4));
    assert_eq!(met(&stores, "Facility", devices(Quantifier::Single, severe.clone())).await, Vec::<String>::new());
    assert_eq!(met(&stores, "Facility", devices(Quantifier::Some, severe.clone())).await, ["f1"]);
    assert_eq!(met(&stores, "Facility", devices(Quantifier::All, severe.negate())).await, ["f2", "f3"]);
    let up = Via::Relationship { relationship_type: "HAS_DEVICE".to_owned(), direction: Direction::In };
    let in_oslo = related(Quantifier::Some, up, "Facility", is(Field::Id, Operator::Eq, "f1"));
    assert_eq!(met(&stores, "Device", in_oslo).await, ["d1", "d2", "d3"]);
}

/// Conditions on the relationship that leads there.
pub async fn conditions_on_relationships(stores: Stores) {
    fill(&stores).await;
    let old = is(edge("since"), Operator::Lt, "2019-06-01");
    assert_eq!(met(&stores, "Facility", devices(Quantifier::Some, old.clone())).await, ["f1", "f2", "f3"]);
    assert_eq!(met(&stores, "Facility", devices(Quantifier::All, old)).await, ["f2", "f3"]);
    let sure = is(edge("confidence"), Operator::Gte, Value::Float(0.8)).and(is(field("status"), Operator::Eq, "OK"));
    assert_eq!(met(&stores, "Facility", devices(Quantifier::Single, sure)).await, ["f1", "f2"]);
}

pub async fn conditions_along_joins(stores: Stores) {
    fill(&stores).await;
    let via = || Via::Key { local: field("facility_id"), remote: field("facility_id") };
    let dear = || is(field("price"), Operator::Gt, Value::Float(90.0));
    assert_eq!(met(&stores, "Contract", related(Quantifier::Some, via(), "Contract", dear())).await, ["c1", "c2"]);
    assert_eq!(met(&stores, "Contract", related(Quantifier::None, via(), "Contract", dear())).await, ["c3"]);
    assert_eq!(met(&stores, "Contract", related(Quantifier::Single, via(), "Contract", Predicate::True)).await, ["c3"]);
}

/// Thousands of alternatives and a list of thousands of keys are no deeper than a few.
pub async fn long_alternatives(stores: Stores) {
    fill(&stores).await;
    let many = (0..3_000).map(|grade| is(field("grade?"), Operator::Eq, grade));
    assert_eq!(met(&stores, "Facility", Predicate::Any(many.collect())).await, ["f1", "f2", "f3"]);
    let keys = (0..20_000).map(|index| Value::from(format!("f{index}")));
    assert_eq!(met(&stores, "Facility", Predicate::one_of(Field::Id, keys.collect())).await.len(), 4);
}

pub async fn type_names(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let of = |filter: Predicate| {
            let mut read = all("Facility", vec![]).sorted(vec![up(Field::Type), up(Field::Id)]);
            let picks = vec![pick(Field::Id)];
            read.targets = ["Facility", "Device", "Alert"].map(|of| target(of, picks.clone())).to_vec();
            read.filtered(filter)
        };
        let alerts = is(Field::Type, Operator::Eq, "Alert");
        assert_eq!(ask(&stores, who, of(alerts)).await, json!([[2, "a1"], [2, "a2"], [2, "a3"], [2, "a4"]]));
        let names = is(Field::Type, Operator::In, Value::List(vec![Value::from("Facility"), Value::from("Nothing")]));
        assert_eq!(ask(&stores, who, of(names)).await, json!([[0, "f1"], [0, "f2"], [0, "f3"], [0, "f4"]]));
        assert_eq!(ask(&stores, who, of(is(Field::Type, Operator::Eq, "Nothing"))).await, json!([]));
    }
}
