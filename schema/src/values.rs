//! Written values against types: defaults and the operands of rules.

use indexmap::IndexMap;
use serde_json::{Map, Number, Value};

use crate::ontology::{EnumType, Scalar};
use crate::problem::nearest;
use crate::syntax::{Lit, Literal};

/// Why a written value does not fit.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub message: String,
    pub help: Option<String>,
}

/// A written value as JSON of the given sort. Instants come out in UTC with milliseconds.
pub(crate) fn coerce(literal: &Literal, scalar: &Scalar, enums: &IndexMap<String, EnumType>) -> Result<Value, Misfit> {
    let no = |help: Option<&str>| {
        let message = format!("{} is not {}", literal.value.noun(), noun(scalar));
        Err(Misfit { message, help: help.map(str::to_owned) })
    };
    match (scalar, &literal.value) {
        (Scalar::Id, Lit::Text(text) | Lit::Int(text)) => Ok(text.as_str().into()),
        (Scalar::String, Lit::Text(text)) => Ok(text.as_str().into()),
        (Scalar::Int, Lit::Int(digits)) => integer(digits, i32::MIN.into(), i32::MAX.into(), "a 32-bit integer"),
        (Scalar::BigInt, Lit::Int(digits) | Lit::Text(digits)) => {
            integer(digits, i64::MIN, i64::MAX, "a 64-bit integer")
        }
        (Scalar::Float, Lit::Int(digits) | Lit::Float(digits)) => float(digits),
        (Scalar::Boolean, Lit::Bool(flag)) => Ok((*flag).into()),
        (Scalar::DateTime, Lit::Text(text)) => instant(text).map(Value::from),
        (Scalar::Date, Lit::Text(text)) => day(text).map(Value::from),
        (Scalar::Json, _) => json(literal),
        (Scalar::Enum(name), Lit::Enum(word)) => choice(word, name, enums),
        (Scalar::Enum(_), Lit::Text(text)) => no(Some(&format!("write {text} without quotes"))),
        (Scalar::String | Scalar::Id, Lit::Enum(word)) => no(Some(&format!("write \"{word}\""))),
        _ => no(None),
    }
}

/// The noun for messages.
pub(crate) fn noun(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Id => "an ID".to_owned(),
        Scalar::String => "a String".to_owned(),
        Scalar::Int => "an Int".to_owned(),
        Scalar::Float => "a Float".to_owned(),
        Scalar::Boolean => "a Boolean".to_owned(),
        Scalar::BigInt => "a BigInt".to_owned(),
        Scalar::DateTime => "a DateTime".to_owned(),
        Scalar::Date => "a Date".to_owned(),
        Scalar::Json => "JSON".to_owned(),
        Scalar::Enum(name) => format!("a value of `{name}`"),
    }
}

fn misfit<T>(message: String, help: Option<String>) -> Result<T, Misfit> {
    Err(Misfit { message, help })
}

fn integer(digits: &str, least: i64, most: i64, wanted: &str) -> Result<Value, Misfit> {
    match digits.parse::<i64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number.into()),
        _ => misfit(format!("`{digits}` is not {wanted}"), Some(format!("from {least} to {most}"))),
    }
}

fn float(digits: &str) -> Result<Value, Misfit> {
    let number = digits.parse::<f64>().ok().and_then(Number::from_f64);
    number.map_or_else(|| misfit(format!("`{digits}` is out of range"), None), |number| Ok(Value::Number(number)))
}

/// An instant of RFC 3339, in UTC with milliseconds, so that text order is time order.
fn instant(text: &str) -> Result<String, Misfit> {
    let parsed = text.parse::<jiff::Timestamp>().ok();
    let whole = parsed.and_then(|at| at.round(jiff::Unit::Millisecond).ok());
    match whole {
        Some(at) => Ok(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
        None => misfit(format!("`{text}` is not an instant"), Some("for example \"2026-01-31T08:00:00Z\"".to_owned())),
    }
}

fn day(text: &str) -> Result<String, Misfit> {
    match text.parse::<jiff::civil::Date>() {
        Ok(day) if text.len() == 10 => Ok(day.to_string()),
        _ => misfit(format!("`{text}` is not a day"), Some("for example \"2026-01-31\"".to_owned())),
    }
}

fn choice(word: &str, name: &str, enums: &IndexMap<String, EnumType>) -> Result<Value, Misfit> {
    let values = enums.get(name).map_or(&[][..], |choices| &choices.values);
    if values.iter().any(|value| value.name == word) {
        return Ok(word.into());
    }
    let near = nearest(word, values.iter().map(|value| value.name.as_str()));
    misfit(format!("`{name}` has no value `{word}`"), near.map(|near| format!("did you mean `{near}`?")))
}

fn json(literal: &Literal) -> Result<Value, Misfit> {
    Ok(match &literal.value {
        Lit::Null => Value::Null,
        Lit::Bool(flag) => (*flag).into(),
        Lit::Int(digits) if digits.parse::<i64>().is_ok() => integer(digits, i64::MIN, i64::MAX, "an integer")?,
        Lit::Int(digits) | Lit::Float(digits) => float(digits)?,
        Lit::Text(text) => text.as_str().into(),
        Lit::List(items) => items.iter().map(json).collect::<Result<Value, _>>()?,
        Lit::Object(fields) => {
            let pairs = fields.iter().map(|field| Ok((field.name.text.clone(), json(&field.value)?)));
            pairs.collect::<Result<Map<_, _>, _>>()?.into()
        }
        Lit::Enum(word) => {
            return misfit(format!("`{word}` is not JSON"), Some(format!("write \"{word}\"")));
        }
    })
}
