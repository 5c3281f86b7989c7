//! The audit trail: who did what, and what was refused, in a chain for each tenant that cannot be changed without it being noticed.
//!
//! [`watching`] sees every operation of every transport and makes a [`Record`] of those that the settings ask for; [`scribe`] writes them in
//! portions, in order; a [`Trail`] is where they are kept: beside the log of changes, append-only, each with the hash of the one before it
//! ([`chain`]).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Clock, Metadata};
use quipu_resolvers::value::scalar;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

pub mod chain;
pub mod scribe;
pub mod search;
pub mod watching;

use crate::auth::Event;
pub use scribe::Scribe;

/// Whose chain a record belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Whose {
    /// A tenant's.
    Tenant(TenantId),
    /// The gateway's own: what concerns no tenant that is known, like credentials that are none.
    Gateway,
}

impl Whose {
    /// The name in the store: the tenant's, or nothing.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tenant(tenant) => tenant.as_str(),
            Self::Gateway => "",
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => tenant.fmt(f),
            Self::Gateway => f.write_str("the gateway"),
        }
    }
}

/// One thing that somebody did, or was kept from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When, as RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Who: the subject of the credentials, if they have one.
    pub who: Option<String>,
    /// Their roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What: `query`, `mutation`, `subscription`, `credentials`, or a word for an administrative action like `ontology.publish`.
    pub action: String,
    /// Name of the operation in its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// SHA-256 of the document, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Variables, as `audit.variables` says.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub variables: Map<String, Json>,
    /// Types that it was about.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub types: BTreeSet<String>,
    /// Records that root fields and loaders brought.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub records: u64,
    /// Whether it was done, in part, or not at all.
    pub decision: Decision,
    /// Codes of its errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// The request, as in the log and in `x-request-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// How many alike records this one stands for, where there were too many to write each.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub times: u64,
}

impl Record {
    /// Something that was done, of which nothing more is known.
    pub fn new(at: String, action: &str) -> Self {
        Self {
            at,
            who: None,
            roles: Vec::new(),
            action: action.to_owned(),
            operation: None,
            document: None,
            variables: Map::new(),
            types: BTreeSet::new(),
            records: 0,
            decision: Decision::Allowed,
            codes: Vec::new(),
            request: None,
            times: 1,
        }
    }

    /// What was done to credentials, or refused of them.
    pub fn of(at: String, event: Event<'_>) -> Self {
        Self {
            who: event.who().map(str::to_owned),
            variables: event.about(),
            decision: if event.refusal().is_some() { Decision::Refused } else { Decision::Allowed },
            codes: event.refusal().map(str::to_owned).into_iter().collect(),
            ..Self::new(at, event.action())
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It was done, as far as rules are concerned.
    Allowed,
    /// Parts of it were refused.
    Partly,
    /// It was refused.
    Refused,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_one(number: &u64) -> bool {
    *number == 1
}

fn one() -> u64 {
    1
}

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Position in its chain, from 1.
    pub seq: u64,
    /// The record as JSON, byte for byte as it was hashed.
    pub text: String,
    /// Its hash, see [`chain::next`].
    pub hash: [u8; 32],
}

/// Where what is kept of a chain begins: records up to here were removed because of their age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Position of the last record that was removed; 0 when none was.
    pub seq: u64,
    /// Its hash; zeros when none was.
    pub hash: [u8; 32],
}

impl Anchor {
    /// Nothing was removed.
    pub const NONE: Self = Self { seq: 0, hash: [0; 32] };
}

/// Where records are kept.
#[async_trait]
pub trait Trail: Send + Sync {
    /// Appends records to a chain, all or none, and returns the position of the last one. Several instances may append to one chain.
    ///
    /// # Errors
    /// A store's.
    async fn append(&self, whose: &Whose, texts: &[String]) -> Result<u64, Fault>;

    /// Records after a position, in order, at most `limit`.
    ///
    /// # Errors
    /// A store's.
    async fn kept(&self, whose: &Whose, after: u64, limit: u32) -> Result<Vec<Kept>, Fault>;

    /// Where what is kept begins.
    ///
    /// # Errors
    /// A store's.
    async fn anchor(&self, whose: &Whose) -> Result<Anchor, Fault>;

    /// Removes records up to a position, and notes the last one's hash as the anchor of what is left. Returns how many went.
    ///
    /// # Errors
    /// A store's.
    async fn prune(&self, whose: &Whose, upto: u64) -> Result<u64, Fault>;

    /// Removes a chain whose tenant is deleted; another one of the name begins at the beginning.
    ///
    /// # Errors
    /// A store's.
    async fn forget(&self, _whose: &Whose) -> Result<(), Fault> {
        Err(Fault::internal("audit", "this trail is kept for ever"))
    }
}

/// How often old records are looked for.
const LOOKING: Duration = Duration::from_secs(600);
/// Records that are looked at at once.
const PORTION: u32 = 1_000;

/// Removes records that are older than `keep`, for ever.
pub async fn aging(trail: Arc<dyn Trail>, metadata: Arc<dyn Metadata>, clock: Arc<dyn Clock>, keep: Duration) {
    loop {
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let oldest = scalar::stamp_ms(clock.now_ms().saturating_sub(keep_ms));
        // Also those of tenants that were deleted.
        let tenants = metadata.tenants().await.unwrap_or_else(|fault| {
            tracing::warn!(%fault, "cannot tell whose audit trails there are; that of the gateway is looked at");
            Vec::new()
        });
        let chains = tenants.into_iter().map(|state| Whose::Tenant(state.tenant)).chain([Whose::Gateway]);
        for whose in chains {
            match aged(trail.as_ref(), &whose, &oldest).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(%whose, gone, "old records of the audit trail removed"),
                Err(fault) => tracing::warn!(%whose, %fault, "old records of the audit trail cannot be removed"),
            }
        }
        tokio::time::sleep(LOOKING).await;
    }
}

/// Removes the records of a chain that are older than an instant; how many went. Clocks differ, so it stops at the first that is not.
///
/// # Errors
/// A store's.
pub async fn aged(trail: &dyn Trail, whose: &Whose, oldest: &str) -> Result<u64, Fault> {
    let mut upto = trail.anchor(whose).await?.seq;
    loop {
        let portion = trail.kept(whose, upto, PORTION).await?;
        let is_old =
            |kept: &&Kept| serde_json::from_str::<Record>(&kept.text).is_ok_and(|record| record.at.as_str() < oldest);
        let old = portion.iter().take_while(is_old).count();
        upto = portion[..old].last().map_or(upto, |kept| kept.seq);
        if old < portion.len() || portion.is_empty() {
            return trail.prune(whose, upto).await;
        }
    }
}
