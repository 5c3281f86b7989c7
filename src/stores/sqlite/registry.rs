//! The registry in the file: what it holds of the things a change names, and what a verdict makes of them. A fixed number of
//! statements, whatever the size of the change.

use std::collections::BTreeSet;

use quipu_resolvers::change::{Op, Ref};
use serde_json::{Value as Json, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, query};

use super::connections::Failure;
use crate::stores::digests::Digests;
use crate::stores::sql::names::{NameOf, Names};
use crate::stores::verdict::{Fate, Held, LinkKey, RecordKey, Registry, UniqueValue, Verdict};

/// The names that a change speaks of.
pub(super) fn names_of(ops: &[Op]) -> BTreeSet<(NameOf, &str)> {
    let mut names = BTreeSet::new();
    for op in ops {
        match op {
            Op::Put { record, row, .. } | Op::Delete { record, row } => {
                names.insert((NameOf::record(*row), record.of.as_str()));
            }
            Op::Link { relationship_type, from, to, .. } | Op::Unlink { relationship_type, from, to, .. } => {
                names.insert((NameOf::Relationship, relationship_type.as_str()));
                names.insert((NameOf::Node, from.of.as_str()));
                names.insert((NameOf::Node, to.of.as_str()));
            }
        }
    }
    names
}

/// Reads what the registry holds of the records, unique values and relationships that a change names.
pub(super) async fn load(connection: &mut SqliteConnection, names: &Names, ops: &[Op]) -> Result<Registry, Failure> {
    let mut registry = Registry::default();
    load_records(connection, names, ops, &mut registry).await?;
    load_taken(connection, names, ops, &mut registry).await?;
    load_links(connection, names, ops, &mut registry).await?;
    Ok(registry)
}

async fn load_records(
    connection: &mut SqliteConnection,
    names: &Names,
    ops: &[Op],
    registry: &mut Registry,
) -> Result<(), Failure> {
    let mut wanted: BTreeSet<(bool, &Ref)> = BTreeSet::new();
    for op in ops {
        match op {
            Op::Put { record, row, .. } | Op::Delete { record, row } => {
                wanted.insert((*row, record));
            }
            Op::Link { from, to, .. } | Op::Unlink { from, to, .. } => wanted.extend([(false, from), (false, to)]),
        }
    }
    let wanted: Vec<(bool, &Ref)> = wanted.into_iter().collect();
    let list = wanted.iter().map(|(row, record)| json!([names.key(NameOf::record(*row), &record.of), record.id]));
    let text = "SELECT wanted.key, held.version, held.digests FROM json_each(?2) AS wanted \
                CROSS JOIN registry AS held ON held.tenant = ?1 AND held.kind = wanted.value ->> 0 AND held.id = wanted.value ->> 1";
    let rows = query(text).bind(names.tenant).bind(list.collect::<Json>().to_string()).fetch_all(connection).await?;
    for row in rows {
        let Some((is_row, record)) = wanted.get(row.try_get::<u32, _>(0)? as usize) else { continue };
        let version = u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
        let held = Held { version, digests: Digests::from_bytes(row.try_get(2)?) };
        registry.records.insert(RecordKey { row: *is_row, record: (*record).clone() }, held);
    }
    Ok(())
}

/// Unique values come in twice: those that the change wants, and those that its records have.
async fn load_taken(
    connection: &mut SqliteConnection,
    names: &Names,
    ops: &[Op],
    registry: &mut Registry,
) -> Result<(), Failure> {
    let mut wanted = Vec::new();
    let mut owners = Vec::new();
    for op in ops {
        match op {
            Op::Put { record, row, set, unique, .. } if !unique.is_empty() => {
                let kind = names.key(NameOf::record(*row), &record.of);
                let values = unique.iter().filter_map(|property| Some((property, set.get(property)?)));
                wanted.extend(values.map(|(property, value)| json!([kind, property, value.to_string()])));
                owners.push(json!([kind, record.id]));
            }
            Op::Delete { record, row } => owners.push(json!([names.key(NameOf::record(*row), &record.of), record.id])),
            _ => {}
        }
    }
    if wanted.is_empty() && owners.is_empty() {
        return Ok(());
    }
    let text = "SELECT taken.kind, taken.property, taken.value, taken.id FROM json_each(?2) AS wanted \
                CROSS JOIN taken ON taken.tenant = ?1 AND taken.kind = wanted.value ->> 0 \
                AND taken.property = wanted.value ->> 1 AND taken.value = wanted.value ->> 2 \
                UNION ALL SELECT taken.kind, taken.property, taken.value, taken.id FROM json_each(?3) AS owner \
                CROSS JOIN taken ON taken.tenant = ?1 AND taken.kind = owner.value ->> 0 AND taken.id = owner.value ->> 1";
    let rows = query(text)
        .bind(names.tenant)
        .bind(Json::Array(wanted).to_string())
        .bind(Json::Array(owners).to_string())
        .fetch_all(connection)
        .await?;
    for row in rows {
        let Some((sort, of)) = names.name(row.try_get(0)?) else { continue };
        let value = UniqueValue {
            row: sort == NameOf::Row,
            of: of.to_owned(),
            property: row.try_get(1)?,
            value: row.try_get(2)?,
        };
        registry.taken.insert(value, row.try_get(3)?);
    }
    Ok(())
}

