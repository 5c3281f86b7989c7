//! Removing everything of a tenant from Postgres, in portions below row security, and counting what is there. Tables of others are theirs:
//! nothing is removed from them.

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Held;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, query, query_scalar};

use super::{BACKGROUND, Store, names};
use crate::stores::logged::number;

/// Rows that are removed in one transaction.
const PORTION: u32 = 20_000;

/// What a tenant has, and where. What lets somebody in goes first, then the log: nothing can be followed any more. Names of types go last.
const KINDS: &[(&str, &str)] = &[
    ("API keys", "api_key"),
    ("sessions", "session"),
    ("users", "account"),
    ("entries of the log", "log"),
    ("idempotency keys", "idempotency"),
    ("rows", "record"),
    ("unique values", "taken"),
    ("registered relationships", "link"),
    ("registered records", "registry"),
    ("documents", "document"),
    ("versions of the ontology", "ontology"),
    ("names of types", "kind"),
];

impl Store {
    /// Removes what a tenant has.
    pub(super) async fn forget(&self, tenant: &TenantId) -> Result<(), Fault> {
        for (_, table) in KINDS {
            // Below row security only rows of the tenant are there.
            let text = format!(
                "DELETE FROM {table} WHERE tenant = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE tenant = $1 LIMIT {PORTION}))"
            );
            let work = async |connection: &mut PgConnection| {
                let Some(key) = names::trail_key(connection, tenant).await? else { return Ok(0) };
                names::show(connection, key).await?;
                Ok(query(AssertSqlSafe(text.clone())).bind(key).execute(connection).await?.rows_affected())
            };
            while self.write(BACKGROUND, work).await? > 0 {}
        }
        self.known.forget(tenant);
        Ok(())
    }

    /// What a tenant has.
    pub(super) async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, Fault> {
        let work = async |connection: &mut PgConnection| {
            let key = names::trail_key(connection, tenant).await?;
            if let Some(key) = key {
                names::show(connection, key).await?;
            }
            let mut held = Vec::with_capacity(KINDS.len());
            for (kind, table) in KINDS {
                let text = format!("SELECT count(*) FROM {table} WHERE tenant = $1");
                let count: i64 = query_scalar(AssertSqlSafe(text)).bind(key).fetch_one(&mut *connection).await?;
                held.push(Held { kind, count: number(count) });
            }
            Ok(held)
        };
        self.look(None, work).await
    }
}
