//! Changes: what is accepted, what is refused, and what the graph holds afterwards.

use quipu_resolvers::change::{Change, Effect, EffectKind, Entry, Mode, Op};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::ports::{Applied, Terms};
use quipu_resolvers::read::{Field, Pick, Predicate};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Direction;
use serde_json::{Value as Json, json};

use super::Stores;
use super::fixture::*;

pub(super) fn created(of: &str, id: &str) -> Effect {
    Effect { record: record(of, id), event: EffectKind::Created, version: 1 }
}

pub(super) fn updated(of: &str, id: &str, version: u64) -> Effect {
    Effect { record: record(of, id), event: EffectKind::Updated, version }
}

pub(super) fn facility(id: &str, name: &str) -> Op {
    put("Facility", id, json!({"name": name, "region": "r"}))
}

pub(super) async fn log(stores: &Stores, who: &str) -> Vec<Entry> {
    stores.metadata.log(&tenant(who), 0, 1_000).await.unwrap()
}

pub(super) async fn names(stores: &Stores, who: &str) -> Json {
    ask(stores, who, all("Facility", vec![pick(Field::Id), pick(field("name"))])).await
}

pub(super) fn refused<T: std::fmt::Debug>(outcome: Result<T, Fault>) -> (Code, String) {
    match outcome.unwrap_err() {
        Fault::Client(fault) => (fault.code, fault.message),
        internal => panic!("{internal}"),
    }
}

pub async fn cleared_and_applied_anew(stores: Stores) {
    fill(&stores).await;
    let devices = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id), pick(edge("since"))]);
    let read = all("Facility", vec![pick(Field::Id), pick(field("name")), Pick::Read(Box::new(devices))]);
    let held = async |who| {
        let words = super::searches::found(&stores, who, "fish").await;
        (ask(&stores, who, read.clone()).await, words)
    };
    let (alpha, beta) = (held("alpha").await, held("beta").await);
    assert_ne!(alpha.0, json!([]));
    let standing = async |who| stores.graph.standing(&tenant(who)).await.unwrap();
    let before = standing("alpha").await;
    assert_eq!((before.position, before.leaving), (stores.graph.position(&tenant("alpha")).await.unwrap(), false));
    let beside = standing("beta").await;
    stores.graph.clear(&tenant("alpha")).await.unwrap();
    let cleared = standing("alpha").await;
    assert!(cleared.position == 0 && !cleared.leaving && cleared.making > before.making, "{before:?} {cleared:?}");
    assert_eq!(standing("beta").await, beside);
    assert_eq!(stores.graph.position(&tenant("alpha")).await.unwrap(), 0);
    assert_eq!(held("alpha").await, (json!([]), Vec::new()));
    assert_eq!(held("beta").await, beta, "the other tenant's graph stays");
    follow(&stores, "alpha").await;
    assert_eq!(held("alpha").await, alpha);
    assert_eq!(standing("alpha").await, quipu_resolvers::ports::Standing { making: cleared.making, ..before });
    stores.graph.clear(&tenant("nobody")).await.unwrap();
}

pub async fn accepted_and_applied(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
        let accepted = accept(&stores, who, vec![facility("f1", who), facility("f2", who), facility("f1", "again")])
            .await
            .unwrap();
        assert_eq!((accepted.seq, accepted.replayed), (1, false));
        assert_eq!(accepted.effects, [created("Facility", "f1"), created("Facility", "f2")]);
        assert_eq!(names(&stores, who).await, json!([]), "the graph follows the log");
        assert_eq!(stores.graph.position(&tenant(who)).await.unwrap(), 0);
        follow(&stores, who).await;
        assert_eq!(stores.graph.position(&tenant(who)).await.unwrap(), 1);
        assert_eq!(names(&stores, who).await, json!([["f1", "again"], ["f2", who]]));
        let accepted =
            write(&stores, who, vec![facility("f2", "new"), delete("Facility", "f1"), delete("Facility", "f9")]).await;
        let gone = Effect { record: record("Facility", "f1"), event: EffectKind::Deleted, version: 2 };
        assert_eq!((accepted.seq, accepted.effects.clone()), (2, vec![updated("Facility", "f2", 2), gone]));
        assert_eq!(names(&stores, who).await, json!([["f2", "new"]]));
        let entries = log(&stores, who).await;
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((entries[1].at.as_str(), entries[1].actor.as_deref()), (AT, Some("ann")));
        assert_eq!(entries[1].effects, accepted.effects);
        assert_eq!(stores.metadata.head(&tenant(who)).await.unwrap(), 2);
    }
}

