//! Search by meaning and words, joined to graph and rows, under the rules. The model of these tests counts letters.

use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin, principal};
use crate::contract;

/// Documents with passages that mention devices, and summaries of facilities.
async fn library() -> World {
    let world = World::filled().await;
    for tenant in TENANTS {
        let documents = r#"mutation($own: String!) { createDocuments(input: [
            { id: "p1", title: "Frost", text: "t", chunks: { create: [
                { node: { id: "p1#0", text: "defrost the freezer every night", index: 0, start: 0, end: 10, mentions: { connect: [{ where: { node: { id: { in: ["d1", "d4"] } } } }] } } }
                { node: { id: "p1#1", text: "zzz", index: 1, start: 10, end: 20 } }] } }
            { id: "p2", title: "Keys", text: "t", chunks: { create: [{ node: { id: "p2#0", text: $own, index: 0, start: 0, end: 5 } }] } }
        ]) { info { nodesCreated } } }"#;
        let own = format!("{tenant} keeps its keys in a box");
        let (data, errors) = world.run(&admin(tenant), documents, json!({ "own": own })).await;
        assert_eq!((&errors, &data["createDocuments"]["info"]["nodesCreated"]), (&Json::Null, &json!(5)));
    }
    world.embedded().await;
    world
}

#[tokio::test]
async fn one_request_walks_from_meaning_to_passages_documents_entities_and_rows() {
    let world = library().await;
    let query = r#"query($first: Int!) { search(query: "defrost the freezer every night", types: [Chunk], first: $first) {
        score legs { leg rank } node { __typename id ... on Chunk { document { title } mentions(sort: [{id: ASC}]) {
            id ... on Device { name facility { name contracts { supplier facility { id } } } } } } } } }"#;
    for tenant in TENANTS {
        let (few, counts_of_few) = world.body(&admin(tenant), query, json!({"first": 1})).await;
        let (many, counts_of_many) = world.body(&admin(tenant), query, json!({"first": 3})).await;
        let hit = &few["data"]["search"][0];
        assert_eq!(hit["legs"], json!([{"leg": "DENSE", "rank": 1}, {"leg": "TEXT", "rank": 1}]), "{few}");
        assert_eq!(hit["score"], json!(2.0 / 61.0));
        let north = json!({"name": "North", "contracts": [{"supplier": "Frost", "facility": {"id": "f1"}}, {"supplier": "Ice", "facility": {"id": "f1"}}]});
        let south = json!({"name": "South", "contracts": [{"supplier": "Frost", "facility": {"id": "f2"}}]});
        assert_eq!(
            hit["node"],
            json!({"__typename": "Chunk", "id": "p1#0", "document": {"title": "Frost"}, "mentions": [
                {"id": "d1", "name": "Alpha", "facility": north}, {"id": "d1"}, {"id": "d4", "name": "Delta", "facility": south}]})
        );
        assert_eq!(many["data"]["search"].as_array().map(Vec::len), Some(3));
        // Signs of vectors, then the nearest; words, hits with all that hangs on them, facilities of contracts; contracts. Where vectors
        // know no records, those are asked as well which of the nearest may be found.
        assert_eq!(counts_of_few, [3 + u64::from(contract::on_servers()), 1, 2]);
        assert_eq!(counts_of_few, counts_of_many, "the number of statements does not depend on the number of rows");
    }
}

