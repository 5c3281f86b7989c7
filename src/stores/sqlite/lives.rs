//! The life of tenants in the file, and the versions of their ontologies.

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Life, OntologyVersion, StoreName, TenantState};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, query, query_as, query_scalar};

use super::connections::Failure;
use super::{BACKGROUND, Embedded};
use crate::stores::lives::{self, Marks, StoredTenant, marks, may_turn};
use crate::stores::logged::signed;

impl Embedded {
    pub(super) async fn tenants(&self) -> Result<Vec<TenantState>, Fault> {
        let text =
            "SELECT name, version, documents, head, suspended, reason, leaving, gone, plan FROM tenant ORDER BY name";
        let work = async |connection: &mut SqliteConnection| Ok(query_as(text).fetch_all(connection).await?);
        let stored: Vec<StoredTenant> = self.look(StoreName::Rows, work).await?;
        Ok(lives::tenants(stored))
    }

    pub(super) async fn set_life(&self, tenant: &TenantId, to: &Life) -> Result<Life, Fault> {
        let work = async |connection: &mut SqliteConnection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let text = "SELECT suspended, reason, leaving, gone FROM tenant WHERE name = ?";
            let held: Option<Marks> = query_as(text).bind(tenant.as_str()).fetch_optional(&mut *transaction).await?;
            let Some(from) = held.map(lives::life) else { return Ok(Err(lives::unknown(tenant))) };
            if let Err(refusal) = may_turn(tenant, &from, to) {
                return Ok(Err(refusal));
            }
            let (suspended, reason, leaving, gone) = marks(to);
            let text = "UPDATE tenant SET suspended = ?2, reason = ?3, leaving = ?4, gone = ?5, \
                        head = iif(?5 IS NULL, head, 0), plan = iif(?5 IS NULL, plan, NULL) WHERE name = ?1";
            query(text)
                .bind(tenant.as_str())
                .bind(suspended)
                .bind(reason)
                .bind(leaving)
                .bind(gone)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(Ok(from))
        };
        self.write(BACKGROUND, work).await?
    }

    pub(super) async fn set_plan(&self, tenant: &TenantId, plan: Option<&str>) -> Result<(), Fault> {
        let text = "UPDATE tenant SET plan = ? WHERE name = ? AND leaving IS NULL AND gone IS NULL";
        let work = async |connection: &mut SqliteConnection| {
            Ok(query(text).bind(plan).bind(tenant.as_str()).execute(connection).await?.rows_affected())
        };
        match self.write(BACKGROUND, work).await? {
            0 => Err(lives::unknown(tenant)),
            _ => Ok(()),
        }
    }

    pub(super) async fn history(&self, tenant: &TenantId) -> Result<Vec<OntologyVersion>, Fault> {
        let text = "SELECT version, at, octet_length(sdl) FROM ontology \
                    WHERE tenant = (SELECT key FROM tenant WHERE name = ?) ORDER BY version";
        let work = async |connection: &mut SqliteConnection| {
            Ok(query_as(text).bind(tenant.as_str()).fetch_all(connection).await?)
        };
        Ok(lives::versions(self.look(StoreName::Rows, work).await?))
    }

    pub(super) async fn ontology_at(&self, tenant: &TenantId, version: u64) -> Result<Option<String>, Fault> {
        let text = "SELECT sdl FROM ontology WHERE tenant = (SELECT key FROM tenant WHERE name = ?) AND version = ?";
        let work = async |connection: &mut SqliteConnection| {
            let query = query_scalar(text).bind(tenant.as_str()).bind(signed(version));
            Ok(query.fetch_optional(connection).await?)
        };
        self.look(StoreName::Rows, work).await
    }
}

/// Lets an ontology be published for a tenant: one that was deleted is there again.
pub(super) async fn enter(
    connection: &mut SqliteConnection,
    key: i64,
    tenant: &TenantId,
) -> Result<Result<(), Fault>, Failure> {
    let text = "SELECT suspended, reason, leaving, gone FROM tenant WHERE key = ?";
    let held: Marks = query_as(text).bind(key).fetch_one(&mut *connection).await?;
    match lives::life(held) {
        Life::Leaving { .. } => return Ok(Err(lives::leaving(tenant))),
        Life::Gone { .. } => {
            query("UPDATE tenant SET gone = NULL WHERE key = ?").bind(key).execute(connection).await?;
        }
        Life::Active | Life::Suspended { .. } => {}
    }
    Ok(Ok(()))
}
