//! What the engine needs of the world. Adapters live in the root crate, named by technology; one contract suite holds for all.

use std::time::Instant;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use quipu_schema::api::Api;
use quipu_schema::ontology::Ontology;

use crate::change::{Accepted, Change, Entry};
use crate::fault::Fault;
use crate::guard::{Allowed, TenantId};
use crate::read::{Predicate, Read};
use crate::value::Value;

/// Searches that run beside each other where a store cannot take several at once.
const BESIDE: usize = 4;

mod cache;
mod lives;
mod trace;

pub use cache::{Cache, CacheKey, Counters, Found, KeyKind, Taken};
pub use lives::{Held, Life, OntologyVersion, SharedGraph, TenantState};
pub use trace::{About, CACHED, Lookup, Statement, StoreName, Trace};

/// What a call into a port belongs to: the request's deadline and its trace.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// When the answer is worth nothing any more.
    pub deadline: Instant,
    /// Where statements are counted.
    pub trace: &'a Trace,
}

/// Answers reads. Both the graph and the metadata store do.
#[async_trait]
pub trait Reader: Send + Sync {
    /// The outcome of a read at the root: exactly one statement.
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault>;

    /// The outcomes of a read whose `via` is `Key`, one per key, in the order of the keys: exactly one statement.
    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault>;
}

/// The graph: nodes, relationships, and full text over embedded properties.
#[async_trait]
pub trait Graph: Reader {
    /// The best records by BM25 over their `@embed` texts, at most `limit`, best first. Words of the query are searched as words; it has no syntax.
    async fn matching(&self, matching: &Allowed<Matching>, call: Call<'_>) -> Result<Vec<Hit>, Fault>;

    /// Applies entries of a tenant's log in order, in one transaction together with the position. Entries at or before the position
    /// are passed over, so applying twice is the same as once.
    async fn apply(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault>;

    /// The last applied position of a tenant's log; 0 when none was.
    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault>;

    /// The position, with what tells one making of the graph from the next. A graph that is never cleared has one.
    async fn standing(&self, tenant: &TenantId) -> Result<Standing, Fault> {
        Ok(Standing { position: self.position(tenant).await?, ..Standing::default() })
    }

    /// Makes what an ontology needs of the graph: labels, constraints, indexes, and the texts of the records that are there. Called
    /// after it was published, and when it is served for the first time in a process; doing it again does nothing. A store that
    /// does it in the transaction that publishes has nothing to do.
    async fn prepare(&self, _tenant: &TenantId, _ontology: &Ontology) -> Result<(), Fault> {
        Ok(())
    }

    /// Names of indexes that are made and do not hold everything yet. Until they do, what needs them is slower, and as right.
    ///
    /// # Errors
    /// A store that failed, also at filling one.
    async fn filling(&self, _tenant: &TenantId) -> Result<Vec<String>, Fault> {
        Ok(Vec::new())
    }

    /// Whether others than the gateway write a tenant's graph, as it stands in a database of its own.
    fn is_shared(&self, _tenant: &TenantId) -> bool {
        false
    }

    /// Removes everything of a tenant for good, its position and notes as well. Whoever is interrupted does it again.
    ///
    /// # Errors
    /// A store's; `BAD_USER_INPUT` where others write the graph, and it is not said what becomes of their nodes.
    async fn forget(&self, _tenant: &TenantId, _shared: SharedGraph) -> Result<(), Fault> {
        Err(Fault::internal("graph", "this store forgets no tenants"))
    }

    /// What the store has of a tenant, as it is looked up now: kinds of things with their numbers, those of which there is nothing too. Nodes of
    /// a shared graph that are kept are not among them.
    async fn held(&self, _tenant: &TenantId, _shared: SharedGraph) -> Result<Vec<Held>, Fault> {
        Err(Fault::internal("graph", "this store counts nothing"))
    }

    /// Removes everything of a tenant, its texts and its position, so that the whole log is applied anew. The position goes last: whoever
    /// is interrupted does it again. Refused where others write the same records.
    async fn clear(&self, tenant: &TenantId) -> Result<(), Fault>;
}

/// Where a graph stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The last applied position of the tenant's log; 0 when none was.
    pub position: u64,
    /// How often the graph was cleared: at the same position, one making is not read while the next one is not there yet.
    pub making: u64,
    /// Whether it is being cleared at this moment, so that less is there than the position says.
    pub leaving: bool,
}

impl Standing {
    /// Whether the graph has all that the log has up to a position.
    pub fn holds(self, seq: u64) -> bool {
        !self.leaving && self.position >= seq
    }
}

/// What applying did, for the counters of a mutation's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Relationships that came to be.
    pub relationships_created: u64,
    /// Relationships that went, also with their nodes.
    pub relationships_deleted: u64,
}

