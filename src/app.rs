//! The process put together: stores, engine, tenants, the relay and the server.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Bus, Cache, Clock, Counters};
use quipu_resolvers::value::scalar;
use quipu_resolvers::{Engine, Ports, Settings};
use tokio::task::JoinSet;

use crate::audit::scribe::Writing;
use crate::audit::watching::{Watched, Watching};
use crate::audit::{self, Record, Scribe, Trail, Whose};
use crate::auth;
use crate::config::{self, CacheUrl, Config, ConfigError};
use crate::http::{self, Administration, AppState, Gateway, Listeners, Parts};
use crate::ingest::chunk::{self, TokenCount, Words};
use crate::ingest::documents::Splitter;
use crate::ingest::embed::LazyEmbedder;
use crate::ingest::relay::{Relay, Turn};
use crate::ops::Metrics;
use crate::stores::bus::LocalBus;
use crate::stores::cache::LocalCache;
use crate::stores::clock::SystemClock;
use crate::stores::counters::LocalCounters;
use crate::stores::neo4j::Neo4j;
use crate::stores::redis::{self, Redis, RedisBus, RedisCache};
use crate::stores::{neo4j, postgres, qdrant, sqlite};
use crate::tenancy::Publisher;
use crate::tenants::Tenants;

mod follow;
mod probes;
mod rotation;
mod stores;

use probes::Probes;
use rotation::Rotation;
pub use stores::plans;
use stores::{Credentials, Stores, twice};

/// Tokens that neighbouring passages of a document share, so that what is said across a border is found.
const OVERLAP: usize = 32;
/// Tokens of a passage where no model says how many it takes.
const MOST_TOKENS: usize = 256;

