//! Rules on fields, in reading and in writing, and rules that types have from their interfaces.

use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin, principal};

/// People who may read what they wrote themselves, and a few fields with each sort of rule.
async fn people() -> World {
    let world = World::of(
        r#"
        interface Secretive {
          id: ID!
          name: String!
          diary: String @authorization(filter: [{ where: { node: { name: { eq: "$jwt.sub" } } } }])
        }
        type Person implements Secretive @node {
          id: ID!
          name: String!
          diary: String
          salary: Int @role(anyOf: ["hr"])
          badge: String! @authorization(filter: [{ operations: [READ], where: { jwt: { roles: { includes: "guard" } } } }])
          phone: String @authorization(validate: [{ operations: [READ], where: { jwt: { roles: { includes: "hr" } } } }])
          grade: Int @default(value: 1) @authorization(validate: [{ operations: [CREATE, UPDATE], when: [AFTER], where: { node: { grade: { lte: 3 } } } }])
          code: String @authentication(operations: [UPDATE], jwt: { roles: { includes: "hr" } })
          friends: [Person!]! @relationship(type: "KNOWS", direction: OUT)
          desk_id: ID @authorization(filter: [{ operations: [READ], where: { node: { name: { eq: "$jwt.sub" } } } }])
          desk: Desk @join(by: "desk_id")
          desks: [Desk!]! @join(on: "person_id")
        }
        type Desk @table(name: "desks") {
          id: ID!
          person_id: ID
          person: Person @join(by: "person_id")
          drawer: JSON @authorization(filter: [{ where: { node: { open: { eq: true } } } }])
          open: Boolean!
        }
        "#,
    )
    .await;
    for tenant in TENANTS {
        let fill = r#"mutation {
          createDesks(input: [{id: "d1", person_id: "1", open: true, drawer: [1, {a: 2}]}, {id: "d2", person_id: "2", open: false, drawer: [3]}]) { info { nodesCreated } }
          createPeople(input: [
            {id: "1", name: "ann", diary: "monday", salary: 10, badge: "b1", phone: "11", code: "x", desk_id: "d1", friends: {create: [{node: {id: "2", name: "bob", diary: "tuesday", salary: 20, badge: "b2", desk_id: "d2"}}]}}
          ]) { info { nodesCreated } } }"#;
        world.data(&operator(tenant), fill).await;
    }
    world
}

fn operator(tenant: &str) -> quipu_resolvers::guard::Principal {
    quipu_resolvers::guard::Principal { operator: true, ..admin(tenant) }
}

fn ann(tenant: &str, roles: &[&str]) -> quipu_resolvers::guard::Principal {
    principal(tenant, json!({"sub": "ann", "roles": roles}))
}

async fn ask(world: &World, who: &quipu_resolvers::guard::Principal, query: &str) -> Json {
    let (data, errors) = world.run(who, query, json!({})).await;
    json!({"data": data, "errors": errors})
}

/// Paths of the errors of an answer, each with its code.
fn refused(answer: &Json) -> Vec<(String, String)> {
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    let step = |step: &Json| step.as_str().map_or_else(|| step.to_string(), str::to_owned);
    let path = |error: &Json| error["path"].as_array().unwrap().iter().map(step).collect::<Vec<_>>().join(".");
    let code = |error: &Json| error["extensions"]["code"].as_str().unwrap_or_default().to_owned();
    errors.iter().map(|error| (path(error), code(error))).collect()
}

fn forbidden(paths: &[&str]) -> Vec<(String, String)> {
    paths.iter().map(|path| ((*path).to_owned(), "FORBIDDEN".to_owned())).collect()
}

