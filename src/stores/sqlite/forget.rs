//! Removing everything of a tenant from the file, in portions, since the only writer should not be kept for long; and counting what is there.

use std::sync::atomic::Ordering;

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Held, StoreName};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, query, query_scalar};

use super::connections::Failure;
use super::{BACKGROUND, Embedded, publish, text};
use crate::stores::logged::number;

/// Rows that are removed in one transaction.
const PORTION: u32 = 20_000;

/// What a tenant (1) has in some tables: what it is called, the rows as a table and a condition, and what tells them from others of the
/// table.
type Kind = (&'static str, &'static str, &'static str, &'static str);

const OF_TENANT: &str = "tenant = ?1";

/// The graph. Relationships first: nothing leads to a node that is not there.
const GRAPH: &[Kind] = &[
    ("relationships", "edge", OF_TENANT, "rowid"),
    ("nodes", "node", OF_TENANT, "rowid"),
    ("texts", "passage", OF_TENANT, "rowid"),
    ("notes", "position", "tenant = ?1 AND follower <> 'vectors'", "tenant, follower"),
];

/// Rows that are kept for searches alone, where those of the log are elsewhere.
const COPIES: &[Kind] = &[("copies of rows", "record", OF_TENANT, "rowid")];

/// Vectors, those of `vector` last: the others are found by them.
const VECTORS: &[Kind] = &[
    ("numbers of vectors", "vector_data", "rid IN (SELECT rid FROM vector WHERE tenant = ?1)", "rowid"),
    ("signs of vectors", "code", "space IN (SELECT key FROM space WHERE tenant = ?1)", "rowid"),
    ("vectors", "vector", OF_TENANT, "rowid"),
    ("spaces of vectors", "space", OF_TENANT, "rowid"),
    ("properties with vectors", "covered", OF_TENANT, "tenant, kind, property"),
    ("notes", "position", "tenant = ?1 AND follower = 'vectors'", "tenant, follower"),
];

/// What lets somebody in first, then the log: nothing can be followed any more.
const METADATA: &[Kind] = &[
    ("API keys", "api_key", OF_TENANT, "tenant, id"),
    ("sessions", "session", OF_TENANT, "tenant, id"),
    ("users", "account", OF_TENANT, "tenant, name"),
    ("entries of the log", "log", OF_TENANT, "rowid"),
    ("idempotency keys", "idempotency", OF_TENANT, "rowid"),
    ("rows", "record", OF_TENANT, "rowid"),
    ("unique values", "taken", OF_TENANT, "tenant, kind, property, value"),
    ("registered relationships", "link", OF_TENANT, "tenant, kind, src, dst, key"),
    ("registered records", "registry", OF_TENANT, "rowid"),
    ("documents", "document", OF_TENANT, "rowid"),
    ("versions of the ontology", "ontology", OF_TENANT, "rowid"),
];

/// Names of types, which the parts of the file share: they go with the last of what they are names of.
const NAMES: Kind = ("names of types", "kind", OF_TENANT, "rowid");
const NAMED: &[&str] = &["node", "edge", "passage", "record", "vector", "space", "covered", "registry", "log"];

/// Parts of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Graph,
    Vectors,
    Metadata,
}

impl Embedded {
    fn kinds(&self, part: Part) -> Vec<Kind> {
        let here = self.holds_metadata.load(Ordering::Relaxed);
        match part {
            Part::Graph if here => GRAPH.to_vec(),
            Part::Graph => [GRAPH, COPIES].concat(),
            Part::Vectors => VECTORS.to_vec(),
            Part::Metadata => METADATA.to_vec(),
        }
    }

    /// Removes a part of what a tenant has.
    pub(super) async fn forget_part(&self, tenant: &TenantId, part: Part) -> Result<(), Fault> {
        let Some(key) = self.row_of(tenant).await? else { return Ok(()) };
        // What is removed is overwritten, and not only given free, as it would lie in the file until its room is used again.
        self.pragma("PRAGMA secure_delete = ON").await?;
        let removed = self.remove_part(tenant, key, part).await;
        self.pragma("PRAGMA secure_delete = OFF").await?;
        removed?;
        // Nor should it lie in the log of writes. Where others read at this moment, that is overwritten by and by.
        self.pragma("PRAGMA wal_checkpoint(TRUNCATE)").await
    }

    async fn pragma(&self, text: &'static str) -> Result<(), Fault> {
        let run = async |connection: &mut SqliteConnection| Ok(query(text).fetch_all(connection).await.map(drop)?);
        self.write(BACKGROUND, run).await
    }

    async fn remove_part(&self, tenant: &TenantId, key: i64, part: Part) -> Result<(), Fault> {
        if part == Part::Graph {
            self.write(BACKGROUND, async |connection| {
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                text::create(&mut transaction, key).await?;
                text::clear(&mut transaction, key).await?;
                Ok(transaction.commit().await?)
            })
            .await?;
        }
        for (_, table, condition, columns) in self.kinds(part) {
            let text = format!(
                "DELETE FROM {table} WHERE ({columns}) IN (SELECT {columns} FROM {table} WHERE {condition} LIMIT {PORTION})"
            );
            while self.write(BACKGROUND, async |connection| remove(connection, &text, key).await).await? > 0 {}
        }
        self.write(BACKGROUND, async |connection| sweep(connection, key).await).await?;
        self.known.forget(tenant);
        Ok(())
    }

    /// What a part has of a tenant.
    pub(super) async fn held_in(&self, tenant: &TenantId, part: Part) -> Result<Vec<Held>, Fault> {
        let mut kinds = self.kinds(part);
        kinds.push(NAMES);
        let key = self.row_of(tenant).await?;
        let work = async |connection: &mut SqliteConnection| {
            let mut held = Vec::with_capacity(kinds.len());
            for (kind, table, condition, _) in &kinds {
                let text = format!("SELECT count(*) FROM {table} WHERE {condition}");
                let count: i64 = query_scalar(AssertSqlSafe(text)).bind(key).fetch_one(&mut *connection).await?;
                held.push(Held { kind, count: number(count) });
            }
            Ok(held)
        };
        self.look(StoreName::Rows, work).await
    }

    /// The key of a tenant, also of one that is gone.
    async fn row_of(&self, tenant: &TenantId) -> Result<Option<i64>, Fault> {
        let work = async |connection: &mut SqliteConnection| {
            let query = query_scalar("SELECT key FROM tenant WHERE name = ?").bind(tenant.as_str());
            Ok(query.fetch_optional(connection).await?)
        };
        self.look(StoreName::Rows, work).await
    }
}

async fn remove(connection: &mut SqliteConnection, text: &str, tenant: i64) -> Result<u64, Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let gone = query(AssertSqlSafe(text.to_owned())).bind(tenant).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(gone.rows_affected())
}

/// Removes names and indexes when nothing is left that has them.
async fn sweep(connection: &mut SqliteConnection, tenant: i64) -> Result<(), Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for table in NAMED {
        let text = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE tenant = ?)");
        let held: i64 = query_scalar(AssertSqlSafe(text)).bind(tenant).fetch_one(&mut *transaction).await?;
        if held != 0 {
            return Ok(transaction.rollback().await?);
        }
    }
    publish::drop_indexes(&mut transaction, tenant).await?;
    query("DELETE FROM kind WHERE tenant = ?").bind(tenant).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}
