//! Vectors apart from the records they belong to.
//!
//! A store of vectors that knows no records ([`Bare`]) cannot tell which of them meet a condition, which the caller may see, and which are
//! there at all. [`over`] makes the port `Vectors` of it: the nearest vectors are looked up, and their ids are asked of the store that
//! has the records, in one statement. When too few of them pass, there are two ways on. Conditions that few records meet are turned
//! round: the store of the records names all that meet them, and exactly those are compared. Otherwise the search reaches further, in
//! ever larger steps, until enough pass or no vector is left. So `first: k` finds k records wherever there are k.
//!
//! What is asked of the records is derived from the guarded search itself ([`Allowed::records`](quipu_resolvers::guard::Allowed)): the same
//! tenant, the same conditions, the same sight.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::FutureExt;
use futures_util::stream::{self, StreamExt};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{
    Call, Coverage, Graph, Held, Hit, Metadata, Nearest, Reader, StoreName, VectorChange, VectorOf, Vectors, Within,
};
use quipu_resolvers::read::{Predicate, Read};
use quipu_resolvers::value::Value;

/// Vectors that are looked at first: so many times the records that are wanted, and at least these.
const FIRST_TIMES: u32 = 4;
const FIRST: u32 = 200;
/// How much further each further look reaches.
const FURTHER: u32 = 8;
/// Most records that are named to be searched among.
const FEW: u32 = 5_000;
/// Searches of one request that go on beside each other.
const BESIDE: usize = 4;
/// Most ids that are asked of the records at once.
const ASKED: usize = 5_000;

/// A store of vectors that knows no records. What it finds may be gone, hidden, or not meant.
#[async_trait]
pub trait Bare: Send + Sync {
    /// The vectors nearest to that of a search, of the search's tenant, type and property, at most `most`, best first; the conditions and the
    /// limit of the search are not for it.
    async fn nearest(&self, nearest: &Allowed<Nearest>, most: u32, call: Call<'_>) -> Result<Found, Fault>;

    /// Several such looks; what each found, in their order.
    async fn nearest_all(&self, looks: &[Look<'_>], call: Call<'_>) -> Result<Vec<Found>, Fault> {
        let mut found = Vec::with_capacity(looks.len());
        for look in looks {
            found.push(self.nearest(look.nearest, look.most, call).await?);
        }
        Ok(found)
    }

    /// The same among the vectors of some records alone, exactly, up to the limit of the search.
    async fn nearest_among(
        &self,
        nearest: &Allowed<Nearest>,
        ids: &[String],
        call: Call<'_>,
    ) -> Result<Vec<Hit>, Fault>;

    /// The vector of a record's property, if it has one.
    async fn vector(&self, record: &Allowed<VectorOf>, call: Call<'_>) -> Result<Option<Vec<f32>>, Fault>;

    /// As [`Vectors::apply`]. Where a store has no transactions the position is noted last: what a crash cuts off is done again.
    async fn apply(&self, tenant: &TenantId, position: u64, changes: &[VectorChange]) -> Result<(), Fault>;

    /// As [`Vectors::position`].
    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault>;

    /// As [`Vectors::rewind`].
    async fn rewind(&self, tenant: &TenantId, position: u64) -> Result<(), Fault>;

    /// As [`Vectors::coverage`].
    async fn coverage(&self, tenant: &TenantId) -> Result<Vec<Coverage>, Fault>;

    /// As [`Vectors::cover`], and as [`apply`](Self::apply) where a store has no transactions.
    async fn cover(&self, tenant: &TenantId, coverage: &Coverage, changes: &[VectorChange]) -> Result<(), Fault>;

    /// As [`Vectors::lacking`].
    async fn lacking(
        &self,
        tenant: &TenantId,
        of: &str,
        property: &str,
        ids: Vec<String>,
    ) -> Result<Vec<String>, Fault>;

    /// As [`Vectors::forget`].
    async fn forget(&self, tenant: &TenantId) -> Result<(), Fault>;

    /// As [`Vectors::held`].
    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, Fault>;

    /// As [`Vectors::uncover`].
    async fn uncover(&self, tenant: &TenantId, of: &str, property: &str) -> Result<bool, Fault>;
}

/// A look at the vectors.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The search, whose conditions and limit are not looked at.
    pub nearest: &'a Allowed<Nearest>,
    /// Most hits.
    pub most: u32,
}

/// What a look at the vectors found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The nearest, best first.
    pub hits: Vec<Hit>,
    /// True when there are no others that could be found.
    pub all: bool,
}

/// The port `Vectors` over vectors that know no records, and the stores that have the records: nodes and rows.
pub fn over(vectors: Arc<dyn Bare>, graph: Arc<dyn Graph>, metadata: Arc<dyn Metadata>) -> Arc<dyn Vectors> {
    Arc::new(Apart { vectors, graph, metadata })
}

struct Apart {
    vectors: Arc<dyn Bare>,
    graph: Arc<dyn Graph>,
    metadata: Arc<dyn Metadata>,
}

/// Hits that were looked up so far and asked about.
#[derive(Default)]
struct Checked {
    asked: HashSet<String>,
    passed: HashSet<String>,
}

impl Apart {
    /// The ids that a question about records brings.
    async fn ids(&self, read: &Allowed<Read>, row: bool, call: Call<'_>) -> Result<Vec<String>, Fault> {
        let (reader, store): (&dyn Reader, _) = match row {
            true => (&*self.metadata, StoreName::Rows),
            false => (&*self.graph, StoreName::Graph),
        };
        let id = |row: Value| match row {
            Value::List(values) => values.into_iter().next().and_then(|id| id.as_text().map(str::to_owned)),
            _ => None,
        };
        let ids = match reader.read(read, call).await? {
            Value::List(rows) => rows.into_iter().map(id).collect(),
            Value::Null => Some(Vec::new()),
            _ => None,
        };
        ids.ok_or_else(|| Fault::internal(store.as_str(), "ids were asked for, and something else came"))
    }

