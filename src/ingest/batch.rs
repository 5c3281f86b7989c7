//! From records of an import to the operations of a `Change`, judged by the ontology.

use std::collections::HashMap;

use quipu_resolvers::change::{Mode, Op, Ref};
use quipu_resolvers::normal;
use quipu_schema::ontology::{Direction, EdgeType, EntityType, Ontology};
use serde_json::Map;

use super::documents::{self, Splitter, Taken};
use super::records::{Properties, Record, Reference};

/// What an ontology makes of records. Made once per import; pure but for the splitting of documents.
pub struct Shaper<'a> {
    ontology: &'a Ontology,
    links: HashMap<&'a str, Vec<Link<'a>>>,
    splitter: &'a Splitter,
}

/// One way in which a relationship type may be used.
pub struct Link<'a> {
    /// Type of the nodes that it leads from.
    pub from: &'a str,
    /// Type of those that it leads to.
    pub to: &'a str,
    /// Its properties, if it has any.
    pub properties: Option<&'a EdgeType>,
}

/// What a batch of records comes to.
#[derive(Debug, Default)]
pub struct Shaped {
    /// Operations, in the order of the records.
    pub ops: Vec<Op>,
    /// Documents among them, whose former chunks may have to go.
    pub documents: Vec<Taken>,
}

impl<'a> Shaper<'a> {
    /// For records of that ontology.
    pub fn new(ontology: &'a Ontology, splitter: &'a Splitter) -> Self {
        Self { ontology, links: links(ontology), splitter }
    }

    /// Adds a record's operations to a batch; of a record that is refused, nothing is added.
    ///
    /// # Errors
    /// What does not fit the ontology, with the nearest known name.
    pub fn shape(&self, record: Record, into: &mut Shaped) -> Result<(), String> {
        match record {
            Record::Node { node, id, properties } => into.ops.push(self.put(&node, true, id, properties)?),
            Record::Row { row, id, properties } => into.ops.push(self.put(&row, false, id, properties)?),
            Record::Relationship { relationship, from, to, key, properties } => {
                into.ops.push(self.link(relationship, from, to, key, properties)?);
            }
            Record::Document { id, title, text, url, occurred_at, properties } => {
                let document = documents::Document { id, title, text, url, occurred_at, properties };
                let (ops, taken) = documents::taken(self.ontology, document, self.splitter)?;
                into.ops.extend(ops);
                into.documents.push(taken);
            }
        }
        Ok(())
    }

    fn put(&self, of: &str, node: bool, id: String, properties: Properties) -> Result<Op, String> {
        let entity = self.entity(of, node)?;
        normal::put(self.ontology, entity, id, Mode::Upsert, properties)
    }

    fn entity(&self, of: &str, node: bool) -> Result<&'a EntityType, String> {
        let (sort, other) = if node { ("node", "row") } else { ("row", "node") };
        match self.ontology.types.get(of) {
            Some(entity) if entity.mapped().is_some() => {
                Err(format!("{of} takes no import: its table belongs to others"))
            }
            Some(entity) if entity.is_node() == node => Ok(entity),
            Some(_) => Err(format!("{of} is a {other} type; write {{\"{other}\":\"{of}\", ...}}")),
            None => {
                let known = self.ontology.types.values().filter(|t| t.is_node() == node).map(|t| t.name.as_str());
                Err(format!("the ontology has no {sort} type {of:?}{}", meant(normal::nearest(of, known))))
            }
        }
    }

    fn link(
        &self,
        relationship_type: String,
        from: Reference,
        to: Reference,
        key: Option<String>,
        properties: Properties,
    ) -> Result<Op, String> {
        let Some(known) = self.links.get(relationship_type.as_str()) else {
            let near = normal::nearest(&relationship_type, self.links.keys().copied());
            return Err(format!("the ontology has no relationship type {relationship_type:?}{}", meant(near)));
        };
        let Some(link) = known.iter().find(|link| link.from == from.of && link.to == to.of) else {
            self.entity(&from.of, true)?;
            self.entity(&to.of, true)?;
            let ways: Vec<_> = known.iter().take(5).map(|link| format!("{} to {}", link.from, link.to)).collect();
            return Err(format!(
                "{relationship_type} does not lead from {} to {}, but from {}",
                from.of,
                to.of,
                ways.join(", ")
            ));
        };
        let set = match link.properties {
            Some(edge) => normal::edge_properties(self.ontology, edge, properties, true)?,
            None if properties.is_empty() => Map::new(),
            None => return Err(format!("{relationship_type} has no properties")),
        };
        let end = |end: Reference| Ref { of: end.of, id: end.id };
        Ok(Op::Link { relationship_type, from: end(from), to: end(to), key: key.unwrap_or_default(), set })
    }
}

fn meant(near: Option<&str>) -> String {
    near.map_or(String::new(), |near| format!("; did you mean {near:?}?"))
}

/// Every use of a relationship type that a field declares, from either end. A use with properties wins over one without.
pub fn links(ontology: &Ontology) -> HashMap<&str, Vec<Link<'_>>> {
    let mut links: HashMap<&str, Vec<Link<'_>>> = HashMap::new();
    for (entity, field) in ontology.types.values().flat_map(|e| e.relationships.values().map(move |field| (e, field))) {
        let properties = field.properties.as_ref().and_then(|name| ontology.edge_types.get(name));
        for other in ontology.members(&field.target) {
            let (from, to) = match field.direction {
                Direction::Out => (entity.name.as_str(), other.name.as_str()),
                Direction::In => (other.name.as_str(), entity.name.as_str()),
            };
            let known = links.entry(&field.relationship_type).or_default();
            match known.iter_mut().find(|link| link.from == from && link.to == to) {
                Some(link) => link.properties = link.properties.or(properties),
                None => known.push(Link { from, to, properties }),
            }
        }
    }
    links
}

#[cfg(test)]
mod tests;
