//! The key of our own tokens changes while the server serves.

use std::path::Path;
use std::time::Duration;

use quipu::auth::{Wish, mint};
use quipu::config::{Config, Secret};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Clock;
use reqwest::header::ACCEPT;
use serde_json::{Map, Value, json};

use super::double::Wall;
use super::server::{Server, eventually, start_config};

const OLD: &str = "old-old-old-old-old-old-old-old-old-1";
const NEW: &str = "new-new-new-new-new-new-new-new-new-2";

/// A token signed by a key.
fn signed(key: &str) -> String {
    let mut config = Config::default();
    config.auth.secret = Some(Secret::new(key));
    let tenant = TenantId::parse("library").unwrap();
    let ttl = Duration::from_secs(600);
    let wish = Wish { tenant, subject: Some("ann".into()), roles: Vec::new(), claims: Map::new(), ttl };
    mint(&config, wish, Wall.now_ms()).unwrap()
}

async fn status(server: &Server, token: &str) -> u16 {
    let request = server.client.post(server.url("/graphql")).bearer_auth(token).json(&json!({"query": "{a}"}));
    request.send().await.unwrap().status().as_u16()
}

/// Waits until tokens of both keys are answered like this.
async fn until(server: &Server, old: u16, new: u16) {
    let (of_old, of_new) = (signed(OLD), signed(NEW));
    for _ in 0..600 {
        if (status(server, &of_old).await, status(server, &of_new).await) == (old, new) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it does not come to {old} and {new}");
}

async fn ready(server: &Server) -> Value {
    let body: Value = server.client.get(server.url("/readyz")).send().await.unwrap().json().await.unwrap();
    json!([body["status"], body["parts"]["auth"]])
}

async fn serving(path: &Path, reload: Duration) -> Server {
    start_config(|config| {
        config.auth.secret = None;
        config.auth.secret_file = Some(path.into());
        config.server.reload = reload;
    })
    .await
}

#[tokio::test]
async fn the_old_key_and_the_new_one_are_taken_for_as_long_as_both_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let hold = |lines: &[&str]| std::fs::write(&path, lines.join("\n")).unwrap();
    hold(&[OLD]);
    let server = serving(&path, Duration::from_millis(50)).await;
    until(&server, 200, 401).await;
    assert_eq!(ready(&server).await, json!(["ready", "up"]));
    let stream =
        server.client.post(server.url("/graphql")).bearer_auth(signed(OLD)).header(ACCEPT, "text/event-stream");
    let _stream = stream.json(&json!({"query": "subscription {forever}"})).send().await.unwrap();
    eventually("it has begun", || server.working() == 1).await;

    hold(&[NEW, "", OLD, ""]);
    until(&server, 200, 200).await;
    let minted = server.token("library");
    hold(&[NEW]);
    until(&server, 401, 200).await;
    assert_eq!(status(&server, &minted).await, 200, "the first key signs");
    assert_eq!(server.working(), 1, "what is under way goes on until its token ends");

    // None of these is a set of keys.
    for broken in [&["short"][..], &[NEW, "short"], &["-----BEGIN PUBLIC KEY-----"], &[], &[NEW; 9]] {
        hold(broken);
        let mut told = Value::Null;
        for _ in 0..600 {
            told = ready(&server).await;
            if told == json!(["degraded", "down"]) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(told, json!(["degraded", "down"]), "{broken:?}");
        until(&server, 401, 200).await;
        hold(&[NEW]);
        for _ in 0..600 {
            if ready(&server).await == json!(["ready", "up"]) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
    std::fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    until(&server, 401, 200).await;
    hold(&[OLD, NEW]);
    until(&server, 200, 200).await;
    assert_eq!(ready(&server).await, json!(["ready", "up"]));
}
