//! `quipu serve` with identity providers: what it needs, what it says, and that it comes up without their servers.

use quipu_resolvers::ports::Clock;
use serde_json::json;

use super::quipu::Quipu;
use crate::http::signing::{Pair, key_set};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// Settings without a key of our own.
fn settings(more: &str) -> String {
    format!("[embedding]\nmodel = \"none\"\n{more}")
}

const HOUSE: &str = "[auth.issuers.house]\nissuer = \"https://id.example\"\naudience = \"quipu\"\ntenant = \"farm\"\n\
                     jwks_file = \"keys.json\"\nroles_claim = \"realm_access.roles\"\n";

fn token() -> String {
    let exp = quipu::stores::clock::SystemClock.now_ms() / 1000 + 3600;
    let roles = json!({"roles": ["admin"]});
    Pair::Ed25519.token(
        "k",
        &json!({"iss": "https://id.example", "aud": "quipu", "sub": "ada", "exp": exp, "realm_access": roles}),
    )
}

#[tokio::test]
async fn an_issuer_is_enough_to_serve_with_a_key_for_cursors() {
    let quipu = Quipu::with_farm();
    quipu.file("keys.json", key_set(&[Pair::Ed25519.public("k")]));
    quipu.file("quipu.toml", settings(HOUSE));
    let ended = quipu.run(&SERVE);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("`cursor.secret` is not set") && ended.err.contains("help: set"), "{ended:?}");
    quipu.file("quipu.toml", settings(&format!("[cursor]\nsecret_file = \"secret\"\n{HOUSE}")));
    let running = quipu.start(&SERVE);
    let answer = running.ask(&token(), "{ farms { name } }").await;
    assert_eq!(answer["data"], json!({"farms": []}), "{answer}");
    let ended = quipu.run(&["token", "--tenant", "farm"]);
    assert!(ended.code == Some(2) && ended.err.contains("`auth.secret` is not set"), "{ended:?}");
    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("the issuer's keys are known"), "{ended:?}");
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_stops_nothing_but_its_tokens() {
    let quipu = Quipu::with_farm();
    let house = HOUSE.replace("jwks_file = \"keys.json\"", "jwks_url = \"http://127.0.0.1:9/keys\"");
    quipu.file("quipu.toml", settings(&format!("[auth]\nsecret_file = \"secret\"\n{house}")));
    let running = quipu.start(&SERVE);
    let own = quipu.token("farm", &["--role", "admin"]);
    assert_eq!(running.ask(&own, "{ farms { name } }").await["data"], json!({"farms": []}));
    let refused = running.ask(&token(), "{ farms { name } }").await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    let ready: serde_json::Value = serde_json::from_str(&running.text("/readyz").await).expect("JSON");
    assert_eq!((&ready["status"], &ready["parts"]["auth.house"]), (&json!("degraded"), &json!("down")));
    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("keys could not be asked for; its tokens are refused"), "{ended:?}");
}

#[test]
fn an_issuer_that_is_not_whole_is_refused_with_a_way_out() {
    let quipu = Quipu::with_farm();
    let open = HOUSE.replace("tenant = \"farm\"\n", "");
    quipu.file("quipu.toml", settings(&format!("[auth]\nsecret_file = \"secret\"\n{open}")));
    let ended = quipu.run(&SERVE);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("`auth.issuers.house`: set one of `tenant`"), "{ended:?}");
}
