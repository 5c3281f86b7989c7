//! Names of a tenant's types, their keys, and the columns of their own that properties of rows have.

use std::collections::BTreeSet;

use quipu_resolvers::guard::TenantId;
use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};

use super::session::Failure;
use crate::stores::sql::names::{NameOf, Names, UNKNOWN};

/// The key of a tenant.
pub(super) async fn tenant_key(connection: &mut PgConnection, tenant: &TenantId) -> Result<Option<i64>, Failure> {
    Ok(query_scalar("SELECT tenant_key($1)").bind(tenant.as_str()).fetch_one(connection).await?)
}

/// The key under which a tenant's audit trail is, also when the tenant is gone.
pub(super) async fn trail_key(connection: &mut PgConnection, tenant: &TenantId) -> Result<Option<i64>, Failure> {
    Ok(query_scalar("SELECT trail_key($1)").bind(tenant.as_str()).fetch_one(connection).await?)
}

/// Shows a tenant for the rest of the transaction.
pub(super) async fn show(connection: &mut PgConnection, key: i64) -> Result<(), Failure> {
    query("SELECT set_config('quipu.tenant', $1, true)").bind(key.to_string()).execute(connection).await?;
    Ok(())
}

/// Reads a tenant's names, and shows the tenant from then on; `None` when there is no such tenant.
pub(super) async fn load(connection: &mut PgConnection, tenant: &TenantId) -> Result<Option<Names>, Failure> {
    match tenant_key(connection, tenant).await? {
        Some(key) => {
            show(connection, key).await?;
            Ok(Some(of_tenant(connection, key).await?))
        }
        None => Ok(None),
    }
}

/// Reads the names of the tenant that is shown.
pub(super) async fn of_tenant(connection: &mut PgConnection, key: i64) -> Result<Names, Failure> {
    let text = "SELECT key, sort, name, texts, numbers FROM kind WHERE tenant = $1";
    let rows = query(text).bind(key).fetch_all(connection).await?;
    let mut names = Names::of_tenant(key);
    for row in &rows {
        let Some(sort) = NameOf::of_number(row.try_get::<i32, _>(1)?.into()) else { continue };
        let kind = row.try_get(0)?;
        names.insert(sort, row.try_get(2)?, kind, Vec::new());
        names.set_columns(kind, &row.try_get::<Vec<String>, _>(3)?, &row.try_get::<Vec<String>, _>(4)?);
    }
    Ok(names)
}

/// Gives a key to every name that has none, inside the transaction that writes the first record of that name.
pub(super) async fn intern(
    connection: &mut PgConnection,
    names: &mut Names,
    wanted: &BTreeSet<(NameOf, &str)>,
) -> Result<(), Failure> {
    for (sort, name) in wanted {
        if names.key(*sort, name) != UNKNOWN {
            continue;
        }
        // The tenant is locked: nobody else gives keys. Another instance may have given one before.
        let text = "WITH made AS (INSERT INTO kind (tenant, sort, name) VALUES ($1, $2, $3) \
                    ON CONFLICT (tenant, sort, name) DO NOTHING RETURNING key, texts, numbers) \
                    SELECT key, texts, numbers FROM made UNION ALL \
                    SELECT key, texts, numbers FROM kind WHERE tenant = $1 AND sort = $2 AND name = $3";
        let row = query(text)
            .bind(names.tenant)
            .bind(i32::try_from(sort.number()).unwrap_or_default())
            .bind(*name)
            .fetch_one(&mut *connection)
            .await?;
        let key = row.try_get(0)?;
        names.insert(*sort, name, key, Vec::new());
        names.set_columns(key, &row.try_get::<Vec<String>, _>(1)?, &row.try_get::<Vec<String>, _>(2)?);
    }
    Ok(())
}
