//! What lets people and programs in, in Postgres, below row security: the tenant that a key names is shown before the key is looked up.

use std::time::Duration;

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use sqlx::postgres::PgConnection;
use sqlx::{query, query_as};

use super::session::Failure;
use super::{Postgres, names, unknown_tenant};
use crate::auth::{ApiKey, Digest, Session, User, origin_of_key, origin_of_user};
use crate::stores::credentials::{self, keeps_credentials};

/// Longest time for looking or writing: somebody waits to be let in.
const PROMPT: Duration = Duration::from_secs(10);

keeps_credentials!(Postgres, PgConnection, unknown_tenant);

impl Postgres {
    /// What is found within a tenant; `None` when there is no such tenant.
    async fn looked<T>(
        &self,
        tenant: &TenantId,
        work: impl AsyncFnOnce(&mut PgConnection, i64) -> Result<T, Failure>,
    ) -> Result<Option<T>, Fault> {
        self.0.look(None, async |connection| within_tenant(connection, tenant, work).await).await
    }

    /// What came of a change within a tenant, in one transaction; `None` when there is no such tenant.
    async fn changed<T>(
        &self,
        tenant: &TenantId,
        work: impl AsyncFnOnce(&mut PgConnection, i64) -> Result<T, Failure>,
    ) -> Result<Option<T>, Fault> {
        self.0.write(PROMPT, async |connection| within_tenant(connection, tenant, work).await).await
    }
}

/// What comes of work in which a tenant is shown; `None` when there is no such tenant.
async fn within_tenant<T>(
    connection: &mut PgConnection,
    tenant: &TenantId,
    work: impl AsyncFnOnce(&mut PgConnection, i64) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let Some(key) = names::tenant_key(connection, tenant).await? else { return Ok(None) };
    names::show(connection, key).await?;
    work(connection, key).await.map(Some)
}
