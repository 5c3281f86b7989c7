//! A graph behind a gate, and an embedder that is counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quipu_resolvers::change::Entry;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Applied, Call, Embedder, Graph, Hit, Matching, Reader};
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use tokio::sync::Semaphore;

use super::world::Letters;

/// Lets as many reads through as it has been told to.
pub struct Gate {
    inner: Arc<dyn Graph>,
    passes: Semaphore,
    begun: AtomicUsize,
    fails: AtomicBool,
    panics: Mutex<Option<Value>>,
}

impl Gate {
    /// Closed.
    pub fn before(inner: Arc<dyn Graph>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            passes: Semaphore::new(0),
            begun: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            panics: Mutex::default(),
        })
    }

    /// Lets so many more through.
    pub fn open(&self, reads: usize) {
        self.passes.add_permits(reads);
    }

    /// Has the next one that gets through fail.
    pub fn fail_once(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    /// Has every statement of a loader panic that is asked for this key.
    pub fn panic_at(&self, key: Value) {
        *self.panics.lock().unwrap() = Some(key);
    }

    /// How many reads have come to the gate.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Reader for Gate {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.passes.acquire().await.expect("it is never closed for good").forget();
        if self.fails.swap(false, Ordering::SeqCst) {
            return Err(Fault::passing("graph", "as the test wants it"));
        }
        self.inner.read(read, call).await
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        let panics = self.panics.lock().unwrap().as_ref().is_some_and(|key| keys.contains(key));
        assert!(!panics, "a secret of the inside, about {keys:?}");
        self.inner.read_many(read, keys, call).await
    }
}

#[async_trait]
impl Graph for Gate {
    async fn matching(&self, matching: &Allowed<Matching>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        self.inner.matching(matching, call).await
    }

    async fn apply(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault> {
        self.inner.apply(tenant, entries).await
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.inner.clear(tenant).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.inner.position(tenant).await
    }
}

/// Counts what it is given.
#[derive(Default)]
pub struct Counted(pub AtomicUsize);

#[async_trait]
impl Embedder for Counted {
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Fault> {
        self.0.fetch_add(texts.len(), Ordering::SeqCst);
        Letters.embed(texts).await
    }

    fn dimensions(&self) -> usize {
        Letters.dimensions()
    }

    fn model(&self) -> Option<&str> {
        Letters.model()
    }
}
