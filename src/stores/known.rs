//! Names of tenants' types and their keys, kept in memory: read again when something is named that is not among them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use quipu_resolvers::guard::TenantId;

use super::sql::names::Names;

/// How long a look for a name that is not there counts.
const AGE: Duration = Duration::from_millis(500);

/// What is known of the tenants.
#[derive(Debug, Default)]
pub(super) struct Known(RwLock<HashMap<TenantId, (Arc<Names>, Instant)>>);

impl Known {
    /// What is known of a tenant.
    pub(super) fn get(&self, tenant: &TenantId) -> Option<Arc<Names>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(tenant).map(|(names, _)| Arc::clone(names))
    }

    /// True when the store was looked at only just now.
    pub(super) fn is_fresh(&self, tenant: &TenantId) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(tenant).is_some_and(|(_, at)| at.elapsed() < AGE)
    }

    /// Forgets a tenant that is gone, or may be another of the same name by now.
    pub(super) fn forget(&self, tenant: &TenantId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }

    /// Takes what was read or written.
    pub(super) fn set(&self, tenant: &TenantId, names: Names) -> Arc<Names> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entry(tenant.clone()).or_insert_with(|| (Arc::default(), Instant::now()));
        // Names are only ever added: what was read before another's write must not replace what was kept after it. What is known of
        // tables of others is replaced by what was asked later.
        let tables = if names.tables.asked > entry.0.tables.asked { &names.tables } else { &entry.0.tables };
        let tables = Arc::clone(tables);
        if names.len() >= entry.0.len() {
            entry.0 = Arc::new(names.with_tables(tables));
        } else if names.tables.asked > entry.0.tables.asked {
            entry.0 = Arc::new((*entry.0).clone().with_tables(tables));
        }
        entry.1 = Instant::now();
        Arc::clone(&entry.0)
    }
}
