//! The query engine: plans, guards, batches and answers; reaches the world only through its ports.
//!
//! An [`Engine`] holds the ports and the limits of a process. A tenant's published ontology is made ready for requests once per
//! version ([`Engine::bind`]). Each request is an [`Ask`], answered by [`Engine::answer`] with the bytes of the response, or watched by
//! [`Engine::watch`] with a stream of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};

mod answer;
mod bind;
pub mod change;
mod cost;
mod document;
mod engine;
pub mod fault;
mod fields;
#[doc(hidden)]
pub mod fuzzing;
pub mod guard;
mod kept;
mod loaders;
pub mod normal;
pub mod plan;
pub mod ports;
pub mod read;
mod rules;
mod scopes;
mod shape;
pub mod value;
pub mod ways;

pub use bind::Bound;
pub use cost::{PriceLimit, Pricing, Toll};
pub use document::{TextHash, hash_of};
pub use engine::Engine;
use fault::Code;
use guard::Principal;
use ports::{Bus, Cache, Clock, Embedder, Graph, Metadata, Trace, Vectors};

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
    /// What was found once, for a while.
    pub cache: Arc<dyn Cache>,
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
    /// Validated documents that are kept for a tenant.
    pub cached_documents: usize,
    /// Bytes of their texts, all documents of a tenant together.
    pub cached_document_bytes: usize,
    /// How long a request waits until what was written up to its position can be read.
    pub position_wait: Duration,
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
            directives: 8,
            variables: 200,
            operations: 20,
            price: 1_000_000,
            page: 1_000,
            default_page: 100,
            filter_keys: 50_000,
            change_ops: 10_000,
            errors: 100,
            cached_documents: 1_000,
            cached_document_bytes: 2 << 20,
            position_wait: Duration::from_secs(5),
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
    /// What a mutation's answer said: nothing is read before all that was written up to there can be.
    pub position: Option<String>,
    /// When the answer is worth nothing any more.
    pub deadline: Instant,
    /// Where statements are counted.
    pub trace: Arc<Trace>,
    /// How it is priced.
    pub pricing: Pricing,
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
    /// Their codes, each once.
    pub codes: Vec<Code>,
    /// What kind of operation ran, once that is known: `query`, `mutation`, `subscription`.
    pub operation: Option<&'static str>,
    /// How far the tenant's log has come by what was written, for a later [`Ask::position`]; also when the answer has errors, since
    /// what was accepted will be there.
    pub position: Option<String>,
}

/// One caller's view of one tenant's API, as async-graphql's integrations take it.
#[derive(Clone)]
pub struct Session {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The tenant's API.
    pub bound: Arc<Bound>,
    /// The caller.
    pub principal: Principal,
    /// How long a request may take.
    pub patience: Duration,
}

impl Session {
    fn ask(&self, request: async_graphql::Request) -> Ask {
        let variables = match request.variables.into_value().into_json() {
            Ok(serde_json::Value::Object(variables)) => variables,
            _ => serde_json::Map::new(),
        };
        let position = match request.extensions.get("position") {
            None | Some(async_graphql::Value::Null) => None,
            Some(async_graphql::Value::String(position)) => Some(position.clone()),
            Some(_) => Some(String::new()),
        };
        Ask {
            query: request.query,
            operation_name: request.operation_name,
            variables,
            may_write: true,
            idempotency_key: None,
            position,
            deadline: Instant::now() + self.patience,
            trace: Arc::default(),
            pricing: Pricing {
                shown: request.extensions.get("cost") == Some(&async_graphql::Value::Boolean(true)),
                ..Pricing::default()
            },
        }
    }
}

impl async_graphql::Executor for Session {
    async fn execute(&self, request: async_graphql::Request) -> async_graphql::Response {
        let ask = self.ask(request);
        response(&self.engine.answer(&self.bound, &self.principal, ask).await)
    }

    fn execute_stream(
        &self,
        request: async_graphql::Request,
        _session_data: Option<Arc<async_graphql::Data>>,
    ) -> BoxStream<'static, async_graphql::Response> {
        let ask = self.ask(request);
        self.engine.watch(self.bound.clone(), self.principal.clone(), ask).map(|answer| response(&answer)).boxed()
    }
}

/// An answer as async-graphql's type.
fn response(answer: &Answer) -> async_graphql::Response {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| {
        let error = async_graphql::ServerError::new("the answer is no GraphQL response", None);
        async_graphql::Response::from_errors(vec![error])
    })
}
