//! What lets people and programs in, in the file.

use std::time::Duration;

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::StoreName;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, query, query_as};

use super::connections::Failure;
use super::{EmbeddedMetadata, tenants, unknown_tenant};
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
        let work = async |connection: &mut SqliteConnection| match tenants::key(connection, tenant).await? {
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
        let work = async |connection: &mut SqliteConnection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let done = match tenants::key(&mut transaction, tenant).await? {
                Some(key) => Some(work(&mut transaction, key).await?),
                None => None,
            };
            transaction.commit().await?;
            Ok(done)
        };
        self.0.write(PROMPT, work).await
    }
}
