//! Types of subscriptions: changes of all types and of one.

use crate::ontology::{ENTITY, EntityType};

use super::define::{part, value};
use super::generate::Generator;
use super::{EnumDef, FieldDef, Part, TypeRef};

/// Adds the change of one type.
pub(super) fn add_entity(generator: &mut Generator<'_>, entity: &EntityType) {
    let of = &entity.name;
    let [seq, at, operation] = when();
    let node = part("node", TypeRef::named(of), Part::Node, "The record as it is now; null when it is gone.");
    generator.object(of, format!("{of}Change"), format!("A change of a {of}."), vec![seq, at, operation, id(), node]);
}

/// Adds the change of any type.
pub(super) fn add_changes(generator: &mut Generator<'_>) {
    let [seq, at, operation] = when();
    let of = part("type", TypeRef::required("String"), Part::ChangeType, "Name of the record's type.");
    let node =
        part("node", TypeRef::named(ENTITY), Part::Node, "The node as it is now; null for rows and when it is gone.");
    generator.object("", "Change", "A change of a record.", vec![seq, at, operation, of, id(), node]);
    let values = vec![
        value("CREATED", "The record came to be."),
        value("UPDATED", "The record changed."),
        value("DELETED", "The record went."),
    ];
    let description = Some("What a change did to a record.".to_owned());
    generator.enumeration("", EnumDef { name: "ChangeOperation".to_owned(), description, values });
    let types = generator.ontology.types.values().filter(|entity| entity.writes().any());
    let values = types.map(|t| value(&t.name, format!("Records of type {}.", t.name))).collect();
    let description = Some("The types whose changes can be watched.".to_owned());
    generator.enumeration("", EnumDef { name: "ChangeType".to_owned(), description, values });
}

fn when() -> [FieldDef; 3] {
    [
        part("seq", TypeRef::required("String"), Part::Seq, "Position in the log of changes, a number as text."),
        part("at", TypeRef::required("DateTime"), Part::At, "When the change was accepted."),
        part("operation", TypeRef::required("ChangeOperation"), Part::ChangeOperation, "What it did."),
    ]
}

fn id() -> FieldDef {
    part("id", TypeRef::required("ID"), Part::ChangeId, "Id of the record.")
}
