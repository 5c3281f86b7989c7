//! A file with one tenant, and an engine over it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu::auth::Credentials;
use quipu::ingest::embed::LazyEmbedder;
use quipu::stores::bus::LocalBus;
use quipu::stores::cache::LocalCache;
use quipu::stores::clock::SystemClock;
use quipu::stores::sqlite::{Embedded, Options};
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::Served;
use quipu_resolvers::{Answer, Ask, Bound, Engine, Ports, Settings};
use quipu_schema::api::Api;
use serde_json::{Map, Value as Json, json};

/// The tenant of the benchmarks.
pub const TENANT: &str = "bench";

/// An engine that serves one tenant of one file.
pub struct World {
    pub engine: Arc<Engine>,
    pub ports: Ports,
    pub bound: Arc<Bound>,
    /// What the file keeps of keys: nothing.
    pub credentials: Arc<dyn Credentials>,
}

/// The tenant.
pub fn tenant() -> TenantId {
    TenantId::parse(TENANT).expect("a name of a tenant")
}

/// A caller with no further claims.
pub fn principal() -> Principal {
    Principal { tenant: tenant(), subject: Some("bench".into()), claims: json!({"roles": []}), operator: false }
}

/// Where files of the benchmarks are kept between runs, as long as their tables are the same.
pub fn directory() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    include_str!("../../graph-migrations/sqlite/0001_store.sql").hash(&mut hasher);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("figures-{:016x}", hasher.finish()))
}

/// The shipped model, loaded at the first text.
#[expect(clippy::disallowed_methods, reason = "a benchmark has no configuration file")]
pub fn embedder() -> LazyEmbedder {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2");
    // As for a server that names no library in its configuration.
    let library = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    LazyEmbedder::new(&model, library, std::thread::available_parallelism().map_or(1, usize::from))
}

impl World {
    /// Opens a file, makes it when it is not there, and publishes an ontology in it.
    pub async fn open(file: &Path, sdl: &str) -> Self {
        let store = Embedded::open(file, Options::default()).await.expect("the file opens");
        let ports = Ports {
            graph: Arc::new(store.graph()),
            metadata: Arc::new(store.metadata()),
            vectors: Arc::new(store.vectors()),
            embedder: Arc::new(embedder()),
            // None of the types is cached; what is measured is asked of the stores.
            cache: Arc::new(LocalCache::new(0, 0, Arc::new(SystemClock))),
            bus: Arc::new(LocalBus::default()),
            clock: Arc::new(SystemClock),
        };
        let cursor_secret = b"a secret of the benchmarks, 32 bytes".to_vec();
        let engine =
            Engine::new(ports.clone(), Settings { limits: Default::default(), introspection: false, cursor_secret });
        let ontology =
            quipu_schema::compile(sdl).unwrap_or_else(|problems| panic!("{}", problems.render("bench", false)));
        let version = ports
            .metadata
            .publish(&tenant(), sdl, &ontology, "2026-01-01T00:00:00.000Z")
            .await
            .expect("it is published");
        let api = Api::of(&ontology);
        let bound = engine.bind(Served { tenant: tenant(), version, ontology, api });
        Self { engine, ports, bound, credentials: Arc::new(store.metadata()) }
    }

    /// The answer to a query.
    pub async fn answer(&self, query: &str, variables: &Map<String, Json>) -> Answer {
        let ask = Ask {
            query: query.to_owned(),
            operation_name: None,
            variables: variables.clone(),
            may_write: false,
            idempotency_key: None,
            position: None,
            deadline: Instant::now() + Duration::from_secs(30),
            trace: Arc::default(),
            pricing: Default::default(),
        };
        self.engine.answer(&self.bound, &principal(), ask).await
    }
}
