//! `sort`, `limit`, `offset`, `first`, `after`, `last` and `before`, to an order and a window.

use quipu_schema::ontology::{EdgeType, EntityType, PageLimit};
use serde_json::{Map, Value as Json};

use super::bad;
use crate::Limits;
use crate::fault::{Code, Fault};
use crate::read::{Field, Sort, Window};
use crate::value::cursor::Cursors;
use crate::ways;

/// Page sizes of a list: the ontology's `@limit`, or else the gateway's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pages {
    default: u32,
    max: u32,
}

impl Pages {
    pub fn new(limits: &Limits, ontology: PageLimit) -> Self {
        let max = ontology.max.unwrap_or(limits.page).min(limits.page);
        Self { default: ontology.default.unwrap_or(limits.default_page).min(max), max }
    }

    /// A page size that was asked for, or the default.
    pub fn size(&self, asked: Option<&Json>, argument: &str) -> Result<u32, Fault> {
        let Some(asked) = asked.and_then(Json::as_i64) else { return Ok(self.default) };
        match u32::try_from(asked) {
            Err(_) => Err(bad(format!("{argument} must not be negative"))),
            Ok(size) if size > self.max => {
                let message = format!(
                    "{argument} is {size}; at most {} records fit on a page (`limits.page`, `@limit`)",
                    self.max
                );
                Err(Fault::client(Code::PageTooLarge, message))
            }
            Ok(size) => Ok(size),
        }
    }
}

/// The window of a list: `limit` and `offset`.
pub(crate) fn of_list(args: &Map<String, Json>, pages: Pages) -> Result<Window, Fault> {
    let limit = pages.size(args.get("limit"), "limit")?;
    let offset = match args.get("offset").and_then(Json::as_i64) {
        None => 0,
        Some(offset) => u32::try_from(offset).map_err(|_| bad("offset must not be negative"))?,
    };
    Ok(Window { limit: Some(limit), offset, ..Window::default() })
}

/// The window of a connection with room for one row more than the page, and the page's size.
pub(crate) fn of_connection(
    args: &Map<String, Json>,
    pages: Pages,
    cursors: &Cursors,
    width: usize,
) -> Result<(Window, u32), Fault> {
    let given = |name: &str| args.get(name).filter(|value| !value.is_null());
    if given("first").is_some() && given("last").is_some() {
        return Err(bad("first and last exclude each other"));
    }
    let backwards = given("last").is_some() || (given("before").is_some() && given("first").is_none());
    let argument = if backwards { "last" } else { "first" };
    let page = pages.size(given(argument), argument)?;
    let open = |name: &str| match given(name).and_then(Json::as_str) {
        Some(cursor) => cursors.open(cursor, width).map(Some),
        None => Ok(None),
    };
    let window = Window { limit: Some(page + 1), offset: 0, after: open("after")?, before: open("before")?, backwards };
    Ok((window, page))
}

/// The order that `sort` asks for, made total by the fields of `ties`.
pub(crate) fn order(
    entity: Option<&EntityType>,
    edge: Option<&EdgeType>,
    sort: Option<&Json>,
    ties: &[Field],
) -> Result<Vec<Sort>, Fault> {
    let mut order: Vec<Sort> = Vec::new();
    let listed = match sort {
        Some(Json::Array(items)) => items.as_slice(),
        Some(single @ Json::Object(_)) => std::slice::from_ref(single),
        _ => &[],
    };
    for item in listed {
        for (name, value) in item.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            match (name.as_str(), value) {
                ("node", Json::Object(inner)) => by_properties(entity, inner, &mut order),
                ("edge", Json::Object(inner)) => by_edge(edge, inner, &mut order),
                (name, direction) => {
                    let field = match entity {
                        Some(entity) => entity.properties.get(name).map(ways::field),
                        None => Some(if name == "type" { Field::Type } else { Field::Id }),
                    };
                    push(field, direction, &mut order);
                }
            }
        }
    }
    for tie in ties {
        if order.iter().any(|sort| sort.field == Field::Id) && ties.len() == 1 {
            break;
        }
        if !order.iter().any(|sort| sort.field == *tie) {
            order.push(Sort { field: tie.clone(), descending: false });
        }
    }
    Ok(order)
}

fn by_properties(entity: Option<&EntityType>, given: &Map<String, Json>, order: &mut Vec<Sort>) {
    for (name, direction) in given {
        push(entity.and_then(|entity| entity.properties.get(name)).map(ways::field), direction, order);
    }
}

fn by_edge(edge: Option<&EdgeType>, given: &Map<String, Json>, order: &mut Vec<Sort>) {
    for (name, direction) in given {
        push(edge.and_then(|edge| edge.properties.get(name)).map(ways::edge_field), direction, order);
    }
}

fn push(field: Option<Field>, direction: &Json, order: &mut Vec<Sort>) {
    if let (Some(field), Some(direction)) = (field, direction.as_str())
        && !order.iter().any(|sort| sort.field == field)
    {
        order.push(Sort { field, descending: direction == "DESC" });
    }
}
