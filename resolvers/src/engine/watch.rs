//! Live queries: the tenant's log is followed, and each event is read again through the guard with the subscriber's own rights.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use quipu_schema::policy::Operation;

use super::reply::Extensions;
use super::run::{Run, Work};
use super::{Bound, Engine, Planned, Rooted, reply};
use crate::change::{Effect, EffectKind, Entry};
use crate::fault::{Code, Fault};
use crate::fields::watch::{self, Watch};
use crate::fields::{Job, Plan};
use crate::guard::{self, Principal};
use crate::plan::Sort;
use crate::ports::{Call, Trace};
use crate::read::{Field, Predicate};
use crate::value::Value;
use crate::{Answer, Ask};

/// Entries that are taken from the log at a time.
const BATCH: u32 = 100;

/// How long the reading of one event may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

struct Following {
    engine: Arc<Engine>,
    bound: Arc<Bound>,
    principal: Principal,
    root: Rooted,
    crossings: usize,
    /// For the first event, where it is asked for.
    cost: Option<serde_json::Value>,
    head: tokio::sync::watch::Receiver<u64>,
    at: u64,
    /// Of the subscription: what its events cost is counted there.
    trace: Arc<Trace>,
    waiting: std::collections::VecDeque<(Arc<Entry>, Effect)>,
}

impl Engine {
    /// The responses of a subscription, one per event, until the receiver is dropped. A query or mutation gives one response.
    pub fn watch(self: &Arc<Self>, bound: Arc<Bound>, principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
        let engine = self.clone();
        stream::once(async move { engine.watched(bound, principal, ask).await }).flatten().boxed()
    }

    async fn watched(self: Arc<Self>, bound: Arc<Bound>, principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
        let document = match self.opened(&bound, &ask) {
            Ok(document) => document,
            Err(refused) => return once(refused),
        };
        match document.operation(ask.operation_name.as_deref()) {
            Ok(operation) if Sort::of(&operation.node) != Sort::Subscription => {
                return once(self.answer(&bound, &principal, ask).await);
            }
            Ok(_) => {}
            Err(fault) => return once(reply::refusal(&fault)),
        }
        let planned = match self.planned(&bound, &document, &ask) {
            Ok(planned) => planned,
            Err(fault) => return once(reply::refusal(&fault)),
        };
        let cost = planned.shown_cost(&ask);
        if let Err(fault) = planned.cost.settle(&ask.pricing).await {
            return once(reply::refusal_of(&fault, cost));
        }
        match self.following(bound, principal, planned, &ask).await {
            Ok(following) => stream::unfold(Following { cost, ..following }, Following::next).boxed(),
            Err(fault) => once(reply::refusal(&fault)),
        }
    }

    async fn following(
        self: Arc<Self>,
        bound: Arc<Bound>,
        principal: Principal,
        planned: Planned,
        ask: &Ask,
    ) -> Result<Following, Fault> {
        let crossings = planned.crossings;
        let mut roots = planned.roots;
        let (Some(root), true) = (roots.pop(), roots.is_empty()) else {
            return Err(Fault::client(Code::GraphqlValidationFailed, "a subscription has one root field"));
        };
        let Job::Watch(watch) = root.job.as_ref().map_err(Clone::clone)? else {
            return Err(Fault::client(
                Code::GraphqlValidationFailed,
                "a subscription has one root field of `Subscription`",
            ));
        };
        let head = self.ports.bus.listen(&principal.tenant);
        let at = match watch.since {
            Some(since) => since,
            None => self.ports.metadata.head(&principal.tenant).await?,
        };
        let trace = ask.trace.clone();
        let (cost, waiting) = (None, Default::default());
        Ok(Following { engine: self, bound, principal, root, crossings, cost, head, at, trace, waiting })
    }
}

fn once(answer: Answer) -> BoxStream<'static, Answer> {
    stream::once(async move { answer }).boxed()
}

