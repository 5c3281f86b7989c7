//! From a field of the ontology to the way through the stores that it stands for.

use quipu_schema::ontology::{Direction, EntityType, FieldOf, Join, Ontology, Property, Relationship};
use quipu_schema::policy::Quantifier;

use crate::read::{Field, Place, Predicate, Related, Scope, Stored, Via};

/// Where a relationship or join field leads.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Where the records at the other end are.
    pub place: Place,
    /// How they are reached.
    pub via: Via,
    /// The concrete types at the other end.
    pub members: Vec<String>,
}

/// Where a type's records are.
pub fn place(entity: &EntityType) -> Place {
    if entity.is_node() { Place::Nodes } else { Place::Rows }
}

/// A property as a field of a record.
pub fn field(property: &Property) -> Field {
    if property.stored == "id" { Field::Id } else { Field::Property(stored(property)) }
}

/// A property of a relationship as a field.
pub fn edge_field(property: &Property) -> Field {
    Field::EdgeProperty(stored(property))
}

fn stored(property: &Property) -> Stored {
    Stored {
        name: property.stored.clone(),
        scalar: property.scalar.clone(),
        list: property.list,
        nullable: !property.required,
        indexed: property.indexed,
    }
}

/// The way of a relationship field.
pub fn relationship(ontology: &Ontology, relationship: &Relationship) -> Way {
    Way {
        place: Place::Nodes,
        via: Via::Relationship {
            relationship_type: relationship.relationship_type.clone(),
            direction: relationship.direction,
        },
        members: names(ontology, &relationship.target),
    }
}

/// The way of a join field of a type.
pub fn join(ontology: &Ontology, entity: &EntityType, join: &Join) -> Way {
    let members = names(ontology, &join.target);
    let target = members.first().and_then(|name| ontology.types.get(name));
    Way {
        place: target.map_or(Place::Rows, place),
        via: Via::Key { local: by_stored(Some(entity), &join.local), remote: by_stored(target, &join.remote) },
        members,
    }
}

/// The way of any field that leads to other records.
pub fn of_field(ontology: &Ontology, entity: &EntityType, name: &str) -> Option<Way> {
    match entity.field(name)? {
        FieldOf::Relationship(found) => Some(relationship(ontology, found)),
        FieldOf::Join(found) => Some(join(ontology, entity, found)),
        FieldOf::Property(_) => None,
    }
}

/// The condition that one end of a relationship record is a node of the ontology.
pub fn endpoint(ontology: &Ontology, direction: Direction) -> Related {
    let nodes = ontology.types.values().filter(|t| t.is_node());
    Related {
        place: Place::Nodes,
        via: Via::Endpoint(direction),
        targets: nodes
            .map(|t| Scope { of: t.name.clone(), filter: Predicate::True, visible: Predicate::True })
            .collect(),
        quantifier: Quantifier::Some,
    }
}

/// Names of the concrete types behind a name.
pub fn names(ontology: &Ontology, of: &str) -> Vec<String> {
    ontology.members(of).into_iter().map(|t| t.name.clone()).collect()
}

fn by_stored(entity: Option<&EntityType>, name: &str) -> Field {
    match entity.and_then(|entity| entity.stored(name)) {
        Some(property) => field(property),
        None => Field::Id,
    }
}
