//! Section 6 (execution) of the GraphQL specification, October 2021, by number.

use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin};

async fn errors(world: &World, query: &str, variables: Json) -> (Json, Json) {
    world.run(&admin("alpha"), query, variables).await
}

#[tokio::test]
async fn section_6_1_1_the_operation_is_chosen_by_name() {
    let world = World::empty().await;
    let (_, refused) = errors(&world, "query A { __typename } query B { b: __typename }", json!({})).await;
    assert_eq!(refused[0]["extensions"]["code"], "BAD_REQUEST");
}

#[tokio::test]
async fn section_6_1_2_variables_are_coerced() {
    let world = World::filled().await;
    let query =
        "query($n: Int!, $w: FacilityWhere = {region: {eq: \"US\"}}) { facilities(limit: $n, where: $w) { id } }";
    for tenant in TENANTS {
        let who = admin(tenant);
        let run = |variables| world.run(&who, query, variables);
        let us = json!({"facilities": [{"id": "f2"}]});
        assert_eq!(run(json!({"n": 9})).await, (us, Json::Null), "a default");
        assert_eq!(run(json!({"n": 1, "w": null})).await.0, json!({"facilities": [{"id": "f1"}]}), "an explicit null");
        for (wrong, why) in [
            (json!({}), "variable $n of type Int! is required"),
            (json!({"n": null}), "variable $n: expected Int!, found null"),
            (json!({"n": "1"}), "variable $n: expected Int, found a string"),
            (
                json!({"n": 3_000_000_000_i64}),
                "variable $n: expected an Int between -2147483648 and 2147483647, found 3000000000",
            ),
            (json!({"n": 1, "w": {"nothing": 1}}), "variable $w: FacilityWhere has no field \"nothing\""),
            (
                json!({"n": 1, "w": {"OR": [{"id": {"eq": {}}}]}}),
                "variable $w: OR: [0]: id: eq: expected ID, found an object",
            ),
        ] {
            let (data, errors) = run(wrong).await;
            assert_eq!((data, errors[0]["message"].as_str()), (Json::Null, Some(why)));
            assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT");
        }
    }
}

#[tokio::test]
async fn section_6_2_2_mutations_run_one_after_another() {
    let world = World::filled().await;
    let query = r#"mutation {
        a: updateAlerts(where: {id: {eq: "a1"}}, update: {severity: {add: 1}}) { alerts { severity } }
        b: updateAlerts(where: {id: {eq: "a1"}}, update: {severity: {set: 9}}) { alerts { severity } }
        c: updateAlerts(where: {severity: {eq: 9}}, update: {severity: {subtract: 2}}) { alerts { id severity } }
    }"#;
    for tenant in TENANTS {
        let expected = json!({"a": {"alerts": [{"severity": 4}]}, "b": {"alerts": [{"severity": 9}]}, "c": {"alerts": [{"id": "a1", "severity": 7}]}});
        assert_eq!(world.data(&admin(tenant), query).await, expected);
    }
}

#[tokio::test]
async fn section_6_3_2_fields_are_collected_merged_and_kept_in_order() {
    let world = World::filled().await;
    let query = r#"query($yes: Boolean = true) {
        z: __typename
        facility(id: "f1") { region ...f name }
        facility(id: "f1") { devices(limit: 1) { id } ... on Facility @include(if: $yes) { devices(limit: 1) { name } } }
        facility(id: "f1") @skip(if: $yes) { capacity }
    } fragment f on Facility { id region @skip(if: false) rating @include(if: false) ... on Entity { kind: __typename } }"#;
    for tenant in TENANTS {
        let (body, _) = world.body(&admin(tenant), query, json!({})).await;
        let expected = r#"{"data":{"z":"Query","facility":{"region":"EU","id":"f1","kind":"Facility","name":"North","devices":[{"id":"d1","name":"Alpha"}]}}}"#;
        assert_eq!(body.to_string(), expected, "in this very order");
    }
}

#[tokio::test]
async fn section_6_4_1_arguments_are_coerced() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let ids = async |query: &str| world.data(&admin(tenant), query).await["facilities"].clone();
        assert_eq!(
            ids("{ facilities(where: {id: {in: \"f2\"}}) { id } }").await,
            json!([{"id": "f2"}]),
            "a single value for a list"
        );
        assert_eq!(
            ids("query($l: Int) { facilities(limit: $l, where: {id: {eq: \"f3\"}}) { id } }").await,
            json!([{"id": "f3"}]),
            "an absent variable"
        );
        assert_eq!(
            ids("{ facilities(where: null, limit: 1) { id } }").await,
            json!([{"id": "f1"}]),
            "null for no filter"
        );
        assert_eq!(
            ids("query($w: [ID!] = [\"f1\", \"f3\"]) { facilities(where: {id: {in: $w}}) { id } }").await,
            json!([{"id": "f1"}, {"id": "f3"}])
        );
        assert_eq!(
            ids("{ facilities(where: {opened: {lt: \"2020-02-01\"}, id: {eq: \"f1\"}}) { id } }").await,
            json!([{"id": "f1"}])
        );
    }
    for wrong in [
        "{ facilities(where: {opened: {lt: \"2020-13-01\"}}) { id } }",
        "{ devices(where: {seen: {lt: \"yesterday\"}}) { id } }",
        "query($x: Int) { facilities(where: {capacity: {eq: $x}, nothing: 1}) { id } }",
    ] {
        let code = world.code(&admin("alpha"), wrong).await;
        assert!(["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"].contains(&code.as_str()), "{wrong}: {code}");
    }
}

