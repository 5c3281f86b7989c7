//! Everything of a tenant as JSON Lines, in the form that an import takes: nodes, then rows, then relationships, which need both their ends.
//!
//! Documents and their passages are nodes like others, with the ids that they have, since an import that split the text again could come to
//! other passages. Records are read in pages in the order of their ids, with the eyes of whoever runs the gateway, so the whole is never in
//! memory. Each page is of its own moment; [`Exported`] says whether anything was written meanwhile.

use std::time::{Duration, Instant};

use quipu_resolvers::Ports;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{self, Principal, TenantId};
use quipu_resolvers::ports::{Call, Trace};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Sort, Target, Via, Window};
use quipu_resolvers::value::Value;
use quipu_resolvers::ways;
use quipu_schema::ontology::{Direction, EdgeType, EntityType, Ontology, Property};
use quipu_schema::policy::Operator;
use serde_json::{Map, Value as Json};
use tokio::sync::mpsc;

use crate::ingest::batch;
use crate::ingest::records::{Record, Reference};

/// Records that are read at once: some are whole documents.
const RECORDS: u32 = 200;
/// Relationships of one node that are read at once.
const LINKS: u32 = 500;
/// Longest time for one read.
const PATIENCE: Duration = Duration::from_secs(120);

/// Some lines of an export.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Portion {
    /// Whole lines, each with its end.
    pub lines: String,
    /// How many records were gone through for it: all nodes twice, the second time for their relationships, and all rows once.
    pub passed: u64,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// Nodes.
    pub nodes: u64,
    /// Rows.
    pub rows: u64,
    /// Relationships.
    pub relationships: u64,
    /// Types that are left out, since their tables belong to others.
    pub left_out: Vec<String>,
    /// The last position of the log when it began, and when it ended. Where they differ, something was written meanwhile, of which the
    /// export may have a part.
    pub log: (u64, u64),
}

/// What is exported.
pub struct Export<'a> {
    /// The stores.
    pub ports: &'a Ports,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// Its published ontology: what that does not name any more is not exported.
    pub ontology: &'a Ontology,
}

