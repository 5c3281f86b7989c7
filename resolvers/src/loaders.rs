//! Batching where a query crosses from one store to another: all keys of a level are read by one statement. Loaders belong to one
//! request and die with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dataloader::BatchFn;
use dataloader::non_cached::Loader;

use crate::engine::Run;
use crate::fault::Fault;
use crate::guard::Allowed;
use crate::ports::{Hit, Nearest};
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

/// The loader of searches by vector; each has a number.
type SearchLoader<'r> = Loader<usize, Result<Vec<Hit>, Fault>, Searching<'r>>;

/// The loaders of one request: one per read, so that fields that ask the same of another store share its statements, and one for all
/// searches by vector.
pub(crate) struct Loaders<'r> {
    run: Run<'r>,
    known: Mutex<Vec<(Read, ReadLoader<'r>)>>,
    searches: Searches,
    searching: SearchLoader<'r>,
}

/// All searches of a request, in the order of their numbers.
type Searches = Arc<Mutex<Vec<Allowed<Nearest>>>>;

/// Runs searches by vector at once.
pub(crate) struct Searching<'r> {
    run: Run<'r>,
    searches: Searches,
}

impl BatchFn<usize, Result<Vec<Hit>, Fault>> for Searching<'_> {
    async fn load(&mut self, numbers: &[usize]) -> HashMap<usize, Result<Vec<Hit>, Fault>> {
        let wanted: Vec<Allowed<Nearest>> = {
            let all = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.iter().filter_map(|number| all.get(*number).cloned()).collect()
        };
        let found = self.run.engine.ports.vectors.nearest_all(&wanted, self.run.call).await;
        let short = || Err(Fault::internal("loaders", "a store answered fewer searches than it was asked"));
        let found = found.into_iter().chain(std::iter::repeat_with(short));
        numbers.iter().copied().zip(found).collect()
    }
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
        let searches = Searches::default();
        let searching = Searching { run, searches: searches.clone() };
        let searching = Loader::new(searching).with_max_batch_size(BATCH).with_yield_count(YIELDS);
        Self { run, known: Mutex::new(Vec::new()), searches, searching }
    }

    /// The hits of searches by vector, in their order.
    ///
    /// # Errors
    /// The first that fails.
    pub async fn nearest(&self, searches: Vec<Allowed<Nearest>>) -> Result<Vec<Vec<Hit>>, Fault> {
        let numbers: Vec<usize> = {
            let mut all = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
            let first = all.len();
            all.extend(searches);
            (first..all.len()).collect()
        };
        let loaded = self.searching.try_load_many(numbers.clone()).await;
        let mut loaded = loaded.map_err(|error| Fault::internal("loaders", error))?;
        let missing = || Err(Fault::internal("loaders", "a search without an answer"));
        numbers.iter().map(|number| loaded.remove(number).unwrap_or_else(missing)).collect()
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
