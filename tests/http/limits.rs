//! Queries that ask for too much: over POST, GET, in a batch, over WebSocket and as server-sent events alike. What refusing them costs is measured
//! elsewhere, at a server that is a process of its own (`tests/cli/refusals.rs`).

use std::time::{Duration, Instant};

use reqwest::header::ACCEPT;
use serde_json::{Value, json};

use super::attacks::{Attack, attacks, fits_a_url};
use super::real::{admin, farm};
use super::server::{Server, code};
use super::socket::Client;

/// Most wall time for a refusal, in a build without optimisation on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn check(attack: &Attack, transport: &str, body: &Value, took: Duration) {
    attack.check(transport, body);
    assert!(took < SOON, "{} over {transport} took {took:?}", attack.name);
}

#[tokio::test]
async fn hostile_1_to_15_over_post_and_get() {
    let server = farm(|config| config.server.body_bytes = quipu::config::ByteSize(4 << 20)).await;
    let token = admin(&server, "alpha");
    for attack in attacks() {
        let body = json!({"query": attack.query, "variables": attack.variables});
        let began = Instant::now();
        let post = server.client.post(server.url("/graphql")).bearer_auth(&token).json(&body).send().await.unwrap();
        let status = post.status().as_u16();
        let body: Value = post.json().await.unwrap();
        assert_eq!(status, attack.status(), "{}: {body}", attack.name);
        check(&attack, "POST", &body, began.elapsed());
        if !fits_a_url(&attack) {
            continue;
        }
        let mut url = reqwest::Url::parse(&server.url("/graphql")).unwrap();
        let variables = attack.variables.to_string();
        url.query_pairs_mut().append_pair("query", &attack.query).append_pair("variables", &variables);
        let began = Instant::now();
        let get = server.client.get(url).bearer_auth(&token).send().await.unwrap();
        let body: Value = get.json().await.unwrap();
        check(&attack, "GET", &body, began.elapsed());
    }
    alive(&server, &token).await;
}

async fn alive(server: &Server, token: &str) {
    let request = server.client.post(server.url("/graphql")).bearer_auth(token);
    let answer = request.json(&json!({"query": "{ __typename }"})).send().await.unwrap();
    assert_eq!(answer.status(), 200, "the process lives");
}

#[tokio::test]
async fn hostile_31_the_same_limits_hold_in_batches_sockets_and_events() {
    let server = farm(|config| config.server.body_bytes = quipu::config::ByteSize(4 << 20)).await;
    let token = admin(&server, "alpha");
    let mut socket = Client::plain(&server).await;
    socket.init(&token).await;
    for (n, attack) in attacks().into_iter().enumerate() {
        let operation = json!({"query": attack.query, "variables": attack.variables});
        let post = || server.client.post(server.url("/graphql")).bearer_auth(&token);

        let began = Instant::now();
        let batch = post().json(&json!([operation, {"query": "{ __typename }"}])).send().await.unwrap();
        let batch: Value = batch.json().await.unwrap();
        assert_eq!(batch[1]["data"]["__typename"], "Query");
        check(&attack, "a batch", &batch[0], began.elapsed());

        let began = Instant::now();
        let id = n.to_string();
        socket.send(json!({"type": "subscribe", "id": id, "payload": operation})).await;
        let answer = socket.receive().await;
        assert_eq!(answer["id"], json!(id), "{}", attack.name);
        if answer["type"] == "next" {
            check(&attack, "WebSocket", &answer["payload"], began.elapsed());
            assert_eq!(socket.receive().await["type"], "complete");
        } else {
            check(&attack, "WebSocket", &json!({"errors": answer["payload"]}), began.elapsed());
        }

        let began = Instant::now();
        let events = post().header(ACCEPT, "text/event-stream").json(&operation).send().await.unwrap();
        let text = events.text().await.unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let body: Value = serde_json::from_str(data).unwrap();
        check(&attack, "events", &body, began.elapsed());
    }
    alive(&server, &token).await;
}

#[tokio::test]
async fn hostile_16_errors_of_one_response_are_bounded() {
    let server = farm(|_| {}).await;
    let token = admin(&server, "alpha");
    // each item makes an error of its own
    let ids: Vec<String> = (0..1_000).map(|n| format!("x{n}: nothing{n}")).collect();
    let query = format!("{{ {} }}", ids.join(" "));
    let request = server.client.post(server.url("/graphql")).bearer_auth(&token).json(&json!({"query": query}));
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    let errors = body["errors"].as_array().unwrap().len();
    assert!((1..=100).contains(&errors), "{errors} errors");
    assert!(!code(&body).is_empty());
}
