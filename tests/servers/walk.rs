//! Walks over 200,000 relationships in Neo4j: every answer is what plain Cypher finds. Ten million are for `scripts/bench walk --ten-million`.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::foreign::Foreign;
use super::standing::{data, published};

const PEOPLE: u64 = 20_000;
const RELATIONSHIPS: u64 = 200_000;
const SDL: &str =
    "type Person @node { id: ID!  name: String!  knows: [Person!]! @relationship(type: \"KNOWS\", direction: OUT) }";

/// People without relationships, with more properties than id and name.
async fn people(foreign: &Foreign, count: u64, more: &str) {
    foreign
        .run(&format!(
            "UNWIND range(0, {count} - 1) AS i CALL (i) {{ CREATE (:Person {{id: 'p' + i, name: 'Person ' + i{more}}}) }} \
             IN TRANSACTIONS OF 10000 ROWS"
        ))
        .await;
}

/// The ids along every way of three steps, as `a>b>c>d`.
fn ways(answer: &Json) -> BTreeSet<String> {
    fn along(person: &Json, so_far: &str, all: &mut BTreeSet<String>) {
        let here = format!("{so_far}{}", person["id"].as_str().expect("an id"));
        match person["knows"].as_array() {
            Some(known) => known.iter().for_each(|next| along(next, &format!("{here}>"), all)),
            None => assert!(all.insert(here), "a way is there twice"),
        }
    }
    let mut all = BTreeSet::new();
    along(&answer["person"], "", &mut all);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn walks_over_200_000_relationships() {
    let Some(foreign) = Foreign::empty("servers::walk::walks_over_200_000_relationships").await else { return };
    foreign.run("CREATE CONSTRAINT FOR (n:Person) REQUIRE n.id IS UNIQUE").await;
    people(&foreign, PEOPLE, "").await;
    // Squares modulo a prime spread both ends without order.
    foreign
        .run(&format!(
            "UNWIND range(1, {RELATIONSHIPS}) AS i CALL (i) {{ \
             WITH (i * 48271 + 11) % 2147483647 AS a, (i * 69621 + 11) % 2147483647 AS b \
             MATCH (p:Person {{id: 'p' + (a * a % 2147483647) % {PEOPLE}}}) \
             MATCH (q:Person {{id: 'p' + (b * b % 2147483647) % {PEOPLE}}}) MERGE (p)-[:KNOWS]->(q) }} \
             IN TRANSACTIONS OF 10000 ROWS"
        ))
        .await;
    let there = foreign.texts("MATCH ()-[r:KNOWS]->() RETURN toString(count(r)) AS text").await.remove(0);
    let there: u64 = there.parse().expect("a number");
    assert!(there > RELATIONSHIPS * 9 / 10, "{there} relationships");

    let quipu = published(&foreign, "", SDL);
    let running = quipu.start(&["serve", "--listen", "127.0.0.1:0"]);
    let token = quipu.token("theirs", &["--subject", "ada"]);

    for walk in 0..20 {
        let id = format!("p{}", walk * 7_919 % PEOPLE);
        let query = format!(
            "{{ person(id: \"{id}\") {{ id knows(limit: 50) {{ id knows(limit: 50) {{ id knows(limit: 50) {{ id }} }} }} }} }}"
        );
        let found = ways(&data(&running, &token, &query).await);
        let by_hand = foreign
            .texts(&format!(
                "MATCH (a:Person {{id: '{id}'}})-[:KNOWS]->(b) MATCH (b)-[:KNOWS]->(c) MATCH (c)-[:KNOWS]->(d) \
                 RETURN DISTINCT a.id + '>' + b.id + '>' + c.id + '>' + d.id AS text"
            ))
            .await;
        assert!(by_hand.len() > 100, "{id} leads to {} ways", by_hand.len());
        assert_eq!(found, by_hand.into_iter().collect(), "{id}");
    }
    let counted =
        data(&running, &token, "{ peopleConnection { totalCount } relationshipsConnection { totalCount } }").await;
    assert_eq!(counted["peopleConnection"]["totalCount"], PEOPLE);
    assert_eq!(counted["relationshipsConnection"]["totalCount"], there);
    assert_eq!(running.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_ends_when_indexes_are_filled() {
    let Some(foreign) = Foreign::empty("servers::walk::publishing_ends_when_indexes_are_filled").await else { return };
    people(&foreign, 100_000, ", _tenant: 'theirs'").await;
    published(&foreign, "tenancy = \"property\"\n", &SDL.replace("name: String!", "name: String! @index"));
    let text = "SHOW INDEXES YIELD state, labelsOrTypes, properties, populationPercent WHERE labelsOrTypes = ['Person'] \
                RETURN state + ' ' + toString(toInteger(populationPercent)) + ' ' + last(properties) AS text ORDER BY text";
    assert_eq!(foreign.texts(text).await, ["ONLINE 100 id", "ONLINE 100 name"]);
}