pub async fn applied_twice_is_once(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let (f4, d6) = (("Facility", "f4"), ("Device", "d6"));
        accept(&stores, who, vec![link("HAS_DEVICE", f4, d6, json!({})), delete("Device", "d1")]).await.unwrap();
        accept(&stores, who, vec![unlink("HAS_DEVICE", f4, d6, None), facility("f5", "five")]).await.unwrap();
        let entries = log(&stores, who).await;
        let both = Applied { relationships_created: 1, relationships_deleted: 3 };
        assert_eq!(stores.graph.apply(&tenant(who), &entries[..2]).await.unwrap(), both);
        let last = Applied { relationships_created: 0, relationships_deleted: 1 };
        assert_eq!(stores.graph.apply(&tenant(who), &entries).await.unwrap(), last, "the first two are passed over");
        let before = names(&stores, who).await;
        for again in [&entries[..], &entries[1..], &entries[..0]] {
            assert_eq!(stores.graph.apply(&tenant(who), again).await.unwrap(), Applied::default());
        }
        assert_eq!(names(&stores, who).await, before);
        assert_eq!(stores.graph.position(&tenant(who)).await.unwrap(), 3);
    }
}

pub async fn a_gap_is_refused(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
        for index in 0..3 {
            accept(&stores, who, vec![facility(&format!("f{index}"), who)]).await.unwrap();
        }
        let entries = log(&stores, who).await;
        assert_eq!(stores.graph.apply(&tenant(who), &entries[1..]).await.unwrap_err().code(), Code::Internal);
        assert_eq!(stores.graph.position(&tenant(who)).await.unwrap(), 0);
        assert_eq!(names(&stores, who).await, json!([]));
    }
}

pub async fn refusals_name_what_they_refuse(stores: Stores) {
    let orphan = || vec![facility("f1", "x")];
    assert_eq!(refused(accept(&stores, "alpha", orphan()).await).0, Code::NotFound, "no tenant yet");
    fill(&stores).await;
    for who in TENANTS {
        let set = || json!({"name": "x", "region": "r"});
        for (op, code, message) in [
            (put_as(Mode::Create, "Facility", "f1", set()), Code::Conflict, "Facility \"f1\" exists already"),
            (put_as(Mode::Update, "Facility", "f9", set()), Code::NotFound, "Facility \"f9\" does not exist"),
            (put_as(Mode::Create, "Contract", "c1", json!({})), Code::Conflict, "Contract \"c1\" exists already"),
            (
                link("HAS_DEVICE", ("Facility", "f1"), ("Device", "d9"), json!({})),
                Code::NotFound,
                "HAS_DEVICE needs Device \"d9\", which does not exist",
            ),
            (
                link("HAS_DEVICE", ("Facility", "f9"), ("Device", "d1"), json!({})),
                Code::NotFound,
                "HAS_DEVICE needs Facility \"f9\", which does not exist",
            ),
            (put("Facility", "f2", json!({"code": "A"})), Code::Conflict, "Facility \"f2\": code \"A\" is taken"),
        ] {
            assert_eq!(refused(accept(&stores, who, vec![op]).await), (code, message.to_owned()));
        }
    }
}

