//! Who asks, and for which tenant.

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
    /// True for whoever runs the gateway, at its command line: bound to the tenant, but not to its rules.
    pub operator: bool,
}

impl Principal {
    /// Whoever runs the gateway, under a name for the log if it is to have one.
    pub fn operator(tenant: &TenantId, subject: Option<&str>) -> Self {
        let claims = serde_json::Value::Object(serde_json::Map::new());
        Self { tenant: tenant.clone(), subject: subject.map(str::to_owned), claims, operator: true }
    }

    /// The claim at a path, if it is there and not null.
    pub fn claim(&self, path: &[String]) -> Option<&serde_json::Value> {
        let found = path.iter().try_fold(&self.claims, |claims, step| claims.get(step))?;
        (!found.is_null()).then_some(found)
    }
}
