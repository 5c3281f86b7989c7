//! Two tenants with the same ids and other contents, behind a real engine over the stores that are chosen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quipu::ingest::relay::{Relay, Step, Turn};
use quipu::stores::bus::LocalBus;
use quipu::stores::cache::LocalCache;
use quipu::stores::clock::SystemClock;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::{Embedder, Served, StoreName, Trace};
use quipu_resolvers::{Ask, Bound, Engine, Limits, Ports, Settings};
use quipu_schema::api::Api;
use serde_json::{Value as Json, json};

use crate::contract::{self, Stores};

/// The tenants.
pub const TENANTS: [&str; 2] = ["alpha", "beta"];

/// An engine with both tenants' data.
pub struct World {
    pub engine: Arc<Engine>,
    bound: Vec<Arc<Bound>>,
    before: Vec<Arc<Bound>>,
    ports: Ports,
    _stores: Arc<Stores>,
}

/// Turns a text into a vector by counting letters: near texts share letters.
pub struct Letters;

#[async_trait]
impl Embedder for Letters {
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Fault> {
        Ok(texts.iter().map(|text| letters(text)).collect())
    }

    fn dimensions(&self) -> usize {
        26
    }

    fn model(&self) -> Option<&str> {
        Some("letters")
    }
}

fn letters(text: &str) -> Vec<f32> {
    let mut counts = [0.01_f32; 26];
    for letter in text.to_lowercase().bytes().filter(u8::is_ascii_lowercase) {
        counts[usize::from(letter - b'a')] += 1.0;
    }
    let length = counts.iter().map(|x| x * x).sum::<f32>().sqrt();
    counts.iter().map(|x| x / length).collect()
}

/// Somebody with claims.
pub fn principal(tenant: &str, claims: Json) -> Principal {
    Principal { tenant: TenantId::parse(tenant).unwrap(), subject: Some("ann".to_owned()), claims, operator: false }
}

/// Somebody who may do everything.
pub fn admin(tenant: &str) -> Principal {
    principal(tenant, json!({"roles": ["admin", "operator"]}))
}

impl World {
    /// An empty world of the ontology of `farm.graphql`.
    pub async fn empty() -> Self {
        Self::of(include_str!("farm.graphql")).await
    }

    /// An empty world of any ontology.
    pub async fn of(sdl: &str) -> Self {
        Self::of_two(sdl, sdl).await
    }

    /// An empty world whose ontology is replaced; the earlier one is still there for `data_before`.
    pub async fn of_two(before: &str, now: &str) -> Self {
        Self::made(before, now, true).await
    }

    /// An empty world that tells nothing of its API.
    pub async fn in_production() -> Self {
        let sdl = include_str!("farm.graphql");
        Self::made(sdl, sdl, false).await
    }

    /// An empty world over stores of the test's own.
    pub async fn over(stores: Stores, sdl: &str) -> Self {
        Self::set_up(stores, sdl, sdl, true).await
    }

    /// Serves one more tenant, by an ontology of its own.
    pub async fn serve(&mut self, tenant: &str, sdl: &str) {
        self.bound.push(published_for(&self.engine, &self.ports, tenant, sdl).await);
    }

    async fn made(before: &str, now: &str, introspection: bool) -> Self {
        Self::set_up(contract::chosen(Letters.dimensions()).await, before, now, introspection).await
    }

    async fn set_up(stores: Stores, before: &str, now: &str, introspection: bool) -> Self {
        let ports = Ports {
            graph: stores.graph.clone(),
            metadata: stores.metadata.clone(),
            vectors: stores.vectors.clone(),
            embedder: Arc::new(Letters),
            cache: Arc::new(LocalCache::new(64 << 20, 1 << 20, Arc::new(SystemClock))),
            bus: Arc::new(LocalBus::default()),
            clock: Arc::new(SystemClock),
        };
        let engine = Engine::new(ports.clone(), settings(introspection));
        let before = published(&engine, &ports, before).await;
        let bound = published(&engine, &ports, now).await;
        Self { engine, bound, before, ports, _stores: Arc::new(stores) }
    }

    /// A world with facilities, devices, alerts, vehicles and contracts: the same ids in both tenants.
    pub async fn filled() -> Self {
        Self::empty().await.fill().await
    }

    /// The same world with the things of `filled`.
    pub async fn fill(self) -> Self {
        for tenant in TENANTS {
            let (data, errors) = self.run(&admin(tenant), include_str!("fill.graphql"), json!({ "t": tenant })).await;
            assert_eq!(errors, json!(null), "{data}");
        }
        self
    }

    /// Another instance: an engine of its own over the same stores, with some other ports.
    pub fn beside(&self, other: impl FnOnce(&mut Ports)) -> Self {
        self.beside_with(other, |_| {})
    }

    /// The same with some other limits.
    pub fn beside_with(&self, other: impl FnOnce(&mut Ports), change: impl FnOnce(&mut Limits)) -> Self {
        let mut ports = self.ports.clone();
        other(&mut ports);
        let mut settings = settings(true);
        change(&mut settings.limits);
        let engine = Engine::new(ports.clone(), settings);
        let (bound, before) = (self.bound.clone(), self.before.clone());
        Self { engine, bound, before, ports, _stores: self._stores.clone() }
    }

