//! Applying the log to the graph: entries in order, as sets, in one transaction with the position.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use quipu_resolvers::change::{Entry, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Applied, Call, Graph, Held, Hit, Matching, SharedGraph, Standing, StoreName};
use quipu_schema::ontology::Ontology;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, query};

use super::accept::json;
use super::connections::{Failure, within};
use super::forget::Part;
use super::records::{by_position, merge};
use super::registry::each;
use super::{BACKGROUND, Embedded, EmbeddedGraph, PUBLISHING, known, metadata, publish, records, tenants, text};
use crate::stores::fold::{Ends, Folded, Set, fold};
use crate::stores::sql::names::{NameOf, Names};
use crate::stores::wanted::between;

/// The name under which the graph's position is kept.
const FOLLOWER: &str = "graph";
/// The name under which it is kept how often the graph was cleared.
const CLEARED: &str = "graph cleared";

#[async_trait]
impl Graph for EmbeddedGraph {
    async fn matching(&self, matching: &Allowed<Matching>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        self.0.matching(matching, call).await
    }

    async fn apply(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault> {
        self.0.apply(tenant, entries).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.0.position(tenant, FOLLOWER, StoreName::Graph).await
    }

    async fn standing(&self, tenant: &TenantId) -> Result<Standing, Fault> {
        let [position, making] = self.0.positions(tenant, [FOLLOWER, CLEARED], StoreName::Graph).await?;
        // It is cleared in one transaction, in which nobody sees it.
        Ok(Standing { position, making, leaving: false })
    }

    async fn prepare(&self, tenant: &TenantId, ontology: &Ontology) -> Result<(), Fault> {
        if self.0.holds_metadata.load(Ordering::Relaxed) {
            return Ok(());
        }
        let part = StoreName::Graph.as_str();
        let deadline = Instant::now() + PUBLISHING;
        let mut lease = self.0.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let prepared = within(deadline, publish::prepare(connection, tenant, ontology)).await;
        if let Ok(names) = &prepared {
            self.0.known.set(tenant, names.clone());
        }
        lease.ended(&prepared);
        prepared.map(|_| ()).map_err(|failure| failure.fault(part))
    }

    async fn forget(&self, tenant: &TenantId, _shared: SharedGraph) -> Result<(), Fault> {
        self.0.forget_part(tenant, Part::Graph).await
    }

    async fn held(&self, tenant: &TenantId, _shared: SharedGraph) -> Result<Vec<Held>, Fault> {
        self.0.held_in(tenant, Part::Graph).await
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Fault> {
        let part = StoreName::Graph.as_str();
        let deadline = Instant::now() + PUBLISHING;
        let mut lease = self.0.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let rows = !self.0.holds_metadata.load(Ordering::Relaxed);
        let cleared = within(deadline, clear(connection, tenant, rows)).await;
        lease.ended(&cleared);
        cleared.map_err(|failure| failure.fault(part))
    }
}

/// Removes what was applied of a tenant's log; with `rows`, those that are kept for searches alone as well.
async fn clear(connection: &mut SqliteConnection, tenant: &TenantId, rows: bool) -> Result<(), Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let names = tenants::ensure(&mut transaction, tenant).await?;
    text::clear(&mut transaction, names.tenant).await?;
    for text in ["DELETE FROM edge WHERE tenant = ?", "DELETE FROM node WHERE tenant = ?"] {
        query(text).bind(names.tenant).execute(&mut *transaction).await?;
    }
    if rows {
        query("DELETE FROM record WHERE tenant = ?").bind(names.tenant).execute(&mut *transaction).await?;
    }
    tenants::set_position(&mut transaction, names.tenant, FOLLOWER, 0).await?;
    let cleared = tenants::position(&mut transaction, names.tenant, CLEARED).await?;
    tenants::set_position(&mut transaction, names.tenant, CLEARED, cleared + 1).await?;
    Ok(transaction.commit().await?)
}

impl Embedded {
    async fn apply(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault> {
        let part = StoreName::Graph.as_str();
        let deadline = Instant::now() + BACKGROUND;
        let mut lease = self.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        // Where rows are kept elsewhere, those of the log are kept here as well: searches ask conditions of them.
        let rows = !self.holds_metadata.load(Ordering::Relaxed);
        let applied = within(deadline, transact(connection, tenant, entries, rows)).await;
        if let Ok((_, names)) = &applied {
            self.known.set(tenant, names.clone());
        }
        lease.ended(&applied);
        Ok(applied.map_err(|failure| failure.fault(part))?.0)
    }
}

async fn transact(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    entries: &[Entry],
    rows: bool,
) -> Result<(Applied, Names), Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut names = tenants::ensure(&mut transaction, tenant).await?;
    let position = tenants::position(&mut transaction, names.tenant, FOLLOWER).await?;
    let entries: Vec<&Entry> = entries.iter().filter(|entry| entry.seq > position).collect();
    let Some(last) = entries.last() else {
        transaction.rollback().await?;
        return Ok((Applied::default(), names));
    };
    if entries.iter().zip(position + 1..).any(|(entry, seq)| entry.seq != seq) {
        let gap = format!("the log of {tenant} has a gap after position {position}");
        return Err(Failure::Store(sqlx::Error::Protocol(gap)));
    }
    let folded = fold(entries.iter().flat_map(|entry| &entry.change.ops));
    let applied = write(&mut transaction, &mut names, folded, rows).await?;
    tenants::set_position(&mut transaction, names.tenant, FOLLOWER, last.seq).await?;
    transaction.commit().await?;
    Ok((applied, names))
}

/// Applies what the log holds and the graph does not, inside a transaction that is about to look at the nodes.
pub(super) async fn catch_up(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    names: &mut Names,
) -> Result<(), Failure> {
    // The log comes in portions.
    loop {
        let position = tenants::position(connection, names.tenant, FOLLOWER).await?;
        let entries = metadata::log(connection, tenant, position, u32::MAX).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        write(connection, names, fold(entries.iter().flat_map(|entry| &entry.change.ops)), false).await?;
        tenants::set_position(connection, names.tenant, FOLLOWER, last.seq).await?;
    }
}

async fn write(
    connection: &mut SqliteConnection,
    names: &mut Names,
    folded: Folded<'_>,
    rows: bool,
) -> Result<Applied, Failure> {
    known::intern(connection, names, &names_of(&folded)).await?;
    text::learn(connection, names, &folded.embedded).await?;
    let mut applied = Applied::default();
    applied.relationships_deleted += unlink(connection, names, &folded.links_gone).await?;
    applied.relationships_deleted += delete(connection, names, &folded.nodes_gone).await?;
    let gone = folded.nodes_gone.iter().map(|record| (false, *record));
    let gone: Vec<_> = gone.chain(folded.rows_gone.iter().map(|record| (true, *record))).collect();
    text::forget(connection, names, &gone).await?;
    // Whoever wrote a change may not have known yet that a text of it is embedded.
    let mut texts = folded.texts;
    for (row, sets) in [(false, &folded.nodes), (true, &folded.rows)] {
        let changed = |record: &Ref, set: &Set<'_>| {
            names.embedded(names.key(NameOf::record(row), &record.of)).iter().any(|name| set.contains_key(name))
        };
        texts.extend(sets.iter().filter(|(record, set)| changed(record, set)).map(|(record, _)| (row, *record)));
    }
    let key = |record: &Ref| names.key(NameOf::Node, &record.of);
    let puts = folded.nodes.into_iter().map(|(record, set)| ((key(record), record.id.as_str()), set)).collect();
    let nodes = records::put(connection, "node", names.tenant, puts).await?;
    if rows {
        let key = |record: &Ref| names.key(NameOf::Row, &record.of);
        let gone: Vec<(i64, &str)> = folded.rows_gone.iter().map(|record| (key(record), record.id.as_str())).collect();
        records::remove(connection, names.tenant, &gone).await?;
        let puts = folded.rows.into_iter().map(|(record, set)| ((key(record), record.id.as_str()), set)).collect();
        records::put(connection, "record", names.tenant, puts).await?;
    }
    applied.relationships_created += link(connection, names, folded.links).await?;
    text::index(connection, names, &texts, &nodes).await?;
    Ok(applied)
}

