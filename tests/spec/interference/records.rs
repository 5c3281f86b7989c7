//! The records of a tenant: drawn, written into the stores, and changed where nobody may notice.

use std::collections::BTreeMap;
use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use quipu_resolvers::change::{Change, Mode, Op, Ref};
use serde_json::{Map, Value as Json};

use super::condition::value;
use super::skeleton::{EDGE_FIELDS, EDGES, Sort, TYPES, fields};

/// All records of a tenant.
#[derive(Clone, Default)]
pub struct Data {
    pub records: Vec<Record>,
    pub edges: Vec<Edge>,
}

/// A node or row; absent values are not in it.
#[derive(Debug, Clone)]
pub struct Record {
    pub of: usize,
    pub id: String,
    pub values: BTreeMap<&'static str, Json>,
}

/// A relationship.
#[derive(Debug, Clone)]
pub struct Edge {
    kind: usize,
    /// Type and number of the start.
    pub from: (usize, u8),
    /// Type and number of the end.
    pub to: (usize, u8),
    pub values: BTreeMap<&'static str, Json>,
}

/// Records of all types under the same few ids, and what connects them.
pub fn data() -> impl Strategy<Value = Data> {
    let records: Vec<_> = (0..TYPES.len()).map(|of| vec(record(of), 0..7)).collect();
    (records, vec(edge(), 0..36)).prop_map(|(records, edges)| {
        let mut data = Data::default();
        for record in records.into_iter().flatten() {
            if !data.records.iter().any(|known| (known.of, &known.id) == (record.of, &record.id)) {
                data.records.push(record);
            }
        }
        for edge in edges {
            let known = |other: &Edge| (other.kind, other.from, other.to) == (edge.kind, edge.from, edge.to);
            if data.find(edge.from).is_some() && data.find(edge.to).is_some() && !data.edges.iter().any(known) {
                data.edges.push(edge);
            }
        }
        data
    })
}

fn record(of: usize) -> impl Strategy<Value = Record> {
    (1_u8..6, any::<[u8; 10]>()).prop_map(move |(id, numbers)| {
        let id = id.to_string();
        let mut values = BTreeMap::from([("id", Json::from(id.clone()))]);
        for ((name, sort), n) in fields(&[of]).into_iter().skip(1).zip(numbers) {
            if name == "name" || n < 200 {
                values.insert(name, value(name, sort, n));
            }
        }
        Record { of, id, values }
    })
}

fn edge() -> impl Strategy<Value = Edge> {
    (0..EDGES.len(), 1_u8..6, 1_u8..6, any::<[u8; 2]>()).prop_map(|(kind, from, to, numbers)| {
        let (name, start, end) = EDGES[kind];
        let mut values = BTreeMap::new();
        for (field, n) in EDGE_FIELDS.into_iter().zip(numbers) {
            if name == "HOLDS" && n < 200 {
                values.insert(field, value(field, Sort::Int, n));
            }
        }
        Edge { kind, from: (start, from), to: (end, to), values }
    })
}

impl Data {
    /// The record of a type with that number.
    pub fn find(&self, (of, id): (usize, u8)) -> Option<&Record> {
        self.records.iter().find(|record| record.of == of && record.id == id.to_string())
    }

    /// What writes all of it.
    pub fn change(&self) -> Change {
        let record = |of: usize, id: &str| Ref { of: TYPES[of].name.to_owned(), id: id.to_owned() };
        let mut ops = Vec::new();
        for found in &self.records {
            let ty = &TYPES[found.of];
            let set = given(&found.values);
            let embed = set.contains_key("about").then(|| "about".to_owned()).into_iter().collect();
            let record = record(found.of, &found.id);
            ops.push(Op::Put { record, row: !ty.node, mode: Mode::Create, set, unique: Vec::new(), embed });
        }
        for edge in &self.edges {
            let [from, to] = [edge.from, edge.to].map(|(of, id)| record(of, &id.to_string()));
            let (relationship_type, set) = (edge.name().to_owned(), given(&edge.values));
            ops.push(Op::Link { relationship_type, from, to, key: String::new(), set });
        }
        Change { ops }
    }
}

fn given(values: &BTreeMap<&'static str, Json>) -> Map<String, Json> {
    let without_id = values.iter().filter(|(name, _)| **name != "id");
    without_id.map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

impl Record {
    /// Whether an end of a relationship is this record.
    pub fn is_at(&self, (of, id): (usize, u8)) -> bool {
        self.of == of && self.id == id.to_string()
    }

    /// Gives a field another value.
    pub fn change(&mut self, name: &'static str) {
        if let Some((_, sort)) = fields(&[self.of]).into_iter().find(|(known, _)| *known == name) {
            changed(&mut self.values, name, sort);
        }
    }
}

impl Edge {
    /// Type of the relationship.
    pub fn name(&self) -> &'static str {
        EDGES[self.kind].0
    }

    /// Gives a property another value.
    pub fn change(&mut self, name: &'static str) {
        if self.name() == "HOLDS" {
            changed(&mut self.values, name, Sort::Int);
        }
    }
}

/// Another value: numbers in the opposite order, other values in another one; some are there no more, and some are now.
fn changed(values: &mut BTreeMap<&'static str, Json>, name: &'static str, sort: Sort) {
    let at = values.get(name).and_then(|now| (0..8).find(|n| value(name, sort, *n) == *now));
    let other = match (sort, at) {
        (_, None) | (Sort::Int | Sort::Float, Some(2)) => Some(1),
        (_, Some(1)) if name != "name" => None,
        (Sort::Int | Sort::Float, Some(at)) => Some(3 - at),
        (_, Some(at)) => Some(at + 1),
    };
    match other {
        Some(other) => values.insert(name, value(name, sort, other)),
        None => values.remove(name),
    };
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.records {
            writeln!(f, "    {} {}", TYPES[record.of].name, Json::Object(all(&record.values)))?;
        }
        for edge in &self.edges {
            let [from, to] = [edge.from, edge.to].map(|(of, id)| format!("{} {id}", TYPES[of].name));
            writeln!(f, "    {from} -[{} {}]-> {to}", edge.name(), Json::Object(all(&edge.values)))?;
        }
        Ok(())
    }
}

fn all(values: &BTreeMap<&'static str, Json>) -> Map<String, Json> {
    values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
