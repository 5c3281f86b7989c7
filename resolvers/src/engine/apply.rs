//! Following a tenant's log into the graph: entries in order, one follower at a time per tenant in a process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use crate::Ports;
use crate::change::Entry;
use crate::fault::Fault;
use crate::guard::TenantId;
use crate::ports::Applied;

/// Entries that are applied in one transaction when the graph is behind.
const BATCH: u32 = 200;

/// So many entries at the head of the log, or fewer, are applied one by one: somebody may wait for what each of them does.
const FEW: usize = 4;

/// What the graph of a tenant holds, as far as this process knows.
#[derive(Default)]
struct Known {
    position: Option<u64>,
    /// What the last entries did that were applied one by one. Who wrote one may find it applied already, by whoever follows the log.
    did: VecDeque<(u64, Applied)>,
}

impl Known {
    fn note(&mut self, seq: u64, applied: Applied) {
        if self.did.len() == 2 * FEW {
            self.did.pop_front();
        }
        self.did.push_back((seq, applied));
    }

    fn of(&self, seq: u64) -> Applied {
        self.did.iter().find(|(noted, _)| *noted == seq).map(|(_, applied)| *applied).unwrap_or_default()
    }
}

/// Applies entries to the graph.
pub(crate) struct Appliers {
    ports: Ports,
    /// By tenant; the lock keeps entries in order.
    known: Mutex<HashMap<TenantId, Arc<AsyncMutex<Known>>>>,
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
        let known = self.of(tenant).lock().await.position;
        if known.is_some_and(|position| position >= seq) {
            return Ok(());
        }
        self.catch_up(tenant).await
    }

    fn of(&self, tenant: &TenantId) -> Arc<AsyncMutex<Known>> {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(tenant.clone()).or_default().clone()
    }

    /// Applies an entry and all before it, or everything there is. Gives what the entry did.
    async fn up_to(&self, tenant: &TenantId, entry: Option<Entry>) -> Result<Applied, Fault> {
        let known = self.of(tenant);
        let mut known = known.lock().await;
        let position = match (known.position, &entry) {
            (Some(position), Some(_)) => position,
            _ => self.ports.graph.position(tenant).await?,
        };
        let seq = entry.as_ref().map(|entry| entry.seq);
        // Forgotten until it is certain again, should applying fail.
        let certain = known.position.take().is_none();
        let position = match self.from(tenant, position, entry, &mut known).await {
            Ok(position) => position,
            // The graph may have been made anew by another process: then it is further back than was known.
            Err(fault) if !certain => match self.ports.graph.position(tenant).await? {
                now if now < position => self.from(tenant, now, None, &mut known).await?,
                _ => return Err(fault),
            },
            Err(fault) => return Err(fault),
        };
        known.position = Some(position);
        self.ports.bus.announce(tenant, position).await;
        Ok(seq.map(|seq| known.of(seq)).unwrap_or_default())
    }

    /// Applies from a position on; gives the one that is reached.
    async fn from(
        &self,
        tenant: &TenantId,
        mut position: u64,
        entry: Option<Entry>,
        known: &mut Known,
    ) -> Result<u64, Fault> {
        if let Some(entry) = entry {
            if entry.seq <= position {
                return Ok(position);
            }
            if entry.seq == position + 1 {
                return self.one(tenant, entry, known).await;
            }
        }
        loop {
            let entries = self.ports.metadata.log(tenant, position, BATCH).await?;
            let Some(last) = entries.last().map(|last| last.seq) else { return Ok(position) };
            if entries.len() > FEW {
                self.ports.graph.apply(tenant, &entries).await?;
            } else {
                for entry in entries {
                    self.one(tenant, entry, known).await?;
                }
            }
            position = last;
        }
    }

    /// Applies one entry and notes what it did.
    async fn one(&self, tenant: &TenantId, entry: Entry, known: &mut Known) -> Result<u64, Fault> {
        let seq = entry.seq;
        let applied = self.ports.graph.apply(tenant, &[entry]).await?;
        known.note(seq, applied);
        Ok(seq)
    }
}
