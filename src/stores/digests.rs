//! What the registry remembers of a record's properties: enough to tell whether a value is the one that is there already.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// Digests of properties: 16 bytes each, 8 of the name and 8 of the value, in the order of the names' digests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digests(Vec<(u64, u64)>);

impl Digests {
    /// Reads stored bytes; anything but whole pairs is passed over.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let half = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap_or_default());
        Self(bytes.chunks_exact(16).map(|pair| (half(&pair[..8]), half(&pair[8..]))).collect())
    }

    /// True when there is no property.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(name, value)| [name.to_be_bytes(), value.to_be_bytes()]).flatten().collect()
    }

    /// The bytes to store, in hexadecimal.
    pub fn to_hex(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(self.0.len() * 32);
        for (name, value) in &self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name:016X}{value:016X}");
        }
        text
    }

    /// Notes a property; null removes it. False when that changes nothing.
    pub fn set(&mut self, name: &str, value: &Json) -> bool {
        let name = of_name(name);
        let place = self.0.binary_search_by(|(known, _)| known.cmp(&name));
        if value.is_null() {
            return place.map(|at| self.0.remove(at)).is_ok();
        }
        let value = of_value(value);
        match place {
            Ok(at) if self.0[at].1 == value => return false,
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name, value)),
        }
        true
    }
}

/// FNV-1a, 64 bits: names come from the ontology, nobody gains by making two of them the same.
fn of_name(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The first 8 bytes of SHA-256 of the JSON.
fn of_value(value: &Json) -> u64 {
    let whole = match value {
        // The most frequent values without a detour; the first byte keeps them apart from other JSON.
        Json::String(text) => Sha256::new_with_prefix(b"\"").chain_update(text.as_bytes()).finalize(),
        other => Sha256::digest(other.to_string().as_bytes()),
    };
    let mut part = [0; 8];
    part.copy_from_slice(&whole[..8]);
    u64::from_be_bytes(part)
}
