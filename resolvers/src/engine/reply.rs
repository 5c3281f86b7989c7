//! The JSON of a response. Internal faults are logged here, once, under an id that the client sees instead of the cause.

use async_graphql::ServerError;
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use crate::Answer;
use crate::answer::FieldError;
use crate::fault::{Code, Fault};
use crate::plan::Sort;

/// What a response says beside data and errors.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    /// How far the log has come by what was written.
    pub position: Option<String>,
    /// The price, where it is asked for.
    pub cost: Option<Json>,
}

/// A response with only one error: nothing was executed.
pub(super) fn refusal(fault: &Fault) -> Answer {
    refusal_of(fault, None)
}

/// The same for an operation whose price is known, and asked for.
pub(super) fn refusal_of(fault: &Fault, cost: Option<Json>) -> Answer {
    let errors = [shown(fault)];
    let mut body = json!({ "errors": errors });
    if let Some(cost) = cost {
        body["extensions"] = json!({ "cost": cost });
    }
    let body = body.to_string();
    let codes = vec![fault.code()];
    Answer { body: Bytes::from(body), refused: Some(fault.code()), errors: 1, codes, operation: None, position: None }
}

/// A response with what validation found.
pub(super) fn invalid(errors: &[ServerError]) -> Answer {
    let shown: Vec<Json> = errors
        .iter()
        .map(|error| {
            let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
            let code =
                code.and_then(|code| code.clone().into_json().ok()).unwrap_or_else(|| Code::BadRequest.as_str().into());
            let locations: Vec<Json> =
                error.locations.iter().map(|pos| json!({ "line": pos.line, "column": pos.column })).collect();
            json!({ "message": error.message, "locations": locations, "extensions": { "code": code } })
        })
        .collect();
    let parse_failed = errors.iter().any(|error| {
        error.extensions.as_ref().is_some_and(|e| e.get("code") == Some(&Code::GraphqlParseFailed.as_str().into()))
    });
    let refused = if parse_failed { Code::GraphqlParseFailed } else { Code::GraphqlValidationFailed };
    let body = json!({ "errors": shown }).to_string();
    let codes = vec![refused];
    let errors = shown.len();
    Answer { body: Bytes::from(body), refused: Some(refused), errors, codes, operation: None, position: None }
}

/// A response with data and the errors of its fields, and with what is to be said beside them.
pub(super) fn executed(data: &[u8], errors: &[FieldError], sort: Sort, extensions: Extensions) -> Answer {
    let mut body = Vec::with_capacity(data.len() + 80);
    body.extend_from_slice(b"{\"data\":");
    body.extend_from_slice(data);
    // Values of JSON always serialise into a vector.
    if !errors.is_empty() {
        let shown: Vec<Json> = errors.iter().map(of_field).collect();
        body.extend_from_slice(b",\"errors\":");
        let _ = serde_json::to_writer(&mut body, &shown);
    }
    let Extensions { position, cost } = extensions;
    let said = [("position", position.clone().map(Json::String)), ("cost", cost)];
    let said: Map<String, Json> =
        said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    if !said.is_empty() {
        body.extend_from_slice(b",\"extensions\":");
        let _ = serde_json::to_writer(&mut body, &said);
    }
    body.push(b'}');
    let mut codes = Vec::new();
    for code in errors.iter().map(|error| error.fault.code()) {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let (errors, operation) = (errors.len(), Some(sort.as_str()));
    Answer { body: Bytes::from(body), refused: None, errors, codes, operation, position }
}

fn of_field(error: &FieldError) -> Json {
    let (line, column) = error.at;
    let mut shown = shown(&error.fault);
    shown["locations"] = json!([{ "line": line, "column": column }]);
    shown["path"] = serde_json::to_value(&error.path).unwrap_or_default();
    shown
}

/// A fault as the client sees it.
pub(super) fn shown(fault: &Fault) -> Json {
    match fault {
        Fault::Client(fault) => json!({ "message": fault.message, "extensions": { "code": fault.code.as_str() } }),
        Fault::Internal(inner) => {
            let id = ulid::Ulid::new().to_string();
            tracing::error!(error_id = %id, part = inner.part, retryable = inner.retryable, cause = %inner.cause, "internal fault");
            let message = if inner.retryable {
                format!("the store {} cannot be reached at the moment; error id {id}", inner.part)
            } else {
                format!("something went wrong on our side; error id {id}")
            };
            json!({ "message": message, "extensions": { "code": fault.code().as_str(), "errorId": id } })
        }
    }
}
