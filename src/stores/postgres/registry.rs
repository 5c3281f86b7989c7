//! The registry: what it holds of the things a change names, and what a verdict makes of them. A fixed number of statements, whatever
//! the size of the change; each takes its lists as arrays, one per column.

use std::borrow::Cow;

use quipu_resolvers::change::Op;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{Row, query};

use super::session::Failure;
use crate::stores::digests::Digests;
use crate::stores::sql::names::{NameOf, Names};
use crate::stores::verdict::{Held, LinkKey, Registry, UniqueValue, Verdict};
use crate::stores::wanted::{Between, Parallel, Unique, Wanted, Written};

/// Reads what the registry holds of the records, unique values and relationships that a change names.
pub(super) async fn load<'a>(
    connection: &mut PgConnection,
    names: &Names,
    ops: &'a [Op],
) -> Result<Registry<'a>, Failure> {
    let wanted = Wanted::by(names, ops);
    let mut registry = Registry::default();
    load_records(connection, names.tenant, &wanted, &mut registry).await?;
    load_taken(connection, names, &wanted, &mut registry).await?;
    load_links(connection, names.tenant, &wanted, &mut registry).await?;
    Ok(registry)
}

/// Position in a list, from the number that `WITH ORDINALITY` gives.
fn position(row: &sqlx::postgres::PgRow) -> Result<usize, sqlx::Error> {
    Ok(usize::try_from(row.try_get::<i64, _>(0)? - 1).unwrap_or(usize::MAX))
}

async fn load_records<'a>(
    connection: &mut PgConnection,
    tenant: i64,
    wanted: &Wanted<'a>,
    registry: &mut Registry<'a>,
) -> Result<(), Failure> {
    let text = "SELECT wanted.place, held.version, held.digests \
                FROM unnest($2::bigint[], $3::text[]) WITH ORDINALITY AS wanted(kind, id, place) \
                JOIN registry AS held ON held.tenant = $1 AND held.kind = wanted.kind AND held.id = wanted.id";
    let (kinds, ids): (Vec<i64>, Vec<&str>) = wanted.records.iter().copied().unzip();
    let rows = query(text).bind(tenant).bind(kinds).bind(ids).fetch_all(connection).await?;
    for row in rows {
        let Some(key) = wanted.keys.get(position(&row)?) else { continue };
        let version = u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
        registry.records.insert(*key, Held { version, digests: Digests::from_bytes(row.try_get(2)?) });
    }
    Ok(())
}

async fn load_taken(
    connection: &mut PgConnection,
    names: &Names,
    wanted: &Wanted<'_>,
    registry: &mut Registry<'_>,
) -> Result<(), Failure> {
    if wanted.values.is_empty() && wanted.owners.is_empty() {
        return Ok(());
    }
    let text = "SELECT taken.kind, taken.property, taken.value, taken.id \
                FROM unnest($2::bigint[], $3::text[], $4::bytea[]) AS wanted(kind, property, mark) \
                JOIN taken ON taken.tenant = $1 AND taken.kind = wanted.kind AND taken.property = wanted.property \
                AND taken.mark = wanted.mark \
                UNION ALL SELECT taken.kind, taken.property, taken.value, taken.id \
                FROM unnest($5::bigint[], $6::text[]) AS owner(kind, id) \
                JOIN taken ON taken.tenant = $1 AND taken.kind = owner.kind AND taken.id = owner.id";
    let values = &wanted.values;
    let (kinds, ids): (Vec<i64>, Vec<&str>) = wanted.owners.iter().copied().unzip();
    let rows = query(text)
        .bind(names.tenant)
        .bind(values.iter().map(|(kind, _, _)| *kind).collect::<Vec<_>>())
        .bind(values.iter().map(|(_, property, _)| *property).collect::<Vec<_>>())
        .bind(values.iter().map(|(_, _, value)| mark(value)).collect::<Vec<_>>())
        .bind(kinds)
        .bind(ids)
        .fetch_all(connection)
        .await?;
    for row in rows {
        let Some((sort, of)) = names.name(row.try_get(0)?) else { continue };
        let (property, value) = (row.try_get(1)?, row.try_get(2)?);
        let value = UniqueValue { row: sort == NameOf::Row, of: of.to_owned(), property, value };
        registry.taken.insert(value, row.try_get(3)?);
    }
    Ok(())
}