#[tokio::test]
async fn section_6_4_4_null_propagates_to_the_nearest_nullable_field_with_a_path() {
    let sdl = "type A @node { id: ID! name: String must: String! to: [A!]! @relationship(type: \"TO\", direction: OUT) one: A @relationship(type: \"ONE\", direction: OUT) }";
    let loose = sdl.replace("must: String!", "must: String");
    let world = World::of_two(&loose, sdl).await;
    for tenant in TENANTS {
        let fill = r#"mutation { createAs(input: [{id: "1", must: "x", one: {create: {node: {id: "2", to: {create: [{node: {id: "3", must: "y"}}, {node: {id: "4"}}]}}}}}]) { info { nodesCreated } } }"#;
        assert_eq!(world.data_before(&admin(tenant), fill).await["createAs"]["info"]["nodesCreated"], 4);
        let (data, errors) =
            world.run(&admin(tenant), "{ a(id: \"1\") { must one { to { id must } } } }", json!({})).await;
        assert_eq!(data, json!({"a": {"must": "x", "one": null}}));
        assert_eq!(errors[0]["path"], json!(["a", "one", "to", 1, "must"]));
        assert_eq!(errors[0]["locations"], json!([{"line": 1, "column": 35}]));
        let (data, errors) = world.run(&admin(tenant), "{ x: as { must } a(id: \"3\") { must } }", json!({})).await;
        assert_eq!(data, Json::Null, "the root field is required");
        assert_eq!(errors[0]["path"], json!(["x", 1, "must"]));
        let (data, errors) =
            world.run(&admin(tenant), "{ asConnection { edges { node { id must } } } }", json!({})).await;
        assert_eq!((data, &errors[0]["path"]), (Json::Null, &json!(["asConnection", "edges", 1, "node", "must"])));
    }
}

#[tokio::test]
async fn introspection_is_answered_beside_data() {
    let world = World::filled().await;
    let query = r#"query($name: String!, $id: ID!) { __type(name: $name) { name ...kind } facility(id: $id) { ...f } s: __schema { queryType { name } } __typename }
        fragment kind on __Type { kind } fragment f on Facility { id }"#;
    let (data, errors) = world.run(&admin("alpha"), query, json!({"name": "Device", "id": "f1"})).await;
    assert_eq!(errors, Json::Null);
    let expected = r#"{"__type":{"name":"Device","kind":"OBJECT"},"facility":{"id":"f1"},"s":{"queryType":{"name":"Query"}},"__typename":"Query"}"#;
    assert_eq!(data.to_string(), expected);
}

#[tokio::test]
async fn descriptions_and_deprecations_of_the_ontology_reach_introspection() {
    let world = World::empty().await;
    let query = r#"{ f: __type(name: "Facility") { description interfaces { name } } s: __type(name: "DeviceStatus") { enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } } }"#;
    for tenant in TENANTS {
        let told = world.data(&admin(tenant), query).await;
        assert_eq!(
            told["f"],
            json!({"description": "A place where things are stored.", "interfaces": [{"name": "Entity"}]})
        );
        let retired = json!({"name": "RETIRED", "description": "Out of use.", "isDeprecated": true, "deprecationReason": "delete it"});
        assert_eq!(told["s"]["enumValues"][2], retired);
        // What has to be given cannot be deprecated.
        for (input, reason) in [
            ("AlertCreateInput", Json::Null),
            ("AlertUpsertInput", json!("read the message")),
            ("AlertUpdateInput", json!("read the message")),
            ("AlertWhere", json!("read the message")),
            ("AlertSort", json!("read the message")),
        ] {
            let query = format!(
                "{{ t: __type(name: \"{input}\") {{ all: inputFields(includeDeprecated: true) {{ name deprecationReason }} kept: inputFields {{ name }} }} }}"
            );
            let told = world.data(&admin(tenant), &query).await;
            let find = |list: &str| {
                let list = told["t"][list].as_array().expect("a list");
                list.iter().find(|field| field["name"] == "severity").cloned()
            };
            assert_eq!(find("all").expect("a field")["deprecationReason"], reason, "{input}");
            assert_eq!(find("kept").is_some(), reason.is_null(), "{input}");
        }
    }
}
