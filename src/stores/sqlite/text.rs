//! Full text: one FTS5 table per tenant, so that no word statistics are shared between tenants.
//!
//! A record has one text, all its embedded properties together, under its row in `passage`. BM25 is FTS5's own, k1 1.2 and b 0.75.
//! Words are not reduced to stems: with them the MuSiQue sample loses a point of recall at 5 (51.0 instead of 52.1).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use quipu_resolvers::change::Ref;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::Allowed;
use quipu_resolvers::ports::{Call, Hit, Matching, StoreName};
use serde_json::{Map, Value as Json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row, query};

use super::Embedded;
use super::accept::json;
use super::connections::Failure;
use super::records::{Put, by_position};
use super::registry::each;
use crate::stores::sql::names::{NameOf, Names};
use crate::stores::sql::{path, search};

/// Makes the text table of a tenant.
pub(super) async fn create(connection: &mut SqliteConnection, tenant: i64) -> Result<(), Failure> {
    let text = format!(
        "CREATE VIRTUAL TABLE IF NOT EXISTS text_{tenant} USING fts5(body, content = '', contentless_delete = 1, \
         tokenize = 'unicode61 remove_diacritics 2')"
    );
    query(AssertSqlSafe(text)).execute(&mut *connection).await?;
    let text = format!("CREATE VIRTUAL TABLE IF NOT EXISTS word_{tenant} USING fts5vocab(text_{tenant}, 'row')");
    query(AssertSqlSafe(text)).execute(connection).await?;
    Ok(())
}

/// Notes which properties of a type have their text indexed.
pub(super) async fn learn(
    connection: &mut SqliteConnection,
    names: &mut Names,
    embedded: &BTreeMap<(bool, &str), BTreeSet<&str>>,
) -> Result<(), Failure> {
    for ((row, of), properties) in embedded {
        let sort = NameOf::record(*row);
        let key = names.key(sort, of);
        let mut known = names.embedded(key).to_vec();
        let count = known.len();
        for name in properties {
            if !known.iter().any(|known| known == name) {
                known.push((*name).to_owned());
            }
        }
        if known.len() == count {
            continue;
        }
        query("UPDATE kind SET embedded = ? WHERE key = ?")
            .bind(json(&known)?)
            .bind(key)
            .execute(&mut *connection)
            .await?;
        names.insert(sort, of, key, known);
    }
    Ok(())
}

/// Removes the texts of records.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    names: &Names,
    gone: &[(bool, &Ref)],
) -> Result<(), Failure> {
    let keys = gone.iter().map(|(row, record)| (names.key(NameOf::record(*row), &record.of), record.id.as_str()));
    remove(connection, names.tenant, &keys.collect::<Vec<_>>()).await
}

async fn remove(connection: &mut SqliteConnection, tenant: i64, keys: &[(i64, &str)]) -> Result<(), Failure> {
    if keys.is_empty() {
        return Ok(());
    }
    let keys = json(keys)?;
    let found = "SELECT p.rid FROM json_each(?2) AS gone CROSS JOIN passage AS p \
                 ON p.tenant = ?1 AND p.kind = gone.value ->> 0 AND p.id = gone.value ->> 1";
    let text = format!("DELETE FROM text_{tenant} WHERE rowid IN ({found})");
    query(AssertSqlSafe(text)).bind(tenant).bind(&keys).execute(&mut *connection).await?;
    let text = format!("DELETE FROM passage WHERE rid IN ({found})");
    query(AssertSqlSafe(text)).bind(tenant).bind(&keys).execute(connection).await?;
    Ok(())
}

