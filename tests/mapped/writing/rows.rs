//! Rows made, changed and removed: what the database says afterwards, what the API reads back, and what the log tells.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use quipu::ingest::compare::Sum;
use quipu_resolvers::Answer;
use quipu_resolvers::guard::TenantId;
use serde_json::{Value as Json, json};

use super::{Shop, done, head};
use crate::spec::world::{TENANTS, admin, principal};

/// What the database sets is read back; what was given is there, in every sort of column.
#[tokio::test]
async fn rows_are_made_and_read_back() {
    let Some(mut shop) = Shop::till("mapped::writing::rows_are_made_and_read_back").await else { return };
    let world = shop.till_world().await;
    for who in TENANTS {
        let made = done(
            &world,
            who,
            &format!(
                "createClients(input: [{{ id: \"c1\", name: \"{who}\", mail: \"m\" }}, {{ id: \"c2\", name: \"b\", credit: 7, grade: 6 }}]) \
                 {{ info {{ nodesCreated relationshipsCreated }} clients {{ id name mail credit grade }} }}"
            ),
        )
        .await;
        let expected = json!({"info": {"nodesCreated": 2, "relationshipsCreated": 0}, "clients": [
            {"id": "c1", "name": who, "mail": "m", "credit": 10, "grade": null},
            {"id": "c2", "name": "b", "mail": null, "credit": 7, "grade": 6}]});
        assert_eq!(made, expected);
        let made = done(
            &world,
            who,
            "createSales(input: [{ code: \"one\", client_id: \"c1\", amount: 2.5, pieces: 3, key: \"0190a6b2-6f0e-7cc0-98a5-3a7d1f3c2b10\", \
             placedAt: \"2026-11-22T10:00:00.250+01:00\", tags: [\"a\", \"it's\"], extra: { deep: [1, null, { a: \"b\" }] }, \
             days: [\"2020-01-31\"], state: LOST }, { code: \"two\" }, { code: \"six\", amount: 4 }]) { info { nodesCreated } sales { id code state \
             amount pieces key total tags extra days changes client { name } } }",
        )
        .await;
        assert_eq!(made["info"]["nodesCreated"], 3);
        let mut sales = made["sales"].clone();
        let ids: Vec<i64> = sales
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .map(|sale| sale["id"].take().as_str().unwrap().parse().unwrap())
            .collect();
        assert!(
            ids[0] >= 500 && ids.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "in the order in which they were given: {ids:?}"
        );
        let nothing = json!({"id": null, "code": "two", "state": "OPEN", "amount": null, "pieces": null, "key": null, "total": null,
            "tags": null, "extra": null, "days": null, "changes": 1, "client": null});
        assert_eq!(sales[1], nothing);
        let all = json!({"id": null, "code": "one", "state": "LOST", "amount": 2.5, "pieces": 3, "key": "0190a6b2-6f0e-7cc0-98a5-3a7d1f3c2b10",
            "total": 7.5, "tags": ["a", "it's"], "extra": {"deep": [1, null, {"a": "b"}]}, "days": ["2020-01-31"], "changes": 1,
            "client": {"name": who}});
        assert_eq!(sales[0], all);
        let asked = "SELECT tenant, code, placed_at AT TIME ZONE 'UTC' AS at, extra FROM SCHEMA.\"Sales \"\"2026\"\"\"";
        let there = shop.look(&format!("{asked} WHERE code = 'one' AND tenant = '{who}'")).await;
        let row = json!([{"tenant": who, "code": "one", "at": "2026-11-22T09:00:00.25", "extra": {"deep": [1, null, {"a": "b"}]}}]);
        assert_eq!(there, row);
    }
    assert_eq!(
        shop.look("SELECT count(*) AS n FROM SCHEMA.log").await,
        json!([{"n": 6}]),
        "the trigger's log is the one beside its table"
    );
}

