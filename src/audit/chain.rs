//! The chain: each record has the SHA-256 of the hash before it, of whose chain it is, of its position and of its text. Whoever changes,
//! removes or inserts a record has to change all that follow, and the last hash, which can be noted elsewhere, tells.

use quipu_resolvers::fault::Fault;
use sha2::{Digest, Sha256};

use super::{Anchor, Kept, Trail, Whose};

/// Records that are looked at at once.
const PORTION: u32 = 1_000;

/// The hash of a record, after the one before it. Lengths go before texts, so that no two records are the same bytes.
pub fn next(before: &[u8; 32], whose: &Whose, seq: u64, text: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(before);
    for part in [whose.as_str(), text] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(seq.to_le_bytes());
    hasher.finalize().into()
}

/// A hash as text.
pub fn shown(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How a chain was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Whole: from where, up to where, and the hash there.
    Whole {
        /// Where it begins.
        from: u64,
        /// Where it ends.
        upto: u64,
        /// The last hash.
        hash: [u8; 32],
    },
    /// Broken, at the first record that does not follow from the one before it.
    Broken {
        /// Position where a record was expected.
        seq: u64,
        /// What is wrong.
        why: &'static str,
    },
}

/// Goes through a chain from its beginning.
///
/// # Errors
/// A store's.
pub async fn verify(trail: &dyn Trail, whose: &Whose) -> Result<Found, Fault> {
    let Anchor { seq: from, mut hash } = trail.anchor(whose).await?;
    let mut upto = from;
    loop {
        let portion = trail.kept(whose, upto, PORTION).await?;
        if portion.is_empty() {
            return Ok(Found::Whole { from, upto, hash });
        }
        for Kept { seq, text, hash: noted } in portion {
            let expected = upto + 1;
            if seq != expected {
                return Ok(Found::Broken { seq: expected, why: "is missing" });
            }
            hash = next(&hash, whose, seq, &text);
            if hash != noted {
                return Ok(Found::Broken { seq, why: "is not what was written, or the one before it is not" });
            }
            upto = seq;
        }
    }
}

#[cfg(test)]
mod tests {
    use quipu_resolvers::guard::TenantId;

    use super::*;

    #[test]
    fn every_part_of_a_record_is_in_its_hash() {
        let whose = |name| Whose::Tenant(TenantId::parse(name).expect("a name"));
        let zero = [0; 32];
        let hash = next(&zero, &whose("a"), 1, "text");
        for other in [
            next(&[1; 32], &whose("a"), 1, "text"),
            next(&zero, &whose("b"), 1, "text"),
            next(&zero, &Whose::Gateway, 1, "text"),
            next(&zero, &whose("a"), 2, "text"),
            next(&zero, &whose("a"), 1, "texts"),
            next(&zero, &whose("at"), 1, "ext"),
        ] {
            assert_ne!(hash, other);
        }
        assert_eq!(hash, next(&zero, &whose("a"), 1, "text"));
    }
}
