//! Names of a tenant's types and their keys: kept in memory, read again when something is named that is not among them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use quipu_resolvers::guard::TenantId;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::connections::Failure;
use crate::stores::sql::names::{NameOf, Names, UNKNOWN};

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

    /// True when the file was looked at only just now.
    pub(super) fn is_fresh(&self, tenant: &TenantId) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(tenant).is_some_and(|(_, at)| at.elapsed() < AGE)
    }

    /// Takes what was read or written.
    pub(super) fn set(&self, tenant: &TenantId, names: Names) -> Arc<Names> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entry(tenant.clone()).or_insert_with(|| (Arc::default(), Instant::now()));
        // Names are only ever added: what was read before another's write must not replace what was kept after it.
        if names.len() >= entry.0.len() {
            entry.0 = Arc::new(names);
        }
        entry.1 = Instant::now();
        Arc::clone(&entry.0)
    }
}

/// Reads a tenant's names; `None` when there is no such tenant.
pub(super) async fn load(connection: &mut SqliteConnection, tenant: &TenantId) -> Result<Option<Names>, Failure> {
    let text = "SELECT tenant.key, kind.key, kind.sort, kind.name, kind.embedded \
                FROM tenant LEFT JOIN kind ON kind.tenant = tenant.key WHERE tenant.name = ?";
    let rows = sqlx::query(text).bind(tenant.as_str()).fetch_all(connection).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut names = Names::of_tenant(first.try_get(0)?);
    for row in &rows {
        let (Some(key), Some(sort)) = (row.try_get::<Option<i64>, _>(1)?, row.try_get::<Option<i64>, _>(2)?) else {
            continue;
        };
        let embedded = serde_json::from_str(row.try_get(4)?).unwrap_or_default();
        if let Some(sort) = NameOf::of_number(sort) {
            names.insert(sort, row.try_get(3)?, key, embedded);
        }
    }
    Ok(Some(names))
}

/// Gives a key to every name that has none, inside the transaction that writes the first record of that name.
pub(super) async fn intern(
    connection: &mut SqliteConnection,
    names: &mut Names,
    wanted: &BTreeSet<(NameOf, &str)>,
) -> Result<(), Failure> {
    for (sort, name) in wanted {
        if names.key(*sort, name) != UNKNOWN {
            continue;
        }
        let text = "INSERT INTO kind (tenant, sort, name) VALUES (?, ?, ?) \
                    ON CONFLICT (tenant, sort, name) DO UPDATE SET name = excluded.name RETURNING key, embedded";
        let row =
            sqlx::query(text).bind(names.tenant).bind(sort.number()).bind(*name).fetch_one(&mut *connection).await?;
        names.insert(*sort, name, row.try_get(0)?, serde_json::from_str(row.try_get(1)?).unwrap_or_default());
    }
    Ok(())
}
