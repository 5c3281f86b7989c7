//! Writing nodes and rows: properties are merged into what is there, set by set.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value as Json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row, query};

use super::accept::{json, parsed};
use super::connections::Failure;
use super::registry;
use crate::stores::fold::Set;

/// A record to be written: key of its type, its id, and the properties to set.
pub(super) type Put<'a> = ((i64, &'a str), Set<'a>);

/// Writes records of a table and returns them with all their properties: one statement to see what is there, one to write.
pub(super) async fn put<'a>(
    connection: &mut SqliteConnection,
    table: &'static str,
    tenant: i64,
    puts: Vec<Put<'a>>,
) -> Result<Vec<Put<'a>>, Failure> {
    if puts.is_empty() {
        return Ok(puts);
    }
    let keys: Vec<(i64, &str)> = puts.iter().map(|(key, _)| *key).collect();
    let text = format!(
        "SELECT wanted.key, json(held.props) FROM json_each(?2) AS wanted CROSS JOIN {table} AS held \
         ON held.tenant = ?1 AND held.kind = wanted.value ->> 0 AND held.id = wanted.value ->> 1"
    );
    let rows = query(AssertSqlSafe(text)).bind(tenant).bind(json(&keys)?).fetch_all(&mut *connection).await?;
    let mut held = by_position(&rows)?;
    let merged: Vec<Put<'a>> =
        puts.into_iter().enumerate().map(|(position, (key, set))| (key, merge(held.remove(&position), set))).collect();
    let list: Vec<(i64, &str, &Map<String, Json>)> =
        merged.iter().map(|((kind, id), props)| (*kind, *id, &**props)).collect();
    let text = format!(
        "INSERT INTO {table} (tenant, kind, id, props) \
         SELECT ?1, value ->> 0, value ->> 1, jsonb(value -> 2) FROM json_each(?2) WHERE true \
         ON CONFLICT (tenant, kind, id) DO UPDATE SET props = excluded.props"
    );
    query(AssertSqlSafe(text)).bind(tenant).bind(json(&list)?).execute(connection).await?;
    Ok(merged)
}

/// Removes rows.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    tenant: i64,
    gone: &[(i64, &str)],
) -> Result<(), Failure> {
    let text =
        "DELETE FROM record WHERE (tenant, kind, id) IN (SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2))";
    registry::each(connection, tenant, gone, text).await?;
    Ok(())
}

/// Objects by position, from rows of position and JSON.
pub(super) fn by_position(rows: &[sqlx::sqlite::SqliteRow]) -> Result<HashMap<usize, Map<String, Json>>, Failure> {
    let mut objects = HashMap::with_capacity(rows.len());
    for row in rows {
        let object = row.try_get::<Option<&str>, _>(1)?.map(parsed).transpose()?;
        objects.insert(row.try_get::<u32, _>(0)? as usize, object.unwrap_or_default());
    }
    Ok(objects)
}

/// Properties after some of them were set; null removes one.
pub(super) fn merge<'a>(held: Option<Map<String, Json>>, set: Set<'a>) -> Set<'a> {
    if held.is_none() && !set.values().any(Json::is_null) {
        return set;
    }
    let mut props = held.unwrap_or_default();
    for (name, value) in set.iter() {
        if value.is_null() {
            props.shift_remove(name);
        } else {
            props.insert(name.clone(), value.clone());
        }
    }
    Cow::Owned(props)
}
