//! The port `Vectors`: a search goes through the signs of all vectors first and compares the best candidates exactly.

use std::time::Instant;

use async_trait::async_trait;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Coverage, Held, Hit, Nearest, StoreName, VectorChange, VectorOf, Vectors};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, query, query_as, query_scalar};

use super::codes::{self, Codes};
use super::connections::{Failure, within};
use super::forget::Part;
use super::{BACKGROUND, Embedded, EmbeddedVectors, covered, known, tenants};
use crate::stores::sql::names::{NameOf, Names, UNKNOWN};
use crate::stores::sql::search;

/// The name under which the vectors' position is kept.
const FOLLOWER: &str = "vectors";

#[async_trait]
impl Vectors for EmbeddedVectors {
    async fn nearest(&self, nearest: &Allowed<Nearest>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        let (wanted, tenant, store) = (nearest.get(), nearest.tenant(), StoreName::Vectors);
        let rows = self.0.query(store, tenant, call, |names| search::signs(wanted, names), Ok).await?;
        let signs = codes::signs(&wanted.vector);
        // Going through a million vectors takes some hundredths of a second, which other requests should not wait for.
        let picked = tokio::task::spawn_blocking(move || codes::candidates(&rows, &signs, 0)).await;
        let internal = |error: &dyn std::fmt::Display| Fault::internal(store.as_str(), error);
        let (candidates, complete) = picked.map_err(|error| internal(&error))?.map_err(|error| internal(&error))?;
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let hits = |rows: Vec<SqliteRow>| hits(&rows, &wanted.within.of).map_err(|error| error.to_string());
        let write = |names: &Names| search::nearest_of(wanted, &candidates, names);
        let found = self.0.query(store, tenant, call, write, hits).await?;
        if complete || found.len() >= wanted.limit as usize {
            return Ok(found);
        }
        self.0.query(store, tenant, call, |names| search::nearest_of_few(wanted, names), hits).await
    }

    async fn vector(&self, record: &Allowed<VectorOf>, call: Call<'_>) -> Result<Option<Vec<f32>>, Fault> {
        let write = |names: &Names| search::vector(record.get(), names);
        self.0.query(StoreName::Vectors, record.tenant(), call, write, |rows| first_vector(&rows)).await
    }

    async fn apply(&self, tenant: &TenantId, position: u64, changes: &[VectorChange]) -> Result<(), Fault> {
        self.0.note_vectors(tenant, Noted::Position(position), changes).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.0.position(tenant, FOLLOWER, StoreName::Vectors).await
    }

    async fn rewind(&self, tenant: &TenantId, position: u64) -> Result<(), Fault> {
        self.0.note_vectors(tenant, Noted::Rewound(position), &[]).await
    }

    async fn coverage(&self, tenant: &TenantId) -> Result<Vec<Coverage>, Fault> {
        self.0.look(StoreName::Vectors, async |connection| covered::all(connection, tenant).await).await
    }

    async fn cover(&self, tenant: &TenantId, coverage: &Coverage, changes: &[VectorChange]) -> Result<(), Fault> {
        self.0.note_vectors(tenant, Noted::Coverage(coverage), changes).await
    }

    async fn lacking(
        &self,
        tenant: &TenantId,
        of: &str,
        property: &str,
        ids: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        let work =
            async |connection: &mut SqliteConnection| covered::lacking(connection, tenant, of, property, &ids).await;
        self.0.look(StoreName::Vectors, work).await
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.0.forget_part(tenant, Part::Vectors).await
    }

    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, Fault> {
        self.0.held_in(tenant, Part::Vectors).await
    }

    async fn uncover(&self, tenant: &TenantId, of: &str, property: &str) -> Result<bool, Fault> {
        let part = StoreName::Vectors.as_str();
        let deadline = Instant::now() + BACKGROUND;
        let mut lease = self.0.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let done = within(deadline, covered::remove(connection, tenant, of, property)).await;
        lease.ended(&done);
        done.map_err(|failure| failure.fault(part))
    }
}

/// What is noted together with vectors.
#[derive(Clone, Copy)]
enum Noted<'a> {
    /// How far the log was followed.
    Position(u64),
    /// The same, also when it was followed further.
    Rewound(u64),
    /// How far the records of a property were gone through.
    Coverage(&'a Coverage),
}

impl Embedded {
    async fn note_vectors(&self, tenant: &TenantId, noted: Noted<'_>, changes: &[VectorChange]) -> Result<(), Fault> {
        let part = StoreName::Vectors.as_str();
        let deadline = Instant::now() + BACKGROUND;
        let mut lease = self.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let applied = within(deadline, transact(connection, tenant, noted, changes)).await;
        if let Ok(names) = &applied {
            self.known.set(tenant, names.clone());
        }
        lease.ended(&applied);
        applied.map(drop).map_err(|failure| failure.fault(part))
    }
}

/// The vector in the only column of the first row, if there is one.
pub(super) fn first_vector(rows: &[SqliteRow]) -> Result<Option<Vec<f32>>, String> {
    let Some(row) = rows.first() else { return Ok(None) };
    let bytes: &[u8] = row.try_get(0).map_err(|error| error.to_string())?;
    Ok(Some(bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect()))
}

