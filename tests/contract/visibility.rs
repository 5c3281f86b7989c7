//! What the caller may not see acts as if it were not there.

use quipu_resolvers::guard::{self, Principal};
use quipu_resolvers::ports::{Matching, Nearest, Trace, VectorChange, Within};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Related, Scope, Via};
use quipu_resolvers::value::Value;
use quipu_schema::api::Figure;
use quipu_schema::ontology::{Direction, Ontology};
use quipu_schema::policy::{Condition, Operand, Operation, Operator, Policy, Quantifier, Rule};
use serde_json::{Value as Json, json};

use super::Stores;
use super::fixture::*;

/// Only devices that are OK can be seen, and only facilities of the caller's region.
fn ruled() -> Ontology {
    let mut ontology = ontology();
    let rule = |property: &str, operand| Rule {
        operations: vec![Operation::Read, Operation::Aggregate],
        when: Vec::new(),
        require_authentication: true,
        condition: Condition::Property { property: property.to_owned(), operator: Operator::Eq, operand },
    };
    let claim = Operand::Claim(vec!["region".to_owned()]);
    let only = |rule| vec![Policy { filter: vec![rule], validate: Vec::new() }];
    ontology.types["Facility"].rules.policies = only(rule("region", claim));
    ontology.types["Device"].rules.policies = only(rule("status", Operand::Value(json!("OK"))));
    ontology
}

fn northerner(who: &str) -> Principal {
    Principal { claims: json!({"region": "north"}), ..principal(who) }
}

async fn seen(stores: &Stores, who: &str, read: Read) -> Json {
    let read = guard::read(&northerner(who), &ruled(), read).unwrap();
    stores.graph.read(&read, call(&Trace::default())).await.unwrap().to_json()
}

pub async fn hidden_records_are_nowhere(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let mut devices = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id)]).first(5);
        devices.total = true;
        devices.figures = vec![(Figure::Max, edge("since"))];
        let mut facilities = all("Facility", vec![pick(Field::Id), Pick::Read(Box::new(devices))]);
        facilities.total = true;
        facilities.figures = vec![(Figure::Sum, field("grade?"))];
        assert_eq!(
            seen(&stores, who, facilities).await,
            json!([[["f1", [[["d1"], ["d2"]], 2, ["2020-01-01"]]], ["f2", [[["d4"]], 1, ["2018-01-01"]]]], 2, [4]])
        );
        let one = all("Facility", vec![pick(Field::Id)]).filtered(Predicate::equals(Field::Id, Value::from("f3")));
        assert_eq!(seen(&stores, who, one).await, json!([]));
        let mut both = all("Facility", vec![]).sorted(vec![up(Field::Id)]);
        both.targets = vec![target("Facility", vec![pick(Field::Id)]), target("Device", vec![pick(Field::Id)])];
        let found = seen(&stores, who, both).await;
        assert_eq!(found, json!([[1, "d1"], [1, "d2"], [1, "d4"], [1, "d6"], [0, "f1"], [0, "f2"]]));
        let read =
            Read { via: Via::Key { local: Field::Id, remote: Field::Id }, ..all("Facility", vec![pick(Field::Id)]) };
        let read = guard::read(&northerner(who), &ruled(), read).unwrap();
        let keys = [Value::from("f3"), Value::from("f1")];
        let outcomes = stores.graph.read_many(&read, &keys, call(&Trace::default())).await.unwrap();
        assert_eq!(outcomes.iter().map(Value::to_json).collect::<Json>(), json!([[], [["f1"]]]));
    }
}

/// Quantifiers count what can be seen, so they tell nothing about the rest.
pub async fn hidden_in_conditions(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        for (quantifier, filter, expected) in [
            (Quantifier::Some, Predicate::equals(field("status"), Value::from("FAILED")), json!([])),
            (Quantifier::None, Predicate::equals(field("status"), Value::from("FAILED")), json!([["f1"], ["f2"]])),
            (Quantifier::All, Predicate::equals(field("status"), Value::from("OK")), json!([["f1"], ["f2"]])),
            (Quantifier::Single, Predicate::True, json!([["f2"]])),
            (Quantifier::Some, Predicate::equals(Field::Id, Value::from("d3")), json!([])),
        ] {
            let devices = Related {
                place: Place::Nodes,
                via: Via::Relationship { relationship_type: "HAS_DEVICE".to_owned(), direction: Direction::Out },
                targets: vec![Scope { of: "Device".to_owned(), filter: filter.clone(), visible: Predicate::True }],
                quantifier,
            };
            let read = all("Facility", vec![pick(Field::Id)]).filtered(Predicate::Related(Box::new(devices)));
            assert_eq!(seen(&stores, who, read).await, expected, "{quantifier:?} {filter:?}");
        }
    }
}

pub async fn hidden_in_searches(stores: Stores) {
    fill(&stores).await;
    let vector = |x: f32| {
        let mut vector = vec![0.0; 16];
        (vector[0], vector[1]) = (x, (1.0 - x * x).sqrt());
        vector
    };
    for who in TENANTS {
        let ops = ["f1", "f2", "f3"].map(|id| put("Facility", id, json!({"summary": format!("{who} warehouse")})));
        write(&stores, who, ops.to_vec()).await;
        let changes: Vec<VectorChange> = ["f3", "f1", "f2"]
            .iter()
            .zip([1.0, 0.9, 0.8])
            .map(|(id, x)| VectorChange {
                record: record("Facility", id),
                property: Some("summary".into()),
                vector: Some(vector(x)),
            })
            .collect();
        stores.vectors.apply(&tenant(who), 2, &changes).await.unwrap();
        let within = || Within { of: "Facility".into(), row: false, filter: Predicate::True, visible: Predicate::True };
        let nearest = Nearest { within: within(), property: "summary".into(), vector: vector(1.0), limit: 2 };
        let nearest = guard::nearest(&northerner(who), &ruled(), nearest).unwrap();
        let hits = stores.vectors.nearest(&nearest, call(&Trace::default())).await.unwrap();
        assert_eq!(hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>(), ["f1", "f2"], "the nearest is hidden");
        let matching = Matching { within: vec![within()], text: "warehouse".into(), limit: 10 };
        let matching = guard::matching(&northerner(who), &ruled(), matching).unwrap();
        let mut hits = stores.graph.matching(&matching, call(&Trace::default())).await.unwrap();
        hits.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>(), ["f1", "f2"]);
    }
}

/// A relationship is seen when both its ends are.
pub async fn relationships_of_hidden_nodes(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let mut read = Read { place: Place::Relationships, ..all("Relationship", vec![pick(Field::Id)]) };
        read.total = true;
        assert_eq!(
            seen(&stores, who, read).await,
            json!([
                [
                    ["HAS_DEVICE:Facility:f1:Device:d1:"],
                    ["HAS_DEVICE:Facility:f1:Device:d2:"],
                    ["HAS_DEVICE:Facility:f2:Device:d4:"],
                    ["RAISED:Device:d1:Alert:a1:"],
                    ["RAISED:Device:d1:Alert:a2:"],
                ],
                5,
                null,
            ])
        );
    }
}
