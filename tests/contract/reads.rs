//! Reads: how records are reached.

use std::time::{Duration, Instant};

use quipu_resolvers::fault::Code;
use quipu_resolvers::guard;
use quipu_resolvers::ports::{Call, Reader, StoreName, Trace};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Via};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Direction;
use quipu_schema::policy::Operator;
use serde_json::json;

use super::Stores;
use super::fixture::*;

/// A whole subtree is one statement; each level has its own order and limit.
pub async fn nested_three_levels(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let alerts = along("RAISED", Direction::Out, "Alert", vec![pick(Field::Id), pick(field("severity"))])
            .sorted(vec![down(field("severity")), up(Field::Id)])
            .first(1);
        let devices = along(
            "HAS_DEVICE",
            Direction::Out,
            "Device",
            vec![pick(field("name")), pick(edge("since")), pick(edge("confidence")), Pick::Read(Box::new(alerts))],
        )
        .sorted(vec![up(edge("since")), up(Field::Id)])
        .first(2);
        let facilities = all("Facility", vec![pick(Field::Id), pick(field("name")), Pick::Read(Box::new(devices))])
            .sorted(vec![up(field("name")), up(Field::Id)])
            .first(3);
        assert_eq!(
            ask(&stores, who, facilities).await,
            json!([
                ["f3", format!("{who} Athens"), [[format!("{who} Fan"), "2017-01-01", 0.6, [["a4", 1]]]]],
                ["f2", format!("{who} Bergen"), [[format!("{who} Gate"), "2018-01-01", 0.8, []]]],
                [
                    "f1",
                    format!("{who} Oslo"),
                    [
                        [format!("{who} Cooler"), "2019-01-01", 0.5, []],
                        [format!("{who} Freezer"), "2020-01-01", 0.9, [["a1", 5]]],
                    ]
                ],
            ])
        );
    }
}

/// Up and down again: each level speaks of its own parent.
pub async fn several_levels_of_parents(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let siblings = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id)]);
        let facility = along(
            "HAS_DEVICE",
            Direction::In,
            "Facility",
            vec![pick(field("name")), Pick::Read(Box::new(siblings)), pick(edge("since"))],
        );
        let devices = all("Device", vec![pick(Field::Id), Pick::Read(Box::new(facility))])
            .filtered(Predicate::one_of(Field::Id, vec![Value::from("d2"), Value::from("d6")]));
        assert_eq!(
            ask(&stores, who, devices).await,
            json!([["d2", [[format!("{who} Oslo"), [["d1"], ["d2"], ["d3"]], "2019-01-01"]]], ["d6", []],])
        );
    }
}

fn contracts_of(local: Field, picks: Vec<Pick>) -> Read {
    Read { via: Via::Key { local, remote: field("facility_id") }, ..all("Contract", picks) }
}

/// Rows that join rows are one statement too.
pub async fn rows_join_rows(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let siblings = contracts_of(field("facility_id"), vec![pick(Field::Id)]).sorted(vec![down(Field::Id)]);
        let contracts = all("Contract", vec![pick(field("supplier")), Pick::Read(Box::new(siblings))]);
        assert_eq!(
            ask(&stores, who, contracts).await,
            json!([
                [format!("{who} c1"), [["c2"], ["c1"]]],
                [format!("{who} c2"), [["c2"], ["c1"]]],
                [format!("{who} c3"), [["c3"]]],
            ])
        );
    }
}

async fn many(stores: &Stores, who: &str, read: Read, keys: &[Value]) -> serde_json::Value {
    let trace = Trace::keeping();
    let reader: &dyn Reader = if read.place == Place::Rows { &*stores.metadata } else { &*stores.graph };
    let read = guard::read(&principal(who), &ontology(), read).unwrap();
    let outcomes = reader.read_many(&read, keys, call(&trace)).await.unwrap();
    assert_eq!(trace.statements().len(), 1, "one statement for all keys");
    outcomes.iter().map(Value::to_json).collect()
}