impl Export<'_> {
    /// How many records are to be gone through, in the measure of [`Portion::passed`].
    ///
    /// # Errors
    /// A store's.
    pub async fn size(&self) -> Result<u64, Fault> {
        let mut size = 0;
        for entity in self.own() {
            let read =
                Read { rows: false, total: true, window: Window::default(), ..self.page(entity, None, Vec::new()) };
            let outcome = self.ask(read).await?;
            let count = outcome.as_list().and_then(|parts| parts.get(1)?.as_int()).unwrap_or_default();
            size += u64::try_from(count).unwrap_or_default() * if entity.is_node() { 2 } else { 1 };
        }
        Ok(size)
    }

    /// Sends everything, a portion at a time, as fast as they are taken. Whoever takes no more ends it.
    ///
    /// # Errors
    /// A store's.
    pub async fn run(&self, to: &mpsc::Sender<Portion>) -> Result<Exported, Fault> {
        let mut done = Exported { log: (self.ports.metadata.head(self.tenant).await?, 0), ..Exported::default() };
        for nodes in [true, false] {
            for entity in self.own().filter(|entity| entity.is_node() == nodes) {
                let count = if nodes { &mut done.nodes } else { &mut done.rows };
                if !self.records(entity, count, to).await? {
                    return Ok(done);
                }
            }
        }
        for entity in self.own().filter(|entity| entity.is_node()) {
            if !self.relationships(entity, &mut done.relationships, to).await? {
                return Ok(done);
            }
        }
        let others = self.ontology.types.values().filter(|entity| entity.mapped().is_some());
        done.left_out = others.map(|entity| entity.name.clone()).collect();
        done.log.1 = self.ports.metadata.head(self.tenant).await?;
        Ok(done)
    }

    fn own(&self) -> impl Iterator<Item = &EntityType> {
        self.ontology.types.values().filter(|entity| entity.mapped().is_none())
    }

    /// All records of a type; false when nobody takes them.
    async fn records(&self, entity: &EntityType, count: &mut u64, to: &mpsc::Sender<Portion>) -> Result<bool, Fault> {
        let properties: Vec<&Property> =
            entity.properties.values().filter(|property| property.stored != "id").collect();
        let picks = || properties.iter().map(|property| Pick::Field(ways::field(property))).collect::<Vec<_>>();
        let mut upto = None;
        loop {
            let rows = self.rows(self.page(entity, upto.as_deref(), picks())).await?;
            let mut portion = Portion { passed: rows.len() as u64, ..Portion::default() };
            for row in &rows {
                let (id, values) = split(row)?;
                let (of, id) = (entity.name.clone(), id.to_owned());
                let properties = set(&properties, values);
                upto = Some(id.clone());
                portion.write(&match entity.is_node() {
                    true => Record::Node { node: of, id, properties },
                    false => Record::Row { row: of, id, properties },
                })?;
            }
            *count += portion.passed;
            let last = rows.len() < RECORDS as usize;
            if !rows.is_empty() && to.send(portion).await.is_err() {
                return Ok(false);
            }
            if last {
                return Ok(true);
            }
        }
    }

    /// All relationships that begin at the nodes of a type; false when nobody takes them.
    async fn relationships(
        &self,
        entity: &EntityType,
        count: &mut u64,
        to: &mpsc::Sender<Portion>,
    ) -> Result<bool, Fault> {
        let mut ways = self.ways(entity);
        ways.sort_by(|a, b| (a.of, a.to).cmp(&(b.of, b.to)));
        let mut upto = None;
        loop {
            let picks = ways.iter().map(|way| Pick::Read(Box::new(way.read(0)))).collect();
            let rows = self.rows(self.page(entity, upto.as_deref(), picks)).await?;
            let mut portion = Portion { passed: rows.len() as u64, ..Portion::default() };
            for row in &rows {
                let (id, ends) = split(row)?;
                upto = Some(id.to_owned());
                let from = Reference::new(entity.name.as_str(), id);
                for (way, ends) in ways.iter().zip(ends) {
                    let mut ends = ends.as_list().ok_or_else(odd)?.to_vec();
                    let mut passed = 0;
                    loop {
                        for end in &ends {
                            portion.write(&way.record(from.clone(), end)?)?;
                        }
                        *count += ends.len() as u64;
                        passed += u32::try_from(ends.len()).unwrap_or(u32::MAX);
                        if ends.len() < LINKS as usize {
                            break;
                        }
                        // A node with very many: the next of them, and what is there goes out first.
                        if to.send(std::mem::take(&mut portion)).await.is_err() {
                            return Ok(false);
                        }
                        ends = self.further(entity, id, way, passed).await?;
                    }
                }
            }
            let last = rows.len() < RECORDS as usize;
            if portion != Portion::default() && to.send(portion).await.is_err() {
                return Ok(false);
            }
            if last {
                return Ok(true);
            }
        }
    }

    /// Relationships of one node along a way, after the first ones.
    async fn further(&self, entity: &EntityType, id: &str, way: &Way<'_>, offset: u32) -> Result<Vec<Value>, Fault> {
        let mut read = self.page(entity, None, vec![Pick::Read(Box::new(way.read(offset)))]);
        if let Some(target) = read.targets.first_mut() {
            target.filter = Predicate::equals(Field::Id, Value::from(id));
        }
        let rows = self.rows(read).await?;
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        let (_, ends) = split(row)?;
        Ok(ends.first().and_then(Value::as_list).ok_or_else(odd)?.to_vec())
    }

    /// Ways that lead away from the nodes of a type, whichever end declares them.
    fn ways(&self, entity: &EntityType) -> Vec<Way<'_>> {
        let links = batch::links(self.ontology).into_iter();
        let of_type = links.flat_map(|(of, links)| links.into_iter().map(move |link| (of, link)));
        let away = of_type.filter(|(_, link)| link.from == entity.name);
        away.map(|(of, link)| Way { of, to: link.to, properties: link.properties }).collect()
    }

    /// The next records of a type, in the order of their ids; the id comes first.
    fn page(&self, entity: &EntityType, upto: Option<&str>, picks: Vec<Pick>) -> Read {
        let filter = upto.map_or(Predicate::True, |upto| Predicate::Compare {
            field: Field::Id,
            operator: Operator::Gt,
            value: Value::from(upto),
        });
        let picks = std::iter::once(Pick::Field(Field::Id)).chain(picks).collect();
        Read {
            place: ways::place(entity),
            via: Via::Root,
            targets: vec![Target { of: entity.name.clone(), filter, visible: Predicate::True, picks }],
            sort: vec![Sort { field: Field::Id, descending: false }],
            window: Window { limit: Some(RECORDS), ..Window::default() },
            rows: true,
            total: false,
            figures: Vec::new(),
        }
    }

    async fn rows(&self, read: Read) -> Result<Vec<Value>, Fault> {
        match self.ask(read).await? {
            Value::List(rows) => Ok(rows),
            _ => Err(odd()),
        }
    }

    async fn ask(&self, read: Read) -> Result<Value, Fault> {
        let rows = read.place == Place::Rows;
        let read = guard::read(&Principal::operator(self.tenant, None), self.ontology, read)?;
        let trace = Trace::default();
        let call = Call { deadline: Instant::now() + PATIENCE, trace: &trace };
        if rows { self.ports.metadata.read(&read, call).await } else { self.ports.graph.read(&read, call).await }
    }
}

