//! A request's body or URL to the operations that it asks for.

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use quipu_resolvers::PriceLimit;
use quipu_resolvers::fault::Code;
use serde_json::{Map, Value};

use super::reply::Refusal;
use crate::json::{self, JsonError};

/// How a document is named that may not be sent itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Named {
    /// `extensions.persistedQuery.sha256Hash`.
    Hash(String),
    /// `documentId`.
    Id(String),
}

/// One operation as it was asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Operation {
    /// The document; empty where it is only named.
    pub query: String,
    /// Its name, where it has one.
    pub named: Option<Named>,
    /// What it may cost, where that is less than for others: it is not among the documents that are published for the tenant.
    pub most: Option<PriceLimit>,
    /// Which operation of the document.
    pub name: Option<String>,
    /// Values of variables.
    pub variables: Map<String, Value>,
    /// `extensions.position`: what an earlier mutation's answer said.
    pub position: Option<String>,
    /// `extensions.cost`: whether the answer is to tell the price.
    pub cost: bool,
}

/// What a body holds.
#[derive(Debug, PartialEq)]
pub(super) enum Payload {
    /// An object.
    One(Operation),
    /// A list of objects.
    Batch(Vec<Operation>),
}

/// Limits of what is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Brackets inside brackets.
    pub nesting: usize,
    /// Operations in a batch.
    pub batch: usize,
}

/// Reads the body of a POST.
pub(super) fn from_body(body: &[u8], bounds: Bounds) -> Result<Payload, Refusal> {
    match read(body, bounds)? {
        Value::Array(items) if items.is_empty() => Err(Refusal::bad_request("the batch is empty")),
        Value::Array(items) if items.len() > bounds.batch => {
            let message = format!("a batch has at most {} operations (server.batch)", bounds.batch);
            Err(Refusal::new(StatusCode::BAD_REQUEST, Code::BatchTooLarge.as_str(), message))
        }
        Value::Array(items) => items.into_iter().map(from_value).collect::<Result<_, _>>().map(Payload::Batch),
        one => from_value(one).map(Payload::One),
    }
}

/// Reads the query of the URL of a GET.
pub(super) fn from_uri(uri: &Uri, bounds: Bounds) -> Result<Operation, Refusal> {
    let malformed = |_| Refusal::bad_request("the query of the URL cannot be read");
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(malformed)?;
    let mut object = Map::new();
    for (name, text) in pairs {
        let value = match name.as_str() {
            "query" => Value::String(text),
            "operationName" | "variables" | "extensions" if text.is_empty() => continue,
            "operationName" | "documentId" => Value::String(text),
            "variables" | "extensions" => read(text.as_bytes(), bounds)?,
            _ => continue,
        };
        if object.insert(name, value).is_some() {
            return Err(Refusal::bad_request("a parameter of the URL occurs twice"));
        }
    }
    from_value(Value::Object(object))
}

/// Reads JSON within the bounds.
pub(super) fn read(text: &[u8], bounds: Bounds) -> Result<Value, Refusal> {
    json::parse(text, bounds.nesting).map_err(|error| match error {
        JsonError::TooDeep(_) => {
            let message = format!("{error} (limits.json_nesting)");
            Refusal::new(StatusCode::BAD_REQUEST, Code::NestingTooDeep.as_str(), message)
        }
        JsonError::Malformed(_) => Refusal::bad_request(error.to_string()),
    })
}

/// Takes the members that GraphQL over HTTP names, and ignores others, as it asks.
pub(super) fn from_value(value: Value) -> Result<Operation, Refusal> {
    let Value::Object(mut members) = value else {
        return Err(Refusal::bad_request("the request must be a JSON object, or a list of them"));
    };
    let query = match members.remove("query") {
        None | Some(Value::Null) => None,
        Some(Value::String(query)) => Some(query),
        Some(_) => return Err(Refusal::bad_request("`query` must be text")),
    };
    let id = match members.remove("documentId") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(Named::Id(id)),
        Some(_) => return Err(Refusal::bad_request("`documentId` must be text")),
    };
    let name = match members.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(Refusal::bad_request("`operationName` must be text")),
    };
    let variables = match members.remove("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err(Refusal::bad_request("`variables` must be an object")),
    };
    let mut extensions = match members.remove("extensions") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(extensions)) => extensions,
        Some(_) => return Err(Refusal::bad_request("`extensions` must be an object")),
    };
    let position = match extensions.remove("position") {
        None | Some(Value::Null) => None,
        Some(Value::String(position)) => Some(position),
        Some(_) => return Err(Refusal::bad_request("`extensions.position` must be text")),
    };
    let cost = match extensions.remove("cost") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(shown)) => shown,
        Some(_) => return Err(Refusal::bad_request("`extensions.cost` must be true or false")),
    };
    let named = persisted(extensions.remove("persistedQuery"))?.or(id);
    let Some(query) = query.or_else(|| named.is_some().then(String::new)) else {
        let message =
            "`query` must be there, as text, or a document be named by `documentId` or `extensions.persistedQuery`";
        return Err(Refusal::bad_request(message));
    };
    Ok(Operation { query, named, most: None, name, variables, position, cost })
}

