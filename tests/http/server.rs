//! A server for one test, and what talks to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quipu::auth::{Credentials, Wish, mint};
use quipu::config::{Config, Secret};
use quipu::http::{AppState, Parts, serve};
use quipu::ops::Metrics;
use quipu::stores::counters::LocalCounters;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Clock, Counters};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::double::{Double, Health, Notes, Wall};
use super::vault::NoCredentials;

pub const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A server on a port of its own. It stops when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    pub config: Config,
    pub notes: Arc<Notes>,
    pub client: Client,
    stop: Stop,
    pub served: JoinHandle<std::io::Result<()>>,
}

pub async fn start() -> Server {
    start_with(|_| {}, Health::default()).await
}

pub async fn start_config(change: impl FnOnce(&mut Config)) -> Server {
    start_with(change, Health::default()).await
}

pub async fn start_with(change: impl FnOnce(&mut Config), health: Health) -> Server {
    let double = Double::default();
    let notes = double.notes();
    Server { notes, ..start_gateway(change, health, Arc::new(double)).await }
}

/// A server before any gateway, without notes.
pub async fn start_gateway(
    change: impl FnOnce(&mut Config),
    health: Health,
    gateway: Arc<dyn quipu::http::Gateway>,
) -> Server {
    start_by(Arc::new(Wall), change, health, gateway).await
}

/// The same by another clock.
pub async fn start_by(
    clock: Arc<dyn Clock>,
    change: impl FnOnce(&mut Config),
    health: Health,
    gateway: Arc<dyn quipu::http::Gateway>,
) -> Server {
    let counters = Arc::new(LocalCounters::new(clock.clone()));
    start_all(clock, change, health, gateway, (Arc::new(NoCredentials), counters)).await
}

/// What instances share.
pub type Kept = (Arc<dyn Credentials>, Arc<dyn Counters>);

/// A server before the double that lets in whom a store knows.
pub async fn start_keeping(credentials: Arc<dyn Credentials>, change: impl FnOnce(&mut Config)) -> Server {
    start_beside((credentials, Arc::new(LocalCounters::new(Arc::new(Wall)))), change).await
}

/// The same, beside others that share a store of credentials and counters.
pub async fn start_beside(kept: Kept, change: impl FnOnce(&mut Config)) -> Server {
    let double = Double::default();
    let notes = double.notes();
    let started = start_all(Arc::new(Wall), change, Health::default(), Arc::new(double), kept);
    Server { notes, ..started.await }
}

async fn start_all(
    clock: Arc<dyn Clock>,
    change: impl FnOnce(&mut Config),
    health: Health,
    gateway: Arc<dyn quipu::http::Gateway>,
    (credentials, counters): Kept,
) -> Server {
    let mut config = Config::default();
    config.auth.secret = Some(Secret::new(KEY));
    change(&mut config);
    let parts = Parts {
        watching: None,
        administration: None,
        config: config.clone(),
        gateway,
        readiness: Arc::new(health),
        credentials,
        counters,
        clock,
        metrics: Arc::new(Metrics::new().unwrap()),
    };
    let state = AppState::new(parts).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(serve(listener.into(), state, async move {
        let _ = stopped.await;
    }));
    let stop = Stop(Some(stop));
    Server { address, config, notes: Arc::default(), client: Client::new(), stop, served }
}

/// Asks the server to stop; dropping it does, too, for that ends the wait for it.
struct Stop(Option<oneshot::Sender<()>>);

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.0.take() {
            let _ = stop.send(());
        }
    }

    /// A token for a tenant, good for an hour.
    pub fn token(&self, tenant: &str) -> String {
        self.token_for(tenant, Duration::from_secs(3600))
    }

    pub fn token_for(&self, tenant: &str, ttl: Duration) -> String {
        self.token_with(tenant, &["reader"], json!({}), ttl)
    }

    /// A token with roles and further claims.
    pub fn token_with(&self, tenant: &str, roles: &[&str], claims: Value, ttl: Duration) -> String {
        let tenant = TenantId::parse(tenant).unwrap();
        let claims = claims.as_object().cloned().unwrap_or_else(Map::new);
        let roles = roles.iter().map(ToString::to_string).collect();
        mint(&self.config, Wish { tenant, subject: Some("ann".into()), roles, claims, ttl }, Wall.now_ms()).unwrap()
    }

    /// A POST to `/graphql` as tenant `library`, without a body.
    pub fn post(&self) -> RequestBuilder {
        self.client.post(self.url("/graphql")).bearer_auth(self.token("library"))
    }

    /// A GET of `/graphql` with a query as tenant `library`.
    pub fn get(&self, query: &str) -> RequestBuilder {
        let mut url = reqwest::Url::parse(&self.url("/graphql")).unwrap();
        url.query_pairs_mut().append_pair("query", query);
        self.client.get(url).bearer_auth(self.token("library"))
    }

    /// What a document is answered with.
    pub async fn ask(&self, query: &str) -> Response {
        self.post().json(&json!({"query": query})).send().await.unwrap()
    }

    /// What the double was asked for so far.
    pub fn asked(&self) -> Vec<Value> {
        self.notes.asked.lock().unwrap().clone()
    }

    /// How much of the double's work is neither done nor dropped.
    pub fn working(&self) -> usize {
        self.notes.working.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// How many events were taken from endless subscriptions.
    pub fn taken(&self) -> usize {
        self.notes.taken.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Waits until no work is left, and fails when there is some after two seconds.
    pub async fn idle(&self) {
        eventually("work is left over", || self.working() == 0).await;
    }

    /// A line of the metrics that begins like this, without it.
    pub async fn metric(&self, line: &str) -> Option<String> {
        let text = self.client.get(self.url("/metrics")).send().await.unwrap().text().await.unwrap();
        text.lines().find_map(|found| found.strip_prefix(line)).map(|rest| rest.trim().to_owned())
    }
}

/// Waits for something that happens soon.
pub async fn eventually(problem: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{problem}");
}

/// The code of the first error in a body.
pub fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

/// Status and code of an answer that must be a refusal in our form: JSON, no data, one error, and headers as they should be.
pub async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    assert!(headers.contains_key("x-request-id"), "an id on every answer");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let media_type = headers["content-type"].to_str().unwrap();
    assert!(media_type.ends_with("json; charset=utf-8"), "{media_type}");
    let body: Value = response.json().await.expect("a refusal is JSON");
    assert!(body.get("data").is_none(), "{body}");
    assert_eq!(body["errors"].as_array().map(Vec::len), Some(1), "{body}");
    let message = body["errors"][0]["message"].as_str().unwrap();
    assert!(!message.is_empty() && !message.contains("secret"), "{message}");
    (status, code(&body).to_owned())
}
