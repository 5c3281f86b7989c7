//! Values of Bolt, straight into values of rows.

use std::fmt;

use quipu_resolvers::value::Value;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::stores::cypher::stored;

/// A value as the database holds it, read.
#[derive(Debug)]
pub(super) struct Decoded(pub(super) Value);

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Decoding).map(Self)
    }
}

struct Decoding;

impl<'de> Visitor<'de> for Decoding {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a property, or a list of such")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(stored::value_of(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(stored::value_of(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(8));
        while let Some(Decoded(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    /// All properties of a relationship, without those of the gateway, by name.
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some((name, Decoded(value))) = entries.next_entry::<String, Decoded>()? {
            if !name.starts_with('_') {
                all.push((name, value.to_json()));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Value::Json(serde_json::Value::Object(all.into_iter().collect())))
    }
}
