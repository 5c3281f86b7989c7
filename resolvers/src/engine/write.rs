//! Running a write: resolved to a change, guarded, accepted into the log, applied to the graph, and read back as the caller sees it.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::run::{Run, Work, rows};
use super::{Bound, Engine, checks};
use crate::Ask;
use crate::change::{Accepted, Act, Change, Effect, EffectKind, Entry, Op};
use crate::fault::{Code, Fault};
use crate::fields::mutate::{Deed, Write};
use crate::guard::{self, Principal, TenantId};
use crate::ports::{Applied, Call, Terms};
use crate::value::{Value, scalar};

mod draft;
mod gone;
mod nested;

use draft::Draft;

impl<'r> Work<'r> {
    /// The outcome of a writing field.
    pub(super) async fn write(&self, write: &Write, ask: &Ask) -> Result<Value, Fault> {
        let run = &self.run;
        let key = self.next_key(ask);
        let mut draft = Draft::new(*run, key.as_ref().map(|key| format!("{key}/{}", write.of)));
        let (creates, mut ids) = self.drafted(write, &mut draft).await?;
        let digest = digest(ask);
        let change = draft.finish()?;
        let unnamed = change.ops.iter().any(|op| matches!(op, Op::Foreign { act: Act::Make, .. }));
        let terms = Terms {
            idempotency_key: key.as_deref(),
            digest: Some(&digest),
            actor: run.principal.subject.as_deref(),
            at: &scalar::stamp_ms(run.engine.ports.clock.now_ms()),
            ..Terms::default()
        };
        let seen_gone = gone::seen(run, &change).await?;
        let accepting = run.engine.accept(run, change, terms).await?;
        // Also where applying fails: it is in the log, and will be applied.
        self.note(accepting.accepted.seq);
        let (accepted, mut applied) = run.engine.follow(&run.principal.tenant, accepting).await?;
        if let Some(seen) = seen_gone {
            applied.relationships_deleted = applied.relationships_deleted.min(seen);
        }
        if creates && (accepted.replayed || unnamed) {
            let own = accepted.effects.iter().filter(|effect| effect.record.of == write.of);
            ids = own.map(|effect| effect.record.id.clone()).collect();
        }
        let written = match &write.plan {
            Some(plan) => {
                let keys: Vec<Value> = ids.into_iter().map(Value::Text).collect();
                let outcomes = self.plan_many(plan, &keys).await?;
                Value::List(outcomes.iter().flat_map(|outcome| rows(&plan.read, outcome).to_vec()).collect())
            }
            None => Value::Null,
        };
        Ok(Value::List(vec![response(&accepted.effects, applied, written)]))
    }

    /// Drafts the change; whether it makes records, and the ids of the records that the answer is about.
    async fn drafted(&self, write: &Write, draft: &mut Draft<'r>) -> Result<(bool, Vec<String>), Fault> {
        let ontology = &self.run.bound.served().ontology;
        let entity = ontology.types.get(&write.of).ok_or_else(|| Fault::internal("write", "a type went"))?;
        match &write.deed {
            Deed::Create(inputs) => {
                let mut ids = Vec::with_capacity(inputs.len());
                for input in inputs {
                    ids.push(draft.create(entity, input.clone()).await?);
                }
                Ok((true, ids))
            }
            Deed::Upsert(inputs) => Ok((true, draft.upsert(entity, inputs).await?)),
            Deed::Update { filter, update } => Ok((false, draft.update_matching(entity, filter, update).await?)),
            Deed::Delete { filter, nested } => {
                draft.delete_matching(entity, filter, nested).await?;
                Ok((false, Vec::new()))
            }
        }
    }
}

impl Engine {
    /// Guards a change, has it accepted, applies it to the graph and announces it. Imports join here.
    ///
    /// # Errors
    /// What the guard or the metadata store refuses, or a store that failed.
    pub async fn write(
        &self,
        bound: &Arc<Bound>,
        principal: &Principal,
        change: Change,
        terms: Terms<'_>,
        call: Call<'_>,
    ) -> Result<Accepted, Fault> {
        let run = Run { engine: self, bound, principal, call };
        let accepting = self.accept(&run, change, terms).await?;
        self.follow(&principal.tenant, accepting).await.map(|(accepted, _)| accepted)
    }

    /// Applies what the graph lacks of a tenant's log: at start, and when another process wrote.
    ///
    /// # Errors
    /// A store that failed.
    pub async fn catch_up(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.appliers.catch_up(tenant).await
    }

    /// Guards a change and has it accepted into the log.
    async fn accept(&self, run: &Run<'_>, change: Change, terms: Terms<'_>) -> Result<Accepting, Fault> {
        let most = self.settings.limits.change_ops;
        if change.ops.len() > most {
            let message =
                format!("the change has {} operations; at most `limits.change_ops`, {most}", change.ops.len());
            return Err(Fault::client(Code::TooExpensive, message));
        }
        let ontology = &run.bound.served().ontology;
        let wanted = guard::checks(run.principal, ontology, &change)?;
        let held = checks::held(run, &change, &wanted).await?;
        let allowed = guard::change(run.principal, ontology, change, &held)?;
        let accepted = self.ports.metadata.accept(&allowed, terms, run.call).await?;
        // What was left as it is must not reach the graph either; the log has only what was not.
        let entry = (accepted.appended && !terms.only_new).then(|| Entry {
            seq: accepted.seq,
            at: terms.at.to_owned(),
            actor: terms.actor.map(str::to_owned),
            change: Change { ops: allowed.get().ops.iter().filter(|op| !op.is_foreign()).cloned().collect() },
            effects: accepted.effects.clone(),
        });
        Ok(Accepting { accepted, entry })
    }

    /// Lets the graph follow what was accepted.
    async fn follow(&self, tenant: &TenantId, accepting: Accepting) -> Result<(Accepted, Applied), Fault> {
        let Accepting { accepted, entry } = accepting;
        let applied = match entry {
            Some(entry) => self.appliers.entry(tenant, entry).await?,
            None => self.appliers.hold(tenant, accepted.seq).await.map(|()| Applied::default())?,
        };
        Ok((accepted, applied))
    }
}

/// A change that is in the log, with the entry that the graph has to follow, if it made one.
struct Accepting {
    accepted: Accepted,
    entry: Option<Entry>,
}

/// The row of a mutation's response.
fn response(effects: &[Effect], applied: Applied, written: Value) -> Value {
    let count = |kind: EffectKind| effects.iter().filter(|effect| effect.event == kind).count() as i64;
    Value::List(vec![
        Value::Int(count(EffectKind::Created)),
        Value::Int(count(EffectKind::Deleted)),
        Value::Int(applied.relationships_created as i64),
        Value::Int(applied.relationships_deleted as i64),
        written,
    ])
}

/// What an idempotency key stands for: the document and its variables.
fn digest(ask: &Ask) -> String {
    let mut hasher = Sha256::new();
    hasher.update(ask.query.as_bytes());
    hasher.update([0]);
    hasher.update(ask.operation_name.as_deref().unwrap_or_default().as_bytes());
    hasher.update([0]);
    hasher.update(serde_json::Value::Object(ask.variables.clone()).to_string().as_bytes());
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
