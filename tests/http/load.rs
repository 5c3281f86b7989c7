//! More requests than places.

use std::time::Duration;

use serde_json::json;

use super::everywhere::everywhere;
use super::server::{eventually, refusal, start_config};

#[tokio::test]
async fn hostile_66_requests_without_a_place_are_refused_at_once() {
    let server = start_config(|config| {
        config.server.max_concurrency = 2.try_into().unwrap();
        config.server.queue = 1;
    })
    .await;
    let send = |query: &str| tokio::spawn(server.post().json(&json!({"query": query})).send());
    let (first, second) = (send("{sleep}"), send("{sleep}"));
    eventually("two are worked on", || server.working() == 2).await;
    let waiting = send("{a}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let refused = server.ask("{a}").await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refusal(refused).await, (503, "OVERLOADED".into()));
    assert_eq!(server.client.get(server.url("/healthz")).send().await.unwrap().status(), 200, "health needs no place");
    first.abort();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200, "a place that became free is taken");
    second.abort();
    server.idle().await;
}

#[tokio::test]
async fn hostile_66_a_tenant_that_fills_all_its_places_leaves_those_of_others() {
    let server = start_config(|config| {
        config.tenants.concurrency = 2.try_into().unwrap();
        config.server.queue = 4;
    })
    .await;
    let send = |query: &str| tokio::spawn(server.post().json(&json!({"query": query})).send());
    let held = [send("{sleep}"), send("{sleep}")];
    eventually("two are worked on", || server.working() == 2).await;
    let waiting: Vec<_> = (0..4).map(|_| send("{a}")).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.working(), 2, "a tenant has no more places than that");
    assert_eq!(refusal(server.ask("{a}").await).await, (503, "OVERLOADED".into()));
    let operation = json!({"query": "{a}"});
    for reply in everywhere(&server, &server.token("cryox"), &operation).await {
        assert_eq!(reply.body["data"]["tenant"], "cryox", "over {}: {}", reply.over, reply.body);
    }
    held.iter().for_each(|one| one.abort());
    for one in waiting {
        assert_eq!(one.await.unwrap().unwrap().status(), 200, "those that waited are served");
    }
    server.idle().await;
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_a_504() {
    let server = start_config(|config| config.server.request_timeout = Duration::from_secs(1)).await;
    assert_eq!(refusal(server.ask("{sleep}").await).await, (504, "TIMEOUT".into()));
    server.idle().await;
    let batch = server.post().json(&json!([{"query": "{a}"}, {"query": "{sleep}"}])).send().await.unwrap();
    let answers: Vec<serde_json::Value> = batch.json().await.unwrap();
    assert_eq!(answers[0]["data"]["tenant"], "library");
    assert_eq!(super::server::code(&answers[1]), "TIMEOUT");
    server.idle().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = start_config(|config| config.server.max_connections = 1.try_into().unwrap()).await;
    let held = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let second = tokio::spawn(server.client.get(server.url("/healthz")).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished(), "there is no place for it yet");
    drop(held);
    assert_eq!(second.await.unwrap().unwrap().status(), 200);
}
