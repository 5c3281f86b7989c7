//! The relay follows each tenant's log and keeps the vectors in step: texts of `@embed` properties are embedded, vectors of deleted
//! records removed, and the position noted together with them. Whoever dies half-way is followed by one who starts at that position.
//!
//! Which properties have vectors is for the ontology that is served to say, whatever it said when an entry was written. What it says
//! is compared with what the vectors cover: `existing.rs` embeds the records that were there before a property was embedded, and
//! removes the vectors of one that is embedded no more.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use quipu_resolvers::Ports;
use quipu_resolvers::change::{Entry, Op, Ref};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Embedder, Graph, Metadata, VectorChange, Vectors};
use quipu_schema::ontology::Ontology;
use serde_json::Value as Json;
use tokio::sync::Mutex;

mod existing;

/// Entries of the log that are read at once.
const ENTRIES: u32 = 64;
/// Texts that are embedded between two notes of vectors: what a crash costs at most, and how long a tenant may keep others waiting.
const TEXTS: usize = 64;

/// Follows logs.
#[derive(Clone)]
pub struct Relay {
    /// Where the log is, and rows.
    metadata: Arc<dyn Metadata>,
    /// Where nodes are.
    graph: Arc<dyn Graph>,
    /// Where vectors are kept.
    vectors: Arc<dyn Vectors>,
    /// Who makes them.
    embedder: Arc<dyn Embedder>,
    /// Whose turn it is among processes.
    turn: Turn,
    /// When it was last told how far it is with records that were there before.
    told: Arc<Mutex<Option<Instant>>>,
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
    /// Over the adapters of a process.
    pub fn new(ports: &Ports, turn: Turn) -> Self {
        let Ports { metadata, graph, vectors, embedder, .. } = ports.clone();
        Self { metadata, graph, vectors, embedder, turn, told: Arc::default() }
    }

    /// Follows the next few entries of a tenant's log; where it was followed to its end, embeds the next few records that were there
    /// before their texts were to be embedded. `embedded` hears of each portion of texts.
    ///
    /// # Errors
    /// `EMBEDDING_UNAVAILABLE` when there are texts and no model, or a store's.
    pub async fn step(
        &self,
        tenant: &TenantId,
        ontology: &Ontology,
        embedded: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Step, Fault> {
        if self.is_in_step(tenant, ontology).await? {
            return Ok(Step::InStep);
        }
        let Some(_turn) = self.turn.take() else { return Ok(Step::Elsewhere) };
        // First, so that nothing is left of it when the same property is to be embedded again.
        if self.let_go(tenant, ontology).await? {
            return Ok(Step::Embedded(0));
        }
        // Asked again: whoever had the turn before has moved it.
        let position = self.vectors.position(tenant).await?;
        let entries = self.metadata.log(tenant, position, ENTRIES).await?;
        if entries.is_empty() {
            return self.existing(tenant, ontology, position, embedded).await;
        }
        if position == 0 {
            self.begin(tenant, ontology).await?;
        }
        self.follow(tenant, position, entries, ontology, embedded).await.map(Step::Embedded)
    }

    /// Embeds what entries ask for and moves the position over them; says how many texts these were.
    async fn follow(
        &self,
        tenant: &TenantId,
        position: u64,
        entries: Vec<Entry>,
        ontology: &Ontology,
        embedded: &mut (dyn FnMut(usize) + Send),
    ) -> Result<usize, Fault> {
        let last = entries.last().map_or(position, |entry| entry.seq);
        let wanted = wanted(entries, ontology);
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
                return Ok(total);
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

    /// Whether the vectors hold all that log and ontology ask for, and nothing else.
    ///
    /// # Errors
    /// A store's; `CONFLICT` when they have followed another log, further than this one goes.
    pub async fn is_in_step(&self, tenant: &TenantId, ontology: &Ontology) -> Result<bool, Fault> {
        let position = self.vectors.position(tenant).await?;
        let head = self.metadata.head(tenant).await?;
        if position > head {
            let message =
                format!("the vectors stand at {position}, and the log ends at {head}: they belong to another one");
            return Err(Fault::client(Code::Conflict, message));
        }
        Ok(position == head && !self.has_existing(tenant, ontology, position).await?)
    }

    /// How many texts the vectors are behind: those of the log from where the vectors are, and those that were there before.
    ///
    /// # Errors
    /// A store's.
    pub async fn behind(&self, tenant: &TenantId, ontology: &Ontology) -> Result<u64, Fault> {
        let mut position = self.vectors.position(tenant).await?;
        let mut texts = self.left(tenant, ontology).await?;
        loop {
            let entries = self.metadata.log(tenant, position, ENTRIES).await?;
            let Some(last) = entries.last() else { return Ok(texts) };
            position = last.seq;
            texts += wanted(entries, ontology).texts.len() as u64;
        }
    }
}

/// A text that needs a vector.
#[derive(Debug, Clone, PartialEq)]
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
fn wanted(entries: Vec<Entry>, ontology: &Ontology) -> Work {
    #[derive(Default)]
    struct Fate {
        gone: bool,
        texts: IndexMap<String, Option<String>>,
    }
    let mut fates: IndexMap<Ref, Fate> = IndexMap::new();
    for op in entries.into_iter().flat_map(|entry| entry.change.ops) {
        match op {
            Op::Put { record, mut set, .. } => {
                let embedded = ontology.types.get(&record.of).into_iter().flat_map(|entity| entity.embedded());
                let given: Vec<_> = embedded
                    .filter_map(|property| set.remove_entry(&property.stored))
                    .map(|(name, value)| (name, text(value)))
                    .collect();
                if !given.is_empty() {
                    fates.entry(record).or_default().texts.extend(given);
                }
            }
            Op::Delete { record, .. } => {
                fates.insert(record, Fate { gone: true, texts: IndexMap::new() });
            }
            Op::Link { .. } | Op::Unlink { .. } | Op::Foreign { .. } => {}
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

/// The text of a value; blank ones have no vector.
fn text(value: Json) -> Option<String> {
    match value {
        Json::String(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
