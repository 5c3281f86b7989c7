//! What whoever runs the server relies on: health, metrics, ids, a stop that loses nothing.

use std::time::Duration;

use quipu::http::Condition;
use reqwest::header::ACCEPT;
use serde_json::{Value, json};

use super::double::Health;
use super::server::{eventually, start, start_config, start_with};

#[tokio::test]
async fn health_tells_what_is_missing() {
    let ask = async |health: Health| {
        let server = start_with(|_| {}, health).await;
        assert_eq!(server.client.get(server.url("/healthz")).send().await.unwrap().status(), 200);
        let response = server.client.get(server.url("/readyz")).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap())
    };
    let body = |word, graph, model| json!({"status": word, "parts": {"graph": graph, "embedding": model}});
    assert_eq!(ask(Health::default()).await, (200, body("ready", "up", "up")));
    let idle = Health { model: Condition::NotLoaded, ..Health::default() };
    assert_eq!(ask(idle).await, (200, body("ready", "up", "not loaded yet")));
    let missing = Health { model: Condition::Down, ..Health::default() };
    assert_eq!(ask(missing).await, (200, body("degraded", "up", "down")));
    let down = Health { store_down: true, ..Health::default() };
    assert_eq!(ask(down).await, (503, body("unavailable", "down", "up")));
    let hangs = Health { hangs: true, ..Health::default() };
    assert_eq!(ask(hangs).await, (503, json!({"status": "unavailable", "parts": {}})));
}

#[tokio::test]
async fn asking_for_health_often_is_no_work() {
    let health = Health::default();
    let asked = health.asked.clone();
    let server = start_with(|_| {}, health).await;
    let ask = || server.client.get(server.url("/readyz")).send();
    let answers = futures_util::future::join_all((0..50).map(|_| ask())).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().status() == 200));
    let count = asked.load(std::sync::atomic::Ordering::SeqCst);
    assert!((1..10).contains(&count), "the parts were asked {count} times");
    tokio::time::sleep(Duration::from_millis(600)).await;
    ask().await.unwrap();
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), count + 1, "but they are asked again");
}

#[tokio::test]
async fn requests_are_counted() {
    let server = start().await;
    server.ask("{a}").await;
    server.ask("{partial}").await;
    server.ask("{TOO_EXPENSIVE}").await;
    server.ask("mutation {a}").await;
    server.client.post(server.url("/graphql")).json(&json!({"query": "{a}"})).send().await.unwrap();
    for (line, value) in [
        ("quipu_requests_total{operation=\"query\",outcome=\"ok\"}", "1"),
        ("quipu_requests_total{operation=\"query\",outcome=\"partial\"}", "1"),
        ("quipu_requests_total{operation=\"mutation\",outcome=\"ok\"}", "1"),
        ("quipu_requests_total{operation=\"unknown\",outcome=\"refused\"}", "1"),
        ("quipu_refused_total{code=\"TOO_EXPENSIVE\"}", "1"),
        ("quipu_refused_total{code=\"UNAUTHENTICATED\"}", "1"),
        ("quipu_statements_total{store=\"graph\"}", "4"),
        ("quipu_request_seconds_count{operation=\"query\"}", "2"),
        ("quipu_requests_in_progress", "0"),
    ] {
        assert_eq!(server.metric(line).await.as_deref(), Some(value), "{line}");
    }
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let server = start().await;
    let id_of = async |given: Option<&str>| {
        let mut request = server.get("{a}");
        if let Some(given) = given {
            request = request.header("x-request-id", given);
        }
        request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id_of(Some("trace-1.a_B")).await, "trace-1.a_B");
    assert_eq!(id_of(None).await.len(), 26);
    let long = "x".repeat(129);
    for harmful in ["a b", "a\"b", "{}", long.as_str()] {
        assert_eq!(id_of(Some(harmful)).await.len(), 26, "{harmful} is replaced");
    }
}

#[tokio::test]
async fn hostile_75_a_stop_lets_requests_finish_and_ends_streams() {
    let mut server = start().await;
    let request = server.post().json(&json!({"query": "{nap}"}));
    let request = tokio::spawn(async move { request.send().await.unwrap().json::<Value>().await.unwrap() });
    let stream = server.post().header(ACCEPT, "text/event-stream").json(&json!({"query": "subscription {forever}"}));
    let stream = stream.send().await.unwrap();
    eventually("both have begun", || server.working() == 2).await;
    server.stop();
    assert_eq!(request.await.unwrap()["data"]["tenant"], "library");
    let events = tokio::time::timeout(Duration::from_secs(30), stream.text()).await.unwrap().unwrap();
    assert!(events.contains("tick") && !events.contains("complete"), "it ends, and is to be continued: {events}");
    tokio::time::timeout(Duration::from_secs(30), &mut server.served).await.unwrap().unwrap().unwrap();
    server.idle().await;
    assert!(server.client.get(server.url("/healthz")).send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_it_may() {
    let mut server = start_config(|config| config.server.drain = Duration::from_millis(100)).await;
    let request = server.post().json(&json!({"query": "{sleep}"}));
    let request = tokio::spawn(request.send());
    eventually("it has begun", || server.working() == 1).await;
    server.stop();
    tokio::time::timeout(Duration::from_secs(30), &mut server.served).await.unwrap().unwrap().unwrap();
    assert!(request.await.unwrap().is_err());
    server.idle().await;
}

#[tokio::test]
async fn answers_over_http_2_are_the_same() {
    let server = start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let request = client.post(server.url("/graphql")).bearer_auth(server.token("cryox")).json(&json!({"query": "{a}"}));
    let response = request.send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.json::<Value>().await.unwrap()["data"]["tenant"], "cryox");
}
