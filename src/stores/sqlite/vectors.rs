//! The port `Vectors`: a search goes through one bit per dimension first and compares the best candidates exactly.

use std::time::Instant;

use async_trait::async_trait;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Hit, Nearest, StoreName, VectorChange, VectorOf, Vectors};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, query, query_scalar};

use super::connections::{Failure, within};
use super::{BACKGROUND, EmbeddedVectors, known, tenants};
use crate::stores::sql::names::{NameOf, Names, UNKNOWN};
use crate::stores::sql::search;

/// The name under which the vectors' position is kept.
const FOLLOWER: &str = "vectors";

#[async_trait]
impl Vectors for EmbeddedVectors {
    async fn nearest(&self, nearest: &Allowed<Nearest>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        let wanted = nearest.get();
        let store = StoreName::Vectors;
        let hits = |rows: Vec<SqliteRow>| hits(&rows, &wanted.within.of);
        let write = |names: &Names| search::nearest(wanted, names);
        let (complete, found) = self.0.query(store, nearest.tenant(), call, write, hits).await?;
        if complete || found.len() >= wanted.limit as usize {
            return Ok(found);
        }
        let write = |names: &Names| search::nearest_of_few(wanted, names);
        Ok(self.0.query(store, nearest.tenant(), call, write, hits).await?.1)
    }

    async fn vector(&self, record: &Allowed<VectorOf>, call: Call<'_>) -> Result<Option<Vec<f32>>, Fault> {
        let write = |names: &Names| search::vector(record.get(), names);
        let take = |rows: Vec<SqliteRow>| {
            let Some(row) = rows.first() else { return Ok(None) };
            let bytes: &[u8] = row.try_get(0).map_err(|error| error.to_string())?;
            Ok(Some(
                bytes.chunks_exact(4).map(|part| f32::from_le_bytes([part[0], part[1], part[2], part[3]])).collect(),
            ))
        };
        self.0.query(StoreName::Vectors, record.tenant(), call, write, take).await
    }

    async fn apply(&self, tenant: &TenantId, position: u64, changes: &[VectorChange]) -> Result<(), Fault> {
        let part = StoreName::Vectors.as_str();
        let deadline = Instant::now() + BACKGROUND;
        let mut lease = self.0.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let applied = within(deadline, transact(connection, tenant, position, changes)).await;
        if let Ok(names) = &applied {
            self.0.known.set(tenant, names.clone());
        }
        lease.ended(&applied);
        applied.map(drop).map_err(|failure| failure.fault(part))
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.0.position(tenant, FOLLOWER, StoreName::Vectors).await
    }
}

/// Whether the search was complete, and the hits.
fn hits(rows: &[SqliteRow], of: &str) -> Result<(bool, Vec<Hit>), String> {
    let row = rows.first().ok_or("no row came back")?;
    let text: &str = row.try_get(1).map_err(|error| error.to_string())?;
    let found: Vec<(String, Option<f64>)> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    // A score is absent when a vector has no direction.
    let found = found.into_iter().filter_map(|(id, score)| Some(Hit { of: of.to_owned(), id, score: score? }));
    Ok((row.try_get(0).map_err(|error| error.to_string())?, found.collect()))
}

async fn transact(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    position: u64,
    changes: &[VectorChange],
) -> Result<Names, Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut names = tenants::ensure(&mut transaction, tenant).await?;
    for change in changes {
        let sort = match names.key(NameOf::Node, &change.record.of) {
            UNKNOWN if names.key(NameOf::Row, &change.record.of) != UNKNOWN => NameOf::Row,
            _ => NameOf::Node,
        };
        known::intern(&mut transaction, &mut names, &[(sort, change.record.of.as_str())].into()).await?;
        let kind = names.key(sort, &change.record.of);
        remove(&mut transaction, names.tenant, kind, change).await?;
        if let (Some(property), Some(vector)) = (&change.property, &change.vector) {
            add(&mut transaction, names.tenant, kind, &change.record.id, property, vector).await?;
        }
    }
    let reached = tenants::position(&mut transaction, names.tenant, FOLLOWER).await?;
    tenants::set_position(&mut transaction, names.tenant, FOLLOWER, position.max(reached)).await?;
    transaction.commit().await?;
    Ok(names)
}

/// Removes the vectors of a property, or of all properties, of a record.
async fn remove(
    connection: &mut SqliteConnection,
    tenant: i64,
    kind: i64,
    change: &VectorChange,
) -> Result<(), Failure> {
    let text = "SELECT vector.rid, vector.space FROM vector CROSS JOIN space ON space.key = vector.space \
                WHERE vector.tenant = ?1 AND vector.kind = ?2 AND vector.id = ?3 AND space.property = coalesce(?4, space.property)";
    let held: Vec<(i64, i64)> = sqlx::query_as(text)
        .bind(tenant)
        .bind(kind)
        .bind(&change.record.id)
        .bind(&change.property)
        .fetch_all(&mut *connection)
        .await?;
    for (rid, space) in held {
        query("DELETE FROM vector WHERE rid = ?").bind(rid).execute(&mut *connection).await?;
        query("DELETE FROM code WHERE space = ? AND rid = ?").bind(space).bind(rid).execute(&mut *connection).await?;
        query("UPDATE space SET size = size - 1 WHERE key = ?").bind(space).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn add(
    connection: &mut SqliteConnection,
    tenant: i64,
    kind: i64,
    id: &str,
    property: &str,
    vector: &[f32],
) -> Result<(), Failure> {
    let text = "INSERT INTO space (tenant, kind, property, dimensions, size) VALUES (?, ?, ?, ?, 1) \
                ON CONFLICT (tenant, kind, property, dimensions) DO UPDATE SET size = size + 1 RETURNING key";
    let dimensions = i64::try_from(vector.len()).unwrap_or(i64::MAX);
    let space: i64 =
        query_scalar(text).bind(tenant).bind(kind).bind(property).bind(dimensions).fetch_one(&mut *connection).await?;
    let bytes = search::bytes(vector);
    let rid: i64 =
        query_scalar("INSERT INTO vector (tenant, kind, id, space, data) VALUES (?, ?, ?, ?, ?) RETURNING rid")
            .bind(tenant)
            .bind(kind)
            .bind(id)
            .bind(space)
            .bind(&bytes)
            .fetch_one(&mut *connection)
            .await?;
    query("INSERT INTO code (space, rid, bits) VALUES (?, ?, ?)")
        .bind(space)
        .bind(rid)
        .bind(search::bits(vector))
        .execute(connection)
        .await?;
    Ok(())
}
