//! What every metadata store writes of an accepted change, and how it is read again. Pure.

use std::borrow::Cow;

use quipu_resolvers::change::{Accepted, Change, Effect, Op};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Terms;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Bytes of entries that end a portion of the log: an import's entry holds a thousand records, a mutation's mostly one.
const PORTION: i64 = 512 << 10;

/// A change as the log keeps it.
#[derive(Serialize)]
pub(super) struct Logged<'a> {
    /// The operations that have an effect.
    pub(super) ops: &'a [Cow<'a, Op>],
}

/// What an idempotency key stands for, when there is one.
pub(super) fn digest_under(terms: Terms<'_>, change: &Change) -> Option<Vec<u8>> {
    terms.idempotency_key.map(|_| match terms.digest {
        Some(given) => given.as_bytes().to_vec(),
        // A change always has a JSON form; were it not so, two of them would merely count as the same.
        None => Sha256::digest(serde_json::to_vec(change).unwrap_or_default()).to_vec(),
    })
}

/// The answer to a key that was used before.
pub(super) fn replayed(key: &str, same: bool, seq: i64, effects: Vec<Effect>) -> Result<Accepted, Fault> {
    if !same {
        let message = format!("the idempotency key \"{key}\" was used for another change");
        return Err(Fault::client(Code::IdempotencyKeyReused, message));
    }
    Ok(Accepted { seq: number(seq), effects, appended: false, replayed: true })
}

/// The last entry of a portion, out of positions and lengths of the entries that are there, in order.
pub(super) fn last_of_portion(lengths: &[(i64, i64)]) -> Option<i64> {
    let mut bytes = 0;
    let last = lengths.iter().find(|(_, length)| {
        bytes += length;
        bytes >= PORTION
    });
    last.or(lengths.last()).map(|(seq, _)| *seq)
}

/// A stored number that is never negative.
pub(super) fn number(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or_default()
}

/// A number as it is stored.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A stored hash; zeros for what is none.
pub(super) fn hash(stored: &[u8]) -> [u8; 32] {
    stored.try_into().unwrap_or_default()
}

/// Names of tenants with their numbers, as stored.
pub(super) fn numbered(stored: Vec<(String, i64)>) -> Vec<(TenantId, u64)> {
    stored.into_iter().filter_map(|(name, stored)| Some((TenantId::parse(&name)?, number(stored)))).collect()
}
