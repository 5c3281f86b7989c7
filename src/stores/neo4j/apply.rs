//! Applying the log: entries in order, as sets, in one transaction with the position.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use neo4rs::{Row, Txn};
use quipu_resolvers::change::{Entry, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Applied, Standing};

use super::failure::Failure;
use super::session::{Work, query};
use super::{BACKGROUND, Neo4j, column, rows};
use crate::stores::cypher::apply::{self, Texts, Way};
use crate::stores::cypher::{Labels, Scope, Statement, Tenancy, texts};
use crate::stores::fold::{Folded, fold};

/// Records in one statement.
const PORTION: usize = 5_000;

impl Neo4j {
    /// Applies entries; those at or before the position are passed over.
    pub(super) async fn follow(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault> {
        let deadline = Instant::now() + BACKGROUND;
        let (tenancy, labels) = (self.tenancy(tenant), self.labels(tenant));
        self.ensure(&named(entries, &labels), deadline).await.map_err(Failure::fault)?;
        let scope = Scope { tenancy: &tenancy, labels: &labels };
        let name = self.name(tenant);
        let writing = Writing { tenant: &name, scope, entries };
        self.0.sessions.transact(&writing, deadline).await.map_err(Failure::fault)
    }

    /// How far the log was followed.
    pub(super) async fn reached(&self, tenant: &TenantId) -> Result<u64, Fault> {
        let statement = apply::position(&self.name(tenant));
        let rows = self.0.sessions.read(&statement, Instant::now() + BACKGROUND).await.map_err(Failure::fault)?;
        let Some(row) = rows.first() else { return Ok(0) };
        position(row).map_err(Failure::fault)
    }

    /// The same, with which making of the graph it is, and whether that is being removed.
    pub(super) async fn stands(&self, tenant: &TenantId) -> Result<Standing, Fault> {
        let statement = apply::standing(&self.name(tenant));
        let rows = self.0.sessions.read(&statement, Instant::now() + BACKGROUND).await.map_err(Failure::fault)?;
        let Some(row) = rows.first() else { return Ok(Standing::default()) };
        let making = column::<i64>(row, "making").map(i64::unsigned_abs);
        let (making, leaving) = making
            .and_then(|making| Ok((making, column(row, "leaving")?)))
            .map_err(|cause| Failure::Answer(cause).fault())?;
        Ok(Standing { position: position(row).map_err(Failure::fault)?, making, leaving })
    }
}

/// Labels and types of relationships that entries write.
fn named(entries: &[Entry], labels: &Labels) -> BTreeSet<Named> {
    let folded = fold(entries.iter().flat_map(|entry| &entry.change.ops));
    let nodes = folded.nodes.keys().map(|record| Named::Label(labels.first(&record.of).to_owned()));
    let links = folded.links.keys().map(|((of, _, _), _)| Named::Relationship((*of).to_owned()));
    nodes.chain(links).collect()
}

/// What has a constraint or an index of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    /// A label.
    Label(String),
    /// A type of relationships.
    Relationship(String),
}

fn position(row: &Row) -> Result<u64, Failure> {
    let position: i64 = column(row, "position").map_err(Failure::Answer)?;
    u64::try_from(position).map_err(|error| Failure::Answer(error.to_string()))
}

/// The rows of a statement in a transaction.
pub(super) async fn fetch(transaction: &mut Txn, statement: &Statement) -> Result<Vec<Row>, Failure> {
    let mut stream = transaction.execute(query(statement, None)).await?;
    let mut rows = Vec::new();
    while let Some(row) = stream.next(transaction.handle()).await? {
        rows.push(row);
    }
    Ok(rows)
}

/// The sum of a statement's `count`.
pub(super) async fn count(transaction: &mut Txn, statement: &Statement) -> Result<u64, Failure> {
    let rows = fetch(transaction, statement).await?;
    let counts = rows.iter().map(|row| column::<i64>(row, "count"));
    let sum: i64 = counts.sum::<Result<_, _>>().map_err(Failure::Answer)?;
    Ok(u64::try_from(sum).unwrap_or_default())
}

/// Takes the tenant's turn at its graph: the position, and the texts that are indexed.
pub(super) async fn begin(transaction: &mut Txn, tenant: &str) -> Result<(u64, Texts), Failure> {
    let rows = fetch(transaction, &apply::begin(tenant)).await?;
    let row = rows.first().ok_or_else(|| Failure::Answer("no position came back".to_owned()))?;
    let texts: Option<String> = column(row, "texts").map_err(Failure::Answer)?;
    let texts = texts.map(|texts| serde_json::from_str(&texts)).transpose();
    Ok((position(row)?, texts.map_err(|error| Failure::Answer(error.to_string()))?.unwrap_or_default()))
}

/// Notes which texts are indexed.
pub(super) async fn set_texts(transaction: &mut Txn, tenant: &str, texts: &Texts) -> Result<(), Failure> {
    let texts = serde_json::to_string(texts).map_err(|error| Failure::Answer(error.to_string()))?;
    Ok(transaction.run(query(&apply::set_texts(tenant, &texts), None)).await?)
}