/// Updates by `where`, upserts, deletions; numbers added and lists made longer.
#[tokio::test]
async fn rows_are_changed_and_removed() {
    let Some(mut shop) = Shop::till("mapped::writing::rows_are_changed_and_removed").await else { return };
    let world = shop.till_world().await;
    for who in TENANTS {
        done(&world, who, "createClients(input: [{ id: \"c1\", name: \"a\" }, { id: \"c2\", name: \"b\" }, { id: \"c3\", name: \"c\" }]) { info { nodesCreated } }").await;
        done(&world, who, "createSales(input: [{ code: \"x\", client_id: \"c1\", pieces: 1, tags: [\"t\"] }, { code: \"y\", pieces: 50 }]) { info { nodesCreated } }").await;
    }
    let changed = done(
        &world,
        "alpha",
        "updateSales(where: { client: { name: { eq: \"a\" } } }, update: { pieces: { add: 4 }, tags: { push: [\"u\"] }, amount: { set: 2 }, \
         state: { set: SENT } }) { sales { code pieces tags amount total state changes } }",
    )
    .await;
    let expected = json!([{"code": "x", "pieces": 5, "tags": ["t", "u"], "amount": 2.0, "total": 10.0, "state": "SENT", "changes": 2}]);
    assert_eq!(changed["sales"], expected);
    let cleared = done(&world, "alpha", "updateSales(where: { code: { eq: \"x\" } }, update: { tags: { set: null }, client_id: { set: null } }) { sales { tags client { id } changes } }").await;
    assert_eq!(cleared["sales"], json!([{"tags": null, "client": null, "changes": 3}]));
    let both = done(
        &world,
        "alpha",
        "upsertClients(input: [{ id: \"c2\", name: \"new b\" }, { id: \"c9\", name: \"nine\", credit: 1 }]) { info { nodesCreated } clients { id name credit } }",
    )
    .await;
    assert_eq!(
        both,
        json!({"info": {"nodesCreated": 1}, "clients": [{"id": "c2", "name": "new b", "credit": 10}, {"id": "c9", "name": "nine", "credit": 1}]})
    );
    let none = done(
        &world,
        "alpha",
        "updateClients(where: { id: { eq: \"none\" } }, update: { name: { set: \"x\" } }) { clients { id } }",
    )
    .await;
    assert_eq!(none["clients"], json!([]));
    let gone =
        done(&world, "alpha", "deleteClients(where: { id: { in: [\"c1\", \"c3\", \"none\"] } }) { nodesDeleted }")
            .await;
    assert_eq!(gone, json!({"nodesDeleted": 2}));
    let left = shop.look("SELECT tenant, id, name FROM SCHEMA.clients ORDER BY tenant, id").await;
    let expected = json!([{"tenant": "alpha", "id": "c2", "name": "new b"}, {"tenant": "alpha", "id": "c9", "name": "nine"},
        {"tenant": "beta", "id": "c1", "name": "a"}, {"tenant": "beta", "id": "c2", "name": "b"}, {"tenant": "beta", "id": "c3", "name": "c"}]);
    assert_eq!(left, expected, "nothing of the other tenant's");
    let (data, _) = world.run(&admin("alpha"), "mutation { deleteSales { nodesDeleted } }", json!({})).await;
    assert_eq!(data["deleteSales"]["nodesDeleted"], 2);
    assert_eq!(
        shop.look("SELECT count(*) AS n FROM SCHEMA.\"Sales \"\"2026\"\"\" WHERE tenant = 'beta'").await,
        json!([{"n": 2}])
    );
}

