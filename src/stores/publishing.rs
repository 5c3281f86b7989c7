//! Which documents are added to those that are published for a tenant. Pure, the same for every metadata store.

use std::collections::HashMap;

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::ports::{Room, TrustedDocument};

/// What a change to the documents of a tenant comes to: a number, or a refusal; either way without a failure of the store.
pub(super) type Changed = Result<usize, Fault>;

/// A change to the documents of a tenant.
pub(super) enum Change<'a> {
    /// Documents that are added, and when.
    Add(&'a [TrustedDocument], Room, &'a str),
    /// Ids of documents that go.
    Remove(&'a [String]),
}

/// Those of the documents that are not there yet.
///
/// # Errors
/// `CONFLICT` when an id stands for another text, or there is no room for all of them.
pub(super) fn new_ones<'a>(
    there: &[TrustedDocument],
    documents: &'a [TrustedDocument],
    room: Room,
) -> Result<Vec<&'a TrustedDocument>, Fault> {
    let conflict = |message: String| Err(Fault::client(Code::Conflict, message));
    let mut texts: HashMap<&str, &str> = there.iter().map(|one| (one.id.as_str(), one.text.as_str())).collect();
    let mut new = Vec::new();
    for document in documents {
        match texts.insert(&document.id, &document.text) {
            None => new.push(document),
            Some(text) if text == document.text => {}
            Some(_) => {
                return conflict(format!("the id {} stands for another text; remove that document first", document.id));
            }
        }
    }
    let bytes: usize = texts.iter().map(|(id, text)| id.len() + text.len()).sum();
    if texts.len() > room.documents {
        let (count, most) = (texts.len(), room.documents);
        return conflict(format!("that would be {count} documents; the limit `limits.trusted_documents` is {most}"));
    }
    if bytes > room.bytes {
        let most = room.bytes;
        return conflict(format!(
            "that would be {bytes} bytes of documents; the limit `limits.trusted_bytes` is {most}"
        ));
    }
    Ok(new)
}