pub async fn a_refused_change_leaves_nothing(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let ops = vec![
            put("Contract", "c7", json!({"supplier": "s", "facility_id": "f1"})),
            facility("f7", "seven"),
            put("Facility", "f8", json!({"name": "n", "region": "r", "code": "fresh"})),
            link("HAS_DEVICE", ("Facility", "f7"), ("Device", "nowhere"), json!({})),
        ];
        assert_eq!(refused(accept_under(&stores, who, ops, Some("key")).await).0, Code::NotFound);
        assert_eq!(stores.metadata.head(&tenant(who)).await.unwrap(), 1);
        let rows = ask(&stores, who, all("Contract", vec![pick(Field::Id)])).await;
        assert_eq!(rows, json!([["c1"], ["c2"], ["c3"]]));
        // Neither the records, nor the unique value, nor the idempotency key are known.
        let ops = vec![put_as(Mode::Create, "Facility", "f7", json!({"name": "n", "region": "r", "code": "fresh"}))];
        assert_eq!(accept_under(&stores, who, ops, Some("key")).await.unwrap().seq, 2);
    }
}

/// Each operation sees what those before it did.
pub async fn judged_in_order(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
        let (f1, d1) = (("Facility", "f1"), ("Device", "d1"));
        let device = || put("Device", "d1", json!({"name": "d", "status": "OK"}));
        let early = vec![link("HAS_DEVICE", f1, d1, json!({})), facility("f1", who), device()];
        assert_eq!(refused(accept(&stores, who, early).await).0, Code::NotFound);
        let gone = vec![facility("f1", who), device(), delete("Device", "d1"), link("HAS_DEVICE", f1, d1, json!({}))];
        assert_eq!(refused(accept(&stores, who, gone).await).0, Code::NotFound);
        let twice = vec![
            put_as(Mode::Create, "Facility", "f1", json!({"name": "a", "region": "r"})),
            put_as(Mode::Create, "Facility", "f1", json!({"name": "b", "region": "r"})),
        ];
        assert_eq!(refused(accept(&stores, who, twice).await).0, Code::Conflict);
        let fine = vec![
            put_as(Mode::Create, "Facility", "f1", json!({"name": "a", "region": "r"})),
            put_as(Mode::Update, "Facility", "f1", json!({"name": "b"})),
            put_as(Mode::Create, "Device", "d1", json!({"name": "d", "status": "OK"})),
            link("HAS_DEVICE", f1, d1, json!({"since": "2020"})),
            link("HAS_DEVICE", f1, d1, json!({"confidence": 1.0})),
            put_as(Mode::Create, "Device", "d2", json!({"name": "d", "status": "OK"})),
            delete("Device", "d2"),
        ];
        let accepted = write(&stores, who, fine).await;
        assert_eq!(accepted.effects, [created("Facility", "f1"), created("Device", "d1")]);
        let devices = along(
            "HAS_DEVICE",
            Direction::Out,
            "Device",
            vec![pick(Field::Id), pick(edge("since")), pick(edge("confidence"))],
        );
        let read = all("Facility", vec![pick(field("name")), Pick::Read(Box::new(devices))]);
        assert_eq!(ask(&stores, who, read).await, json!([["b", [["d1", "2020", 1.0]]]]));
        assert_eq!(ask(&stores, who, all("Device", vec![pick(Field::Id)])).await, json!([["d1"]]));
    }
}

fn coded(id: &str, code: Json) -> Op {
    put("Facility", id, json!({"name": id, "region": "r", "code": code}))
}

pub async fn unique_values(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
        write(&stores, who, vec![coded("f1", json!("A")), coded("f2", json!("B"))]).await;
        let (code, message) = refused(accept(&stores, who, vec![coded("f3", json!("A"))]).await);
        assert_eq!((code, message.as_str()), (Code::Conflict, "Facility \"f3\": code \"A\" is taken"));
        let both = vec![coded("f3", json!("C")), coded("f4", json!("C"))];
        assert_eq!(refused(accept(&stores, who, both).await).0, Code::Conflict);
        write(&stores, who, vec![coded("f1", json!("A"))]).await;
        write(&stores, who, vec![coded("f3", json!(null)), coded("f4", json!(null))]).await;
    }
}

