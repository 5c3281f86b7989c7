//! Node and row types: what both have in common. What sets them apart is in `nodes` and `tables`.

use std::time::Duration;

use indexmap::IndexMap;

use crate::catalog::{Catalog, Entry, Named, Role};
use crate::names;
use crate::ontology::{EntityType, EnumType, PageLimit, Scalar};
use crate::policy::Rules;
use crate::problem::{Code, Problems, Span};
use crate::properties::{self, Holder};
use crate::syntax::{Definition, Directive, Field, find};
use crate::{directives, joins, nodes, relationships, tables};

/// Seconds that an answer is kept at most: a day.
const LONGEST_KEPT: u32 = 24 * 60 * 60;

/// Compiles all node and row types, in the order of the catalog. Rules are added by a later stage.
pub(crate) fn compile(
    catalog: &Catalog,
    enums: &IndexMap<String, EnumType>,
    problems: &mut Problems,
) -> IndexMap<String, EntityType> {
    let mut types = IndexMap::new();
    for (role, definition) in catalog.of(&[Role::Node, Role::Row]) {
        let entity = record(catalog, enums, role, definition, problems);
        types.insert(entity.name.clone(), entity);
    }
    joins::resolve(catalog, &mut types, problems);
    for (_, definition) in catalog.of(&[Role::Row]) {
        if let Some(entity) = types.get(&definition.name.text) {
            tables::check_writes(definition, entity, problems);
        }
    }
    types
}

fn record(
    catalog: &Catalog,
    enums: &IndexMap<String, EnumType>,
    role: Role,
    definition: &Definition,
    problems: &mut Problems,
) -> EntityType {
    let singular = names::lower_camel(&definition.name.text);
    let plural = plural(definition, &singular, problems);
    let kind = match role {
        Role::Row => tables::kind(definition, &plural, problems),
        _ => nodes::kind(definition, problems),
    };
    let mut entity = EntityType {
        name: definition.name.text.clone(),
        description: definition.description.clone(),
        plural,
        singular,
        kind,
        built_in: definition.built_in,
        properties: IndexMap::new(),
        relationships: IndexMap::new(),
        joins: IndexMap::new(),
        order: Vec::new(),
        interfaces: nodes::interfaces(definition, role),
        limit: limit(definition, problems),
        cache: cache(definition, problems),
        rules: Rules::default(),
    };
    for field in &definition.fields {
        self::field(catalog, enums, definition, field, &mut entity, problems);
    }
    id(definition, &mut entity, problems);
    tables::take_id(&mut entity);
    entity
}

/// The plural that `@node` or `@table` gives, or the English one.
fn plural(definition: &Definition, singular: &str, problems: &mut Problems) -> String {
    let given = ["node", "table"].into_iter().filter_map(|name| find(&definition.directives, name));
    let Some((plural, place)) = given.filter_map(|directive| directive.text("plural")).next() else {
        return names::plural(singular);
    };
    if !names::is_graphql(plural) {
        let message = format!("`{plural}` cannot be the name of a field");
        problems.add(Code::InvalidName, place, message).help("use letters, digits and `_`, with a letter first");
    }
    plural.to_owned()
}

fn limit(definition: &Definition, problems: &mut Problems) -> PageLimit {
    let Some(directive) = find(&definition.directives, "limit") else {
        return PageLimit::default();
    };
    let (default, max) = (directive.number("default"), directive.number("max"));
    let mut complain = |place: Span, message: &str, help: &str| {
        problems.add(Code::InvalidArgument, place, message).help(help);
    };
    match (default, max) {
        (Some((default, place)), Some((max, _))) if default > max => {
            complain(place, &format!("the default {default} is larger than the maximum {max}"), "swap the two");
        }
        (None, None) if directive.arguments.is_empty() => {
            complain(directive.span, "`@limit` says nothing", "give it `default`, `max` or both");
        }
        _ => {}
    }
    PageLimit { default: default.map(|(number, _)| number), max: max.map(|(number, _)| number) }
}

