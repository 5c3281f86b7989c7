//! What a server does beside answering: it follows the logs of its tenants, also where another process wrote them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{join_all, select_all};
use futures_util::stream::FuturesUnordered;
use quipu_resolvers::fault::Code;
use quipu_resolvers::ports::Bus;
use quipu_resolvers::{Engine, Ports};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::ingest::relay::{Relay, Step};
use crate::ops::Metrics;
use crate::tenants::Tenants;

/// How often it is looked whether another process wrote.
const POLL: Duration = Duration::from_millis(400);
/// How long to wait after a first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How often positions are noted for the metrics.
const NOTED: Duration = Duration::from_secs(3);
/// Longest wait after failures, and the wait for a model that is not there.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Applies to the graph what other processes have written into the logs, and announces it to subscriptions and to the relay. Tenants do not
/// wait for each other: the graph of one may be away.
pub async fn logs(engine: Arc<Engine>, tenants: Arc<Tenants>) {
    let mut failing = HashSet::new();
    let mut under_way = HashSet::new();
    let mut following = FuturesUnordered::new();
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = poll.tick() => for tenant in tenants.names() {
                if under_way.insert(tenant.clone()) {
                    let engine = engine.clone();
                    following.push(async move { (engine.catch_up(&tenant).await, tenant) });
                }
            },
            Some((followed, tenant)) = following.next() => {
                under_way.remove(&tenant);
                match followed {
                    Ok(()) => drop(failing.remove(&tenant)),
                    Err(fault) if failing.insert(tenant.clone()) => {
                        tracing::warn!(%tenant, %fault, "cannot follow the log; it is tried again");
                    }
                    Err(_) => {}
                }
            }
        }
    }
}

/// Notes for the metrics where the logs stand, and how far graph and vectors have followed them.
pub async fn positions(ports: Ports, tenants: Arc<Tenants>, metrics: Arc<Metrics>) {
    loop {
        let noting = tenants.names().into_iter().map(async |tenant| {
            let Ports { metadata, graph, vectors, .. } = &ports;
            // A store that cannot say is one that /readyz speaks of; its last position stays.
            let (log, graph, vectors) = tokio::join!(
                timeout(NOTED, metadata.head(&tenant)),
                timeout(NOTED, graph.position(&tenant)),
                timeout(NOTED, vectors.position(&tenant))
            );
            for (of, position) in [("log", log), ("graph", graph), ("vectors", vectors)] {
                if let Ok(Ok(position)) = position {
                    metrics.position(&tenant, of, position);
                }
            }
        });
        join_all(noting).await;
        tokio::time::sleep(NOTED).await;
    }
}

/// Keeps vectors in step with the logs and the ontologies, a portion of each tenant in turn. Without a model it waits for one.
pub async fn vectors(relay: Relay, tenants: Arc<Tenants>, bus: Arc<dyn Bus>, metrics: Arc<Metrics>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut busy = false;
        let mut failed = None;
        let mut left = 0;
        for tenant in tenants.names() {
            let Some(bound) = tenants.bound(&tenant) else { continue };
            let ontology = &bound.served().ontology;
            let step = relay.step(&tenant, ontology, &mut |_| {}).await;
            if !matches!(step, Ok(Step::InStep)) {
                left += relay.left(&tenant, ontology).await.unwrap_or_default();
            }
            match step {
                Ok(Step::Embedded(_)) => busy = true,
                Ok(Step::InStep | Step::Elsewhere) => {}
                Err(fault) => failed = Some((tenant, fault)),
            }
        }
        metrics.to_embed(left);
        match failed {
            // The embedder says by itself what it lacks.
            Some((_, fault)) if fault.code() == Code::EmbeddingUnavailable => tokio::time::sleep(LONGEST_PAUSE).await,
            // Those of other tenants go on meanwhile.
            Some(_) if busy => {}
            Some((tenant, fault)) => {
                tracing::warn!(%tenant, %fault, ?pause, "vectors fall behind; they are tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            None if busy => pause = FIRST_PAUSE,
            None => woken(&tenants, bus.as_ref()).await,
        }
    }
}

/// Done when some tenant's log grows, or after a while: tenants come and go.
async fn woken(tenants: &Tenants, bus: &dyn Bus) {
    let mut receivers: Vec<_> = tenants.names().iter().map(|tenant| bus.listen(tenant)).collect();
    let grown = receivers.iter_mut().map(|receiver| Box::pin(receiver.changed()));
    let grown: Vec<_> = grown.collect();
    let poll = tokio::time::sleep(POLL);
    if grown.is_empty() {
        poll.await;
        return;
    }
    tokio::select! {
        _ = select_all(grown) => {}
        () = poll => {}
    }
}