/// A value that was given up, by a change, a null or a deletion, can be taken.
pub async fn unique_values_move(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
        write(&stores, who, vec![coded("f1", json!("A")), coded("f2", json!("B")), coded("f3", json!("C"))]).await;
        write(&stores, who, vec![coded("f1", json!("A2")), coded("f4", json!("A"))]).await;
        write(&stores, who, vec![coded("f2", json!(null))]).await;
        write(&stores, who, vec![coded("f5", json!("B"))]).await;
        write(&stores, who, vec![delete("Facility", "f3"), coded("f6", json!("C"))]).await;
        for taken in ["A", "A2", "B", "C"] {
            assert_eq!(
                refused(accept(&stores, who, vec![coded("f9", json!(taken))]).await).0,
                Code::Conflict,
                "{taken}"
            );
        }
        write(&stores, who, vec![coded("f1", json!("other")), coded("f9", json!("A2"))]).await;
    }
}

pub async fn idempotency_keys(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let ops = || vec![facility("f7", "seven"), delete("Facility", "f1")];
        let first = accept_under(&stores, who, ops(), Some("once")).await.unwrap();
        assert_eq!((first.seq, first.replayed), (2, false));
        write(&stores, who, vec![facility("f7", "changed since")]).await;
        let again = accept_under(&stores, who, ops(), Some("once")).await.unwrap();
        assert_eq!((again.seq, again.replayed, &again.effects), (2, true, &first.effects));
        let other = accept_under(&stores, who, vec![facility("f8", "eight")], Some("once")).await;
        assert_eq!(refused(other).0, Code::IdempotencyKeyReused);
        assert_eq!(stores.metadata.head(&tenant(who)).await.unwrap(), 3, "nothing was written again");
        let nothing = accept_under(&stores, who, vec![delete("Facility", "f99")], Some("nothing")).await.unwrap();
        assert_eq!((nothing.seq, nothing.replayed), (3, false));
        write(&stores, who, vec![facility("f8", "eight")]).await;
        let nothing = accept_under(&stores, who, vec![delete("Facility", "f99")], Some("nothing")).await.unwrap();
        assert_eq!((nothing.seq, nothing.replayed), (3, true));
    }
}

/// Importing the same records again writes no entry; the answer has the position of the head.
pub async fn the_same_again_changes_nothing(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let again = accept(&stores, who, world(who)).await.unwrap();
        assert_eq!((again.seq, again.effects.len(), again.replayed), (1, 0, false));
        assert_eq!(stores.metadata.head(&tenant(who)).await.unwrap(), 1);
        let absent = vec![
            put("Facility", "f1", json!({"note": null})),
            delete("Alert", "a99"),
            unlink("RAISED", ("Device", "d1"), ("Alert", "a3"), None),
        ];
        assert_eq!(accept(&stores, who, absent).await.unwrap().seq, 1);
    }
}

/// Where only what is new is wanted, what is there is left as it is, and the log has nothing of it.
pub async fn only_what_is_new(stores: Stores) {
    publish(&stores, "alpha").await;
    let installed = |slot: &str| link("HAS_DEVICE", ("Facility", "f1"), ("Device", "d1"), json!({"slot": slot}));
    let device = put("Device", "d1", json!({"name": "n", "status": "OK"}));
    write(&stores, "alpha", vec![facility("f1", "one"), device, installed("a")]).await;
    let new = || Terms { only_new: true, ..Terms::default() };
    let ops = vec![facility("f1", "other"), facility("f2", "two"), installed("b")];
    let accepted = accept_on(&stores, "alpha", ops.clone(), new()).await.unwrap();
    assert_eq!((accepted.seq, accepted.effects), (2, vec![created("Facility", "f2")]));
    assert_eq!(log(&stores, "alpha").await[1].change.ops, [facility("f2", "two")]);
    let again = accept_on(&stores, "alpha", ops, new()).await.unwrap();
    assert_eq!((again.seq, again.appended), (2, false));
    follow(&stores, "alpha").await;
    assert_eq!(names(&stores, "alpha").await, json!([["f1", "one"], ["f2", "two"]]));
}

