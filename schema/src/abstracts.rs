//! Interfaces and unions of nodes, with their members.

use indexmap::IndexMap;

use crate::catalog::{Catalog, Role};
use crate::names;
use crate::ontology::{AbstractType, ENTITY, EntityType, EnumType, Property};
use crate::problem::{Code, Problems, Span};
use crate::properties::{self, Holder};
use crate::records::check_head;
use crate::syntax::{Definition, Word};

/// Compiles all interfaces and unions, and checks that types keep what they promise.
pub(crate) fn compile(
    catalog: &Catalog,
    enums: &IndexMap<String, EnumType>,
    types: &IndexMap<String, EntityType>,
    problems: &mut Problems,
) -> IndexMap<String, AbstractType> {
    let mut abstracts = IndexMap::new();
    for (role, definition) in catalog.of(&[Role::Interface, Role::Union]) {
        let name = definition.name.text.clone();
        let (properties, members) = match role {
            Role::Union => (IndexMap::new(), union(catalog, definition, problems)),
            _ => (interface(catalog, enums, definition, problems), implementers(types, &name)),
        };
        let group = AbstractType {
            description: definition.description.clone(),
            union: role == Role::Union,
            plural: names::plural(&names::lower_camel(&name)),
            properties,
            members,
            name: name.clone(),
        };
        abstracts.insert(name, group);
    }
    for (_, definition) in catalog.of(&[Role::Node, Role::Row]) {
        if let Some(entity) = types.get(&definition.name.text) {
            promises(catalog, definition, Some(entity), &entity.properties, &abstracts, problems);
        }
    }
    for (_, definition) in catalog.of(&[Role::Interface]) {
        if let Some(group) = abstracts.get(&definition.name.text) {
            promises(catalog, definition, None, &group.properties, &abstracts, problems);
        }
    }
    abstracts
}

/// Nodes that implement the interface, in the order of the ontology.
fn implementers(types: &IndexMap<String, EntityType>, name: &str) -> Vec<String> {
    let nodes = types.values().filter(|entity| entity.is_node());
    nodes.filter(|entity| entity.interfaces.iter().any(|i| i == name)).map(|entity| entity.name.clone()).collect()
}

fn union(catalog: &Catalog, definition: &Definition, problems: &mut Problems) -> Vec<String> {
    let name = &definition.name.text;
    if definition.members.is_empty() {
        let help = format!("write `union {name} = A | B`");
        problems.add(Code::EmptyType, definition.name.span, format!("union `{name}` has no members")).help(help);
    }
    let mut named = Vec::new();
    for member in &definition.members {
        match catalog.get(&member.text) {
            Some(entry) if entry.role == Role::Node => named.push(member.text.as_str()),
            Some(entry) => {
                let message = format!("`{}` is {}, and a union is of node types", member.text, entry.role.noun());
                problems.add(Code::WrongType, member.span, message).help("remove it from the union");
            }
            None => unknown(catalog, member, Role::Node, "node type", problems),
        }
    }
    let nodes = [Role::Node];
    let in_order = catalog.of(&nodes).map(|(_, node)| node.name.text.clone());
    in_order.filter(|node| named.contains(&node.as_str())).collect()
}

fn unknown(catalog: &Catalog, word: &Word, role: Role, noun: &str, problems: &mut Problems) {
    if !catalog.forgives(&word.text) {
        let roles = [role];
        let known = catalog.of(&roles).map(|(_, definition)| definition.name.text.as_str());
        let message = format!("unknown {noun} `{}`", word.text);
        problems.add(Code::UnknownType, word.span, message).nearest(&word.text, known);
    }
}

fn interface(
    catalog: &Catalog,
    enums: &IndexMap<String, EnumType>,
    definition: &Definition,
    problems: &mut Problems,
) -> IndexMap<String, Property> {
    let name = &definition.name.text;
    if definition.fields.is_empty() {
        problems.add(Code::EmptyType, definition.name.span, format!("interface `{name}` has no fields"));
    }
    let mut properties = IndexMap::new();
    for field in &definition.fields {
        check_head(field, problems);
        let Some(named) = catalog.resolve(&field.ty.name, problems) else { continue };
        if let Some(scalar) = properties::scalar(&named) {
            let property = properties::property(field, scalar, Holder::Interface, enums, problems);
            properties.insert(field.name.text.clone(), property);
        } else {
            let message = format!("`{name}.{}` cannot hold records", field.name.text);
            let help = "an interface holds values only; put relationships on its types";
            problems.add(Code::WrongType, field.ty.span, message).help(help);
        }
    }
    properties
}

