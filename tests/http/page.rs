//! The analysts' page: where it is served, and what it gives away.

use std::io::Write;

use quipu::config::Mode;
use serde_json::{Value, json};

use super::server::{Server, refusal, start_config};

async fn told(server: &Server) -> Value {
    let response = server.client.get(server.url("/playground/config.json")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-store");
    response.json().await.unwrap()
}

fn tokens() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(br#"[{"name": "library", "token": "t1"}, {"name": "cryox", "token": "t2"}]"#).unwrap();
    file
}

#[tokio::test]
async fn hostile_28_the_page_is_off_in_production() {
    let production = start_config(|config| config.server.mode = Mode::Production).await;
    for path in ["/playground", "/playground/", "/playground/config.json", "/graphiql"] {
        let response = production.client.get(production.url(path)).send().await.unwrap();
        assert_eq!(refusal(response).await, (404, "NOT_FOUND".into()), "{path}");
    }
    let browser = production.client.get(production.url("/graphql")).header("accept", "text/html");
    assert_eq!(refusal(browser.send().await.unwrap()).await, (406, "NOT_ACCEPTABLE".into()), "no page there either");
    let file = tokens();
    let asked_for = start_config(|config| {
        config.server.mode = Mode::Production;
        config.playground.enabled = Some(true);
        config.playground.demo_tokens = Some(file.path().into());
    })
    .await;
    let told = told(&asked_for).await;
    assert_eq!((&told["tenants"], &told["production"]), (&json!([]), &json!(true)), "tokens are never given away");
}

#[tokio::test]
async fn the_page_is_told_the_demos_tenants() {
    let file = tokens();
    let server = start_config(|config| config.playground.demo_tokens = Some(file.path().into())).await;
    let told = told(&server).await;
    let tenants = json!([{"name": "library", "token": "t1"}, {"name": "cryox", "token": "t2"}]);
    assert_eq!((&told["endpoint"], &told["tenants"]), (&json!("/graphql"), &tenants));
    assert_eq!(told["production"], false);
    let page = server.client.get(server.url("/playground")).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe-eval"), "{policy}");
    let off = start_config(|config| config.playground.enabled = Some(false)).await;
    let response = off.client.get(off.url("/playground")).send().await.unwrap();
    assert_eq!(refusal(response).await, (404, "NOT_FOUND".into()));
}
