//! What a tenant's plan lets it use: operations in an hour, and their price in a minute. Over it, 429 with the time to come back.

use quipu::config::{Config, Quota};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::everywhere::{everywhere, once};
use super::real::{admin, farm};
use super::server::{Server, code, refusal, start_config};
use super::socket::Client;

/// 61 records.
const QUERY: &str = r#"{ facilities(limit: 10) { id devices(limit: 5) { id } } first: facility(id: "f1") { id } }"#;

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// The number behind `;t=` of one limit, in seconds.
fn ends_in(headers: &HeaderMap, limit: &str) -> u64 {
    let all = header(headers, "ratelimit");
    let item =
        all.split(", ").find(|item| item.starts_with(&format!("\"{limit}\""))).unwrap_or_else(|| panic!("{all}"));
    item.rsplit_once(";t=").unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn operations_of_an_hour_are_counted_over_every_transport() {
    let server = start_config(|config| config.tenants.requests_per_hour = Quota::Of(6)).await;
    let (token, operation) = (server.token("library"), json!({"query": "{a}"}));
    for (number, reply) in everywhere(&server, &token, &operation).await.into_iter().enumerate() {
        assert_eq!(reply.body["data"]["tenant"], "library", "over {}: {}", reply.over, reply.body);
        if reply.over != "a socket" {
            assert_eq!(header(&reply.headers, "ratelimit-policy"), "\"requests\";q=6;w=3600");
            let left = 6 - number - 1;
            assert!(
                header(&reply.headers, "ratelimit").starts_with(&format!("\"requests\";r={left};t=")),
                "{}",
                reply.over
            );
            assert!((3_500..=3_600).contains(&ends_in(&reply.headers, "requests")));
        }
    }
    for reply in everywhere(&server, &token, &operation).await {
        assert_eq!(code(&reply.body), "RATE_LIMITED", "over {}: {}", reply.over, reply.body);
        let message = reply.body["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("tenants.requests_per_hour") && message.contains("try again in"), "{message}");
        match reply.over {
            "a socket" => {}
            "a batch" => assert_eq!(reply.status, Some(200)),
            over => {
                assert_eq!(reply.status, Some(429), "over {over}");
                let wait: u64 = header(&reply.headers, "retry-after").parse().unwrap();
                assert!((3_500..=3_600).contains(&wait), "over {over}: {wait}");
                assert!(header(&reply.headers, "ratelimit").starts_with("\"requests\";r=0;t="), "over {over}");
            }
        }
    }
    assert_eq!(server.asked().len(), 6, "nothing reached the engine");
    let refused = server.metric("quipu_refused_total{code=\"RATE_LIMITED\"}").await;
    assert_eq!(refused.as_deref(), Some("6"));
    let other = once(&server, &server.token("cryox"), &operation, "POST").await;
    assert_eq!(other.body["data"]["tenant"], "cryox", "another tenant has its own");
}

#[tokio::test]
async fn a_socket_outlives_what_is_refused_over_it() {
    let server = start_config(|config| config.tenants.requests_per_hour = Quota::Of(1)).await;
    let mut socket = Client::ready(&server).await;
    socket.subscribe("1", "subscription {forever}").await;
    assert_eq!(socket.receive().await["type"], "next");
    for id in ["2", "3"] {
        socket.subscribe(id, "{a}").await;
        let answer = socket.receive().await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &json!(id)));
        assert_eq!(answer["payload"][0]["extensions"]["code"], "RATE_LIMITED");
    }
    assert_eq!(server.working(), 1, "and what runs over it goes on");
}

#[tokio::test]
async fn each_operation_of_a_batch_counts() {
    let server = start_config(|config| config.tenants.requests_per_hour = Quota::Of(3)).await;
    let batch = json!([{"query": "{a}"}, {"query": "{b}"}, {"query": "mutation {c}"}, {"query": "{d}"}]);
    let response = server.post().json(&batch).send().await.unwrap();
    assert!(header(response.headers(), "ratelimit").starts_with("\"requests\";r=0;"));
    let answers: Vec<Value> = response.json().await.unwrap();
    let codes: Vec<&str> = answers.iter().map(code).collect();
    assert_eq!(codes, ["", "", "", "RATE_LIMITED"]);
}

