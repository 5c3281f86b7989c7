//! Running what was planned: each read guarded, its conditions across stores resolved, its crossings loaded by level.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt, join_all};

use super::{Bound, Engine, cross};
use crate::Ask;
use crate::answer::Loaded;
use crate::fault::Fault;
use crate::fields::{Crossing, Job, Plan};
use crate::guard::{self, Allowed, Principal};
use crate::loaders::Loaders;
use crate::ports::{Call, Reader};
use crate::read::{Pick, Place, Read};
use crate::value::{Key, Value};

/// Everything that one request's reads have in common.
#[derive(Clone, Copy)]
pub(crate) struct Run<'r> {
    pub engine: &'r Engine,
    pub bound: &'r Bound,
    pub principal: &'r Principal,
    pub call: Call<'r>,
}

impl<'r> Run<'r> {
    /// A guarded read with its conditions across stores resolved.
    pub async fn allowed(&self, read: Read) -> Result<Allowed<Read>, Fault> {
        let allowed = guard::read(self.principal, &self.bound.served.ontology, read)?;
        cross::resolved(self, allowed).await
    }

    /// The outcome of a read at the root.
    pub async fn read(&self, read: &Read) -> Result<Value, Fault> {
        let allowed = self.allowed(read.clone()).await?;
        self.ask(&allowed).await
    }

    /// The outcome of what may be asked.
    pub async fn ask(&self, allowed: &Allowed<Read>) -> Result<Value, Fault> {
        let mut outcome = self.reader(allowed.get().place).read(allowed, self.call).await?;
        if allowed.masks() {
            guard::unmask(allowed.get(), &mut outcome);
        }
        self.call.trace.about(|about| about.records += rows(allowed.get(), &outcome).len() as u64);
        Ok(outcome)
    }

    /// The outcomes of a read by keys.
    pub async fn read_many(&self, read: &Read, keys: &[Value]) -> Result<Vec<Value>, Fault> {
        let allowed = self.allowed(read.clone()).await?;
        let mut outcomes = self.reader(read.place).read_many(&allowed, keys, self.call).await?;
        if allowed.masks() {
            outcomes.iter_mut().for_each(|outcome| guard::unmask(allowed.get(), outcome));
        }
        let brought = || outcomes.iter().map(|outcome| rows(allowed.get(), outcome).len() as u64).sum::<u64>();
        self.call.trace.about(|about| about.records += brought());
        Ok(outcomes)
    }

    /// The store of a place.
    pub fn reader(&self, place: Place) -> &'r dyn Reader {
        match place {
            Place::Nodes | Place::Relationships => self.engine.ports.graph.as_ref(),
            Place::Rows => self.engine.ports.metadata.as_ref(),
        }
    }
}

/// The work of one request: runs jobs and gathers what crossings bring.
pub(crate) struct Work<'r> {
    pub run: Run<'r>,
    pub(super) loaders: Loaders<'r>,
    pub(super) loaded: Mutex<Loaded>,
    /// The position of the log that everything is read at, or after.
    pub(super) least: u64,
    /// The last position that was written; 0 for none.
    wrote: AtomicU64,
    /// Writing fields that have begun.
    writes: AtomicU64,
}

