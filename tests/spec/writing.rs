//! Mutations: nested writes, refusals, idempotency.

use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin, principal};

#[tokio::test]
async fn nested_updates_create_connect_disconnect_update_and_delete() {
    let world = World::filled().await;
    let change = r#"mutation { updateFacilities(where: {id: {eq: "f1"}}, update: {
        capacity: {add: 5}, tags: {push: ["new"]}, summary: {set: null}, notes: {set: [1]}
        devices: [{
            disconnect: [{where: {node: {id: {eq: "d3"}}}}]
            update: {where: {node: {id: {eq: "d1"}}}, node: {name: {set: "First"}, battery: {subtract: 1}}, edge: {slot: {add: 40}}}
            delete: [{where: {edge: {slot: {eq: 1}}}}]
            connect: [{where: {node: {id: {eq: "d4"}}}, edge: {since: "2026-01-01T00:00:00Z"}}]
            create: [{node: {serial: "new", name: "New"}, edge: {since: "2026-02-01T00:00:00Z"}}]
        }] }) { info { nodesCreated nodesDeleted relationshipsCreated relationshipsDeleted } facilities { capacity tags summary notes
            devicesConnection(sort: [{node: {name: ASC}}]) { edges { properties { since slot } node { name battery status } } } } } }"#;
    for tenant in TENANTS {
        let who = admin(tenant);
        let data = world.data(&who, change).await["updateFacilities"].clone();
        assert_eq!(
            data["info"],
            json!({"nodesCreated": 1, "nodesDeleted": 1, "relationshipsCreated": 2, "relationshipsDeleted": 3})
        );
        let edge = |since: &str, slot: Json, name: &str, battery: Json| json!({"properties": {"since": since, "slot": slot}, "node": {"name": name, "battery": battery, "status": "OK"}});
        assert_eq!(
            data["facilities"],
            json!([{"capacity": 15, "tags": ["cold", "big", "new"], "summary": null, "notes": [1], "devicesConnection": {"edges": [
                edge("2026-01-01T00:00:00.000Z", Json::Null, "Delta", json!(70)),
                edge("2021-01-01T00:00:00.000Z", json!(42), "First", json!(89)),
                edge("2026-02-01T00:00:00.000Z", Json::Null, "New", Json::Null),
            ]}}])
        );
        // The alert of the deleted device is still there, and leads nowhere.
        assert_eq!(
            world.data(&who, "{ alert(id: \"a3\") { device { id } } devices { id } }").await["alert"],
            json!({"device": null})
        );
    }
}

#[tokio::test]
async fn upserts_make_and_change_and_rows_are_written_like_nodes() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let who = admin(tenant);
        let change = r#"mutation {
            upsertVehicles(input: [{id: "v2", wheels: 3}, {id: "v3", name: "Truck"}]) { info { nodesCreated } vehicles { id name wheels } }
            upsertContracts(input: [{id: "c1", price: 1}, {id: "c9", supplier: "Late", facility_id: "f4"}]) { contracts { id supplier price facility { name } } }
            updateContracts(where: {facility: {region: {eq: "US"}}}, update: {price: {set: 7.25}}) { contracts { id price } }
            deleteContracts(where: {id: {eq: "c2"}}) { nodesDeleted relationshipsDeleted }
        }"#;
        assert_eq!(
            world.data(&who, change).await,
            json!({
                "upsertVehicles": {"info": {"nodesCreated": 1}, "vehicles": [{"id": "v2", "name": "Bike", "wheels": 3}, {"id": "v3", "name": "Truck", "wheels": null}]},
                "upsertContracts": {"contracts": [{"id": "c1", "supplier": "Frost", "price": 1.0, "facility": {"name": "North"}}, {"id": "c9", "supplier": "Late", "price": null, "facility": {"name": "Attic"}}]},
                "updateContracts": {"contracts": [{"id": "c3", "price": 7.25}]},
                "deleteContracts": {"nodesDeleted": 1, "relationshipsDeleted": 0}
            })
        );
        let (_, errors) =
            world.run(&who, "mutation { upsertVehicles(input: [{id: \"v8\"}]) { vehicles { id } } }", json!({})).await;
        assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT", "a name is required when it is made");
    }
}