fn names_of<'a>(folded: &Folded<'a>) -> BTreeSet<(NameOf, &'a str)> {
    let nodes = folded.nodes.keys().map(|record| (NameOf::Node, record.of.as_str()));
    let rows = folded.rows.keys().map(|record| (NameOf::Row, record.of.as_str()));
    let links = folded.links.keys().map(|((of, _, _), _)| (NameOf::Relationship, *of));
    nodes.chain(rows).chain(links).collect()
}

async fn unlink(
    connection: &mut SqliteConnection,
    names: &Names,
    gone: &BTreeSet<(Ends<'_>, Option<&str>)>,
) -> Result<u64, Failure> {
    let list = gone.iter().map(|((of, from, to), key)| {
        let (of, from, start, to, end) = between(names, of, from, to);
        (of, from, start, to, end, key)
    });
    let text = "DELETE FROM edge WHERE rid IN (SELECT e.rid FROM json_each(?2) AS gone \
                CROSS JOIN node AS a ON a.tenant = ?1 AND a.kind = gone.value ->> 1 AND a.id = gone.value ->> 2 \
                CROSS JOIN node AS b ON b.tenant = ?1 AND b.kind = gone.value ->> 3 AND b.id = gone.value ->> 4 \
                CROSS JOIN edge AS e ON e.tenant = ?1 AND e.kind = gone.value ->> 0 AND e.src = a.rid AND e.dst = b.rid \
                AND e.key = coalesce(gone.value ->> 5, e.key))";
    each(connection, names.tenant, &list.collect::<Vec<_>>(), text).await
}

/// Removes nodes with their relationships; says how many of these there were.
async fn delete(connection: &mut SqliteConnection, names: &Names, gone: &BTreeSet<&Ref>) -> Result<u64, Failure> {
    let list = gone.iter().map(|record| (names.key(NameOf::Node, &record.of), record.id.as_str()));
    let list: Vec<(i64, &str)> = list.collect();
    let edges = "WITH gone AS (SELECT node.rid FROM json_each(?2) AS wanted CROSS JOIN node \
                 ON node.tenant = ?1 AND node.kind = wanted.value ->> 0 AND node.id = wanted.value ->> 1), \
                 ways AS (SELECT key FROM kind WHERE tenant = ?1 AND sort = 2) \
                 DELETE FROM edge WHERE rid IN ( \
                 SELECT e.rid FROM gone CROSS JOIN ways CROSS JOIN edge AS e ON e.tenant = ?1 AND e.kind = ways.key AND e.src = gone.rid \
                 UNION SELECT e.rid FROM gone CROSS JOIN ways CROSS JOIN edge AS e ON e.tenant = ?1 AND e.kind = ways.key AND e.dst = gone.rid)";
    let went = each(connection, names.tenant, &list, edges).await?;
    let nodes = "DELETE FROM node WHERE (tenant, kind, id) IN (SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2))";
    each(connection, names.tenant, &list, nodes).await?;
    Ok(went)
}

/// Writes relationships; says how many of them were not there before.
async fn link(
    connection: &mut SqliteConnection,
    names: &Names,
    links: BTreeMap<(Ends<'_>, &str), Set<'_>>,
) -> Result<u64, Failure> {
    if links.is_empty() {
        return Ok(0);
    }
    let identities = links.keys().map(|((of, from, to), key)| {
        let (of, from, start, to, end) = between(names, of, from, to);
        (of, from, start, to, end, *key)
    });
    let identities: Vec<_> = identities.collect();
    let text = "SELECT wanted.key, json(e.props) FROM json_each(?2) AS wanted \
                CROSS JOIN node AS a ON a.tenant = ?1 AND a.kind = wanted.value ->> 1 AND a.id = wanted.value ->> 2 \
                CROSS JOIN node AS b ON b.tenant = ?1 AND b.kind = wanted.value ->> 3 AND b.id = wanted.value ->> 4 \
                CROSS JOIN edge AS e ON e.tenant = ?1 AND e.kind = wanted.value ->> 0 AND e.src = a.rid AND e.dst = b.rid \
                AND e.key = wanted.value ->> 5";
    let rows = query(text).bind(names.tenant).bind(json(&identities)?).fetch_all(&mut *connection).await?;
    let mut held = by_position(&rows)?;
    let created = links.len() - held.len();
    let made = identities.into_iter().zip(links.into_values()).enumerate().map(|(position, (identity, set))| {
        let props = merge(held.remove(&position), set);
        (identity.0, identity.1, identity.2, identity.3, identity.4, identity.5, (!props.is_empty()).then_some(props))
    });
    let text = "INSERT INTO edge (tenant, kind, src, dst, key, props) \
                SELECT ?1, made.value ->> 0, a.rid, b.rid, made.value ->> 5, jsonb(nullif(made.value -> 6, 'null')) \
                FROM json_each(?2) AS made \
                CROSS JOIN node AS a ON a.tenant = ?1 AND a.kind = made.value ->> 1 AND a.id = made.value ->> 2 \
                CROSS JOIN node AS b ON b.tenant = ?1 AND b.kind = made.value ->> 3 AND b.id = made.value ->> 4 WHERE true \
                ON CONFLICT (tenant, kind, src, dst, key) DO UPDATE SET props = excluded.props";
    each(connection, names.tenant, &made.collect::<Vec<_>>(), text).await?;
    Ok(created as u64)
}
