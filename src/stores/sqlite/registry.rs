//! The registry in the file: what it holds of the things a change names, and what a verdict makes of them. A fixed number of
//! statements, whatever the size of the change.

use std::borrow::Cow;

use quipu_resolvers::change::Op;
use serde::Serialize;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, query};

use super::accept::json;
use super::connections::Failure;
use crate::stores::digests::Digests;
use crate::stores::sql::names::{NameOf, Names};
use crate::stores::verdict::{Held, LinkKey, Registry, UniqueValue, Verdict};
use crate::stores::wanted::{Wanted, Written};

/// Reads what the registry holds of the records, unique values and relationships that a change names.
pub(super) async fn load<'a>(
    connection: &mut SqliteConnection,
    names: &Names,
    ops: &'a [Op],
) -> Result<Registry<'a>, Failure> {
    let wanted = Wanted::by(names, ops);
    let mut registry = Registry::default();
    load_records(connection, names, &wanted, &mut registry).await?;
    load_taken(connection, names, &wanted, &mut registry).await?;
    load_links(connection, names, &wanted, &mut registry).await?;
    Ok(registry)
}

async fn load_records<'a>(
    connection: &mut SqliteConnection,
    names: &Names,
    wanted: &Wanted<'a>,
    registry: &mut Registry<'a>,
) -> Result<(), Failure> {
    let text = "SELECT wanted.key, held.version, held.digests FROM json_each(?2) AS wanted CROSS JOIN registry AS held \
                ON held.tenant = ?1 AND held.kind = wanted.value ->> 0 AND held.id = wanted.value ->> 1";
    let rows = query(text).bind(names.tenant).bind(json(&wanted.records)?).fetch_all(connection).await?;
    for row in rows {
        let Some(key) = wanted.keys.get(row.try_get::<u32, _>(0)? as usize) else { continue };
        let version = u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
        let held = Held { version, digests: Digests::from_bytes(row.try_get(2)?) };
        registry.records.insert(*key, held);
    }
    Ok(())
}

async fn load_taken(
    connection: &mut SqliteConnection,
    names: &Names,
    wanted: &Wanted<'_>,
    registry: &mut Registry<'_>,
) -> Result<(), Failure> {
    let (values, owners) = (&wanted.values, &wanted.owners);
    if values.is_empty() && owners.is_empty() {
        return Ok(());
    }
    let text = "SELECT taken.kind, taken.property, taken.value, taken.id FROM json_each(?2) AS wanted \
                CROSS JOIN taken ON taken.tenant = ?1 AND taken.kind = wanted.value ->> 0 \
                AND taken.property = wanted.value ->> 1 AND taken.value = wanted.value ->> 2 \
                UNION ALL SELECT taken.kind, taken.property, taken.value, taken.id FROM json_each(?3) AS owner \
                CROSS JOIN taken ON taken.tenant = ?1 AND taken.kind = owner.value ->> 0 AND taken.id = owner.value ->> 1";
    let rows = query(text).bind(names.tenant).bind(json(values)?).bind(json(owners)?).fetch_all(connection).await?;
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
    wanted: &Wanted<'a>,
    registry: &mut Registry<'a>,
) -> Result<(), Failure> {
    if wanted.links.is_empty() {
        return Ok(());
    }
    let text = "SELECT wanted.key, link.key, link.digests FROM json_each(?2) AS wanted \
                CROSS JOIN registry AS a ON a.tenant = ?1 AND a.kind = wanted.value ->> 1 AND a.id = wanted.value ->> 2 \
                CROSS JOIN registry AS b ON b.tenant = ?1 AND b.kind = wanted.value ->> 3 AND b.id = wanted.value ->> 4 \
                CROSS JOIN link ON link.tenant = ?1 AND link.kind = wanted.value ->> 0 AND link.src = a.rid AND link.dst = b.rid";
    let rows = query(text).bind(names.tenant).bind(json(&wanted.links)?).fetch_all(connection).await?;
    for row in rows {
        let Some((of, from, to)) = wanted.ends.get(row.try_get::<u32, _>(0)? as usize) else { continue };
        let link = LinkKey { of, from, to, key: Cow::Owned(row.try_get(1)?) };
        registry.links.insert(link, Digests::from_bytes(row.try_get::<Option<&[u8]>, _>(2)?.unwrap_or_default()));
    }
    Ok(())
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
    let written = Written::by(names, verdict);
    let tenant = names.tenant;
    forget_links(connection, tenant, &written).await?;
    store_records(connection, tenant, &written).await?;
    store_taken(connection, tenant, &written).await?;
    note_links(connection, tenant, &written).await
}