/// However many rows there are, they are written by one statement for each set of columns.
#[tokio::test]
async fn many_rows_at_once() {
    let Some(mut shop) = Shop::till("mapped::writing::many_rows_at_once").await else { return };
    let world = shop.till_world().await;
    let input: Vec<Json> = (0..500).map(|n| json!({"code": format!("c{n}"), "pieces": n % 90})).collect();
    let text = "mutation M($input: [SaleCreateInput!]!) { createSales(input: $input) { info { nodesCreated } sales { code pieces } } }";
    let (data, errors) = world.run(&admin("alpha"), text, json!({ "input": input })).await;
    assert_eq!(errors, Json::Null);
    assert_eq!(data["createSales"]["sales"], json!(input), "each under its own id, in their order");
    let changed = done(
        &world,
        "alpha",
        "updateSales(where: { pieces: { lt: 45 } }, update: { pieces: { add: 1 } }) { sales { id } }",
    )
    .await;
    assert_eq!(changed["sales"].as_array().unwrap().len(), 270);
    let sum = (0..500).map(|n| n % 90).map(|n| if n < 45 { n + 1 } else { n }).sum::<i64>();
    assert_eq!(shop.look("SELECT sum(pieces) AS n FROM SCHEMA.\"Sales \"\"2026\"\"\"").await, json!([{ "n": sum }]));
}

/// One entry of the log for a change, which tells of the rows and keeps nothing of what is in them; the same key writes once.
#[tokio::test]
async fn the_log_tells_and_keys_hold() {
    let Some(mut shop) = Shop::till("mapped::writing::the_log_tells_and_keys_hold").await else { return };
    let world = shop.till_world().await;
    let mut changes = world.watch(
        &admin("alpha"),
        "subscription { changes(types: [Sale, Client], since: \"0\") { seq type id operation } }",
    );
    let create =
        "mutation { createSales(input: [{ code: \"secret code\" }]) { info { nodesCreated } sales { id code } } }";
    let mut answers = Vec::new();
    for _ in 0..3 {
        let body = world.keyed(&admin("alpha"), create, "key").await;
        assert_eq!(body["errors"], Json::Null, "{body}");
        answers.push(body["data"].clone());
    }
    assert_eq!((&answers[1], &answers[2]), (&answers[0], &answers[0]));
    let other = world.keyed(&admin("alpha"), &create.replace("secret", "other"), "key").await;
    assert_eq!(other["errors"][0]["extensions"]["code"], "IDEMPOTENCY_KEY_REUSED");
    let id = answers[0]["createSales"]["sales"][0]["id"].clone();
    assert_eq!(shop.look("SELECT count(*) AS n FROM SCHEMA.\"Sales \"\"2026\"\"\"").await, json!([{"n": 1}]));
    let told = async |changes: &mut BoxStream<'static, Answer>| -> Json {
        let answer = tokio::time::timeout(Duration::from_secs(60), changes.next()).await.expect("an event").unwrap();
        serde_json::from_slice::<Json>(&answer.body).unwrap()["data"]["changes"].clone()
    };
    let event = |seq: &str, operation: &str| json!({"seq": seq, "type": "Sale", "id": id, "operation": operation});
    assert_eq!(told(&mut changes).await, event("1", "CREATED"));
    done(&world, "alpha", "updateSales(update: { pieces: { set: 2 } }) { sales { id } }").await;
    assert_eq!(told(&mut changes).await, event("2", "UPDATED"));
    done(&world, "alpha", "deleteSales { nodesDeleted }").await;
    assert_eq!(told(&mut changes).await, event("3", "DELETED"));
    assert_eq!(head(&world, "alpha").await, 3);
    let tenant = TenantId::parse("alpha").unwrap();
    let log = world.ports().metadata.log(&tenant, 0, 100).await.unwrap();
    assert_eq!(log.len(), 3);
    assert!(
        log.iter().all(|entry| entry.change.ops.is_empty()
            && entry.effects.len() == 1
            && entry.actor.as_deref() == Some("ann")),
        "{log:?}"
    );
    assert!(!serde_json::to_string(&log).unwrap().contains("secret"), "{log:?}");
    // What others may change at any time is no difference between log and stores, and a graph made anew needs none of it.
    let ontology = &world.served(&tenant).unwrap().served().ontology;
    let outcome =
        Sum::of(world.ports(), &tenant).await.unwrap().compare(world.ports(), &tenant, ontology, true).await.unwrap();
    assert!(outcome.is_equal() && outcome.records == 0, "{outcome:?}");
    world.ports().graph.clear(&tenant).await.unwrap();
    world.engine.catch_up(&tenant).await.unwrap();
    assert_eq!(world.ports().graph.position(&tenant).await.unwrap(), 3);
}

