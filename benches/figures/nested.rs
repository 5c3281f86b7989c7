//! Ten facilities of a region by name, five devices of each by a property of the relationship, three alerts of each by severity, over
//! HTTP: the gateway against the same answer written by hand, turn by turn.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::data::{REGIONS, chain};
use super::load::{self, Load, request, run};
use super::process::Process;
use super::report::{median, table};
use super::servers::token;

const QUERY: &str = include_str!("../nested.graphql");

struct Turn {
    load: Load,
    cpu: f64,
}

/// Runs the comparison.
pub async fn measure(file: &Path, turns: usize, span: Duration) {
    drop(chain(file).await);
    let (ours, by_hand) = (Process::start("serve-ours", file), Process::start("serve-by-hand", file));
    let token = token();
    let regions = (0..REGIONS).map(|n| format!("region-{n}"));
    let (mut queries, mut calls) = (Vec::new(), Vec::new());
    for region in regions {
        let body = json!({"query": QUERY, "variables": {"region": region}}).to_string();
        queries.push(request("/graphql", Some(&token), &body));
        calls.push(request("/nested", None, &json!({"region": region}).to_string()));
    }
    let bytes = same_answers(&ours, &queries, &by_hand, &calls).await;
    let mut rows = Vec::new();
    for clients in [1, 16] {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            a.push(turn(&ours, &queries, clients, span).await);
            b.push(turn(&by_hand, &calls, clients, span).await);
        }
        let ratio = median(a.iter().map(|turn| turn.load.rate)) / median(b.iter().map(|turn| turn.load.rate));
        rows.push(row(clients, &format!("**{ratio:.2}**"), "gateway", &a));
        rows.push(row(clients, "1", "by hand", &b));
    }
    let head = ["clients", "ratio of rates", "who", "answers/s", "p50 ms", "p99 ms", "CPU ms per answer"];
    table(
        &format!(
            "Nested 10 x 5 x 3 over 122,000 nodes over HTTP, {bytes} bytes an answer, {turns} turns of {span:?} each"
        ),
        &head,
        &rows,
    );
}

async fn turn(server: &Process, requests: &[Vec<u8>], clients: usize, span: Duration) -> Turn {
    let before = server.cpu();
    let load = run(server.address, requests, clients, span).await;
    let cpu = (server.cpu() - before).as_secs_f64() * 1e3 / (load.rate * span.as_secs_f64());
    Turn { load, cpu }
}

fn row(clients: usize, ratio: &str, who: &str, turns: &[Turn]) -> Vec<String> {
    let middle = |of: fn(&Turn) -> f64| median(turns.iter().map(of));
    vec![
        clients.to_string(),
        ratio.into(),
        who.into(),
        format!("{:.0}", middle(|turn| turn.load.rate)),
        format!("{:.2}", middle(|turn| turn.load.p50)),
        format!("{:.2}", middle(|turn| turn.load.p99)),
        format!("{:.2}", middle(|turn| turn.cpu)),
    ]
}

/// Both must say the same; the bytes of one answer.
async fn same_answers(ours: &Process, queries: &[Vec<u8>], by_hand: &Process, calls: &[Vec<u8>]) -> usize {
    let mut bytes = 0;
    for (query, call) in queries.iter().zip(calls) {
        let (a, b) = (load::ask(ours.address, query).await, load::ask(by_hand.address, call).await);
        let (a_json, b_json) = (parsed(&a), parsed(&b));
        assert_eq!(a_json, b_json, "the answers differ");
        assert_eq!(a_json["data"]["facilities"].as_array().map(Vec::len), Some(10), "not ten facilities: {a_json}");
        bytes = a.len();
    }
    bytes
}

fn parsed(body: &[u8]) -> Json {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}
