//! Subscriptions: events read again with the subscriber's own rights.

use std::time::Duration;

use futures_util::StreamExt;
use quipu_resolvers::Answer;
use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin, principal};

type Events = futures_util::stream::BoxStream<'static, Answer>;

async fn next(stream: &mut Events) -> Option<Json> {
    let answer = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.expect("an event or the end")?;
    Some(serde_json::from_slice(&answer.body).unwrap())
}

/// Whether nothing comes for as long as a stream needs to begin, and an event to arrive.
async fn quiet(stream: &mut Events) -> bool {
    tokio::time::timeout(Duration::from_secs(1), stream.next()).await.is_err()
}

#[tokio::test]
async fn changes_come_in_order_and_only_to_those_who_may_see_the_record() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let query = "subscription { changes(types: [DEVICE, CONTRACT]) { seq operation type id node { id ... on Device { battery facility { name } } } } }"
            .replace("DEVICE", "Device")
            .replace("CONTRACT", "Contract");
        let eu = principal(tenant, json!({"regions": ["EU"]}));
        let mut all = world.watch(&admin(tenant), &query);
        let mut some = world.watch(&eu, &query);
        let mut typed = world.watch(
            &admin(tenant),
            "subscription { deviceUpdated(where: {battery: {lt: 50}}) { operation id node { battery } } }",
        );
        // A stream begins when it is first asked.
        for stream in [&mut all, &mut some, &mut typed] {
            assert!(quiet(stream).await);
        }
        for change in [
            r#"mutation { updateDevices(where: {id: {eq: "d4"}}, update: {battery: {set: 60}}) { info { nodesCreated } } }"#,
            r#"mutation { updateAlerts(where: {id: {eq: "a1"}}, update: {severity: {set: 1}}) { info { nodesCreated } } }"#,
            r#"mutation { updateDevices(where: {id: {eq: "d1"}}, update: {battery: {set: 30}}) { info { nodesCreated } } }"#,
            r#"mutation { createContracts(input: [{id: "c7", supplier: "New", facility_id: "f1"}]) { info { nodesCreated } } }"#,
            r#"mutation { deleteDevices(where: {id: {eq: "d2"}}) { nodesDeleted } }"#,
        ] {
            world.data(&admin(tenant), change).await;
        }
        let told = |event: &Json| {
            let change = &event["data"]["changes"];
            json!([change["operation"], change["type"], change["id"], change["node"]])
        };
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(told(&next(&mut all).await.expect("an event")));
        }
        assert_eq!(
            json!(seen),
            json!([
                ["UPDATED", "Device", "d4", {"id": "d4", "battery": 60, "facility": {"name": "South"}}],
                ["UPDATED", "Device", "d1", {"id": "d1", "battery": 30, "facility": {"name": "North"}}],
                ["CREATED", "Contract", "c7", null],
                ["DELETED", "Device", "d2", null],
            ])
        );
        let eu_sees = [next(&mut some).await, next(&mut some).await];
        assert_eq!(
            eu_sees[0].as_ref().map(|e| told(e)[2].clone()),
            Some(json!("d1")),
            "not the device of the other region"
        );
        assert_eq!(eu_sees[1].as_ref().map(|e| told(e)[2].clone()), Some(json!("c7")));
        assert!(quiet(&mut some).await, "nor the deletion of a record that a rule might have hidden");
        assert_eq!(
            next(&mut typed).await.unwrap()["data"]["deviceUpdated"],
            json!({"operation": "UPDATED", "id": "d1", "node": {"battery": 30}})
        );
    }
}

