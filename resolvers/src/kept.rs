//! What is kept between requests: results of root fields and vectors of queries. Everything is keyed by its tenant; results also by what
//! the guard made of the question, by the version of the ontology, by the position of the tenant's log and by the making of its graph.
//!
//! One request at a time looks for, or makes, what a key stands for; others that want the same wait for it and share it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::answer::Loaded;
use crate::fault::Fault;
use crate::fields::{Crossing, Plan};
use crate::guard::{self, Principal};
use crate::ports::{Cache, CacheKey, Found, KeyKind, Lookup, Served, Standing, Trace};
use crate::value::packed::{Packer, Unpacker};
use crate::value::{Key, Value};

mod flights;

use flights::Flights;

/// Form of what is kept; a new one when the bytes or the meaning of a key change.
const FORM: u8 = 3;

/// What is being looked for.
#[derive(Default)]
pub(crate) struct Keeping {
    pub results: Flights<Arc<Kept>>,
    pub vectors: Flights<Arc<[f32]>>,
}

/// The outcome of a plan, with what its crossings brought.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    /// The outcome of the read.
    pub outcome: Value,
    /// What each crossing brought, in the order of [`crossings`].
    pub loaded: Vec<HashMap<Key, Arc<Value>>>,
}

/// What was made because it was not kept.
pub(crate) struct Made<T> {
    /// It.
    pub value: T,
    /// Whether it may be given to others; what has a fault in it may not.
    pub whole: bool,
    /// What is kept of it; `None` when it is too large.
    pub bytes: Option<Bytes>,
}

/// Something to look up.
pub(crate) struct Wanted<'k, T> {
    pub kind: KeyKind,
    pub key: CacheKey,
    pub ttl: Duration,
    pub flights: &'k Flights<T>,
}

impl<T: Clone + Send> Wanted<'_, T> {
    /// From the cache, or from somebody who makes it at this moment, or made, and then kept.
    ///
    /// # Errors
    /// As of making it. A failure is not shared: whoever waits next makes it.
    pub async fn found_or_made(
        &self,
        cache: &dyn Cache,
        trace: &Trace,
        read: impl Fn(&[u8]) -> Option<T>,
        make: impl Future<Output = Result<Made<T>, Fault>>,
    ) -> Result<T, Fault> {
        let flight = self.flights.join(&self.key);
        let Some(mut landed) = flight.turn().await else { return Ok(make.await?.value) };
        if let Some(shared) = landed.as_ref() {
            trace.looked_up(self.kind, Lookup::Shared);
            return Ok(shared.clone());
        }
        let (kept, lookup) = match cache.get(&self.key).await {
            Found::Value(bytes) => match read(&bytes) {
                Some(kept) => (Some(kept), Lookup::Hit),
                // Of another form: it is made again, and kept in this one.
                None => (None, Lookup::Miss),
            },
            Found::Nothing => (None, Lookup::Miss),
            Found::PassedOver => (None, Lookup::Passed),
            Found::Failed => (None, Lookup::Failed),
        };
        trace.looked_up(self.kind, lookup);
        if let Some(kept) = kept {
            *landed = Some(kept.clone());
            return Ok(kept);
        }
        let Made { value, whole, bytes } = make.await?;
        if whole {
            *landed = Some(value.clone());
            // Those who wait need not wait for the cache; those who come meanwhile find what has landed.
            drop(landed);
            if let Some(bytes) = bytes {
                cache.put(&self.key, bytes, self.ttl).await;
            }
        }
        Ok(value)
    }
}

/// The key of a plan's result. What the caller may see is part of the guarded questions, so callers share a result only when they may see
/// the same. `None` when something in it may not be asked at all.
pub(crate) fn key(principal: &Principal, served: &Served, standing: Standing, plan: &Plan) -> Option<CacheKey> {
    let guarded = |plan: &Plan| {
        let allowed = guard::read(principal, &served.ontology, plan.read.clone()).ok()?;
        // The derived `Debug` names every part and quotes every text, so that different questions differ in it.
        Some(format!("{:?}", allowed.get()))
    };
    let mut asked = vec![guarded(plan)?];
    for crossing in crossings(plan) {
        asked.push(format!("{:?} {:?} {:?}", crossing.trail, crossing.target, crossing.slot));
        asked.push(guarded(&crossing.plan)?);
    }
    let numbers = [served.version, standing.making, standing.position].map(u64::to_be_bytes);
    let mut parts: Vec<&[u8]> = vec![&[FORM]];
    parts.extend(numbers.iter().map(<[u8; 8]>::as_slice));
    parts.extend(asked.iter().map(String::as_bytes));
    Some(CacheKey::of(&principal.tenant, KeyKind::Result, &parts))
}

/// All crossings of a plan, each before those that hang on it.
fn crossings(plan: &Plan) -> Vec<&Crossing> {
    let mut all = Vec::new();
    for crossing in &plan.crossings {
        all.push(crossing);
        all.extend(crossings(&crossing.plan));
    }
    all
}

impl Kept {
    /// What the crossings of a plan brought; `None` when one of them failed.
    pub fn brought(plan: &Plan, all: &Loaded) -> Option<Vec<HashMap<Key, Arc<Value>>>> {
        let brought = crossings(plan).into_iter().map(|crossing| match all.get(crossing.id) {
            Some(Some(Ok(found))) => Some(found.clone()),
            _ => None,
        });
        brought.collect()
    }

    /// Puts what the crossings brought where the answer looks for it; gives the outcome.
    pub fn unfolded(self, plan: &Plan, all: &mut Loaded) -> Value {
        for (crossing, found) in crossings(plan).into_iter().zip(self.loaded) {
            if let Some(place) = all.get_mut(crossing.id) {
                *place = Some(Ok(found));
            }
        }
        self.outcome
    }

    /// As bytes; `None` when there are more than `most`.
    pub fn packed(&self, most: usize) -> Option<Bytes> {
        let mut packer = Packer::new(most);
        packer.byte(FORM)?;
        packer.value(&self.outcome)?;
        packer.count(self.loaded.len())?;
        for found in &self.loaded {
            packer.count(found.len())?;
            for (key, value) in found {
                packer.key(key)?;
                packer.value(value)?;
            }
        }
        Some(packer.finish().into())
    }

    /// Of bytes; `None` when they are of another form.
    pub fn unpacked(bytes: &[u8], plan: &Plan) -> Option<Self> {
        let mut unpacker = Unpacker::new(bytes);
        if unpacker.byte()? != FORM {
            return None;
        }
        let outcome = unpacker.value()?;
        let mut loaded = Vec::new();
        for _ in 0..unpacker.count()? {
            let entries = (0..unpacker.count()?).map(|_| Some((unpacker.key()?, Arc::new(unpacker.value()?))));
            loaded.push(entries.collect::<Option<HashMap<_, _>>>()?);
        }
        (unpacker.is_done() && loaded.len() == crossings(plan).len()).then_some(Self { outcome, loaded })
    }
}
