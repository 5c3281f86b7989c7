//! Names of a tenant's types and their keys in the file.

use std::collections::BTreeSet;

use quipu_resolvers::guard::TenantId;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::connections::Failure;
use crate::stores::sql::names::{NameOf, Names, UNKNOWN};

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
