//! Connections of the roots and of joins: edges, and aggregates over properties.

use indexmap::IndexMap;

use crate::ontology::{AbstractType, EntityType, Property, RELATIONSHIP};

use super::define::{field, part};
use super::generate::Generator;
use super::naming::{self, upper};
use super::{FieldDef, Part, Source, TypeRef};

/// Adds the connection of a type, with aggregates over its properties.
pub(super) fn add_entity(generator: &mut Generator<'_>, entity: &EntityType) {
    add(generator, &entity.name, &entity.name, &entity.plural);
    let of = &entity.name;
    let mut fields = vec![count()];
    let figures = figures(generator, &entity.properties);
    if !figures.is_empty() {
        let name = format!("{of}AggregateNode");
        fields.push(part("node", TypeRef::required(&name), Part::AggregateNode, "Figures of the records' properties."));
        generator.object(of, name, format!("Figures over the properties of {of} records."), figures);
    }
    generator.object(of, format!("{of}Aggregate"), format!("Figures over {of} records."), fields);
}

/// Adds the connection of an interface or union; all it aggregates is their number.
pub(super) fn add_group(generator: &mut Generator<'_>, group: &AbstractType) {
    add(generator, &group.name, &group.name, &group.plural);
    let about = format!("Figures over {} records.", group.name);
    generator.object(&group.name, format!("{}Aggregate", group.name), about, vec![count()]);
}

/// Adds the connection of relationships as records.
pub(super) fn add_relationships(generator: &mut Generator<'_>) {
    add(generator, "", RELATIONSHIP, "relationships");
    generator.object("", "RelationshipAggregate", "Figures over relationships.", vec![count()]);
}

fn add(generator: &mut Generator<'_>, cause: &str, of: &str, plural: &str) {
    let edge = format!("{of}Edge");
    let fields = connection_fields(&edge, format!("{of}Aggregate"));
    generator.object(cause, format!("{}Connection", upper(plural)), format!("A page of {of} records."), fields);
    generator.object(cause, edge, format!("A {of} in a page."), edge_fields(of).into());
}

/// Fields of a connection.
pub(super) fn connection_fields(edge: &str, aggregate: String) -> Vec<FieldDef> {
    vec![
        part("edges", TypeRef::list(edge), Part::Edges, "The records of the page."),
        part("totalCount", TypeRef::required("Int"), Part::TotalCount, "Number of records that match, on all pages."),
        part("pageInfo", TypeRef::required("PageInfo"), Part::PageInfo, "Where the page stands."),
        part("aggregate", TypeRef::required(aggregate), Part::Aggregate, "Figures over all records that match."),
    ]
}

/// Fields of an edge.
pub(super) fn edge_fields(of: &str) -> [FieldDef; 2] {
    [
        part("cursor", TypeRef::required("String"), Part::Cursor, "Position of the record, for after and before."),
        part("node", TypeRef::required(of), Part::Node, "The record."),
    ]
}

fn count() -> FieldDef {
    part("count", TypeRef::required("Count"), Part::AggregateCount, "How many there are.")
}

/// One field per property that has figures.
pub(super) fn figures(generator: &mut Generator<'_>, properties: &IndexMap<String, Property>) -> Vec<FieldDef> {
    let mut fields = Vec::with_capacity(properties.len());
    for property in properties.values().filter(|p| naming::shown(p) && !p.list) {
        let Some(name) = naming::figures(&property.scalar) else { continue };
        generator.used.figures.insert(property.scalar.clone());
        let source = Source::Part(Part::AggregateOf(property.name.clone()));
        let about = format!("Figures of {}.", property.name);
        fields
            .push(field(&property.name, TypeRef::required(name), source, about).described(&None, &property.deprecated));
    }
    fields
}
