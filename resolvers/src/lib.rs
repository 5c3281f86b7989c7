//! The query engine: plans, guards, batches and answers; reaches the world only through its ports.
//!
//! An [`Engine`] holds the ports and the limits of a process. A tenant's published ontology is bound to GraphQL once per version
//! ([`Engine::bind`]). Each request is an [`Ask`], answered by [`Engine::answer`] with the bytes of the response, or watched by
//! [`Engine::watch`] with a stream of them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::BoxStream;

pub mod change;
pub mod fault;
pub mod guard;
pub mod ports;
pub mod read;
pub mod value;

use fault::{Code, Fault};
use guard::Principal;
use ports::{Bus, Clock, Embedder, Graph, Metadata, Served, Trace, Vectors};

/// The adapters that a process runs on.
#[derive(Clone)]
pub struct Ports {
    /// Nodes, relationships, full text.
    pub graph: Arc<dyn Graph>,
    /// Rows, registry, log, published ontologies.
    pub metadata: Arc<dyn Metadata>,
    /// Vectors.
    pub vectors: Arc<dyn Vectors>,
    /// Text to vectors.
    pub embedder: Arc<dyn Embedder>,
    /// Announcements of new log entries.
    pub bus: Arc<dyn Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Limits of a request. Each has a setting of its own and an error that names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Bytes of a document.
    pub document_bytes: usize,
    /// Brackets inside brackets in a document.
    pub nesting: usize,
    /// Tokens of a document.
    pub tokens: usize,
    /// Fields inside fields, fragments followed.
    pub depth: usize,
    /// Fields in a document, fragments followed; also bounds aliases of one field.
    pub fields: usize,
    /// Fields at the root of an operation.
    pub root_fields: usize,
    /// Directives on one place, variables of an operation, operations of a document.
    pub directives: usize,
    /// Variables of an operation.
    pub variables: usize,
    /// Operations of a document.
    pub operations: usize,
    /// Price of an operation: the records it may touch.
    pub price: u64,
    /// Records of one page when the ontology says nothing.
    pub page: u32,
    /// Records of one page when neither query nor ontology name a number.
    pub default_page: u32,
    /// Records that a filter across stores may match.
    pub filter_keys: u32,
    /// Operations of one change.
    pub change_ops: usize,
    /// Errors in one response.
    pub errors: usize,
    /// Validated documents that are kept, all tenants together.
    pub cached_documents: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 128 * 1024,
            nesting: 64,
            tokens: 10_000,
            depth: 16,
            fields: 2_000,
            root_fields: 50,
            directives: 32,
            variables: 200,
            operations: 20,
            price: 1_000_000,
            page: 1_000,
            default_page: 100,
            filter_keys: 50_000,
            change_ops: 10_000,
            errors: 100,
            cached_documents: 1_000,
        }
    }
}

/// How the engine behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Limits of a request.
    pub limits: Limits,
    /// Whether `__schema` and `__type` are answered and errors suggest names.
    pub introspection: bool,
    /// Secret that signs cursors, at least 32 bytes; the same in all instances.
    pub cursor_secret: Vec<u8>,
}

/// One GraphQL request.
#[derive(Debug)]
pub struct Ask {
    /// The document.
    pub query: String,
    /// Which operation of the document.
    pub operation_name: Option<String>,
    /// Values of variables.
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// False for GET: a mutation is refused.
    pub may_write: bool,
    /// A second mutation with the same key is answered like the first and not written again.
    pub idempotency_key: Option<String>,
    /// When the answer is worth nothing any more.
    pub deadline: Instant,
    /// Where statements are counted.
    pub trace: Arc<Trace>,
}

/// The response to a request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The JSON of the response: `data`, `errors`, `extensions`.
    pub body: Bytes,
    /// Set when nothing was executed (the response has no `data`): decides the HTTP status.
    pub refused: Option<Code>,
    /// Number of errors in the response.
    pub errors: usize,
    /// What kind of operation ran, once that is known: `query`, `mutation`, `subscription`.
    pub operation: Option<&'static str>,
}