/// Relationships of one type from nodes of one type to nodes of another.
struct Way<'a> {
    of: &'a str,
    to: &'a str,
    properties: Option<&'a EdgeType>,
}

impl Way<'_> {
    fn edge(&self) -> impl Iterator<Item = &Property> {
        self.properties.into_iter().flat_map(|edge| edge.properties.values())
    }

    fn read(&self, offset: u32) -> Read {
        let fields = [Field::Id, Field::EdgeKey].into_iter().chain(self.edge().map(ways::edge_field));
        let picks = fields.map(Pick::Field).collect();
        Read {
            place: Place::Nodes,
            via: Via::Relationship { relationship_type: self.of.to_owned(), direction: Direction::Out },
            targets: vec![Target { of: self.to.to_owned(), filter: Predicate::True, visible: Predicate::True, picks }],
            sort: [Field::Id, Field::EdgeKey].map(|field| Sort { field, descending: false }).to_vec(),
            window: Window { limit: Some(LINKS), offset, ..Window::default() },
            rows: true,
            total: false,
            figures: Vec::new(),
        }
    }

    fn record(&self, from: Reference, end: &Value) -> Result<Record, Fault> {
        let [id, key, values @ ..] = end.as_list().ok_or_else(odd)? else { return Err(odd()) };
        let edge: Vec<&Property> = self.edge().collect();
        Ok(Record::Relationship {
            relationship: self.of.to_owned(),
            from,
            to: Reference::new(self.to, id.as_text().ok_or_else(odd)?),
            key: key.as_text().filter(|key| !key.is_empty()).map(str::to_owned),
            properties: set(&edge, values),
        })
    }
}

impl Portion {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        self.lines += &serde_json::to_string(record).map_err(|error| Fault::internal("export", error))?;
        self.lines.push('\n');
        Ok(())
    }
}

/// A record's id, and what else was asked of it.
fn split(row: &Value) -> Result<(&str, &[Value]), Fault> {
    let (id, rest) = row.as_list().and_then(<[Value]>::split_first).ok_or_else(odd)?;
    Ok((id.as_text().ok_or_else(odd)?, rest))
}

/// Properties by their names. What is absent is left out, but where an import would put a default in its place.
fn set(properties: &[&Property], values: &[Value]) -> Map<String, Json> {
    let given = properties.iter().zip(values).map(|(property, value)| (property, value.to_json()));
    let said = given.filter(|(property, value)| !value.is_null() || (property.default.is_some() && !property.required));
    said.map(|(property, value)| (property.name.clone(), value)).collect()
}

fn odd() -> Fault {
    Fault::internal("export", "records were asked for, and something else came")
}
