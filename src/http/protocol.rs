//! The messages of `graphql-transport-ws`: read from text, written to text, and the codes that a socket is closed with.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::operation::{self, Bounds, Operation};

/// The subprotocol's name.
pub(super) const SUBPROTOCOL: &str = "graphql-transport-ws";
/// A close frame has 125 bytes, two of which are the code (RFC 6455 section 5.5).
const LONGEST_REASON: usize = 123;
const LONGEST_ID: usize = 128;

/// What a client says.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    /// `connection_init` with its parameters.
    Init(Map<String, Value>),
    /// `ping` with its payload.
    Ping(Option<Value>),
    /// `pong`.
    Pong,
    /// `subscribe`.
    Subscribe(String, Operation),
    /// `complete`.
    Complete(String),
}

/// Why a socket is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub code: u16,
    pub reason: String,
}

impl Close {
    /// Cuts the reason to what a close frame holds.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
        Self { code, reason }
    }

    pub fn going_away() -> Self {
        Self::new(1001, "the server stops")
    }

    /// The client comes back by itself.
    pub fn not_ready() -> Self {
        Self::new(1013, "what is published for the tenant is not ready to be served")
    }

    pub fn malformed() -> Self {
        Self::new(1002, "protocol error")
    }

    pub fn too_long(limit: usize) -> Self {
        Self::new(1009, format!("a message has at most {limit} bytes (server.body_bytes)"))
    }

    pub fn bad_message(reason: impl Into<String>) -> Self {
        Self::new(4400, reason)
    }

    pub fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    pub fn forbidden() -> Self {
        Self::new(4403, "Forbidden")
    }

    pub fn suspended() -> Self {
        Self::new(4403, "Forbidden: the tenant is suspended")
    }

    pub fn expired() -> Self {
        Self::new(4403, "Forbidden: the token has expired")
    }

    pub fn subprotocol() -> Self {
        Self::new(4406, "Subprotocol not acceptable")
    }

    pub fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    pub fn exists(id: &str) -> Self {
        Self::new(4409, format!("Subscriber for {id} already exists"))
    }

    pub fn second_init() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }
}

/// Reads a message. Whatever it is not, the socket is to be closed for.
pub(super) fn read(text: &[u8], bounds: Bounds) -> Result<Incoming, Close> {
    let value = operation::read(text, bounds).map_err(|refusal| Close::bad_message(refusal.message))?;
    let Value::Object(mut message) = value else {
        return Err(Close::bad_message("a message must be a JSON object"));
    };
    let payload = message.remove("payload");
    let id = message.remove("id");
    match message.get("type").and_then(Value::as_str) {
        Some("connection_init") => Ok(Incoming::Init(object(payload)?.unwrap_or_default())),
        Some("ping") => Ok(Incoming::Ping(object(payload)?.map(Value::Object))),
        Some("pong") => Ok(Incoming::Pong),
        Some("subscribe") => {
            let operation = operation::from_value(payload.unwrap_or_default());
            Ok(Incoming::Subscribe(name(id)?, operation.map_err(|refusal| Close::bad_message(refusal.message))?))
        }
        Some("complete") => Ok(Incoming::Complete(name(id)?)),
        Some(_) => Err(Close::bad_message("the message's type is not known")),
        None => Err(Close::bad_message("a message must have a type")),
    }
}

fn object(payload: Option<Value>) -> Result<Option<Map<String, Value>>, Close> {
    match payload {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(Close::bad_message("the payload must be an object")),
    }
}

fn name(id: Option<Value>) -> Result<String, Close> {
    match id {
        Some(Value::String(id)) if !id.is_empty() && id.len() <= LONGEST_ID => Ok(id),
        _ => Err(Close::bad_message(format!("the message's id must be text of 1 to {LONGEST_ID} bytes"))),
    }
}

#[derive(Serialize)]
struct Outgoing<'a, P> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<P>,
}

