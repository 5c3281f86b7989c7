//! What lets people and programs in, in Postgres, below row security: the tenant that a key names is shown before the key is looked up.

use std::time::{Duration, Instant};

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use sqlx::postgres::PgConnection;
use sqlx::{query, query_as};

use super::accept::end;
use super::session::{Failure, within};
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
        let work = async |connection: &mut PgConnection| match names::tenant_key(connection, tenant).await? {
            Some(key) => {
                names::show(connection, key).await?;
                work(connection, key).await.map(Some)
            }
            None => Ok(None),
        };
        self.0.look(None, work).await
    }

    /// What came of a change within a tenant, in one transaction; `None` when there is no such tenant.
    async fn changed<T>(
        &self,
        tenant: &TenantId,
        work: impl AsyncFnOnce(&mut PgConnection, i64) -> Result<T, Failure>,
    ) -> Result<Option<T>, Fault> {
        let deadline = Instant::now() + PROMPT;
        let mut session = self.0.sessions.begin(None, deadline).await.map_err(Failure::fault)?;
        let connection = session.start();
        let outcome = within(deadline, async {
            let Some(key) = names::tenant_key(connection, tenant).await? else { return Ok(None) };
            names::show(connection, key).await?;
            work(connection, key).await.map(Some)
        });
        let outcome = outcome.await;
        session.done(&outcome);
        let outcome = outcome.map_err(Failure::fault)?;
        end(session, deadline).await.map_err(Failure::fault)?;
        Ok(outcome)
    }
}