#[tokio::test]
async fn a_field_that_a_rule_hides_is_null_with_an_error_at_its_place_and_the_rest_is_there() {
    let world = people().await;
    for tenant in TENANTS {
        let answer = ask(&world, &ann(tenant, &[]), "{ people { name diary salary } }").await;
        let expected =
            json!([{"name": "ann", "diary": "monday", "salary": null}, {"name": "bob", "diary": null, "salary": null}]);
        assert_eq!(answer["data"]["people"], expected);
        assert_eq!(refused(&answer), forbidden(&["people.0.salary", "people.1.diary", "people.1.salary"]));
        let query = "{ peopleConnection(first: 1) { edges { cursor node { friends { x: diary y: salary } } } } person(id: 2) { diary } }";
        let answer = ask(&world, &ann(tenant, &["hr"]), query).await;
        let edges = "peopleConnection.edges.0.node.friends.0.x";
        assert_eq!(refused(&answer), forbidden(&[edges, "person.diary"]));
        assert_eq!(answer["data"]["peopleConnection"]["edges"][0]["node"]["friends"], json!([{"x": null, "y": 20}]));
        // JSON values, and values across stores.
        let answer =
            ask(&world, &ann(tenant, &[]), "{ desks { drawer person { diary } } people { desks { drawer } } }").await;
        let expected = json!([{"drawer": [1, {"a": 2}], "person": {"diary": "monday"}}, {"drawer": null, "person": {"diary": null}}]);
        assert_eq!(answer["data"]["desks"], expected);
        assert_eq!(refused(&answer), forbidden(&["desks.1.drawer", "desks.1.person.diary", "people.1.desks.0.drawer"]));
    }
}

#[tokio::test]
async fn a_required_field_that_is_hidden_takes_its_record_along() {
    let world = people().await;
    for tenant in TENANTS {
        let answer = ask(&world, &ann(tenant, &[]), "{ person(id: 1) { name badge } people { id } }").await;
        assert_eq!(answer["data"], json!({"person": null, "people": [{"id": "1"}, {"id": "2"}]}));
        assert_eq!(refused(&answer), forbidden(&["person.badge"]));
        let guard = world.data(&ann(tenant, &["guard"]), "{ person(id: 1) { badge } }").await;
        assert_eq!(guard["person"]["badge"], "b1");
    }
}

#[tokio::test]
async fn a_field_that_a_rule_forbids_refuses_the_question() {
    let world = people().await;
    for tenant in TENANTS {
        let answer = ask(&world, &ann(tenant, &[]), "{ people { name phone } desks { id } }").await;
        assert_eq!(answer["data"], Json::Null, "the list cannot be null, so all is");
        assert_eq!(refused(&answer), forbidden(&["people"]));
        let hr = world.data(&ann(tenant, &["hr"]), "{ people { phone } }").await;
        assert_eq!(hr["people"][0]["phone"], "11");
    }
}

#[tokio::test]
async fn what_may_be_read_on_some_records_only_is_used_in_no_other_way() {
    let world = people().await;
    let ways = [
        r#"{ people(where: {diary: {eq: "monday"}}) { id } }"#,
        r#"{ people(where: {NOT: {diary: {eq: null}}}) { id } }"#,
        "{ people(sort: [{diary: ASC}]) { id } }",
        "{ people(sort: [{salary: DESC}]) { id } }",
        "{ peopleConnection { aggregate { node { salary { max } } } } }",
        "{ peopleConnection(sort: [{salary: ASC}]) { edges { cursor } } }",
        r#"{ people(where: {friends: {some: {diary: {contains: "t"}}}}) { id } }"#,
        r#"{ desks(where: {person: {salary: {gt: 15}}}) { id } }"#,
        r#"{ secretives(where: {diary: {eq: "monday"}}) { id } }"#,
        r#"{ people(where: {desk: {open: {eq: true}}}) { id } }"#,
        r#"mutation { updatePeople(where: {id: {eq: "2"}}, update: {salary: {add: 1}}) { people { id } } }"#,
    ];
    for tenant in TENANTS {
        for query in ways {
            assert_eq!(world.code(&ann(tenant, &[]), query).await, "FORBIDDEN", "{query}");
        }
        let answer = ask(&world, &ann(tenant, &[]), "{ people { desk { id } } }").await;
        assert_eq!(answer["data"]["people"], json!([{"desk": {"id": "d1"}}, {"desk": null}]));
        assert_eq!(refused(&answer), forbidden(&["people.1.desk"]));
    }
}

