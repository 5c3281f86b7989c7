//! What `/readyz` asks: the parts of the process, and the graphs of tenants that have their own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use quipu_resolvers::Ports;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use tokio::time::timeout;

use super::Shared;
use super::rotation::Rotation;
use crate::http::{Condition, Probe, Readiness};
use crate::ingest::embed::{EmbedderStatus, LazyEmbedder};

/// A store that does not answer in this time is down. Shorter than whoever asks waits for all of them, so that the others are named.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Asks the parts how they are.
pub struct Probes {
    /// The stores.
    pub ports: Ports,
    /// Tenants that have a graph of their own.
    pub own_graphs: Vec<TenantId>,
    /// The model.
    pub embedder: LazyEmbedder,
    /// What is shared with other instances, if there is such a thing.
    pub shared: Option<Shared>,
    /// Passwords in files, if there are any.
    pub rotation: Option<Arc<Rotation>>,
}

#[async_trait]
impl Readiness for Probes {
    async fn probe(&self) -> Vec<Probe> {
        let Ports { graph, metadata, vectors, .. } = &self.ports;
        // Any tenant's position will do that has no graph of its own; one that is not there has position 0. No tenant has this name,
        // which is as long as one can be.
        let Some(tenant) = TenantId::parse(&"readiness".repeat(7)) else { return Vec::new() };
        let own = self.own_graphs.iter().map(async |tenant| {
            let works = works(graph.position(tenant)).await;
            // The other tenants are served without it.
            Probe { part: format!("graph.{tenant}").into(), condition: Condition::of(works), essential: false }
        });
        let (graph, metadata, vectors, embedder, own) = tokio::join!(
            works(graph.position(&tenant)),
            works(metadata.published()),
            works(vectors.position(&tenant)),
            self.embedder.glance(),
            join_all(own),
        );
        let essential =
            |part: &'static str, works| Probe { part: part.into(), condition: Condition::of(works), essential: true };
        let embedding = match embedder {
            EmbedderStatus::Ready => Condition::Up,
            EmbedderStatus::NotLoaded => Condition::NotLoaded,
            EmbedderStatus::Unavailable(_) => Condition::Down,
        };
        let mut probes = vec![
            essential("graph", graph),
            essential("metadata", metadata),
            essential("vectors", vectors),
            Probe { part: "embedding".into(), condition: embedding, essential: false },
        ];
        probes.extend(own);
        if let Some(Shared { bus, cache, .. }) = &self.shared {
            let up = bus.is_up() && cache.is_up();
            probes.push(Probe { part: "cache".into(), condition: Condition::of(up), essential: false });
        }
        // Those before are used on.
        probes.extend(self.rotation.iter().map(|rotation| Probe {
            part: "passwords".into(),
            condition: Condition::of(rotation.is_well()),
            essential: false,
        }));
        probes
    }
}

/// Whether a store answers, and in time.
async fn works<T>(asked: impl Future<Output = Result<T, Fault>>) -> bool {
    matches!(timeout(PATIENCE, asked).await, Ok(Ok(_)))
}
