//! Rules on relationships, and on their properties, in reading and in writing.

use quipu_resolvers::guard::Principal;
use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin, principal};

/// Who works where: what is public is for everybody, the rest for whoever has the role `hr`. Ann works for both firms, for Beta in secret.
async fn work() -> World {
    let world = World::of(
        r#"
        type Person @node {
          id: ID!
          name: String!
          jobs: [Firm!]! @relationship(type: "WORKS_AT", direction: OUT, properties: "Work")
        }
        type Firm @node @limit(default: 10) {
          id: ID!
          name: String!
          people: [Person!]! @relationship(type: "WORKS_AT", direction: IN, properties: "Work")
          "The same relationships, by a field that has none of their properties"
          staff: [Person!]! @relationship(type: "WORKS_AT", direction: IN)
          partners: [Firm!]! @relationship(type: "PARTNER_OF", direction: OUT)
        }
        type Work
          @relationshipProperties
          @authorization(
            filter: [{ where: { edge: { public: { eq: true } } } } { where: { jwt: { roles: { includes: "hr" } } } }]
            validate: [
              { operations: [CREATE_RELATIONSHIP, UPDATE], when: [AFTER], where: { edge: { share: { lte: 100 } } } }
              { operations: [DELETE_RELATIONSHIP], where: { NOT: { edge: { share: { eq: 100 } } } } }
            ]
          ) {
          public: Boolean!
          share: Int! @default(value: 50)
          salary: Int @role(anyOf: ["hr"])
          note: String @authorization(filter: [{ operations: [READ], where: { edge: { share: { gt: 40 } } } }])
        }
        "#,
    )
    .await;
    for tenant in TENANTS {
        let fill = r#"mutation { createFirms(input: [{id: "alpha", name: "Alpha", people: {create: [
            {node: {id: "ann", name: "Ann"}, edge: {public: true, share: 60, salary: 10, note: "fine"}},
            {node: {id: "bob", name: "Bob"}, edge: {public: true, share: 30, salary: 20, note: "late"}}]}},
          {id: "beta", name: "Beta", people: {
            create: [{node: {id: "cid", name: "Cid"}, edge: {public: false, share: 100, salary: 30}}]}}]) { info { nodesCreated } } }"#;
        world.data(&operator(tenant), fill).await;
        let second = r#"mutation { updateFirms(where: {id: {eq: "beta"}}, update: {
          partners: [{connect: [{where: {node: {id: {eq: "alpha"}}}}]}]
          people: [{connect: [{where: {node: {id: {eq: "ann"}}}, edge: {public: false, share: 40, salary: 40, note: "secret"}}]}]}) { info { relationshipsCreated } } }"#;
        world.data(&operator(tenant), second).await;
    }
    world
}

fn operator(tenant: &str) -> Principal {
    Principal { operator: true, ..admin(tenant) }
}

fn guest(tenant: &str) -> Principal {
    principal(tenant, json!({"sub": "guest", "roles": []}))
}

fn hr(tenant: &str) -> Principal {
    principal(tenant, json!({"sub": "hanna", "roles": ["hr"]}))
}