#[tokio::test]
async fn refused_changes_leave_nothing_behind() {
    let world = World::filled().await;
    for (query, code) in [
        (
            r#"mutation { createVehicles(input: [{id: "v9", name: "x"}, {id: "v2", name: "y"}]) { vehicles { id } } }"#,
            "CONFLICT",
        ),
        (r#"mutation { createDevices(input: [{id: "v9", serial: "s1", name: "x"}]) { devices { id } } }"#, "CONFLICT"),
        (
            r#"mutation { updateDevices(where: {id: {eq: "d2"}}, update: {serial: {set: "s1"}}) { devices { id } } }"#,
            "CONFLICT",
        ),
        (r#"mutation { createVehicles(input: [{id: "", name: "x"}]) { vehicles { id } } }"#, "BAD_USER_INPUT"),
        (r#"mutation { updateAlerts(update: {severity: {set: null}}) { alerts { id } } }"#, "BAD_USER_INPUT"),
        (
            r#"mutation { updateVehicles(where: {id: {eq: "v2"}}, update: {wheels: {set: 1, add: 2}}) { vehicles { id } } }"#,
            "no error",
        ),
    ] {
        for tenant in TENANTS {
            assert_eq!(world.code(&admin(tenant), query).await, code, "{query}");
            let left = world
                .data(
                    &admin(tenant),
                    r#"{ entities(where: {id: {eq: "v9"}}) { id } devices(where: {serial: {eq: "s1"}}) { id } }"#,
                )
                .await;
            assert_eq!(left, json!({"entities": [], "devices": [{"id": "d1"}]}));
        }
    }
}

#[tokio::test]
async fn hostile_72_the_same_idempotency_key_writes_once() {
    let world = World::empty().await;
    let query = r#"mutation { createVehicles(input: [{name: "Van"}]) { info { nodesCreated } vehicles { id name } } }"#;
    for tenant in TENANTS {
        let who = admin(tenant);
        let (first, again) = tokio::join!(world.keyed(&who, query, "k1"), world.keyed(&who, query, "k1"));
        assert_eq!(first, again);
        assert_eq!(first["data"]["createVehicles"]["info"]["nodesCreated"], 1);
        assert_eq!(world.keyed(&who, query, "k1").await, first);
        let other = query.replace("Van", "Car");
        assert_eq!(world.keyed(&who, &other, "k1").await["errors"][0]["extensions"]["code"], "IDEMPOTENCY_KEY_REUSED");
        world.keyed(&who, query, "k2").await;
        assert_eq!(
            world.data(&who, "{ vehiclesConnection { totalCount } }").await["vehiclesConnection"]["totalCount"],
            2
        );
    }
}

/// Each writing field of a request is a change of its own: under one key each is written, and none twice.
#[tokio::test]
async fn one_key_for_several_fields() {
    let world = World::empty().await;
    let query = r#"mutation { a: createVehicles(input: [{name: "Van"}]) { vehicles { id name } } b: createVehicles(input: [{name: "Car"}]) { vehicles { id name } }
        c: updateVehicles(where: {name: {eq: "Car"}}, update: {name: {set: "Bus"}}) { vehicles { name } } }"#;
    for tenant in TENANTS {
        let who = admin(tenant);
        let first = world.keyed(&who, query, "k").await;
        assert_eq!(first["errors"], json!(null), "{first}");
        assert_eq!(first["data"]["c"]["vehicles"], json!([{"name": "Bus"}]));
        assert_ne!(first["data"]["a"]["vehicles"][0]["id"], first["data"]["b"]["vehicles"][0]["id"]);
        let again = world.keyed(&who, query, "k").await;
        for field in ["a", "b"] {
            let ids = |answer: &Json| answer["data"][field]["vehicles"][0]["id"].clone();
            assert_eq!(ids(&again), ids(&first));
        }
        let names = world.data(&who, "{ vehicles(sort: [{ name: ASC }]) { name } }").await;
        assert_eq!(names["vehicles"], json!([{"name": "Bus"}, {"name": "Van"}]));
    }
}

#[tokio::test]
async fn validate_rules_refuse_writes_and_hidden_records_are_not_there_to_be_written() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let eu = principal(tenant, json!({"regions": ["EU"]}));
        let update = r#"mutation { updateDevices(where: {id: {in: ["d1", "d4"]}}, update: {battery: {set: 1}}) { devices { id battery } } }"#;
        assert_eq!(world.code(&eu, update).await, "FORBIDDEN");
        let operator = principal(tenant, json!({"regions": ["EU"], "roles": ["operator"]}));
        let data = world.data(&operator, update).await;
        assert_eq!(
            data["updateDevices"]["devices"],
            json!([{"id": "d1", "battery": 1}]),
            "what is not seen is not shown"
        );
    }
}