/// Checks each `implements` of a type or interface: it exists, is fit for nodes, and its fields are there.
fn promises(
    catalog: &Catalog,
    definition: &Definition,
    entity: Option<&EntityType>,
    properties: &IndexMap<String, Property>,
    abstracts: &IndexMap<String, AbstractType>,
    problems: &mut Problems,
) {
    let name = &definition.name.text;
    for word in &definition.interfaces {
        match catalog.get(&word.text) {
            None => unknown(catalog, word, Role::Interface, "interface", problems),
            Some(entry) if entry.role != Role::Interface => {
                let message = format!("`{}` is {}, not an interface", word.text, entry.role.noun());
                problems.add(Code::WrongType, word.span, message);
            }
            Some(_) if entity.is_some_and(|entity| !entity.is_node()) => {
                let message = format!("`{name}` is a row type, and interfaces are for nodes");
                problems.add(Code::InvalidInterface, word.span, message).help("remove `implements`");
            }
            Some(entry) => {
                parents(catalog, definition, word, &entry.definition, problems);
                if let Some(group) = abstracts.get(&word.text) {
                    fields(definition, word, properties, group, problems);
                }
            }
        }
    }
}

/// GraphQL asks that a type names the interfaces of its interfaces too, and that no interface implements itself.
fn parents(catalog: &Catalog, definition: &Definition, word: &Word, parent: &Definition, problems: &mut Problems) {
    let name = &definition.name.text;
    if circular(catalog, name, &word.text) {
        let message = format!("interface `{name}` implements itself, through `{}`", word.text);
        problems.add(Code::InterfaceCycle, word.span, message).help("remove one of the two");
        return;
    }
    let given = |other: &Word| other.text == ENTITY || definition.interfaces.iter().any(|i| i.text == other.text);
    for missing in parent.interfaces.iter().filter(|other| !given(other)) {
        let message = format!("`{name}` implements `{}` and so must implement `{}`", word.text, missing.text);
        let help = format!("write `implements {} & {}`", word.text, missing.text);
        problems.add(Code::InvalidInterface, word.span, message).help(help);
    }
}

/// True when following `implements` from `from` leads to `name`.
fn circular(catalog: &Catalog, name: &str, from: &str) -> bool {
    let (mut seen, mut open) = (std::collections::HashSet::new(), vec![from]);
    while let Some(current) = open.pop() {
        if current == name {
            return true;
        }
        if seen.insert(current) {
            let entry = catalog.get(current);
            open.extend(entry.into_iter().flat_map(|e| e.definition.interfaces.iter().map(|word| word.text.as_str())));
        }
    }
    false
}

fn fields(
    definition: &Definition,
    word: &Word,
    properties: &IndexMap<String, Property>,
    group: &AbstractType,
    problems: &mut Problems,
) {
    let name = &definition.name.text;
    for promised in group.properties.values() {
        let Some(property) = properties.get(&promised.name) else {
            // A field of the wrong sort is a broken promise as much as a missing one.
            let message = format!("`{name}` lacks the value `{}` of `{}`", promised.name, group.name);
            let help = format!("add the field `{}`", signature(promised));
            problems.add(Code::InvalidInterface, word.span, message).help(help);
            continue;
        };
        let same = property.scalar == promised.scalar && property.list == promised.list;
        let strict = property.required || !promised.required;
        if !(same && strict && (property.item_required || !promised.item_required)) {
            let field = definition.field(&promised.name);
            let place = field.map_or(word.span, |field| field.ty.span.or(word.span));
            let message = format!("`{name}.{}` differs from what `{}` promises", promised.name, group.name);
            let help = match field {
                Some(field) if field.ty.span == Span::NOWHERE => {
                    format!("`{name}` is built in; promise `{}` instead", signature(property))
                }
                _ => format!("write `{}`", signature(promised)),
            };
            problems.add(Code::InvalidInterface, place, message).help(help);
        }
    }
}

/// A property as it is declared.
fn signature(property: &Property) -> String {
    let scalar = property.scalar.name();
    let mark = |required: bool| if required { "!" } else { "" };
    match property.list {
        true => format!("{}: [{scalar}{}]{}", property.name, mark(property.item_required), mark(property.required)),
        false => format!("{}: {scalar}{}", property.name, mark(property.required)),
    }
}
