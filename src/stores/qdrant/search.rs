//! Searches. Several go in one request.

use std::time::Instant;

use qdrant_client::qdrant::{
    Condition, Filter, Query, QueryBatchPoints, QueryPoints, ScoredPoint, SearchParams, VectorInput,
};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::Allowed;
use quipu_resolvers::ports::{Call, Hit, Nearest, StoreName};

use super::failure::Failure;
use super::scope::{ID, Scope};
use super::session::points;
use super::{Inner, PART, seconds_left};
use crate::stores::apart::{Found, Look};

/// Vectors up to which a search walks the graph of neighbours; for more of them going through all is as fast, and certain.
const WALKED: u32 = 2_000;
/// Candidates that a walk keeps: so many times what is asked for, within these bounds. More is more certain, and slower.
const KEPT_TIMES: u64 = 2;
const KEPT: (u64, u64) = (256, 4_096);
/// Most searches in one request.
const TOGETHER: usize = 64;

/// A search as it is sent.
struct Sent<'a> {
    nearest: &'a Allowed<Nearest>,
    filter: Filter,
    most: u32,
    exact: bool,
}

impl Inner {
    /// What each look finds, in their order; one request for all of them, and one more for those that a walk may have missed some of.
    pub(super) async fn looks(&self, looks: &[Look<'_>], call: Call<'_>) -> Result<Vec<Found>, Fault> {
        let mut found: Vec<Found> = looks.iter().map(|_| Found { hits: Vec::new(), all: true }).collect();
        let mut places: Vec<usize> = (0..looks.len()).filter(|at| self.compares(looks[*at].nearest.get())).collect();
        let mut again = false;
        while !places.is_empty() {
            let sent = places.iter().map(|at| {
                let Look { nearest, most } = looks[*at];
                let (wanted, scope) = (nearest.get(), Scope(nearest.tenant()));
                let filter = scope.filter(scope.space(&wanted.within.of, &wanted.property));
                Sent { nearest, filter, most, exact: again || most > WALKED }
            });
            for (at, hits) in places.iter().zip(self.search(sent.collect(), call).await?) {
                found[*at] = Found { all: hits.len() < looks[*at].most as usize, hits };
            }
            if again {
                break;
            }
            // A walk may miss some that are there. Mostly it does not, and there are few; then going through all takes no time.
            places.retain(|at| found[*at].all && looks[*at].most <= WALKED);
            again = true;
        }
        Ok(found)
    }

    /// The nearest among some records.
    pub(super) async fn among(
        &self,
        nearest: &Allowed<Nearest>,
        ids: &[String],
        call: Call<'_>,
    ) -> Result<Vec<Hit>, Fault> {
        let (wanted, scope) = (nearest.get(), Scope(nearest.tenant()));
        if !self.compares(wanted) {
            return Ok(Vec::new());
        }
        let (of, property) = (wanted.within.of.as_str(), wanted.property.as_str());
        let named: Vec<_> = ids.iter().map(|id| scope.vector_id(of, property, id)).collect();
        let filter = scope.filter(scope.space(of, property).into_iter().chain([Condition::has_id(named)]));
        let sent = Sent { nearest, filter, most: wanted.limit, exact: true };
        Ok(self.search(vec![sent], call).await?.pop().unwrap_or_default())
    }

    /// Runs searches; the hits of each.
    async fn search(&self, searches: Vec<Sent<'_>>, call: Call<'_>) -> Result<Vec<Vec<Hit>>, Fault> {
        let mut all = Vec::with_capacity(searches.len());
        for searches in searches.chunks(TOGETHER) {
            let begun = Instant::now();
            let answer = self.send(searches, call).await;
            let count = answer.as_ref().map_or(0, |answer| answer.iter().map(Vec::len).sum());
            call.trace.ran(StoreName::Vectors, begun.elapsed(), || {
                let text = searches.iter().map(|sent| format!("query {} {sent}", self.names.vectors));
                let within = searches.iter().flat_map(|Sent { nearest, .. }| {
                    let within = &nearest.get().within;
                    [nearest.tenant().to_string(), within.of.clone(), nearest.get().property.clone()]
                });
                (text.collect::<Vec<_>>().join("; "), within.collect(), count)
            });
            let answer = answer.map_err(Failure::fault)?;
            if answer.len() != searches.len() {
                return Err(Fault::internal(PART, "another number of answers than of searches"));
            }
            for (sent, points) in searches.iter().zip(answer) {
                let hits = points.iter().map(|point| hit(&sent.nearest.get().within.of, point));
                let hits: Option<Vec<Hit>> = hits.collect();
                all.push(hits.ok_or_else(|| Fault::internal(PART, "a point without an id"))?);
            }
        }
        Ok(all)
    }

    async fn send(&self, searches: &[Sent<'_>], call: Call<'_>) -> Result<Vec<Vec<ScoredPoint>>, Failure> {
        let query = |sent: &Sent<'_>| QueryPoints {
            collection_name: self.names.vectors.clone(),
            query: Some(Query::from(VectorInput::from(sent.nearest.get().vector.clone()))),
            filter: Some(sent.filter.clone()),
            params: Some(SearchParams {
                hnsw_ef: Some(kept(sent.most)),
                exact: Some(sent.exact),
                ..SearchParams::default()
            }),
            limit: Some(u64::from(sent.most)),
            with_payload: Some(vec![ID].into()),
            with_vectors: Some(false.into()),
            timeout: Some(seconds_left(call.deadline)),
            ..QueryPoints::default()
        };
        if let [one] = searches {
            let send = |channel, request| async move { points(channel).query(request).await };
            return Ok(vec![self.session.ask(call.deadline, query(one), send).await?.result]);
        }
        let batch = QueryBatchPoints {
            collection_name: self.names.vectors.clone(),
            query_points: searches.iter().map(query).collect(),
            timeout: Some(seconds_left(call.deadline)),
            ..QueryBatchPoints::default()
        };
        let send = |channel, request| async move { points(channel).query_batch(request).await };
        let answer = self.session.ask(call.deadline, batch, send).await?;
        Ok(answer.result.into_iter().map(|batch| batch.result).collect())
    }

    /// Whether the vectors of a search can be compared with those of the collection.
    fn compares(&self, nearest: &Nearest) -> bool {
        nearest.vector.len() == self.dimension
    }
}

impl std::fmt::Display for Sent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = if self.filter.must.len() > 3 { ", ids" } else { "" };
        let how = if self.exact { "exact".to_owned() } else { format!("ef {}", kept(self.most)) };
        write!(f, "where tenant, type, property{ids}; {how}; limit {}", self.most)
    }
}

/// Candidates of a walk.
fn kept(most: u32) -> u64 {
    (u64::from(most) * KEPT_TIMES).clamp(KEPT.0, KEPT.1)
}

/// The record that a point stands for.
fn hit(of: &str, point: &ScoredPoint) -> Option<Hit> {
    let id = point.payload.get(ID)?.as_str()?.clone();
    Some(Hit { of: of.to_owned(), id, score: f64::from(point.score) })
}
