//! Sections 5 (validation) and 6 (execution) of the GraphQL specification, October 2021, by number.

use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin};

/// Queries that section 5 refuses, with the number of the rule.
const INVALID: &[(&str, &str)] = &[
    ("5.1.1 executable definitions", "type A { b: Int }"),
    ("5.2.1.1 operation name uniqueness", "query A { __typename } query A { __typename }"),
    ("5.2.2.1 lone anonymous operation", "{ __typename } query A { __typename }"),
    ("5.2.3.1 single root field", "subscription { a: changes { seq } b: changes { seq } }"),
    ("5.3.1 field selections", "{ facilities { nothing } }"),
    ("5.3.2 field selection merging, names", "{ facilities { a: name a: region } }"),
    ("5.3.2 field selection merging, arguments", "{ facilities(limit: 1) { id } facilities(limit: 2) { id } }"),
    ("5.3.3 leaf fields without selections", "{ facilities }"),
    ("5.3.3 leaf fields with selections", "{ facilities { name { length } } }"),
    ("5.4.1 argument names", "{ facilities(wher: {}) { id } }"),
    ("5.4.2 argument uniqueness", "{ facilities(limit: 1, limit: 1) { id } }"),
    ("5.4.2.1 required arguments", "{ facility { id } }"),
    (
        "5.5.1.1 fragment name uniqueness",
        "{ ...a } fragment a on Query { __typename } fragment a on Query { __typename }",
    ),
    ("5.5.1.2 fragment spread type existence", "{ ...a } fragment a on Nothing { id }"),
    ("5.5.1.3 fragments on composite types", "{ facilities { ... on String { id } } }"),
    ("5.5.1.4 fragments must be used", "{ __typename } fragment a on Query { __typename }"),
    ("5.5.2.1 fragment spread target defined", "{ ...nowhere }"),
    ("5.5.2.2 fragment spreads must not form cycles", "{ ...a } fragment a on Query { ...a }"),
    ("5.5.2.3 fragment spread is possible", "{ facilities { ... on Device { id } } }"),
    ("5.6.1 values of correct type", "{ facilities(limit: \"1\") { id } }"),
    ("5.6.2 input object field names", "{ facilities(where: {nothing: {eq: 1}}) { id } }"),
    ("5.6.4 input object required fields", "mutation { createAlerts(input: [{id: \"a\"}]) { alerts { id } } }"),
    ("5.7.1 directives are defined", "{ facilities @nothing { id } }"),
    ("5.7.2 directives are in valid locations", "query @skip(if: true) { facilities { id } }"),
    ("5.7.3 directives are unique per location", "{ facilities @skip(if: true) @skip(if: true) { id } }"),
    ("5.8.1 variable uniqueness", "query($a: Int, $a: Int) { facilities(limit: $a) { id } }"),
    ("5.8.2 variables are input types", "query($a: Facility) { facilities { id } }"),
    ("5.8.3 all variable uses defined", "{ facilities(limit: $a) { id } }"),
    ("5.8.4 all variables used", "query($a: Int) { facilities { id } }"),
    ("5.8.5 all variable usages are allowed, scalars", "query($a: String) { facilities(limit: $a) { id } }"),
    ("5.8.5 all variable usages are allowed, null", "query($a: ID) { facility(id: $a) { id } }"),
    ("5.8.5 all variable usages are allowed, lists", "query($a: [ID!]) { facilities(where: {id: {eq: $a}}) { id } }"),
    ("5.8.5 all variable usages are allowed, objects", "query($a: JSON) { facilities(where: $a) { id } }"),
    (
        "5.8.5 all variable usages are allowed, fragments",
        "query($a: Int!) { ...f } fragment f on Query { facilities { devices(where: {name: {in: [$a]}}) { id } } }",
    ),
    ("5.8.5 all variable usages are allowed, directives", "query($a: Int!) { facilities @skip(if: $a) { id } }"),
];

#[tokio::test]
async fn section_5_invalid_documents_are_refused_before_execution() {
    let world = World::empty().await;
    let mut accepted = Vec::new();
    for (rule, query) in INVALID {
        let (body, counts) = world.body(&admin("alpha"), query, json!({})).await;
        let refused = body.get("data").is_none() && body["errors"][0]["message"].is_string();
        if !refused || counts != [0, 0, 0] {
            accepted.push(format!("{rule}: {body}"));
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}

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
    }
}