/// A server on which all operations of a minute may touch so many records.
async fn priced(records: u64) -> Server {
    farm(|config| config.tenants.price_per_minute = Quota::Of(records)).await
}

#[tokio::test]
async fn prices_of_a_minute_are_added_up_over_every_transport() {
    for over in ["POST", "GET", "a batch", "events", "events by GET", "a socket"] {
        let server = priced(100).await;
        let token = admin(&server, "alpha");
        let ask = async |query: &str| once(&server, &token, &json!({"query": query}), over).await;
        assert!(ask(QUERY).await.body["data"].is_object(), "over {over}");
        let before = server.metric("quipu_statements_total{store=\"graph\"}").await;
        let reply = ask(QUERY).await;
        assert_eq!(code(&reply.body), "RATE_LIMITED", "over {over}: {}", reply.body);
        assert!(reply.body.get("data").is_none(), "over {over}");
        let message = reply.body["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("39 of 100 are left") && message.contains("tenants.price_per_minute"), "{message}");
        assert_eq!(server.metric("quipu_statements_total{store=\"graph\"}").await, before, "nothing ran");
        if over == "POST" || over == "GET" {
            assert_eq!(reply.status, Some(429), "over {over}");
            assert_eq!(header(&reply.headers, "ratelimit-policy"), "\"price\";q=100;qu=\"price\";w=60");
            assert!(header(&reply.headers, "ratelimit").starts_with("\"price\";r=39;t="));
            assert_eq!(header(&reply.headers, "retry-after"), ends_in(&reply.headers, "price").to_string());
        }
        let small = ask("{ facilities(limit: 30) { id } }").await;
        assert!(small.body["data"].is_object(), "what is refused takes nothing: over {over}: {}", small.body);
        let large = ask("{ facilities(limit: 101) { id } }").await;
        assert_eq!(code(&large.body), "TOO_EXPENSIVE", "waiting would be in vain: over {over}: {}", large.body);
        let other = json!({"query": QUERY});
        assert!(once(&server, &admin(&server, "beta"), &other, over).await.body["data"].is_object());
    }
}

#[tokio::test]
async fn what_is_refused_for_its_price_writes_nothing() {
    let server = priced(0).await;
    let change =
        r#"mutation { updateAlerts(where: {id: {eq: "a1"}}, update: {message: {set: "new"}}) { alerts { id } } }"#;
    let reply = once(&server, &admin(&server, "alpha"), &json!({"query": change}), "POST").await;
    assert_eq!(code(&reply.body), "TOO_EXPENSIVE");
    let free = once(&server, &admin(&server, "alpha"), &json!({"query": "{ __typename }"}), "POST").await;
    assert_eq!(free.body["data"]["__typename"], "Query", "what touches no record costs nothing");
    assert!(header(&free.headers, "ratelimit").starts_with("\"price\";r=0;"));
}

#[tokio::test]
async fn a_tenant_can_be_given_a_plan_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quipu.toml");
    std::fs::write(&path, "[tenants.cryox]\nrequests_per_hour = 2\nprice_per_minute = 1000\n").unwrap();
    let plans = Config::load(Some(&path)).unwrap().own_plans;
    let server = start_config(|config| config.own_plans = plans).await;
    let ask = async |tenant: &str| {
        let request = server.client.post(server.url("/graphql")).bearer_auth(server.token(tenant));
        request.json(&json!({"query": "{a}"})).send().await.unwrap()
    };
    for _ in 0..2 {
        let response = ask("cryox").await;
        assert_eq!(response.status(), 200);
        let policy = "\"requests\";q=2;w=3600, \"price\";q=1000;qu=\"price\";w=60";
        assert_eq!(header(response.headers(), "ratelimit-policy"), policy);
    }
    assert_eq!(refusal(ask("cryox").await).await, (429, "RATE_LIMITED".into()));
    for _ in 0..5 {
        let response = ask("library").await;
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("ratelimit-policy"), "others have no limits to tell of");
    }
}
