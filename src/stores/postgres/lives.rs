//! The life of tenants in Postgres, and the versions of their ontologies.

use std::time::Instant;

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Life, OntologyVersion, TenantState};
use sqlx::postgres::PgConnection;
use sqlx::{query, query_as, query_scalar};

use super::accept::end;
use super::session::{Failure, within};
use super::{BACKGROUND, Store, names};
use crate::stores::lives::{self, Marks, StoredTenant, marks, may_turn};
use crate::stores::logged::signed;

impl Store {
    pub(super) async fn tenants(&self) -> Result<Vec<TenantState>, Fault> {
        let text = "SELECT name, version, documents, head, suspended, reason, leaving, gone, plan FROM tenants()";
        let work = async |connection: &mut PgConnection| Ok(query_as(text).fetch_all(connection).await?);
        let stored: Vec<StoredTenant> = self.look(None, work).await?;
        Ok(lives::tenants(stored))
    }

    pub(super) async fn set_life(&self, tenant: &TenantId, to: &Life) -> Result<Life, Fault> {
        let deadline = Instant::now() + BACKGROUND;
        let mut session = self.sessions.begin(None, deadline).await.map_err(Failure::fault)?;
        let turned = within(deadline, turn(session.start(), tenant, to)).await;
        session.done(&turned);
        let from = turned.map_err(Failure::fault)??;
        end(session, deadline).await.map_err(Failure::fault)?;
        Ok(from)
    }

    pub(super) async fn set_plan(&self, tenant: &TenantId, plan: Option<&str>) -> Result<(), Fault> {
        let work = async |connection: &mut PgConnection| {
            let Some(key) = names::tenant_key(connection, tenant).await? else { return Ok(0) };
            names::show(connection, key).await?;
            let text = "UPDATE tenant SET plan = $2 WHERE key = $1 AND leaving IS NULL AND gone IS NULL";
            Ok(query(text).bind(key).bind(plan).execute(connection).await?.rows_affected())
        };
        match self.write(BACKGROUND, work).await? {
            0 => Err(lives::unknown(tenant)),
            _ => Ok(()),
        }
    }

    pub(super) async fn history(&self, tenant: &TenantId) -> Result<Vec<OntologyVersion>, Fault> {
        let text = "SELECT version, at, octet_length(sdl)::bigint FROM ontology WHERE tenant = $1 ORDER BY version";
        let work = async |connection: &mut PgConnection| {
            let Some(key) = names::tenant_key(connection, tenant).await? else { return Ok(Vec::new()) };
            names::show(connection, key).await?;
            Ok(query_as(text).bind(key).fetch_all(connection).await?)
        };
        Ok(lives::versions(self.look(None, work).await?))
    }

    pub(super) async fn ontology_at(&self, tenant: &TenantId, version: u64) -> Result<Option<String>, Fault> {
        let text = "SELECT sdl FROM ontology WHERE tenant = $1 AND version = $2";
        let work = async |connection: &mut PgConnection| {
            let Some(key) = names::tenant_key(connection, tenant).await? else { return Ok(None) };
            names::show(connection, key).await?;
            Ok(query_scalar(text).bind(key).bind(signed(version)).fetch_optional(connection).await?)
        };
        self.look(None, work).await
    }
}

/// Inside a transaction that its caller commits, or takes back after a refusal.
async fn turn(connection: &mut PgConnection, tenant: &TenantId, to: &Life) -> Result<Result<Life, Fault>, Failure> {
    // Also one that is gone has a row.
    let Some(key) = names::trail_key(connection, tenant).await? else { return Ok(Err(lives::unknown(tenant))) };
    names::show(connection, key).await?;
    let held: Marks = query_as("SELECT suspended, reason, leaving, gone FROM tenant WHERE key = $1 FOR UPDATE")
        .bind(key)
        .fetch_one(&mut *connection)
        .await?;
    let from = lives::life(held);
    if let Err(refusal) = may_turn(tenant, &from, to) {
        return Ok(Err(refusal));
    }
    let (suspended, reason, leaving, gone) = marks(to);
    let text = "UPDATE tenant SET suspended = $2, reason = $3, leaving = $4, gone = $5, \
                head = CASE WHEN $5 IS NULL THEN head ELSE 0 END, plan = CASE WHEN $5 IS NULL THEN plan END WHERE key = $1";
    query(text).bind(key).bind(suspended).bind(reason).bind(leaving).bind(gone).execute(connection).await?;
    Ok(Ok(from))
}

/// Lets an ontology be published for a tenant, which is shown: one that was deleted is there again.
pub(super) async fn enter(
    connection: &mut PgConnection,
    key: i64,
    tenant: &TenantId,
) -> Result<Result<(), Fault>, Failure> {
    let text = "SELECT suspended, reason, leaving, gone FROM tenant WHERE key = $1 FOR UPDATE";
    let held: Marks = query_as(text).bind(key).fetch_one(&mut *connection).await?;
    match lives::life(held) {
        Life::Leaving { .. } => return Ok(Err(lives::leaving(tenant))),
        Life::Gone { .. } => {
            query("UPDATE tenant SET gone = NULL WHERE key = $1").bind(key).execute(connection).await?;
        }
        Life::Active | Life::Suspended { .. } => {}
    }
    Ok(Ok(()))
}