/// One tenant's graph, being written.
struct Writing<'a> {
    tenant: &'a str,
    scope: Scope<'a>,
    entries: &'a [Entry],
}

impl Work for Writing<'_> {
    type Done = Applied;

    async fn work(&self, transaction: &mut Txn) -> Result<Applied, Failure> {
        let (position, mut texts) = begin(transaction, self.tenant).await?;
        let entries: Vec<&Entry> = self.entries.iter().filter(|entry| entry.seq > position).collect();
        let Some(last) = entries.last() else { return Ok(Applied::default()) };
        if entries.iter().zip(position + 1..).any(|(entry, seq)| entry.seq != seq) {
            let gap = format!("the log of {} has a gap after position {position}", self.tenant);
            return Err(Failure::Answer(gap));
        }
        let folded = fold(entries.iter().flat_map(|entry| &entry.change.ops));
        if learn(&mut texts, &folded) {
            set_texts(transaction, self.tenant, &texts).await?;
        }
        let applied = Applied {
            relationships_deleted: self.unlink(transaction, &folded).await? + self.delete(transaction, &folded).await?,
            relationships_created: self.put(transaction, &folded, &texts).await?,
        };
        rows::follow(transaction, self.tenant, &folded, &texts).await?;
        transaction.run(query(&apply::set_position(self.tenant, last.seq), None)).await?;
        Ok(applied)
    }
}

impl Writing<'_> {
    async fn unlink(&self, transaction: &mut Txn, folded: &Folded<'_>) -> Result<u64, Failure> {
        let mut ways: BTreeMap<Way<'_>, Vec<apply::Ends<'_>>> = BTreeMap::new();
        for ((of, from, to), key) in &folded.links_gone {
            let way = Way { of, from: &from.of, to: &to.of };
            ways.entry(way).or_default().push((&from.id, &to.id, *key));
        }
        let mut gone = 0;
        for (way, ends) in &ways {
            for portion in ends.chunks(PORTION) {
                gone += count(transaction, &apply::unlink(*way, portion, self.scope)).await?;
            }
        }
        Ok(gone)
    }

    /// Removes nodes with their relationships; says how many of these there were.
    async fn delete(&self, transaction: &mut Txn, folded: &Folded<'_>) -> Result<u64, Failure> {
        let mut gone = 0;
        for (of, ids) in by_type(folded.nodes_gone.iter().copied()) {
            for portion in ids.chunks(PORTION) {
                gone += count(transaction, &apply::cut(of, portion, self.scope)).await?;
                transaction.run(query(&apply::delete(of, portion, self.scope), None)).await?;
                if *self.scope.tenancy == Tenancy::Database {
                    transaction.run(query(&texts::forget(self.tenant, of, portion, self.scope), None)).await?;
                }
            }
        }
        Ok(gone)
    }

    /// Writes nodes, their texts, and relationships; says how many of these were not there before.
    async fn put(&self, transaction: &mut Txn, folded: &Folded<'_>, texts: &Texts) -> Result<u64, Failure> {
        let mut nodes: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (record, set) in &folded.nodes {
            nodes.entry(&record.of).or_default().push((record.id.as_str(), &**set));
        }
        for (of, nodes) in &nodes {
            let names = texts.get(*of).map_or(&[][..], Vec::as_slice);
            for portion in nodes.chunks(PORTION) {
                transaction.run(query(&apply::put(of, portion, self.scope), None)).await?;
                let changed = portion.iter().filter(|(_, set)| names.iter().any(|name| set.contains_key(name)));
                let changed: Vec<&str> = changed.map(|(id, _)| *id).collect();
                if !changed.is_empty() {
                    let index = apply::index(self.tenant, of, &changed, names, self.scope);
                    transaction.run(query(&index, None)).await?;
                }
            }
        }
        let mut ways: BTreeMap<Way<'_>, Vec<_>> = BTreeMap::new();
        for (((of, from, to), key), set) in &folded.links {
            let way = Way { of, from: &from.of, to: &to.of };
            ways.entry(way).or_default().push((from.id.as_str(), to.id.as_str(), *key, &**set));
        }
        let mut made = 0;
        for (way, links) in &ways {
            for portion in links.chunks(PORTION) {
                made += count(transaction, &apply::link(*way, portion, self.scope)).await?;
            }
        }
        Ok(made)
    }
}

pub(super) fn by_type<'a>(records: impl Iterator<Item = &'a Ref>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut types: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in records {
        types.entry(&record.of).or_default().push(&record.id);
    }
    types
}

/// Takes the properties that a change says are indexed; says whether any was new.
fn learn(texts: &mut Texts, folded: &Folded<'_>) -> bool {
    let mut news = false;
    for ((_, of), names) in &folded.embedded {
        let known = texts.entry((*of).to_owned()).or_default();
        for name in names.iter().filter(|name| !known.iter().any(|known| known == *name)).collect::<Vec<_>>() {
            known.push((*name).to_owned());
            news = true;
        }
    }
    news
}
