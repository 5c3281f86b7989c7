//! Following a tenant's log into the graph: entries in order, one follower at a time per tenant in a process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use crate::Ports;
use crate::change::Entry;
use crate::fault::Fault;
use crate::guard::TenantId;
use crate::ports::Applied;

/// Entries that are applied in one transaction when the graph is behind.
const BATCH: u32 = 200;

/// Applies entries to the graph.
pub(crate) struct Appliers {
    ports: Ports,
    /// Per tenant, the position of the graph as far as this process knows; the lock keeps entries in order.
    known: Mutex<HashMap<TenantId, Arc<AsyncMutex<Option<u64>>>>>,
}

impl Appliers {
    pub fn new(ports: Ports) -> Arc<Self> {
        Arc::new(Self { ports, known: Mutex::new(HashMap::new()) })
    }

    /// Applies an entry that was just accepted, after whatever the graph lacks before it, and announces it. Runs to its end
    /// whether or not the caller waits.
    pub async fn entry(self: &Arc<Self>, tenant: &TenantId, entry: Entry) -> Result<Applied, Fault> {
        let (appliers, tenant) = (self.clone(), tenant.clone());
        let task = tokio::spawn(async move { appliers.up_to(&tenant, Some(entry)).await });
        task.await.map_err(|error| Fault::internal("graph", error))?
    }

    /// Applies everything that the graph lacks.
    pub async fn catch_up(self: &Arc<Self>, tenant: &TenantId) -> Result<(), Fault> {
        self.up_to(tenant, None).await.map(|_| ())
    }

    /// Waits until the graph holds an entry that somebody else is applying, or applies it.
    pub async fn hold(self: &Arc<Self>, tenant: &TenantId, seq: u64) -> Result<(), Fault> {
        let known = *self.of(tenant).lock().await;
        if known.is_some_and(|position| position >= seq) {
            return Ok(());
        }
        self.catch_up(tenant).await
    }

    fn of(&self, tenant: &TenantId) -> Arc<AsyncMutex<Option<u64>>> {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(tenant.clone()).or_default().clone()
    }

    async fn up_to(&self, tenant: &TenantId, entry: Option<Entry>) -> Result<Applied, Fault> {
        let known = self.of(tenant);
        let mut known = known.lock().await;
        let position = match (*known, &entry) {
            (Some(position), Some(_)) => position,
            _ => self.ports.graph.position(tenant).await?,
        };
        // Forgotten until it is certain again, should applying fail.
        let certain = known.take().is_none();
        let (applied, position) = match self.from(tenant, position, entry).await {
            Ok(done) => done,
            // The graph may have been made anew by another process: then it is further back than was known.
            Err(fault) if !certain => match self.ports.graph.position(tenant).await? {
                now if now < position => self.from(tenant, now, None).await?,
                _ => return Err(fault),
            },
            Err(fault) => return Err(fault),
        };
        *known = Some(position);
        self.ports.bus.announce(tenant, position).await;
        Ok(applied)
    }

    async fn from(&self, tenant: &TenantId, mut position: u64, entry: Option<Entry>) -> Result<(Applied, u64), Fault> {
        if let Some(entry) = entry {
            if entry.seq <= position {
                return Ok((Applied::default(), position));
            }
            if entry.seq == position + 1 {
                let seq = entry.seq;
                return Ok((self.ports.graph.apply(tenant, &[entry]).await?, seq));
            }
        }
        let mut total = Applied::default();
        loop {
            let entries = self.ports.metadata.log(tenant, position, BATCH).await?;
            let Some(last) = entries.last() else { return Ok((total, position)) };
            position = last.seq;
            let applied = self.ports.graph.apply(tenant, &entries).await?;
            total.relationships_created += applied.relationships_created;
            total.relationships_deleted += applied.relationships_deleted;
        }
    }
}
