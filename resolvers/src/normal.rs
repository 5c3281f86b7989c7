//! Input of writers, from mutations and imports alike, in the form in which it is stored: checked against the ontology, under
//! stored names, with defaults.

use indexmap::IndexMap;
use quipu_schema::ontology::{EdgeType, EntityType, Ontology, Property, Scalar};
use serde_json::{Map, Value as Json};

use crate::change::{Act, Mode, Op, Ref};
use crate::value::scalar;

/// The operation that puts a record: its properties normalised, its unique and embedded ones named.
///
/// `input` is by field name; `id` in it must be the record's own. Required properties must be there unless `mode` is
/// [`Mode::Update`]; that is when defaults are filled in, too.
///
/// # Errors
/// What is wrong with which property, for the caller to put the place before it.
pub fn put(
    ontology: &Ontology,
    entity: &EntityType,
    id: String,
    mode: Mode,
    input: Map<String, Json>,
) -> Result<Op, String> {
    check_id(&id, &input)?;
    let set = properties(ontology, entity, input, mode != Mode::Update)?;
    let named = |wanted: fn(&Property) -> bool| {
        let among = entity.properties.values().filter(|p| wanted(p) && p.stored != "id" && set.contains_key(&p.stored));
        among.map(|p| p.stored.clone()).collect()
    };
    let (unique, embed) = (named(|p| p.unique), named(|p| p.embed));
    Ok(Op::Put { record: Ref { of: entity.name.clone(), id }, row: !entity.is_node(), mode, set, unique, embed })
}

/// The operation that makes or changes a row of a table that belongs to others; as [`put`].
///
/// # Errors
/// As [`put`].
pub fn foreign(
    ontology: &Ontology,
    entity: &EntityType,
    id: String,
    act: Act,
    input: Map<String, Json>,
) -> Result<Op, String> {
    check_id(&id, &input)?;
    let set = properties(ontology, entity, input, matches!(act, Act::Create | Act::Make))?;
    Ok(Op::Foreign { record: Ref { of: entity.name.clone(), id }, act, set })
}

fn check_id(id: &str, input: &Map<String, Json>) -> Result<(), String> {
    if let Some(other) = input.get("id").filter(|other| !is_id(other, id)) {
        return Err(format!("id: expected {id:?} as in the record, found {other}"));
    }
    if id.is_empty() {
        return Err("id: expected a text that is not empty".to_owned());
    }
    Ok(())
}

/// Properties of a record by stored name, without `id`. Null removes a property. With `creating`, required ones must be there and
/// defaults are filled in.
///
/// # Errors
/// As [`put`].
pub fn properties(
    ontology: &Ontology,
    entity: &EntityType,
    input: Map<String, Json>,
    creating: bool,
) -> Result<Map<String, Json>, String> {
    normalised(ontology, &entity.name, &entity.properties, input, creating)
}

/// Properties of a relationship by stored name; as [`properties`].
///
/// # Errors
/// As [`put`].
pub fn edge_properties(
    ontology: &Ontology,
    edge: &EdgeType,
    input: Map<String, Json>,
    creating: bool,
) -> Result<Map<String, Json>, String> {
    normalised(ontology, &edge.name, &edge.properties, input, creating)
}

fn normalised(
    ontology: &Ontology,
    of: &str,
    known: &IndexMap<String, Property>,
    input: Map<String, Json>,
    creating: bool,
) -> Result<Map<String, Json>, String> {
    let mut set = Map::with_capacity(input.len());
    for (name, given) in input {
        let Some(property) = known.get(&name) else {
            return Err(unknown(of, &name, known.keys()));
        };
        if property.stored == "id" {
            continue;
        }
        let normal = value(ontology, property, given).map_err(|why| format!("{name}: {why}"))?;
        set.insert(property.stored.clone(), normal);
    }
    if creating {
        complete(known, &mut set)?;
    }
    Ok(set)
}

/// Fills in defaults and demands what is required.
fn complete(known: &IndexMap<String, Property>, set: &mut Map<String, Json>) -> Result<(), String> {
    for property in known.values().filter(|p| p.stored != "id" && (p.is_demanded() || p.default.is_some())) {
        if set.contains_key(&property.stored) {
            continue;
        }
        match &property.default {
            Some(default) => {
                set.insert(property.stored.clone(), default.clone());
            }
            None => return Err(format!("{}: a value is required", property.name)),
        }
    }
    Ok(())
}

/// One property's value.
fn value(ontology: &Ontology, property: &Property, given: Json) -> Result<Json, String> {
    match given {
        Json::Null if property.required => Err("expected a value, found null".to_owned()),
        Json::Null => Ok(Json::Null),
        Json::Array(items) if property.list => {
            let item = |(at, item): (usize, Json)| match item {
                Json::Null if property.item_required => Err(format!("[{at}]: expected a value, found null")),
                Json::Null => Ok(Json::Null),
                item => single(ontology, &property.scalar, item).map_err(|why| format!("[{at}]: {why}")),
            };
            items.into_iter().enumerate().map(item).collect::<Result<Vec<_>, _>>().map(Json::Array)
        }
        _ if property.list => Err(format!("expected a list of {}", property.scalar.name())),
        given => single(ontology, &property.scalar, given),
    }
}

/// One scalar; texts are moved, not copied.
fn single(ontology: &Ontology, wanted: &Scalar, given: Json) -> Result<Json, String> {
    match (wanted, given) {
        (Scalar::Json, given)
        | (Scalar::String | Scalar::Id, given @ Json::String(_))
        | (Scalar::Boolean, given @ Json::Bool(_)) => Ok(given),
        (Scalar::Enum(name), Json::String(word)) => {
            let values = ontology.enums.get(name).map_or(&[][..], |known| &known.values);
            if values.iter().any(|v| v.name == word) {
                return Ok(Json::String(word));
            }
            let near = nearest(&word, values.iter().map(|v| v.name.as_str()));
            Err(format!("{name} has no value {word:?}{}", suggestion(near)))
        }
        (_, given) => scalar::normalise(wanted, &given),
    }
}

fn is_id(given: &Json, id: &str) -> bool {
    match given {
        Json::String(text) => text == id,
        Json::Number(number) => number.to_string() == id,
        _ => false,
    }
}

/// Says that a type has no such field, and which one may have been meant.
pub fn unknown<'a>(of: &str, name: &str, known: impl Iterator<Item = &'a String>) -> String {
    format!("{of} has no property {name:?}{}", suggestion(nearest(name, known.map(String::as_str))))
}

fn suggestion(near: Option<&str>) -> String {
    near.map_or(String::new(), |near| format!("; did you mean {near:?}?"))
}

/// The known name that is nearest to a wrong one, if any is near.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let scored = known.map(|k| (strsim::normalized_damerau_levenshtein(&lower, &k.to_lowercase()), k));
    scored.filter(|(score, _)| *score >= 0.6).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, k)| k)
}

#[cfg(test)]
mod tests;