impl Following {
    /// The next event that the subscriber may see.
    async fn next(mut self) -> Option<(Answer, Following)> {
        loop {
            while let Some((entry, effect)) = self.waiting.pop_front() {
                let cost = self.cost.clone();
                match self.event(&entry, &effect, cost).await {
                    Ok(Some(answer)) => {
                        self.cost = None;
                        return Some((answer, self));
                    }
                    Ok(None) => {}
                    Err(fault) => {
                        let answer = reply::refusal(&fault);
                        return Some((answer, self));
                    }
                }
            }
            // What is announced from here on is seen by `changed` below, so that nothing is missed in between.
            self.head.borrow_and_update();
            match self.applied().await {
                Ok(entries) if entries.is_empty() => {
                    if self.head.changed().await.is_err() {
                        return None;
                    }
                }
                Ok(entries) => self.take(entries),
                Err(fault) => {
                    tracing::warn!(%fault, "the log cannot be read; trying again");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// The next entries of the log that the graph holds.
    async fn applied(&self) -> Result<Vec<Entry>, Fault> {
        let ports = &self.engine.ports;
        let position = ports.graph.position(&self.principal.tenant).await?;
        let mut entries = ports.metadata.log(&self.principal.tenant, self.at, BATCH).await?;
        entries.retain(|entry| entry.seq <= position);
        Ok(entries)
    }

    fn take(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.at = entry.seq;
            let entry = Arc::new(entry);
            let effects = entry.effects.iter().cloned();
            self.waiting.extend(effects.map(|effect| (entry.clone(), effect)));
        }
    }

    async fn event(
        &self,
        entry: &Entry,
        effect: &Effect,
        cost: Option<serde_json::Value>,
    ) -> Result<Option<Answer>, Fault> {
        let Ok(Job::Watch(watch)) = &self.root.job else { return Ok(None) };
        let Some(at) = watch.of.iter().position(|of| *of == effect.record.of) else { return Ok(None) };
        if !watch.events.contains(&effect.event) {
            return Ok(None);
        }
        let call = Call { deadline: std::time::Instant::now() + PATIENCE, trace: &self.trace };
        let run = Run { engine: &self.engine, bound: &self.bound, principal: &self.principal, call };
        let work = Work::new(run, self.crossings);
        let Some(outcome) = shown(&work, watch, at, effect).await? else { return Ok(None) };
        let operation = match effect.event {
            EffectKind::Created => "CREATED",
            EffectKind::Updated => "UPDATED",
            EffectKind::Deleted => "DELETED",
        };
        let row = Value::List(vec![
            Value::Text(entry.seq.to_string()),
            Value::Text(entry.at.clone()),
            Value::from(operation),
            Value::Text(effect.record.of.clone()),
            Value::Text(effect.record.id.clone()),
            outcome,
        ]);
        let fields = [(self.root.out.clone(), Ok(Value::List(vec![row])))];
        let extensions = Extensions { position: None, cost };
        Ok(Some(self.engine.written(&fields, &work.loaded(), Sort::Subscription, extensions)))
    }
}

/// The outcome with the event's record; `None` when the subscriber must not learn of the event.
async fn shown(work: &Work<'_>, watch: &Watch, at: usize, effect: &Effect) -> Result<Option<Value>, Fault> {
    let run = &work.run;
    let ontology = &run.bound.served().ontology;
    let Some(entity) = ontology.types.get(&effect.record.of) else { return Ok(None) };
    if effect.event == EffectKind::Deleted {
        // The record is gone, so no rule on it can be checked any more: only who sees every record of the type learns of it.
        let open = guard::sees_all(run.principal, ontology, &entity.name, Operation::Read)
            && guard::sees_all(run.principal, ontology, &entity.name, Operation::Subscribe);
        let wanted = watch::by_id(&watch.filters[at], &effect.record.id) == Some(true);
        return Ok((open && wanted).then_some(Value::Null));
    }
    let found = match (&watch.nodes, &watch.rows, entity.is_node()) {
        (Some(found), _, true) | (_, Some(found), false) => found,
        _ => return Ok(None),
    };
    let (members, plan) = found;
    let Some(target) = members.iter().position(|name| *name == entity.name) else { return Ok(None) };
    let mut plan = only(plan, target, &watch.filters[at], guard::subscribing(run.principal, ontology, &entity.name)?);
    if !entity.is_node() && !watch.shows_rows {
        // Only whether it is seen is of interest, and a table of others is no place for rows of other types.
        plan.read.targets = vec![plan.read.targets.swap_remove(target)];
    }
    let outcomes = work.plan_many(&plan, &[Value::Text(effect.record.id.clone())]).await?;
    let Some(outcome) = outcomes.into_iter().next() else { return Ok(None) };
    let visible = outcome.as_list().is_some_and(|rows| !rows.is_empty());
    Ok(visible.then_some(if entity.is_node() || watch.shows_rows { outcome } else { Value::Null }))
}

/// The plan with conditions under which no other target than one is found.
fn only(plan: &Plan, target: usize, filter: &Predicate, subscribing: Predicate) -> Plan {
    let mut plan = plan.clone();
    for (at, other) in plan.read.targets.iter_mut().enumerate() {
        other.filter = if at == target { filter.clone().and(subscribing.clone()) } else { Predicate::False };
    }
    // An id names at most one record of the type.
    plan.read.sort.retain(|sort| sort.field == Field::Id);
    plan
}
