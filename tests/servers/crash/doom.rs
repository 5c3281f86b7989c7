//! Stores that end their process at a chosen point, as a power cut would: nothing is flushed, closed or told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use quipu_resolvers::change::{Accepted, Change, Entry};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::*;
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Ontology;

/// Where a process can end.
pub const POINTS: [&str; 9] = [
    "before accept",
    "within accept",
    "after accept",
    "before apply",
    "within apply",
    "after apply",
    "before vectors",
    "within vectors",
    "after vectors",
];

/// Which point, and how many times it is passed before the end.
pub struct Doom {
    point: String,
    left: AtomicU32,
    /// For `within`: how long the work goes on.
    within: Duration,
}

impl Doom {
    pub fn new(point: &str, passes: u32, within: Duration) -> Arc<Self> {
        Arc::new(Self { point: point.to_owned(), left: AtomicU32::new(passes + 1), within })
    }

    fn comes(&self, when: &str, what: &str) -> bool {
        self.point == format!("{when} {what}")
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) == Ok(1)
    }

    async fn around<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        if self.comes("before", what) {
            std::process::abort();
        }
        if self.comes("within", what) {
            let within = self.within;
            std::thread::spawn(move || {
                std::thread::sleep(within);
                std::process::abort();
            });
        }
        let done = work.await;
        if self.comes("after", what) {
            std::process::abort();
        }
        done
    }
}

/// A store under a doom.
pub struct Doomed<T: ?Sized> {
    pub inner: Arc<T>,
    pub doom: Arc<Doom>,
}

#[async_trait]
impl<T: Reader + ?Sized> Reader for Doomed<T> {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.inner.read(read, call).await
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        self.inner.read_many(read, keys, call).await
    }
}

#[async_trait]
impl Graph for Doomed<dyn Graph> {
    async fn matching(&self, matching: &Allowed<Matching>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        self.inner.matching(matching, call).await
    }

    async fn apply(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault> {
        self.doom.around("apply", self.inner.apply(tenant, entries)).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.inner.position(tenant).await
    }

    async fn prepare(&self, tenant: &TenantId, ontology: &Ontology) -> Result<(), Fault> {
        self.inner.prepare(tenant, ontology).await
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.inner.clear(tenant).await
    }
}

#[async_trait]
impl Metadata for Doomed<dyn Metadata> {
    async fn accept(&self, change: &Allowed<Change>, terms: Terms<'_>, call: Call<'_>) -> Result<Accepted, Fault> {
        self.doom.around("accept", self.inner.accept(change, terms, call)).await
    }

    async fn log(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Entry>, Fault> {
        self.inner.log(tenant, after, limit).await
    }

    async fn head(&self, tenant: &TenantId) -> Result<u64, Fault> {
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

#[async_trait]
impl Vectors for Doomed<dyn Vectors> {
    async fn nearest(&self, nearest: &Allowed<Nearest>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        self.inner.nearest(nearest, call).await
    }

    async fn vector(&self, record: &Allowed<VectorOf>, call: Call<'_>) -> Result<Option<Vec<f32>>, Fault> {
        self.inner.vector(record, call).await
    }

    async fn apply(&self, tenant: &TenantId, position: u64, changes: &[VectorChange]) -> Result<(), Fault> {
        self.doom.around("vectors", self.inner.apply(tenant, position, changes)).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.inner.position(tenant).await
    }

    async fn coverage(&self, tenant: &TenantId) -> Result<Vec<Coverage>, Fault> {
        self.inner.coverage(tenant).await
    }

    async fn cover(&self, tenant: &TenantId, coverage: &Coverage, changes: &[VectorChange]) -> Result<(), Fault> {
        self.inner.cover(tenant, coverage, changes).await
    }

    async fn lacking(
        &self,
        tenant: &TenantId,
        of: &str,
        property: &str,
        ids: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        self.inner.lacking(tenant, of, property, ids).await
    }

    async fn rewind(&self, tenant: &TenantId, position: u64) -> Result<(), Fault> {
        self.inner.rewind(tenant, position).await
    }

    async fn uncover(&self, tenant: &TenantId, of: &str, property: &str) -> Result<bool, Fault> {
        self.inner.uncover(tenant, of, property).await
    }
}
