//! Whether the stores hold what the log says: the log is summed up, and what comes of it is looked for in the graph, among the rows and
//! among the vectors, record by record, with the eyes of whoever runs the gateway.
//!
//! The sum of one tenant's log is held in memory while it is compared: about the size of the tenant's records. Properties and
//! relationships that the ontology does not name any more are not compared, as nobody can ask for them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, Instant};

use quipu_resolvers::Ports;
use quipu_resolvers::change::{Op, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{self, Principal, TenantId};
use quipu_resolvers::ports::{Call, Trace};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Sort, Target, Via, Window};
use quipu_resolvers::value::Value;
use quipu_resolvers::ways;
use quipu_schema::ontology::{Direction, EntityType, Ontology, Property, Relationship};
use quipu_schema::policy::Operator;
use serde_json::{Map, Value as Json};

/// Entries of the log that are read at once.
const ENTRIES: u32 = 500;
/// Records that are compared at once.
const RECORDS: u32 = 500;
/// Longest time for one read.
const PATIENCE: Duration = Duration::from_secs(60);
/// Differences that are described; the others are counted.
const SHOWN: usize = 20;

/// Properties by stored name.
type Props = Map<String, Json>;
/// Relationships that begin at a node: type, end and key, with their properties.
type Links = BTreeMap<(String, Ref, String), Props>;

/// What a tenant's log comes to.
#[derive(Debug, Default)]
pub struct Sum {
    /// Position of the log up to which it was summed up.
    pub position: u64,
    /// By type and id.
    records: HashMap<String, BTreeMap<String, Props>>,
    links: HashMap<Ref, Links>,
    /// Who has relationships that end at a node.
    ends: HashMap<Ref, Vec<Ref>>,
}

/// What was compared, and where stores and log differ.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Nodes and rows that were compared.
    pub records: u64,
    /// Relationships that were compared.
    pub relationships: u64,
    /// Vectors that were looked for.
    pub vectors: u64,
    /// How many differences there are.
    pub differences: u64,
    /// The first of them, in words.
    pub shown: Vec<String>,
}

impl Outcome {
    /// Whether stores and log agree.
    pub fn is_equal(&self) -> bool {
        self.differences == 0
    }

    fn differs(&mut self, what: impl FnOnce() -> String) {
        self.differences += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(what());
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records, {} relationships, {} vectors", self.records, self.relationships, self.vectors)
    }
}

impl Sum {
    /// Sums up a tenant's log.
    ///
    /// # Errors
    /// The metadata store's.
    pub async fn of(ports: &Ports, tenant: &TenantId) -> Result<Self, Fault> {
        let mut sum = Self::default();
        loop {
            let entries = ports.metadata.log(tenant, sum.position, ENTRIES).await?;
            let Some(last) = entries.last() else { return Ok(sum) };
            sum.position = last.seq;
            for op in entries.into_iter().flat_map(|entry| entry.change.ops) {
                sum.add(op);
            }
        }
    }

    /// Adds an operation.
    pub fn add(&mut self, op: Op) {
        match op {
            Op::Put { record, set, .. } => {
                merge(self.records.entry(record.of).or_default().entry(record.id).or_default(), set);
            }
            Op::Delete { record, .. } => {
                if let Some(of_type) = self.records.get_mut(&record.of) {
                    of_type.remove(&record.id);
                }
                self.links.remove(&record);
                for start in self.ends.remove(&record).unwrap_or_default() {
                    if let Some(links) = self.links.get_mut(&start) {
                        links.retain(|(_, end, _), _| *end != record);
                    }
                }
            }
            Op::Link { relationship_type, from, to, key, set } => {
                self.ends.entry(to.clone()).or_default().push(from.clone());
                merge(self.links.entry(from).or_default().entry((relationship_type, to, key)).or_default(), set);
            }
            Op::Unlink { relationship_type, from, to, key } => {
                if let Some(links) = self.links.get_mut(&from) {
                    links.retain(|(of, end, held), _| {
                        *of != relationship_type || *end != to || key.as_ref().is_some_and(|key| key != held)
                    });
                }
            }
            Op::Foreign { .. } => {}
        }
    }

