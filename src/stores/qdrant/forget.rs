//! Removing everything of a tenant, and counting what is there. Collections that another model made are not looked at: their names could be those
//! of another deployment's.

use std::time::Instant;

use qdrant_client::qdrant::{CountPoints, DeletePoints};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Held;

use super::Inner;
use super::failure::Failure;
use super::scope::Scope;
use super::session::points;

impl Inner {
    /// Removes every point of a tenant, vectors first.
    pub(super) async fn forget_tenant(&self, tenant: &TenantId, deadline: Instant) -> Result<(), Failure> {
        for name in [&self.names.vectors, &self.names.notes] {
            let removal = DeletePoints {
                collection_name: name.clone(),
                wait: Some(true),
                points: Some(Scope(tenant).filter([]).into()),
                ..DeletePoints::default()
            };
            let send = |channel, request| async move { points(channel).delete(request).await };
            self.session.ask(deadline, removal, send).await?;
        }
        Ok(())
    }

    /// How many points a tenant has.
    pub(super) async fn held_of(&self, tenant: &TenantId, deadline: Instant) -> Result<Vec<Held>, Failure> {
        let mut held = Vec::with_capacity(2);
        for (kind, name) in [("vectors", &self.names.vectors), ("notes", &self.names.notes)] {
            let count = CountPoints {
                collection_name: name.clone(),
                filter: Some(Scope(tenant).filter([])),
                exact: Some(true),
                ..CountPoints::default()
            };
            let send = |channel, request| async move { points(channel).count(request).await };
            let count = self.session.ask(deadline, count, send).await?.result.map_or(0, |result| result.count);
            held.push(Held { kind, count });
        }
        Ok(held)
    }
}
