//! The labels of a tenant's types, and which of their properties are dates and instants.

use std::collections::{BTreeMap, BTreeSet};

use quipu_schema::ontology::{Kind, Ontology, Property, Scalar};

use super::quoted;

/// Labels by type. A type that is not known has its own name for a label, as in an ontology that says nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// Types with other labels than their name; the first one is no other type's, if there is such.
    others: BTreeMap<String, Vec<String>>,
    /// Types of nodes.
    types: Vec<String>,
    /// Types of relationships.
    relationships: BTreeSet<String>,
    /// Dates and instants of types of nodes.
    of_nodes: BTreeMap<String, Temporal>,
    /// Those of types of relationships.
    of_relationships: BTreeMap<String, Temporal>,
}

/// Stored names of the properties of a type that are dates and instants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Temporal {
    /// Instants.
    pub instants: BTreeSet<String>,
    /// Days.
    pub days: BTreeSet<String>,
}

impl Temporal {
    fn add<'a>(&mut self, properties: impl Iterator<Item = &'a Property>) {
        for property in properties {
            match property.scalar {
                Scalar::DateTime => drop(self.instants.insert(property.stored.clone())),
                Scalar::Date => drop(self.days.insert(property.stored.clone())),
                _ => {}
            }
        }
    }
}

impl Labels {
    /// The labels that an ontology names.
    pub fn of(ontology: &Ontology) -> Self {
        let nodes = || {
            ontology.types.values().filter_map(|entity| match &entity.kind {
                Kind::Node { labels } => Some((entity, labels)),
                Kind::Row { .. } => None,
            })
        };
        let shared = |label: &String| nodes().filter(|(_, labels)| labels.contains(label)).count() > 1;
        let mut others = BTreeMap::new();
        for (entity, labels) in nodes().filter(|(entity, labels)| labels.as_slice() != [entity.name.clone()]) {
            let mut labels = labels.clone();
            labels.sort_by_key(shared);
            others.insert(entity.name.clone(), labels);
        }
        let mut known = Self { others, ..Self::default() };
        for (entity, _) in nodes() {
            known.types.push(entity.name.clone());
            known.of_nodes.entry(entity.name.clone()).or_default().add(entity.properties.values());
        }
        for relationship in ontology.types.values().flat_map(|entity| entity.relationships.values()) {
            let (of, edge) = (&relationship.relationship_type, relationship.properties.as_ref());
            known.relationships.insert(of.clone());
            let edge = edge.and_then(|name| ontology.edge_types.get(name));
            let properties = edge.into_iter().flat_map(|edge| edge.properties.values());
            known.of_relationships.entry(of.clone()).or_default().add(properties);
        }
        known
    }

    /// The label that keys and indexes of a type are made for.
    pub fn first<'a>(&'a self, of: &'a str) -> &'a str {
        self.others.get(of).and_then(|labels| labels.first()).map_or(of, String::as_str)
    }

    /// The labels of a type after the first.
    pub fn further<'a>(&'a self, of: &str) -> &'a [String] {
        self.others.get(of).and_then(|labels| labels.get(1..)).unwrap_or_default()
    }

    /// Types whose labels are not just their name.
    pub fn renamed(&self) -> impl Iterator<Item = &str> {
        self.others.keys().map(String::as_str)
    }

    /// Types of nodes that are known.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.iter().map(String::as_str)
    }

    /// Dates and instants of a type of nodes.
    pub fn temporal(&self, of: &str) -> Option<&Temporal> {
        self.of_nodes.get(of)
    }

    /// Dates and instants of a type of relationships.
    pub fn temporal_of_relationships(&self, of: &str) -> Option<&Temporal> {
        self.of_relationships.get(of)
    }

    /// Types of relationships that are known.
    pub fn relationships(&self) -> impl Iterator<Item = &str> {
        self.relationships.iter().map(String::as_str)
    }

    /// A label expression for a type, without the colon: `A` or `(A&B)`.
    pub(super) fn expression(&self, of: &str) -> String {
        let further = self.further(of);
        let first = quoted(self.first(of)).to_string();
        if further.is_empty() {
            return first;
        }
        let further: Vec<String> = further.iter().map(|label| format!("&{}", quoted(label))).collect();
        format!("({first}{})", further.concat())
    }

    /// A label expression for any of the types, without the colon.
    pub(super) fn any(&self, types: &[&str]) -> String {
        types.iter().map(|of| self.expression(of)).collect::<Vec<_>>().join("|")
    }
}
