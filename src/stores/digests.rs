//! What the registry remembers of a record's properties: enough to tell whether a value is the one that is there already.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// Digests of properties: 16 bytes each, 8 of the name and 8 of the value, in the order of the names' digests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digests(Vec<([u8; 8], [u8; 8])>);

impl Digests {
    /// Reads stored bytes; anything but whole pairs is passed over.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let half = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).unwrap_or_default();
        Self(bytes.chunks_exact(16).map(|pair| (half(&pair[..8]), half(&pair[8..]))).collect())
    }

    /// The bytes to store, in hexadecimal.
    pub fn to_hex(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(self.0.len() * 32);
        for byte in self.0.iter().flat_map(|(name, value)| name.iter().chain(value)) {
            let _ = write!(text, "{byte:02X}");
        }
        text
    }

    /// Notes a property; null removes it. False when that changes nothing.
    pub fn set(&mut self, name: &str, value: &Json) -> bool {
        let name = digest(name.as_bytes());
        let place = self.0.binary_search_by(|(known, _)| known.cmp(&name));
        if value.is_null() {
            return place.map(|at| self.0.remove(at)).is_ok();
        }
        let value = digest(value.to_string().as_bytes());
        match place {
            Ok(at) if self.0[at].1 == value => return false,
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name, value)),
        }
        true
    }
}

fn digest(bytes: &[u8]) -> [u8; 8] {
    let whole = Sha256::digest(bytes);
    let mut part = [0; 8];
    part.copy_from_slice(&whole[..8]);
    part
}
