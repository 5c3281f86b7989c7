//! Rules at their edges: claims that are absent, properties of relationships, keys of joins.

use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin, principal};

/// Ids of the records that a query under the alias `x` brings.
async fn ids(world: &World, who: &quipu_resolvers::guard::Principal, query: &str) -> Json {
    let data = world.data(who, query).await;
    data["x"].as_array().unwrap().iter().map(|record| record["id"].clone()).collect()
}

#[tokio::test]
async fn what_is_unknown_for_want_of_a_claim_lets_nothing_through_also_when_it_is_negated() {
    let rules = [
        "{ NOT: { node: { OR: [{ owner: { eq: \"$jwt.sub\" } }, { open: { eq: true } }] } } }",
        "{ node: { notes: { none: { OR: [{ owner: { eq: \"$jwt.sub\" } }, { owner: { eq: \"eve\" } }] } } } }",
        "{ node: { NOT: { notes: { some: { OR: [{ owner: { eq: \"$jwt.sub\" } }, { owner: { eq: \"eve\" } }] } } } } }",
    ];
    for rule in rules {
        let world = World::of(&format!(
            "type Box @node @authorization(filter: [{{ operations: [READ], where: {rule} }}]) {{
               id: ID! owner: String open: Boolean
               notes: [Note!]! @relationship(type: \"HAS\", direction: OUT)
             }}
             type Note @node {{ id: ID! owner: String }}"
        ))
        .await;
        for tenant in TENANTS {
            let fill = r#"mutation { createBoxes(input: [{id: "b1", owner: "bob", open: false, notes: {create: [{node: {id: "n1", owner: "bob"}}]}}, {id: "b2", owner: "ann", open: false, notes: {create: [{node: {id: "n2", owner: "ann"}}]}}]) { info { nodesCreated } } }"#;
            world.data(&admin(tenant), fill).await;
            let boxes = "{ x: boxes { id } }";
            let ann = principal(tenant, json!({"sub": "ann"}));
            assert_eq!(ids(&world, &ann, boxes).await, json!(["b1"]), "{rule}");
            let nobody = principal(tenant, json!({}));
            assert_eq!(ids(&world, &nobody, boxes).await, json!([]), "{rule}");
        }
    }
}

#[tokio::test]
async fn a_claim_that_is_asked_for_by_what_it_is_not_has_to_be_there() {
    let world = World::of(
        "type Box @node @authentication(operations: [READ], jwt: { NOT: { kind: { eq: \"guest\" } } }) { id: ID! }",
    )
    .await;
    for tenant in TENANTS {
        for (claims, code) in
            [(json!({"kind": "staff"}), "no error"), (json!({"kind": "guest"}), "FORBIDDEN"), (json!({}), "FORBIDDEN")]
        {
            assert_eq!(world.code(&principal(tenant, claims.clone()), "{ boxes { id } }").await, code, "{claims}");
        }
    }
}

