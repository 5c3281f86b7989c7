//! Documents that are named instead of sent: those that are published for the tenant, and those that a client has sent before, as Apollo's
//! clients do it (automatic persisted queries, version 1). And whether others are let through.

use std::sync::Arc;

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::{PriceLimit, TextHash, hash_of};

use super::caller::Caller;
use super::operation::{Named, Operation};
use super::state::AppState;
use crate::config::DocumentMode;

/// What Apollo's clients look for, word for word; they send the document then.
const NOT_FOUND: &str = "PersistedQueryNotFound";

impl AppState {
    /// The operation with its document, and with what it may cost.
    ///
    /// # Errors
    /// `PERSISTED_QUERY_NOT_FOUND`, `PERSISTED_QUERY_MISMATCH`, `UNKNOWN_DOCUMENT`.
    pub(super) fn with_document(&self, caller: &Caller, operation: Operation) -> Result<Operation, Fault> {
        self.document_of(caller, operation).inspect_err(|fault| self.refused_of(caller, fault.code()))
    }

    fn document_of(&self, caller: &Caller, mut operation: Operation) -> Result<Operation, Fault> {
        let plan = self.plan(&caller.principal.tenant);
        let mode = plan.documents;
        if operation.named.is_none() && mode == DocumentMode::Open {
            return Ok(operation);
        }
        if let Some(named) = operation.named.take() {
            operation.query = text_of(caller, &named, operation.query)?;
        }
        if mode == DocumentMode::Open || caller.api.is_published(&operation.query) {
            return Ok(operation);
        }
        if mode == DocumentMode::KnownOnly {
            let message = "the document is not among those published for the tenant (tenants.documents)";
            return Err(Fault::client(Code::UnknownDocument, message));
        }
        operation.most = Some(PriceLimit { price: plan.unknown_price, setting: "tenants.unknown_price" });
        Ok(operation)
    }
}

/// The document that is named, or sent together with its name.
fn text_of(caller: &Caller, named: &Named, sent: String) -> Result<String, Fault> {
    let (Named::Hash(id) | Named::Id(id)) = named;
    let published = caller.api.published(id);
    if sent.is_empty() {
        let kept = || caller.api.kept(&hash_in(id)?);
        return match (published, named) {
            (Some(text), _) => Ok((*text).to_owned()),
            (None, Named::Hash(_)) => {
                let text: Arc<str> = kept().ok_or_else(|| Fault::client(Code::PersistedQueryNotFound, NOT_FOUND))?;
                Ok((*text).to_owned())
            }
            (None, Named::Id(_)) => {
                let message = "no document of this id is published for the tenant";
                Err(Fault::client(Code::UnknownDocument, message))
            }
        };
    }
    if published.is_some_and(|text| *text == *sent) || hash_in(id) == Some(hash_of(&sent)) {
        return Ok(sent);
    }
    let message = "provided sha does not match query: the id is not the SHA-256 of the document, in hexadecimal digits";
    Err(Fault::client(Code::PersistedQueryMismatch, message))
}

/// A hash in hexadecimal digits.
fn hash_in(text: &str) -> Option<TextHash> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_64_hexadecimal_digits() {
        // FIPS 180-4: of the empty text.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash_in(empty), Some(hash_of("")));
        assert_eq!(hash_in(&empty.to_uppercase()), Some(hash_of("")));
        for wrong in ["", &empty[1..], &format!("{empty}0"), &empty.replace('e', "g"), &"é".repeat(32)] {
            assert_eq!(hash_in(wrong), None, "{wrong}");
        }
    }
}