/// One outcome per key in the order of the keys, also for those that match nothing and those that come twice.
pub async fn by_keys(stores: Stores) {
    fill(&stores).await;
    let keys = ["f2", "nobody", "f1", "f2"].map(Value::from);
    for who in TENANTS {
        let contracts = contracts_of(Field::Id, vec![pick(Field::Id), pick(field("supplier"))]);
        assert_eq!(
            many(&stores, who, contracts, &keys).await,
            json!([
                [["c3", format!("{who} c3")]],
                [],
                [["c1", format!("{who} c1")], ["c2", format!("{who} c2")]],
                [["c3", format!("{who} c3")]],
            ])
        );
        let facilities = Read {
            via: Via::Key { local: field("facility_id"), remote: Field::Id },
            ..all("Facility", vec![pick(field("name"))])
        };
        assert_eq!(
            many(&stores, who, facilities, &keys).await,
            json!([[[format!("{who} Bergen")]], [], [[format!("{who} Oslo")]], [[format!("{who} Bergen")]]])
        );
    }
    let none = contracts_of(Field::Id, vec![pick(Field::Id)]);
    assert_eq!(many(&stores, TENANTS[0], none, &[]).await, json!([]));
}

/// Limits, totals and figures are per key.
pub async fn by_keys_with_limits(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let mut contracts = contracts_of(Field::Id, vec![pick(Field::Id)]).sorted(vec![up(field("price?"))]).first(1);
        contracts.total = true;
        contracts.figures = vec![(quipu_schema::api::Figure::Sum, field("price?"))];
        assert_eq!(
            many(&stores, who, contracts, &["f1", "f2", "f3"].map(Value::from)).await,
            json!([[[["c2"]], 2, [150.5]], [[["c3"]], 1, [70.0]], [[], 0, [0]]])
        );
    }
}

fn relationships(picks: Vec<Pick>) -> Read {
    Read { place: Place::Relationships, ..all("Relationship", picks) }
}

/// A relationship as a record: its id, type, properties and both ends.
pub async fn relationships_as_records(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let end = |direction, of| Read {
            via: Via::Endpoint(direction),
            ..all(of, vec![pick(field("name")), pick(Field::Type)])
        };
        let read = relationships(vec![
            pick(Field::Id),
            pick(Field::Type),
            pick(Field::AllProperties),
            Pick::Read(Box::new(end(Direction::Out, "Facility"))),
            Pick::Read(Box::new(end(Direction::In, "Device"))),
        ])
        .filtered(Predicate::equals(Field::Type, Value::from("HAS_DEVICE")))
        .first(2);
        let one = |facility: &str, of: &str, device: &str, name: &str, since: &str, confidence: f64| {
            json!([
                format!("HAS_DEVICE:Facility:{facility}:Device:{device}:"),
                "HAS_DEVICE",
                {"since": since, "confidence": confidence},
                [[format!("{who} {of}"), "Facility"]],
                [[format!("{who} {name}"), "Device"]],
            ])
        };
        assert_eq!(
            ask(&stores, who, read).await,
            json!([
                one("f1", "Oslo", "d1", "Freezer", "2020-01-01", 0.9),
                one("f1", "Oslo", "d2", "Cooler", "2019-01-01", 0.5)
            ])
        );
    }
}

/// The id of a relationship leads back to it, whatever its parts are made of.
pub async fn relationships_by_id(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
        let odd = "a:b%3A'c\"";
        let ops = vec![
            put("Facility", odd, json!({"name": who, "region": "r"})),
            put("Device", odd, json!({"name": who, "status": "OK"})),
            put("Device", "a", json!({"name": who, "status": "OK"})),
            link_as("HAS_DEVICE", ("Facility", odd), ("Device", odd), "k:1", json!({"since": who})),
            link("HAS_DEVICE", ("Facility", odd), ("Device", "a"), json!({})),
        ];
        write(&stores, who, ops).await;
    }
    for who in TENANTS {
        let ids = ask(&stores, who, relationships(vec![pick(Field::Id)])).await;
        let ids: Vec<String> = serde_json::from_value::<Vec<Vec<String>>>(ids).unwrap().concat();
        assert_eq!(ids.len(), 2);
        for (id, properties) in ids.iter().zip([json!({"since": who}), json!({})]) {
            let read = relationships(vec![pick(Field::Id), pick(Field::AllProperties)])
                .filtered(Predicate::equals(Field::Id, Value::from(id.as_str())));
            assert_eq!(ask(&stores, who, read).await, json!([[id, properties]]));
        }
        for wrong in ["", "HAS_DEVICE", "HAS_DEVICE:Facility:a:Device:a:", "NO:Facility:a:Device:a:"] {
            let read = relationships(vec![pick(Field::Id)]).filtered(Predicate::equals(Field::Id, Value::from(wrong)));
            assert_eq!(ask(&stores, who, read).await, json!([]));
        }
        let second =
            Predicate::Compare { field: Field::Id, operator: Operator::Gt, value: Value::from(ids[0].as_str()) };
        assert_eq!(ask(&stores, who, relationships(vec![pick(Field::Id)]).filtered(second)).await, json!([[ids[1]]]));
    }
}