async fn store_records(connection: &mut SqliteConnection, tenant: i64, written: &Written<'_>) -> Result<(), Failure> {
    let gone = &written.gone;
    // The links that start at a node go with it at once; those that end at it mean nothing any more, since its key never comes back.
    let links = "DELETE FROM link WHERE tenant = ?1 AND kind IN (SELECT key FROM kind WHERE tenant = ?1 AND sort = 2) \
                 AND src IN (SELECT held.rid FROM json_each(?2) AS gone CROSS JOIN registry AS held \
                 ON held.tenant = ?1 AND held.kind = gone.value ->> 0 AND held.id = gone.value ->> 1)";
    each(connection, tenant, gone, links).await?;
    let records = "DELETE FROM registry WHERE rid IN (SELECT held.rid FROM json_each(?2) AS gone CROSS JOIN registry AS held \
                   ON held.tenant = ?1 AND held.kind = gone.value ->> 0 AND held.id = gone.value ->> 1)";
    each(connection, tenant, gone, records).await?;
    let kept = written.kept.iter().map(|(kind, id, version, digests)| (kind, id, version, digests.to_hex()));
    let kept: Vec<_> = kept.collect();
    let text = "INSERT INTO registry (tenant, kind, id, version, digests) \
                SELECT ?1, value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3) FROM json_each(?2) WHERE true \
                ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, digests = excluded.digests";
    each(connection, tenant, &kept, text).await?;
    Ok(())
}

async fn store_taken(connection: &mut SqliteConnection, tenant: i64, written: &Written<'_>) -> Result<(), Failure> {
    let text = "DELETE FROM taken WHERE (tenant, kind, property, value) IN \
                (SELECT ?1, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2))";
    each(connection, tenant, &written.freed, text).await?;
    let text = "INSERT OR REPLACE INTO taken (tenant, kind, property, value, id) \
                SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2)";
    each(connection, tenant, &written.taken, text).await?;
    Ok(())
}

async fn forget_links(connection: &mut SqliteConnection, tenant: i64, written: &Written<'_>) -> Result<(), Failure> {
    let text = "DELETE FROM link WHERE (tenant, kind, src, dst, key) IN (SELECT ?1, value ->> 0, \
                (SELECT rid FROM registry WHERE tenant = ?1 AND kind = value ->> 1 AND id = value ->> 2), \
                (SELECT rid FROM registry WHERE tenant = ?1 AND kind = value ->> 3 AND id = value ->> 4), \
                value ->> 5 FROM json_each(?2))";
    each(connection, tenant, &written.unlinked, text).await?;
    Ok(())
}

async fn note_links(connection: &mut SqliteConnection, tenant: i64, written: &Written<'_>) -> Result<(), Failure> {
    let noted = written.linked.iter().map(|((of, from, start, to, end, key), digests)| {
        (of, from, start, to, end, key, (!digests.is_empty()).then(|| digests.to_hex()))
    });
    let noted: Vec<_> = noted.collect();
    let text = "INSERT OR REPLACE INTO link (tenant, kind, src, dst, key, digests) \
                SELECT ?1, noted.value ->> 0, a.rid, b.rid, noted.value ->> 5, unhex(noted.value ->> 6) FROM json_each(?2) AS noted \
                CROSS JOIN registry AS a ON a.tenant = ?1 AND a.kind = noted.value ->> 1 AND a.id = noted.value ->> 2 \
                CROSS JOIN registry AS b ON b.tenant = ?1 AND b.kind = noted.value ->> 3 AND b.id = noted.value ->> 4";
    each(connection, tenant, &noted, text).await?;
    Ok(())
}
