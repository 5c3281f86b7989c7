//! A graph that follows the log only when it is let, and a log that is watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use quipu_resolvers::change::{Accepted, Change, Entry};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Applied, Call, Graph, Hit, Matching, Metadata, Reader, Terms};
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Ontology;
use tokio::sync::Semaphore;

/// A graph that applies as often as it is let.
pub struct Follower {
    inner: Arc<dyn Graph>,
    passes: Semaphore,
    fails: AtomicBool,
    asked: AtomicUsize,
    applied: AtomicUsize,
}

impl Follower {
    /// Applies nothing yet.
    pub fn held(inner: Arc<dyn Graph>) -> Arc<Self> {
        let (fails, asked, applied) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { inner, passes: Semaphore::new(0), fails, asked, applied })
    }

    /// Fails at everything that it is to apply.
    pub fn failing(inner: Arc<dyn Graph>) -> Arc<Self> {
        let follower = Self::held(inner);
        follower.fails.store(true, Ordering::SeqCst);
        follower
    }

    /// Applies whatever comes from now on.
    pub fn let_go(&self) {
        self.fails.store(false, Ordering::SeqCst);
        self.passes.add_permits(1 << 20);
    }

    /// How often it was asked where it stands, and how often to apply something.
    pub fn counts(&self) -> (usize, usize) {
        (self.asked.load(Ordering::SeqCst), self.applied.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Reader for Follower {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.inner.read(read, call).await
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        self.inner.read_many(read, keys, call).await
    }
}

#[async_trait]
impl Graph for Follower {
    async fn matching(&self, matching: &Allowed<Matching>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        self.inner.matching(matching, call).await
    }

    async fn apply(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault> {
        self.applied.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(Fault::passing("graph", "as the test wants it"));
        }
        self.passes.acquire().await.expect("it is never closed for good").forget();
        self.inner.apply(tenant, entries).await
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.inner.clear(tenant).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.position(tenant).await
    }
}

/// Counts how often it is asked where the log ends.
pub struct Watched {
    inner: Arc<dyn Metadata>,
    asked: AtomicUsize,
}

impl Watched {
    /// Not asked yet.
    pub fn over(inner: Arc<dyn Metadata>) -> Arc<Self> {
        Arc::new(Self { inner, asked: AtomicUsize::new(0) })
    }

    /// How often it was asked where the log ends.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Reader for Watched {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.inner.read(read, call).await
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        self.inner.read_many(read, keys, call).await
    }
}

#[async_trait]
impl Metadata for Watched {
    async fn accept(&self, change: &Allowed<Change>, terms: Terms<'_>, call: Call<'_>) -> Result<Accepted, Fault> {
        self.inner.accept(change, terms, call).await
    }

    async fn log(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Entry>, Fault> {
        self.inner.log(tenant, after, limit).await
    }

    async fn head(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.head(tenant).await
    }

    async fn publish(&self, tenant: &TenantId, sdl: &str, ontology: &Ontology, at: &str) -> Result<u64, Fault> {
        self.inner.publish(tenant, sdl, ontology, at).await
    }

    async fn published(&self) -> Result<Vec<(TenantId, u64)>, Fault> {
        self.inner.published().await
    }

    async fn ontology(&self, tenant: &TenantId) -> Result<Option<(u64, String)>, Fault> {
        self.inner.ontology(tenant).await
    }
}
