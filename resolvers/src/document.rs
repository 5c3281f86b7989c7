//! From the text of a query to a parsed and validated document, within limits that are checked before the work they bound.
//!
//! Validated documents are cached by tenant, version of its API and hash of their text. Values of variables play no part here: they are coerced
//! for every request, so that a cached verdict holds for all of them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition};
use async_graphql::{Positioned, ServerError};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use quipu_schema::api::Api;
use sha2::{Digest, Sha256};

use crate::Settings;
use crate::fault::{Code, Fault};
use crate::guard::TenantId;
use crate::ports::Served;

mod breadth;
pub(crate) mod built_in;
mod scan;
mod validate;

/// SHA-256 of a document's text.
pub type TextHash = [u8; 32];

/// The hash of a text.
pub fn hash_of(text: &str) -> TextHash {
    Sha256::digest(text).into()
}

/// A document that fits the API and the limits.
#[derive(Debug)]
pub struct Document {
    /// The parsed document.
    pub parsed: ExecutableDocument,
    /// Its text.
    pub text: Arc<str>,
    /// The hash of its text.
    pub hash: TextHash,
}

/// Why a document was not taken: one or several errors, each with the place in the document.
#[derive(Debug)]
pub enum Refusal {
    /// A limit.
    Fault(Fault),
    /// What the parser or validation found.
    Invalid(Vec<ServerError>),
}

impl Refusal {
    /// Code and message of each mistake.
    pub fn told(&self) -> Vec<(String, String)> {
        let code = |error: &ServerError| match error.extensions.as_ref().and_then(|all| all.get("code")) {
            Some(async_graphql::Value::String(code)) => code.clone(),
            _ => String::new(),
        };
        match self {
            Self::Fault(fault) => vec![(fault.code().as_str().to_owned(), fault.to_string())],
            Self::Invalid(errors) => errors.iter().map(|error| (code(error), error.message.clone())).collect(),
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The cache of validated documents: for each tenant one of its own, so that nobody's documents push out another's.
pub struct Documents {
    tenants: RwLock<HashMap<TenantId, Arc<Kept>>>,
    /// Bytes of the texts that are kept for a tenant.
    bytes: usize,
    /// What a text counts for at least, so that there are not too many of them.
    least: usize,
}

/// Documents by version of the API and hash.
type Kept = Cache<(u64, TextHash), Arc<Document>, ByLength>;

/// Weighs a document by its text, which what is made of it is proportional to.
#[derive(Clone)]
struct ByLength {
    least: usize,
}

impl Weighter<(u64, TextHash), Arc<Document>> for ByLength {
    fn weight(&self, _: &(u64, TextHash), document: &Arc<Document>) -> u64 {
        document.text.len().max(self.least) as u64
    }
}

impl Documents {
    /// A cache of at most that many documents for a tenant, whose texts have at most that many bytes together.
    pub fn new(count: usize, bytes: usize) -> Self {
        Self { tenants: RwLock::default(), bytes, least: bytes.div_ceil(count.max(1)).max(1) }
    }

    /// The document of a text.
    ///
    /// # Errors
    /// A limit that the text exceeds, or what is wrong with it.
    pub fn open(&self, served: &Served, settings: &Settings, text: &str) -> Result<Arc<Document>, Refusal> {
        let limits = &settings.limits;
        if text.len() > limits.document_bytes {
            let message = format!(
                "the document has {} bytes; the limit `limits.document_bytes` is {}",
                text.len(),
                limits.document_bytes
            );
            return Err(Fault::client(Code::BodyTooLarge, message).into());
        }
        let hash = hash_of(text);
        let (kept, key) = (self.of(&served.tenant), (served.version, hash));
        if let Some(found) = kept.get(&key) {
            return Ok(found);
        }
        let document = Arc::new(Document { parsed: check(&served.api, settings, text)?, text: text.into(), hash });
        kept.insert(key, document.clone());
        Ok(document)
    }

    /// The text of a document that is kept for a tenant and its version of the API.
    pub fn text(&self, served: &Served, hash: &TextHash) -> Option<Arc<str>> {
        Some(self.of(&served.tenant).get(&(served.version, *hash))?.text.clone())
    }

    fn of(&self, tenant: &TenantId) -> Arc<Kept> {
        if let Some(kept) = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return kept.clone();
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(self.empty())).clone()
    }

    fn empty(&self) -> Kept {
        // In one part: a document has to find room for itself in one.
        let options = OptionsBuilder::new()
            .shards(1)
            .weight_capacity(self.bytes as u64)
            .estimated_items_capacity((self.bytes / self.least / 8).max(1))
            .build()
            .expect("capacities are set");
        let weighter = ByLength { least: self.least };
        Cache::with_options(options, weighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
    }
}

fn check(api: &Api, settings: &Settings, text: &str) -> Result<ExecutableDocument, Refusal> {
    let limits = &settings.limits;
    scan::within(text, limits)?;
    let parsed = async_graphql::parser::parse_query(text).map_err(|error| {
        let error: ServerError = error.into();
        Refusal::Invalid(vec![with_code(error, Code::GraphqlParseFailed)])
    })?;
    breadth::within(&parsed, limits)?;
    let errors = validate::errors(api, text, &parsed, limits, settings.introspection);
    if errors.is_empty() {
        return Ok(parsed);
    }
    Err(Refusal::Invalid(errors.into_iter().map(|error| with_code(error, Code::GraphqlValidationFailed)).collect()))
}

fn with_code(mut error: ServerError, code: Code) -> ServerError {
    let extensions = error.extensions.get_or_insert_with(Default::default);
    extensions.set("code", code.as_str());
    error
}

impl Document {
    /// The operation that is meant.
    ///
    /// # Errors
    /// `BAD_REQUEST` when the name fits none, or none is given where there are several.
    pub fn operation(&self, name: Option<&str>) -> Result<&Positioned<OperationDefinition>, Fault> {
        let refused = |message: String| Fault::client(Code::BadRequest, message);
        match (&self.parsed.operations, name) {
            (DocumentOperations::Single(operation), None | Some("")) => Ok(operation),
            (DocumentOperations::Single(_), Some(name)) => {
                Err(refused(format!("the document has no operation named {name:?}")))
            }
            (DocumentOperations::Multiple(operations), Some(name)) => operations
                .iter()
                .find(|(given, _)| given.as_str() == name)
                .map(|(_, operation)| operation)
                .ok_or_else(|| refused(format!("the document has no operation named {name:?}"))),
            (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
                operations.values().next().ok_or_else(|| refused("the document has no operation".to_owned()))
            }
            (DocumentOperations::Multiple(_), None) => {
                Err(refused("the document has several operations; name one in `operationName`".to_owned()))
            }
        }
    }
}

/// Sizes of fragments, by name, while they are worked out.
type Sizes<'a> = HashMap<&'a str, breadth::Size>;