    /// Those of the hits, best first, that stand for records which the search may find, as many as it wants at most. What was asked
    /// before is not asked again.
    async fn passing(
        &self,
        nearest: &Allowed<Nearest>,
        hits: Vec<Hit>,
        checked: &mut Checked,
        call: Call<'_>,
    ) -> Result<Vec<Hit>, Fault> {
        let wanted = nearest.get();
        let mut passing = Vec::new();
        for hits in hits.chunks(ASKED) {
            let new: Vec<String> =
                hits.iter().filter(|hit| checked.asked.insert(hit.id.clone())).map(|hit| hit.id.clone()).collect();
            if !new.is_empty() {
                let most = u32::try_from(new.len()).unwrap_or(u32::MAX);
                checked.passed.extend(self.ids(&nearest.records(Some(&new), most), wanted.within.row, call).await?);
            }
            passing.extend(hits.iter().filter(|hit| checked.passed.contains(&hit.id)).cloned());
            if passing.len() >= wanted.limit as usize {
                passing.truncate(wanted.limit as usize);
                break;
            }
        }
        Ok(passing)
    }

    /// The hits of a search from its first look on, which found `found` among the `reach` nearest.
    async fn narrowed(
        &self,
        nearest: &Allowed<Nearest>,
        mut found: Found,
        mut reach: u32,
        call: Call<'_>,
    ) -> Result<Vec<Hit>, Fault> {
        let wanted = nearest.get();
        let mut checked = Checked::default();
        let mut first = true;
        loop {
            let passing = self.passing(nearest, ranked(found.hits), &mut checked, call).await?;
            if found.all || passing.len() >= wanted.limit as usize || reach == u32::MAX {
                return Ok(passing);
            }
            if std::mem::take(&mut first)
                && let Some(few) = self.few(nearest, call).await?
            {
                let mut hits = match few.is_empty() {
                    true => Vec::new(),
                    false => ranked(self.vectors.nearest_among(nearest, &few, call).await?),
                };
                hits.truncate(wanted.limit as usize);
                return Ok(hits);
            }
            reach = reach.saturating_mul(FURTHER);
            found = self.vectors.nearest(nearest, reach, call).await?;
        }
    }

