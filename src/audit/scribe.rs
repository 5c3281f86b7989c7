//! Writes records in portions: whoever has one hands it over and goes on, or waits until it is kept.
//!
//! Nothing here may hold up the gateway. The queue is bounded; when it is full, refusals are counted by kind and become one record each
//! that says how often. A store that is away is tried again, and what was handed over waits.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::{Record, Trail, Whose};

/// Records that wait to be written.
const QUEUE: usize = 4_096;
/// Records of one portion.
const PORTION: usize = 512;
/// How long a portion is gathered, once there is something.
const GATHERING: Duration = Duration::from_millis(20);
/// How long a store that failed is left alone.
const AGAIN: Duration = Duration::from_secs(1);
/// How long somebody waits for a record to be kept.
const PATIENCE: Duration = Duration::from_secs(5);
/// Kinds of refusals that are counted when the queue is full.
const KINDS: usize = 1_024;

/// A record on its way, and who waits for it; or only somebody who waits for all before.
struct Handed {
    record: Option<(Whose, Record)>,
    kept: Option<oneshot::Sender<()>>,
}

/// Takes records.
#[derive(Clone)]
pub struct Scribe {
    queue: mpsc::Sender<Handed>,
    /// What there was no room for: the first record of each kind, and how many there were.
    crowded: Arc<Mutex<HashMap<(Whose, String), Record>>>,
}

/// Writes what a [`Scribe`] takes.
pub struct Writing {
    trail: Arc<dyn Trail>,
    queue: mpsc::Receiver<Handed>,
    crowded: Arc<Mutex<HashMap<(Whose, String), Record>>>,
}

impl Scribe {
    /// A scribe, and what has to be run for its records to be written.
    pub fn new(trail: Arc<dyn Trail>) -> (Self, Writing) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let crowded = Arc::<Mutex<HashMap<_, _>>>::default();
        (Self { queue: sender, crowded: crowded.clone() }, Writing { trail, queue, crowded })
    }

    /// Takes a record, which is written soon. Where there are too many, it is counted with those that are alike.
    pub fn note(&self, whose: Whose, record: Record) {
        let handed = Handed { record: Some((whose, record)), kept: None };
        if let Err(error) = self.queue.try_send(handed)
            && let Some((whose, record)) = error.into_inner().record
        {
            self.count(whose, record);
        }
    }

    /// Takes a record and waits until it is kept. False when that took too long; it is written later all the same, if it can be.
    pub async fn keep(&self, whose: Whose, record: Record) -> bool {
        self.hand(Some((whose, record))).await
    }

    /// Waits until everything that was handed over before is kept. False when that took too long.
    pub async fn settled(&self) -> bool {
        self.hand(None).await
    }

    async fn hand(&self, record: Option<(Whose, Record)>) -> bool {
        let (sender, kept) = oneshot::channel();
        let handed = Handed { record, kept: Some(sender) };
        let written = async { self.queue.send(handed).await.is_ok() && kept.await.is_ok() };
        tokio::time::timeout(PATIENCE, written).await.unwrap_or(false)
    }

    fn count(&self, whose: Whose, record: Record) {
        let mut crowded = self.crowded.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = format!("{} {:?} {:?}", record.action, record.who, record.codes);
        if crowded.len() >= KINDS && !crowded.contains_key(&(whose.clone(), kind.clone())) {
            tracing::error!(%whose, action = record.action, "no room for a record of the audit trail");
            return;
        }
        crowded.entry((whose, kind)).and_modify(|alike| alike.times += 1).or_insert(record);
    }
}

impl Writing {
    /// Writes until there is no scribe any more, or the process stops waiting.
    pub async fn run(mut self) {
        let mut portion = Vec::new();
        while self.queue.recv_many(&mut portion, PORTION).await > 0 {
            if portion.len() < PORTION && portion.iter().all(|handed| handed.kept.is_none()) {
                sleep(GATHERING).await;
                while portion.len() < PORTION
                    && let Ok(handed) = self.queue.try_recv()
                {
                    portion.push(handed);
                }
            }
            self.write(std::mem::take(&mut portion)).await;
        }
    }

    /// Writes a portion, chain by chain, for as long as that takes.
    async fn write(&self, portion: Vec<Handed>) {
        let mut chains: BTreeMap<Whose, (Vec<String>, Vec<oneshot::Sender<()>>)> = BTreeMap::new();
        let counted = std::mem::take(&mut *self.crowded.lock().unwrap_or_else(PoisonError::into_inner));
        let counted =
            counted.into_iter().map(|((whose, _), record)| Handed { record: Some((whose, record)), kept: None });
        let mut last = Vec::new();
        for Handed { record, kept } in portion.into_iter().chain(counted) {
            let Some((whose, record)) = record else {
                last.extend(kept);
                continue;
            };
            let (texts, waiting) = chains.entry(whose).or_default();
            // A record is made of texts and numbers, which always serialise.
            texts.extend(serde_json::to_string(&record));
            waiting.extend(kept);
        }
        for (whose, (texts, waiting)) in chains {
            let mut told = false;
            while let Err(fault) = self.trail.append(&whose, &texts).await {
                if !told {
                    tracing::error!(%whose, records = texts.len(), %fault, "the audit trail cannot be written; trying again");
                    told = true;
                }
                sleep(AGAIN).await;
            }
            tell(waiting);
        }
        tell(last);
    }
}

/// Tells those who wait, as far as they still do.
fn tell(waiting: Vec<oneshot::Sender<()>>) {
    for kept in waiting {
        let _ = kept.send(());
    }
}