/// Rows, the registry of keys and the log, in one transactional store; and what is published.
#[async_trait]
pub trait Metadata: Reader {
    /// Decides on a change and, in the same transaction, writes its rows and appends it to the log. Refusals are client faults:
    /// `CONFLICT`, `NOT_FOUND`, `IDEMPOTENCY_KEY_REUSED`.
    async fn accept(&self, change: &Allowed<Change>, terms: Terms<'_>, call: Call<'_>) -> Result<Accepted, Fault>;

    /// Entries of a tenant's log after a position, in order, at most `limit`; fewer when they are large, none only at the end.
    async fn log(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Entry>, Fault>;

    /// The last position of a tenant's log; 0 when it is empty.
    async fn head(&self, tenant: &TenantId) -> Result<u64, Fault>;

    /// Publishes an ontology for a tenant, which is made when it is not there. Returns the new version, from 1; publishing the same
    /// text again returns the same version.
    ///
    /// What `quipu_schema::diff` says that the data needs is done in the same transaction, with `at` (RFC 3339) in the log, or refused
    /// with `CONFLICT`, as [`Migration::care`](quipu_schema::diff::Migration::care) has it.
    async fn publish(&self, tenant: &TenantId, sdl: &str, ontology: &Ontology, at: &str) -> Result<u64, Fault>;

    /// Looks at what an ontology shows of tables that belong to others, before it is served by a process. What cannot be read is told in
    /// the log, and to whoever asks for it; the rest is served. Publishing does the same, and refuses.
    async fn prepare(&self, _tenant: &TenantId, _ontology: &Ontology) -> Result<(), Fault> {
        Ok(())
    }

    /// What is published: tenants with their current version, those that are suspended among them, and none that is being deleted.
    async fn published(&self) -> Result<Vec<(TenantId, u64)>, Fault>;

    /// The text of a tenant's current ontology with its version.
    async fn ontology(&self, tenant: &TenantId) -> Result<Option<(u64, String)>, Fault>;

    /// The documents that are published for a tenant, by their ids, and how often they were changed. None, for a store that keeps none.
    async fn documents(&self, _tenant: &TenantId) -> Result<(u64, Vec<TrustedDocument>), Fault> {
        Ok((0, Vec::new()))
    }

    /// All tenants by name, also those that are suspended, being deleted, or gone.
    async fn tenants(&self) -> Result<Vec<TenantState>, Fault> {
        let state =
            |(tenant, version)| TenantState { tenant, version, documents: 0, head: 0, life: Life::Active, plan: None };
        Ok(self.published().await?.into_iter().map(state).collect())
    }

    /// Suspends a tenant, lets it be served again, or says how far its deletion has come. Returns how it was before.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such tenant; `CONFLICT` when it is being deleted, and is to be something else than gone.
    async fn set_life(&self, _tenant: &TenantId, _life: &Life) -> Result<Life, Fault> {
        Err(Fault::internal("rows", "this store suspends no tenants"))
    }

    /// Sets what a tenant may use alone, as JSON; nothing for what all may use.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such tenant, or it is being deleted.
    async fn set_plan(&self, _tenant: &TenantId, _plan: Option<&str>) -> Result<(), Fault> {
        Err(Fault::internal("rows", "this store keeps no plans"))
    }

    /// Removes everything of a tenant that is being deleted, but its name and its audit trail. Whoever is interrupted does it again.
    async fn forget(&self, _tenant: &TenantId) -> Result<(), Fault> {
        Err(Fault::internal("rows", "this store forgets no tenants"))
    }

    /// As [`Graph::held`].
    async fn held(&self, _tenant: &TenantId) -> Result<Vec<Held>, Fault> {
        Err(Fault::internal("rows", "this store counts nothing"))
    }

    /// The versions of a tenant's ontology, in order.
    async fn history(&self, _tenant: &TenantId) -> Result<Vec<OntologyVersion>, Fault> {
        Ok(Vec::new())
    }

    /// The text of a version of a tenant's ontology, if there is such a version.
    async fn ontology_at(&self, _tenant: &TenantId, _version: u64) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    /// Publishes documents beside those that are there, all or none; `at` is now, in RFC 3339. Returns how many are new.
    ///
    /// # Errors
    /// `CONFLICT` when an id stands for another text, or there is no room; `NOT_FOUND` when there is no such tenant.
    async fn publish_documents(
        &self,
        _tenant: &TenantId,
        _documents: &[TrustedDocument],
        _room: Room,
        _at: &str,
    ) -> Result<usize, Fault> {
        Err(Fault::internal("rows", "this store keeps no documents"))
    }

    /// Removes documents by their ids. Returns how many were there.
    async fn remove_documents(&self, _tenant: &TenantId, _ids: &[String]) -> Result<usize, Fault> {
        Err(Fault::internal("rows", "this store keeps no documents"))
    }
}

/// A document that is published for a tenant, so that its clients can name it by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedDocument {
    /// Its id, mostly a digest of the text.
    pub id: String,
    /// The document.
    pub text: String,
}

