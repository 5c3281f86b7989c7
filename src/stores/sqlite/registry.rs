//! The registry in the file: what it holds of the things a change names, and what a verdict makes of them. A fixed number of
//! statements, whatever the size of the change.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use quipu_resolvers::change::{Op, Ref};
use serde::Serialize;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, query};

use super::accept::json;
use super::connections::Failure;
use crate::stores::digests::Digests;
use crate::stores::sql::names::{NameOf, Names};
use crate::stores::verdict::{Held, LinkKey, RecordKey, Registry, UniqueValue, Verdict};

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
pub(super) async fn load<'a>(
    connection: &mut SqliteConnection,
    names: &Names,
    ops: &'a [Op],
) -> Result<Registry<'a>, Failure> {
    let mut registry = Registry::default();
    load_records(connection, names, ops, &mut registry).await?;
    load_taken(connection, names, ops, &mut registry).await?;
    load_links(connection, names, ops, &mut registry).await?;
    Ok(registry)
}

/// Key of a record's type.
fn kind(names: &Names, key: &RecordKey<'_>) -> i64 {
    names.key(NameOf::record(key.row), &key.record.of)
}

async fn load_records<'a>(
    connection: &mut SqliteConnection,
    names: &Names,
    ops: &'a [Op],
    registry: &mut Registry<'a>,
) -> Result<(), Failure> {
    let mut seen: HashSet<RecordKey<'a>> = HashSet::with_capacity(ops.len());
    let mut wanted: Vec<RecordKey<'a>> = Vec::with_capacity(ops.len());
    let mut want = |row, record| {
        let key = RecordKey { row, record };
        if seen.insert(key) {
            wanted.push(key);
        }
    };
    for op in ops {
        match op {
            Op::Put { record, row, .. } | Op::Delete { record, row } => want(*row, record),
            Op::Link { from, to, .. } | Op::Unlink { from, to, .. } => {
                want(false, from);
                want(false, to);
            }
        }
    }
    let list: Vec<(i64, &str)> = wanted.iter().map(|key| (kind(names, key), key.record.id.as_str())).collect();
    let text = "SELECT wanted.key, held.version, held.digests FROM json_each(?2) AS wanted CROSS JOIN registry AS held \
                ON held.tenant = ?1 AND held.kind = wanted.value ->> 0 AND held.id = wanted.value ->> 1";
    let rows = query(text).bind(names.tenant).bind(json(&list)?).fetch_all(connection).await?;
    for row in rows {
        let Some(key) = wanted.get(row.try_get::<u32, _>(0)? as usize) else { continue };
        let version = u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
        let held = Held { version, digests: Digests::from_bytes(row.try_get(2)?) };
        registry.records.insert(*key, held);
    }
    Ok(())
}

