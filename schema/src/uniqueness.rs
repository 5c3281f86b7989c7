//! What may exist once only: names in the stores, the two sides of a relationship, and the names of the API.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::api::{self, Api};
use crate::catalog::{Catalog, Role};
use crate::ontology::{Direction, EntityType, Kind, Ontology, Property, Relationship};
use crate::problem::{Code, Problems, Span};
use crate::properties::stored_name;
use crate::syntax::{Definition, find};

/// Checks the whole ontology. The names of the API are only looked at when nothing else is wrong; the API is the result when they are
/// unique too.
pub(crate) fn check(catalog: &Catalog, ontology: &Ontology, problems: &mut Problems) -> Option<Api> {
    for (_, definition) in catalog.of(&[Role::Node, Role::Row]) {
        if let Some(entity) = ontology.types.get(&definition.name.text) {
            stored(definition, &entity.properties, problems);
        }
    }
    for (_, definition) in catalog.of(&[Role::Edge]) {
        if let Some(edge) = ontology.edge_types.get(&definition.name.text) {
            stored(definition, &edge.properties, problems);
        }
    }
    homes(catalog, ontology, problems);
    sides(catalog, ontology, problems);
    if !problems.none() {
        return None;
    }
    let api = Api::with_unique_names(ontology);
    if api.is_none() {
        names(catalog, ontology, problems);
    }
    api
}

/// No two properties of a type have the same name in the store.
fn stored(definition: &Definition, properties: &IndexMap<String, Property>, problems: &mut Problems) {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for property in properties.values() {
        if let Some(other) = seen.insert(&property.stored, &property.name) {
            let field = definition.field(&property.name);
            let given = field.and_then(stored_name);
            let place = given.map(|(_, place)| place).or(field.map(|field| field.name.span));
            let message = format!("`{other}` and `{}` are both stored as `{}`", property.name, property.stored);
            let help = match field.is_some_and(|field| find(&field.directives, "column").is_some()) {
                true => "each column has one field, and `id` stands for the id of the record",
                false => "give one of them another name with `@alias`",
            };
            problems.add(Code::DuplicateName, place.unwrap_or(definition.name.span), message).help(help);
        }
    }
}

/// No two types keep their records in the same place: which is which could not be told.
fn homes(catalog: &Catalog, ontology: &Ontology, problems: &mut Problems) {
    let mut seen: HashMap<&Kind, &EntityType> = HashMap::new();
    // Rows of a table of others can be seen in several ways.
    let own = ontology.types.values().filter(|entity| entity.mapped().is_none());
    let mains: Vec<(Kind, &EntityType)> = own.map(|entity| (main(&entity.kind), entity)).collect();
    for (kind, entity) in &mains {
        if let Some(other) = seen.insert(kind, entity) {
            let (ours, theirs) = if entity.built_in { (other, *entity) } else { (*entity, other) };
            let (what, help) = match kind {
                Kind::Node { labels } => {
                    (format!("the main label `{}`", labels.concat()), "the first label is its own")
                }
                Kind::Row { table, .. } => (format!("the table `{table}`"), "each row type has a table of its own"),
            };
            let message = format!("`{}` and `{}` share {what}", theirs.name, ours.name);
            problems.add(Code::DuplicateName, place(catalog, &ours.name), message).help(help);
        }
    }
}

fn main(kind: &Kind) -> Kind {
    match kind {
        Kind::Node { labels } => Kind::Node { labels: labels.iter().take(1).cloned().collect() },
        Kind::Row { .. } => kind.clone(),
    }
}

/// Where a relationship is declared at both its ends, both name the same properties or one names none.
fn sides(catalog: &Catalog, ontology: &Ontology, problems: &mut Problems) {
    type Side<'o> = (&'o str, Direction, &'o str, &'o str);
    let mut seen: HashMap<Side<'_>, (&EntityType, &Relationship)> = HashMap::new();
    for entity in ontology.types.values() {
        for link in entity.relationships.values() {
            let back = match link.direction {
                Direction::In => Direction::Out,
                Direction::Out => Direction::In,
            };
            let (kind, here, there) = (link.relationship_type.as_str(), entity.name.as_str(), link.target.as_str());
            if let Some((other, its)) = seen.get(&(kind, back, there, here)) {
                let different =
                    link.properties.is_some() && its.properties.is_some() && link.properties != its.properties;
                if different {
                    let message = format!(
                        "`{}.{}` and `{here}.{}` are two sides of `{kind}` with different properties",
                        other.name, its.name, link.name
                    );
                    let help = format!("write `properties: \"{}\"`", its.properties.as_deref().unwrap_or_default());
                    let place = properties_place(catalog, here, &link.name);
                    problems.add(Code::InvalidRelationship, place, message).help(help);
                }
            }
            seen.entry((kind, link.direction, here, there)).or_insert((entity, link));
        }
    }
}

