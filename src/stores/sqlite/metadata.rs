//! The port `Metadata`: the log and what is published.

use std::time::Instant;

use async_trait::async_trait;
use quipu_resolvers::change::{Accepted, Change as Write, Entry};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{
    Call, Held, Life, Metadata, OntologyVersion, Room, StoreName, TenantState, Terms, TrustedDocument,
};
use quipu_schema::ontology::Ontology;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, query, query_as, query_scalar};

use super::accept::parsed;
use super::connections::{Failure, within};
use super::forget::Part;
use super::{EmbeddedMetadata, PUBLISHING, publish};
use crate::stores::logged::{last_of_portion, number, numbered};
use crate::stores::publishing::Change;

#[async_trait]
impl Metadata for EmbeddedMetadata {
    async fn accept(&self, change: &Allowed<Write>, terms: Terms<'_>, call: Call<'_>) -> Result<Accepted, Fault> {
        self.0.accept(change, terms, call).await
    }

    async fn log(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Entry>, Fault> {
        self.0.look(StoreName::Rows, async |connection| log(connection, tenant, after, limit).await).await
    }

    async fn head(&self, tenant: &TenantId) -> Result<u64, Fault> {
        let work = async |connection: &mut SqliteConnection| {
            let query = query_scalar("SELECT head FROM tenant WHERE name = ?").bind(tenant.as_str());
            Ok(query.fetch_optional(connection).await?)
        };
        let head: Option<i64> = self.0.look(StoreName::Rows, work).await?;
        Ok(head.map_or(0, number))
    }

    async fn publish(&self, tenant: &TenantId, sdl: &str, ontology: &Ontology, at: &str) -> Result<u64, Fault> {
        let part = StoreName::Rows.as_str();
        let deadline = Instant::now() + PUBLISHING;
        let mut lease = self.0.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let holds_graph = self.0.holds_graph_of(tenant);
        let published = within(deadline, publish::transact(connection, tenant, sdl, ontology, at, holds_graph)).await;
        if let Ok(Ok((_, names))) = &published {
            self.0.known.set(tenant, names.clone());
        }
        lease.ended(&published);
        Ok(published.map_err(|failure| failure.fault(part))??.0)
    }

    async fn published(&self) -> Result<Vec<(TenantId, u64)>, Fault> {
        let text =
            "SELECT name, version FROM tenant WHERE version > 0 AND leaving IS NULL AND gone IS NULL ORDER BY name";
        let work = async |connection: &mut SqliteConnection| Ok(query_as(text).fetch_all(connection).await?);
        let tenants: Vec<(String, i64)> = self.0.look(StoreName::Rows, work).await?;
        Ok(numbered(tenants))
    }

    async fn ontology(&self, tenant: &TenantId) -> Result<Option<(u64, String)>, Fault> {
        let text = "SELECT ontology.version, ontology.sdl FROM tenant JOIN ontology \
                    ON ontology.tenant = tenant.key AND ontology.version = tenant.version WHERE tenant.name = ?";
        let work = async |connection: &mut SqliteConnection| {
            Ok(query_as(text).bind(tenant.as_str()).fetch_optional(connection).await?)
        };
        let found: Option<(i64, String)> = self.0.look(StoreName::Rows, work).await?;
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
        self.0.forget_part(tenant, Part::Metadata).await
    }

    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, Fault> {
        self.0.held_in(tenant, Part::Metadata).await
    }

    async fn prepare(&self, tenant: &TenantId, _ontology: &Ontology) -> Result<(), Fault> {
        // The name may have been another tenant's since it was looked at last, whose types had other keys.
        self.0.known.forget(tenant);
        Ok(())
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

pub(super) async fn log(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    after: u64,
    limit: u32,
) -> Result<Vec<Entry>, Failure> {
    let text = "SELECT seq, octet_length(change) FROM log \
                WHERE tenant = (SELECT key FROM tenant WHERE name = ?) AND seq > ? ORDER BY seq LIMIT ?";
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let lengths: Vec<(i64, i64)> =
        query_as(text).bind(tenant.as_str()).bind(after).bind(limit).fetch_all(&mut *connection).await?;
    let Some(last) = last_of_portion(&lengths) else { return Ok(Vec::new()) };
    let text = "SELECT seq, at, actor, change, effects FROM log \
                WHERE tenant = (SELECT key FROM tenant WHERE name = ?) AND seq > ? AND seq <= ? ORDER BY seq";
    let rows = query(text).bind(tenant.as_str()).bind(after).bind(last).fetch_all(connection).await?;
    let entry = |row: &sqlx::sqlite::SqliteRow| {
        Ok(Entry {
            seq: number(row.try_get(0)?),
            at: row.try_get(1)?,
            actor: row.try_get(2)?,
            change: parsed(row.try_get(3)?)?,
            effects: parsed(row.try_get(4)?)?,
        })
    };
    rows.iter().map(entry).collect()
}