/// Parallel relationships of one type are told apart by their keys.
pub async fn parallel_relationships(stores: Stores) {
    fill(&stores).await;
    let (f1, d1) = (("Facility", "f1"), ("Device", "d1"));
    for who in TENANTS {
        let second = link_as("HAS_DEVICE", f1, d1, "second", json!({"since": "1999-01-01"}));
        write(&stores, who, vec![second]).await;
        let devices = || {
            along(
                "HAS_DEVICE",
                Direction::Out,
                "Device",
                vec![pick(Field::Id), pick(Field::EdgeKey), pick(edge("since"))],
            )
            .sorted(vec![up(Field::Id), up(Field::EdgeKey)])
            .first(2)
        };
        let facility = |devices| {
            all("Facility", vec![Pick::Read(Box::new(devices))])
                .filtered(Predicate::equals(Field::Id, Value::from("f1")))
        };
        assert_eq!(
            ask(&stores, who, facility(devices())).await,
            json!([[[["d1", "", "2020-01-01"], ["d1", "second", "1999-01-01"]]]])
        );
        let mut after = devices();
        after.window.after = Some(vec![Value::from("d1"), Value::from("")]);
        assert_eq!(
            ask(&stores, who, facility(after)).await,
            json!([[[["d1", "second", "1999-01-01"], ["d2", "", "2019-01-01"]]]])
        );
    }
}

/// What one tenant writes, the other never sees: not by id, along relationships, by join or in counts.
pub async fn tenants_do_not_mix(stores: Stores) {
    fill(&stores).await;
    let more = vec![
        put("Facility", "only-alpha", json!({"name": "alpha Zagreb", "region": "east"})),
        put("Contract", "c9", json!({"supplier": "alpha c9", "facility_id": "f2"})),
        link("HAS_DEVICE", ("Facility", "f4"), ("Device", "d6"), json!({})),
    ];
    write(&stores, "alpha", more).await;
    let mut counted = all("Facility", vec![]);
    counted.rows = false;
    counted.total = true;
    assert_eq!(ask(&stores, "alpha", counted.clone()).await, json!([null, 5, null]));
    assert_eq!(ask(&stores, "beta", counted).await, json!([null, 4, null]));
    let by_id =
        all("Facility", vec![pick(field("name"))]).filtered(Predicate::equals(Field::Id, Value::from("only-alpha")));
    assert_eq!(ask(&stores, "alpha", by_id.clone()).await, json!([["alpha Zagreb"]]));
    assert_eq!(ask(&stores, "beta", by_id).await, json!([]));
    let devices = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id)]);
    let walked =
        all("Facility", vec![Pick::Read(Box::new(devices))]).filtered(Predicate::equals(Field::Id, Value::from("f4")));
    assert_eq!(ask(&stores, "alpha", walked.clone()).await, json!([[[["d6"]]]]));
    assert_eq!(ask(&stores, "beta", walked).await, json!([[[]]]));
    let joined = || contracts_of(Field::Id, vec![pick(Field::Id)]);
    assert_eq!(many(&stores, "alpha", joined(), &[Value::from("f2")]).await, json!([[["c3"], ["c9"]]]));
    assert_eq!(many(&stores, "beta", joined(), &[Value::from("f2")]).await, json!([[["c3"]]]));
}

/// A deadline that has passed is a fault, and the next reader gets its answer.
pub async fn late_is_a_fault(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let read = guard::read(&principal(who), &ontology(), all("Facility", vec![pick(Field::Id)])).unwrap();
        let trace = Trace::default();
        let late = Call { deadline: Instant::now() - Duration::from_millis(1), trace: &trace };
        for _ in 0..50 {
            assert_eq!(stores.graph.read(&read, late).await.unwrap_err().code(), Code::Timeout);
        }
        let outcome = stores.graph.read(&read, call(&trace)).await.unwrap();
        assert_eq!(outcome.to_json(), json!([["f1"], ["f2"], ["f3"], ["f4"]]));
        assert!(trace.count(StoreName::Graph) >= 1);
    }
}
