//! What every request can reach.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use axum::http::HeaderValue;
use quipu_resolvers::ports::{Clock, Counters};
use tokio::sync::watch;

use super::admin::Administration;
use super::admission::Admission;
use super::gateway::{Gateway, Readiness};
use super::health::Probed;
use super::playground::{DemoTenant, PlaygroundConfig};
use super::streams::Streams;
use super::tls::Tls;
use super::tries::Tries;
use crate::audit::watching::Watching;
use crate::auth::{Authenticator, Credentials, Deaf, Ear};
use crate::config::{self, Config, ConfigError};
use crate::ops::Metrics;

/// What the server is made of.
pub struct Parts {
    /// The configuration.
    pub config: Config,
    /// The tenants and their APIs.
    pub gateway: Arc<dyn Gateway>,
    /// Sees what is refused before an API is asked, for the audit trail.
    pub watching: Option<Watching>,
    /// What the admin API works on, where it is served.
    pub administration: Option<Arc<Administration>>,
    /// How the stores and the model are.
    pub readiness: Arc<dyn Readiness>,
    /// What is kept of API keys.
    pub credentials: Arc<dyn Credentials>,
    /// Where tries to sign in are counted, and what tenants use; shared with other instances if there are some.
    pub counters: Arc<dyn Counters>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters; the same that the rest of the process counts in.
    pub metrics: Arc<Metrics>,
}

/// What every request can reach. One per process.
pub struct AppState {
    pub(super) config: Config,
    pub(super) gateway: Arc<dyn Gateway>,
    pub(super) watching: Option<Watching>,
    pub(super) administration: Option<Arc<Administration>>,
    pub(super) readiness: Arc<dyn Readiness>,
    pub(super) probed: Probed,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<dyn Counters>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) authenticator: Authenticator,
    pub(super) admission: Admission,
    pub(super) tries: Tries,
    pub(super) streams: Streams,
    /// The analysts' page, where it is served.
    pub(super) page: Option<PlaygroundConfig>,
    /// Where connections are encrypted here.
    pub(super) tls: Option<Arc<Tls>>,
    /// What browsers are told about TLS.
    pub(super) transport_security: Option<HeaderValue>,
    /// Becomes true when the server stops, so that streams end.
    pub(super) stopping: watch::Sender<bool>,
}

impl AppState {
    /// Fails when the configuration has no key to verify tokens with, or names a certificate or a file of tokens that cannot be used.
    pub fn new(parts: Parts) -> Result<Arc<Self>, ConfigError> {
        let Parts { config, gateway, watching, administration, readiness, credentials, counters, clock, metrics } =
            parts;
        let authenticator = Authenticator::new(&config, clock.clone())?;
        let ear: Arc<dyn Ear> = watching.clone().map_or(Arc::new(Deaf) as Arc<dyn Ear>, |watching| Arc::new(watching));
        let authenticator = authenticator.with_stored(&config, credentials, ear)?;
        let tries = Tries::new(&config.passwords, counters.clone());
        let share = config.server.tenant_share.map_or_else(config::processors, NonZeroUsize::get);
        let admission = Admission::new(config.server.max_concurrency.get(), config.server.queue, share);
        let streams = Streams::new(config.live.per_tenant);
        let page = if config.serves_playground() { Some(page(&config)?) } else { None };
        let tls = Tls::of(&config)?;
        let transport_security = transport_security(&config.tls);
        let stopping = watch::Sender::new(false);
        Ok(Arc::new(Self {
            config,
            gateway,
            watching,
            administration,
            readiness,
            probed: Probed::default(),
            clock,
            counters,
            metrics,
            authenticator,
            admission,
            tries,
            streams,
            page,
            tls,
            transport_security,
            stopping,
        }))
    }
}

/// `Strict-Transport-Security` (RFC 6797), which must not be sent where there is no TLS.
fn transport_security(tls: &config::Tls) -> Option<HeaderValue> {
    let seconds = tls.hsts.as_secs();
    let is_encrypted = tls.certificate.is_some() || tls.by_proxy;
    let value = (is_encrypted && seconds > 0).then(|| format!("max-age={seconds}"))?;
    HeaderValue::try_from(value).ok()
}

/// What the analysts' page is told. In production no tokens are read, so none can be given away.
fn page(config: &Config) -> Result<PlaygroundConfig, ConfigError> {
    let production = config.is_production();
    let tenants = match &config.playground.demo_tokens {
        Some(path) if !production => demo_tokens(path)?,
        _ => Vec::new(),
    };
    Ok(PlaygroundConfig { tenants, endpoint: "/graphql".into(), production })
}

fn demo_tokens(path: &Path) -> Result<Vec<DemoTenant>, ConfigError> {
    let wrong = |cause: String| ConfigError::one(format!("`playground.demo_tokens`: {}: {cause}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

/// Done when the server stops.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // the sender lives as long as the state; were it gone, the server would be too
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