#[tokio::test]
async fn hostile_57_nothing_hidden_or_of_another_tenant_is_found() {
    let world = library().await;
    for (tenant, other) in [("alpha", "beta"), ("beta", "alpha")] {
        let eu = principal(tenant, json!({"regions": ["EU"]}));
        let similar = r#"{ x: facilitiesSimilar(query: "a warm place in the south", first: 9) { score node { id } } }"#;
        let ids =
            |data: &Json| data["x"].as_array().unwrap().iter().map(|hit| hit["node"]["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&world.data(&admin(tenant), similar).await), ["f2", "f1"]);
        assert_eq!(ids(&world.data(&eu, similar).await), ["f1"], "the rule acts before the limit");
        for filter in
            [r#"{id: {eq: "f2"}}"#, r#"{OR: [{region: {eq: "US"}}, {id: {eq: "f2"}}]}"#, r#"{NOT: {id: {eq: "f1"}}}"#]
        {
            let query =
                format!("{{ x: facilitiesSimilar(query: \"south\", where: {filter}, first: 9) {{ node {{ id }} }} }}");
            assert!(ids(&world.data(&eu, &query).await).is_empty(), "{filter}");
            assert_eq!(ids(&world.data(&admin(tenant), &query).await), ["f2"], "{filter}");
        }
        assert_eq!(world.code(&eu, "{ facilitiesSimilar(id: \"f2\") { score } }").await, "NOT_FOUND");
        let words = format!(
            "{{ x: search(query: \"{other}\", first: 9) {{ legs {{ leg }} node {{ ... on Chunk {{ text }} }} }} }}"
        );
        let found = world.data(&admin(tenant), &words).await.to_string();
        assert!(!found.contains(other) && !found.contains("TEXT"), "{found}");
    }
}

#[tokio::test]
async fn filters_act_before_the_limit_and_wrong_questions_are_refused() {
    let world = library().await;
    for tenant in TENANTS {
        let who = admin(tenant);
        let query = r#"{ search(query: "defrost the freezer every night", types: [Chunk], where: {chunk: {document: {title: {eq: "Keys"}}}}, first: 1) { node { id } } }"#;
        assert_eq!(world.data(&who, query).await["search"], json!([{"node": {"id": "p2#0"}}]));
        let near = r#"{ facilitiesSimilar(id: "f1", first: 1) { node { id } } }"#;
        assert_eq!(
            world.data(&who, near).await["facilitiesSimilar"],
            json!([{"node": {"id": "f2"}}]),
            "not the record itself"
        );
        for (query, code) in [
            ("{ facilitiesSimilar(first: 1) { score } }", "BAD_USER_INPUT"),
            ("{ facilitiesSimilar(query: \"a\", id: \"f1\") { score } }", "BAD_USER_INPUT"),
            ("{ facilitiesSimilar(vector: [1, 2]) { score } }", "BAD_USER_INPUT"),
            ("{ search(query: \"a\", first: 100000) { score } }", "PAGE_TOO_LARGE"),
        ] {
            assert_eq!(world.code(&who, query).await, code, "{query}");
        }
        for odd in ["", "\\\"", "AND OR NOT", "a* (b", "text: x", "'; DROP TABLE node; --"] {
            world.data(&who, &format!("{{ search(query: \"{odd}\", first: 2) {{ score }} }}")).await;
        }
    }
}

#[tokio::test]
async fn what_is_changed_is_found_by_its_new_text_and_what_is_deleted_not_at_all() {
    let world = library().await;
    for tenant in TENANTS {
        let change = r#"mutation { updateChunks(where: {id: {eq: "p2#0"}}, update: {text: {set: "violet umbrellas"}}) { info { nodesCreated } }
                                   deleteChunks(where: {id: {eq: "p1#0"}}) { nodesDeleted } }"#;
        world.data(&admin(tenant), change).await;
    }
    world.embedded().await;
    for tenant in TENANTS {
        let found = world
            .data(
                &admin(tenant),
                "{ search(query: \"violet umbrellas\", first: 9, types: [Chunk]) { legs { leg rank } node { id } } }",
            )
            .await;
        assert_eq!(
            found["search"][0],
            json!({"legs": [{"leg": "DENSE", "rank": 1}, {"leg": "TEXT", "rank": 1}], "node": {"id": "p2#0"}})
        );
        assert!(!found.to_string().contains("p1#0"));
    }
}