/// An event is read again for each subscriber when it is told, by the rules and the records of that moment.
#[tokio::test]
async fn hostile_37_a_permission_that_is_gone_suppresses_the_next_event() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let eu = principal(tenant, json!({"regions": ["EU"]}));
        let mut stream = world.watch(&eu, "subscription { deviceUpdated { id node { battery } } }");
        assert!(quiet(&mut stream).await);
        let battery = async |value: u32| {
            let update = format!("where: {{id: {{eq: \"d1\"}}}}, update: {{battery: {{set: {value}}}}}");
            world
                .data(&admin(tenant), &format!("mutation {{ updateDevices({update}) {{ info {{ nodesCreated }} }} }}"))
                .await;
        };
        let region = async |name: &str| {
            let update = format!("where: {{id: {{eq: \"f1\"}}}}, update: {{region: {{set: \"{name}\"}}}}");
            world
                .data(
                    &admin(tenant),
                    &format!("mutation {{ updateFacilities({update}) {{ info {{ nodesCreated }} }} }}"),
                )
                .await;
        };
        let told = |value: u32| json!({"deviceUpdated": {"id": "d1", "node": {"battery": value}}});
        battery(31).await;
        assert_eq!(next(&mut stream).await.unwrap()["data"], told(31));
        region("US").await;
        battery(32).await;
        assert!(quiet(&mut stream).await, "it is in another region now");
        region("EU").await;
        battery(33).await;
        assert_eq!(next(&mut stream).await.unwrap()["data"], told(33), "and the stream lives");
    }
}

/// Of what is gone only the id is left, so nothing else can be asked for, and no rule can be checked.
#[tokio::test]
async fn deletions_are_told_by_id_to_those_who_see_the_whole_type() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let query =
            "subscription { deviceDeleted(where: {NOT: {id: {in: [\"d1\", \"d3\"]}}}) { operation id node { id } } }";
        let mut all = world.watch(&admin(tenant), query);
        let mut some = world.watch(&principal(tenant, json!({"regions": ["EU", "US"]})), query);
        for stream in [&mut all, &mut some] {
            assert!(quiet(stream).await);
        }
        for id in ["d1", "d2", "d3", "d4"] {
            let change = format!("mutation {{ deleteDevices(where: {{id: {{eq: \"{id}\"}}}}) {{ nodesDeleted }} }}");
            world.data(&admin(tenant), &change).await;
        }
        for id in ["d2", "d4"] {
            let told = next(&mut all).await.expect("an event")["data"]["deviceDeleted"].clone();
            assert_eq!(told, json!({"operation": "DELETED", "id": id, "node": null}));
        }
        assert!(quiet(&mut all).await);
        assert!(quiet(&mut some).await, "also where every record is visible by chance");
    }
}

#[tokio::test]
async fn a_stream_resumes_after_a_position() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let mut stream = world
            .watch(&admin(tenant), "subscription { changes(types: [Contract], since: \"0\") { seq id operation } }");
        let mut ids = Vec::new();
        let mut last = String::new();
        for _ in 0..3 {
            let event = next(&mut stream).await.expect("an event")["data"]["changes"].clone();
            assert_eq!(event["operation"], "CREATED");
            ids.push(event["id"].as_str().unwrap().to_owned());
            last = event["seq"].as_str().unwrap().to_owned();
        }
        assert_eq!(ids, ["c1", "c2", "c3"]);
        let query = format!("subscription {{ changes(types: [Contract], since: \"{last}\") {{ id }} }}");
        let mut after = world.watch(&admin(tenant), &query);
        assert!(quiet(&mut after).await);
    }
}

#[tokio::test]
async fn a_wrong_subscription_ends_with_its_error() {
    let world = World::empty().await;
    for (query, code) in [
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { changes(since: \"x\") { seq } }", "BAD_USER_INPUT"),
        ("subscription { deviceDeleted(where: {battery: {lt: 50}}) { id } }", "BAD_USER_INPUT"),
        (
            "subscription { deviceDeleted(where: {OR: [{id: {eq: \"d1\"}}, {facility: {id: {eq: \"f1\"}}}]}) { id } }",
            "BAD_USER_INPUT",
        ),
    ] {
        let mut stream = world.watch(&admin("alpha"), query);
        assert_eq!(next(&mut stream).await.unwrap()["errors"][0]["extensions"]["code"], code);
        assert_eq!(next(&mut stream).await, None);
    }
}
