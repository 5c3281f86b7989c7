//! Walks of two and three steps over many relationships: the engine, from the query's text to the answer's bytes, against the statement
//! that somebody would write by hand for the same answer, run through `sqlx` on connections like the store's.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json};
use sqlx::{AssertSqlSafe, query_scalar};

use super::data::{Keys, people, readers};
use super::load::percentile;
use super::report::table;

/// Runs the comparison.
pub async fn measure(file: &Path, relationships: u64, walks: u64) {
    let begun = Instant::now();
    let world = people(file, relationships).await;
    eprintln!("{relationships} relationships are there after {:?}", begun.elapsed());
    let mut keys = Keys::open(file).await;
    let (tenant, person, knows) = (keys.tenant, keys.kind(0, "Person").await, keys.kind(2, "KNOWS").await);
    let pool = readers(file).await;
    let mut rows = Vec::new();
    for steps in [2, 3] {
        let query = format!("query Walk($id: ID!) {{ person(id: $id) {{ id {} }} }}", selection(steps));
        let statement = format!(
            "SELECT json_object('data', json_object('person', (SELECT json_object('id', n.id, {}) FROM node AS n \
             WHERE n.tenant = ?1 AND n.kind = {person} AND n.id = ?2)))",
            nested(steps, "n", knows)
        );
        let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
        for walk in 0..walks {
            let id = format!("p{}", walk * 7_919_011 % (relationships / 10));
            let variables = Map::from_iter([("id".to_owned(), Json::from(id.clone()))]);
            let ask_engine = async {
                let begun = Instant::now();
                let answer = world.answer(&query, &variables).await;
                (begun.elapsed(), answer)
            };
            let ask_by_hand = async {
                let begun = Instant::now();
                let text = query_scalar::<_, String>(AssertSqlSafe(statement.clone())).bind(tenant).bind(&id);
                let text = text.fetch_one(&pool).await.expect("the statement runs");
                (begun.elapsed(), text)
            };
            // Who comes second finds the pages in the processor's caches.
            let ((took, answer), (took_by_hand, text)) = if walk % 2 == 0 {
                let first = ask_engine.await;
                (first, ask_by_hand.await)
            } else {
                let first = ask_by_hand.await;
                (ask_engine.await, first)
            };
            ours.push(took);
            by_hand.push(took_by_hand);
            if walk % 100 < 2 {
                let (a, b): (Json, Json) = (parsed(&answer.body), parsed(text.as_bytes()));
                assert!(a == b, "the answers differ: {a}");
            }
        }
        ours.sort_unstable();
        by_hand.sort_unstable();
        let ratio = percentile(&ours, 50) / percentile(&by_hand, 50);
        rows.push(row(steps, &format!("**{ratio:.2}**"), "engine", &ours));
        rows.push(row(steps, "1", "by hand", &by_hand));
    }
    let head = ["steps", "ratio of p50", "who", "p50 ms", "p99 ms"];
    table(&format!("{relationships} relationships, {walks} walks from different nodes, one at a time"), &head, &rows);
}

fn row(steps: usize, ratio: &str, who: &str, times: &[Duration]) -> Vec<String> {
    let at = |percent| format!("{:.3}", percentile(times, percent));
    vec![steps.to_string(), ratio.into(), who.into(), at(50), at(99)]
}

fn selection(steps: usize) -> String {
    if steps == 0 { String::new() } else { format!("knows(limit: 50) {{ id {} }}", selection(steps - 1)) }
}

/// The people that one knows, by id, at most fifty, as a member of an object.
fn nested(steps: usize, from: &str, knows: i64) -> String {
    let to = format!("{from}{steps}");
    let inner = if steps > 1 { format!(", {}", nested(steps - 1, &to, knows)) } else { String::new() };
    format!(
        "'knows', (SELECT json_group_array(json_object('id', {to}.id{inner})) FROM (SELECT m.rid, m.id FROM edge AS e \
         CROSS JOIN node AS m ON m.rid = e.dst WHERE e.tenant = ?1 AND e.kind = {knows} AND e.src = {from}.rid \
         ORDER BY m.id LIMIT 50) AS {to})"
    )
}

fn parsed(body: &[u8]) -> Json {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}
