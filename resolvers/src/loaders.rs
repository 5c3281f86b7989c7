//! Batching where a query crosses from one store to another: all keys of a level are read by one statement. Loaders belong to one
//! request and die with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dataloader::BatchFn;
use dataloader::non_cached::Loader;

use crate::engine::Run;
use crate::fault::Fault;
use crate::read::Read;
use crate::value::{Key, Value};

/// The outcome of a read for one key.
pub(crate) type Outcome = Result<Arc<Value>, Fault>;

/// The loader of one read.
type ReadLoader<'r> = Loader<Key, Outcome, Batch<'r>>;

/// Keys that one statement takes at most.
const BATCH: usize = 50_000;

/// How often a loader lets the other fields of its level add their keys before it reads.
const YIELDS: usize = 3;

/// The loaders of one request: one per read, so that fields that ask the same of another store share its statements.
pub(crate) struct Loaders<'r> {
    run: Run<'r>,
    known: Mutex<Vec<(Read, ReadLoader<'r>)>>,
}

/// Reads the outcomes of many keys at once.
pub(crate) struct Batch<'r> {
    run: Run<'r>,
    read: Read,
}

impl BatchFn<Key, Outcome> for Batch<'_> {
    async fn load(&mut self, keys: &[Key]) -> HashMap<Key, Outcome> {
        self.run.call.trace.batched(keys.len());
        let values: Vec<Value> = keys.iter().cloned().map(Value::from).collect();
        match self.run.read_many(&self.read, &values).await {
            Ok(outcomes) if outcomes.len() == keys.len() => {
                keys.iter().cloned().zip(outcomes.into_iter().map(|outcome| Ok(Arc::new(outcome)))).collect()
            }
            Ok(_) => {
                every(keys, &Fault::internal("loaders", "a store answered another number of keys than it was asked"))
            }
            Err(fault) => every(keys, &fault),
        }
    }
}

/// Every key gets the same fault: the loader must not be left without one.
fn every(keys: &[Key], fault: &Fault) -> HashMap<Key, Outcome> {
    keys.iter().map(|key| (key.clone(), Err(fault.clone()))).collect()
}

impl<'r> Loaders<'r> {
    /// No loaders yet.
    pub fn new(run: Run<'r>) -> Self {
        Self { run, known: Mutex::new(Vec::new()) }
    }

    /// The outcomes of a read for these keys, or why there are none.
    pub async fn load(&self, read: &Read, keys: Vec<Key>) -> Result<HashMap<Key, Arc<Value>>, Fault> {
        let loader = self.loader(read);
        let mut found = HashMap::with_capacity(keys.len());
        let loaded = loader.try_load_many(keys).await.map_err(|error| Fault::internal("loaders", error))?;
        for (key, outcome) in loaded {
            found.insert(key, outcome?);
        }
        Ok(found)
    }

    fn loader(&self, read: &Read) -> ReadLoader<'r> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, loader)) = known.iter().find(|(other, _)| other == read) {
            return loader.clone();
        }
        let batch = Batch { run: self.run, read: read.clone() };
        let loader = Loader::new(batch).with_max_batch_size(BATCH).with_yield_count(YIELDS);
        known.push((read.clone(), loader.clone()));
        loader
    }
}