    /// Compares with what the stores hold. With `vectors`, texts must have theirs.
    ///
    /// # Errors
    /// A store's.
    pub async fn compare(
        &self,
        ports: &Ports,
        tenant: &TenantId,
        ontology: &Ontology,
        vectors: bool,
    ) -> Result<Outcome, Fault> {
        let mut outcome = Outcome::default();
        // What is in tables of others is not in the log.
        for entity in ontology.types.values().filter(|entity| entity.mapped().is_none()) {
            let look = Look { ports, tenant, ontology, entity };
            let of_type = self.records.get(&entity.name).into_iter().flatten();
            let mut left: BTreeMap<&str, &Props> = of_type.map(|(id, props)| (id.as_str(), props)).collect();
            let mut upto = None;
            loop {
                let rows = look.after(upto.as_deref()).await?;
                let Some(last) = rows.last() else { break };
                upto = Some(last.id.clone());
                for held in &rows {
                    outcome.records += 1;
                    let Some(props) = left.remove(held.id.as_str()) else {
                        outcome.differs(|| format!("{}:{} is in the store, and not in the log", entity.name, held.id));
                        continue;
                    };
                    look.properties(held, props, &mut outcome);
                    self.relationships(&look, held, &mut outcome);
                }
                if vectors {
                    look.vectors(&rows, &mut outcome).await?;
                }
            }
            for id in left.keys() {
                outcome.differs(|| format!("{}:{id} is in the log, and not in the store", entity.name));
            }
        }
        Ok(outcome)
    }

    fn relationships(&self, look: &Look<'_>, held: &Held, outcome: &mut Outcome) {
        let record = Ref { of: look.entity.name.clone(), id: held.id.clone() };
        let none = Links::new();
        let links = self.links.get(&record).unwrap_or(&none);
        for (way, found) in look.ways().zip(&held.links) {
            let wanted = links.iter().filter(|((of, end, _), _)| {
                *of == way.relationship_type && look.ontology.members(&way.target).iter().any(|t| t.name == end.of)
            });
            let wanted: BTreeMap<(&str, &str, &str), &Props> = wanted
                .map(|((_, end, key), props)| ((end.of.as_str(), end.id.as_str(), key.as_str()), props))
                .collect();
            outcome.relationships += wanted.len() as u64;
            let what = || format!("{}:{}-[{}]", record.of, record.id, way.relationship_type);
            if found.len() != wanted.len() {
                outcome.differs(|| format!("{} leads to {}, and to {} in the log", what(), found.len(), wanted.len()));
                continue;
            }
            for (end, props) in found {
                match wanted.get(&(end.0.as_str(), end.1.as_str(), end.2.as_str())) {
                    Some(wanted) if look.edge_properties(way).all(|(name, at)| same(&props[at], wanted.get(name))) => {}
                    Some(_) => outcome.differs(|| format!("{} to {} has other properties", what(), end.1)),
                    None => outcome.differs(|| format!("{} to {} is not in the log", what(), end.1)),
                }
            }
        }
    }
}

fn merge(held: &mut Props, set: Props) {
    for (name, value) in set {
        match value {
            Json::Null => drop(held.remove(&name)),
            value => drop(held.insert(name, value)),
        }
    }
}

/// Whether a store holds what the log says. A number is the same however it is written.
fn same(held: &Value, logged: Option<&Json>) -> bool {
    equal(&held.to_json(), logged.unwrap_or(&Json::Null))
}

fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        // Large integers are texts in answers.
        (Json::String(a), Json::Number(b)) | (Json::Number(b), Json::String(a)) => *a == b.to_string(),
        (a, b) => a == b,
    }
}

/// A relationship as a store holds it: type and id of its end, its key; and its properties.
type Link = ((String, String, String), Vec<Value>);

/// A record as a store holds it.
struct Held {
    id: String,
    properties: Vec<Value>,
    /// For each way.
    links: Vec<Vec<Link>>,
}

/// The records of a type.
struct Look<'a> {
    ports: &'a Ports,
    tenant: &'a TenantId,
    ontology: &'a Ontology,
    entity: &'a EntityType,
}