async fn load_links<'a>(
    connection: &mut PgConnection,
    tenant: i64,
    wanted: &Wanted<'a>,
    registry: &mut Registry<'a>,
) -> Result<(), Failure> {
    if wanted.links.is_empty() {
        return Ok(());
    }
    let text = "SELECT wanted.place, link.key, link.digests \
                FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[]) \
                WITH ORDINALITY AS wanted(kind, a_kind, a, b_kind, b, place) \
                JOIN registry AS a ON a.tenant = $1 AND a.kind = wanted.a_kind AND a.id = wanted.a \
                JOIN registry AS b ON b.tenant = $1 AND b.kind = wanted.b_kind AND b.id = wanted.b \
                JOIN link ON link.tenant = $1 AND link.kind = wanted.kind AND link.src = a.rid AND link.dst = b.rid";
    let ends = Ends::of(wanted.links.iter());
    let rows = ends.bind(query(text).bind(tenant)).fetch_all(connection).await?;
    for row in rows {
        let Some((of, from, to)) = wanted.ends.get(position(&row)?) else { continue };
        let link = LinkKey { of, from, to, key: Cow::Owned(row.try_get(1)?) };
        registry.links.insert(link, Digests::from_bytes(row.try_get(2)?));
    }
    Ok(())
}

/// What stands for a value in the key of `taken`.
pub(super) fn mark(value: &str) -> Vec<u8> {
    Sha256::digest(value.as_bytes()).to_vec()
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Types and ends of relationships, a list per column.
#[derive(Default)]
struct Ends<'a> {
    kinds: Vec<i64>,
    from_kinds: Vec<i64>,
    from: Vec<&'a str>,
    to_kinds: Vec<i64>,
    to: Vec<&'a str>,
}

impl<'a> Ends<'a> {
    fn of<'l>(links: impl Iterator<Item = &'l Between<'a>>) -> Self
    where
        'a: 'l,
    {
        let mut ends = Self::default();
        for (kind, from_kind, from, to_kind, to) in links {
            ends.kinds.push(*kind);
            ends.from_kinds.push(*from_kind);
            ends.from.push(from);
            ends.to_kinds.push(*to_kind);
            ends.to.push(to);
        }
        ends
    }

    fn parallel<'l>(links: impl Iterator<Item = &'l Parallel<'a>>) -> (Self, Vec<&'a str>)
    where
        'a: 'l,
    {
        let (links, keys): (Vec<Between<'a>>, Vec<&'a str>) = links
            .map(|(kind, from_kind, from, to_kind, to, key)| ((*kind, *from_kind, *from, *to_kind, *to), *key))
            .unzip();
        (Self::of(links.iter()), keys)
    }

    /// Binds five lists.
    fn bind(self, query: Query<'_>) -> Query<'_> {
        let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<String>>();
        query.bind(self.kinds).bind(self.from_kinds).bind(owned(self.from)).bind(self.to_kinds).bind(owned(self.to))
    }
}

/// Writes what a verdict makes of the registry.
pub(super) async fn store(connection: &mut PgConnection, names: &Names, verdict: &Verdict<'_>) -> Result<(), Failure> {
    let (tenant, written) = (names.tenant, Written::by(names, verdict));
    forget_links(connection, tenant, &written).await?;
    store_records(connection, tenant, &written).await?;
    free(connection, tenant, &written.freed).await?;
    take(connection, tenant, &written.taken).await?;
    note_links(connection, tenant, &written).await
}

