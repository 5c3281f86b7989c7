//! The documents that are published for a tenant, as requests are compared with them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quipu_resolvers::ports::TrustedDocument;
use quipu_resolvers::{TextHash, hash_of};

/// Documents by their ids, and their texts by hash.
#[derive(Debug, Default)]
pub struct Trusted {
    texts: HashMap<String, Arc<str>>,
    hashes: HashSet<TextHash>,
}

impl Trusted {
    /// The text that an id stands for.
    pub fn text(&self, id: &str) -> Option<&Arc<str>> {
        self.texts.get(id)
    }

    /// Whether a text is among them, whatever its id.
    pub fn has(&self, text: &str) -> bool {
        // Where none is published no text has to be hashed.
        !self.hashes.is_empty() && self.hashes.contains(&hash_of(text))
    }
}

impl FromIterator<TrustedDocument> for Trusted {
    fn from_iter<T: IntoIterator<Item = TrustedDocument>>(documents: T) -> Self {
        let mut trusted = Self::default();
        for TrustedDocument { id, text } in documents {
            trusted.hashes.insert(hash_of(&text));
            trusted.texts.insert(id, text.into());
        }
        trusted
    }
}