async fn load_links(
    connection: &mut SqliteConnection,
    names: &Names,
    ops: &[Op],
    registry: &mut Registry,
) -> Result<(), Failure> {
    let wanted: BTreeSet<(&String, &Ref, &Ref)> = ops
        .iter()
        .filter_map(|op| match op {
            Op::Link { relationship_type, from, to, .. } | Op::Unlink { relationship_type, from, to, .. } => {
                Some((relationship_type, from, to))
            }
            _ => None,
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted: Vec<_> = wanted.into_iter().collect();
    let list = wanted.iter().map(|(of, from, to)| link_json(names, of, from, to));
    let text = "SELECT wanted.key, link.key, link.digests FROM json_each(?2) AS wanted \
                CROSS JOIN registry AS a ON a.tenant = ?1 AND a.kind = wanted.value ->> 1 AND a.id = wanted.value ->> 2 \
                CROSS JOIN registry AS b ON b.tenant = ?1 AND b.kind = wanted.value ->> 3 AND b.id = wanted.value ->> 4 \
                CROSS JOIN link ON link.tenant = ?1 AND link.kind = wanted.value ->> 0 AND link.src = a.rid AND link.dst = b.rid";
    let rows = query(text).bind(names.tenant).bind(list.collect::<Json>().to_string()).fetch_all(connection).await?;
    for row in rows {
        let Some((of, from, to)) = wanted.get(row.try_get::<u32, _>(0)? as usize) else { continue };
        let link = LinkKey { of: (*of).clone(), from: (*from).clone(), to: (*to).clone(), key: row.try_get(1)? };
        registry.links.insert(link, Digests::from_bytes(row.try_get::<Option<&[u8]>, _>(2)?.unwrap_or_default()));
    }
    Ok(())
}

/// A relationship as `[kind, kind of start, id of start, kind of end, id of end]`.
fn link_json(names: &Names, of: &str, from: &Ref, to: &Ref) -> Json {
    let node = |record: &Ref| names.key(NameOf::Node, &record.of);
    json!([names.key(NameOf::Relationship, of), node(from), from.id, node(to), to.id])
}

/// Writes what a verdict makes of the registry.
pub(super) async fn store(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict) -> Result<(), Failure> {
    forget_links(connection, names, verdict).await?;
    store_records(connection, names, verdict).await?;
    store_taken(connection, names, verdict).await?;
    note_links(connection, names, verdict).await
}

async fn store_records(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict) -> Result<(), Failure> {
    let kind = |key: &RecordKey| names.key(NameOf::record(key.row), &key.record.of);
    let gone = verdict.records.iter().filter(|(_, fate)| fate.before.is_some() && fate.went);
    let gone: Vec<Json> = gone.map(|(key, _)| json!([kind(key), key.record.id])).collect();
    if !gone.is_empty() {
        let gone = Json::Array(gone).to_string();
        // The links that start at a node go with it at once; those that end at it mean nothing any more, since its key never comes back.
        let links = "DELETE FROM link WHERE tenant = ?1 AND kind IN (SELECT key FROM kind WHERE tenant = ?1 AND sort = 2) \
                     AND src IN (SELECT held.rid FROM json_each(?2) AS gone CROSS JOIN registry AS held \
                     ON held.tenant = ?1 AND held.kind = gone.value ->> 0 AND held.id = gone.value ->> 1)";
        query(links).bind(names.tenant).bind(&gone).execute(&mut *connection).await?;
        let text = "DELETE FROM registry WHERE rid IN (SELECT held.rid FROM json_each(?2) AS gone CROSS JOIN registry AS held \
                    ON held.tenant = ?1 AND held.kind = gone.value ->> 0 AND held.id = gone.value ->> 1)";
        query(text).bind(names.tenant).bind(&gone).execute(&mut *connection).await?;
    }
    let kept = |(key, fate): (&RecordKey, &Fate)| {
        let now = fate.now.as_ref()?;
        Some(json!([kind(key), key.record.id, now.version, now.digests.to_hex()]))
    };
    let kept: Vec<Json> = verdict.records.iter().filter_map(kept).collect();
    if !kept.is_empty() {
        let text = "INSERT INTO registry (tenant, kind, id, version, digests) \
                    SELECT ?1, value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3) FROM json_each(?2) WHERE true \
                    ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, digests = excluded.digests";
        query(text).bind(names.tenant).bind(Json::Array(kept).to_string()).execute(connection).await?;
    }
    Ok(())
}

async fn store_taken(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict) -> Result<(), Failure> {
    let values = |taken: bool| -> Vec<Json> {
        let chosen = verdict.taken.iter().filter(|(_, id)| id.is_some() == taken);
        let kind = |value: &UniqueValue| names.key(NameOf::record(value.row), &value.of);
        chosen.map(|(value, id)| json!([kind(value), value.property, value.value, id])).collect()
    };
    let (freed, noted) = (values(false), values(true));
    if !freed.is_empty() {
        let text = "DELETE FROM taken WHERE (tenant, kind, property, value) IN \
                    (SELECT ?1, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2))";
        query(text).bind(names.tenant).bind(Json::Array(freed).to_string()).execute(&mut *connection).await?;
    }
    if !noted.is_empty() {
        let text = "INSERT OR REPLACE INTO taken (tenant, kind, property, value, id) \
                    SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2)";
        query(text).bind(names.tenant).bind(Json::Array(noted).to_string()).execute(connection).await?;
    }
    Ok(())
}

async fn forget_links(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict) -> Result<(), Failure> {
    let gone = verdict.links.iter().filter(|(_, digests)| digests.is_none());
    let gone: Vec<Json> =
        gone.map(|(link, _)| with_key(link_json(names, &link.of, &link.from, &link.to), link)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let text = "DELETE FROM link WHERE (tenant, kind, src, dst, key) IN (SELECT ?1, value ->> 0, \
                (SELECT rid FROM registry WHERE tenant = ?1 AND kind = value ->> 1 AND id = value ->> 2), \
                (SELECT rid FROM registry WHERE tenant = ?1 AND kind = value ->> 3 AND id = value ->> 4), \
                value ->> 5 FROM json_each(?2))";
    query(text).bind(names.tenant).bind(Json::Array(gone).to_string()).execute(connection).await?;
    Ok(())
}

async fn note_links(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict) -> Result<(), Failure> {
    let noted = |(link, digests): (&LinkKey, &Option<Digests>)| {
        let digests = digests.as_ref()?.to_hex();
        let mut json = with_key(link_json(names, &link.of, &link.from, &link.to), link);
        if let Json::Array(parts) = &mut json {
            parts.push(if digests.is_empty() { Json::Null } else { digests.into() });
        }
        Some(json)
    };
    let noted: Vec<Json> = verdict.links.iter().filter_map(noted).collect();
    if noted.is_empty() {
        return Ok(());
    }
    let text = "INSERT OR REPLACE INTO link (tenant, kind, src, dst, key, digests) \
                SELECT ?1, noted.value ->> 0, a.rid, b.rid, noted.value ->> 5, unhex(noted.value ->> 6) FROM json_each(?2) AS noted \
                CROSS JOIN registry AS a ON a.tenant = ?1 AND a.kind = noted.value ->> 1 AND a.id = noted.value ->> 2 \
                CROSS JOIN registry AS b ON b.tenant = ?1 AND b.kind = noted.value ->> 3 AND b.id = noted.value ->> 4";
    query(text).bind(names.tenant).bind(Json::Array(noted).to_string()).execute(connection).await?;
    Ok(())
}

fn with_key(mut json: Json, link: &LinkKey) -> Json {
    if let Json::Array(parts) = &mut json {
        parts.push(link.key.clone().into());
    }
    json
}
