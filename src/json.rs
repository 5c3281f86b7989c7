//! JSON as the gateway takes it from outside: bounded in nesting before it is parsed, and with no key twice in an object.
//!
//! Two readers of `{"tenant": "a", "tenant": "b"}` may each see another tenant, so such objects are refused and not guessed at.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why a text is not taken. The messages are safe to show.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Brackets inside brackets.
    #[error("the JSON is nested deeper than {0} levels")]
    TooDeep(usize),
    /// Not JSON, or a key twice in one object.
    #[error("the JSON is not well-formed: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Reads a text whose brackets are nested at most `nesting` deep.
pub fn parse(text: &[u8], nesting: usize) -> Result<Value, JsonError> {
    check_nesting(text, nesting)?;
    let Unique(value) = serde_json::from_slice(text)?;
    Ok(value)
}

/// Counts brackets on the bytes, skipping strings. What is not JSON may pass: the parser refuses it, at no greater depth.
fn check_nesting(text: &[u8], nesting: usize) -> Result<(), JsonError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > nesting {
                    return Err(JsonError::TooDeep(nesting));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// A JSON value in which no object has a key twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Unique(pub Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Unique, E> {
        Ok(Unique(flag.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Unique, E> {
        Ok(Unique(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Unique, E> {
        Ok(Unique(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Unique, E> {
        Ok(Unique(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Unique, E> {
        Ok(Unique(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Unique, E> {
        Ok(Unique(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Unique(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` occurs twice")));
            }
            let Unique(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Unique(object.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        let text = br#"{"a": [1, -2, 2.5, "x\u00e9\"", null, true, {"b": {}}], "c": 18446744073709551615}"#;
        assert_eq!(parse(text, 4).unwrap(), serde_json::from_slice::<Value>(text).unwrap());
    }

    #[test]
    fn hostile_22_a_key_twice_is_refused_at_any_depth() {
        for text in [r#"{"query":"a","query":"b"}"#, r#"[{"variables":{"x":1,"y":2,"x":3}}]"#, r#"{"a":1,"\u0061":2}"#]
        {
            let error = parse(text.as_bytes(), 64).unwrap_err();
            assert!(error.to_string().contains("occurs twice"), "{text}: {error}");
        }
    }

    #[test]
    fn hostile_23_nesting_is_bounded_before_parsing() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(64).as_bytes(), 64).is_ok());
        assert!(matches!(parse(nested(65).as_bytes(), 64), Err(JsonError::TooDeep(64))));
        assert!(matches!(parse("{\"a\":".repeat(100_000).as_bytes(), 64), Err(JsonError::TooDeep(64))));
        let in_text = format!("\"\\\"{}\"", nested(100));
        assert!(parse(in_text.as_bytes(), 1).is_ok(), "brackets in strings do not count");
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        let error = parse(b"{\"a\": nope}", 8).unwrap_err();
        assert!(error.to_string().contains("line 1 column"), "{error}");
        assert!(parse(b"{} {}", 8).is_err());
        assert!(parse(b"]]]]", 8).is_err());
    }
}
