//! Vectors in Qdrant, over gRPC.
//!
//! [`Qdrant::open`] looks whether the server can be used and makes two collections for each embedding model and length: the vectors, and
//! notes of how far logs and records were followed (`notes.rs`). A point carries tenant, type, property and id of its record, and its own id
//! is a digest of these, so that storing it twice is the same as once. The tenant is part of every filter, id and payload, and all of
//! them are made in `scope.rs`.
//!
//! Qdrant knows no records: [`apart::over`](super::apart::over) makes the port `Vectors` of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use qdrant_client::qdrant::{Condition, ScrollPoints, vector_output};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Coverage, Held, Hit, Nearest, StoreName, VectorChange, VectorOf};

use super::apart::{Bare, Found, Look};

mod apply;
mod failure;
mod forget;
mod notes;
mod open;
mod scope;
mod search;
mod session;

use failure::Failure;
use open::Names;
pub use open::{OpenError, Options};
use scope::Scope;
use session::{Session, points};

/// The name of this part in the log.
const PART: &str = "vectors";

/// Longest time for work that belongs to no request, like applying the log.
const BACKGROUND: Duration = Duration::from_secs(60);

/// Vectors on a Qdrant server.
#[derive(Clone)]
pub struct Qdrant(Arc<Inner>);

struct Inner {
    session: Session,
    names: Names,
    dimension: usize,
}

impl Qdrant {
    /// Connects to a server and looks whether it can be used, within five seconds; then makes the collections that are not there.
    ///
    /// # Errors
    /// When it cannot be reached, speaks something else, refuses the key, is too old, or has a collection of the same name for other
    /// vectors. The message names no key.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let (session, names) = open::connect(&options).await?;
        Ok(Self(Arc::new(Inner { session, names, dimension: options.dimension })))
    }

    /// Uses the key of these options from now on; whether it is another one. It is tried first.
    ///
    /// # Errors
    /// When the server refuses it, or does not answer.
    pub async fn renew(&self, options: &Options) -> Result<bool, OpenError> {
        open::renew(&self.0.session, &self.0.names, options).await
    }

    /// Names of the collections: that of the vectors and that of the notes.
    pub fn collections(&self) -> [&str; 2] {
        [&self.0.names.vectors, &self.0.names.notes]
    }
}

impl Inner {
    /// The vector of a record's property.
    async fn stored(&self, record: &Allowed<VectorOf>, call: Call<'_>) -> Result<Option<Vec<f32>>, Fault> {
        let (wanted, scope) = (record.get(), Scope(record.tenant()));
        let id = scope.vector_id(&wanted.within.of, &wanted.property, &wanted.id);
        let scroll = ScrollPoints {
            collection_name: self.names.vectors.clone(),
            filter: Some(scope.filter([Condition::has_id([id])])),
            limit: Some(1),
            with_payload: Some(false.into()),
            with_vectors: Some(true.into()),
            timeout: Some(seconds_left(call.deadline)),
            ..ScrollPoints::default()
        };
        let send = |channel, request| async move { points(channel).scroll(request).await };
        let begun = Instant::now();
        let answer = self.session.ask(call.deadline, scroll, send).await;
        let count = answer.as_ref().map_or(0, |answer| answer.result.len());
        call.trace.ran(StoreName::Vectors, begun.elapsed(), || {
            let text = format!("scroll {} where tenant, id; with vector", self.names.vectors);
            (text, vec![record.tenant().to_string(), wanted.id.clone()], count)
        });
        let Some(point) = answer.map_err(Failure::fault)?.result.into_iter().next() else { return Ok(None) };
        match point.vectors.and_then(|vectors| vectors.get_vector()) {
            Some(vector_output::Vector::Dense(vector)) => Ok(Some(vector.data)),
            _ => Err(Fault::internal(PART, "a point without a vector")),
        }
    }
}

/// Whole seconds until a deadline, at least one: what a server gives a search.
fn seconds_left(deadline: Instant) -> u64 {
    deadline.saturating_duration_since(Instant::now()).as_secs() + 1
}

/// When work that belongs to no request is given up.
fn background() -> Instant {
    Instant::now() + BACKGROUND
}

#[async_trait]
impl Bare for Qdrant {
    async fn nearest(&self, nearest: &Allowed<Nearest>, most: u32, call: Call<'_>) -> Result<Found, Fault> {
        let found = self.0.looks(&[Look { nearest, most }], call).await?;
        found.into_iter().next().ok_or_else(|| Fault::internal(PART, "no answer to a search"))
    }

    async fn nearest_all(&self, looks: &[Look<'_>], call: Call<'_>) -> Result<Vec<Found>, Fault> {
        self.0.looks(looks, call).await
    }

    async fn nearest_among(
        &self,
        nearest: &Allowed<Nearest>,
        ids: &[String],
        call: Call<'_>,
    ) -> Result<Vec<Hit>, Fault> {
        self.0.among(nearest, ids, call).await
    }

    async fn vector(&self, record: &Allowed<VectorOf>, call: Call<'_>) -> Result<Option<Vec<f32>>, Fault> {
        self.0.stored(record, call).await
    }

    async fn apply(&self, tenant: &TenantId, position: u64, changes: &[VectorChange]) -> Result<(), Fault> {
        let deadline = background();
        self.0.change(tenant, changes, deadline).await.map_err(Failure::fault)?;
        self.0.note_position(tenant, position, deadline).await.map_err(Failure::fault)
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.0.noted_position(tenant, background()).await.map_err(Failure::fault)
    }

    async fn rewind(&self, tenant: &TenantId, position: u64) -> Result<(), Fault> {
        self.0.set_position(tenant, position, background()).await.map_err(Failure::fault)
    }

    async fn coverage(&self, tenant: &TenantId) -> Result<Vec<Coverage>, Fault> {
        self.0.noted_coverage(tenant, background()).await.map_err(Failure::fault)
    }

    async fn cover(&self, tenant: &TenantId, coverage: &Coverage, changes: &[VectorChange]) -> Result<(), Fault> {
        let deadline = background();
        self.0.change(tenant, changes, deadline).await.map_err(Failure::fault)?;
        self.0.note_coverage(tenant, coverage, deadline).await.map_err(Failure::fault)
    }

    async fn lacking(
        &self,
        tenant: &TenantId,
        of: &str,
        property: &str,
        ids: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        self.0.without(tenant, (of, property), ids, background()).await.map_err(Failure::fault)
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.0.forget_tenant(tenant, background()).await.map_err(Failure::fault)
    }

    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, Fault> {
        self.0.held_of(tenant, background()).await.map_err(Failure::fault)
    }

    async fn uncover(&self, tenant: &TenantId, of: &str, property: &str) -> Result<bool, Fault> {
        self.0.remove_some(tenant, (of, property), background()).await.map_err(Failure::fault)
    }
}