#[tokio::test]
async fn rules_on_fields_are_asked_when_the_field_is_set() {
    let world = people().await;
    let set = |id: &str, what: &str| {
        format!(
            "mutation {{ updatePeople(where: {{id: {{eq: \"{id}\"}}}}, update: {{{what}}}) {{ people {{ id }} }} }}"
        )
    };
    let make = |what: &str| {
        format!("mutation {{ createPeople(input: [{{name: \"new\", badge: \"b\", {what}}}]) {{ people {{ id }} }} }}")
    };
    for tenant in TENANTS {
        let (ann, hr) = (ann(tenant, &[]), ann(tenant, &["hr"]));
        // A role is asked for in writing too; what may be read by nobody but its owner may be set by nobody else.
        for (who, query, code) in [
            (&ann, set("1", "salary: {set: 5}"), "FORBIDDEN"),
            (&hr, set("1", "salary: {set: 5}"), "no error"),
            (&ann, make("salary: 5"), "FORBIDDEN"),
            (&hr, make("salary: 5"), "no error"),
            (&ann, make("salary: null"), "no error"),
            (&ann, set("1", "diary: {set: \"new\"}"), "no error"),
            (&ann, set("2", "diary: {set: \"new\"}"), "FORBIDDEN"),
            (&ann, set("2", "name: {set: \"rob\"}"), "no error"),
            (&ann, set("1", "grade: {set: 3}"), "no error"),
            (&ann, set("1", "grade: {set: 4}"), "FORBIDDEN"),
            (&ann, make("grade: 4"), "FORBIDDEN"),
            (&ann, make("grade: 2"), "no error"),
            (&ann, make("code: \"y\""), "no error"),
            (&ann, set("1", "code: {set: \"y\"}"), "FORBIDDEN"),
            (&hr, set("1", "code: {set: \"y\"}"), "no error"),
        ] {
            assert_eq!(world.code(who, &query).await, code, "{query}");
        }
        let seen = world
            .data(&operator(tenant), "{ people(where: {id: {in: [\"1\", \"2\"]}}) { name diary salary grade } }")
            .await;
        assert_eq!(
            seen["people"],
            json!([{"name": "ann", "diary": "new", "salary": 5, "grade": 3}, {"name": "rob", "diary": "tuesday", "salary": 20, "grade": 1}])
        );
    }
}

#[tokio::test]
async fn types_have_the_rules_of_their_interfaces_beside_their_own() {
    let world = World::of(
        r#"
        interface Owned @authorization(filter: [{ where: { node: { owner: { eq: "$jwt.sub" } } } }, { where: { jwt: { roles: { includes: "auditor" } } } }]) {
          id: ID!
          owner: String!
        }
        type Letter implements Owned @node @authorization(filter: [{ where: { node: { sealed: { eq: false } } } }]) {
          id: ID!
          owner: String!
          sealed: Boolean!
        }
        type Parcel implements Owned @node { id: ID! owner: String! }
        extend interface Entity @authorization(validate: [{ operations: [DELETE], where: { jwt: { roles: { includes: "auditor" } } } }])
        "#,
    )
    .await;
    for tenant in TENANTS {
        let fill = r#"mutation {
          createLetters(input: [{id: "1", owner: "ann", sealed: false}, {id: "2", owner: "ann", sealed: true}, {id: "3", owner: "bob", sealed: false}]) { info { nodesCreated } }
          createParcels(input: [{id: "4", owner: "ann"}, {id: "5", owner: "bob"}]) { info { nodesCreated } } }"#;
        world.data(&operator(tenant), fill).await;
        let all = "{ letters { id } parcels { id } owneds { id } letterCount: lettersConnection { totalCount } }";
        let ids = |ids: &[&str]| ids.iter().map(|id| json!({"id": id})).collect::<Json>();
        let seen = world.data(&ann(tenant, &[]), all).await;
        let count = |n: u32| json!({"totalCount": n});
        assert_eq!(
            seen,
            json!({"letters": ids(&["1"]), "parcels": ids(&["4"]), "owneds": ids(&["1", "4"]), "letterCount": count(1)})
        );
        let seen = world.data(&ann(tenant, &["auditor"]), all).await;
        let both = ids(&["1", "3", "4", "5"]);
        assert_eq!(
            seen,
            json!({"letters": ids(&["1", "3"]), "parcels": ids(&["4", "5"]), "owneds": both, "letterCount": count(2)})
        );
        let delete = r#"mutation { deleteParcels(where: {id: {eq: "4"}}) { nodesDeleted } }"#;
        assert_eq!(world.code(&ann(tenant, &[]), delete).await, "FORBIDDEN");
        assert_eq!(world.data(&ann(tenant, &["auditor"]), delete).await["deleteParcels"]["nodesDeleted"], 1);
    }
}