async fn store_records(connection: &mut PgConnection, tenant: i64, written: &Written<'_>) -> Result<(), Failure> {
    if !written.gone.is_empty() {
        // The links that start at a node go with it at once; those that end at it mean nothing any more, since its key never comes back.
        let text = "WITH gone AS (DELETE FROM registry AS held USING unnest($2::bigint[], $3::text[]) AS wanted(kind, id) \
                    WHERE held.tenant = $1 AND held.kind = wanted.kind AND held.id = wanted.id RETURNING held.rid) \
                    DELETE FROM link WHERE tenant = $1 AND src IN (SELECT rid FROM gone)";
        let (kinds, ids): (Vec<i64>, Vec<&str>) = written.gone.iter().copied().unzip();
        query(text).bind(tenant).bind(kinds).bind(ids).execute(&mut *connection).await?;
    }
    if written.kept.is_empty() {
        return Ok(());
    }
    let text = "INSERT INTO registry (tenant, kind, id, version, digests) \
                SELECT $1, kept.kind, kept.id, kept.version, kept.digests \
                FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bytea[]) AS kept(kind, id, version, digests) \
                ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, digests = excluded.digests";
    let kept = &written.kept;
    query(text)
        .bind(tenant)
        .bind(kept.iter().map(|record| record.0).collect::<Vec<_>>())
        .bind(kept.iter().map(|record| record.1).collect::<Vec<_>>())
        .bind(kept.iter().map(|record| i64::try_from(record.2).unwrap_or(i64::MAX)).collect::<Vec<_>>())
        .bind(kept.iter().map(|record| record.3.to_bytes()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

async fn free(connection: &mut PgConnection, tenant: i64, freed: &[Unique<'_>]) -> Result<(), Failure> {
    if freed.is_empty() {
        return Ok(());
    }
    let text = "DELETE FROM taken USING unnest($2::bigint[], $3::text[], $4::bytea[]) AS freed(kind, property, mark) \
                WHERE taken.tenant = $1 AND taken.kind = freed.kind AND taken.property = freed.property \
                AND taken.mark = freed.mark";
    query(text)
        .bind(tenant)
        .bind(freed.iter().map(|value| value.0).collect::<Vec<_>>())
        .bind(freed.iter().map(|value| value.1).collect::<Vec<_>>())
        .bind(freed.iter().map(|value| mark(value.2)).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes who has which unique value.
pub(super) async fn take(connection: &mut PgConnection, tenant: i64, taken: &[Unique<'_>]) -> Result<(), Failure> {
    if taken.is_empty() {
        return Ok(());
    }
    let text = "INSERT INTO taken (tenant, kind, property, mark, value, id) \
                SELECT $1, now.kind, now.property, now.mark, now.value, now.id \
                FROM unnest($2::bigint[], $3::text[], $4::bytea[], $5::text[], $6::text[]) AS now(kind, property, mark, value, id) \
                ON CONFLICT (tenant, kind, property, mark) DO UPDATE SET id = excluded.id";
    query(text)
        .bind(tenant)
        .bind(taken.iter().map(|value| value.0).collect::<Vec<_>>())
        .bind(taken.iter().map(|value| value.1).collect::<Vec<_>>())
        .bind(taken.iter().map(|value| mark(value.2)).collect::<Vec<_>>())
        .bind(taken.iter().map(|value| value.2).collect::<Vec<_>>())
        .bind(taken.iter().map(|value| value.3.clone().unwrap_or_default()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

async fn forget_links(connection: &mut PgConnection, tenant: i64, written: &Written<'_>) -> Result<(), Failure> {
    if written.unlinked.is_empty() {
        return Ok(());
    }
    let text = "DELETE FROM link USING unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[]) \
                AS gone(kind, a_kind, a, b_kind, b, key), registry AS a, registry AS b \
                WHERE a.tenant = $1 AND a.kind = gone.a_kind AND a.id = gone.a \
                AND b.tenant = $1 AND b.kind = gone.b_kind AND b.id = gone.b \
                AND link.tenant = $1 AND link.kind = gone.kind AND link.src = a.rid AND link.dst = b.rid AND link.key = gone.key";
    let (ends, keys) = Ends::parallel(written.unlinked.iter());
    ends.bind(query(text).bind(tenant)).bind(keys).execute(connection).await?;
    Ok(())
}

async fn note_links(connection: &mut PgConnection, tenant: i64, written: &Written<'_>) -> Result<(), Failure> {
    if written.linked.is_empty() {
        return Ok(());
    }
    let text = "INSERT INTO link (tenant, kind, src, dst, key, digests) \
                SELECT $1, noted.kind, a.rid, b.rid, noted.key, noted.digests \
                FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bytea[]) \
                AS noted(kind, a_kind, a, b_kind, b, key, digests) \
                JOIN registry AS a ON a.tenant = $1 AND a.kind = noted.a_kind AND a.id = noted.a \
                JOIN registry AS b ON b.tenant = $1 AND b.kind = noted.b_kind AND b.id = noted.b \
                ON CONFLICT (tenant, kind, src, dst, key) DO UPDATE SET digests = excluded.digests";
    let (ends, keys) = Ends::parallel(written.linked.iter().map(|(link, _)| link));
    let digests: Vec<Vec<u8>> = written.linked.iter().map(|(_, digests)| digests.to_bytes()).collect();
    ends.bind(query(text).bind(tenant)).bind(keys).bind(digests).execute(connection).await?;
    Ok(())
}
