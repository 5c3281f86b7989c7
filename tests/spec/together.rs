//! Rules together, changes of many records by a condition, and what looks like a piece of a statement.

use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin, principal};

/// Letters that their owner sees, with a seal that a role reads.
async fn letters() -> World {
    let world = World::of(
        r#"type Letter @node @authorization(filter: [{ where: { node: { owner: { eq: "$jwt.sub" } } } }]) {
             id: ID! owner: String! text: String open: Boolean @default(value: false)
             seal: String @role(anyOf: ["clerk"])
             copies: [Letter!]! @relationship(type: "COPY_OF", direction: IN)
             bills: [Bill!]! @join(on: "letter_id")
           }
           type Bill @table(name: "bills") @authorization(filter: [{ where: { node: { owner: { eq: "$jwt.sub" } } } }]) {
             id: ID! owner: String! letter_id: ID paid: Boolean @default(value: false)
             amount: Int @role(anyOf: ["clerk"])
           }"#,
    )
    .await;
    for tenant in TENANTS {
        let operator = quipu_resolvers::guard::Principal { operator: true, ..admin(tenant) };
        let fill = format!(
            r#"mutation {{
                createLetters(input: [{{id: "1", owner: "ann", text: "{tenant} a", seal: "s1"}}, {{id: "2", owner: "bob", text: "{tenant} b", seal: "s2"}}, {{id: "3", owner: "ann", text: "{tenant} c", seal: "s3"}}]) {{ info {{ nodesCreated }} }}
                createBills(input: [{{id: "1", owner: "ann", letter_id: "1", amount: 1}}, {{id: "2", owner: "bob", letter_id: "1", amount: 2}}]) {{ info {{ nodesCreated }} }} }}"#
        );
        world.data(&operator, &fill).await;
    }
    world
}

/// Everything that is there.
async fn all(world: &World, tenant: &str) -> Json {
    let operator = quipu_resolvers::guard::Principal { operator: true, ..admin(tenant) };
    world
        .data(
            &operator,
            "{ letters(sort: [{id: ASC}]) { id text open seal } bills(sort: [{id: ASC}]) { id paid amount } }",
        )
        .await
}