/// What is accepted has to be applied by every store, and what an index cannot hold would hold up all that comes after it.
#[tokio::test]
async fn ids_and_indexed_texts_have_a_longest_length() {
    let world = World::filled().await;
    let who = admin("alpha");
    let create = |id: &str, serial: &str, name: &str| {
        format!(
            "mutation {{ createDevices(input: [{{id: \"{id}\", serial: \"{serial}\", name: \"{name}\"}}]) {{ devices {{ serial }} }} }}"
        )
    };
    let x = |count: usize| "x".repeat(count);
    for (id, serial, told) in [(x(513), x(3), "at most 512"), (x(3), x(1_537), "Device.serial has 1537 bytes")] {
        let (_, errors) = world.run(&who, &create(&id, &serial, "n"), json!({})).await;
        let (code, message) = (&errors[0]["extensions"]["code"], errors[0]["message"].as_str().unwrap_or_default());
        assert_eq!((code, message.contains(told)), (&json!("BAD_USER_INPUT"), true), "{errors}");
    }
    let long = world.data(&who, &create(&x(512), &x(1_536), &x(20_000))).await;
    assert_eq!(long["createDevices"]["devices"][0]["serial"], json!(x(1_536)));
}

/// What a mutation did is told also where whoever follows the log was faster at applying it.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_somebody_else_applies_is_counted() {
    let world = std::sync::Arc::new(World::filled().await);
    let tenant = quipu_resolvers::guard::TenantId::parse(TENANTS[0]).unwrap();
    let follower = tokio::spawn({
        let (world, tenant) = (world.clone(), tenant.clone());
        async move {
            loop {
                world.engine.catch_up(&tenant).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let who = admin(TENANTS[0]);
    for round in 0..100 {
        let id = format!("followed-{round}");
        let change = format!(
            r#"mutation {{ updateFacilities(where: {{id: {{eq: "f1"}}}}, update: {{devices: [{{create: [
                {{node: {{id: "{id}", serial: "{id}", name: "New"}}, edge: {{since: "2026-02-01T00:00:00Z"}}}}]}}]}})
                {{ info {{ nodesCreated relationshipsCreated }} }} }}"#
        );
        let info = world.data(&who, &change).await["updateFacilities"]["info"].clone();
        assert_eq!(info, json!({"nodesCreated": 1, "relationshipsCreated": 1}), "round {round}");
    }
    follower.abort();
}

#[tokio::test]
async fn a_new_record_has_the_one_that_it_needs_and_no_more_than_one() {
    let world = World::of(
        "type Box @node { id: ID! notes: [Note!]! @relationship(type: \"HAS\", direction: OUT) }
         type Note @node {
           id: ID! box: Box! @relationship(type: \"HAS\", direction: IN) lid: Box @relationship(type: \"ON\", direction: OUT)
         }",
    )
    .await;
    let make = |way: &str, field: &str, ids: &str| {
        let more = if field == "box" { "" } else { r#"box: {connect: {where: {node: {id: {eq: "2"}}}}}, "# };
        format!(
            "mutation {{ {way}(input: [{{id: \"n\", {more}{field}: {{connect: {{where: {{node: {{id: {{in: [{ids}]}}}}}}}}}}}}]) {{ notes {{ id }} }} }}"
        )
    };
    for tenant in TENANTS {
        let who = admin(tenant);
        world.data(&who, r#"mutation { createBoxes(input: [{id: "1"}, {id: "2"}]) { boxes { id } } }"#).await;
        for way in ["createNotes", "upsertNotes"] {
            for (field, ids, code) in [
                ("box", "", "BAD_USER_INPUT"),
                ("box", "\"9\"", "BAD_USER_INPUT"),
                ("box", "\"1\", \"2\"", "BAD_USER_INPUT"),
                ("lid", "\"1\", \"2\"", "BAD_USER_INPUT"),
                ("lid", "\"9\"", "no error"),
                ("box", "\"1\"", if way == "createNotes" { "CONFLICT" } else { "no error" }),
                ("box", "", if way == "createNotes" { "BAD_USER_INPUT" } else { "no error" }),
            ] {
                assert_eq!(world.code(&who, &make(way, field, ids)).await, code, "{way} {field} {ids}");
            }
            world.data(&who, "mutation { deleteNotes { nodesDeleted } }").await;
        }
    }
}