/// Unique values come in twice: those that the change wants, and those that its records have.
async fn load_taken(
    connection: &mut SqliteConnection,
    names: &Names,
    ops: &[Op],
    registry: &mut Registry<'_>,
) -> Result<(), Failure> {
    let mut wanted: Vec<(i64, &str, String)> = Vec::new();
    let mut owners: Vec<(i64, &str)> = Vec::new();
    for op in ops {
        match op {
            Op::Put { record, row, set, unique, .. } if !unique.is_empty() => {
                let kind = kind(names, &RecordKey { row: *row, record });
                let values = unique.iter().filter_map(|property| Some((property, set.get(property)?)));
                wanted.extend(values.map(|(property, value)| (kind, property.as_str(), value.to_string())));
                owners.push((kind, &record.id));
            }
            Op::Delete { record, row } => owners.push((kind(names, &RecordKey { row: *row, record }), &record.id)),
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
    let rows = query(text).bind(names.tenant).bind(json(&wanted)?).bind(json(&owners)?).fetch_all(connection).await?;
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

async fn load_links<'a>(
    connection: &mut SqliteConnection,
    names: &Names,
    ops: &'a [Op],
    registry: &mut Registry<'a>,
) -> Result<(), Failure> {
    let links = ops.iter().filter_map(|op| match op {
        Op::Link { relationship_type, from, to, .. } | Op::Unlink { relationship_type, from, to, .. } => {
            Some((relationship_type.as_str(), from, to))
        }
        _ => None,
    });
    let wanted: BTreeSet<(&str, &Ref, &Ref)> = links.collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted: Vec<_> = wanted.into_iter().collect();
    let list: Vec<_> = wanted.iter().map(|(of, from, to)| between(names, of, from, to)).collect();
    let text = "SELECT wanted.key, link.key, link.digests FROM json_each(?2) AS wanted \
                CROSS JOIN registry AS a ON a.tenant = ?1 AND a.kind = wanted.value ->> 1 AND a.id = wanted.value ->> 2 \
                CROSS JOIN registry AS b ON b.tenant = ?1 AND b.kind = wanted.value ->> 3 AND b.id = wanted.value ->> 4 \
                CROSS JOIN link ON link.tenant = ?1 AND link.kind = wanted.value ->> 0 AND link.src = a.rid AND link.dst = b.rid";
    let rows = query(text).bind(names.tenant).bind(json(&list)?).fetch_all(connection).await?;
    for row in rows {
        let Some((of, from, to)) = wanted.get(row.try_get::<u32, _>(0)? as usize) else { continue };
        let link = LinkKey { of, from, to, key: Cow::Owned(row.try_get(1)?) };
        registry.links.insert(link, Digests::from_bytes(row.try_get::<Option<&[u8]>, _>(2)?.unwrap_or_default()));
    }
    Ok(())
}

/// A relationship as key of its type, and key and id of both ends.
pub(super) type Between<'a> = (i64, i64, &'a str, i64, &'a str);

/// The keys of a relationship.
pub(super) fn between<'a>(names: &Names, of: &str, from: &'a Ref, to: &'a Ref) -> Between<'a> {
    let node = |record: &Ref| names.key(NameOf::Node, &record.of);
    (names.key(NameOf::Relationship, of), node(from), &from.id, node(to), &to.id)
}

/// Runs a statement over the tenant and a list, unless that is empty.
pub(super) async fn each<T: Serialize>(
    connection: &mut SqliteConnection,
    tenant: i64,
    list: &[T],
    text: &'static str,
) -> Result<u64, Failure> {
    if list.is_empty() {
        return Ok(0);
    }
    Ok(query(text).bind(tenant).bind(json(list)?).execute(connection).await?.rows_affected())
}

/// Writes what a verdict makes of the registry.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    names: &Names,
    verdict: &Verdict<'_>,
) -> Result<(), Failure> {
    forget_links(connection, names, verdict).await?;
    store_records(connection, names, verdict).await?;
    store_taken(connection, names, verdict).await?;
    note_links(connection, names, verdict).await
}

async fn store_records(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict<'_>) -> Result<(), Failure> {
    let gone = verdict.records.iter().filter(|fate| fate.before.is_some() && fate.went);
    let gone: Vec<(i64, &str)> = gone.map(|fate| (kind(names, &fate.key), fate.key.record.id.as_str())).collect();
    // The links that start at a node go with it at once; those that end at it mean nothing any more, since its key never comes back.
    let links = "DELETE FROM link WHERE tenant = ?1 AND kind IN (SELECT key FROM kind WHERE tenant = ?1 AND sort = 2) \
                 AND src IN (SELECT held.rid FROM json_each(?2) AS gone CROSS JOIN registry AS held \
                 ON held.tenant = ?1 AND held.kind = gone.value ->> 0 AND held.id = gone.value ->> 1)";
    each(connection, names.tenant, &gone, links).await?;
    let records = "DELETE FROM registry WHERE rid IN (SELECT held.rid FROM json_each(?2) AS gone CROSS JOIN registry AS held \
                   ON held.tenant = ?1 AND held.kind = gone.value ->> 0 AND held.id = gone.value ->> 1)";
    each(connection, names.tenant, &gone, records).await?;
    let kept: Vec<(i64, &str, u64, String)> = verdict
        .records
        .iter()
        .filter_map(|fate| {
            let now = fate.now.as_ref()?;
            Some((kind(names, &fate.key), fate.key.record.id.as_str(), now.version, now.digests.to_hex()))
        })
        .collect();
    let text = "INSERT INTO registry (tenant, kind, id, version, digests) \
                SELECT ?1, value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3) FROM json_each(?2) WHERE true \
                ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, digests = excluded.digests";
    each(connection, names.tenant, &kept, text).await?;
    Ok(())
}

async fn store_taken(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict<'_>) -> Result<(), Failure> {
    let values = |taken: bool| -> Vec<(i64, &str, &str, &Option<String>)> {
        let chosen = verdict.taken.iter().filter(|(_, id)| id.is_some() == taken);
        let kind = |value: &UniqueValue| names.key(NameOf::record(value.row), &value.of);
        chosen.map(|(value, id)| (kind(value), value.property.as_str(), value.value.as_str(), id)).collect()
    };
    let text = "DELETE FROM taken WHERE (tenant, kind, property, value) IN \
                (SELECT ?1, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2))";
    each(connection, names.tenant, &values(false), text).await?;
    let text = "INSERT OR REPLACE INTO taken (tenant, kind, property, value, id) \
                SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2)";
    each(connection, names.tenant, &values(true), text).await?;
    Ok(())
}

async fn forget_links(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict<'_>) -> Result<(), Failure> {
    let gone = verdict.links.iter().filter(|(_, digests)| digests.is_none());
    let gone: Vec<_> = gone.map(|(link, _)| with_key(names, link)).collect();
    let text = "DELETE FROM link WHERE (tenant, kind, src, dst, key) IN (SELECT ?1, value ->> 0, \
                (SELECT rid FROM registry WHERE tenant = ?1 AND kind = value ->> 1 AND id = value ->> 2), \
                (SELECT rid FROM registry WHERE tenant = ?1 AND kind = value ->> 3 AND id = value ->> 4), \
                value ->> 5 FROM json_each(?2))";
    each(connection, names.tenant, &gone, text).await?;
    Ok(())
}

async fn note_links(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict<'_>) -> Result<(), Failure> {
    let noted = verdict.links.iter().filter_map(|(link, digests)| Some((link, digests.as_ref()?)));
    let noted: Vec<_> = noted
        .map(|(link, digests)| {
            let (of, from, start, to, end, key) = with_key(names, link);
            (of, from, start, to, end, key, (!digests.is_empty()).then(|| digests.to_hex()))
        })
        .collect();
    let text = "INSERT OR REPLACE INTO link (tenant, kind, src, dst, key, digests) \
                SELECT ?1, noted.value ->> 0, a.rid, b.rid, noted.value ->> 5, unhex(noted.value ->> 6) FROM json_each(?2) AS noted \
                CROSS JOIN registry AS a ON a.tenant = ?1 AND a.kind = noted.value ->> 1 AND a.id = noted.value ->> 2 \
                CROSS JOIN registry AS b ON b.tenant = ?1 AND b.kind = noted.value ->> 3 AND b.id = noted.value ->> 4";
    each(connection, names.tenant, &noted, text).await?;
    Ok(())
}

fn with_key<'a>(names: &Names, link: &'a LinkKey<'_>) -> (i64, i64, &'a str, i64, &'a str, &'a str) {
    let (of, from, start, to, end) = between(names, link.of, link.from, link.to);
    (of, from, start, to, end, &link.key)
}
