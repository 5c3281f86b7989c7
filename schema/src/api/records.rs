//! The ontology's own types as objects, interfaces, unions and enums, and `Relationship`.

use crate::ontology::{
    AbstractType, ENTITY, EntityType, FieldOf, Join, Ontology, PageLimit, RELATIONSHIP, Relationship,
};

use super::define::{field, ontology_enum, part, property};
use super::generate::{Generator, Target};
use super::naming::{self, upper};
use super::roots::{connection_args, list_args};
use super::{FieldDef, Form, ObjectDef, Part, Source, TypeDef, TypeRef};

/// Adds them.
pub(super) fn add(generator: &mut Generator<'_>) {
    let ontology = generator.ontology;
    for entity in ontology.types.values() {
        let fields = fields(ontology, entity);
        let make = |object| TypeDef::Object(ObjectDef { implements: entity.interfaces.clone(), ..object });
        generator.record(&entity.name, entity.name.clone(), entity.description.clone(), fields, make);
    }
    for edge in ontology.edge_types.values() {
        let fields: Vec<_> = edge.properties.values().filter(|p| naming::shown(p)).map(property).collect();
        if generator.reach.edges.contains(edge.name.as_str()) && !fields.is_empty() {
            generator.record(&edge.name, edge.name.clone(), edge.description.clone(), fields, TypeDef::Object);
        }
    }
    for group in ontology.abstracts.values() {
        add_group(generator, group);
    }
    for of in ontology.enums.values() {
        generator.enumeration(&of.name, ontology_enum(of));
    }
    let about = "A relationship between two nodes, as a record of its own.";
    generator.object("", RELATIONSHIP, about, relationship_fields());
}

fn fields(ontology: &Ontology, entity: &EntityType) -> Vec<FieldDef> {
    let mut fields = Vec::with_capacity(entity.order.len() + entity.relationships.len() + 1);
    let id = entity.properties.get("id").filter(|_| !entity.order.iter().any(|name| name == "id"));
    fields.extend(id.map(property));
    for name in &entity.order {
        match entity.field(name) {
            Some(FieldOf::Property(of)) if naming::shown(of) => fields.push(property(of)),
            Some(FieldOf::Relationship(of)) => fields.extend(related(ontology, entity, of)),
            Some(FieldOf::Join(of)) => fields.extend(joined(ontology, of)),
            Some(FieldOf::Property(_)) | None => {}
        }
    }
    fields
}

/// A field that leads to other records, as a list or as one of them.
fn plain(name: &str, target: Target<'_>, list: bool, required: bool, source: impl FnOnce(Form) -> Source) -> FieldDef {
    let of = target.name();
    if list {
        let about = format!("Its {of} records under {name}, as a list.");
        return field(name, TypeRef::list(of), source(Form::List), about).with(list_args(of, limit(target)));
    }
    let ty = if required { TypeRef::required(of) } else { TypeRef::named(of) };
    field(name, ty, source(Form::One), format!("Its {of} under {name}."))
}

fn limit(target: Target<'_>) -> PageLimit {
    target.entity().map(|entity| entity.limit).unwrap_or_default()
}

fn related(ontology: &Ontology, owner: &EntityType, of: &Relationship) -> Vec<FieldDef> {
    let Some(target) = Target::of(ontology, &of.target) else { return Vec::new() };
    let source = |form| Source::Related { field: of.name.clone(), form };
    let prefix = naming::prefix(owner, of);
    let args = connection_args(format!("{prefix}ConnectionWhere"), format!("{prefix}ConnectionSort"), limit(target));
    let about = format!("Its {} records under {}, with the relationships, a total and aggregates.", of.target, of.name);
    let name = format!("{}Connection", of.name);
    let connection = field(&name, TypeRef::required(format!("{prefix}Connection")), source(Form::Connection), about);
    let plain = plain(&of.name, target, of.list, of.required, source).described(&of.description, &of.deprecated);
    vec![plain, connection.with(args).described(&None, &of.deprecated)]
}

fn joined(ontology: &Ontology, of: &Join) -> Vec<FieldDef> {
    let Some(target) = Target::of(ontology, &of.target) else { return Vec::new() };
    let source = |form| Source::Joined { field: of.name.clone(), form };
    let plain = plain(&of.name, target, of.list, of.required, source).described(&of.description, &of.deprecated);
    if !of.list {
        return vec![plain];
    }
    let ty = TypeRef::required(format!("{}Connection", upper(target.plural())));
    let args = connection_args(format!("{}Where", of.target), format!("{}Sort", of.target), limit(target));
    let about = format!("Its {} records under {} as pages, with a total and aggregates.", of.target, of.name);
    let connection = field(&format!("{}Connection", of.name), ty, source(Form::Connection), about);
    vec![plain, connection.with(args).described(&None, &of.deprecated)]
}

fn add_group(generator: &mut Generator<'_>, group: &AbstractType) {
    if group.union {
        let (name, description) = (group.name.clone(), group.description.clone());
        generator.other(&group.name, TypeDef::Union { name, description, members: group.members.clone() });
        return;
    }
    let common = naming::common(generator.ontology, group);
    let fields = common.values().filter(|p| naming::shown(p)).map(property).collect();
    generator.record(&group.name, group.name.clone(), group.description.clone(), fields, TypeDef::Interface);
}

fn relationship_fields() -> Vec<FieldDef> {
    let own = |name: &str, ty, about: &str| field(name, ty, Source::Property(name.to_owned()), about);
    vec![
        own("id", TypeRef::required("ID"), "Its id, made of its type and ends."),
        part("type", TypeRef::required("String"), Part::RelationshipType, "Its type in the graph, like HAS_DEVICE."),
        part("from", TypeRef::required(ENTITY), Part::From, "The node it starts at."),
        part("to", TypeRef::required(ENTITY), Part::To, "The node it ends at."),
        own("properties", TypeRef::named("JSON"), "Its properties by stored name."),
    ]
}
