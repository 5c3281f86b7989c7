//! Answers without an engine's: refusals as JSON, with a stable code and nothing internal.

use std::borrow::Cow;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use quipu_resolvers::fault::{Code, Fault};
use serde_json::{Map, Value, json};

/// The media type of plain JSON.
pub(super) const JSON: &str = "application/json; charset=utf-8";
/// The media type of GraphQL responses.
pub(super) const GRAPHQL: &str = "application/graphql-response+json; charset=utf-8";

/// Something that is refused: the body is a GraphQL response with one error and no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: Cow<'static, str>,
    /// Finds the cause in the log, where that is not shown.
    pub error_id: Option<String>,
    /// What else `extensions` of the error hold.
    pub details: Option<Box<Map<String, Value>>>,
    /// Methods to be named in `Allow`.
    pub allow: Option<&'static str>,
    /// What else its headers say.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal by HTTP itself, whose codes the engine does not know.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), error_id: None, details: None, allow: None, headers: Vec::new() }
    }

    /// A request that is not what the protocol asks for.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest.as_str(), message)
    }

    /// The one answer to whatever is wrong with credentials.
    pub fn unauthenticated() -> Self {
        let message = "credentials are missing or not valid: send `Authorization: Bearer` with a valid token";
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated.as_str(), message)
    }

    /// A fault of ours; the id finds it in the log.
    pub fn internal(request_id: &str) -> Self {
        let message = format!("something went wrong on our side; error id {request_id}");
        let refusal = Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal.as_str(), message);
        Self { error_id: Some(request_id.into()), ..refusal }
    }

    /// A path that nothing is served at.
    pub fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound.as_str(), "nothing is served at this path")
    }

    /// A method that a path does not have.
    pub fn method(allow: &'static str) -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "the method is not allowed here");
        Self { allow: Some(allow), ..refusal }
    }

    /// The body: `{"errors": [...]}`.
    pub fn body(&self) -> String {
        json!({"errors": [self.error()]}).to_string()
    }

    /// The one error.
    pub fn error(&self) -> Value {
        let mut extensions = json!({"code": self.code});
        for (name, value) in self.details.iter().flat_map(|details| details.iter()) {
            extensions[name] = value.clone();
        }
        if let Some(id) = &self.error_id {
            extensions["errorId"] = id.as_str().into();
        }
        json!({"message": self.message, "extensions": extensions})
    }

    /// The response in a media type.
    pub fn into_response_as(self, media_type: &'static str) -> Response {
        let mut response = (self.status, self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        headers.extend(self.headers);
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into_response_as(JSON)
    }
}

impl From<Fault> for Refusal {
    /// Shows what a client may know. What it may not is logged here: the engine shows and logs its own, so this is of whoever administers.
    fn from(fault: Fault) -> Self {
        let code = fault.code();
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match fault {
            Fault::Client(fault) => Self::new(status, code.as_str(), fault.message),
            Fault::Internal(fault) => {
                tracing::error!(part = fault.part, cause = fault.cause, "a request failed");
                Self::new(
                    status,
                    code.as_str(),
                    "something went wrong on our side; the log has more, under the request's id",
                )
            }
        }
    }
}
