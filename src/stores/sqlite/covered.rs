//! Which properties have vectors, how far their records were gone through, and the removal of what is embedded no more.

use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Coverage, Reached};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row, query, query_as, query_scalar};

use super::accept::json;
use super::connections::Failure;

/// Rows of signs, each with up to a thousand vectors, that are removed at once: the only writer should not be kept for long.
const ROWS: usize = 8;

/// The types of a tenant (1) that have a name (2), as nodes or as rows.
macro_rules! kinds {
    () => {
        "(SELECT key FROM kind WHERE tenant = (SELECT key FROM tenant WHERE name = ?1) AND name = ?2 AND sort IN (0, 1))"
    };
}

/// What was noted, and properties with vectors of which nothing was noted, which were not gone through then.
pub(super) async fn all(connection: &mut SqliteConnection, tenant: &TenantId) -> Result<Vec<Coverage>, Failure> {
    let text = "WITH held AS (SELECT kind, property, upto, leaving FROM covered \
                WHERE tenant = (SELECT key FROM tenant WHERE name = ?1) \
                UNION ALL SELECT DISTINCT s.kind, s.property, '', 0 FROM space AS s \
                WHERE s.tenant = (SELECT key FROM tenant WHERE name = ?1) AND NOT EXISTS (SELECT 1 FROM covered AS c \
                WHERE c.tenant = s.tenant AND c.kind = s.kind AND c.property = s.property)) \
                SELECT kind.name, held.property, held.upto, held.leaving FROM held CROSS JOIN kind ON kind.key = held.kind";
    let rows = query(text).bind(tenant.as_str()).fetch_all(connection).await?;
    let coverage = |row: &sqlx::sqlite::SqliteRow| {
        let reached = match row.try_get::<Option<String>, _>(2)? {
            _ if row.try_get::<i64, _>(3)? != 0 => Reached::Leaving,
            Some(id) => Reached::Upto(id),
            None => Reached::All,
        };
        Ok(Coverage { of: row.try_get(0)?, property: row.try_get(1)?, reached })
    };
    rows.iter().map(coverage).collect()
}

/// Notes how far a property came.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    tenant: i64,
    kind: i64,
    coverage: &Coverage,
) -> Result<(), Failure> {
    let (upto, leaving) = match &coverage.reached {
        Reached::Upto(id) => (Some(id.as_str()), false),
        Reached::All => (None, false),
        Reached::Leaving => (Some(""), true),
    };
    query("INSERT OR REPLACE INTO covered (tenant, kind, property, upto, leaving) VALUES (?, ?, ?, ?, ?)")
        .bind(tenant)
        .bind(kind)
        .bind(&coverage.property)
        .bind(upto)
        .bind(leaving)
        .execute(connection)
        .await?;
    Ok(())
}

/// Those of the records that have no vector.
pub(super) async fn lacking(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    of: &str,
    property: &str,
    ids: &[String],
) -> Result<Vec<String>, Failure> {
    let text = concat!(
        "SELECT wanted.value FROM json_each(?4) AS wanted WHERE NOT EXISTS (SELECT 1 FROM space CROSS JOIN vector \
         ON vector.tenant = space.tenant AND vector.kind = space.kind AND vector.id = wanted.value AND vector.space = space.key \
         WHERE space.tenant = (SELECT key FROM tenant WHERE name = ?1) AND space.property = ?3 AND space.kind IN ",
        kinds!(),
        ") ORDER BY wanted.key"
    );
    let query = query_scalar(text).bind(tenant.as_str()).bind(of).bind(property).bind(json(ids)?);
    Ok(query.fetch_all(connection).await?)
}

/// Removes a portion of a property's vectors; true when none is left, and nothing is noted of the property any more.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    of: &str,
    property: &str,
) -> Result<bool, Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let text = concat!(
        "INSERT OR REPLACE INTO covered (tenant, kind, property, upto, leaving) \
         SELECT tenant, key, ?3, '', 1 FROM kind WHERE key IN ",
        kinds!()
    );
    query(text).bind(tenant.as_str()).bind(of).bind(property).execute(&mut *transaction).await?;
    let text = concat!(
        "SELECT code.rid, code.vectors FROM space CROSS JOIN code ON code.space = space.key \
         WHERE space.property = ?3 AND space.kind IN ",
        kinds!(),
        " LIMIT ?4"
    );
    let query_rows = query_as(text).bind(tenant.as_str()).bind(of).bind(property).bind(ROWS as i64);
    let rows: Vec<(i64, Vec<u8>)> = query_rows.fetch_all(&mut *transaction).await?;
    let vectors = rows.iter().flat_map(|(_, vectors)| vectors.as_chunks::<8>().0);
    let vectors = json(&vectors.map(|bytes| i64::from_le_bytes(*bytes)).collect::<Vec<_>>())?;
    let codes = json(&rows.iter().map(|(row, _)| row).collect::<Vec<_>>())?;
    for (text, gone) in [
        ("DELETE FROM vector WHERE rid IN (SELECT value FROM json_each(?))", &vectors),
        ("DELETE FROM vector_data WHERE rid IN (SELECT value FROM json_each(?))", &vectors),
        ("DELETE FROM code WHERE rid IN (SELECT value FROM json_each(?))", &codes),
    ] {
        query(text).bind(gone).execute(&mut *transaction).await?;
    }
    let done = rows.len() < ROWS;
    if done {
        for text in [
            concat!("DELETE FROM space WHERE property = ?3 AND kind IN ", kinds!()),
            concat!("DELETE FROM covered WHERE property = ?3 AND kind IN ", kinds!()),
        ] {
            query(text).bind(tenant.as_str()).bind(of).bind(property).execute(&mut *transaction).await?;
        }
    }
    transaction.commit().await?;
    Ok(done)
}
