//! What a request did to the stores, for counters and for `explain`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::KeyKind;
use crate::document::TextHash;

/// Statements of one request: counted always, kept whole for `explain`.
#[derive(Debug, Default)]
pub struct Trace {
    graph: AtomicU64,
    rows: AtomicU64,
    vectors: AtomicU64,
    together: AtomicU64,
    looked_up: [[AtomicU64; Lookup::ALL.len()]; CACHED.len()],
    batches: Mutex<Vec<usize>>,
    kept: Option<Mutex<Vec<Statement>>>,
    about: OnceLock<Mutex<About>>,
}

/// What a request was about, for whoever keeps a trail of who did what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// `query`, `mutation` or `subscription`, once it was understood.
    pub operation: Option<&'static str>,
    /// The hash of its document.
    pub document: Option<TextHash>,
    /// Types that it reads, writes or watches, at any level.
    pub types: BTreeSet<String>,
    /// Records that root fields and loaders brought; those inside of others are not counted.
    pub records: u64,
}

/// One statement that a store ran.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Port that ran it.
    pub store: StoreName,
    /// Text.
    pub text: String,
    /// Parameters in order, as text.
    pub parameters: Vec<String>,
    /// Rows that came back.
    pub rows: usize,
    /// How long it took.
    pub took: Duration,
}

/// The ports that run statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreName {
    /// The graph.
    Graph,
    /// Rows, registry and log.
    Rows,
    /// Vectors.
    Vectors,
}

impl StoreName {
    /// The name in metrics and `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Rows => "rows",
            Self::Vectors => "vectors",
        }
    }
}

/// The kinds of keys under which requests look something up.
pub const CACHED: [KeyKind; 2] = [KeyKind::Embedding, KeyKind::Result];

/// What came of looking something up in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It was there.
    Hit,
    /// It was not.
    Miss,
    /// Somebody else was looking for the same, or making it, and shared it.
    Shared,
    /// The cache was not asked: it failed a moment ago, or what is asked cannot be cached.
    Passed,
    /// The cache failed, or took too long.
    Failed,
}

impl Lookup {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Hit, Self::Miss, Self::Shared, Self::Passed, Self::Failed];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Shared => "shared",
            Self::Passed => "pass",
            Self::Failed => "error",
        }
    }
}

impl Trace {
    /// A trace that keeps whole statements, for `explain`.
    pub fn keeping() -> Self {
        Self { kept: Some(Mutex::new(Vec::new())), ..Self::default() }
    }

    /// Notes a statement. `detail` (text, parameters, rows) is asked for only when statements are kept.
    pub fn ran(&self, store: StoreName, took: Duration, detail: impl FnOnce() -> (String, Vec<String>, usize)) {
        self.counter(store).fetch_add(1, Ordering::Relaxed);
        if let Some(kept) = &self.kept {
            let (text, parameters, rows) = detail();
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(Statement { store, text, parameters, rows, took });
        }
    }

    /// Notes that a statement also asked what other requests wanted to know.
    pub fn asked_together(&self) {
        self.together.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of the statements did.
    pub fn together(&self) -> u64 {
        self.together.load(Ordering::Relaxed)
    }

    /// Notes how many keys a loader read at once.
    pub fn batched(&self, keys: usize) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(keys);
    }

    /// The sizes of batches since this was asked last.
    pub fn take_batches(&self) -> Vec<usize> {
        std::mem::take(&mut *self.batches.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many statements a store ran.
    pub fn count(&self, store: StoreName) -> u64 {
        self.counter(store).load(Ordering::Relaxed)
    }

    /// Notes what came of looking something up in the cache.
    pub fn looked_up(&self, kind: KeyKind, lookup: Lookup) {
        if let Some(counter) = self.lookups_of(kind, lookup) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often that came of looking up something of that kind.
    pub fn lookups(&self, kind: KeyKind, lookup: Lookup) -> u64 {
        self.lookups_of(kind, lookup).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn lookups_of(&self, kind: KeyKind, lookup: Lookup) -> Option<&AtomicU64> {
        let kind = CACHED.iter().position(|known| *known == kind)?;
        self.looked_up[kind].get(lookup as usize)
    }

    /// Asks for what the request is about to be noted, too.
    pub fn tell_about(&self) {
        let _ = self.about.set(Mutex::default());
    }

    /// Notes something of what the request is about, where that is asked for.
    pub fn about(&self, note: impl FnOnce(&mut About)) {
        if let Some(about) = self.about.get() {
            note(&mut about.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// What was noted so far, where it was asked for.
    pub fn told(&self) -> Option<About> {
        Some(self.about.get()?.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Whether whole statements are kept.
    pub fn is_keeping(&self) -> bool {
        self.kept.is_some()
    }

    /// The statements kept so far.
    pub fn statements(&self) -> Vec<Statement> {
        match &self.kept {
            Some(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            None => Vec::new(),
        }
    }

    fn counter(&self, store: StoreName) -> &AtomicU64 {
        match store {
            StoreName::Graph => &self.graph,
            StoreName::Rows => &self.rows,
            StoreName::Vectors => &self.vectors,
        }
    }
}
