//! Scalars: from what a client or a file gives to the one form in which a value is stored.

use jiff::Timestamp;
use jiff::civil::Date;
use quipu_schema::ontology::Scalar;
use serde_json::Value as Json;

/// Checks a value against a scalar and brings it into the stored form: instants in UTC with milliseconds, days as `YYYY-MM-DD`,
/// 64-bit integers as numbers, ids as text, everything else as it is. Values of enums are only checked to be text here.
///
/// # Errors
/// What was expected, for the caller to put a name before it.
pub fn normalise(scalar: &Scalar, value: &Json) -> Result<Json, String> {
    match (scalar, value) {
        (Scalar::Json, any) => Ok(any.clone()),
        (Scalar::Id | Scalar::String | Scalar::Enum(_), Json::String(_)) | (Scalar::Boolean, Json::Bool(_)) => {
            Ok(value.clone())
        }
        (Scalar::Id, Json::Number(number)) if number.is_i64() || number.is_u64() => Ok(number.to_string().into()),
        (Scalar::Int, Json::Number(number)) => match whole(number).map(i32::try_from) {
            Some(Ok(integer)) => Ok(integer.into()),
            _ => Err(format!("expected an Int between -2147483648 and 2147483647, found {number}")),
        },
        (Scalar::BigInt, Json::Number(number)) => match whole(number) {
            Some(integer) => Ok(integer.into()),
            None => Err(format!("expected a 64-bit integer, found {number}")),
        },
        (Scalar::BigInt, Json::String(text)) => match text.parse::<i64>() {
            Ok(integer) => Ok(integer.into()),
            Err(_) => Err(format!("expected a 64-bit integer, found {text:?}")),
        },
        (Scalar::Float, Json::Number(number)) => match number.as_f64() {
            Some(float) => Ok(float.into()),
            None => Err(format!("expected a Float, found {number}")),
        },
        (Scalar::DateTime, Json::String(text)) => match text.parse::<Timestamp>() {
            Ok(instant) => Ok(stamp(instant).into()),
            Err(_) => Err(format!("expected a DateTime like 2026-01-31T08:00:00Z, found {text:?}")),
        },
        (Scalar::Date, Json::String(text)) => match text.parse::<Date>() {
            Ok(day) if text.len() == 10 => Ok(day.to_string().into()),
            _ => Err(format!("expected a Date like 2026-01-31, found {text:?}")),
        },
        (_, other) => Err(format!("expected {}, found {}", scalar.name(), kind(other))),
    }
}

/// An instant as it is stored and served: UTC, milliseconds.
pub fn stamp(instant: Timestamp) -> String {
    format!("{instant:.3}")
}

/// Milliseconds since 1970 as an instant is stored and served.
pub fn stamp_ms(ms: i64) -> String {
    stamp(Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A whole number, also when it is written as 3.0.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