/// How much may be published for a tenant.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Documents.
    pub documents: usize,
    /// Bytes of all their ids and texts.
    pub bytes: usize,
}

/// Conditions under which a change is accepted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// A second change with the same key is answered like the first and not written again.
    pub idempotency_key: Option<&'a str>,
    /// What the key stands for; the change itself when `None`. The same key for something else is refused.
    pub digest: Option<&'a str>,
    /// Records and relationships that are there already are left as they are, whatever the change says of them.
    pub only_new: bool,
    /// Subject to be named in the log.
    pub actor: Option<&'a str>,
    /// Now, RFC 3339 in UTC with milliseconds.
    pub at: &'a str,
}

/// Vectors of embedded properties.
#[async_trait]
pub trait Vectors: Send + Sync {
    /// The nearest records by cosine, at most `limit`, best first. The filter acts before the limit.
    async fn nearest(&self, nearest: &Allowed<Nearest>, call: Call<'_>) -> Result<Vec<Hit>, Fault>;

    /// Several searches of one request, a few beside each other, or all in one statement where a store can; the hits of each, in their order.
    async fn nearest_all(&self, searches: &[Allowed<Nearest>], call: Call<'_>) -> Vec<Result<Vec<Hit>, Fault>> {
        let each: Vec<_> = searches.iter().map(|nearest| self.nearest(nearest, call)).collect();
        stream::iter(each).buffered(BESIDE).collect().await
    }

    /// The vector of a record's property, if it has one.
    async fn vector(&self, record: &Allowed<VectorOf>, call: Call<'_>) -> Result<Option<Vec<f32>>, Fault>;

    /// Stores and removes vectors and notes the position up to which the log was followed, in one transaction.
    async fn apply(&self, tenant: &TenantId, position: u64, changes: &[VectorChange]) -> Result<(), Fault>;

    /// The position up to which the log was followed; 0 when not at all.
    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault>;

    /// Notes a position whatever was noted before: for vectors that have followed another log, further than this one goes.
    async fn rewind(&self, tenant: &TenantId, position: u64) -> Result<(), Fault>;

    /// Every property that has vectors, or was gone through for them, with how far that came.
    async fn coverage(&self, tenant: &TenantId) -> Result<Vec<Coverage>, Fault>;

    /// Stores and removes vectors and notes how far the records of a property were gone through, in one transaction.
    async fn cover(&self, tenant: &TenantId, coverage: &Coverage, changes: &[VectorChange]) -> Result<(), Fault>;

    /// Those of the records that have no vector for the property.
    async fn lacking(
        &self,
        tenant: &TenantId,
        of: &str,
        property: &str,
        ids: Vec<String>,
    ) -> Result<Vec<String>, Fault>;

    /// Removes everything of a tenant for good, its position and notes as well. Whoever is interrupted does it again.
    async fn forget(&self, _tenant: &TenantId) -> Result<(), Fault> {
        Err(Fault::internal("vectors", "this store forgets no tenants"))
    }

    /// As [`Graph::held`].
    async fn held(&self, _tenant: &TenantId) -> Result<Vec<Held>, Fault> {
        Err(Fault::internal("vectors", "this store counts nothing"))
    }

    /// Removes a portion of a property's vectors; true when all are gone, and the property with them. Until then its coverage is
    /// `Leaving`.
    async fn uncover(&self, tenant: &TenantId, of: &str, property: &str) -> Result<bool, Fault>;
}

/// How far the records of a type were gone through for the vectors of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Name of the type.
    pub of: String,
    /// Stored name of the property.
    pub property: String,
    /// How far.
    pub reached: Reached,
}

/// A place in the records of a type, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// Everything up to this id; empty before the first.
    Upto(String),
    /// All of them.
    All,
    /// The vectors are being removed.
    Leaving,
}

