//! Who asks, and the only way from a question to a question that may be asked.

use std::fmt;
use std::sync::Arc;

/// Names a tenant: 1 to 64 characters of `a-z`, `0-9`, `-` and `_`, beginning with a letter or digit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Checks and takes a name.
    pub fn parse(name: &str) -> Option<Self> {
        let fits = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && !name.starts_with(['-', '_']);
        fits.then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

/// Who asks. Made by authentication from verified credentials only.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// The tenant whose data is asked for.
    pub tenant: TenantId,
    /// Who it is; `None` for a caller that is let in without an identity.
    pub subject: Option<String>,
    /// All claims, among them `roles`.
    pub claims: serde_json::Value,
}

/// A question that may be asked: bound to a tenant, with the caller's visibility in it. Ports take nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed<T> {
    tenant: TenantId,
    inner: T,
}

impl<T> Allowed<T> {
    /// The tenant it is bound to.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The question.
    pub fn get(&self) -> &T {
        &self.inner
    }
}
