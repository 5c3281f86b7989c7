//! Inputs and responses of mutations per type.

use crate::ontology::{EdgeType, EntityType, Property};

use super::define::{input, input_property, part};
use super::generate::Generator;
use super::naming::{self, upper};
use super::{InputField, Part, TypeRef};

/// Adds inputs and responses of a type.
pub(super) fn add_entity(generator: &mut Generator<'_>, entity: &EntityType) {
    let of = &entity.name;
    let writes = entity.writes();
    if writes.create {
        create(generator, entity);
    }
    if naming::updatable(entity) {
        update(generator, entity);
    }
    if writes.delete {
        delete(generator, entity);
    }
    if naming::upsertable(entity) {
        upsert(generator, entity);
    }
    if writes.create {
        let about = format!("What creating {of} records did.");
        response(generator, entity, "Create", "CreateInfo", about);
    }
    if naming::updatable(entity) {
        response(generator, entity, "Update", "UpdateInfo", format!("What updating {of} records did."));
    }
    if naming::upsertable(entity) {
        response(generator, entity, "Upsert", "UpdateInfo", format!("What upserting {of} records did."));
    }
}

/// Adds inputs of a relationship's properties.
pub(super) fn add_edge(generator: &mut Generator<'_>, edge: &EdgeType) {
    let of = &edge.name;
    let fields = edge.properties.values().map(created).collect();
    generator.input(of, format!("{of}CreateInput"), format!("{of} properties of a new relationship."), fields);
    if generator.reach.updated_edges.contains(of.as_str()) {
        let fields = edge.properties.values().map(|p| changed(generator, p)).collect();
        generator.input(of, format!("{of}UpdateInput"), format!("Changes of {of} properties."), fields);
    }
}

fn created(property: &Property) -> InputField {
    let ty = if property.is_demanded() { naming::property(property) } else { naming::optional_property(property) };
    InputField { default: property.default.clone(), ..input_property(property, ty) }
}

fn changed(generator: &mut Generator<'_>, property: &Property) -> InputField {
    generator.used.mutations.insert((property.scalar.clone(), property.list));
    input_property(property, TypeRef::named(naming::mutation(&property.scalar, property.list)))
}

/// The field of an input that stands for a relationship.
fn along(entity: &EntityType, name: &str, kind: &str, list: bool, about: &str) -> InputField {
    let of = format!("{}{}{kind}", entity.name, upper(name));
    let ty = if list { TypeRef::optional_list(of) } else { TypeRef::named(of) };
    input(name, ty, format!("{about} {name}."))
}

fn create(generator: &mut Generator<'_>, entity: &EntityType) {
    let of = &entity.name;
    let mut fields = Vec::with_capacity(entity.properties.len() + entity.relationships.len());
    for property in entity.properties.values().filter(|property| property.is_given()) {
        fields.push(if property.name == "id" { new_id(entity) } else { created(property) });
    }
    let relationships = entity.relationships.values();
    fields
        .extend(relationships.map(|r| along(entity, &r.name, "FieldInput", false, "Records to make or connect under")));
    generator.input(of, format!("{of}CreateInput"), format!("A new {of}."), fields);
}

/// The id of a new record. In a table of others only they know what one looks like.
fn new_id(entity: &EntityType) -> InputField {
    match (entity.mapped().is_some(), entity.id_is_generated()) {
        (false, _) => input("id", TypeRef::named("ID"), "Its id; a ULID is made when left out."),
        (true, true) => input("id", TypeRef::named("ID"), "Its id; the database makes one when left out."),
        (true, false) => input("id", TypeRef::required("ID"), "Its id."),
    }
}

fn update(generator: &mut Generator<'_>, entity: &EntityType) {
    let of = &entity.name;
    let mut fields = Vec::with_capacity(entity.properties.len() + entity.relationships.len());
    for property in entity.properties.values().filter(|p| naming::updated(p)) {
        fields.push(changed(generator, property));
    }
    let relationships = entity.relationships.values();
    fields.extend(relationships.map(|r| along(entity, &r.name, "UpdateFieldInput", r.list, "What to change under")));
    generator.input(of, format!("{of}UpdateInput"), format!("Changes of a {of}. What is left out stays."), fields);
}

fn delete(generator: &mut Generator<'_>, entity: &EntityType) {
    let fields: Vec<_> = generator
        .nested(entity)
        .map(|r| along(entity, &r.name, "DeleteFieldInput", r.list, "Which records to remove under"))
        .collect();
    if !fields.is_empty() {
        let of = &entity.name;
        let about = format!("Records to remove together with a {of}.");
        generator.input(of, format!("{of}DeleteInput"), about, fields);
    }
}

fn upsert(generator: &mut Generator<'_>, entity: &EntityType) {
    let of = &entity.name;
    let mut fields = Vec::with_capacity(entity.properties.len() + entity.relationships.len());
    for property in entity.properties.values().filter(|property| property.is_given()) {
        fields.push(match property.name.as_str() {
            "id" => input("id", TypeRef::required("ID"), "Its id."),
            _ => input_property(property, naming::optional_property(property)),
        });
    }
    let relationships = entity.relationships.values();
    fields.extend(relationships.map(|r| along(entity, &r.name, "UpsertFieldInput", false, "Records to connect under")));
    let about = format!("A {of} to make or change. What is left out stays, and a new record gets its default.");
    generator.input(of, format!("{of}UpsertInput"), about, fields);
}

fn response(generator: &mut Generator<'_>, entity: &EntityType, verb: &str, info: &str, about: String) {
    let fields = vec![
        part("info", TypeRef::required(info), Part::Info, "How much was written."),
        part(&entity.plural, TypeRef::list(&entity.name), Part::Written, "The records as they are now."),
    ];
    generator.object(&entity.name, format!("{verb}{}MutationResponse", upper(&entity.plural)), about, fields);
}