pub async fn only_differences_are_logged(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let mut ops = world(who);
        ops.push(put("Facility", "f4", json!({"name": format!("{who} Porto"), "summary": "other", "code": "Z"})));
        ops.push(link(
            "HAS_DEVICE",
            ("Facility", "f1"),
            ("Device", "d1"),
            json!({"since": "2020-01-01", "confidence": 0.95}),
        ));
        let accepted = write(&stores, who, ops).await;
        assert_eq!(accepted.effects, [updated("Facility", "f4", 2)]);
        let entry = log(&stores, who).await.pop().unwrap();
        let expected = Change {
            ops: vec![
                put("Facility", "f4", json!({"summary": "other", "code": "Z"})),
                link("HAS_DEVICE", ("Facility", "f1"), ("Device", "d1"), json!({"confidence": 0.95})),
            ],
        };
        assert_eq!(entry.change, expected);
    }
}

pub async fn properties_merge_and_vanish(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let set = json!({"grade": null, "region": "west", "extra": {"only": {"this": null}}, "tags": ["t"]});
        write(&stores, who, vec![put("Facility", "f3", set.clone()), put("Facility", "f1", set)]).await;
        let picks = ["name", "region", "grade?", "tags?", "extra?"].map(|name| pick(field(name)));
        let read = all("Facility", picks.to_vec())
            .filtered(Predicate::one_of(Field::Id, vec![Value::from("f1"), Value::from("f3")]));
        let rest = json!({"only": {"this": null}});
        assert_eq!(
            ask(&stores, who, read).await,
            json!([
                [format!("{who} Oslo"), "west", null, ["t"], rest],
                [format!("{who} Athens"), "west", null, ["t"], rest]
            ])
        );
        let set = json!({"price": null, "supplier": "new"});
        write(&stores, who, vec![put("Contract", "c1", set)]).await;
        let picks = ["supplier", "facility_id", "price?"].map(|name| pick(field(name)));
        assert_eq!(ask(&stores, who, all("Contract", picks.to_vec()).first(1)).await, json!([["new", "f1", null]]));
    }
}

pub async fn relationships_merge_and_vanish(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let (f1, d1, d2) = (("Facility", "f1"), ("Device", "d1"), ("Device", "d2"));
        let ops = vec![
            link("HAS_DEVICE", f1, d1, json!({"confidence": null, "note": "n"})),
            link_as("HAS_DEVICE", f1, d2, "a", json!({})),
            link_as("HAS_DEVICE", f1, d2, "b", json!({})),
        ];
        write(&stores, who, ops).await;
        let devices = || {
            let picks = vec![
                pick(Field::Id),
                pick(Field::EdgeKey),
                pick(edge("since?")),
                pick(edge("confidence?")),
                pick(edge("note?")),
            ];
            let devices =
                along("HAS_DEVICE", Direction::Out, "Device", picks).sorted(vec![up(Field::Id), up(Field::EdgeKey)]);
            all("Facility", vec![Pick::Read(Box::new(devices))]).first(1)
        };
        let (first, plain, last) = (
            json!(["d1", "", "2020-01-01", null, "n"]),
            json!(["d2", "", "2019-01-01", 0.5, null]),
            json!(["d3", "", "2021-01-01", 0.7, null]),
        );
        assert_eq!(
            ask(&stores, who, devices()).await,
            json!([[[first, plain, ["d2", "a", null, null, null], ["d2", "b", null, null, null], last]]])
        );
        write(
            &stores,
            who,
            vec![unlink("HAS_DEVICE", f1, d2, Some("a")), unlink("HAS_DEVICE", f1, d2, Some("nothing"))],
        )
        .await;
        assert_eq!(ask(&stores, who, devices()).await, json!([[[first, plain, ["d2", "b", null, null, null], last]]]));
        write(&stores, who, vec![unlink("HAS_DEVICE", f1, d2, None)]).await;
        assert_eq!(ask(&stores, who, devices()).await, json!([[[first, last]]]));
        // Gone and made again within one change: nothing of the old one is left.
        let ops = vec![unlink("HAS_DEVICE", f1, d1, None), link("HAS_DEVICE", f1, d1, json!({"note": "m"}))];
        write(&stores, who, ops).await;
        assert_eq!(ask(&stores, who, devices()).await, json!([[[["d1", "", null, null, "m"], last]]]));
    }
}

