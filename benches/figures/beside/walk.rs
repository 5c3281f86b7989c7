//! Walks of two and three steps over many relationships in Neo4j, asked through the gateway, through the Neo4j GraphQL Library and by hand.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::graph::{Filling, everybody};
use super::{Question, compare, database, same_answers};

const SDL: &str = include_str!("../../people.graphql");
const TWO: &str = "query Two($id: ID!) { people(where: {id: {eq: $id}}, limit: 1) { id \
    knows(limit: 50, sort: [{id: ASC}]) { id knows(limit: 50, sort: [{id: ASC}]) { id } } } }";
const THREE: &str = "query Three($id: ID!) { people(where: {id: {eq: $id}}, limit: 1) { id knows(limit: 50, sort: [{id: ASC}]) { id \
    knows(limit: 50, sort: [{id: ASC}]) { id knows(limit: 50, sort: [{id: ASC}]) { id } } } } }";

/// Relationships of each person on average.
const EACH: u64 = 10;

/// Runs the comparison on the server at a URL with credentials, over that many relationships; `pid` is its process.
pub async fn measure(directory: &Path, url: &str, pid: Option<u32>, relationships: u64, turns: (usize, Duration)) {
    let begun = Instant::now();
    fill(url, relationships).await;
    eprintln!("{relationships} relationships are there after {:?}", begun.elapsed());
    let questions = [("two", TWO), ("three", THREE)].map(|(name, query)| Question {
        name,
        query,
        variables: (0..1_000).map(|n| json!({"id": format!("p{}", n * 7_919_011 % (relationships / EACH))})).collect(),
    });
    let all = everybody(&directory.join("walk"), url, SDL, &questions);
    let mut persons = Vec::new();
    for at in 0..questions.len() {
        let answer = same_answers(&all, at).await;
        persons.push(answer.to_string().matches("\"id\"").count().to_string());
    }
    let counted = |question: usize, _: &str| persons[question].clone();
    let title = format!("Walks over {relationships} relationships in Neo4j");
    compare(&title, &all, &questions, turns, &database(pid), ("people in one answer", &counted)).await;
}

/// Fills the database, where that was not done before. Squares modulo a prime spread both ends without order; a repeated pair is left out.
async fn fill(url: &str, relationships: u64) {
    let filling = Filling::connect(url);
    filling.run("CREATE CONSTRAINT IF NOT EXISTS FOR (n:Person) REQUIRE n.id IS UNIQUE").await;
    let people = relationships / EACH;
    filling
        .portions(
            "people",
            people,
            "MERGE (n:Person {_tenant: $tenant, id: 'p' + i}) SET n.name = 'Person ' + i",
            people,
        )
        .await;
    filling
        .portions(
            "knows",
            relationships,
            "WITH i, (i * 48271 + 11) % 2147483647 AS a, (i * 69621 + 11) % 2147483647 AS b \
             MATCH (p:Person {id: 'p' + (a * a % 2147483647) % $count}) \
             MATCH (q:Person {id: 'p' + (b * b % 2147483647) % $count}) \
             MERGE (p)-[r:KNOWS {_tenant: $tenant, _key: ''}]->(q)",
            people,
        )
        .await;
    let held = filling.count("MATCH (n:Person) RETURN count(n) AS count").await;
    assert_eq!(held, people, "the database holds something else");
}