impl<'r> Work<'r> {
    /// Work with that many crossings.
    pub fn new(run: Run<'r>, crossings: usize) -> Self {
        let loaded = std::iter::repeat_with(|| None).take(crossings).collect();
        let (wrote, writes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { run, loaders: Loaders::new(run), loaded: Mutex::new(loaded), least: 0, wrote, writes }
    }

    /// The same, where the graph is known to hold the log up to a position, and nothing older may be answered.
    pub fn not_before(self, least: u64) -> Self {
        Self { least, ..self }
    }

    /// The key of the next writing field of a request, under which it is written once: that of the request for the first one. No other
    /// request has the others, since what a client sends has no spaces.
    pub(super) fn next_key(&self, ask: &Ask) -> Option<String> {
        let before = self.writes.fetch_add(1, Ordering::Relaxed);
        let key = ask.idempotency_key.as_ref()?;
        Some(if before == 0 { key.clone() } else { format!("{key} {}", before + 1) })
    }

    /// Notes that a change is in the log.
    pub(super) fn note(&self, seq: u64) {
        self.wrote.fetch_max(seq, Ordering::Relaxed);
    }

    /// The last position that was written, if anything was.
    pub fn wrote(&self) -> Option<u64> {
        Some(self.wrote.load(Ordering::Relaxed)).filter(|seq| *seq > 0)
    }

    /// What the crossings brought.
    pub fn loaded(&self) -> Loaded {
        std::mem::take(&mut *self.loaded.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The outcome of a root field. What is not a plain read is boxed, so that plain reads do not carry the size of all the others.
    pub async fn job(&self, job: &Job, ask: &Ask) -> Result<Value, Fault> {
        match job {
            Job::Nothing => Ok(Value::Null),
            Job::Read(plan, None) => self.plan(plan).await,
            Job::Read(plan, Some(ttl)) => self.plan_kept(plan, *ttl).boxed().await,
            Job::Similar(similar) => self.similar(similar).boxed().await,
            Job::Search(search) => self.search(search).boxed().await,
            Job::Write(write) => self.write(write, ask).boxed().await,
            Job::Watch(_) => Err(Fault::internal("engine", "a watch outside of a stream")),
        }
    }

    /// The outcome of a plan at the root, with its crossings loaded.
    pub async fn plan(&self, plan: &Plan) -> Result<Value, Fault> {
        let outcome = self.run.read(&plan.read).await?;
        self.cross(plan, &[&outcome]).await;
        Ok(outcome)
    }

    /// The outcomes of a plan by keys, in their order, with its crossings loaded.
    pub async fn plan_many(&self, plan: &Plan, keys: &[Value]) -> Result<Vec<Value>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.run.read_many(&plan.read, keys).await?;
        self.cross(plan, &outcomes.iter().collect::<Vec<_>>()).await;
        Ok(outcomes)
    }

    /// Loads what hangs on outcomes of a plan: all crossings side by side, each with all keys at once.
    fn cross<'s>(&'s self, plan: &'s Plan, outcomes: &'s [&'s Value]) -> BoxFuture<'s, ()> {
        async move {
            join_all(plan.crossings.iter().map(|crossing| self.crossing(&plan.read, crossing, outcomes))).await;
        }
        .boxed()
    }

    async fn crossing(&self, read: &Read, crossing: &Crossing, outcomes: &[&Value]) {
        let mut keys = HashSet::new();
        for outcome in outcomes {
            gather(read, outcome, &crossing.trail, crossing, &mut keys);
        }
        let loaded = match keys.is_empty() {
            true => Ok(HashMap::new()),
            false => self.loaders.load(&crossing.plan.read, keys.into_iter().collect()).await,
        };
        if let Ok(found) = &loaded {
            let inner: Vec<&Value> = found.values().map(Arc::as_ref).collect();
            self.cross(&crossing.plan, &inner).await;
        }
        let mut all = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = all.get_mut(crossing.id) {
            *place = Some(loaded);
        }
    }
}

/// Rows of an outcome.
pub(crate) fn rows<'v>(read: &Read, outcome: &'v Value) -> &'v [Value] {
    let rows = match outcome {
        Value::List(parts) if read.is_composite() => parts.first(),
        _ => Some(outcome),
    };
    rows.and_then(Value::as_list).unwrap_or(&[])
}

/// Gathers the keys of a crossing from an outcome, down its trail.
fn gather(read: &Read, outcome: &Value, trail: &[crate::fields::Step], crossing: &Crossing, keys: &mut HashSet<Key>) {
    let several = read.targets.len() > 1;
    let wanted = trail.first().map_or(crossing.target, |step| step.target);
    for row in rows(read, outcome).iter().filter_map(Value::as_list) {
        let at = if several { row.first().and_then(Value::as_int).and_then(|n| usize::try_from(n).ok()) } else { None };
        if several && at != wanted {
            continue;
        }
        match trail.split_first() {
            None => keys.extend(row.get(crossing.slot).and_then(Value::key)),
            Some((step, rest)) => {
                let target = read.targets.get(at.unwrap_or(0));
                let pick = target.and_then(|target| target.picks.get(step.slot - read.first_pick()));
                if let (Some(Pick::Read(inner)), Some(outcome)) = (pick, row.get(step.slot)) {
                    gather(inner, outcome, rest, crossing, keys);
                }
            }
        }
    }
}
