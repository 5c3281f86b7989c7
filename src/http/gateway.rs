//! What HTTP needs of the rest of the process.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::{Answer, Ask, TextHash};
use tokio::sync::watch;

use crate::config::OwnPlan;

/// Finds the API of a tenant.
pub trait Gateway: Send + Sync {
    /// What the tenant is served by now. Requests finish on what they began with.
    ///
    /// # Errors
    /// When it is not served.
    fn api(&self, tenant: &TenantId) -> Result<Arc<dyn TenantApi>, Absent>;

    /// What a tenant may use, where something of that was set for it alone while the process runs.
    fn own_plan(&self, _tenant: &TenantId) -> Option<Arc<OwnPlan>> {
        None
    }

    /// Changes whenever tenants were suspended or went; whoever has a stream looks then whether it may go on. A receiver without a sender
    /// says that this never happens.
    fn departures(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

/// Why a tenant is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// There is none of this name.
    Unknown,
    /// What is published for it could not be made ready yet.
    NotReady,
    /// It is suspended: told to those alone whose credentials were verified.
    Suspended,
}

/// The API of one tenant, of one version of its ontology.
#[async_trait]
pub trait TenantApi: Send + Sync {
    /// The response to a query or mutation.
    async fn answer(&self, principal: &Principal, ask: Ask) -> Answer;

    /// The responses to a subscription; to a query or mutation, one. Dropping the stream ends the work.
    fn watch(&self, principal: Principal, ask: Ask) -> BoxStream<'static, Answer>;

    /// The text of a document that is published under an id.
    fn published(&self, id: &str) -> Option<Arc<str>>;

    /// Whether a text is that of a published document.
    fn is_published(&self, text: &str) -> bool;

    /// The text of a document that was sent before and is still kept, by the SHA-256 of its text.
    fn kept(&self, hash: &TextHash) -> Option<Arc<str>>;
}

/// Says how the parts of the process are.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Asks each part. Takes as long as the slowest of them; the caller sets a time limit.
    async fn probe(&self) -> Vec<Probe>;
}

/// How one part of the process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its name, like `graph`, `embedding`, or `graph.acme` of a tenant that has its own.
    pub part: Cow<'static, str>,
    /// How it is.
    pub condition: Condition,
    /// Whether nothing can be served without it.
    pub essential: bool,
}

/// How a part can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    Up,
    /// It is loaded when it is needed; nothing is known to be wrong with it.
    NotLoaded,
    /// It does not work.
    Down,
}

impl Condition {
    /// Works or not.
    pub fn of(works: bool) -> Self {
        if works { Self::Up } else { Self::Down }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::NotLoaded => "not loaded yet",
            Self::Down => "down",
        }
    }
}