pub async fn a_node_takes_its_relationships(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        accept(&stores, who, vec![delete("Device", "d1")]).await.unwrap();
        let entries = stores.metadata.log(&tenant(who), 1, 10).await.unwrap();
        let applied = stores.graph.apply(&tenant(who), &entries).await.unwrap();
        assert_eq!(applied, Applied { relationships_created: 0, relationships_deleted: 3 });
        let devices = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id)]);
        let read = all("Facility", vec![Pick::Read(Box::new(devices))]).first(1);
        assert_eq!(ask(&stores, who, read).await, json!([[[["d2"], ["d3"]]]]));
        let raised = along("RAISED", Direction::In, "Device", vec![pick(Field::Id)]);
        let read = all("Alert", vec![Pick::Read(Box::new(raised))]).first(2);
        assert_eq!(ask(&stores, who, read).await, json!([[[]], [[]]]));
        let again = link("HAS_DEVICE", ("Facility", "f1"), ("Device", "d1"), json!({}));
        assert_eq!(refused(accept(&stores, who, vec![again]).await).0, Code::NotFound);
    }
}

/// A record that is removed and made again has nothing of the old one: no properties, no relationships.
pub async fn removed_and_made_again(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        let device = || put("Device", "d1", json!({"name": "new", "status": "OK"}));
        let has = || link("HAS_DEVICE", ("Facility", "f1"), ("Device", "d1"), json!({"since": "2020-01-01"}));
        let read = || {
            let up = along(
                "HAS_DEVICE",
                Direction::In,
                "Facility",
                vec![pick(Field::Id), pick(edge("since")), pick(edge("confidence?"))],
            );
            all("Device", vec![pick(field("name")), Pick::Read(Box::new(up))]).first(1)
        };
        let accepted = write(&stores, who, vec![delete("Device", "d1"), device()]).await;
        assert_eq!(accepted.effects, [updated("Device", "d1", 2)]);
        assert_eq!(ask(&stores, who, read()).await, json!([["new", []]]));
        write(&stores, who, vec![has()]).await;
        assert_eq!(ask(&stores, who, read()).await, json!([["new", [["f1", "2020-01-01", null]]]]));
        write(&stores, who, vec![delete("Device", "d1")]).await;
        let accepted = write(&stores, who, vec![device(), has()]).await;
        assert_eq!(accepted.effects, [created("Device", "d1")]);
        assert_eq!(ask(&stores, who, read()).await, json!([["new", [["f1", "2020-01-01", null]]]]));
        let sent = vec![delete("Contract", "c1"), put("Contract", "c1", json!({"supplier": "s", "facility_id": "f1"}))];
        write(&stores, who, sent).await;
        let rows = all("Contract", vec![pick(field("supplier")), pick(field("price?"))]).first(1);
        assert_eq!(ask(&stores, who, rows).await, json!([["s", null]]));
    }
}

/// Rows are written in the transaction that accepts them.
pub async fn rows_are_there_at_once(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
        let row = |id: &str| put("Contract", id, json!({"supplier": who, "facility_id": "f1"}));
        let accepted = accept(&stores, who, vec![row("c1"), row("c2")]).await.unwrap();
        assert_eq!(accepted.effects, [created("Contract", "c1"), created("Contract", "c2")]);
        let read = || all("Contract", vec![pick(Field::Id), pick(field("supplier"))]);
        assert_eq!(ask(&stores, who, read()).await, json!([["c1", who], ["c2", who]]));
        accept(&stores, who, vec![delete("Contract", "c1")]).await.unwrap();
        assert_eq!(ask(&stores, who, read()).await, json!([["c2", who]]));
        follow(&stores, who).await;
    }
}
