//! What lets people and programs in, in the file.

use std::time::{Duration, Instant};

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::StoreName;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, query, query_as, query_scalar};

use super::connections::{Failure, within};
use super::{EmbeddedMetadata, unknown_tenant};
use crate::auth::{ApiKey, Digest, Session, User, origin_of_key, origin_of_user};
use crate::stores::credentials::{self, keeps_credentials};

/// Longest time for looking or writing: somebody waits to be let in.
const PROMPT: Duration = Duration::from_secs(10);

keeps_credentials!(EmbeddedMetadata, SqliteConnection, unknown_tenant);

impl EmbeddedMetadata {
    /// What is found within a tenant; `None` when there is no such tenant.
    async fn looked<T>(
        &self,
        tenant: &TenantId,
        work: impl AsyncFnOnce(&mut SqliteConnection, i64) -> Result<T, Failure>,
    ) -> Result<Option<T>, Fault> {
        let work = async |connection: &mut SqliteConnection| match key_of(connection, tenant).await? {
            Some(key) => work(connection, key).await.map(Some),
            None => Ok(None),
        };
        self.0.look(StoreName::Rows, work).await
    }

    /// What came of a change within a tenant, in one transaction; `None` when there is no such tenant.
    async fn changed<T>(
        &self,
        tenant: &TenantId,
        work: impl AsyncFnOnce(&mut SqliteConnection, i64) -> Result<T, Failure>,
    ) -> Result<Option<T>, Fault> {
        let part = StoreName::Rows.as_str();
        let deadline = Instant::now() + PROMPT;
        let mut lease = self.0.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let outcome = within(deadline, async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let done = match key_of(&mut transaction, tenant).await? {
                Some(key) => Some(work(&mut transaction, key).await?),
                None => None,
            };
            transaction.commit().await?;
            Ok(done)
        });
        let outcome = outcome.await;
        lease.ended(&outcome);
        outcome.map_err(|failure| failure.fault(part))
    }
}

async fn key_of(connection: &mut SqliteConnection, tenant: &TenantId) -> Result<Option<i64>, Failure> {
    let text = "SELECT key FROM tenant WHERE name = $1";
    Ok(query_scalar(text).bind(tenant.as_str()).fetch_optional(connection).await?)
}
