//! The store's own integers for a tenant and the names of its types.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use quipu_schema::ontology::Ontology;

use super::mapped::Tables;

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NameOf {
    /// A type of nodes.
    Node,
    /// A type of rows.
    Row,
    /// A type of relationships.
    Relationship,
}

impl NameOf {
    /// All names of an ontology that have a number.
    pub fn all_in(ontology: &Ontology) -> BTreeSet<(NameOf, &str)> {
        let types = ontology.types.values().map(|entity| (Self::record(!entity.is_node()), entity.name.as_str()));
        let relationships = ontology.types.values().flat_map(|entity| entity.relationships.values());
        types.chain(relationships.map(|r| (Self::Relationship, r.relationship_type.as_str()))).collect()
    }

    /// The number that stands for it in the store.
    pub fn number(self) -> i64 {
        match self {
            Self::Node => 0,
            Self::Row => 1,
            Self::Relationship => 2,
        }
    }

    /// The sort behind a number of the store.
    pub fn of_number(number: i64) -> Option<Self> {
        [Self::Node, Self::Row, Self::Relationship].into_iter().find(|sort| sort.number() == number)
    }

    /// Nodes or rows.
    pub fn record(row: bool) -> Self {
        if row { Self::Row } else { Self::Node }
    }
}

/// The key that no type has: nothing of an unknown name was ever written, so nothing matches.
pub const UNKNOWN: i64 = -1;

/// A tenant's key and the keys of the names in it.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The tenant's key.
    pub tenant: i64,
    keys: HashMap<NameOf, HashMap<String, i64>>,
    of_key: HashMap<i64, (NameOf, String)>,
    embedded: HashMap<i64, Vec<String>>,
    columns: HashMap<i64, HashMap<String, OwnColumn>>,
    /// The tables of others that types stand for.
    pub tables: Arc<Tables>,
}

/// The column of its own that a property of a row has in Postgres, by its number from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnColumn {
    /// For texts.
    Text(usize),
    /// For numbers.
    Number(usize),
}

impl fmt::Display for OwnColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(number) => write!(f, "t{number}"),
            Self::Number(number) => write!(f, "n{number}"),
        }
    }
}

impl Names {
    /// Names of a tenant, none yet.
    pub fn of_tenant(tenant: i64) -> Self {
        Self { tenant, ..Self::default() }
    }

    /// The same names, with other tables of others.
    pub fn with_tables(self, tables: Arc<Tables>) -> Self {
        Self { tables, ..self }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.of_key.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.of_key.is_empty()
    }

    /// The key of a name, or [`UNKNOWN`].
    pub fn key(&self, sort: NameOf, name: &str) -> i64 {
        self.keys.get(&sort).and_then(|names| names.get(name)).copied().unwrap_or(UNKNOWN)
    }

    /// Takes a name with its key and the stored names of the properties whose text is indexed.
    pub fn insert(&mut self, sort: NameOf, name: &str, key: i64, embedded: Vec<String>) {
        self.keys.entry(sort).or_default().insert(name.to_owned(), key);
        self.of_key.insert(key, (sort, name.to_owned()));
        self.embedded.insert(key, embedded);
    }

    /// Stored names of the properties of a type whose text is indexed, in order.
    pub fn embedded(&self, key: i64) -> &[String] {
        self.embedded.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Gives columns of their own to properties of a type: those of texts, those of numbers, each in the order of the columns.
    pub fn set_columns(&mut self, key: i64, texts: &[String], numbers: &[String]) {
        let texts = texts.iter().enumerate().map(|(index, name)| (name.clone(), OwnColumn::Text(index + 1)));
        let numbers = numbers.iter().enumerate().map(|(index, name)| (name.clone(), OwnColumn::Number(index + 1)));
        self.columns.insert(key, texts.chain(numbers).collect());
    }

    /// The column of its own that a property has.
    pub fn column(&self, key: i64, property: &str) -> Option<OwnColumn> {
        self.columns.get(&key)?.get(property).copied()
    }

    /// The name behind a key.
    pub fn name(&self, key: i64) -> Option<(NameOf, &str)> {
        self.of_key.get(&key).map(|(sort, name)| (*sort, name.as_str()))
    }
}
