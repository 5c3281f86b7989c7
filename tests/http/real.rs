//! HTTP before the real engine: two tenants with the same ids, over every transport.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use quipu::config::{Config, Mode};
use quipu::http::{Absent, Gateway, TenantApi};
use quipu::trusted::Trusted;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::TrustedDocument;
use quipu_resolvers::{Answer, Ask, Bound, Engine, TextHash};
use reqwest::header::ACCEPT;
use serde_json::{Value, json};

use super::double::Health;
use super::server::{Server, code, start_gateway};
use super::socket::Client;
use crate::spec::gate::Gate;
use crate::spec::world::World;

struct Farm {
    world: World,
    /// Documents that are published for `alpha`.
    trusted: Arc<Trusted>,
}

struct FarmApi {
    engine: Arc<Engine>,
    bound: Arc<Bound>,
    trusted: Arc<Trusted>,
}

impl Gateway for Farm {
    fn api(&self, tenant: &TenantId) -> Result<Arc<dyn TenantApi>, Absent> {
        let bound = self.world.served(tenant).ok_or(Absent::Unknown)?.clone();
        let trusted = if tenant.as_str() == "alpha" { self.trusted.clone() } else { Arc::default() };
        Ok(Arc::new(FarmApi { engine: self.world.engine.clone(), bound, trusted }))
    }
}

#[async_trait]
impl TenantApi for FarmApi {
    async fn answer(&self, principal: &Principal, ask: Ask) -> Answer {
        self.engine.answer(&self.bound, principal, ask).await
    }

    fn watch(&self, principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
        self.engine.watch(self.bound.clone(), principal, ask)
    }

    fn published(&self, id: &str) -> Option<Arc<str>> {
        self.trusted.text(id).cloned()
    }

    fn is_published(&self, text: &str) -> bool {
        self.trusted.has(text)
    }

    fn kept(&self, hash: &TextHash) -> Option<Arc<str>> {
        self.engine.kept_text(&self.bound, hash)
    }
}

/// A server before the engine, with the data of `alpha` and `beta`.
pub async fn farm(change: impl FnOnce(&mut Config)) -> Server {
    farm_of(World::filled().await, change).await
}

/// A server before the engine of a world.
pub async fn farm_of(world: World, change: impl FnOnce(&mut Config)) -> Server {
    start_gateway(change, Health::default(), Arc::new(Farm { world, trusted: Arc::default() })).await
}

/// A server before the engine of a world, with documents that are published for `alpha`.
pub async fn farm_with(world: World, documents: &[(&str, &str)], change: impl FnOnce(&mut Config)) -> Server {
    let documents = documents.iter().map(|(id, text)| TrustedDocument { id: (*id).into(), text: (*text).into() });
    let trusted = Arc::new(documents.collect());
    start_gateway(change, Health::default(), Arc::new(Farm { world, trusted })).await
}

/// A token of somebody who may do everything in a tenant.
pub fn admin(server: &Server, tenant: &str) -> String {
    server.token_with(tenant, &["admin", "operator"], json!({}), Duration::from_secs(600))
}

