//! Documents that are published for a tenant.

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{StoreName, TrustedDocument};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, query, query_as};

use super::connections::Failure;
use super::{BACKGROUND, Embedded, tenants, unknown_tenant};
use crate::stores::logged::number;
use crate::stores::publishing::{self, Change, Changed};

impl Embedded {
    pub(super) async fn documents(&self, tenant: &TenantId) -> Result<(u64, Vec<TrustedDocument>), Fault> {
        let work = async |connection: &mut SqliteConnection| {
            // One transaction, so that both are of the same moment.
            let mut transaction = connection.begin().await?;
            let text = "SELECT key, documents FROM tenant WHERE name = ?";
            let found: Option<(i64, i64)> =
                query_as(text).bind(tenant.as_str()).fetch_optional(&mut *transaction).await?;
            let Some((key, changes)) = found else { return Ok((0, Vec::new())) };
            let documents = all(&mut transaction, key).await?;
            transaction.commit().await?;
            Ok((number(changes), documents))
        };
        self.look(StoreName::Rows, work).await
    }

    pub(super) async fn change_documents(&self, tenant: &TenantId, change: Change<'_>) -> Result<usize, Fault> {
        self.write(BACKGROUND, async |connection| transact(connection, tenant, change).await).await?
    }
}

async fn transact(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    change: Change<'_>,
) -> Result<Changed, Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let Some(key) = tenants::key(&mut transaction, tenant).await? else {
        transaction.rollback().await?;
        return Ok(Err(unknown_tenant(tenant)));
    };
    let changed = match change {
        Change::Add(documents, room, at) => {
            match publishing::new_ones(&all(&mut transaction, key).await?, documents, room) {
                Ok(new) => add(&mut transaction, key, &new, at).await?,
                Err(refusal) => {
                    transaction.rollback().await?;
                    return Ok(Err(refusal));
                }
            }
        }
        Change::Remove(ids) => remove(&mut transaction, key, ids).await?,
    };
    if changed > 0 {
        query("UPDATE tenant SET documents = documents + 1 WHERE key = ?").bind(key).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Ok(changed))
}

async fn all(connection: &mut SqliteConnection, tenant: i64) -> Result<Vec<TrustedDocument>, Failure> {
    let text = "SELECT id, text FROM document WHERE tenant = ? ORDER BY id";
    let rows: Vec<(String, String)> = query_as(text).bind(tenant).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(id, text)| TrustedDocument { id, text }).collect())
}

async fn add(
    connection: &mut SqliteConnection,
    tenant: i64,
    new: &[&TrustedDocument],
    at: &str,
) -> Result<usize, Failure> {
    for document in new {
        query("INSERT INTO document (tenant, id, text, at) VALUES (?, ?, ?, ?)")
            .bind(tenant)
            .bind(&document.id)
            .bind(&document.text)
            .bind(at)
            .execute(&mut *connection)
            .await?;
    }
    Ok(new.len())
}

async fn remove(connection: &mut SqliteConnection, tenant: i64, ids: &[String]) -> Result<usize, Failure> {
    let mut removed = 0;
    for id in ids {
        let gone = query("DELETE FROM document WHERE tenant = ? AND id = ?").bind(tenant).bind(id);
        removed += gone.execute(&mut *connection).await?.rows_affected();
    }
    Ok(usize::try_from(removed).unwrap_or(usize::MAX))
}