/// The hits in rows of id and score.
pub(super) fn hits(rows: &[SqliteRow], of: &str) -> Result<Vec<Hit>, sqlx::Error> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        // A score is absent when a vector has no direction.
        if let Some(score) = row.try_get(1)? {
            found.push(Hit { of: of.to_owned(), id: row.try_get(0)?, score });
        }
    }
    Ok(found)
}

async fn transact(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    noted: Noted<'_>,
    changes: &[VectorChange],
) -> Result<Names, Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut names = tenants::ensure(&mut transaction, tenant).await?;
    let mut codes = Codes::default();
    for change in changes {
        let kind = kind(&mut transaction, &mut names, &change.record.of).await?;
        remove(&mut transaction, &mut codes, names.tenant, kind, change).await?;
        if let (Some(property), Some(vector)) = (&change.property, &change.vector) {
            let space = space(&mut transaction, names.tenant, kind, property, vector.len()).await?;
            let code = codes.room(&mut transaction, space).await?;
            let rid = add(&mut transaction, (names.tenant, kind, &change.record.id), (space, code), vector).await?;
            codes.add(code, rid, codes::signs(vector));
        }
    }
    codes.store(&mut transaction).await?;
    match noted {
        Noted::Position(position) => {
            let reached = tenants::position(&mut transaction, names.tenant, FOLLOWER).await?;
            tenants::set_position(&mut transaction, names.tenant, FOLLOWER, position.max(reached)).await?;
        }
        Noted::Rewound(position) => {
            tenants::set_position(&mut transaction, names.tenant, FOLLOWER, position).await?;
        }
        Noted::Coverage(coverage) => {
            let kind = kind(&mut transaction, &mut names, &coverage.of).await?;
            covered::note(&mut transaction, names.tenant, kind, coverage).await?;
        }
    }
    transaction.commit().await?;
    Ok(names)
}

/// The key of a type of nodes or rows.
async fn kind(connection: &mut SqliteConnection, names: &mut Names, of: &str) -> Result<i64, Failure> {
    let sort = match names.key(NameOf::Node, of) {
        UNKNOWN if names.key(NameOf::Row, of) != UNKNOWN => NameOf::Row,
        _ => NameOf::Node,
    };
    known::intern(connection, names, &[(sort, of)].into()).await?;
    Ok(names.key(sort, of))
}

/// Removes the vectors of a property, or of all properties, of a record.
async fn remove(
    connection: &mut SqliteConnection,
    codes: &mut Codes,
    tenant: i64,
    kind: i64,
    change: &VectorChange,
) -> Result<(), Failure> {
    let text = "SELECT vector.rid, vector.code FROM vector CROSS JOIN space ON space.key = vector.space \
                WHERE vector.tenant = ?1 AND vector.kind = ?2 AND vector.id = ?3 AND space.property = coalesce(?4, space.property)";
    let held: Vec<(i64, i64)> = query_as(text)
        .bind(tenant)
        .bind(kind)
        .bind(&change.record.id)
        .bind(&change.property)
        .fetch_all(&mut *connection)
        .await?;
    for (rid, code) in held {
        query("DELETE FROM vector WHERE rid = ?").bind(rid).execute(&mut *connection).await?;
        query("DELETE FROM vector_data WHERE rid = ?").bind(rid).execute(&mut *connection).await?;
        codes.remove(connection, code, rid).await?;
    }
    Ok(())
}

/// The space of a property's vectors of some length, which is made when it is not there.
async fn space(
    connection: &mut SqliteConnection,
    tenant: i64,
    kind: i64,
    property: &str,
    dimensions: usize,
) -> Result<i64, Failure> {
    let text = "INSERT INTO space (tenant, kind, property, dimensions) VALUES (?, ?, ?, ?) \
                ON CONFLICT (tenant, kind, property, dimensions) DO UPDATE SET dimensions = excluded.dimensions RETURNING key";
    let dimensions = i64::try_from(dimensions).unwrap_or(i64::MAX);
    let query = query_scalar(text).bind(tenant).bind(kind).bind(property).bind(dimensions);
    Ok(query.fetch_one(connection).await?)
}

/// Stores a vector of a record (tenant, key of its type, id) in a space and a row of signs.
async fn add(
    connection: &mut SqliteConnection,
    (tenant, kind, id): (i64, i64, &str),
    (space, code): (i64, i64),
    vector: &[f32],
) -> Result<i64, Failure> {
    let text = "INSERT INTO vector (tenant, kind, id, space, code) VALUES (?, ?, ?, ?, ?) RETURNING rid";
    let added = query_scalar(text).bind(tenant).bind(kind).bind(id).bind(space).bind(code);
    let rid: i64 = added.fetch_one(&mut *connection).await?;
    let text = "INSERT INTO vector_data (rid, data) VALUES (?, ?)";
    query(text).bind(rid).bind(search::bytes(vector)).execute(connection).await?;
    Ok(rid)
}
