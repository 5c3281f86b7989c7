//! Following a tenant's log into the graph: entries in order, one follower at a time per tenant in a process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

use crate::Ports;
use crate::change::Entry;
use crate::fault::{Code, Fault};
use crate::guard::TenantId;
use crate::ports::{Applied, Standing};
use crate::value::position;

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

/// One tenant's graph.
struct Followed {
    /// The lock keeps entries in order.
    turn: Arc<AsyncMutex<Known>>,
    /// Where the graph was seen last. It goes back when the graph is made anew.
    reached: watch::Sender<Option<Standing>>,
}

impl Default for Followed {
    fn default() -> Self {
        Self { turn: Arc::default(), reached: watch::Sender::new(None) }
    }
}

/// Applies entries to the graph.
pub(crate) struct Appliers {
    ports: Ports,
    tenants: Mutex<HashMap<TenantId, Arc<Followed>>>,
}

/// What is told to somebody who would have to wait longer than they want to.
pub(super) fn stale() -> Fault {
    let message =
        "what was written up to this position cannot be read yet (`limits.position_wait`); ask again, or without it";
    Fault::client(Code::Stale, message)
}

impl Appliers {
    pub fn new(ports: Ports) -> Arc<Self> {
        Arc::new(Self { ports, tenants: Mutex::new(HashMap::new()) })
    }

    /// Applies an entry that was just accepted, after whatever the graph lacks before it, and announces it. Runs to its end
    /// whether or not the caller waits.
    pub async fn entry(self: &Arc<Self>, tenant: &TenantId, entry: Entry) -> Result<Applied, Fault> {
        let (appliers, tenant) = (self.clone(), tenant.clone());
        let task = tokio::spawn(async move {
            let followed = appliers.of(&tenant);
            let known = followed.turn.clone().lock_owned().await;
            appliers.up_to(&tenant, &followed, known, Some(entry)).await
        });
        task.await.map_err(|error| Fault::internal("graph", error))?
    }

    /// Applies everything that the graph lacks.
    pub async fn catch_up(self: &Arc<Self>, tenant: &TenantId) -> Result<(), Fault> {
        let followed = self.of(tenant);
        let known = followed.turn.clone().lock_owned().await;
        self.up_to(tenant, &followed, known, None).await.map(|_| ())
    }

    /// Waits until the graph holds an entry that somebody else is applying, or applies it.
    pub async fn hold(self: &Arc<Self>, tenant: &TenantId, seq: u64) -> Result<(), Fault> {
        let followed = self.of(tenant);
        let known = followed.turn.clone().lock_owned().await;
        if known.position.is_some_and(|position| position >= seq) {
            return Ok(());
        }
        self.up_to(tenant, &followed, known, None).await.map(|_| ())
    }

    /// Waits until the graph holds the log up to a position that somebody brought. Where that is known, no statement is run.
    ///
    /// # Errors
    /// `BAD_POSITION` when the log does not go that far, `STALE` when the graph is being made anew, a store's.
    pub async fn reached(self: &Arc<Self>, tenant: &TenantId, seq: u64) -> Result<(), Fault> {
        let followed = self.of(tenant);
        let mut reached = followed.reached.subscribe();
        let holds = |reached: &Option<Standing>| reached.is_some_and(|standing| standing.holds(seq));
        if holds(&reached.borrow()) {
            return Ok(());
        }
        // Whoever has the turn may have looked into the log before that entry was there: then the next one in turn applies it.
        let known = tokio::select! {
            biased;
            _ = reached.wait_for(holds) => return Ok(()),
            known = followed.turn.clone().lock_owned() => known,
        };
        let (appliers, of, following) = (self.clone(), tenant.clone(), followed.clone());
        // To its end, whether or not this caller waits: others do.
        let task = tokio::spawn(async move { appliers.up_to(&of, &following, known, None).await });
        let ended = tokio::select! {
            biased;
            _ = reached.wait_for(holds) => return Ok(()),
            ended = task => ended,
        };
        ended.map_err(|error| Fault::internal("graph", error))??;
        // All that the log has is applied. One that was put back to what it was once may never come to the position.
        let there = holds(&followed.reached.borrow());
        match there {
            true => Ok(()),
            false if self.ports.metadata.head(tenant).await? < seq => Err(position::refused()),
            false => Err(stale()),
        }
    }

    fn of(&self, tenant: &TenantId) -> Arc<Followed> {
        let mut all = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(followed) = all.get(tenant) {
            return followed.clone();
        }
        all.entry(tenant.clone()).or_default().clone()
    }

    /// Where the graph stands, when it holds the log up to a position; what is read from here on is not older than that. It is asked only
    /// where that is not known, since it may follow later than that of the instance that announced the position. `None` when it is
    /// behind, is being made anew, or does not say.
    pub async fn standing(&self, tenant: &TenantId, least: u64) -> Option<Standing> {
        let followed = self.of(tenant);
        let known = *followed.reached.borrow();
        if let Some(known) = known.filter(|known| known.holds(least)) {
            return Some(known);
        }
        let now = self.ports.graph.standing(tenant).await.ok()?;
        // Whoever has the turn may know more by now.
        followed.reached.send_if_modified(|known| {
            let news = known.is_none_or(|known| now.making > known.making || now.position > known.position);
            *known = if news { Some(now) } else { *known };
            news
        });
        now.holds(least).then_some(now)
    }

    /// Where the graph stands, as it says.
    async fn asked(&self, tenant: &TenantId, followed: &Followed) -> Result<u64, Fault> {
        let standing = self.ports.graph.standing(tenant).await?;
        followed.reached.send_replace(Some(standing));
        Ok(standing.position)
    }

    /// Applies an entry and all before it, or everything there is. Gives what the entry did.
    async fn up_to(
        &self,
        tenant: &TenantId,
        followed: &Followed,
        mut known: OwnedMutexGuard<Known>,
        entry: Option<Entry>,
    ) -> Result<Applied, Fault> {
        let position = match (known.position, &entry) {
            (Some(position), Some(_)) => position,
            _ => self.asked(tenant, followed).await?,
        };
        let seq = entry.as_ref().map(|entry| entry.seq);
        // Forgotten until it is certain again, should applying fail.
        let certain = known.position.take().is_none();
        let position = match self.from(tenant, position, entry, &mut known).await {
            Ok(position) => position,
            // The graph may have been made anew by another process: then it is further back than was known.
            Err(fault) if !certain => match self.asked(tenant, followed).await? {
                now if now < position => self.from(tenant, now, None, &mut known).await?,
                _ => return Err(fault),
            },
            Err(fault) => return Err(fault),
        };
        known.position = Some(position);
        followed.reached.send_modify(|reached| reached.get_or_insert_default().position = position);
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
