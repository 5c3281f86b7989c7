//! The relay follows each tenant's log and keeps the vectors in step: texts of `@embed` properties are embedded, vectors of deleted
//! records removed, and the position noted together with them. Whoever dies half-way is followed by one who starts at that position.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use quipu_resolvers::change::{Entry, Op, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Embedder, Metadata, VectorChange, Vectors};
use serde_json::Value as Json;

/// Entries of the log that are read at once.
const ENTRIES: u32 = 64;
/// Texts that are embedded between two notes of vectors: what a crash costs at most, and how long a tenant may keep others waiting.
const TEXTS: usize = 64;

/// Follows logs.
#[derive(Clone)]
pub struct Relay {
    /// Where the log is.
    pub metadata: Arc<dyn Metadata>,
    /// Where vectors are kept.
    pub vectors: Arc<dyn Vectors>,
    /// Who makes them.
    pub embedder: Arc<dyn Embedder>,
    /// Whose turn it is among processes.
    pub turn: Turn,
}

/// Lets one process at a time embed for a store: a server and an import beside it would do the same work twice. Work that is done
/// twice all the same does no harm.
#[derive(Debug, Clone, Default)]
pub struct Turn(Option<PathBuf>);

impl Turn {
    /// For a store in a file: a lock beside it.
    pub fn beside(store: &Path) -> Self {
        let mut name = store.as_os_str().to_owned();
        name.push("-embedding");
        Self(Some(name.into()))
    }

    /// Takes the turn until the file is dropped; `None` when it is another's. Where files cannot be locked, everybody has the turn.
    fn take(&self) -> Option<Option<File>> {
        let Some(path) = &self.0 else { return Some(None) };
        let Ok(file) = File::options().create(true).append(true).open(path) else { return Some(None) };
        match file.try_lock() {
            Ok(()) => Some(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => None,
            Err(std::fs::TryLockError::Error(_)) => Some(None),
        }
    }
}

/// How a step of the relay told of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The vectors hold everything that the log holds.
    InStep,
    /// There may be more to do; so many texts were embedded.
    Embedded(usize),
    /// Another process is at it.
    Elsewhere,
}

impl Relay {
    /// Follows the next few entries of a tenant's log. `embedded` hears of each portion of texts.
    ///
    /// # Errors
    /// `EMBEDDING_UNAVAILABLE` when there are texts and no model, or a store's.
    pub async fn step(&self, tenant: &TenantId, embedded: &mut (dyn FnMut(usize) + Send)) -> Result<Step, Fault> {
        if self.is_in_step(tenant).await? {
            return Ok(Step::InStep);
        }
        let Some(_turn) = self.turn.take() else { return Ok(Step::Elsewhere) };
        // Asked again: whoever had the turn before has moved it.
        let position = self.vectors.position(tenant).await?;
        let entries = self.metadata.log(tenant, position, ENTRIES).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(Step::InStep) };
        let wanted = wanted(entries);
        let total = wanted.texts.len();
        let mut texts = wanted.texts.into_iter().peekable();
        let mut changes = wanted.removals;
        loop {
            let portion: Vec<_> = texts.by_ref().take(TEXTS).collect();
            let count = portion.len();
            changes.extend(self.embed(portion).await?);
            // Only the last portion moves the position on: after a crash the entries before it are followed again.
            let done = texts.peek().is_none();
            self.vectors.apply(tenant, if done { last } else { position }, &changes).await?;
            embedded(count);
            if done {
                return Ok(Step::Embedded(total));
            }
            changes.clear();
        }
    }

    async fn embed(&self, wanted: Vec<Wanted>) -> Result<Vec<VectorChange>, Fault> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (names, texts): (Vec<_>, Vec<_>) = wanted.into_iter().map(|w| ((w.record, w.property), w.text)).unzip();
        let vectors = self.embedder.embed(texts).await?;
        if vectors.len() != names.len() {
            return Err(Fault::internal("embedding", format!("{} vectors for {} texts", vectors.len(), names.len())));
        }
        let change =
            |((record, property), vector)| VectorChange { record, property: Some(property), vector: Some(vector) };
        Ok(names.into_iter().zip(vectors).map(change).collect())
    }

    /// Whether the vectors have followed the whole log.
    ///
    /// # Errors
    /// A store's.
    pub async fn is_in_step(&self, tenant: &TenantId) -> Result<bool, Fault> {
        Ok(self.vectors.position(tenant).await? >= self.metadata.head(tenant).await?)
    }

    /// How many texts the vectors are behind the log. Reads the log from where the vectors are.
    ///
    /// # Errors
    /// A store's.
    pub async fn behind(&self, tenant: &TenantId) -> Result<u64, Fault> {
        let mut position = self.vectors.position(tenant).await?;
        let mut texts = 0;
        loop {
            let entries = self.metadata.log(tenant, position, ENTRIES).await?;
            let Some(last) = entries.last() else { return Ok(texts) };
            position = last.seq;
            texts += wanted(entries).texts.len() as u64;
        }
    }
}

/// A text that needs a vector.
#[derive(Debug, PartialEq)]
struct Wanted {
    record: Ref,
    property: String,
    text: String,
}

/// What a run of entries asks of the vectors.
#[derive(Debug, Default, PartialEq)]
struct Work {
    removals: Vec<VectorChange>,
    texts: Vec<Wanted>,
}

/// The outcome of entries for each record: the newest value wins, and what came before a deletion is forgotten.
fn wanted(entries: Vec<Entry>) -> Work {
    #[derive(Default)]
    struct Fate {
        gone: bool,
        texts: IndexMap<String, Option<String>>,
    }
    let mut fates: IndexMap<Ref, Fate> = IndexMap::new();
    for op in entries.into_iter().flat_map(|entry| entry.change.ops) {
        match op {
            Op::Put { record, mut set, embed, .. } if !embed.is_empty() => {
                let fate = fates.entry(record).or_default();
                for property in embed {
                    let text = match set.remove(&property) {
                        Some(Json::String(text)) if !text.trim().is_empty() => Some(text),
                        _ => None,
                    };
                    fate.texts.insert(property, text);
                }
            }
            Op::Delete { record, .. } => {
                fates.insert(record, Fate { gone: true, texts: IndexMap::new() });
            }
            Op::Put { .. } | Op::Link { .. } | Op::Unlink { .. } => {}
        }
    }
    let mut work = Work::default();
    for (record, fate) in fates {
        if fate.gone {
            work.removals.push(VectorChange { record: record.clone(), property: None, vector: None });
        }
        for (property, text) in fate.texts {
            match text {
                Some(text) => work.texts.push(Wanted { record: record.clone(), property, text }),
                None if fate.gone => {}
                None => {
                    work.removals.push(VectorChange { record: record.clone(), property: Some(property), vector: None });
                }
            }
        }
    }
    work
}

#[cfg(test)]
mod tests;