/// Reads `extensions.persistedQuery`.
fn persisted(value: Option<Value>) -> Result<Option<Named>, Refusal> {
    let value = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    if value["version"] != 1 {
        return Err(Refusal::bad_request("`extensions.persistedQuery` must have `version` 1"));
    }
    match &value["sha256Hash"] {
        Value::String(hash) => Ok(Some(Named::Hash(hash.clone()))),
        _ => Err(Refusal::bad_request("`extensions.persistedQuery.sha256Hash` must be text")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BOUNDS: Bounds = Bounds { nesting: 8, batch: 2 };

    fn operation(query: &str, name: Option<&str>, variables: Value) -> Operation {
        let Value::Object(variables) = variables else { panic!("variables are an object") };
        Operation { query: query.into(), name: name.map(Into::into), variables, ..Operation::default() }
    }

    #[test]
    fn bodies_are_read() {
        let full = br#"{"query":"{a}","operationName":"Q","variables":{"x":[1]},"extensions":{},"other":7}"#;
        assert_eq!(from_body(full, BOUNDS), Ok(Payload::One(operation("{a}", Some("Q"), json!({"x": [1]})))));
        let nulls = br#"[{"query":"{a}","operationName":null,"variables":null,"extensions":null},{"query":""}]"#;
        let read = Payload::Batch(vec![operation("{a}", None, json!({})), operation("", None, json!({}))]);
        assert_eq!(from_body(nulls, BOUNDS), Ok(read));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for body in [
            "",
            "nope",
            "7",
            "null",
            "\"{a}\"",
            "{}",
            "[]",
            "[7]",
            "[[]]",
            r#"{"query":7}"#,
            r#"{"query":null}"#,
            r#"{"query":"{a}","variables":[1]}"#,
            r#"{"query":"{a}","variables":"{}"}"#,
            r#"{"query":"{a}","operationName":1}"#,
            r#"{"query":"{a}","extensions":1}"#,
            r#"{"query":"{a}"}{}"#,
            "{\"query\":\"\u{1}\"}",
        ] {
            let refusal = from_body(body.as_bytes(), BOUNDS).unwrap_err();
            assert_eq!((refusal.status, refusal.code), (StatusCode::BAD_REQUEST, "BAD_REQUEST"), "{body}");
        }
        assert!(from_body(b"{\"query\":\"\xff\"}", BOUNDS).is_err(), "what is not UTF-8 is refused");
    }

    #[test]
    fn hostile_21_a_batch_is_bounded() {
        let body = format!("[{}]", vec![r#"{"query":"{a}"}"#; 10_000].join(","));
        assert_eq!(from_body(body.as_bytes(), BOUNDS).unwrap_err().code, "BATCH_TOO_LARGE");
    }

    #[test]
    fn hostile_23_variables_are_bounded_in_depth() {
        let body = format!(r#"{{"query":"{{a}}","variables":{{"x":{}1{}}}}}"#, "[".repeat(200), "]".repeat(200));
        assert_eq!(from_body(body.as_bytes(), BOUNDS).unwrap_err().code, "NESTING_TOO_DEEP");
    }

    #[test]
    fn urls_are_read() {
        let uri = |text: &str| from_uri(&text.parse().unwrap(), BOUNDS);
        let asked = uri("/graphql?query=%7Ba%7D&operationName=Q&variables=%7B%22x%22%3A1%7D&extensions=%7B%7D&_=3");
        assert_eq!(asked, Ok(operation("{a}", Some("Q"), json!({"x": 1}))));
        let empty = uri("/graphql?query=%7Ba%7D&operationName=&variables=&extensions=");
        assert_eq!(empty, Ok(operation("{a}", None, json!({}))));
        for wrong in [
            "/graphql",
            "/graphql?query=a&query=b",
            "/graphql?query=a&variables=x",
            "/graphql?query=a&variables=%5B%5D",
            "/graphql?query=a&variables=%7B%22x%22%3A1%2C%22x%22%3A2%7D",
            "/graphql?query=a&extensions=1",
            "/graphql?query=a&extensions=%7B%22cost%22%3A1%7D",
        ] {
            assert_eq!(uri(wrong).unwrap_err().status, StatusCode::BAD_REQUEST, "{wrong}");
        }
    }
}