fn write(kind: &'static str, id: Option<&str>, payload: Option<impl Serialize>) -> String {
    let message = Outgoing { id, r#type: kind, payload };
    serde_json::to_string(&message).unwrap_or_else(|error| {
        // none of the payloads can fail to be written
        tracing::error!(%error, kind, "cannot write a message");
        String::new()
    })
}

/// `connection_ack`.
pub(super) fn ack() -> String {
    write("connection_ack", None, None::<()>)
}

/// `pong`, with the payload of the ping.
pub(super) fn pong(payload: Option<Value>) -> String {
    write("pong", None, payload)
}

/// `next`, around a response as the engine wrote it.
pub(super) fn next(id: &str, body: &Bytes) -> String {
    write("next", Some(id), Some(raw(body)))
}

/// `error`, with the errors of a response in which nothing was executed.
pub(super) fn error(id: &str, body: &Bytes) -> String {
    #[derive(Deserialize)]
    struct Errors<'a> {
        #[serde(borrow)]
        errors: &'a RawValue,
    }
    let errors = serde_json::from_slice::<Errors<'_>>(body).map(|response| response.errors.get()).unwrap_or("[]");
    write("error", Some(id), Some(raw(errors.as_bytes())))
}

/// `complete`.
pub(super) fn complete(id: &str) -> String {
    write("complete", Some(id), None::<()>)
}

fn raw(json: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BOUNDS: Bounds = Bounds { nesting: 8, batch: 1 };

    #[test]
    fn messages_are_read() {
        let read = |text: &str| read(text.as_bytes(), BOUNDS).unwrap();
        assert_eq!(read(r#"{"type":"connection_init"}"#), Incoming::Init(Map::new()));
        let Incoming::Init(params) = read(r#"{"type":"connection_init","payload":{"authorization":"x"}}"#) else {
            panic!("is an init")
        };
        assert_eq!(params["authorization"], "x");
        assert_eq!(read(r#"{"type":"ping","payload":{"a":1}}"#), Incoming::Ping(Some(json!({"a": 1}))));
        assert_eq!(read(r#"{"type":"pong"}"#), Incoming::Pong);
        assert_eq!(read(r#"{"type":"complete","id":"1"}"#), Incoming::Complete("1".into()));
        let subscribe = read(r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","operationName":"Q"}}"#);
        let operation = Operation { query: "{a}".into(), name: Some("Q".into()), ..Operation::default() };
        assert_eq!(subscribe, Incoming::Subscribe("1".into(), operation));
    }

    #[test]
    fn hostile_41_bad_messages_close_4400_within_123_bytes() {
        let long_key = format!("{{\"{0}\":1,\"{0}\":2}}", "é".repeat(500));
        for text in [
            "",
            "nope",
            "[]",
            "7",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"start","id":"1"}"#,
            r#"{"type":"next"}"#,
            r#"{"type":"ping","payload":1}"#,
            r#"{"type":"connection_init","payload":[]}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"complete","id":1}"#,
            r#"{"type":"complete","id":""}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1","payload":{}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"a","variables":[]}}"#,
            r#"{"type":"pong","type":"ping"}"#,
            r#"{"type":"ping","payload":[[[[[[[[[]]]]]]]]]}"#,
            &long_key,
        ] {
            let close = read(text.as_bytes(), BOUNDS).unwrap_err();
            assert_eq!(close.code, 4400, "{text}");
            assert!(close.reason.len() <= 123 && !close.reason.is_empty(), "{text}: {}", close.reason);
        }
        assert!(Close::exists(&"é".repeat(64)).reason.len() <= 123);
        assert_eq!(Close::new(4400, "é".repeat(100)).reason.len(), 122);
    }

    #[test]
    fn messages_are_written() {
        assert_eq!(ack(), r#"{"type":"connection_ack"}"#);
        assert_eq!(pong(None), r#"{"type":"pong"}"#);
        assert_eq!(pong(Some(json!({"a": 1}))), r#"{"type":"pong","payload":{"a":1}}"#);
        let body = Bytes::from_static(br#"{"data":{"b":1,"a":2}}"#);
        assert_eq!(next("\"", &body), r#"{"id":"\"","type":"next","payload":{"data":{"b":1,"a":2}}}"#);
        let body = Bytes::from_static(br#"{"errors":[{"message":"m"}]}"#);
        assert_eq!(error("1", &body), r#"{"id":"1","type":"error","payload":[{"message":"m"}]}"#);
        assert_eq!(complete("1"), r#"{"id":"1","type":"complete"}"#);
    }
}
