//! Turns: decisions on changes of one tenant wait for each other before they take a connection, so that a tenant with many writers does
//! not hold all connections while they wait for its row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quipu_resolvers::guard::TenantId;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout_at;

use super::session::Failure;

/// Who may decide, by tenant.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for a turn, until the deadline.
    pub(super) async fn take(&self, tenant: &TenantId, deadline: Instant) -> Result<OwnedMutexGuard<()>, Failure> {
        let line = {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lines.entry(tenant.clone()).or_default())
        };
        timeout_at(deadline.into(), line.lock_owned()).await.map_err(|_| Failure::Late)
    }
}
