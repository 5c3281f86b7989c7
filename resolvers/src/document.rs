//! From the text of a query to a parsed and validated document, within limits that are checked before the work they bound.
//!
//! Validated documents are cached by tenant, version of its API and text. Values of variables play no part here: they are coerced
//! for every request, so that a cached verdict holds for all of them.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition};
use async_graphql::{Positioned, ServerError};
use quick_cache::sync::Cache;
use quipu_schema::api::Api;

use crate::Settings;
use crate::fault::{Code, Fault};
use crate::ports::Served;

mod breadth;
pub(crate) mod built_in;
mod scan;
mod validate;

/// A document that fits the API and the limits.
#[derive(Debug)]
pub struct Document {
    /// The parsed document.
    pub parsed: ExecutableDocument,
}

/// Why a document was not taken: one or several errors, each with the place in the document.
#[derive(Debug)]
pub enum Refusal {
    /// A limit.
    Fault(Fault),
    /// What the parser or validation found.
    Invalid(Vec<ServerError>),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The cache of validated documents.
pub struct Documents {
    cache: Cache<(Arc<str>, u64, Box<str>), Arc<Document>>,
}

impl Documents {
    /// A cache of that many documents.
    pub fn new(capacity: usize) -> Self {
        Self { cache: Cache::new(capacity.max(1)) }
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
        let key = (Arc::<str>::from(served.tenant.as_str()), served.version, Box::<str>::from(text));
        if let Some(found) = self.cache.get(&key) {
            return Ok(found);
        }
        let document = Arc::new(Document { parsed: check(&served.api, settings, text)? });
        self.cache.insert(key, document.clone());
        Ok(document)
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
