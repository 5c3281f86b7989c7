//! Leaves of the answer: result coercion of scalars (specification, section 3.5) straight into bytes.

use quipu_schema::ontology::Scalar;

use crate::shape::Codec;
use crate::value::Value;

/// Writes a value; `Ok(false)` and nothing written when it is null.
///
/// # Errors
/// Why the stored value does not fit its scalar.
pub(super) fn write(out: &mut Vec<u8>, value: &Value, codec: &Codec) -> Result<bool, String> {
    let Some(items_required) = codec.items_required else { return scalar(out, value, &codec.scalar) };
    let items = match value {
        Value::Null => return Ok(false),
        Value::List(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let start = out.len();
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if !scalar(out, item, &codec.scalar)? {
            if items_required {
                out.truncate(start);
                return Err(format!("item {at} of a list of required items is null"));
            }
            out.extend_from_slice(b"null");
        }
    }
    out.push(b']');
    Ok(true)
}

fn scalar(out: &mut Vec<u8>, value: &Value, scalar: &Scalar) -> Result<bool, String> {
    match (scalar, value) {
        (_, Value::Null) => return Ok(false),
        (Scalar::Json, any) => serde_json::to_writer(out, &any.to_json()).map_err(|error| error.to_string())?,
        (
            Scalar::Id | Scalar::String | Scalar::DateTime | Scalar::Date | Scalar::Enum(_) | Scalar::BigInt,
            Value::Text(value),
        ) => text(out, value),
        (Scalar::Id | Scalar::BigInt | Scalar::String, Value::Int(number)) => {
            out.push(b'"');
            integer(out, *number);
            out.push(b'"');
        }
        (Scalar::Int, Value::Int(number)) => {
            i32::try_from(*number).map_err(|_| format!("{number} is no Int"))?;
            integer(out, *number);
        }
        (Scalar::Int, Value::Float(number)) if number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX) => {
            integer(out, *number as i64);
        }
        (Scalar::Float, Value::Int(number)) => integer(out, *number),
        (Scalar::Float, Value::Float(number)) if number.is_finite() => {
            serde_json::to_writer(out, number).map_err(|error| error.to_string())?;
        }
        (Scalar::Boolean, Value::Bool(flag)) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        (Scalar::Boolean, Value::Int(number @ (0 | 1))) => {
            out.extend_from_slice(if *number == 1 { b"true" } else { b"false" });
        }
        (wanted, found) => return Err(format!("{found:?} is no {wanted:?}")),
    }
    Ok(true)
}

fn integer(out: &mut Vec<u8>, number: i64) {
    // Writing a number into a vector cannot fail.
    let _ = serde_json::to_writer(out, &number);
}

/// Writes a text as a JSON string.
pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    // Looks at all bytes instead of stopping early: the processor takes many at once.
    let special = |found: bool, byte: u8| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if !value.bytes().fold(false, special) {
        out.reserve(value.len() + 2);
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string into a vector cannot fail.
        let _ = serde_json::to_writer(out, value);
    }
}
