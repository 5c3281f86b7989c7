//! Every record against its ontology, as the import judges it.

use std::collections::HashSet;

use quipu_resolvers::change::Mode;
use quipu_resolvers::normal;
use quipu_schema::compile;
use quipu_schema::ontology::{Direction, Ontology};

use crate::ingest::chunk;
use crate::ingest::documents::{self, Document};

use super::super::*;
use super::{CRYOX, EMMA, INSIGHTS, LIBRARY, SUPERTRACK};

/// Each tenant's name, ontology and records.
pub(super) fn tenants() -> [(&'static str, &'static str, &'static [Record]); 5] {
    [
        ("library", LIBRARY_ONTOLOGY, &LIBRARY),
        ("cryox", CRYOX_ONTOLOGY, &CRYOX),
        ("insights", INSIGHTS_ONTOLOGY, &INSIGHTS),
        ("emma", EMMA_ONTOLOGY, &EMMA),
        ("supertrack", SUPERTRACK_ONTOLOGY, &SUPERTRACK),
    ]
}

fn ontology(sdl: &str) -> Ontology {
    compile(sdl).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The properties of the relationship type between two types of node; `None` when the ontology knows no such relationship.
fn edge<'o>(ontology: &'o Ontology, relationship: &str, from: &str, to: &str) -> Option<Option<&'o str>> {
    ontology.types.values().find_map(|entity| {
        entity.relationships.values().find_map(|field| {
            let (start, end) = match field.direction {
                Direction::Out => (entity.name.as_str(), field.target.as_str()),
                Direction::In => (field.target.as_str(), entity.name.as_str()),
            };
            let fits =
                field.relationship_type == relationship && ontology.covers(start, from) && ontology.covers(end, to);
            fits.then_some(field.properties.as_deref())
        })
    })
}

fn check(ontology: &Ontology, record: &Record) -> Result<(), String> {
    match record.clone() {
        Record::Node { node: of, id, properties } | Record::Row { row: of, id, properties } => {
            let entity = ontology.types.get(&of).ok_or(format!("no type {of}"))?;
            if entity.is_node() != matches!(record, Record::Node { .. }) {
                return Err(format!("{of} is of the other store"));
            }
            normal::put(ontology, entity, id, Mode::Upsert, properties).map(|_| ())
        }
        Record::Relationship { relationship, from, to, properties, .. } => {
            match edge(ontology, &relationship, &from.of, &to.of) {
                None => Err(format!("no {relationship} from {} to {}", from.of, to.of)),
                Some(None) if properties.is_empty() => Ok(()),
                Some(None) => Err(format!("{relationship} has no properties")),
                Some(Some(name)) => {
                    normal::edge_properties(ontology, &ontology.edge_types[name], properties, true).map(|_| ())
                }
            }
        }
        Record::Document { id, title, text, url, occurred_at, properties } => {
            let document = Document { id, title, text, url, occurred_at, properties };
            documents::taken(ontology, document, &|text| chunk::split(text, &chunk::Words, 256, 32)).map(|_| ())
        }
    }
}

#[test]
fn every_record_fits_its_ontology() {
    for (_, sdl, records) in tenants() {
        let ontology = ontology(sdl);
        for record in records {
            check(&ontology, record).unwrap_or_else(|why| panic!("{why}: {record:?}"));
        }
    }
}

/// No two records of a type share the value of a `@unique` property.
#[test]
fn unique_properties_are_unique() {
    for (_, sdl, records) in tenants() {
        let ontology = ontology(sdl);
        let mut seen = HashSet::new();
        for record in records {
            let (Record::Node { node: of, properties, .. } | Record::Row { row: of, properties, .. }) = record else {
                continue;
            };
            for property in ontology.types[of].properties.values().filter(|p| p.unique) {
                if let Some(value) = properties.get(&property.name) {
                    assert!(seen.insert((of, &property.name, value.to_string())), "{of}.{}: {value}", property.name);
                }
            }
        }
        assert!(seen.len() > 200);
    }
}

/// Every type and every relationship of the ontologies has records in the demo, so that no field of its API is always empty.
#[test]
fn every_type_and_field_has_data() {
    for (_, sdl, records) in tenants() {
        let ontology = ontology(sdl);
        let (mut values, mut links) = (HashSet::new(), HashSet::new());
        for record in records {
            match record {
                Record::Node { node: of, properties, .. } | Record::Row { row: of, properties, .. } => {
                    values.extend(
                        properties.iter().filter(|(_, v)| !v.is_null()).map(|(name, _)| (of.as_str(), name.as_str())),
                    );
                }
                Record::Relationship { relationship, .. } => {
                    links.insert(relationship.as_str());
                }
                Record::Document { .. } => {}
            }
        }
        for entity in ontology.types.values().filter(|entity| !entity.built_in) {
            for name in entity.properties.keys().filter(|name| *name != "id") {
                assert!(
                    values.contains(&(entity.name.as_str(), name.as_str())),
                    "{}.{name} never has a value",
                    entity.name
                );
            }
            for field in entity.relationships.values() {
                assert!(
                    links.contains(field.relationship_type.as_str()),
                    "{}.{} is always empty",
                    entity.name,
                    field.name
                );
            }
        }
    }
}
