//! The port `Metadata`: the log and what is published.

use std::time::Instant;

use async_trait::async_trait;
use quipu_resolvers::change::{Accepted, Change as Write, Entry};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Held, Life, Metadata, OntologyVersion, Room, TenantState, Terms, TrustedDocument};
use quipu_schema::ontology::Ontology;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query, query_as, query_scalar};

use super::accept::{end, parsed};
use super::session::{Failure, within};
use super::{BACKGROUND, PUBLISHING, Postgres, names, publish};
use crate::stores::logged::{last_of_portion, number, numbered};
use crate::stores::publishing::Change;

#[async_trait]
impl Metadata for Postgres {
    async fn accept(&self, change: &Allowed<Write>, terms: Terms<'_>, call: Call<'_>) -> Result<Accepted, Fault> {
        self.0.accept(change, terms, call).await
    }

    async fn log(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Entry>, Fault> {
        let work = async |connection: &mut PgConnection| match names::tenant_key(connection, tenant).await? {
            Some(key) => {
                names::show(connection, key).await?;
                log(connection, key, i64::try_from(after).unwrap_or(i64::MAX), i64::from(limit)).await
            }
            None => Ok(Vec::new()),
        };
        self.0.look(None, work).await
    }

    async fn head(&self, tenant: &TenantId) -> Result<u64, Fault> {
        let work = async |connection: &mut PgConnection| {
            let Some(key) = names::tenant_key(connection, tenant).await? else { return Ok(None) };
            names::show(connection, key).await?;
            Ok(query_scalar("SELECT head FROM tenant WHERE key = $1").bind(key).fetch_optional(connection).await?)
        };
        let head: Option<i64> = self.0.look(None, work).await?;
        Ok(head.map_or(0, number))
    }

    async fn publish(&self, tenant: &TenantId, sdl: &str, ontology: &Ontology, at: &str) -> Result<u64, Fault> {
        let deadline = Instant::now() + PUBLISHING;
        let mut session = self.0.sessions.begin(None, deadline).await.map_err(Failure::fault)?;
        let publishing = publish::Publishing { tenant, sdl, ontology, at, opened: &self.0.opened };
        let published = within(deadline, publish::transact(session.start(), publishing)).await;
        session.done(&published);
        let (version, names) = published.map_err(Failure::fault)??;
        end(session, deadline).await.map_err(Failure::fault)?;
        self.0.known.set(tenant, names);
        self.0.keep_wanted(tenant, ontology);
        Ok(version)
    }

    async fn prepare(&self, tenant: &TenantId, ontology: &Ontology) -> Result<(), Fault> {
        // The name may have been another tenant's since it was looked at last, whose types had other keys.
        self.0.known.forget(tenant);
        self.0.keep_wanted(tenant, ontology);
        self.0.look_at_tables(tenant, Instant::now() + BACKGROUND).await.map_err(Failure::fault)
    }

    async fn published(&self) -> Result<Vec<(TenantId, u64)>, Fault> {
        let work = async |connection: &mut PgConnection| {
            Ok(query_as("SELECT name, version FROM published()").fetch_all(connection).await?)
        };
        let tenants: Vec<(String, i64)> = self.0.look(None, work).await?;
        Ok(numbered(tenants))
    }

    async fn ontology(&self, tenant: &TenantId) -> Result<Option<(u64, String)>, Fault> {
        let text = "SELECT ontology.version, ontology.sdl FROM tenant JOIN ontology \
                    ON ontology.tenant = tenant.key AND ontology.version = tenant.version WHERE tenant.key = $1";
        let work = async |connection: &mut PgConnection| {
            let Some(key) = names::tenant_key(connection, tenant).await? else { return Ok(None) };
            names::show(connection, key).await?;
            Ok(query_as(text).bind(key).fetch_optional(connection).await?)
        };
        let found: Option<(i64, String)> = self.0.look(None, work).await?;
        Ok(found.map(|(version, sdl)| (number(version), sdl)))
    }

    async fn documents(&self, tenant: &TenantId) -> Result<(u64, Vec<TrustedDocument>), Fault> {
        self.0.documents(tenant).await
    }

    async fn tenants(&self) -> Result<Vec<TenantState>, Fault> {
        self.0.tenants().await
    }

    async fn set_life(&self, tenant: &TenantId, life: &Life) -> Result<Life, Fault> {
        self.0.set_life(tenant, life).await
    }

    async fn set_plan(&self, tenant: &TenantId, plan: Option<&str>) -> Result<(), Fault> {
        self.0.set_plan(tenant, plan).await
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.0.forget(tenant).await
    }

    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, Fault> {
        self.0.held(tenant).await
    }

    async fn history(&self, tenant: &TenantId) -> Result<Vec<OntologyVersion>, Fault> {
        self.0.history(tenant).await
    }

    async fn ontology_at(&self, tenant: &TenantId, version: u64) -> Result<Option<String>, Fault> {
        self.0.ontology_at(tenant, version).await
    }

    async fn publish_documents(
        &self,
        tenant: &TenantId,
        documents: &[TrustedDocument],
        room: Room,
        at: &str,
    ) -> Result<usize, Fault> {
        self.0.change_documents(tenant, Change::Add(documents, room, at)).await
    }

    async fn remove_documents(&self, tenant: &TenantId, ids: &[String]) -> Result<usize, Fault> {
        self.0.change_documents(tenant, Change::Remove(ids)).await
    }
}

/// A portion of the log of the tenant that is shown.
async fn log(connection: &mut PgConnection, tenant: i64, after: i64, limit: i64) -> Result<Vec<Entry>, Failure> {
    let text = "SELECT seq, octet_length(change)::bigint FROM log WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let lengths: Vec<(i64, i64)> =
        query_as(text).bind(tenant).bind(after).bind(limit).fetch_all(&mut *connection).await?;
    let Some(last) = last_of_portion(&lengths) else { return Ok(Vec::new()) };
    let text =
        "SELECT seq, at, actor, change, effects FROM log WHERE tenant = $1 AND seq > $2 AND seq <= $3 ORDER BY seq";
    let rows = query(text).bind(tenant).bind(after).bind(last).fetch_all(connection).await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &PgRow) -> Result<Entry, Failure> {
    Ok(Entry {
        seq: number(row.try_get(0)?),
        at: row.try_get(1)?,
        actor: row.try_get(2)?,
        change: parsed(row.try_get(3)?)?,
        effects: parsed(row.try_get(4)?)?,
    })
}