/// Names the vector of one property of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorOf {
    /// The type of the record with visibility; the record is read only when visible.
    pub within: Within,
    /// Stored name of the property.
    pub property: String,
    /// Id of the record.
    pub id: String,
}

/// A vector to store, or `None` to remove what is there.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorChange {
    /// Type and id of the record.
    pub record: crate::change::Ref,
    /// Stored name of the property; `None` removes all vectors of the record.
    pub property: Option<String>,
    /// The vector, of the model's dimension and length 1.
    pub vector: Option<Vec<f32>>,
}

/// Records of one type among which something is searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Within {
    /// Name of the type.
    pub of: String,
    /// True for rows.
    pub row: bool,
    /// What the caller asks for.
    pub filter: Predicate,
    /// What the caller may see; set by the guard.
    pub visible: Predicate,
}

/// A search by vector in one property.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    /// Among which records.
    pub within: Within,
    /// Stored name of the embedded property.
    pub property: String,
    /// The vector to be near to, of length 1.
    pub vector: Vec<f32>,
    /// Most hits.
    pub limit: u32,
}

/// A search by words over the embedded texts of several types.
#[derive(Debug, Clone, PartialEq)]
pub struct Matching {
    /// Among which records.
    pub within: Vec<Within>,
    /// The words.
    pub text: String,
    /// Most hits.
    pub limit: u32,
}

/// A record that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Name of its type.
    pub of: String,
    /// Its id.
    pub id: String,
    /// Cosine or BM25; higher is better.
    pub score: f64,
}

/// Turns text into vectors of length 1.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// One vector per text, in order. Fails with `EMBEDDING_UNAVAILABLE` when there is no model.
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Fault>;

    /// Length of the vectors.
    fn dimensions(&self) -> usize;

    /// What tells this model's vectors from those of others; `None` when there is no model.
    fn model(&self) -> Option<&str>;
}

/// Tells instances that a tenant's log grew. Carries no data.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Says that a tenant's log has reached a position.
    async fn announce(&self, tenant: &TenantId, seq: u64);

    /// A receiver of announcements of one tenant. A receiver that lags misses announcements, never entries: it reads the log.
    fn listen(&self, tenant: &TenantId) -> tokio::sync::watch::Receiver<u64>;

    /// Forgets where the log of a tenant was that is gone: another of its name begins at the beginning. Receivers end.
    fn forget(&self, _tenant: &TenantId) {}
}

/// The time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 in UTC. It may jump, also back, and differ between instances by any amount: nothing is put in order by it.
    fn now_ms(&self) -> i64;

    /// Milliseconds since some moment, for how long something lasts within this process. It never goes back.
    fn steady_ms(&self) -> i64 {
        self.now_ms()
    }
}

/// What a tenant is served by: its ontology and the API derived of it, immutable.
#[derive(Debug)]
pub struct Served {
    /// The tenant.
    pub tenant: TenantId,
    /// Version of the ontology, from 1.
    pub version: u64,
    /// The ontology.
    pub ontology: Ontology,
    /// Its API.
    pub api: Api,
}