#[tokio::test]
async fn hostile_61_a_rule_on_a_type_and_one_on_its_field_hold_together() {
    let world = letters().await;
    for tenant in TENANTS {
        let (ann, clerk) = (json!({"sub": "ann", "roles": []}), json!({"sub": "ann", "roles": ["clerk"]}));
        let (ann, clerk) = (principal(tenant, ann), principal(tenant, clerk));
        let query = "{ letters(sort: [{id: ASC}]) { id seal bills { id amount } } }";
        let seen = world.data(&clerk, query).await;
        let bills = json!([{"id": "1", "amount": 1}]);
        assert_eq!(
            seen["letters"],
            json!([{"id": "1", "seal": "s1", "bills": bills}, {"id": "3", "seal": "s3", "bills": []}])
        );
        let (data, errors) = world.run(&ann, query, json!({})).await;
        let bills = json!([{"id": "1", "amount": null}]);
        assert_eq!(
            data["letters"],
            json!([{"id": "1", "seal": null, "bills": bills}, {"id": "3", "seal": null, "bills": []}])
        );
        let paths: Vec<&Json> = errors.as_array().unwrap().iter().map(|error| &error["path"]).collect();
        let expected =
            [json!(["letters", 0, "seal"]), json!(["letters", 0, "bills", 0, "amount"]), json!(["letters", 1, "seal"])];
        assert!(paths.len() == 3 && expected.iter().all(|path| paths.contains(&path)), "{paths:?}");
        // Neither rule opens what the other closes: a record that is not seen is no answer, also to who may read the field.
        for (who, query, seen) in [
            (&clerk, r#"{ x: letters(where: {seal: {eq: "s2"}}) { id } }"#, Some(json!([]))),
            (&clerk, r#"{ x: letters(where: {bills: {some: {amount: {gt: 1}}}}) { id } }"#, Some(json!([]))),
            (&ann, r#"{ x: letters(where: {seal: {eq: "s1"}}) { id } }"#, None),
            (&ann, r#"{ x: letters(where: {bills: {some: {amount: {eq: 1}}}}) { id } }"#, None),
        ] {
            let (data, errors) = world.run(who, query, json!({})).await;
            match seen {
                Some(seen) => assert_eq!((&data["x"], &errors), (&seen, &Json::Null), "{query}"),
                None => assert_eq!(errors[0]["extensions"]["code"], "FORBIDDEN", "{query}"),
            }
        }
    }
}

#[tokio::test]
async fn hostile_62_changes_by_a_condition_reach_what_the_caller_sees_in_their_own_tenant() {
    let world = letters().await;
    let before = [all(&world, TENANTS[0]).await, all(&world, TENANTS[1]).await];
    let ann = principal(TENANTS[0], json!({"sub": "ann", "roles": []}));
    // Without a condition, and by conditions that only hidden records meet.
    for (mutation, count) in [
        (r#"mutation { x: updateLetters(update: {open: {set: true}}) { letters { id } } }"#, 2),
        (
            r#"mutation { x: updateLetters(where: {owner: {eq: "bob"}}, update: {open: {set: true}}) { letters { id } } }"#,
            0,
        ),
        (
            r#"mutation { x: updateLetters(where: {NOT: {owner: {eq: "ann"}}}, update: {open: {set: true}}) { letters { id } } }"#,
            0,
        ),
        (
            r#"mutation { x: updateLetters(where: {bills: {some: {owner: {eq: "bob"}}}}, update: {text: {set: "found"}}) { letters { id } } }"#,
            0,
        ),
        (r#"mutation { x: updateBills(update: {paid: {set: true}}) { letters: bills { id } } }"#, 1),
    ] {
        let done = world.data(&ann, mutation).await;
        assert_eq!(done["x"]["letters"].as_array().unwrap().len(), count, "{mutation}");
    }
    // A field that may not be read is no condition of a change either, nor is it set.
    for mutation in [
        r#"mutation { updateLetters(where: {seal: {eq: "s1"}}, update: {open: {set: false}}) { letters { id } } }"#,
        r#"mutation { deleteLetters(where: {seal: {startsWith: "s"}}) { nodesDeleted } }"#,
        r#"mutation { updateLetters(update: {seal: {set: "mine"}}) { letters { id } } }"#,
        r#"mutation { updateBills(update: {amount: {add: 1}}) { bills { id } } }"#,
    ] {
        assert_eq!(world.code(&ann, mutation).await, "FORBIDDEN", "{mutation}");
    }
    let after = all(&world, TENANTS[0]).await;
    assert_eq!(after["letters"][1], before[0]["letters"][1], "what bob has is as it was");
    assert_eq!(after["bills"][1], before[0]["bills"][1]);
    assert_eq!((&after["letters"][0]["open"], &after["letters"][0]["text"]), (&json!(true), &json!("alpha a")));
    for (mutation, nodes) in
        [("mutation { x: deleteBills { nodesDeleted } }", 1), ("mutation { x: deleteLetters { nodesDeleted } }", 2)]
    {
        assert_eq!(world.data(&ann, mutation).await["x"]["nodesDeleted"], nodes);
    }
    let left = all(&world, TENANTS[0]).await;
    assert_eq!(left, json!({"letters": [before[0]["letters"][1]], "bills": [before[0]["bills"][1]]}));
    assert_eq!(all(&world, TENANTS[1]).await, before[1], "nothing of the other tenant's was touched");
}

/// What would end a text, a name, a comment or a statement of some store.
const PIECES: [&str; 10] = [
    "' OR '1'='1",
    "\"; DROP TABLE node; --",
    "`) DETACH DELETE n //",
    "x' }) RETURN n UNION MATCH (m) RETURN m //",
    "$tenant",
    "$1",
    "?1",
    "\\'; SELECT 1; --",
    "*:* OR id:2~ AND \"",
    "NEAR(a b) ^ -x* {region}",
];

#[tokio::test]
async fn hostile_63_what_looks_like_a_statement_is_a_value() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let who = admin(tenant);
        let count = "{ facilitiesConnection { totalCount } devicesConnection { totalCount } contractsConnection { totalCount } }";
        let before = world.data(&who, count).await;
        for piece in PIECES {
            let variables = json!({ "text": piece });
            for query in [
                "query ($text: ID!) { x: facility(id: $text) { id } }",
                "query ($text: ID!) { x: facilities(where: {id: {eq: $text}}) { id } }",
                "query ($text: String!) { x: facilities(where: {OR: [{name: {eq: $text}}, {name: {contains: $text}}, {region: {in: [$text]}}]}) { id } }",
                "query ($text: String!) { x: contracts(where: {supplier: {startsWith: $text}}) { id } }",
                "query ($text: ID!) { x: facilities(where: {devices: {some: {id: {eq: $text}}}}) { id } }",
                "query ($text: String!) { x: relationships(where: {type: {eq: $text}}) { id } }",
            ] {
                let (data, errors) = world.run(&who, query, variables.clone()).await;
                assert_eq!(errors, Json::Null, "{query} {piece}");
                assert!(data["x"].is_null() || data["x"] == json!([]), "{query} {piece}: {data}");
            }
            let search = "query ($text: String!) { search(query: $text, first: 3) { node { __typename id } } }";
            let (_, errors) = world.run(&who, search, variables.clone()).await;
            assert_eq!(errors, Json::Null, "{piece}");
            // As a value that is written, it comes back as it is.
            let write = "mutation ($text: ID!, $name: String!) { createContracts(input: [{id: $text, supplier: $name}]) { contracts { id supplier } } }";
            let (data, errors) = world.run(&who, write, json!({ "text": piece, "name": piece })).await;
            assert_eq!(errors, Json::Null, "{piece}");
            assert_eq!(data["createContracts"]["contracts"][0], json!({"id": piece, "supplier": piece}));
            let remove = "mutation ($text: ID!) { deleteContracts(where: {id: {eq: $text}}) { nodesDeleted } }";
            let (data, _) = world.run(&who, remove, variables).await;
            assert_eq!(data["deleteContracts"]["nodesDeleted"], 1, "{piece}");
        }
        assert_eq!(world.data(&who, count).await, before, "nothing else was touched");
    }
    // Names come from ontologies alone, which take none that a store would have to quote otherwise.
    for sdl in [
        "type A @node(labels: [\"A`) DETACH DELETE n //\"]) { id: ID! }",
        "type A @node { id: ID! x: String @alias(property: \"x` = 1 //\\u0000\") }",
        "type A @node { id: ID! b: [A!]! @relationship(type: \"B`]->() //\\u0000\", direction: OUT) }",
        "type A @table(name: \"a\\u0000\\\"; DROP TABLE record; --\") { id: ID! }",
    ] {
        if let Ok(ontology) = quipu_schema::compile(sdl) {
            panic!("{sdl} compiles: {:?}", ontology.types.keys().collect::<Vec<_>>());
        }
    }
}
