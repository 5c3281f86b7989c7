//! Documents that are published for a tenant.

use std::time::Instant;

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::TrustedDocument;
use sqlx::postgres::PgConnection;
use sqlx::{query, query_as, query_scalar};

use super::accept::{self, end};
use super::session::{Failure, within};
use super::{BACKGROUND, Store, names, unknown_tenant};
use crate::stores::logged::number;
use crate::stores::publishing::{self, Change, Changed};

impl Store {
    pub(super) async fn documents(&self, tenant: &TenantId) -> Result<(u64, Vec<TrustedDocument>), Fault> {
        let work = async |connection: &mut PgConnection| {
            let Some(key) = names::tenant_key(connection, tenant).await? else { return Ok((0, Vec::new())) };
            names::show(connection, key).await?;
            // First the number: what changes in between is looked at once more, and not never.
            let changes: i64 = query_scalar("SELECT documents FROM tenant WHERE key = $1")
                .bind(key)
                .fetch_one(&mut *connection)
                .await?;
            Ok((number(changes), all(connection, key).await?))
        };
        self.look(None, work).await
    }

    pub(super) async fn change_documents(&self, tenant: &TenantId, change: Change<'_>) -> Result<usize, Fault> {
        let deadline = Instant::now() + BACKGROUND;
        let mut session = self.sessions.begin(None, deadline).await.map_err(Failure::fault)?;
        let changed = within(deadline, transact(session.start(), tenant, change)).await;
        session.done(&changed);
        let changed = changed.map_err(Failure::fault)??;
        end(session, deadline).await.map_err(Failure::fault)?;
        Ok(changed)
    }
}

/// Inside a transaction that its caller commits, or takes back after a refusal.
async fn transact(connection: &mut PgConnection, tenant: &TenantId, change: Change<'_>) -> Result<Changed, Failure> {
    let Some(key) = names::tenant_key(connection, tenant).await? else { return Ok(Err(unknown_tenant(tenant))) };
    names::show(connection, key).await?;
    if accept::lock(connection, key).await?.is_none() {
        return Ok(Err(unknown_tenant(tenant)));
    }
    let changed = match change {
        Change::Add(documents, room, at) => match publishing::new_ones(&all(connection, key).await?, documents, room) {
            Ok(new) => add(connection, key, &new, at).await?,
            Err(refusal) => return Ok(Err(refusal)),
        },
        Change::Remove(ids) => {
            let gone = query("DELETE FROM document WHERE tenant = $1 AND id = ANY($2)").bind(key).bind(ids);
            usize::try_from(gone.execute(&mut *connection).await?.rows_affected()).unwrap_or(usize::MAX)
        }
    };
    if changed > 0 {
        query("UPDATE tenant SET documents = documents + 1 WHERE key = $1").bind(key).execute(connection).await?;
    }
    Ok(Ok(changed))
}

async fn all(connection: &mut PgConnection, tenant: i64) -> Result<Vec<TrustedDocument>, Failure> {
    let text = "SELECT id, text FROM document WHERE tenant = $1 ORDER BY id";
    let rows: Vec<(String, String)> = query_as(text).bind(tenant).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(id, text)| TrustedDocument { id, text }).collect())
}

async fn add(connection: &mut PgConnection, tenant: i64, new: &[&TrustedDocument], at: &str) -> Result<usize, Failure> {
    let (ids, texts): (Vec<&str>, Vec<&str>) = new.iter().map(|one| (one.id.as_str(), one.text.as_str())).unzip();
    let text = "INSERT INTO document (tenant, id, text, at) SELECT $1, id, text, $4 FROM unnest($2::text[], $3::text[]) AS new (id, text)";
    query(text).bind(tenant).bind(ids).bind(texts).bind(at).execute(connection).await?;
    Ok(new.len())
}