    /// The ids of all records that meet the conditions, when these are few.
    async fn few(&self, nearest: &Allowed<Nearest>, call: Call<'_>) -> Result<Option<Vec<String>>, Fault> {
        let ids = self.ids(&nearest.records(None, FEW + 1), nearest.get().within.row, call).await?;
        Ok((ids.len() <= FEW as usize).then_some(ids))
    }
}

/// How far a search looks first; `None` where nothing is to be found.
fn first_look(nearest: &Allowed<Nearest>) -> Option<Look<'_>> {
    let wanted = nearest.get();
    let most = wanted.limit.saturating_mul(FIRST_TIMES).max(FIRST);
    (wanted.limit > 0 && !finds_nothing(&wanted.within)).then_some(Look { nearest, most })
}

/// Best first; what is equally near by id.
fn ranked(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    hits
}

/// Whether no record can meet the conditions.
fn finds_nothing(within: &Within) -> bool {
    within.filter == Predicate::False || within.visible == Predicate::False
}

#[async_trait]
impl Vectors for Apart {
    async fn nearest(&self, nearest: &Allowed<Nearest>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        match first_look(nearest) {
            Some(Look { most, .. }) => {
                let found = self.vectors.nearest(nearest, most, call).await?;
                self.narrowed(nearest, found, most, call).await
            }
            None => Ok(Vec::new()),
        }
    }

    /// All first looks at once; each then goes on by itself.
    async fn nearest_all(&self, searches: &[Allowed<Nearest>], call: Call<'_>) -> Vec<Result<Vec<Hit>, Fault>> {
        let looks: Vec<Look<'_>> = searches.iter().filter_map(first_look).collect();
        let mut found = match self.vectors.nearest_all(&looks, call).await {
            Ok(found) => found.into_iter(),
            Err(fault) => return searches.iter().map(|_| Err(fault.clone())).collect(),
        };
        let narrowed = searches.iter().map(|nearest| {
            let look = first_look(nearest).map(|look| (look.most, found.next()));
            async move {
                match look {
                    Some((most, Some(found))) => self.narrowed(nearest, found, most, call).await,
                    Some((_, None)) => Err(Fault::internal("vectors", "fewer answers than searches")),
                    None => Ok(Vec::new()),
                }
            }
        });
        let narrowed: Vec<_> = narrowed.map(FutureExt::boxed).collect();
        stream::iter(narrowed).buffered(BESIDE).collect().await
    }

    async fn vector(&self, record: &Allowed<VectorOf>, call: Call<'_>) -> Result<Option<Vec<f32>>, Fault> {
        let within = &record.get().within;
        if finds_nothing(within) || self.ids(&record.record(), within.row, call).await?.is_empty() {
            return Ok(None);
        }
        self.vectors.vector(record, call).await
    }

    async fn apply(&self, tenant: &TenantId, position: u64, changes: &[VectorChange]) -> Result<(), Fault> {
        self.vectors.apply(tenant, position, changes).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.vectors.position(tenant).await
    }

    async fn rewind(&self, tenant: &TenantId, position: u64) -> Result<(), Fault> {
        self.vectors.rewind(tenant, position).await
    }

    async fn coverage(&self, tenant: &TenantId) -> Result<Vec<Coverage>, Fault> {
        self.vectors.coverage(tenant).await
    }

    async fn cover(&self, tenant: &TenantId, coverage: &Coverage, changes: &[VectorChange]) -> Result<(), Fault> {
        self.vectors.cover(tenant, coverage, changes).await
    }

    async fn lacking(
        &self,
        tenant: &TenantId,
        of: &str,
        property: &str,
        ids: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        self.vectors.lacking(tenant, of, property, ids).await
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.vectors.forget(tenant).await
    }

    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, Fault> {
        self.vectors.held(tenant).await
    }

    async fn uncover(&self, tenant: &TenantId, of: &str, property: &str) -> Result<bool, Fault> {
        self.vectors.uncover(tenant, of, property).await
    }
}