/// Whoever watches a type is told of what is written through the API, with what they may see of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_told() {
    let Some(mut shop) = Shop::till("mapped::writing::what_is_written_is_told").await else { return };
    let world = shop.till_world().await;
    shop.run("INSERT INTO SCHEMA.clients VALUES ('alpha', 'c0', 'open by others', NULL, 1)").await;
    let somebody = principal("alpha", json!({"roles": []}));
    let mut made = world.watch(
        &somebody,
        "subscription { clientCreated(where: { credit: { lt: 5 } }) { operation node { name credit } } }",
    );
    let next = tokio::spawn(async move { made.next().await.unwrap() });
    // A stream begins when it is first asked; until then nobody is told.
    for n in 0.. {
        assert!(n < 2_000, "nothing was told");
        done(
            &world,
            "alpha",
            &format!(
                "createClients(input: [{{ id: \"h{n}\", name: \"hidden\", credit: 2 }}]) {{ info {{ nodesCreated }} }}"
            ),
        )
        .await;
        done(
            &world,
            "alpha",
            &format!(
                "createClients(input: [{{ id: \"o{n}\", name: \"open\", credit: 3 }}]) {{ info {{ nodesCreated }} }}"
            ),
        )
        .await;
        if next.is_finished() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let body: Json = serde_json::from_slice(&next.await.unwrap().body).unwrap();
    assert_eq!(
        body["data"]["clientCreated"],
        json!({"operation": "CREATED", "node": {"name": "open", "credit": 3}}),
        "{body}"
    );
}

/// Keys hold also when they come at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_at_once() {
    let Some(mut shop) = Shop::till("mapped::writing::the_same_key_at_once").await else { return };
    let world = shop.till_world().await;
    let create = "mutation { createStocks(input: [{ amount: 1 }]) { stocks { id } } }";
    let who = admin("beta");
    let answers = futures_util::future::join_all((0..8).map(|_| world.keyed(&who, create, "once"))).await;
    for answer in &answers {
        assert_eq!(answer["data"], answers[0]["data"], "{answer}");
        assert!(answer["data"]["createStocks"]["stocks"][0]["id"].is_string(), "{answer}");
    }
    assert_eq!(shop.look("SELECT tenant, amount FROM SCHEMA.stock").await, json!([{"tenant": "beta", "amount": 1}]));
    assert_eq!(head(&world, "beta").await, 1);
}

/// An id may be given where the database would make one, and is only left to it where it is left out.
#[tokio::test]
async fn ids_by_default() {
    let Some(shop) = Shop::till("mapped::writing::ids_by_default").await else { return };
    let world = shop.till_world().await;
    let id = super::super::uuid(7);
    let given = format!(
        "createStocks(input: [{{ id: \"{id}\", amount: 1 }}, {{ amount: 2 }}, {{ id: null, amount: 3 }}]) {{ stocks {{ id amount }} }}"
    );
    let made = done(&world, "alpha", &given).await;
    assert_eq!(made["stocks"][0], json!({"id": id, "amount": 1}));
    let amounts: Vec<&Json> = made["stocks"].as_array().unwrap().iter().map(|stock| &stock["amount"]).collect();
    assert_eq!(amounts, [1, 2, 3]);
    let again = done(
        &world,
        "alpha",
        &format!(
            "upsertStocks(input: [{{ id: \"{id}\", place: \"b\", amount: 9 }}]) {{ stocks {{ id amount place }} }}"
        ),
    )
    .await;
    assert_eq!(again["stocks"], json!([{"id": id, "amount": 9, "place": "b"}]));
}
