//! Writing nodes and rows: properties are merged into what is there, set by set.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row, query};

use super::connections::Failure;

/// A record to be written: key of its type, its id, and the properties to set; null removes one.
pub(super) type Put = ((i64, String), Map<String, Json>);

/// Writes records of a table and returns them with all their properties. New ones and changed ones in one statement each way.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    table: &'static str,
    tenant: i64,
    puts: Vec<Put>,
) -> Result<Vec<Put>, Failure> {
    if puts.is_empty() {
        return Ok(puts);
    }
    let keys: Json = puts.iter().map(|((kind, id), _)| json!([kind, id])).collect();
    let text = format!(
        "SELECT wanted.key, json(held.props) FROM json_each(?2) AS wanted CROSS JOIN {table} AS held \
         ON held.tenant = ?1 AND held.kind = wanted.value ->> 0 AND held.id = wanted.value ->> 1"
    );
    let rows = query(AssertSqlSafe(text)).bind(tenant).bind(keys.to_string()).fetch_all(&mut *connection).await?;
    let mut held: HashMap<usize, Map<String, Json>> = HashMap::with_capacity(rows.len());
    for row in rows {
        held.insert(row.try_get::<u32, _>(0)? as usize, object(row.try_get(1)?)?);
    }
    let merged: Vec<Put> = puts
        .into_iter()
        .enumerate()
        .map(|(index, (key, set))| (key, merge(held.remove(&index).unwrap_or_default(), set)))
        .collect();
    let list: Json = merged.iter().map(|((kind, id), props)| json!([kind, id, props])).collect();
    let text = format!(
        "INSERT INTO {table} (tenant, kind, id, props) SELECT ?1, value ->> 0, value ->> 1, jsonb(value -> 2) FROM json_each(?2) WHERE true \
         ON CONFLICT (tenant, kind, id) DO UPDATE SET props = excluded.props"
    );
    query(AssertSqlSafe(text)).bind(tenant).bind(list.to_string()).execute(connection).await?;
    Ok(merged)
}

/// Removes rows.
pub(super) async fn delete_rows(
    connection: &mut SqliteConnection,
    tenant: i64,
    keys: &[(i64, String)],
) -> Result<(), Failure> {
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Json = keys.iter().map(|(kind, id)| json!([kind, id])).collect();
    let text =
        "DELETE FROM record WHERE (tenant, kind, id) IN (SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2))";
    query(text).bind(tenant).bind(keys.to_string()).execute(connection).await?;
    Ok(())
}

/// Reads a JSON object of the store.
pub(super) fn object(text: Option<&str>) -> Result<Map<String, Json>, Failure> {
    match text {
        Some(text) => serde_json::from_str(text).map_err(|error| Failure::Store(sqlx::Error::Decode(error.into()))),
        None => Ok(Map::new()),
    }
}

/// Properties after some of them were set; null removes one.
pub(super) fn merge(mut held: Map<String, Json>, set: Map<String, Json>) -> Map<String, Json> {
    for (name, value) in set {
        if value.is_null() {
            held.shift_remove(&name);
        } else {
            held.insert(name, value);
        }
    }
    held
}