    /// What the engine works on.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    pub fn bound(&self, principal: &Principal) -> &Arc<Bound> {
        self.served(&principal.tenant).unwrap()
    }

    /// What a tenant is served by.
    pub fn served(&self, tenant: &TenantId) -> Option<&Arc<Bound>> {
        self.bound.iter().find(|bound| bound.served().tenant == *tenant)
    }

    /// Embeds what the log holds and the vectors do not.
    pub async fn embedded(&self) {
        let relay = Relay::new(&self.ports, Turn::default());
        for bound in &self.bound {
            let served = bound.served();
            while relay.step(&served.tenant, &served.ontology, &mut |_| {}).await.unwrap() != Step::InStep {}
        }
    }

    /// Data and errors of a request.
    pub async fn run(&self, principal: &Principal, query: &str, variables: Json) -> (Json, Json) {
        let body = self.body(principal, query, variables).await.0;
        (body["data"].clone(), body["errors"].clone())
    }

    /// The data of a request that must not fail.
    pub async fn data(&self, principal: &Principal, query: &str) -> Json {
        let (data, errors) = self.run(principal, query, json!({})).await;
        assert_eq!(errors, json!(null), "{query}");
        data
    }

    /// The data of a request to the ontology before the present one.
    pub async fn data_before(&self, principal: &Principal, query: &str) -> Json {
        let bound = self.before.iter().find(|bound| bound.served().tenant == principal.tenant).unwrap();
        let answer = self.engine.answer(bound, principal, ask(query, json!({}), &Arc::default())).await;
        let body: Json = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["errors"], json!(null), "{query}");
        body["data"].clone()
    }

    /// The code of a request's first error.
    pub async fn code(&self, principal: &Principal, query: &str) -> String {
        let (_, errors) = self.run(principal, query, json!({})).await;
        errors[0]["extensions"]["code"].as_str().unwrap_or("no error").to_owned()
    }

    /// The response, and how many statements each store ran: graph, rows, vectors.
    pub async fn body(&self, principal: &Principal, query: &str, variables: Json) -> (Json, [u64; 3]) {
        let trace = Arc::new(Trace::default());
        let body = self.traced(principal, query, variables, &trace).await;
        let counts = [StoreName::Graph, StoreName::Rows, StoreName::Vectors].map(|store| trace.count(store));
        (body, counts)
    }

    /// The response, with everything that was run for it noted in a trace.
    pub async fn traced(&self, principal: &Principal, query: &str, variables: Json, trace: &Arc<Trace>) -> Json {
        let answer = self.engine.answer(self.bound(principal), principal, ask(query, variables, trace)).await;
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The response of a mutation with an idempotency key.
    pub async fn keyed(&self, principal: &Principal, query: &str, key: &str) -> Json {
        let ask = Ask { idempotency_key: Some(key.to_owned()), ..ask(query, json!({}), &Arc::default()) };
        let answer = self.engine.answer(self.bound(principal), principal, ask).await;
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The response of a request that brings a position.
    pub async fn at(&self, principal: &Principal, query: &str, position: &str) -> Json {
        let ask = Ask { position: Some(position.to_owned()), ..ask(query, json!({}), &Arc::default()) };
        let answer = self.engine.answer(self.bound(principal), principal, ask).await;
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The responses of a subscription.
    pub fn watch(
        &self,
        principal: &Principal,
        query: &str,
    ) -> futures_util::stream::BoxStream<'static, quipu_resolvers::Answer> {
        let ask = ask(query, json!({}), &Arc::default());
        self.engine.watch(self.bound(principal).clone(), principal.clone(), ask)
    }
}

/// What cursors and positions are signed with.
pub const SECRET: &[u8] = b"a secret of the tests, 32 bytes!";

fn settings(introspection: bool) -> Settings {
    let cursor_secret = SECRET.to_vec();
    Settings { limits: Default::default(), introspection, cursor_secret }
}

async fn published(engine: &Arc<Engine>, ports: &Ports, sdl: &str) -> Vec<Arc<Bound>> {
    let mut bound = Vec::new();
    for name in TENANTS {
        bound.push(published_for(engine, ports, name, sdl).await);
    }
    bound
}

async fn published_for(engine: &Arc<Engine>, ports: &Ports, tenant: &str, sdl: &str) -> Arc<Bound> {
    let ontology = quipu_schema::compile(sdl).unwrap_or_else(|problems| panic!("{}", problems.render("farm", false)));
    let tenant = TenantId::parse(tenant).unwrap();
    let version = ports
        .metadata
        .publish(&tenant, sdl, &ontology, "2026-11-21T10:00:00.000Z")
        .await
        .unwrap_or_else(|fault| panic!("{fault}"));
    let api = Api::of(&ontology);
    engine.catch_up(&tenant).await.unwrap();
    ports.graph.prepare(&tenant, &ontology).await.unwrap();
    engine.bind(Served { tenant, version, ontology, api })
}

fn ask(query: &str, variables: Json, trace: &Arc<Trace>) -> Ask {
    Ask {
        query: query.to_owned(),
        operation_name: None,
        variables: variables.as_object().cloned().unwrap_or_default(),
        may_write: true,
        idempotency_key: None,
        position: None,
        deadline: Instant::now() + Duration::from_secs(20),
        trace: trace.clone(),
        pricing: Default::default(),
    }
}
