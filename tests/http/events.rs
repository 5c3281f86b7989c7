//! Server-sent events (GraphQL over SSE, distinct connections).

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::ACCEPT;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use super::server::{Server, code, eventually, refusal, start, start_config};

fn events(request: RequestBuilder) -> RequestBuilder {
    request.header(ACCEPT, "text/event-stream")
}

async fn subscribe(server: &Server, query: &str) -> Response {
    events(server.post()).json(&json!({"query": query})).send().await.unwrap()
}

/// The events of a stream that ended: name and data.
fn read(text: &str) -> Vec<(String, Value)> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
    blocks
        .map(|block| {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
            (field("event:"), serde_json::from_str(&field("data:")).unwrap_or(Value::Null))
        })
        .collect()
}

#[tokio::test]
async fn a_subscription_is_a_stream_of_events() {
    let server = start().await;
    for request in [
        events(server.post()).json(&json!({"query": "subscription {ticks}"})),
        events(server.get("subscription {ticks}")),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let tick = |n: i32| ("next".to_owned(), json!({"data": {"tick": n, "tenant": "library"}}));
        let complete = ("complete".to_owned(), Value::Null);
        assert_eq!(read(&response.text().await.unwrap()), [tick(0), tick(1), tick(2), complete]);
    }
    server.idle().await;
    assert_eq!(server.metric("quipu_streams{transport=\"sse\"}").await.as_deref(), Some("0"));
}

#[tokio::test]
async fn queries_and_mutations_are_one_event() {
    let server = start().await;
    for query in ["{a}", "mutation {a}"] {
        let all = read(&subscribe(&server, query).await.text().await.unwrap());
        assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["next", "complete"]);
        assert_eq!(all[0].1["data"]["tenant"], "library");
    }
    assert_eq!(server.asked()[1]["mayWrite"], true);
}

#[tokio::test]
async fn what_is_wrong_with_the_operation_comes_as_an_event() {
    let server = start().await;
    for query in ["{GRAPHQL_VALIDATION_FAILED}", "subscription {GRAPHQL_VALIDATION_FAILED}"] {
        let response = subscribe(&server, query).await;
        assert_eq!(response.status(), 200);
        let all = read(&response.text().await.unwrap());
        assert_eq!((all.len(), code(&all[0].1)), (2, "GRAPHQL_VALIDATION_FAILED"));
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_refused() {
    let server = start().await;
    let unknown = events(server.client.post(server.url("/graphql"))).json(&json!({"query": "subscription {ticks}"}));
    assert_eq!(refusal(unknown.send().await.unwrap()).await, (401, "UNAUTHENTICATED".into()));
    let waiting = events(server.client.post(server.url("/graphql"))).bearer_auth(server.token("waiting"));
    let waiting = waiting.json(&json!({"query": "subscription {ticks}"})).send().await.unwrap();
    assert_eq!(waiting.headers()["retry-after"], "1");
    assert_eq!(refusal(waiting).await, (503, "STORE_UNAVAILABLE".into()));
    let batch = events(server.post()).json(&json!([{"query": "{a}"}]));
    assert_eq!(refusal(batch.send().await.unwrap()).await, (400, "BAD_REQUEST".into()));
}

#[tokio::test]
async fn hostile_25_a_panic_ends_its_stream_with_an_error() {
    let server = start().await;
    let text = subscribe(&server, "subscription {panic}").await.text().await.unwrap();
    assert!(!text.contains("secret"), "{text}");
    let all = read(&text);
    assert_eq!((all.len(), code(&all[1].1)), (3, "INTERNAL"));
    server.idle().await;
}

#[tokio::test]
async fn hostile_35_streams_are_capped_per_tenant() {
    let server = start_config(|config| config.live.per_tenant = 2).await;
    let first = subscribe(&server, "subscription {forever}").await;
    let _second = subscribe(&server, "subscription {forever}").await;
    let third = subscribe(&server, "subscription {forever}").await;
    assert_eq!(third.headers()["retry-after"], "1");
    assert_eq!(refusal(third).await, (503, "OVERLOADED".into()));
    let other = events(server.client.post(server.url("/graphql"))).bearer_auth(server.token("cryox"));
    let other = other.json(&json!({"query": "subscription {forever}"})).send().await.unwrap();
    assert_eq!(other.status(), 200, "another tenant has places of its own");
    assert_eq!(server.ask("{a}").await.status(), 200, "and queries are no streams");
    drop(first);
    eventually("the place is free again", || server.working() == 2).await;
    assert_eq!(subscribe(&server, "subscription {forever}").await.status(), 200);
}

#[tokio::test]
async fn hostile_36_a_token_that_expires_ends_its_stream() {
    let server = start_config(|config| config.auth.leeway = Duration::ZERO).await;
    let token = server.token_for("library", Duration::from_secs(5));
    let request = events(server.client.post(server.url("/graphql"))).bearer_auth(&token);
    let response = request.json(&json!({"query": "subscription {forever}"})).send().await.unwrap();
    let text = tokio::time::timeout(Duration::from_secs(30), response.text()).await.unwrap().unwrap();
    let all = read(&text);
    assert_eq!((all.len(), code(&all[1].1), all[2].0.as_str()), (3, "UNAUTHENTICATED", "complete"));
    server.idle().await;
    let again = server.client.post(server.url("/graphql")).bearer_auth(&token).json(&json!({"query": "{a}"}));
    assert_eq!(refusal(again.send().await.unwrap()).await, (401, "UNAUTHENTICATED".into()));
}

#[tokio::test]
async fn hostile_38_a_slow_consumer_gets_a_visible_error() {
    let server = start_config(|config| {
        config.live.buffer = quipu::config::ByteSize(100_000);
        config.live.patience = Duration::from_millis(100);
    })
    .await;
    let response = subscribe(&server, "subscription {flood}").await;
    eventually("the flood begins", || server.taken() > 0).await;
    eventually("the flood ends by itself", || server.working() == 0).await;
    let taken = server.taken();
    // 10 kB each: what the sockets' own buffers hold, and 100 kB of ours
    assert!(taken < 2_000, "{taken} events were taken for a client that reads none");
    let text = response.text().await.unwrap();
    let all = read(&text);
    let (last, complete) = (&all[all.len() - 2], &all[all.len() - 1]);
    assert_eq!((code(&last.1), complete.0.as_str()), ("OVERLOADED", "complete"));
    assert!(last.1["errors"][0]["message"].as_str().unwrap().contains("live.patience"));
}

#[tokio::test]
async fn hostile_39_a_vanished_clients_work_is_cancelled() {
    let server = start().await;
    let mut stream = subscribe(&server, "subscription {forever}").await.bytes_stream();
    stream.next().await.unwrap().unwrap();
    eventually("it has begun", || server.working() == 1).await;
    drop(stream);
    server.idle().await;
    let request = server.post().json(&json!({"query": "{sleep}"})).timeout(Duration::from_millis(200)).send().await;
    assert!(request.is_err());
    server.idle().await;
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_lives() {
    let server = start_config(|config| config.live.keep_alive = Duration::from_millis(50)).await;
    let mut stream = subscribe(&server, "subscription {forever}").await.bytes_stream();
    let mut text = String::new();
    while text.matches(":\n\n").count() < 4 {
        let chunk = tokio::time::timeout(Duration::from_secs(30), stream.next()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.starts_with(":\n\nevent: next\n"), "{text}");
}
