//! The two servers that are compared: the gateway as it is served, and the same answer written by hand with `sqlx` and axum.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use futures_util::stream::BoxStream;
use quipu::auth::{Credentials, Wish, mint};
use quipu::config::{Config, Secret};
use quipu::http::{Absent, AppState, Gateway, Parts, Probe, Readiness, TenantApi, serve};
use quipu::ops::{Metrics, start_log};
use quipu::stores::clock::SystemClock;
use quipu::stores::counters::LocalCounters;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::Clock;
use quipu_resolvers::{Answer, Ask, Bound, Engine, TextHash};
use serde::Deserialize;
use serde_json::Map;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, query_scalar};
use tokio::net::TcpListener;

use super::data::{Keys, readers};
use super::world::{World, tenant};

/// What is configured: the defaults, with a key.
fn config() -> Config {
    let mut config = Config::default();
    config.auth.secret = Some(Secret::new("a key of the benchmarks, 32 bytes long"));
    config
}

/// A token for the tenant.
pub fn token() -> String {
    token_of(&tenant())
}

/// A token for any tenant.
pub fn token_of(tenant: &TenantId) -> String {
    let ttl = Duration::from_secs(24 * 3600);
    let (tenant, subject) = (tenant.clone(), Some("bench".into()));
    let wish = Wish { tenant, subject, roles: Vec::new(), claims: Map::new(), ttl };
    mint(&config(), wish, SystemClock.now_ms()).expect("a token")
}

/// Serves the file by the gateway: its router, tokens checked, metrics and log on, everything as by default.
pub async fn ours(world: World) {
    let credentials = world.credentials;
    gateway(Arc::new(One { engine: world.engine, bound: world.bound }), credentials, |_| {}).await;
}

/// The same over any tenants, with settings of its own.
pub async fn gateway(gateway: Arc<dyn Gateway>, credentials: Arc<dyn Credentials>, change: impl FnOnce(&mut Config)) {
    let mut config = config();
    change(&mut config);
    start_log(&config.logs).expect("the log starts");
    let parts = Parts {
        config,
        gateway,
        watching: None,
        administration: None,
        readiness: Arc::new(Ready),
        credentials,
        clock: Arc::new(SystemClock),
        counters: Arc::new(LocalCounters::new(Arc::new(SystemClock))),
        metrics: Arc::new(Metrics::new().expect("metrics")),
    };
    let state = AppState::new(parts).expect("a key is set");
    let listener = listen().await;
    serve(listener.into(), state, std::future::pending()).await.expect("it serves");
}

/// A free port, which is printed.
pub async fn listen() -> TcpListener {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    println!("{address}");
    listener
}

#[derive(Clone)]
struct One {
    engine: Arc<Engine>,
    bound: Arc<Bound>,
}

impl Gateway for One {
    fn api(&self, tenant: &TenantId) -> Result<Arc<dyn TenantApi>, Absent> {
        match *tenant == self.bound.served().tenant {
            true => Ok(Arc::new(self.clone())),
            false => Err(Absent::Unknown),
        }
    }
}

#[async_trait]
impl TenantApi for One {
    async fn answer(&self, principal: &Principal, ask: Ask) -> Answer {
        self.engine.answer(&self.bound, principal, ask).await
    }

    fn watch(&self, principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
        self.engine.watch(self.bound.clone(), principal, ask)
    }

    fn published(&self, _id: &str) -> Option<Arc<str>> {
        None
    }

    fn is_published(&self, _text: &str) -> bool {
        false
    }

    fn kept(&self, _hash: &TextHash) -> Option<Arc<str>> {
        None
    }
}

struct Ready;

#[async_trait]
impl Readiness for Ready {
    async fn probe(&self) -> Vec<Probe> {
        Vec::new()
    }
}

#[derive(Clone)]
struct ByHand {
    pool: SqlitePool,
    text: Arc<str>,
    tenant: i64,
}

#[derive(Deserialize)]
struct Wanted {
    region: String,
}

/// Serves the file by one route and one statement, which SQLite makes the whole answer of; nobody asks who asks.
pub async fn by_hand(file: &Path) {
    let mut keys = Keys::open(file).await;
    let text = statement(&mut keys).await.into();
    let state = ByHand { pool: readers(file).await, text, tenant: keys.tenant };
    let router = Router::new().route("/nested", post(nested)).with_state(state);
    axum::serve(listen().await, router).await.expect("it serves");
}

async fn nested(State(state): State<ByHand>, Json(wanted): Json<Wanted>) -> impl IntoResponse {
    let found = query_scalar::<_, String>(AssertSqlSafe(state.text.to_string()));
    match found.bind(state.tenant).bind(wanted.region).fetch_one(&state.pool).await {
        Ok(body) => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], body),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

/// The statement. The numbers of the types are part of it, as the file's partial indexes need it.
async fn statement(keys: &mut Keys) -> String {
    let facility = keys.kind(0, "Facility").await;
    let (has, raised) = (keys.kind(2, "HAS_DEVICE").await, keys.kind(2, "RAISED").await);
    format!(
        "SELECT json_object('data', json_object('facilities', (SELECT json_group_array(json_object(
           'id', f.id, 'name', f.name, 'region', f.region, 'devicesConnection', json_object('edges', (
             SELECT json_group_array(json_object('properties', json_object('since', d.since), 'node', json_object(
               'id', d.id, 'name', d.props ->> '$.name', 'status', d.props ->> '$.status', 'battery', d.props ->> '$.battery',
               'alerts', (
                 SELECT json_group_array(json_object('id', a.id, 'severity', a.severity, 'message', a.props ->> '$.message'))
                 FROM (SELECT n.id, n.props, n.props ->> '$.severity' AS severity FROM edge AS e CROSS JOIN node AS n ON n.rid = e.dst
                   WHERE e.tenant = ?1 AND e.kind = {raised} AND e.src = d.rid ORDER BY severity DESC, n.id LIMIT 3) AS a)))
             ) FROM (SELECT n.rid, n.id, n.props, e.props ->> '$.since' AS since FROM edge AS e CROSS JOIN node AS n ON n.rid = e.dst
               WHERE e.tenant = ?1 AND e.kind = {has} AND e.src = f.rid ORDER BY since DESC, n.id LIMIT 5) AS d)))
         ) FROM (SELECT rid, id, props ->> '$.name' AS name, props ->> '$.region' AS region FROM node
           WHERE tenant = ?1 AND kind = {facility} AND (props ->> '$.region') = ?2 ORDER BY (props ->> '$.name'), id LIMIT 10) AS f)))"
    )
}
