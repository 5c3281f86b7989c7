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
use qdrant_client::qdrant::{Condition, Filter, Query, QueryPoints, ScoredPoint, ScrollPoints, SearchParams};
use qdrant_client::qdrant::{VectorInput, vector_output};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Coverage, Hit, Nearest, StoreName, VectorChange, VectorOf};

use super::apart::{Bare, Found};

mod apply;
mod failure;
mod notes;
mod open;
mod scope;
mod session;

use failure::Failure;
use open::Names;
pub use open::{OpenError, Options};
use scope::{ID, Scope};
use session::{Session, points};

/// The name of this part in the log.
const PART: &str = "vectors";

/// Longest time for work that belongs to no request, like applying the log.
const BACKGROUND: Duration = Duration::from_secs(60);

/// Vectors up to which a search walks the graph of neighbours; for more of them going through all is as fast, and certain.
const WALKED: u32 = 2_000;
/// Candidates that a walk keeps: so many times what is asked for, within these bounds. More is more certain, and slower.
const KEPT_TIMES: u64 = 2;
const KEPT: (u64, u64) = (256, 4_096);

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

    /// Names of the collections: that of the vectors and that of the notes.
    pub fn collections(&self) -> [&str; 2] {
        [&self.0.names.vectors, &self.0.names.notes]
    }
}

impl Inner {
    /// Runs a search.
    async fn search(
        &self,
        nearest: &Allowed<Nearest>,
        filter: Filter,
        most: u32,
        exact: bool,
        call: Call<'_>,
    ) -> Result<Vec<Hit>, Fault> {
        let wanted = nearest.get();
        let kept = (u64::from(most) * KEPT_TIMES).clamp(KEPT.0, KEPT.1);
        let params = SearchParams { hnsw_ef: Some(kept), exact: Some(exact), ..SearchParams::default() };
        let conditions = filter.must.len();
        let query = QueryPoints {
            collection_name: self.names.vectors.clone(),
            query: Some(Query::from(VectorInput::from(wanted.vector.clone()))),
            filter: Some(filter),
            params: Some(params),
            limit: Some(u64::from(most)),
            with_payload: Some(vec![ID].into()),
            with_vectors: Some(false.into()),
            timeout: Some(seconds_left(call.deadline)),
            ..QueryPoints::default()
        };
        let send = |channel, request| async move { points(channel).query(request).await };
        let begun = Instant::now();
        let answer = self.session.ask(call.deadline, query, send).await;
        let count = answer.as_ref().map_or(0, |answer| answer.result.len());
        call.trace.ran(StoreName::Vectors, begun.elapsed(), || {
            let how = if exact { "exact".to_owned() } else { format!("ef {kept}") };
            let of_ids = if conditions > 3 { ", ids" } else { "" };
            let text =
                format!("query {} where tenant, type, property{of_ids}; {how}; limit {most}", self.names.vectors);
            let within = [nearest.tenant().to_string(), wanted.within.of.clone(), wanted.property.clone()];
            (text, within.to_vec(), count)
        });
        let hits = answer.map_err(Failure::fault)?.result.into_iter().map(|point| hit(&wanted.within.of, &point));
        hits.collect::<Option<_>>().ok_or_else(|| Fault::internal(PART, "a point without an id"))
    }

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

    /// Whether the vectors of a search can be compared with those of the collection.
    fn compares(&self, nearest: &Nearest) -> bool {
        nearest.vector.len() == self.dimension
    }
}

/// The record that a point stands for.
fn hit(of: &str, point: &ScoredPoint) -> Option<Hit> {
    let id = point.payload.get(ID)?.as_str()?.clone();
    Some(Hit { of: of.to_owned(), id, score: f64::from(point.score) })
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
        let (wanted, scope) = (nearest.get(), Scope(nearest.tenant()));
        if !self.0.compares(wanted) {
            return Ok(Found { hits: Vec::new(), all: true });
        }
        let filter = scope.filter(scope.space(&wanted.within.of, &wanted.property));
        let walked = most <= WALKED;
        let mut hits = self.0.search(nearest, filter.clone(), most, !walked, call).await?;
        if walked && hits.len() < most as usize {
            // A walk may miss some that are there. Mostly it does not, and there are few; then going through all takes no time.
            hits = self.0.search(nearest, filter, most, true, call).await?;
        }
        let all = hits.len() < most as usize;
        Ok(Found { hits, all })
    }

    async fn nearest_among(
        &self,
        nearest: &Allowed<Nearest>,
        ids: &[String],
        call: Call<'_>,
    ) -> Result<Vec<Hit>, Fault> {
        let (wanted, scope) = (nearest.get(), Scope(nearest.tenant()));
        if !self.0.compares(wanted) {
            return Ok(Vec::new());
        }
        let (of, property) = (wanted.within.of.as_str(), wanted.property.as_str());
        let named: Vec<_> = ids.iter().map(|id| scope.vector_id(of, property, id)).collect();
        let filter = scope.filter(scope.space(of, property).into_iter().chain([Condition::has_id(named)]));
        self.0.search(nearest, filter, wanted.limit, true, call).await
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

    async fn uncover(&self, tenant: &TenantId, of: &str, property: &str) -> Result<bool, Fault> {
        self.0.remove_some(tenant, (of, property), background()).await.map_err(Failure::fault)
    }
}
