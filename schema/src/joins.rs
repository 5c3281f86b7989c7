//! Joins: fields that reach records by equal values, between nodes and rows in any combination.

use indexmap::IndexMap;

use crate::catalog::{Catalog, Entry, Role};
use crate::names;
use crate::ontology::{EntityType, Join, Property, Scalar};
use crate::policy::Rules;
use crate::problem::{Code, Problems, Span};
use crate::properties::deprecated;
use crate::records::only_on_properties;
use crate::relationships::shape;
use crate::syntax::{Directive, Field, find};

const HELP: &str = "`on` names a column of the other record that holds this one's id, `by` a column of this record";

/// The join that a field declares. The side of the id is left open (empty) until all types are known.
pub(crate) fn join(field: &Field, directive: &Directive, target: &Entry, problems: &mut Problems) -> Option<Join> {
    only_on_properties(field, problems);
    let name = &field.name.text;
    let list = shape(field, problems);
    if !matches!(target.role, Role::Node | Role::Row) {
        let message = format!("`{name}` joins {}, and joins end at one type", target.role.noun());
        problems.add(Code::InvalidJoin, field.ty.span, message).help("name a node type or a row type");
        return None;
    }
    let (local, remote, place) = match (directive.text("on"), directive.text("by")) {
        (Some((column, place)), None) => (String::new(), column.to_owned(), place),
        (None, Some((column, place))) => (column.to_owned(), String::new(), place),
        (Some(_), Some(_)) => {
            problems.add(Code::InvalidJoin, directive.span, "a join is either `on` or `by`").help(HELP);
            return None;
        }
        (None, None) => {
            problems.add(Code::MissingArgument, directive.span, "`@join` needs `on` or `by`").help(HELP);
            return None;
        }
    };
    if list && remote.is_empty() {
        let message = format!("`{name}` joins `by` a column, which leads to one record, not to a list");
        let help = format!("write `{name}: {}`, or use `on`", target.definition.name.text);
        problems.add(Code::InvalidJoin, place, message).help(help);
        return None;
    }
    Some(Join {
        name: name.clone(),
        target: target.definition.name.text.clone(),
        list,
        required: !list && field.ty.required,
        local,
        remote,
        description: field.description.clone(),
        deprecated: deprecated(&field.directives),
    })
}

/// Fills in the ids' side of all joins, and gives the types that store a column a property for it where they declare none.
pub(crate) fn resolve(catalog: &Catalog, types: &mut IndexMap<String, EntityType>, problems: &mut Problems) {
    let all: Vec<(String, Join)> = types
        .values()
        .flat_map(|entity| entity.joins.values().map(|join| (entity.name.clone(), join.clone())))
        .collect();
    for (owner, join) in all {
        let on = join.local.is_empty();
        let (holder, column, other) = match on {
            true => (&join.target, &join.remote, &owner),
            false => (&owner, &join.local, &join.target),
        };
        let id = types.get(other).and_then(|entity| entity.properties.get("id")).map(|id| id.stored.clone());
        let place = place(catalog, &owner, &join);
        if let Some(holder) = types.get_mut(holder) {
            self::column(holder, column, !on && join.required, place, problems);
        }
        if let Some(join) = types.get_mut(&owner).and_then(|entity| entity.joins.get_mut(&join.name)) {
            let open = if on { &mut join.local } else { &mut join.remote };
            *open = id.unwrap_or_else(|| "id".to_owned());
        }
    }
}

/// Where the column of a join is named.
fn place(catalog: &Catalog, owner: &str, join: &Join) -> Span {
    let field = catalog.get(owner).and_then(|entry| entry.definition.field(&join.name));
    let directive = field.and_then(|field| find(&field.directives, "join"));
    let argument = directive.and_then(|directive| directive.arguments.first());
    argument.map(|argument| argument.value.span).unwrap_or_default()
}

fn column(holder: &mut EntityType, column: &str, required: bool, place: Span, problems: &mut Problems) {
    let owner = holder.name.clone();
    if let Some(property) = holder.properties.values_mut().find(|property| property.stored == column) {
        let fits = !property.list && matches!(property.scalar, Scalar::Id | Scalar::String);
        if !fits {
            let message = format!("`{owner}.{}` cannot hold an id", property.name);
            problems.add(Code::InvalidJoin, place, message).help("a column of a join is an `ID` or a `String`");
        }
        property.indexed = true;
        property.required |= required && property.implicit;
        return;
    }
    if let Some(help) = names::refused_by_stores(column) {
        problems.add(Code::InvalidName, place, format!("`{column}` cannot be a column")).help(help);
        return;
    }
    if !names::is_graphql(column) {
        let message = format!("`{column}` cannot be the name of a field");
        let help = format!("declare a property of `{owner}` with `@alias(property: \"{column}\")`");
        problems.add(Code::InvalidName, place, message).help(help);
        return;
    }
    if holder.field(column).is_some() {
        let message = format!("`{owner}` already has a field `{column}`, which is not the column of this join");
        let help = format!("name the column otherwise, for example `{column}_id`");
        problems.add(Code::InvalidJoin, place, message).help(help);
        return;
    }
    holder.order.push(column.to_owned());
    holder.properties.insert(column.to_owned(), implicit(column, required));
}

fn implicit(column: &str, required: bool) -> Property {
    Property {
        name: column.to_owned(),
        stored: column.to_owned(),
        description: None,
        deprecated: None,
        scalar: Scalar::Id,
        list: false,
        required,
        item_required: false,
        unique: false,
        indexed: true,
        default: None,
        generated: None,
        embed: false,
        selectable: false,
        filterable: true,
        sortable: true,
        implicit: true,
        rules: Rules::default(),
    }
}