impl Look<'_> {
    /// Relationship fields that lead away from the type's nodes.
    fn ways(&self) -> impl Iterator<Item = &Relationship> {
        self.entity.relationships.values().filter(|way| way.direction == Direction::Out)
    }

    fn stored(&self) -> impl Iterator<Item = &Property> {
        self.entity.properties.values().filter(|property| property.stored != "id")
    }

    /// Stored names of a relationship's properties, with their places.
    fn edge_properties(&self, way: &Relationship) -> impl Iterator<Item = (&str, usize)> {
        let edge = way.properties.as_ref().and_then(|name| self.ontology.edge_types.get(name));
        let properties = edge.into_iter().flat_map(|edge| edge.properties.values());
        properties.enumerate().map(|(at, property)| (property.stored.as_str(), at))
    }

    /// The next records, in the order of their ids.
    async fn after(&self, upto: Option<&str>) -> Result<Vec<Held>, Fault> {
        let filter = upto.map_or(Predicate::True, |upto| Predicate::Compare {
            field: Field::Id,
            operator: Operator::Gt,
            value: Value::from(upto),
        });
        let properties = self.stored().map(|property| Pick::Field(ways::field(property)));
        let links = self.ways().map(|way| Pick::Read(Box::new(self.along(way))));
        let picks: Vec<Pick> = std::iter::once(Pick::Field(Field::Id)).chain(properties).chain(links).collect();
        let read = Read {
            place: ways::place(self.entity),
            via: Via::Root,
            targets: vec![Target { of: self.entity.name.clone(), filter, visible: Predicate::True, picks }],
            sort: vec![Sort { field: Field::Id, descending: false }],
            window: Window { limit: Some(RECORDS), ..Window::default() },
            rows: true,
            total: false,
            figures: Vec::new(),
        };
        let rows = read.place == Place::Rows;
        let read = guard::read(&Principal::operator(self.tenant, None), self.ontology, read)?;
        let trace = Trace::default();
        let call = Call { deadline: Instant::now() + PATIENCE, trace: &trace };
        let found = match rows {
            true => self.ports.metadata.read(&read, call).await?,
            false => self.ports.graph.read(&read, call).await?,
        };
        let held = found.as_list().and_then(|rows| rows.iter().map(|row| self.held(row)).collect::<Option<_>>());
        held.ok_or_else(|| Fault::internal("compare", "records were asked for, and something else came"))
    }

    /// Everything along a way.
    fn along(&self, way: &Relationship) -> Read {
        let edge = way.properties.as_ref().and_then(|name| self.ontology.edge_types.get(name));
        let properties = edge.into_iter().flat_map(|edge| edge.properties.values()).map(ways::edge_field);
        let picks: Vec<Pick> = [Field::Id, Field::EdgeKey].into_iter().chain(properties).map(Pick::Field).collect();
        let target =
            |name: String| Target { of: name, filter: Predicate::True, visible: Predicate::True, picks: picks.clone() };
        Read {
            place: Place::Nodes,
            via: Via::Relationship { relationship_type: way.relationship_type.clone(), direction: way.direction },
            targets: ways::names(self.ontology, &way.target).into_iter().map(target).collect(),
            sort: Vec::new(),
            window: Window::default(),
            rows: true,
            total: false,
            figures: Vec::new(),
        }
    }

    fn held(&self, row: &Value) -> Option<Held> {
        let (id, rest) = row.as_list()?.split_first()?;
        let (properties, links) = rest.split_at_checked(self.stored().count())?;
        let links = self.ways().zip(links).map(|(way, outcome)| {
            let names = ways::names(self.ontology, &way.target);
            outcome.as_list()?.iter().map(|row| end(&names, row)).collect::<Option<Vec<_>>>()
        });
        let (id, properties) = (id.as_text()?.to_owned(), properties.to_vec());
        Some(Held { id, properties, links: links.collect::<Option<_>>()? })
    }

    fn properties(&self, held: &Held, logged: &Props, outcome: &mut Outcome) {
        for (property, value) in self.stored().zip(&held.properties) {
            let logged = logged.get(&property.stored);
            if !same(value, logged) {
                outcome.differs(|| {
                    let logged = logged.unwrap_or(&Json::Null);
                    format!(
                        "{}:{}.{} is {}, and {logged} in the log",
                        self.entity.name,
                        held.id,
                        property.name,
                        value.to_json()
                    )
                });
            }
        }
    }

    /// Looks for the vectors of texts, and for vectors without a text.
    async fn vectors(&self, rows: &[Held], outcome: &mut Outcome) -> Result<(), Fault> {
        for (at, property) in self.stored().enumerate().filter(|(_, property)| property.embed) {
            let is_text = |held: &&Held| held.properties[at].as_text().is_some_and(|text| !text.trim().is_empty());
            let (with, without): (Vec<&Held>, Vec<&Held>) = rows.iter().partition(is_text);
            let ids = |held: &[&Held]| held.iter().map(|held| held.id.clone()).collect::<Vec<_>>();
            let lacking =
                async |ids| self.ports.vectors.lacking(self.tenant, &self.entity.name, &property.stored, ids).await;
            outcome.vectors += with.len() as u64;
            for id in lacking(ids(&with)).await? {
                outcome.differs(|| format!("{}:{id}.{} has a text and no vector", self.entity.name, property.name));
            }
            let none = lacking(ids(&without)).await?.len();
            if none < without.len() {
                let some = without.len() - none;
                outcome.differs(|| format!("{some} {}.{} have a vector and no text", self.entity.name, property.name));
            }
        }
        Ok(())
    }
}

/// The end of a relationship, with the relationship's properties. With several types the type comes first.
fn end(names: &[String], row: &Value) -> Option<Link> {
    let row = row.as_list()?;
    let (of, row) = match names {
        [one] => (one, row),
        _ => {
            let (index, row) = row.split_first()?;
            (names.get(usize::try_from(index.as_int()?).ok()?)?, row)
        }
    };
    let [id, key, properties @ ..] = row else { return None };
    let end = (of.clone(), id.as_text()?.to_owned(), key.as_text().unwrap_or_default().to_owned());
    Some((end, properties.to_vec()))
}