fn properties_place(catalog: &Catalog, owner: &str, field: &str) -> Span {
    let field = catalog.get(owner).and_then(|entry| entry.definition.field(field));
    let directive = field.and_then(|field| find(&field.directives, "relationship"));
    directive.and_then(|directive| directive.text("properties")).map(|(_, place)| place).unwrap_or_default()
}

/// No two elements of the ontology lead to the same name of the API.
fn names(catalog: &Catalog, ontology: &Ontology, problems: &mut Problems) {
    let generated = api::generated_names(ontology);
    let mut seen: HashMap<&str, &str> = HashMap::with_capacity(generated.len());
    // One pair of elements often collides in a dozen names, of which the first tells enough.
    let mut pairs: IndexMap<(&str, &str), &str> = IndexMap::new();
    for (name, cause) in &generated {
        if let Some(other) = seen.insert(name, cause) {
            let pair = match (owner(other), owner(cause)) {
                (one, two) if one == two => (other, cause.as_str()),
                (one, two) => (one.min(two), one.max(two)),
            };
            pairs.entry(pair).or_insert(name);
        }
    }
    let fields: HashSet<&str> = pairs.keys().filter(|(one, two)| one != two).map(|(one, _)| owner(one)).collect();
    for ((one, other), name) in &pairs {
        // A type that collides with itself does so by two of its fields, when such are known.
        if one != other || !fields.contains(one) {
            collision(catalog, ontology, name, (one, other), problems);
        }
    }
}

fn owner(element: &str) -> &str {
    element.split('.').next().unwrap_or_default()
}

fn collision(catalog: &Catalog, ontology: &Ontology, name: &str, pair: (&str, &str), problems: &mut Problems) {
    let (one, other) = pair;
    let built_in = |element: &str| element_place(catalog, element) == Span::NOWHERE;
    let first = built_in(other) || (one == name && !built_in(one));
    let (ours, theirs) = if first { (one, other) } else { (other, one) };
    let what = match name.split_once('.') {
        Some((on, field)) => format!("the field `{field}` of `{on}`"),
        None => format!("the type `{name}`"),
    };
    let message = match theirs {
        "" => format!("`{ours}` leads to {what} in the API, which is there already"),
        theirs if theirs == ours => format!("`{ours}` leads to {what} in the API twice"),
        theirs => format!("`{theirs}` and `{ours}` both lead to {what} in the API"),
    };
    let root = name.split_once('.').is_some_and(|(on, _)| ["Query", "Mutation", "Subscription"].contains(&on));
    let stored = ours.split_once('.').is_some_and(|(owner, field)| {
        ontology.types.get(owner).is_some_and(|entity| entity.properties.contains_key(field))
    });
    let help = match (ours.contains('.'), root) {
        (true, _) if stored => "give the field another name; `@alias` keeps its name in the store",
        (true, _) => "give the field another name",
        (false, true) => "set another plural, as in `@node(plural: \"...\")`",
        (false, false) => "give one of them another name",
    };
    problems.add(Code::NameCollision, element_place(catalog, ours), message).help(help);
}

fn element_place(catalog: &Catalog, element: &str) -> Span {
    let Some((name, field)) = element.split_once('.') else { return place(catalog, element) };
    let found = catalog.get(name).and_then(|entry| entry.definition.field(field));
    found.map_or_else(|| place(catalog, name), |field| field.name.span)
}

fn place(catalog: &Catalog, name: &str) -> Span {
    catalog.get(name).map_or(Span::NOWHERE, |entry| entry.definition.name.span)
}
