//! Coercion of variables and arguments, as sections 3.10, 6.1.2 and 6.4.1 of the GraphQL specification (October 2021) say.
//!
//! Coerced input is JSON: enum values are text, scalars are in their stored form, absent fields are absent and null is null.

use std::collections::HashMap;

use async_graphql::parser::types::{BaseType, OperationDefinition, Type};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value as Literal;
use indexmap::IndexMap;
use quipu_schema::api::{Api, InputField, TypeDef, TypeRef};
use quipu_schema::ontology::Scalar;
use serde_json::{Map, Value as Json};

use crate::fault::{Code, Fault};
use crate::value::scalar;

/// Coerced variables by name; those that were not given and have no default are not there.
pub type Variables = HashMap<String, Json>;

/// Coerces the variables of an operation.
///
/// # Errors
/// `BAD_USER_INPUT`, naming the variable and the place in it.
pub fn variables(api: &Api, operation: &OperationDefinition, given: &Map<String, Json>) -> Result<Variables, Fault> {
    let mut coerced = Variables::with_capacity(operation.variable_definitions.len());
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        let name = definition.name.node.as_str();
        let ty = declared(&definition.var_type.node);
        match (given.get(name), &definition.default_value) {
            (None, Some(default)) => {
                let default = default.node.clone().into_json().unwrap_or(Json::Null);
                coerced.insert(name.to_owned(), default);
            }
            (None, None) if ty.is_required() => {
                return Err(bad(format!("variable ${name} of type {ty} is required")));
            }
            (None, None) => {}
            (Some(value), _) => {
                let value = input(api, &ty, value).map_err(|why| bad(format!("variable ${name}: {why}")))?;
                coerced.insert(name.to_owned(), value);
            }
        }
    }
    Ok(coerced)
}

/// Coerces the arguments of a field, with defaults.
///
/// # Errors
/// `BAD_USER_INPUT`, naming the argument and the place in it.
pub fn arguments(
    api: &Api,
    declared: &IndexMap<String, InputField>,
    given: &[(Positioned<Name>, Positioned<Literal>)],
    variables: &Variables,
) -> Result<Map<String, Json>, Fault> {
    let mut coerced = Map::new();
    for (name, field) in declared {
        let literal = given.iter().find(|(given, _)| given.node == *name).map(|(_, value)| &value.node);
        let value = match literal {
            Some(literal) => self::literal(api, &field.ty, literal, variables)
                .map_err(|why| bad(format!("argument {name}: {why}")))?,
            None => None,
        };
        match value.or_else(|| field.default.clone()) {
            Some(value) => {
                coerced.insert(name.clone(), value);
            }
            None if field.ty.is_required() => {
                return Err(bad(format!("argument {name} of type {} is required", field.ty)));
            }
            None => {}
        }
    }
    Ok(coerced)
}

fn bad(message: String) -> Fault {
    Fault::client(Code::BadUserInput, message)
}

/// A type as a document declares it.
pub(crate) fn declared(ty: &Type) -> TypeRef {
    let base = match &ty.base {
        BaseType::Named(name) => TypeRef::named(name.as_str()),
        BaseType::List(inner) => TypeRef::List(Box::new(declared(inner))),
    };
    if ty.nullable { base } else { TypeRef::NonNull(Box::new(base)) }
}

/// Coerces a literal. `None` when it is a variable that was not given.
fn literal(api: &Api, ty: &TypeRef, value: &Literal, variables: &Variables) -> Result<Option<Json>, String> {
    if let Literal::Variable(name) = value {
        return match variables.get(name.as_str()) {
            Some(Json::Null) if ty.is_required() => Err(format!("expected {ty}, but ${name} is null")),
            given => Ok(given.cloned()),
        };
    }
    match ty {
        TypeRef::NonNull(inner) if *value == Literal::Null => Err(format!("expected {inner}!, found null")),
        TypeRef::NonNull(inner) => literal(api, inner, value, variables),
        _ if *value == Literal::Null => Ok(Some(Json::Null)),
        TypeRef::List(item) => {
            let single = std::slice::from_ref(value);
            let items = if let Literal::List(items) = value { items.as_slice() } else { single };
            let mut coerced = Vec::with_capacity(items.len());
            for (at, literal_item) in items.iter().enumerate() {
                match literal(api, item, literal_item, variables).map_err(|why| format!("[{at}]: {why}"))? {
                    Some(value) => coerced.push(value),
                    None if item.is_required() => return Err(format!("[{at}]: expected {item}, found no value")),
                    None => coerced.push(Json::Null),
                }
            }
            Ok(Some(Json::Array(coerced)))
        }
        TypeRef::Named(name) => named_literal(api, name, value, variables).map(Some),
    }
}