/// How long answers about the type may be kept.
fn cache(definition: &Definition, problems: &mut Problems) -> Option<Duration> {
    let (seconds, place) = find(&definition.directives, "cache")?.number("ttl")?;
    if seconds > LONGEST_KEPT {
        let message = format!("answers are kept for {LONGEST_KEPT} seconds at most, not for {seconds}");
        problems
            .add(Code::InvalidArgument, place, message)
            .help("`ttl` is in seconds, from 1 to 86400, which is a day");
        return None;
    }
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

fn field(
    catalog: &Catalog,
    enums: &IndexMap<String, EnumType>,
    definition: &Definition,
    field: &Field,
    entity: &mut EntityType,
    problems: &mut Problems,
) {
    check_head(field, problems);
    let Some(named) = catalog.resolve(&field.ty.name, problems) else {
        return;
    };
    let name = field.name.text.clone();
    if let Some(scalar) = properties::scalar(&named) {
        let holder = if entity.mapped().is_some() { Holder::Mapped } else { Holder::Record };
        let property = properties::property(field, scalar, holder, enums, problems);
        entity.order.push(name.clone());
        entity.properties.insert(name, property);
        return;
    }
    let Named::Entry(target) = named else { return };
    let link = (find(&field.directives, "relationship"), find(&field.directives, "join"));
    match link {
        (Some(_), Some(join)) => {
            let message = format!("`{name}` is both a relationship and a join");
            problems.add(Code::ConflictingDirectives, join.span, message).help("keep one of the two");
        }
        (Some(directive), None) => {
            let relationship = relationships::relationship(catalog, definition, field, directive, target, problems);
            if let Some(relationship) = relationship {
                entity.order.push(name.clone());
                entity.relationships.insert(name, relationship);
            }
        }
        (None, Some(directive)) => {
            if let Some(join) = joins::join(field, directive, target, problems) {
                entity.order.push(name.clone());
                entity.joins.insert(name, join);
            }
        }
        (None, None) => unlinked(definition, field, target, entity, problems),
    }
}

/// What is asked of every field, whatever it holds.
pub(crate) fn check_head(field: &Field, problems: &mut Problems) {
    let name = &field.name.text;
    if !names::is_graphql(name) {
        let help = "names that begin with `__` belong to GraphQL's introspection";
        problems.add(Code::ReservedName, field.name.span, format!("the name `{name}` is reserved")).help(help);
    }
    if ["AND", "OR", "NOT"].contains(&name.as_str()) {
        let help = "filters use the words AND, OR and NOT; call the field something else and `@alias` it";
        problems.add(Code::ReservedName, field.name.span, format!("the name `{name}` is reserved")).help(help);
    }
    if let Some(place) = field.arguments {
        let help = "remove them: the arguments of the API are generated";
        problems.add(Code::Unsupported, place, "fields of an ontology have no arguments").help(help);
    }
}

fn unlinked(definition: &Definition, field: &Field, target: &Entry, entity: &EntityType, problems: &mut Problems) {
    if field.directives.iter().any(|directive| !directives::is_known(&directive.name.text)) {
        // A misspelt `@relationship`, which was reported.
        return;
    }
    let (name, ty) = (&field.name.text, &target.definition.name.text);
    let help = match target.role {
        Role::Edge => format!("`{ty}` is for `@relationship(..., properties: \"{ty}\")`"),
        Role::Row => "add `@join(on: \"column\")` or `@join(by: \"column\")`".to_owned(),
        _ if entity.is_node() => "add `@relationship(type: \"...\", direction: OUT)`, or `@join`".to_owned(),
        _ => "add `@join(by: \"column\")`".to_owned(),
    };
    let message = format!("`{}.{name}` does not say how it reaches `{ty}`", definition.name.text);
    problems.add(Code::MissingLink, field.ty.span, message).help(help);
}

/// Reports directives that only stored values may carry.
pub(crate) fn only_on_properties(field: &Field, problems: &mut Problems) {
    const LINKS: [&str; 3] = ["relationship", "join", "deprecated"];
    let wrong = |directive: &&Directive| !LINKS.contains(&directive.name.text.as_str());
    for directive in field.directives.iter().filter(wrong) {
        let message = format!("`@{}` cannot stand on a field of records", directive.name.text);
        let help = "put it on a property, or on the type at the other end";
        problems.add(Code::MisplacedDirective, directive.span, message).help(help);
    }
}

/// Every record has `id: ID!`, unique and first.
fn id(definition: &Definition, entity: &mut EntityType, problems: &mut Problems) {
    let place = definition.field("id").map_or(definition.name.span, |field| field.ty.span);
    let Some(mut id) = entity.properties.shift_remove("id") else {
        let (message, help) = match definition.field("id") {
            Some(_) => (format!("`{}.id` must be `ID!`", entity.name), "write `id: ID!`"),
            None => (format!("`{}` has no `id`", entity.name), "add the field `id: ID!`"),
        };
        problems.add(Code::MissingId, place, message).help(help);
        return;
    };
    if id.scalar != Scalar::Id || id.list || !id.required {
        let message = format!("`{}.id` must be `ID!`", entity.name);
        problems.add(Code::MissingId, place, message).help("write `id: ID!`");
    }
    (id.unique, id.indexed) = (true, true);
    entity.properties.shift_insert(0, "id".to_owned(), id);
}
