//! Relationships: fields that walk the graph, and the types of their properties.

use indexmap::IndexMap;

use crate::catalog::{Catalog, Entry, Role};
use crate::names;
use crate::ontology::{Direction, EdgeType, EnumType, Relationship};
use crate::policy::Rules;
use crate::problem::{Code, Problems, Span};
use crate::properties::{self, Holder, deprecated};
use crate::records::{check_head, only_on_properties};
use crate::syntax::{Definition, Directive, Field, find};

/// Compiles the types of relationship properties.
pub(crate) fn edge_types(
    catalog: &Catalog,
    enums: &IndexMap<String, EnumType>,
    problems: &mut Problems,
) -> IndexMap<String, EdgeType> {
    let mut types = IndexMap::new();
    for (_, definition) in catalog.of(&[Role::Edge]) {
        let name = definition.name.text.clone();
        alone(definition, problems);
        let mut properties = IndexMap::new();
        for field in &definition.fields {
            check_head(field, problems);
            let Some(named) = catalog.resolve(&field.ty.name, problems) else { continue };
            if let Some(scalar) = properties::scalar(&named) {
                let property = properties::property(field, scalar, Holder::Edge, enums, problems);
                properties.insert(field.name.text.clone(), property);
            } else {
                let message = format!("`{name}.{}` cannot hold records", field.name.text);
                let help = "relationships carry values only";
                problems.add(Code::WrongType, field.ty.span, message).help(help);
            }
        }
        if definition.fields.is_empty() {
            problems.add(Code::EmptyType, definition.name.span, format!("`{name}` has no fields"));
        }
        let description = definition.description.clone();
        types.insert(name.clone(), EdgeType { name, description, properties, rules: Rules::default() });
    }
    types
}

/// Relationship properties are nothing else besides, but may have rules.
fn alone(definition: &Definition, problems: &mut Problems) {
    let name = &definition.name.text;
    let fitting = ["relationshipProperties", "authentication", "authorization", "role"];
    for directive in definition.directives.iter().filter(|d| !fitting.contains(&d.name.text.as_str())) {
        let message = format!("`@{}` cannot stand on the relationship properties `{name}`", directive.name.text);
        problems.add(Code::ConflictingDirectives, directive.span, message).help("remove it");
    }
    for interface in &definition.interfaces {
        let message = format!("the relationship properties `{name}` cannot implement an interface");
        problems.add(Code::InvalidInterface, interface.span, message).help("interfaces are for nodes");
    }
}

/// The relationship that a field declares.
pub(crate) fn relationship(
    catalog: &Catalog,
    definition: &Definition,
    field: &Field,
    directive: &Directive,
    target: &Entry,
    problems: &mut Problems,
) -> Option<Relationship> {
    only_on_properties(field, problems);
    let list = shape(field, problems);
    if find(&definition.directives, "table").is_some() {
        let message = format!("`{}` is a row type, and only nodes have relationships", definition.name.text);
        problems.add(Code::InvalidRelationship, directive.span, message).help("use `@join` instead");
        return None;
    }
    if matches!(target.role, Role::Row | Role::Edge) {
        let message = format!("`{}` is {}, and relationships end at nodes", field.ty.name.text, target.role.noun());
        let help = if target.role == Role::Row { "use `@join` instead" } else { "name a node type" };
        problems.add(Code::InvalidRelationship, field.ty.span, message).help(help);
        return None;
    }
    let (relationship_type, place) = directive.text("type")?;
    if let Some(help) = names::refused_by_stores(relationship_type) {
        let message = format!("`{relationship_type}` cannot be the type of a relationship");
        problems.add(Code::InvalidName, place, message).help(help);
    }
    let direction = match directive.argument("direction")?.word()? {
        "IN" => Direction::In,
        _ => Direction::Out,
    };
    let properties = directive.text("properties");
    Some(Relationship {
        name: field.name.text.clone(),
        relationship_type: relationship_type.to_owned(),
        direction,
        target: target.definition.name.text.clone(),
        list,
        required: !list && field.ty.required,
        properties: properties.and_then(|(name, place)| edge_type(catalog, name, place, problems)),
        description: field.description.clone(),
        deprecated: deprecated(&field.directives),
    })
}

/// The type of properties that a relationship names.
fn edge_type(catalog: &Catalog, name: &str, place: Span, problems: &mut Problems) -> Option<String> {
    match catalog.get(name) {
        Some(Entry { role: Role::Edge, .. }) => return Some(name.to_owned()),
        Some(entry) => {
            let message = format!("`{name}` is {}, not of relationship properties", entry.role.noun());
            let help = format!("declare it as `type {name} @relationshipProperties`");
            problems.add(Code::WrongType, place, message).help(help);
        }
        None if catalog.forgives(name) => {}
        None => {
            let edges = [Role::Edge];
            let known = catalog.of(&edges).map(|(_, definition)| definition.name.text.as_str());
            let help = format!("declare it as `type {name} @relationshipProperties`");
            problems.add(Code::UnknownType, place, format!("unknown type `{name}`")).help(help).nearest(name, known);
        }
    }
    None
}

/// True for a list of records, false for a single one. Lists of records are never null and hold no null.
pub(crate) fn shape(field: &Field, problems: &mut Problems) -> bool {
    let ty = &field.ty;
    let list = ty.depth > 0;
    if list && !(ty.depth == 1 && ty.required && ty.item_required) {
        let message = format!("a list of records cannot be `{}`", properties::written(field));
        let help = format!("write `[{}!]!`: the list may be empty, but is never null", ty.name.text);
        problems.add(Code::InvalidList, ty.span, message).help(help);
    }
    list
}