fn named_literal(api: &Api, name: &str, value: &Literal, variables: &Variables) -> Result<Json, String> {
    match (api.types.get(name), value) {
        (Some(TypeDef::Input(def)), Literal::Object(given)) => {
            refuse_unknown(&def.fields, given.keys().map(Name::as_str), name)?;
            object(&def.fields, |field| match given.get(field.name.as_str()) {
                Some(value) => literal(api, &field.ty, value, variables),
                None => Ok(None),
            })
        }
        (Some(TypeDef::Enum(def)), Literal::Enum(word)) if def.values.iter().any(|v| v.name == word.as_str()) => {
            Ok(word.as_str().into())
        }
        (Some(TypeDef::Enum(_) | TypeDef::Input(_)), other) => Err(format!("expected {name}, found {other}")),
        (_, Literal::Enum(word)) => Err(format!("expected {name}, found the enum value {word}")),
        (_, other) => {
            let json = json(other, variables)?;
            scalar::normalise(&scalar_of(api, name)?, &json)
        }
    }
}

/// Coerces a JSON value, of a variable.
fn input(api: &Api, ty: &TypeRef, value: &Json) -> Result<Json, String> {
    match ty {
        TypeRef::NonNull(inner) if value.is_null() => Err(format!("expected {inner}!, found null")),
        TypeRef::NonNull(inner) => input(api, inner, value),
        _ if value.is_null() => Ok(Json::Null),
        TypeRef::List(item) => match value {
            Json::Array(items) => {
                let coerce = |(at, value)| input(api, item, value).map_err(|why| format!("[{at}]: {why}"));
                items.iter().enumerate().map(coerce).collect::<Result<Vec<_>, _>>().map(Json::Array)
            }
            single => Ok(Json::Array(vec![input(api, item, single)?])),
        },
        TypeRef::Named(name) => match (api.types.get(name), value) {
            (Some(TypeDef::Input(def)), Json::Object(given)) => {
                refuse_unknown(&def.fields, given.keys().map(String::as_str), name)?;
                object(&def.fields, |field| match given.get(&field.name) {
                    Some(value) => input(api, &field.ty, value).map(Some),
                    None => Ok(None),
                })
            }
            (Some(TypeDef::Enum(def)), Json::String(word)) if def.values.iter().any(|v| v.name == *word) => {
                Ok(value.clone())
            }
            (Some(TypeDef::Enum(_) | TypeDef::Input(_)), other) => Err(format!("expected {name}, found {other}")),
            (_, other) => scalar::normalise(&scalar_of(api, name)?, other),
        },
    }
}

fn object(
    fields: &IndexMap<String, InputField>,
    mut coerce: impl FnMut(&InputField) -> Result<Option<Json>, String>,
) -> Result<Json, String> {
    let mut coerced = Map::new();
    for (name, field) in fields {
        match coerce(field).map_err(|why| format!("{name}: {why}"))?.or_else(|| field.default.clone()) {
            Some(value) => {
                coerced.insert(name.clone(), value);
            }
            None if field.ty.is_required() => return Err(format!("{name}: a value of type {} is required", field.ty)),
            None => {}
        }
    }
    Ok(Json::Object(coerced))
}

fn refuse_unknown<'a>(
    fields: &IndexMap<String, InputField>,
    mut given: impl Iterator<Item = &'a str>,
    of: &str,
) -> Result<(), String> {
    match given.find(|name| !fields.contains_key(*name)) {
        Some(unknown) => Err(format!("{of} has no field {unknown:?}")),
        None => Ok(()),
    }
}

/// Checks a literal against a scalar, whatever variables stand in it (only JSON can hold any).
///
/// # Errors
/// What was expected and what was found.
pub(crate) fn scalar(of: &Scalar, value: &Literal) -> Result<(), String> {
    match (of, value) {
        // A variable may hold 3.0 for 3; in a document that is a Float.
        (Scalar::Int | Scalar::BigInt, Literal::Number(number)) if number.is_f64() => {
            Err(format!("expected {}, found {number}", of.name()))
        }
        _ => scalar::normalise(of, &json(value, &Variables::new())?).map(drop),
    }
}

fn scalar_of(api: &Api, name: &str) -> Result<Scalar, String> {
    match (name, api.types.get(name)) {
        (_, Some(TypeDef::Scalar { scalar, .. })) => Ok(scalar.clone()),
        ("ID", _) => Ok(Scalar::Id),
        ("String", _) => Ok(Scalar::String),
        ("Int", _) => Ok(Scalar::Int),
        ("Float", _) => Ok(Scalar::Float),
        ("Boolean", _) => Ok(Scalar::Boolean),
        _ => Err(format!("{name} is no input type")),
    }
}

/// A literal as JSON, for scalars.
fn json(value: &Literal, variables: &Variables) -> Result<Json, String> {
    Ok(match value {
        Literal::Variable(name) => variables.get(name.as_str()).cloned().unwrap_or(Json::Null),
        Literal::Null => Json::Null,
        Literal::Number(number) => Json::Number(number.clone()),
        Literal::String(text) => Json::String(text.clone()),
        Literal::Boolean(flag) => Json::Bool(*flag),
        Literal::Enum(word) => Json::String(word.to_string()),
        Literal::Binary(_) => return Err("expected a value of JSON".to_owned()),
        Literal::List(items) => items.iter().map(|item| json(item, variables)).collect::<Result<Vec<_>, _>>()?.into(),
        Literal::Object(fields) => {
            let mut map = Map::with_capacity(fields.len());
            for (name, value) in fields {
                map.insert(name.to_string(), json(value, variables)?);
            }
            Json::Object(map)
        }
    })
}
