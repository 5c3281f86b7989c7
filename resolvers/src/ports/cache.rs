//! Keeping what was found once: the port, and keys of which no two can be taken for each other.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::guard::TenantId;

/// Keeps bytes for a while. Nobody depends on it: what is not found is made again, and whatever goes wrong in it is not found.
#[async_trait]
pub trait Cache: Send + Sync {
    /// What is kept under a key. Takes no longer than a small bound of its own.
    async fn get(&self, key: &CacheKey) -> Found;

    /// Keeps bytes under a key until the time is over, or until there is no room for them. Larger ones than [`largest`](Self::largest)
    /// are not kept.
    async fn put(&self, key: &CacheKey, value: Bytes, ttl: Duration);

    /// Removes what is kept of a tenant, at once, as far as it is reached.
    async fn forget(&self, _tenant: &TenantId) {}

    /// How many keys there are of a tenant, counts among them where they are kept here as well; `None` when nobody can tell.
    async fn held(&self, _tenant: &TenantId) -> Option<u64> {
        None
    }

    /// Bytes of the largest value that is kept.
    fn largest(&self) -> usize;
}

/// What a cache says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// What was put there.
    Value(Bytes),
    /// Nothing, or nothing any more.
    Nothing,
    /// It was not asked, since it failed a moment ago.
    PassedOver,
    /// It failed, or took too long.
    Failed,
}

/// Counts what is used, in windows of time, over all instances that share the counter.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Takes an amount out of what there is in a window, or nothing where that is not enough. A window begins with the first amount that is
    /// taken, and lasts as long as that said. Takes no longer than a small bound of its own; where the shared counter does not answer,
    /// each instance counts for itself.
    async fn take(&self, key: &CacheKey, amount: u64, quota: u64, window: Duration) -> Taken;
}

/// What came of taking something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether it was there.
    pub granted: bool,
    /// How much is used of the window.
    pub used: u64,
    /// When the window ends.
    pub ends_in: Duration,
}

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// The vector of a query's text.
    Embedding,
    /// What a root field reads.
    Result,
    /// A number of events.
    Count,
}

impl KeyKind {
    /// The name in keys and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Result => "result",
            Self::Count => "count",
        }
    }
}

/// Names something that is kept for one tenant: the tenant and the kind as they are, then a digest of everything else. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Arc<str>);

impl CacheKey {
    /// The key of some parts. Each goes into the digest (SHA-256) behind its length, so that other parts, or the same bytes divided
    /// otherwise, give another key; names of tenants and kinds have no colon.
    pub fn of(tenant: &TenantId, kind: KeyKind, parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(format!("{tenant}:{}:{:x}", kind.as_str(), digest.finalize()).into())
    }

    /// What the keys of a tenant begin with, and no others.
    pub fn prefix(tenant: &TenantId) -> String {
        format!("{tenant}:")
    }

    /// Whether it is a tenant's.
    pub fn is_of(&self, tenant: &TenantId) -> bool {
        self.0.strip_prefix(tenant.as_str()).is_some_and(|rest| rest.starts_with(':'))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("a name")
    }

    #[test]
    fn no_two_questions_share_a_key() {
        let lists: [&[&[u8]]; 12] = [
            &[],
            &[b""],
            &[b"", b""],
            &[b"a"],
            &[b"a", b""],
            &[b"", b"a"],
            &[b"a", b"b"],
            &[b"ab"],
            &[b"b", b"a"],
            &[b"a:b"],
            &[b"\0\0\0\0\0\0\0\x01a"],
            &[b"", b"\0\0\0\0\0\0\0\x01a"],
        ];
        let mut keys = HashSet::new();
        for name in ["a", "b", "a-b", "embedding", "result"] {
            for kind in [KeyKind::Embedding, KeyKind::Result, KeyKind::Count] {
                for parts in lists {
                    let key = CacheKey::of(&tenant(name), kind, parts);
                    assert_eq!(key, CacheKey::of(&tenant(name), kind, parts));
                    assert!(key.as_str().starts_with(&format!("{name}:{}:", kind.as_str())), "{key:?}");
                    assert!(keys.insert(key), "{name} {kind:?} {parts:?}");
                }
            }
        }
    }
}
