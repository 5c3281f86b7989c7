//! Imports: records from files or generators, in batches, each batch one `Change` on the same path as mutations.
//!
//! Records are read, parsed and shaped on a thread of their own while batches before them are written. A batch in which a record is
//! refused is not written at all; the batches around it are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu_resolvers::change::{Change, EffectKind, Op, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::Principal;
use quipu_resolvers::ports::{Call, Terms, Trace};
use quipu_resolvers::value::scalar;
use quipu_resolvers::{Bound, Engine, Ports};
use tokio::sync::mpsc;

use super::batch::{Shaped, Shaper};
use super::documents::{self, Splitter};
use super::source::{self, Batch, Problem, Source};

/// Batches that wait to be written.
const AHEAD: usize = 4;
/// How long a batch may take to be written.
const PATIENCE: Duration = Duration::from_secs(120);

/// What an import did so far, or in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Records of batches that were written.
    pub imported: u64,
    /// Records of batches that were refused.
    pub refused: u64,
    /// Nodes and rows that came to be.
    pub created: u64,
    /// Nodes and rows that were changed.
    pub updated: u64,
    /// Nodes and rows that went.
    pub deleted: u64,
    /// What was read of the sources, in the measure of [`Line::size`].
    pub read: u64,
}

/// What an import tells while it goes on.
pub trait Listener {
    /// A batch is done.
    fn progress(&mut self, so_far: &Summary);
    /// Something was refused.
    fn problem(&mut self, problem: Problem);
}

/// Imports into one tenant.
pub struct Importer {
    /// Writes the changes.
    pub engine: Arc<Engine>,
    /// Asked for the chunks that documents had before.
    pub ports: Ports,
    /// The tenant's ontology.
    pub bound: Arc<Bound>,
    /// Who imports.
    pub principal: Principal,
    /// Splits documents into passages.
    pub splitter: Arc<Splitter>,
    /// When set, batches are told apart by this name and their number, and a batch that was written before is passed over.
    pub once: Option<String>,
}

impl Importer {
    /// Imports all records of all sources, in order.
    ///
    /// # Errors
    /// When a store fails. What was written until then stays; what is refused is told to the listener and is no error.
    pub async fn run(&self, sources: Vec<Source>, listener: &mut (dyn Listener + Send)) -> Result<Summary, Fault> {
        let (sender, mut batches) = mpsc::channel(AHEAD);
        let (bound, splitter) = (self.bound.clone(), self.splitter.clone());
        let most = self.engine.limits().change_ops;
        let reading = tokio::task::spawn_blocking(move || {
            let shaper = Shaper::new(&bound.served().ontology, &*splitter);
            // Nobody wants more when a store has failed.
            let mut send = |batch| sender.blocking_send(batch).is_ok();
            sources.into_iter().all(|source| source::batches(source, &shaper, most, &mut send))
        });
        let mut summary = Summary::default();
        let mut number = 0;
        while let Some(batch) = batches.recv().await {
            number += 1;
            summary.read += batch.size;
            let records = batch.records;
            match self.write(batch, number).await? {
                Ok(written) => {
                    summary.imported += records;
                    summary.created += written.created;
                    summary.updated += written.updated;
                    summary.deleted += written.deleted;
                }
                Err(problems) => {
                    summary.refused += records;
                    problems.into_iter().for_each(|problem| listener.problem(problem));
                }
            }
            listener.progress(&summary);
        }
        reading.await.map_err(|error| Fault::internal("import", error))?;
        Ok(summary)
    }

    /// Writes one batch, or says why it is refused.
    async fn write(&self, batch: Batch, number: u64) -> Result<Result<Summary, Vec<Problem>>, Fault> {
        if !batch.problems.is_empty() {
            return Ok(Err(batch.problems));
        }
        let ontology = &self.bound.served().ontology;
        let trace = Trace::default();
        let call = Call { deadline: Instant::now() + PATIENCE, trace: &trace };
        let Shaped { mut ops, documents } = batch.shaped;
        let graph = self.ports.graph.as_ref();
        ops.extend(documents::leftovers(graph, &self.principal, ontology, &documents, call).await?);
        let key = self.once.as_ref().map(|name| format!("{name}:{number}"));
        let at = scalar::stamp_ms(self.ports.clock.now_ms());
        let terms = Terms {
            idempotency_key: key.as_deref(),
            actor: self.principal.subject.as_deref(),
            at: &at,
            ..Terms::default()
        };
        let named: Vec<(u64, Vec<String>)> = batch.lines.iter().copied().zip(ops.iter().map(named)).collect();
        match self.engine.write(&self.bound, &self.principal, Change { ops }, terms, call).await {
            Ok(accepted) => {
                let count = |event| accepted.effects.iter().filter(|effect| effect.event == event).count() as u64;
                let [created, updated, deleted] =
                    [EffectKind::Created, EffectKind::Updated, EffectKind::Deleted].map(count);
                Ok(Ok(Summary { created, updated, deleted, ..Summary::default() }))
            }
            Err(Fault::Client(fault)) => {
                // A refusal names the record; the first line that speaks of it is to blame.
                let blamed = named.iter().find(|(_, names)| names.iter().any(|name| fault.message.contains(name)));
                let (line, until) = match blamed {
                    Some((line, _)) => (*line, None),
                    None => (batch.first, (batch.last > batch.first).then_some(batch.last)),
                };
                Ok(Err(vec![Problem { file: batch.file, line, until, reason: fault.message }]))
            }
            Err(internal) => Err(internal),
        }
    }
}

/// The records that an operation speaks of, as refusals name them.
fn named(op: &Op) -> Vec<String> {
    let name = |record: &Ref| format!("{} \"{}\"", record.of, record.id);
    match op {
        Op::Put { record, .. } | Op::Delete { record, .. } | Op::Foreign { record, .. } => vec![name(record)],
        Op::Link { from, to, .. } | Op::Unlink { from, to, .. } => vec![name(from), name(to)],
    }
}
