//! Tenants in the file: their keys, what is published for them, and how far each follower of their log has come.

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::StoreName;
use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_as, query_scalar};

use super::connections::Failure;
use super::{Embedded, known, text};
use crate::stores::logged::number;
use crate::stores::sql::names::Names;

/// The key of a tenant, if there is one of that name.
pub(super) async fn key(connection: &mut SqliteConnection, tenant: &TenantId) -> Result<Option<i64>, Failure> {
    let text = "SELECT key FROM tenant WHERE name = ? AND gone IS NULL";
    Ok(query_scalar(text).bind(tenant.as_str()).fetch_optional(connection).await?)
}

/// The names of a tenant, which is made when it is not there.
pub(super) async fn ensure(connection: &mut SqliteConnection, tenant: &TenantId) -> Result<Names, Failure> {
    if let Some(names) = known::load(connection, tenant).await? {
        return Ok(names);
    }
    let key: i64 = query_scalar("INSERT INTO tenant (name) VALUES (?) RETURNING key")
        .bind(tenant.as_str())
        .fetch_one(&mut *connection)
        .await?;
    text::create(connection, key).await?;
    Ok(Names::of_tenant(key))
}

/// How far a follower has come.
pub(super) async fn position(connection: &mut SqliteConnection, tenant: i64, follower: &str) -> Result<u64, Failure> {
    let seq: Option<i64> = query_scalar("SELECT seq FROM position WHERE tenant = ? AND follower = ?")
        .bind(tenant)
        .bind(follower)
        .fetch_optional(connection)
        .await?;
    Ok(seq.map_or(0, number))
}

/// Notes how far a follower has come.
pub(super) async fn set_position(
    connection: &mut SqliteConnection,
    tenant: i64,
    follower: &str,
    seq: u64,
) -> Result<(), Failure> {
    let text = "INSERT INTO position (tenant, follower, seq) VALUES (?, ?, ?) \
                ON CONFLICT (tenant, follower) DO UPDATE SET seq = excluded.seq";
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    query(text).bind(tenant).bind(follower).bind(seq).execute(connection).await?;
    Ok(())
}

impl Embedded {
    pub(super) async fn position(&self, tenant: &TenantId, follower: &str, store: StoreName) -> Result<u64, Fault> {
        self.positions(tenant, [follower], store).await.map(|[position]| position)
    }

    /// What is kept under several names, in one statement.
    pub(super) async fn positions<const N: usize>(
        &self,
        tenant: &TenantId,
        followers: [&str; N],
        store: StoreName,
    ) -> Result<[u64; N], Fault> {
        let text = "SELECT follower, seq FROM position WHERE tenant = (SELECT key FROM tenant WHERE name = ?)";
        let work = async |connection: &mut SqliteConnection| {
            Ok(query_as(text).bind(tenant.as_str()).fetch_all(connection).await?)
        };
        let rows: Vec<(String, i64)> = self.look(store, work).await?;
        Ok(followers.map(|name| rows.iter().find(|(follower, _)| follower == name).map_or(0, |(_, seq)| number(*seq))))
    }
}