#[tokio::test]
async fn a_property_of_a_relationship_that_asks_for_claims_is_used_in_no_way_without_them() {
    let world = World::of(
        "type Box @node { id: ID! notes: [Note!]! @relationship(type: \"HAS\", direction: OUT, properties: \"Link\") }
         type Note @node { id: ID! }
         type Link @relationshipProperties { at: Int since: Int @authentication(operations: [READ], jwt: { roles: { includes: \"admin\" } }) }",
    )
    .await;
    let list = |inner: &str| format!("{{ boxes {{ {inner} }} }}");
    let ways = [
        list("notesConnection { edges { properties { since } } }"),
        list("notesConnection(where: {edge: {since: {gt: 1}}}) { totalCount }"),
        list("notesConnection(sort: [{edge: {since: ASC}}]) { edges { node { id } } }"),
        list("notesConnection { aggregate { edge { since { max } } } }"),
        "{ boxes(where: {notesConnection: {some: {edge: {since: {gt: 1}}}}}) { id } }".to_owned(),
        "{ relationships { properties } }".to_owned(),
    ];
    for tenant in TENANTS {
        let fill = r#"mutation { createBoxes(input: [{id: "b1", notes: {create: [{node: {id: "n1"}, edge: {at: 1, since: 2}}]}}]) { info { nodesCreated } } }"#;
        world.data(&admin(tenant), fill).await;
        let other = principal(tenant, json!({}));
        for query in &ways {
            assert_eq!(world.code(&admin(tenant), query).await, "no error", "{query}");
            assert_eq!(world.code(&other, query).await, "FORBIDDEN", "{query}");
        }
        world.data(&other, &list("notesConnection { edges { properties { at } } }")).await;
        world.data(&other, "{ relationships { id type } }").await;
    }
}

#[tokio::test]
async fn who_may_not_read_the_key_of_a_join_cannot_follow_it() {
    let world = World::of(
        "type Paper @table(name: \"papers\") {
           id: ID!
           place_id: ID @authorization(filter: [{ operations: [READ], where: { jwt: { roles: { includes: \"admin\" } } } }])
           place: Place @join(by: \"place_id\")
         }
         type Place @table(name: \"places\") { id: ID! papers: [Paper!]! @join(on: \"place_id\") box: [Box!]! @join(on: \"place_id\") }
         type Box @node {
           id: ID!
           place_id: ID @authorization(filter: [{ operations: [READ], where: { jwt: { roles: { includes: \"admin\" } } } }])
           place: Place @join(by: \"place_id\")
         }",
    )
    .await;
    for tenant in TENANTS {
        let fill = r#"mutation { createPlaces(input: [{id: "p1"}]) { info { nodesCreated } }
            createPapers(input: [{id: "x1", place_id: "p1"}]) { info { nodesCreated } }
            createBoxes(input: [{id: "b1", place_id: "p1"}]) { info { nodesCreated } } }"#;
        world.data(&admin(tenant), fill).await;
        for query in [
            "{ papers { place { id } } }",
            "{ papers(where: {place: {id: {eq: \"p1\"}}}) { id } }",
            "{ places { papers { id } } }",
            "{ places(where: {papers: {some: {id: {eq: \"x1\"}}}}) { id } }",
            "{ boxes { place { id } } }",
            "{ boxes(where: {place: {id: {eq: \"p1\"}}}) { id } }",
            "{ places { box { id } } }",
            "{ places(where: {box: {none: {id: {eq: \"b1\"}}}}) { id } }",
        ] {
            assert_eq!(world.code(&admin(tenant), query).await, "no error", "{query}");
            assert_eq!(world.code(&principal(tenant, json!({})), query).await, "FORBIDDEN", "{query}");
        }
    }
}

#[tokio::test]
async fn a_row_without_a_key_has_no_related_record_whichever_store_that_is_in() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let who = admin(tenant);
        world
            .data(
                &who,
                r#"mutation { createContracts(input: [{id: "c9", supplier: "None"}]) { info { nodesCreated } } }"#,
            )
            .await;
        let query = "{ x: contracts(where: {NOT: {facility: {region: {eq: \"US\"}}}}) { id } }";
        assert_eq!(ids(&world, &who, query).await, json!(["c1", "c2", "c9"]));
    }
}

#[tokio::test]
async fn a_deletion_tells_of_no_relationships_to_what_is_hidden() {
    let world = World::of(
        "type Box @node { id: ID! notes: [Note!]! @relationship(type: \"HAS\", direction: OUT) next: [Box!]! @relationship(type: \"NEXT\", direction: OUT) }
         type Note @node @authorization(filter: [{ where: { node: { owner: { eq: \"$jwt.sub\" } } } }]) {
           id: ID! owner: String! box: [Box!]! @relationship(type: \"HAS\", direction: IN)
         }
         type Staff @node @authentication { id: ID! boxes: [Box!]! @relationship(type: \"KEEPS\", direction: OUT) }",
    )
    .await;
    for tenant in TENANTS {
        let fill = r#"mutation { createBoxes(input: [
            {id: "b1", notes: {create: [{node: {id: "n1", owner: "ann"}}, {node: {id: "n2", owner: "bob"}}]}, next: {create: [{node: {id: "b2", notes: {connect: [{where: {node: {id: {eq: "n2"}}}}]}}}]}},
            {id: "b3", next: {connect: [{where: {node: {id: {eq: "b3"}}}}]}, notes: {connect: [{where: {node: {id: {eq: "n1"}}}}]}}
          ]) { info { nodesCreated } } }"#;
        let operator = quipu_resolvers::guard::Principal { operator: true, ..admin(tenant) };
        world.data(&operator, fill).await;
        let links = r#"mutation {
            a: updateBoxes(where: {id: {eq: "b3"}}, update: {next: [{connect: [{where: {node: {id: {eq: "b3"}}}}, {where: {node: {id: {eq: "b1"}}}}]}]}) { info { relationshipsCreated } }
            b: updateNotes(where: {id: {eq: "n2"}}, update: {box: [{connect: [{where: {node: {id: {eq: "b2"}}}}]}]}) { info { relationshipsCreated } }
            c: createStaffs(input: [{id: "s1", boxes: {connect: [{where: {node: {id: {eq: "b1"}}}}]}}]) { info { relationshipsCreated } } }"#;
        world.data(&operator, links).await;
        // b1 has n1, n2 (hidden from ann), b2, b3 and a keeper; b2 has b1 and n2.
        let delete = |ids: &str| {
            format!(
                "mutation {{ x: deleteBoxes(where: {{id: {{in: [{ids}]}}}}) {{ nodesDeleted relationshipsDeleted }} }}"
            )
        };
        let ann = principal(tenant, json!({"sub": "ann"}));
        let count = world.data(&ann, &delete(r#""b1", "b2""#)).await["x"].clone();
        assert_eq!(count, json!({"nodesDeleted": 2, "relationshipsDeleted": 4}), "n1, b2, b3 and the keeper");
        // b3 has a relationship to itself, and n1.
        let nobody = quipu_resolvers::guard::Principal { subject: None, ..principal(tenant, json!({})) };
        let count = world.data(&nobody, &delete(r#""b3""#)).await["x"].clone();
        assert_eq!(count, json!({"nodesDeleted": 1, "relationshipsDeleted": 1}), "its own alone");
    }
}

#[tokio::test]
async fn rules_on_aggregating_hold_for_counts_and_figures_and_not_for_lists() {
    let world = World::of(
        "type Box @node @authorization(filter: [{ operations: [AGGREGATE], where: { node: { open: { eq: true } } } }]) {
           id: ID! open: Boolean! size: Int notes: [Note!]! @relationship(type: \"HAS\", direction: OUT)
         }
         type Note @node { id: ID! boxes: [Box!]! @relationship(type: \"HAS\", direction: IN) }",
    )
    .await;
    for tenant in TENANTS {
        let fill = r#"mutation { createBoxes(input: [{id: "b1", open: true, size: 1, notes: {create: [{node: {id: "n1"}}]}}, {id: "b2", open: false, size: 9, notes: {connect: [{where: {node: {id: {eq: "n1"}}}}]}}]) { info { nodesCreated } } }"#;
        world.data(&admin(tenant), fill).await;
        let link = r#"mutation { updateNotes(where: {id: {eq: "n1"}}, update: {boxes: [{connect: [{where: {node: {id: {eq: "b2"}}}}]}]}) { info { relationshipsCreated } } }"#;
        world.data(&admin(tenant), link).await;
        let query = "{ x: boxes { id } notes { boxes { id } boxesConnection { totalCount } } boxesConnection { totalCount aggregate { node { size { max } } } } }";
        let seen = world.data(&admin(tenant), query).await;
        let both = json!([{"id": "b1"}, {"id": "b2"}]);
        assert_eq!((&seen["x"], &seen["notes"][0]["boxes"]), (&both, &both));
        assert_eq!(seen["notes"][0]["boxesConnection"]["totalCount"], 1);
        assert_eq!(seen["boxesConnection"], json!({"totalCount": 1, "aggregate": {"node": {"size": {"max": 1}}}}));
    }
}

#[tokio::test]
async fn what_validate_refuses_to_be_aggregated_is_not_counted() {
    let world = World::of(
        "type Box @node @authorization(validate: [{ operations: [AGGREGATE], where: { node: { open: { eq: true } } } }]) {
           id: ID! open: Boolean!
         }",
    )
    .await;
    for tenant in TENANTS {
        let fill = r#"mutation { createBoxes(input: [{id: "b1", open: true}, {id: "b2", open: false}]) { info { nodesCreated } } }"#;
        world.data(&admin(tenant), fill).await;
        let seen = world.data(&admin(tenant), "{ x: boxes { id } boxesConnection { totalCount } }").await;
        assert_eq!(seen["x"].as_array().unwrap().len(), 2);
        assert_eq!(seen["boxesConnection"]["totalCount"], 1);
    }
}

#[tokio::test]
async fn what_is_removed_and_made_again_in_one_change_has_nothing_of_what_it_was() {
    let world = World::of(
        "type Box @node { id: ID! notes: [Note!]! @relationship(type: \"HAS\", direction: OUT) }
         type Note @node @authorization(validate: [{ operations: [CREATE], where: { node: { open: { eq: true } } } }]) {
           id: ID! open: Boolean
         }",
    )
    .await;
    for tenant in TENANTS {
        let fill = r#"mutation { createBoxes(input: [{id: "b", notes: {create: [{node: {id: "n", open: true}}]}}]) { info { nodesCreated } } }"#;
        world.data(&admin(tenant), fill).await;
        let again = |open: &str| {
            format!(
                "mutation {{ updateBoxes(where: {{id: {{eq: \"b\"}}}}, update: {{notes: [{{delete: [{{where: {{}}}}], create: [{{node: {{id: \"n\"{open}}}}}]}}]}}) {{ info {{ nodesCreated }} }} }}"
            )
        };
        assert_eq!(world.code(&admin(tenant), &again("")).await, "FORBIDDEN");
        assert_eq!(world.code(&admin(tenant), &again(", open: true")).await, "no error");
    }
}

#[tokio::test]
async fn what_validate_refuses_is_no_answer_to_a_condition_either() {
    let world = World::of(
        "type Box @node { id: ID! notes: [Note!]! @relationship(type: \"HAS\", direction: OUT) bills: [Bill!]! @join(on: \"box_id\") }
         type Note @node @authorization(validate: [{ operations: [READ], where: { node: { owner: { eq: \"$jwt.sub\" } } } }]) { id: ID! owner: String! }
         type Bill @table(name: \"bills\") @authorization(validate: [{ operations: [READ], where: { node: { owner: { eq: \"$jwt.sub\" } } } }]) { id: ID! owner: String! box_id: ID }",
    )
    .await;
    for tenant in TENANTS {
        let operator = quipu_resolvers::guard::Principal { operator: true, ..admin(tenant) };
        let fill = r#"mutation {
            createBoxes(input: [{id: "b1", notes: {create: [{node: {id: "n1", owner: "ann"}}]}}, {id: "b2", notes: {create: [{node: {id: "n2", owner: "bob"}}]}}]) { info { nodesCreated } }
            createBills(input: [{id: "c1", owner: "ann", box_id: "b1"}, {id: "c2", owner: "bob", box_id: "b2"}]) { info { nodesCreated } } }"#;
        world.data(&operator, fill).await;
        let ann = principal(tenant, json!({"sub": "ann"}));
        for (query, seen) in [
            (r#"{ x: boxes(where: {notes: {some: {id: {contains: "n"}}}}) { id } }"#, json!(["b1"])),
            (r#"{ x: boxes(where: {notes: {none: {owner: {eq: "bob"}}}}) { id } }"#, json!(["b1", "b2"])),
            (r#"{ x: boxes(where: {bills: {some: {id: {contains: "c"}}}}) { id } }"#, json!(["b1"])),
        ] {
            assert_eq!(ids(&world, &ann, query).await, seen, "{query}");
        }
        assert_eq!(world.code(&ann, "{ boxes { notes { id } } }").await, "FORBIDDEN");
    }
}

#[tokio::test]
async fn a_field_that_asks_for_an_identity_is_refused_without_one() {
    let world =
        World::of("type Box @node { id: ID! lid: String @authentication(jwt: { roles: { includes: \"admin\" } }) }")
            .await;
    for tenant in TENANTS {
        let nobody = quipu_resolvers::guard::Principal { subject: None, ..admin(tenant) };
        for (query, other) in [
            ("{ boxes { lid } }", "FORBIDDEN"),
            ("{ boxes(sort: [{lid: ASC}]) { id } }", "FORBIDDEN"),
            ("{ boxes { id } }", "no error"),
        ] {
            assert_eq!(world.code(&admin(tenant), query).await, "no error");
            assert_eq!(world.code(&principal(tenant, json!({})), query).await, other, "{query}");
            let code = if other == "FORBIDDEN" { "UNAUTHENTICATED" } else { other };
            assert_eq!(world.code(&nobody, query).await, code, "{query}");
        }
    }
}