#[tokio::test]
async fn a_relationship_that_a_rule_hides_is_not_there_whichever_way_one_asks() {
    let world = work().await;
    let asked = [
        ("{ firms(sort: [{id: ASC}]) { people(sort: [{id: ASC}]) { id } } }", json!([["ann", "bob"], []])),
        ("{ firms(sort: [{id: ASC}]) { people: staff(sort: [{id: ASC}]) { id } } }", json!([["ann", "bob"], []])),
        ("{ firms: people(sort: [{id: ASC}]) { people: jobs { id } } }", json!([["alpha"], ["alpha"], []])),
    ];
    let counted = [
        ("firm(id: \"beta\") { peopleConnection { totalCount } }", json!({"peopleConnection": {"totalCount": 0}})),
        (
            "firm(id: \"beta\") { peopleConnection { aggregate { count { nodes } edge { share { max } } } } }",
            json!({"peopleConnection": {"aggregate": {"count": {"nodes": 0}, "edge": {"share": {"max": null}}}}}),
        ),
        (
            "firm(id: \"beta\") { peopleConnection(where: {edge: {share: {gt: 1}}}) { edges { node { id } } } }",
            json!({"peopleConnection": {"edges": []}}),
        ),
    ];
    let conditions = [
        (r#"{people: {some: {name: {eq: "Cid"}}}}"#, json!([])),
        (r#"{staff: {some: {name: {eq: "Ann"}}}}"#, json!(["alpha"])),
        (r#"{people: {none: {name: {eq: "Cid"}}}}"#, json!(["alpha", "beta"])),
        (r#"{people: {single: {name: {contains: "n"}}}}"#, json!(["alpha"])),
        (r#"{staff: {all: {name: {contains: "n"}}}}"#, json!([])),
        (r#"{peopleConnection: {some: {edge: {share: {gte: 40}}}}}"#, json!(["alpha"])),
        (r#"{peopleConnection: {none: {edge: {share: {eq: 100}}}}}"#, json!(["alpha", "beta"])),
    ];
    for tenant in TENANTS {
        for (query, expected) in &asked {
            let data = world.data(&guest(tenant), query).await;
            let firms = data["firms"].as_array().unwrap().iter();
            let ids = |firm: &Json| firm["people"].as_array().unwrap().iter().map(|p| p["id"].clone()).collect();
            assert_eq!(Json::Array(firms.map(ids).collect()), *expected, "{query}");
        }
        for (query, expected) in &counted {
            let data = world.data(&guest(tenant), &format!("{{ it: {query} }}")).await;
            assert_eq!(data["it"], *expected, "{query}");
        }
        for (condition, expected) in &conditions {
            let query = format!("{{ firms(where: {condition}, sort: [{{id: ASC}}]) {{ id }} }}");
            let data = world.data(&guest(tenant), &query).await;
            let ids: Vec<_> = data["firms"].as_array().unwrap().iter().map(|firm| firm["id"].clone()).collect();
            assert_eq!(Json::Array(ids), *expected, "{query}");
        }
        let all = world.data(&hr(tenant), "{ firms(sort: [{id: ASC}]) { staff(sort: [{id: ASC}]) { id } } }").await;
        assert_eq!(all["firms"][1]["staff"], json!([{"id": "ann"}, {"id": "cid"}]));
    }
}

#[tokio::test]
async fn as_records_relationships_follow_their_rules_too() {
    let world = work().await;
    let query = "{ relationships(limit: 20) { type from { id } to { id } } relationshipsConnection { totalCount } }";
    for tenant in TENANTS {
        let seen = world.data(&guest(tenant), query).await;
        let pairs = |data: &Json| {
            let all = data["relationships"].as_array().unwrap().iter();
            let mut all: Vec<_> = all
                .map(|one| format!("{}-{}", one["from"]["id"].as_str().unwrap(), one["to"]["id"].as_str().unwrap()))
                .collect();
            all.sort();
            all
        };
        assert_eq!(pairs(&seen), ["ann-alpha", "beta-alpha", "bob-alpha"]);
        assert_eq!(seen["relationshipsConnection"]["totalCount"], 3);
        let all = world.data(&hr(tenant), query).await;
        assert_eq!(pairs(&all), ["ann-alpha", "ann-beta", "beta-alpha", "bob-alpha", "cid-beta"]);
        // Where a property may not be read, neither may all of them at once.
        let (data, errors) = world.run(&guest(tenant), "{ relationships { type properties } }", json!({})).await;
        for one in data["relationships"].as_array().unwrap() {
            assert_eq!(one["properties"].is_null(), one["type"] == "WORKS_AT", "{one}");
        }
        assert_eq!(errors.as_array().unwrap().len(), 2, "{errors}");
        let (data, _) = world.run(&hr(tenant), "{ relationships { id properties } }", json!({})).await;
        let late = data["relationships"].as_array().unwrap().iter().filter(|one| one["properties"].is_null());
        assert_eq!(late.count(), 2, "the two shares of 40 and less have a note that may not be read");
    }
}

#[tokio::test]
async fn a_property_of_a_relationship_may_be_hidden_on_some_and_is_used_in_no_other_way_then() {
    let world = work().await;
    let query = "{ firm(id: \"alpha\") { peopleConnection(sort: [{node: {id: ASC}}]) { edges { node { id } properties { share note } } } } }";
    let ways = [
        r#"{ firms(where: {peopleConnection: {some: {edge: {note: {eq: "late"}}}}}) { id } }"#,
        r#"{ firms { peopleConnection(where: {edge: {NOT: {note: {eq: "late"}}}}) { totalCount } } }"#,
        "{ firms { peopleConnection(sort: [{edge: {note: ASC}}]) { edges { node { id } } } } }",
        "{ firms { peopleConnection { aggregate { edge { note { longest } } } } } }",
        "{ firms { peopleConnection { aggregate { edge { salary { max } } } } } }",
        r#"{ people(where: {jobsConnection: {some: {edge: {salary: {gt: 1}}}}}) { id } }"#,
    ];
    for tenant in TENANTS {
        let (data, errors) = world.run(&guest(tenant), query, json!({})).await;
        let edges = &data["firm"]["peopleConnection"]["edges"];
        assert_eq!(edges[0]["properties"], json!({"share": 60, "note": "fine"}));
        assert_eq!(edges[1]["properties"], json!({"share": 30, "note": null}));
        let path = json!(["firm", "peopleConnection", "edges", 1, "properties", "note"]);
        assert_eq!((errors.as_array().unwrap().len(), &errors[0]["path"]), (1, &path), "{errors}");
        assert_eq!(errors[0]["extensions"]["code"], "FORBIDDEN");
        for query in ways {
            assert_eq!(world.code(&guest(tenant), query).await, "FORBIDDEN", "{query}");
        }
        let salaries = "{ firm(id: \"alpha\") { peopleConnection { aggregate { edge { salary { max } } } } } }";
        let data = world.data(&hr(tenant), salaries).await;
        assert_eq!(data["firm"]["peopleConnection"]["aggregate"]["edge"]["salary"]["max"], 20);
    }
}

/// A mutation of the people of a firm.
fn people(firm: &str, update: &str) -> String {
    format!(
        "mutation {{ updateFirms(where: {{id: {{eq: \"{firm}\"}}}}, update: {{people: [{update}]}}) {{
           info {{ relationshipsCreated relationshipsDeleted }} }} }}"
    )
}

async fn shares(world: &World, tenant: &str) -> Json {
    let query = "{ firms(sort: [{id: ASC}]) { peopleConnection(sort: [{node: {id: ASC}}]) { edges { node { id } properties { share } } } } }";
    let data = world.data(&operator(tenant), query).await;
    let firms = data["firms"].as_array().unwrap().iter();
    let of = |firm: &Json| -> Json {
        let edges = firm["peopleConnection"]["edges"].as_array().unwrap().iter();
        edges.map(|edge| json!([edge["node"]["id"], edge["properties"]["share"]])).collect()
    };
    firms.map(of).collect()
}

#[tokio::test]
async fn rules_on_relationships_are_asked_when_they_are_made_changed_and_removed() {
    let world = work().await;
    for tenant in TENANTS {
        let before = shares(&world, tenant).await;
        assert_eq!(before, json!([[["ann", 60], ["bob", 30]], [["ann", 40], ["cid", 100]]]));
        let refused = [
            // What is made, and what is changed, must be as `validate` asks, whoever does it.
            (
                hr(tenant),
                people("beta", r#"{connect: [{where: {node: {id: {eq: "bob"}}}, edge: {public: true, share: 101}}]}"#),
            ),
            (
                hr(tenant),
                people("beta", r#"{create: [{node: {id: "dan", name: "Dan"}, edge: {public: true, share: 101}}]}"#),
            ),
            (hr(tenant), people("alpha", r#"{update: {where: {node: {id: {eq: "ann"}}}, edge: {share: {set: 101}}}}"#)),
            (hr(tenant), people("alpha", r#"{update: {where: {node: {id: {eq: "ann"}}}, edge: {share: {add: 41}}}}"#)),
            // What is removed must have been so.
            (hr(tenant), people("beta", r#"{disconnect: [{where: {node: {id: {eq: "cid"}}}}]}"#)),
            // A property that is not for the caller is not set either, and what they may not read is no beginning.
            (
                guest(tenant),
                people("alpha", r#"{update: {where: {node: {id: {eq: "ann"}}}, edge: {salary: {set: 1}}}}"#),
            ),
            (
                guest(tenant),
                people("alpha", r#"{update: {where: {node: {id: {eq: "ann"}}}, edge: {salary: {add: 1}}}}"#),
            ),
            (
                guest(tenant),
                people("beta", r#"{connect: [{where: {node: {id: {eq: "bob"}}}, edge: {public: true, salary: 5}}]}"#),
            ),
            // One that is hidden is not connected over.
            (guest(tenant), people("beta", r#"{connect: [{where: {node: {id: {eq: "ann"}}}, edge: {public: true}}]}"#)),
        ];
        for (who, mutation) in &refused {
            assert_eq!(world.code(who, mutation).await, "FORBIDDEN", "{mutation}");
        }
        // What is hidden is not there to be changed or removed.
        for update in [
            r#"{update: {where: {node: {id: {eq: "ann"}}}, edge: {share: {set: 1}}}}"#,
            r#"{update: {edge: {share: {set: 1}}}}"#,
            r#"{disconnect: [{where: {node: {id: {eq: "ann"}}}}]}"#,
            "{disconnect: [{where: {}}]}",
            r#"{delete: [{where: {node: {id: {eq: "cid"}}}}]}"#,
        ] {
            let data = world.data(&guest(tenant), &people("beta", update)).await;
            let info = json!({"relationshipsCreated": 0, "relationshipsDeleted": 0});
            assert_eq!(data["updateFirms"]["info"], info, "{update}");
        }
        assert_eq!(shares(&world, tenant).await, before, "nothing was done");
        // And what is allowed is done.
        let made = people("beta", r#"{connect: [{where: {node: {id: {eq: "bob"}}}, edge: {public: true, share: 5}}]}"#);
        let data = world.data(&guest(tenant), &made).await;
        assert_eq!(data["updateFirms"]["info"]["relationshipsCreated"], 1);
        world.data(&guest(tenant), &people("beta", r#"{update: {edge: {share: {add: 1}}}}"#)).await;
        world
            .data(
                &hr(tenant),
                &people("beta", r#"{connect: [{where: {node: {id: {eq: "ann"}}}, edge: {public: false, share: 41}}]}"#),
            )
            .await;
        world.data(&hr(tenant), &people("alpha", r#"{disconnect: [{where: {node: {id: {eq: "ann"}}}}]}"#)).await;
        let after = json!([[["bob", 30]], [["ann", 41], ["bob", 6], ["cid", 100]]]);
        assert_eq!(shares(&world, tenant).await, after);
    }
}

#[tokio::test]
async fn what_a_removed_node_takes_along_is_told_as_far_as_it_is_seen() {
    let world = work().await;
    for tenant in TENANTS {
        let gone = "mutation { deleteFirms(where: {id: {eq: \"beta\"}}) { nodesDeleted relationshipsDeleted } }";
        let data = world.data(&guest(tenant), gone).await;
        assert_eq!(data["deleteFirms"], json!({"nodesDeleted": 1, "relationshipsDeleted": 1}), "only the partner");
        let data = world.data(&guest(tenant), &gone.replace("beta", "alpha")).await;
        assert_eq!(data["deleteFirms"], json!({"nodesDeleted": 1, "relationshipsDeleted": 2}));
    }
}

#[tokio::test]
async fn whether_a_relationship_is_made_or_changed_is_told_by_what_is_there() {
    let world = World::of(
        r#"
        type Box @node { id: ID! notes: [Note!]! @relationship(type: "HAS", direction: OUT, properties: "Link") }
        type Note @node { id: ID! boxes: [Box!]! @relationship(type: "HAS", direction: IN, properties: "Link") }
        type Link @relationshipProperties
          @role(anyOf: ["maker"], operations: [CREATE_RELATIONSHIP])
          @role(anyOf: ["changer"], operations: [UPDATE])
          @authentication(operations: [CREATE_RELATIONSHIP, UPDATE, DELETE_RELATIONSHIP])
          @authorization(validate: [
            { operations: [UPDATE], when: [BEFORE], where: { edge: { open: { eq: true } } } }
            { operations: [CREATE_RELATIONSHIP], where: { NOT: { edge: { open: { eq: null } } } } }
          ]) {
          open: Boolean
          text: String
        }
        "#,
    )
    .await;
    let mutation = |update: &str| {
        format!(
            "mutation {{ updateBoxes(where: {{id: {{eq: \"b\"}}}}, update: {{notes: [{update}]}}) {{ info {{ relationshipsCreated }} }} }}"
        )
    };
    let connect = |note: &str, edge: &str| {
        mutation(&format!("{{connect: [{{where: {{node: {{id: {{eq: \"{note}\"}}}}}}, edge: {{{edge}}}}}]}}"))
    };
    for tenant in TENANTS {
        let fill = r#"mutation { createNotes(input: [{id: "n3"}, {id: "n4"}]) { info { nodesCreated } }
          createBoxes(input: [{id: "b", notes: {create: [{node: {id: "n1"}, edge: {open: true}}, {node: {id: "n2"}, edge: {open: false}}]}}]) { info { nodesCreated } } }"#;
        world.data(&operator(tenant), fill).await;
        let [maker, changer] = ["maker", "changer"].map(|role| principal(tenant, json!({"sub": "x", "roles": [role]})));
        let nobody = Principal { subject: None, ..principal(tenant, json!({})) };
        let open = "open: true";
        let change = mutation(r#"{update: {where: {node: {id: {eq: "n1"}}}, edge: {text: {set: "x"}}}}"#);
        let codes = [
            (&maker, connect("n3", open), "no error"),
            (&maker, connect("n1", open), "FORBIDDEN"),
            (&maker, connect("n4", "text: \"x\""), "FORBIDDEN"),
            (&maker, change.clone(), "FORBIDDEN"),
            (&changer, connect("n4", open), "FORBIDDEN"),
            (&changer, connect("n1", open), "no error"),
            (&changer, connect("n2", open), "FORBIDDEN"),
            (&changer, change.clone(), "no error"),
            (&nobody, connect("n1", open), "UNAUTHENTICATED"),
            (&nobody, connect("n4", open), "UNAUTHENTICATED"),
            (&nobody, change.clone(), "UNAUTHENTICATED"),
            (&nobody, mutation(r#"{disconnect: [{where: {node: {id: {eq: "n1"}}}}]}"#), "UNAUTHENTICATED"),
        ];
        for (who, mutation, code) in &codes {
            assert_eq!(world.code(who, mutation).await, *code, "{mutation} by {:?}", who.claims);
        }
        // What is removed and made in one change is made: the value of the one before is not its own.
        let again = mutation(
            r#"{disconnect: [{where: {node: {id: {eq: "n1"}}}}], connect: [{where: {node: {id: {eq: "n1"}}}, edge: {text: "y"}}]}"#,
        );
        assert_eq!(world.code(&maker, &again).await, "FORBIDDEN");
        assert_eq!(world.code(&maker, &again.replace("text: \"y\"", open)).await, "no error");
        // The same with the node at its end.
        let again = mutation(
            r#"{delete: [{where: {node: {id: {eq: "n3"}}}}], create: [{node: {id: "n3"}, edge: {text: "y"}}]}"#,
        );
        assert_eq!(world.code(&maker, &again).await, "FORBIDDEN");
    }
}

#[tokio::test]
async fn a_rule_on_a_type_that_follows_a_relationship_looks_at_its_properties_in_writing_too() {
    let world = World::of(
        r#"
        type Box @node @authorization(validate: [{ operations: [CREATE, CREATE_RELATIONSHIP], when: [AFTER], where: { node: { notesConnection: { some: { edge: { main: { eq: true } } } } } } }]) {
          id: ID!
          notes: [Note!]! @relationship(type: "HAS", direction: OUT, properties: "Link")
        }
        type Note @node { id: ID! }
        type Link @relationshipProperties { main: Boolean! }
        "#,
    )
    .await;
    let make = |main: bool| {
        format!(
            "mutation {{ createBoxes(input: [{{id: \"b\", notes: {{create: [{{node: {{id: \"n\"}}, edge: {{main: {main}}}}}]}}}}]) {{ info {{ nodesCreated }} }} }}"
        )
    };
    for tenant in TENANTS {
        assert_eq!(world.code(&guest(tenant), &make(false)).await, "FORBIDDEN");
        assert_eq!(world.code(&guest(tenant), &make(true)).await, "no error");
        let connect = |main: bool, note: &str| {
            format!(
                "mutation {{ updateBoxes(where: {{id: {{eq: \"b\"}}}}, update: {{notes: [{{{note}, edge: {{main: {main}}}}}]}}]}}) {{ info {{ relationshipsCreated }} }} }}"
            )
        };
        let another = |main| connect(main, r#"create: [{node: {id: "m"}"#);
        let same = |main| connect(main, r#"connect: [{where: {node: {id: {eq: "n"}}}"#);
        assert_eq!(world.code(&guest(tenant), &same(false)).await, "FORBIDDEN", "it was the only one");
        assert_eq!(world.code(&guest(tenant), &another(false)).await, "no error", "the other one is still there");
        assert_eq!(world.code(&guest(tenant), &same(true)).await, "no error");
    }
}
