//! The form in which values are held: what a property of Neo4j can be is held as it is, all else as JSON in a text with a mark.
//!
//! A property is a boolean, a 64-bit integer, a double, a text, or a list of values of one of these. Dates and instants are texts in a
//! form whose order is that of time. Objects, and lists with nulls, lists or several sorts of values in them, are not possible, so an
//! object is `MARK` and its JSON, and of such a list the items are. A text that begins with `MARK` is held as JSON as well, so what
//! begins with it can be nothing else.

use quipu_resolvers::value::Value;
use serde_json::Value as Json;

use super::Parameter;

/// What a text that holds JSON begins with.
pub const MARK: &str = "\u{1}json:";

/// A value of a question, as it is held.
pub fn parameter(value: &Value) -> Parameter {
    match value {
        Value::Null | Value::Hidden => Parameter::Null,
        Value::Bool(flag) => Parameter::Bool(*flag),
        Value::Int(number) => Parameter::Int(*number),
        Value::Float(number) => Parameter::Float(*number),
        Value::Text(text) if text.starts_with(MARK) => marked(&Json::from(text.as_str())),
        Value::Text(text) => Parameter::Text(text.clone()),
        Value::List(items) => {
            list(items.iter().map(parameter).collect(), || items.iter().map(Value::to_json).collect())
        }
        Value::Json(json) => marked(json),
    }
}

/// A value of a change, as it is held.
pub fn property(json: &Json) -> Parameter {
    match json {
        Json::Null => Parameter::Null,
        Json::Bool(flag) => Parameter::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Parameter::Int(number),
            None => number.as_f64().map_or(Parameter::Null, Parameter::Float),
        },
        Json::String(text) if text.starts_with(MARK) => marked(json),
        Json::String(text) => Parameter::Text(text.clone()),
        Json::Array(items) => list(items.iter().map(property).collect(), || items.clone()),
        Json::Object(_) => marked(json),
    }
}

/// The item of a list that is held as JSON, because of its neighbours.
pub fn marked_item(value: &Value) -> Parameter {
    marked(&value.to_json())
}

/// What a text stands for: JSON, if it is marked.
pub fn value_of(text: String) -> Value {
    match text.strip_prefix(MARK) {
        None => Value::Text(text),
        Some(json) => serde_json::from_str(json).unwrap_or(Value::Text(text)),
    }
}

fn marked(json: &Json) -> Parameter {
    Parameter::Text(format!("{MARK}{json}"))
}

/// A list of values of one sort as it is, any other with every item as JSON.
fn list(items: Vec<Parameter>, json: impl FnOnce() -> Vec<Json>) -> Parameter {
    let same = items.windows(2).all(|pair| std::mem::discriminant(&pair[0]) == std::mem::discriminant(&pair[1]));
    let held = items.first().is_none_or(|first| !matches!(first, Parameter::Null | Parameter::List(_)));
    if same && held {
        return Parameter::List(items);
    }
    Parameter::List(json().iter().map(marked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Every value is read as what was written, and a question asks for it in the form in which it is held.
    #[test]
    fn what_is_written_is_read() {
        for json in [
            json!(null),
            json!(true),
            json!(-7),
            json!(0.1),
            json!("text"),
            json!("\u{1}json:{\"a\":1}"),
            json!("{\"a\":1}"),
            json!([]),
            json!(["a", "b"]),
            json!([1, 2.5]),
            json!([1, null]),
            json!([null]),
            json!([[1], ["a"]]),
            json!(["\u{1}json:1", "x"]),
            json!({"a": [1, 2.5, null], "b": {"c": "\u{1}json:"}}),
            json!([{"a": 1}, {"a": 2}]),
        ] {
            let held = property(&json);
            assert_eq!(held, parameter(&Value::from(json.clone())), "{json}");
            assert_eq!(read(held).to_json(), json);
        }
    }

    fn read(held: Parameter) -> Value {
        match held {
            Parameter::Null => Value::Null,
            Parameter::Bool(flag) => Value::Bool(flag),
            Parameter::Int(number) => Value::Int(number),
            Parameter::Float(number) => Value::Float(number),
            Parameter::Text(text) => value_of(text),
            Parameter::List(items) => Value::List(items.into_iter().map(read).collect()),
            Parameter::Map(_) => panic!("no property is a map"),
        }
    }
}