async fn ask(server: &Server, token: &str, query: &str) -> Value {
    let request = server.client.post(server.url("/graphql")).bearer_auth(token).json(&json!({"query": query}));
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn tenants_with_the_same_ids_see_their_own() {
    let server = farm(|_| {}).await;
    let query =
        r#"{ facility(id: "f1") { id summary devices(sort: [{id: ASC}]) { id } contracts { id facility { id } } } }"#;
    for tenant in ["alpha", "beta"] {
        let body = ask(&server, &admin(&server, tenant), query).await;
        assert_eq!(body["errors"], Value::Null, "{body}");
        assert_eq!(body["data"]["facility"]["summary"], tenant, "{body}");
    }
    let few = server.token_with("alpha", &[], json!({"regions": ["US"]}), Duration::from_secs(60));
    assert_eq!(ask(&server, &few, query).await["data"], json!({"facility": null}), "rights come from the token");
    let lines = server.metric("quipu_statements_total{store=\"graph\"}").await;
    assert!(lines.is_some_and(|count| count.parse::<u32>().unwrap() >= 3));
    assert!(server.metric("quipu_loader_keys_count").await.is_some_and(|count| count.parse::<u32>().unwrap() >= 2));
}

const RENAME: &str =
    r#"mutation { updateAlerts(where: {id: {eq: "a1"}}, update: {message: {set: "new"}}) { alerts { id } } }"#;

#[tokio::test]
async fn a_change_reaches_the_tenants_subscribers_and_no_others() {
    let server = farm(|_| {}).await;
    let query = "subscription { changes(types: [Alert]) { operation type id } }";
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    for tenant in ["alpha", "beta"] {
        let mut socket = Client::plain(&server).await;
        socket.init(&admin(&server, tenant)).await;
        socket.subscribe("1", query).await;
        sockets.push(socket);
        let request = server.client.post(server.url("/graphql")).bearer_auth(admin(&server, tenant));
        let request = request.header(ACCEPT, "text/event-stream").json(&json!({"query": query}));
        streams.push(request.send().await.unwrap().bytes_stream());
    }
    // a subscription begins a moment after it was asked for
    tokio::time::sleep(Duration::from_secs(1)).await;
    let written = ask(&server, &admin(&server, "beta"), RENAME).await;
    assert_eq!(written["errors"], Value::Null, "{written}");
    let change = json!({"operation": "UPDATED", "type": "Alert", "id": "a1"});
    assert_eq!(sockets[1].receive().await["payload"]["data"]["changes"], change);
    let mut text = String::new();
    while !text.contains("event: next") {
        let chunk = tokio::time::timeout(Duration::from_secs(30), streams[1].next()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.contains(&change.to_string().replace(['{', '}'], "")), "{text}");
    sockets[0].send(json!({"type": "ping"})).await;
    assert_eq!(sockets[0].receive().await, json!({"type": "pong"}), "the other tenant heard nothing");
}

#[tokio::test]
async fn a_mutation_needs_a_post() {
    let server = farm(|_| {}).await;
    let token = admin(&server, "alpha");
    let get = |query: &str| {
        let mut url = reqwest::Url::parse(&server.url("/graphql")).unwrap();
        url.query_pairs_mut().append_pair("query", query);
        server.client.get(url).bearer_auth(&token).send()
    };
    assert_eq!(get(RENAME).await.unwrap().status(), 405);
    // hidden behind a second operation of the same name, it gets past the first look
    let hidden = get(&format!("query A {{ __typename }} {}", RENAME.replace("mutation", "mutation A"))).await.unwrap();
    assert_eq!(hidden.status(), 400);
    let message = ask(&server, &token, r#"{ alert(id: "a1") { message } }"#).await;
    assert_eq!(message["data"]["alert"]["message"], "warm");
}

#[tokio::test]
async fn the_same_idempotency_key_writes_once() {
    let server = farm(|_| {}).await;
    let create = json!({"query": "mutation { createAlerts(input: [{severity: 9}]) { alerts { id } } }"});
    let send = async || {
        let request = server.client.post(server.url("/graphql")).bearer_auth(admin(&server, "alpha"));
        request.header("idempotency-key", "once").json(&create).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(first["errors"], Value::Null, "{first}");
    assert_eq!(first, second);
}

#[tokio::test]
async fn hostile_27_production_suggests_and_tells_nothing() {
    for open in [true, false] {
        let world = if open { World::empty().await } else { World::in_production().await };
        let mode = if open { Mode::Development } else { Mode::Production };
        let server = start_gateway(
            |config| config.server.mode = mode,
            Health::default(),
            Arc::new(Farm { world, trusted: Arc::default() }),
        )
        .await;
        let token = admin(&server, "alpha");
        let typo = ask(&server, &token, "{ facilites { id } }").await;
        assert_eq!(code(&typo), "GRAPHQL_VALIDATION_FAILED");
        assert_eq!(typo.to_string().contains("facilities"), open, "{typo}");
        let schema = ask(&server, &token, "{ __schema { queryType { name } } }").await;
        assert_eq!(schema["data"]["__schema"]["queryType"]["name"] == "Query", open, "{schema}");
        assert_eq!(ask(&server, &token, "{ __typename }").await["data"]["__typename"], "Query");
    }
}

/// What events cost is counted, of those that nobody is shown as well.
#[tokio::test]
async fn statements_of_events_are_counted() {
    let server = farm(|_| {}).await;
    let token = admin(&server, "alpha");
    let graph = async || -> u64 {
        server.metric("quipu_statements_total{store=\"graph\"}").await.map_or(0, |count| count.parse().unwrap())
    };
    let rename = async |message: &str| {
        let written = ask(&server, &token, &RENAME.replace("new", message)).await;
        assert_eq!(written["errors"], Value::Null, "{written}");
    };
    let before = graph().await;
    rename("one").await;
    let alone = graph().await - before;
    for (filter, seen) in [("", true), ("(where: {message: {eq: \"never\"}})", false)] {
        let mut socket = Client::plain(&server).await;
        socket.init(&token).await;
        socket.subscribe("1", &format!("subscription {{ alertUpdated{filter} {{ node {{ id }} }} }}")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = graph().await;
        rename(&format!("seen {seen}")).await;
        if seen {
            assert_eq!(socket.receive().await["type"], "next");
        }
        let mut counted = graph().await;
        for _ in 0..100 {
            if counted > before + alone {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            counted = graph().await;
        }
        assert_eq!(counted, before + alone + 1, "one statement for the event, seen: {seen}");
    }
}

/// The graph panics whenever a loader asks it for the facility of one contract. Requests that share the process, the tenant, the statement
/// and the kind of loader with it are answered as ever, those that are under way at the same time as well.
#[tokio::test]
async fn hostile_77_a_loaders_panic_touches_one_request() {
    let world = World::filled().await;
    let gate = Gate::before(world.ports().graph.clone());
    gate.open(10_000);
    let server = farm_of(world.beside(|ports| ports.graph = gate.clone()), |_| {}).await;
    let of = async |tenant: &str, contract: &str| {
        let query = format!("{{ contracts(where: {{id: {{eq: \"{contract}\"}}}}) {{ id facility {{ id }} }} }}");
        let request = server.client.post(server.url("/graphql")).bearer_auth(admin(&server, tenant));
        let response = request.json(&json!({"query": query})).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let well = |contract: &str, facility: &str| {
        (200, json!({"data": {"contracts": [{"id": contract, "facility": {"id": facility}}]}}))
    };
    assert_eq!(of("alpha", "c3").await, well("c3", "f2"), "it does not panic yet");
    gate.panic_at(quipu_resolvers::value::Value::Text("f2".to_owned()));
    for _ in 0..3 {
        let all = [("alpha", "c1"), ("alpha", "c3"), ("beta", "c2"), ("alpha", "c2"), ("beta", "c3"), ("beta", "c1")];
        let outcomes = futures_util::future::join_all(all.map(|(tenant, contract)| of(tenant, contract))).await;
        for ((tenant, contract), outcome) in all.into_iter().zip(outcomes) {
            if contract != "c3" {
                assert_eq!(outcome, well(contract, "f1"), "{tenant}");
                continue;
            }
            let (status, body) = outcome;
            assert_eq!((status, &body["data"], code(&body)), (500, &Value::Null, "INTERNAL"), "{tenant}: {body}");
            assert!(!body.to_string().contains("secret"), "{body}");
        }
    }
    // Another root of the same operation would have been answered; nothing of it is left behind for those that come after.
    let both =
        ask(&server, &admin(&server, "alpha"), "{ a: contracts { id facility { id } } facilities { id } }").await;
    assert_eq!((code(&both), &both["data"]), ("INTERNAL", &Value::Null));
    assert_eq!(
        ask(&server, &admin(&server, "alpha"), "{ facility(id: \"f2\") { id } }").await["data"]["facility"]["id"],
        "f2"
    );
    server.idle().await;
    assert_eq!(server.metric("quipu_requests_in_progress").await.as_deref(), Some("0"));
}
