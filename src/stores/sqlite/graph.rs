//! Applying the log to the graph: entries in order, as sets, in one transaction with the position.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use async_trait::async_trait;
use quipu_resolvers::change::{Entry, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Applied, Call, Graph, Hit, Matching, StoreName};
use serde_json::{Map, Value as Json, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row, query};

use super::connections::{Failure, within};
use super::fold::{Between, Folded, fold};
use super::records::{merge, object};
use super::{BACKGROUND, Embedded, EmbeddedGraph, known, metadata, records, tenants, text};
use crate::stores::sql::names::{NameOf, Names};

/// The name under which the graph's position is kept.
const FOLLOWER: &str = "graph";

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
}

impl Embedded {
    async fn apply(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault> {
        let part = StoreName::Graph.as_str();
        let deadline = Instant::now() + BACKGROUND;
        let mut lease = self.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let applied = within(deadline, transact(connection, tenant, entries)).await;
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
    let applied = write(&mut transaction, &mut names, folded).await?;
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
    let position = tenants::position(connection, names.tenant, FOLLOWER).await?;
    let entries = metadata::log(connection, tenant, position, u32::MAX).await?;
    let Some(last) = entries.last() else { return Ok(()) };
    write(connection, names, fold(entries.iter().flat_map(|entry| &entry.change.ops))).await?;
    tenants::set_position(connection, names.tenant, FOLLOWER, last.seq).await
}

async fn write(connection: &mut SqliteConnection, names: &mut Names, folded: Folded) -> Result<Applied, Failure> {
    known::intern(connection, names, &names_of(&folded)).await?;
    text::learn(connection, names, &folded.embedded).await?;
    let mut applied = Applied::default();
    applied.relationships_deleted += unlink(connection, names, &folded.links_gone).await?;
    applied.relationships_deleted += delete(connection, names, &folded.nodes_gone).await?;
    let gone = folded.nodes_gone.iter().map(|record| (false, record));
    let gone: Vec<_> = gone.chain(folded.rows_gone.iter().map(|record| (true, record))).collect();
    text::forget(connection, names, &gone).await?;
    let puts = folded.nodes.into_iter();
    let puts = puts.map(|(record, set)| ((names.key(NameOf::Node, &record.of), record.id), set)).collect();
    let nodes = records::put(connection, "node", names.tenant, puts).await?;
    applied.relationships_created += link(connection, names, folded.links).await?;
    text::index(connection, names, &folded.texts, &nodes).await?;
    Ok(applied)
}

fn names_of(folded: &Folded) -> BTreeSet<(NameOf, &str)> {
    let nodes = folded.nodes.keys().map(|record| (NameOf::Node, record.of.as_str()));
    let rows = folded.rows.iter().map(|record| (NameOf::Row, record.of.as_str()));
    let links = folded.links.keys().map(|((of, _, _), _)| (NameOf::Relationship, of.as_str()));
    nodes.chain(rows).chain(links).collect()
}

fn between(names: &Names, (of, from, to): &Between) -> Vec<Json> {
    let node = |record: &Ref| names.key(NameOf::Node, &record.of);
    vec![
        names.key(NameOf::Relationship, of).into(),
        node(from).into(),
        from.id.clone().into(),
        node(to).into(),
        to.id.clone().into(),
    ]
}

async fn unlink(
    connection: &mut SqliteConnection,
    names: &Names,
    gone: &BTreeSet<(Between, Option<String>)>,
) -> Result<u64, Failure> {
    if gone.is_empty() {
        return Ok(0);
    }
    let list = gone.iter().map(|(link, key)| {
        let mut parts = between(names, link);
        parts.push(json!(key));
        Json::Array(parts)
    });
    let text = "DELETE FROM edge WHERE rid IN (SELECT e.rid FROM json_each(?2) AS gone \
                CROSS JOIN node AS a ON a.tenant = ?1 AND a.kind = gone.value ->> 1 AND a.id = gone.value ->> 2 \
                CROSS JOIN node AS b ON b.tenant = ?1 AND b.kind = gone.value ->> 3 AND b.id = gone.value ->> 4 \
                CROSS JOIN edge AS e ON e.tenant = ?1 AND e.kind = gone.value ->> 0 AND e.src = a.rid AND e.dst = b.rid \
                AND e.key = coalesce(gone.value ->> 5, e.key))";
    let list: Json = list.collect();
    let done = query(text).bind(names.tenant).bind(list.to_string()).execute(connection).await?;
    Ok(done.rows_affected())
}

/// Removes nodes with their relationships; says how many of these there were.
async fn delete(connection: &mut SqliteConnection, names: &Names, gone: &BTreeSet<Ref>) -> Result<u64, Failure> {
    if gone.is_empty() {
        return Ok(0);
    }
    let list: Json = gone.iter().map(|record| json!([names.key(NameOf::Node, &record.of), record.id])).collect();
    let list = list.to_string();
    let edges = "WITH gone AS (SELECT node.rid FROM json_each(?2) AS wanted CROSS JOIN node \
                 ON node.tenant = ?1 AND node.kind = wanted.value ->> 0 AND node.id = wanted.value ->> 1), \
                 ways AS (SELECT key FROM kind WHERE tenant = ?1 AND sort = 2) \
                 DELETE FROM edge WHERE rid IN ( \
                 SELECT e.rid FROM gone CROSS JOIN ways CROSS JOIN edge AS e ON e.tenant = ?1 AND e.kind = ways.key AND e.src = gone.rid \
                 UNION SELECT e.rid FROM gone CROSS JOIN ways CROSS JOIN edge AS e ON e.tenant = ?1 AND e.kind = ways.key AND e.dst = gone.rid)";
    let done = query(edges).bind(names.tenant).bind(&list).execute(&mut *connection).await?;
    let nodes = "DELETE FROM node WHERE (tenant, kind, id) IN (SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2))";
    query(nodes).bind(names.tenant).bind(&list).execute(connection).await?;
    Ok(done.rows_affected())
}

/// Writes relationships; says how many of them were not there before.
async fn link(
    connection: &mut SqliteConnection,
    names: &Names,
    links: std::collections::BTreeMap<(Between, String), Map<String, Json>>,
) -> Result<u64, Failure> {
    if links.is_empty() {
        return Ok(0);
    }
    let identity = |((link, key), _): &(_, _)| {
        let mut parts = between(names, link);
        let key: &String = key;
        parts.push(key.clone().into());
        parts
    };
    let links: Vec<((Between, String), Map<String, Json>)> = links.into_iter().collect();
    let identities: Vec<Vec<Json>> = links.iter().map(identity).collect();
    let text = "SELECT wanted.key, json(e.props) FROM json_each(?2) AS wanted \
                CROSS JOIN node AS a ON a.tenant = ?1 AND a.kind = wanted.value ->> 1 AND a.id = wanted.value ->> 2 \
                CROSS JOIN node AS b ON b.tenant = ?1 AND b.kind = wanted.value ->> 3 AND b.id = wanted.value ->> 4 \
                CROSS JOIN edge AS e ON e.tenant = ?1 AND e.kind = wanted.value ->> 0 AND e.src = a.rid AND e.dst = b.rid \
                AND e.key = wanted.value ->> 5";
    let rows = query(text).bind(names.tenant).bind(json!(identities).to_string()).fetch_all(&mut *connection).await?;
    let mut held: HashMap<usize, Map<String, Json>> = HashMap::with_capacity(rows.len());
    for row in rows {
        held.insert(row.try_get::<u32, _>(0)? as usize, object(row.try_get(1)?)?);
    }
    let created = links.len() - held.len();
    let list = identities.into_iter().zip(links).enumerate().map(|(index, (mut parts, (_, set)))| {
        let props = merge(held.remove(&index).unwrap_or_default(), set);
        parts.push(if props.is_empty() { Json::Null } else { Json::Object(props) });
        Json::Array(parts)
    });
    let list: Json = list.collect();
    let text = "INSERT INTO edge (tenant, kind, src, dst, key, props) \
                SELECT ?1, made.value ->> 0, a.rid, b.rid, made.value ->> 5, jsonb(nullif(made.value -> 6, 'null')) \
                FROM json_each(?2) AS made \
                CROSS JOIN node AS a ON a.tenant = ?1 AND a.kind = made.value ->> 1 AND a.id = made.value ->> 2 \
                CROSS JOIN node AS b ON b.tenant = ?1 AND b.kind = made.value ->> 3 AND b.id = made.value ->> 4 WHERE true \
                ON CONFLICT (tenant, kind, src, dst, key) DO UPDATE SET props = excluded.props";
    query(text).bind(names.tenant).bind(list.to_string()).execute(connection).await?;
    Ok(created as u64)
}