/// Indexes the texts of records again. `nodes` are the nodes that were just written, with all their properties.
pub(super) async fn index(
    connection: &mut SqliteConnection,
    names: &Names,
    texts: &BTreeSet<(bool, &Ref)>,
    nodes: &[Put<'_>],
) -> Result<(), Failure> {
    if texts.is_empty() {
        return Ok(());
    }
    let key = |row: bool, record: &Ref| names.key(NameOf::record(row), &record.of);
    let wanted: BTreeSet<(i64, &str)> =
        texts.iter().map(|(row, record)| (key(*row, record), record.id.as_str())).collect();
    let rows = texts.iter().filter(|(row, _)| *row).map(|(_, record)| (key(true, record), record.id.as_str()));
    let rows = properties_of_rows(connection, names.tenant, rows.collect()).await?;
    let mut bodies: Vec<(i64, &str, String)> = Vec::new();
    let mut empty = Vec::new();
    for (key, props) in nodes.iter().chain(&rows).filter(|(key, _)| wanted.contains(key)) {
        match body(props, names.embedded(key.0)) {
            Some(body) => bodies.push((key.0, key.1, body)),
            None => empty.push(*key),
        }
    }
    remove(connection, names.tenant, &empty).await?;
    let text =
        "INSERT OR IGNORE INTO passage (tenant, kind, id) SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2)";
    each(connection, names.tenant, &bodies, text).await?;
    let text = format!(
        "INSERT OR REPLACE INTO text_{} (rowid, body) SELECT p.rid, made.value ->> 2 FROM json_each(?2) AS made \
         CROSS JOIN passage AS p ON p.tenant = ?1 AND p.kind = made.value ->> 0 AND p.id = made.value ->> 1",
        names.tenant
    );
    query(AssertSqlSafe(text)).bind(names.tenant).bind(json(&bodies)?).execute(connection).await?;
    Ok(())
}

/// Forgets all texts of a tenant.
pub(super) async fn clear(connection: &mut SqliteConnection, tenant: i64) -> Result<(), Failure> {
    let text = format!("INSERT INTO text_{tenant} (text_{tenant}) VALUES ('delete-all')");
    query(AssertSqlSafe(text)).execute(&mut *connection).await?;
    query("DELETE FROM passage WHERE tenant = ?").bind(tenant).execute(connection).await?;
    Ok(())
}

/// Indexes the texts of all records of a type again.
pub(super) async fn index_type(
    connection: &mut SqliteConnection,
    tenant: i64,
    table: &'static str,
    kind: i64,
    embedded: &[String],
) -> Result<(), Failure> {
    let of_type = "SELECT rid FROM passage WHERE tenant = ?1 AND kind = ?2";
    let text = format!("DELETE FROM text_{tenant} WHERE rowid IN ({of_type})");
    query(AssertSqlSafe(text)).bind(tenant).bind(kind).execute(&mut *connection).await?;
    let text = "DELETE FROM passage WHERE tenant = ?1 AND kind = ?2";
    query(text).bind(tenant).bind(kind).execute(&mut *connection).await?;
    if embedded.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = embedded.iter().map(|name| format!("held.props ->> {}", path(name))).collect();
    let body = format!("concat_ws(char(10), {})", texts.join(", "));
    let text = format!(
        "INSERT INTO passage (tenant, kind, id) SELECT held.tenant, held.kind, held.id FROM {table} AS held \
         WHERE held.tenant = ?1 AND held.kind = ?2 AND {body} <> ''"
    );
    query(AssertSqlSafe(text)).bind(tenant).bind(kind).execute(&mut *connection).await?;
    let text = format!(
        "INSERT INTO text_{tenant} (rowid, body) SELECT p.rid, {body} FROM passage AS p CROSS JOIN {table} AS held \
         ON held.tenant = p.tenant AND held.kind = p.kind AND held.id = p.id WHERE p.tenant = ?1 AND p.kind = ?2"
    );
    query(AssertSqlSafe(text)).bind(tenant).bind(kind).execute(connection).await?;
    Ok(())
}

/// The text of a record: its embedded properties, one per line.
fn body(props: &Map<String, Json>, embedded: &[String]) -> Option<String> {
    let texts: Vec<&str> = embedded.iter().filter_map(|name| props.get(name)?.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

async fn properties_of_rows<'a>(
    connection: &mut SqliteConnection,
    tenant: i64,
    keys: Vec<(i64, &'a str)>,
) -> Result<Vec<Put<'a>>, Failure> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let text = "SELECT wanted.key, json(held.props) FROM json_each(?2) AS wanted CROSS JOIN record AS held \
                ON held.tenant = ?1 AND held.kind = wanted.value ->> 0 AND held.id = wanted.value ->> 1";
    let rows = query(text).bind(tenant).bind(json(&keys)?).fetch_all(connection).await?;
    let mut held = by_position(&rows)?;
    let found = keys.into_iter().enumerate();
    Ok(found.filter_map(|(position, key)| Some((key, Cow::Owned(held.remove(&position)?)))).collect())
}

impl Embedded {
    pub(super) async fn matching(&self, matching: &Allowed<Matching>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        let words = search::words(&matching.get().text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let write = |names: &Names| search::matching(matching.get(), &words, names);
        self.query(StoreName::Graph, matching.tenant(), call, write, |rows| {
            rows.iter().map(|row| hit(row, &matching.get().within).map_err(|error| error.to_string())).collect()
        })
        .await
    }
}

/// A hit from a row of `[position in within, id, score]`.
pub(super) fn hit(
    row: &sqlx::sqlite::SqliteRow,
    within: &[quipu_resolvers::ports::Within],
) -> Result<Hit, sqlx::Error> {
    let position: u32 = row.try_get(0)?;
    let of = within.get(position as usize).map(|within| within.of.clone()).unwrap_or_default();
    Ok(Hit { of, id: row.try_get(1)?, score: row.try_get(2)? })
}