/// Why the process does not come up, or went down.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store's file cannot be used.
    #[error(transparent)]
    Open(#[from] sqlite::OpenError),
    /// Neo4j cannot be used as configured.
    #[error(transparent)]
    Graph(#[from] neo4j::OpenError),
    /// Postgres cannot be used as configured.
    #[error(transparent)]
    Metadata(#[from] postgres::OpenError),
    /// Qdrant cannot be used as configured.
    #[error(transparent)]
    Vectors(#[from] qdrant::OpenError),
    /// Redis cannot be used as configured.
    #[error(transparent)]
    Cache(#[from] redis::OpenError),
    /// A store failed.
    #[error("{0}")]
    Store(#[from] Fault),
    /// The server failed.
    #[error("serving failed: {0}")]
    Serve(#[from] std::io::Error),
    /// The counters could not be made.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(String),
}

/// What instances share over Redis.
#[derive(Clone)]
struct Shared {
    redis: Redis,
    bus: Arc<RedisBus>,
    cache: Arc<RedisCache>,
}

/// Everything but the server: what commands work on. Cheap until the model is asked for.
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The adapters.
    pub ports: Ports,
    /// The engine over them.
    pub engine: Arc<Engine>,
    /// The tenants; empty until refreshed.
    pub tenants: Arc<Tenants>,
    /// The model, with more to ask than its port has.
    pub embedder: LazyEmbedder,
    /// Keeps vectors in step with the log.
    pub relay: Relay,
    /// What is kept of API keys.
    pub credentials: Arc<dyn auth::Credentials>,
    /// Counts tries and what tenants use, with other instances if there are some.
    counters: Arc<dyn Counters>,
    stores: Arc<Stores>,
    /// What is shared with other instances, if there is such a thing.
    shared: Option<Shared>,
}

impl App {
    /// Opens the stores, making and migrating what needs it. Asks for no key, so that it serves every command.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub async fn open(config: Config) -> Result<Self, AppError> {
        let settings = Settings {
            limits: config.limits.engine(),
            introspection: !config.is_production(),
            // Whoever has no key to sign with makes no cursors that another process could open.
            cursor_secret: config.cursor_key().unwrap_or_else(|_| rand::random::<[u8; 32]>().to_vec()),
        };
        let stores = Arc::new(Stores::open(&config).await?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let shared = open_redis(&config).await?;
        let (bus, cache, counters): (Arc<dyn Bus>, Arc<dyn Cache>, Arc<dyn Counters>) = match &shared {
            Some(shared) => (shared.bus.clone(), shared.cache.clone(), shared.cache.clone()),
            None => {
                let (bytes, largest) = (config.cache.bytes.0, config.cache.value_bytes.0);
                let cache = Arc::new(LocalCache::new(bytes, largest, clock.clone()));
                (Arc::new(LocalBus::default()), cache, Arc::new(LocalCounters::new(clock.clone())))
            }
        };
        let embedding = &config.embedding;
        let threads = embedding.threads.map_or_else(config::processors, usize::from);
        let embedder = LazyEmbedder::new(&embedding.model, embedding.dylib.clone(), threads);
        let ports = Ports {
            graph: stores.graph.clone(),
            metadata: stores.metadata.clone(),
            vectors: stores.vectors.clone(),
            embedder: Arc::new(embedder.clone()),
            cache,
            bus,
            clock,
        };
        let engine = Engine::new(ports.clone(), settings);
        let tenants = Tenants::new(engine.clone(), ports.clone());
        let relay = Relay::new(&ports, Turn::beside(&config.store.path));
        let credentials = stores.credentials.clone();
        Ok(Self { config, ports, engine, tenants, embedder, relay, credentials, counters, stores, shared })
    }

    /// Serves until `shutdown` is done, then lets requests finish for as long as `server.drain` says, and closes the stores.
    ///
    /// # Errors
    /// When there is no key for tokens, the store fails at the start, or the listener does.
    pub async fn serve(self, listeners: Listeners, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        for (tenant, fault) in self.tenants.renewed().await? {
            let may_be_away = self.stores.of_tenants.contains_key(&tenant);
            let is_away = matches!(fault.code(), Code::StoreUnavailable | Code::Timeout);
            if !(may_be_away && is_away) {
                return Err(fault.into());
            }
            tracing::warn!(%tenant, %fault, "the tenant's own graph is away; the others are served without it, and it is tried again");
        }
        let metrics = Arc::new(Metrics::new().map_err(|error| AppError::Metrics(error.to_string()))?);
        let (watching, writing) = self.watching();
        let gateway: Arc<dyn Gateway> = match &watching {
            Some(watching) => Arc::new(Watched::over(self.tenants.clone(), watching.clone())),
            None => self.tenants.clone(),
        };
        let rotation = Rotation::of(&self.config, &self.stores, self.shared.as_ref());
        let state = AppState::new(Parts {
            config: self.config.clone(),
            gateway,
            watching: watching.clone(),
            administration: self.config.admin.enabled.then(|| Arc::new(self.administration())),
            readiness: Arc::new(Probes {
                ports: self.ports.clone(),
                own_graphs: self.stores.of_tenants.keys().cloned().collect(),
                embedder: self.embedder.clone(),
                shared: self.shared.clone(),
                rotation: rotation.clone(),
            }),
            credentials: self.credentials.clone(),
            counters: self.counters.clone(),
            clock: self.ports.clock.clone(),
            metrics: metrics.clone(),
        })?;
        let mut background = self.background(metrics);
        background.spawn(writing.run());
        if let Some(keep) = self.config.audit.keep {
            background.spawn(audit::aging(
                self.stores.trail.clone(),
                self.ports.metadata.clone(),
                self.ports.clock.clone(),
                keep,
            ));
        }
        if let Some(rotation) = rotation {
            background.spawn(rotation.follow());
        }
        let served = http::serve(listeners, state, shutdown).await;
        if let Some(watching) = watching
            && !watching.scribe.settled().await
        {
            tracing::error!("the process ends before its audit trail was written");
        }
        // Whatever is cut off here is a transaction that did not happen; its position says where to go on.
        background.shutdown().await;
        self.stores.close().await;
        served.map_err(AppError::Serve)
    }

    /// What sees operations for the audit trail, if anything is to be kept, and what writes it.
    fn watching(&self) -> (Option<Watching>, Writing) {
        let (scribe, writing) = Scribe::new(self.stores.trail.clone());
        let settings = &self.config.audit;
        let (kinds, variables, clock) = (settings.record, settings.variables, self.ports.clock.clone());
        (kinds.any().then_some(Watching { scribe, kinds, variables, clock }), writing)
    }

    fn administration(&self) -> Administration {
        Administration { publisher: self.publisher(), credentials: self.credentials.clone(), trail: self.trail() }
    }

    /// Writes what a command did into the audit trail, where that is kept. `record` says who and what.
    ///
    /// # Errors
    /// A store's: it is done, and not in the trail.
    pub async fn note(&self, whose: &Whose, record: Record) -> Result<(), Fault> {
        if !self.config.audit.record.administration {
            return Ok(());
        }
        let record = Record { who: Some("the command line".to_owned()), ..record };
        let text = serde_json::to_string(&record).map_err(|error| Fault::internal("audit", error))?;
        self.stores.trail.append(whose, &[text]).await.map(|_| ())
    }

    /// Tells the log and the audit trail what a command did to credentials of a tenant.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub async fn tell(&self, tenant: &TenantId, event: auth::Event<'_>) -> Result<(), Fault> {
        auth::report(tenant, event);
        self.note(&Whose::Tenant(tenant.clone()), Record::of(self.now(), event)).await
    }

    /// The audit trail.
    pub fn trail(&self) -> Arc<dyn Trail> {
        self.stores.trail.clone()
    }

    /// What goes on beside the requests: newly published ontologies, what other processes wrote, and vectors.
    fn background(&self, metrics: Arc<Metrics>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let tenants = self.tenants.clone();
        tasks.spawn(async move { tenants.follow().await });
        tasks.spawn(follow::logs(self.engine.clone(), self.tenants.clone()));
        tasks.spawn(follow::positions(self.ports.clone(), self.tenants.clone(), metrics.clone()));
        tasks.spawn(follow::vectors(self.relay.clone(), self.tenants.clone(), self.ports.bus.clone(), metrics));
        tasks
    }

    /// Splits documents so that each passage fits the model; without a model's folder, by words. Made for the first document.
    pub fn splitter(&self) -> Arc<Splitter> {
        let (embedder, runtime) = (self.embedder.clone(), tokio::runtime::Handle::current());
        let sizer = OnceLock::new();
        Arc::new(move |text| {
            let (sizer, most) = sizer.get_or_init(|| sizer_of(&embedder, &runtime));
            chunk::split(text, sizer.as_ref(), *most, OVERLAP)
        })
    }

    /// What publishes ontologies.
    pub fn publisher(&self) -> Publisher {
        Publisher {
            engine: self.engine.clone(),
            ports: self.ports.clone(),
            tenants: self.tenants.clone(),
            relay: self.relay.clone(),
        }
    }

    /// Migrates what opening the stores did not.
    ///
    /// # Errors
    /// When a store cannot be asked.
    pub async fn migrate(&self) -> Result<(), AppError> {
        self.stores.migrate().await
    }

    /// The Neo4j server that has the graph of a tenant; nothing when it is in the file.
    pub fn neo4j(&self, tenant: &TenantId) -> Option<&Neo4j> {
        self.stores.neo4j(tenant)
    }

    /// The time, as it stands in logs of changes.
    pub fn now(&self) -> String {
        scalar::stamp_ms(self.ports.clock.now_ms())
    }

    /// Closes the stores.
    pub async fn close(self) {
        self.stores.close().await;
    }
}

/// Counts tokens like the model, and how many a passage may have. Called off the async threads.
fn sizer_of(embedder: &LazyEmbedder, runtime: &tokio::runtime::Handle) -> (Arc<dyn TokenCount>, usize) {
    let tokenizer =
        embedder.config().and_then(|config| Ok((runtime.block_on(embedder.tokenizer())?, config.max_tokens)));
    match tokenizer {
        Ok((tokenizer, most)) => (tokenizer, most),
        Err(error) => {
            tracing::warn!(%error, "documents are split by words: there is no model to count tokens with");
            (Arc::new(Words), MOST_TOKENS)
        }
    }
}

/// Connects to what is shared with other instances, when it is configured.
async fn open_redis(config: &Config) -> Result<Option<Shared>, AppError> {
    let Some(options) = redis_options(config)? else { return Ok(None) };
    let redis = Redis::open(options).await?;
    let cache = RedisCache::new(&redis, config.cache.value_bytes.0, redis::PATIENCE);
    let bus = Arc::new(RedisBus::new(&redis));
    Ok(Some(Shared { redis, bus, cache: Arc::new(cache) }))
}

/// How what is shared is reached, the password of a file included.
fn redis_options(config: &Config) -> Result<Option<redis::Options>, ConfigError> {
    let CacheUrl::Redis(url) = &config.cache.url else { return Ok(None) };
    let password = config.cache_password()?;
    if password.is_some() && Credentials::of(url.text()).password.is_some() {
        return Err(twice("cache.password", "cache.url"));
    }
    Ok(Some(redis::Options { url: url.text().to_owned(), password, prefix: config.cache.prefix.clone() }))
}
