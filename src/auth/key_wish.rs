//! An API key as it is asked for, by a command or over the admin API.

use std::time::Duration;

use quipu_resolvers::guard::TenantId;
use serde_json::{Map, Value};

use super::claims::milliseconds;
use super::credentials::ApiKey;
use super::shown::MadeKey;
use crate::config::{self, Auth};

/// Characters of a key's name.
const LONGEST_NAME: usize = 100;

/// What a new key is to be.
#[derive(Debug, Clone, Default)]
pub struct KeyWish {
    /// What it is called in lists.
    pub name: String,
    /// Whom it stands for; `key:NAME` when nothing is said.
    pub subject: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Further claims, by name.
    pub claims: Map<String, Value>,
    /// After what time it ends; never when nothing is said.
    pub expires: Option<Duration>,
}

impl KeyWish {
    /// Makes the key, and its text, which is shown this once.
    ///
    /// # Errors
    /// What of the wish cannot be.
    pub fn make(self, tenant: &TenantId, settings: &Auth, now_ms: i64) -> Result<(ApiKey, String), String> {
        let Self { name, subject, roles, claims, expires } = self;
        let name = line(&name, LONGEST_NAME).map_err(|wrong| format!("the name: {wrong}"))?;
        if let Some(claim) = own_claim(&claims, settings) {
            return Err(format!(
                "the claim `{claim}` is set already: the tenant, the subject and the roles are said in other ways"
            ));
        }
        let expires_ms = expires.map(|span| now_ms.saturating_add(milliseconds(span)));
        let MadeKey { id, text, digest } = MadeKey::new(tenant);
        let subject = subject.unwrap_or_else(|| format!("key:{name}"));
        let (created_ms, revoked_ms, used_ms) = (now_ms, None, None);
        Ok((ApiKey { id, name, subject, roles, claims, digest, created_ms, expires_ms, revoked_ms, used_ms }, text))
    }
}

/// The first of the claims that says what is said in other ways: the tenant, the subject or the roles.
pub fn own_claim<'a>(claims: &'a Map<String, Value>, settings: &Auth) -> Option<&'a str> {
    let own = ["sub", "roles", &settings.tenant_claim, &settings.roles_claim];
    claims.keys().map(String::as_str).find(|claim| own.contains(claim))
}

/// Something of at most so many characters that can be shown in a line.
///
/// # Errors
/// What was expected.
pub fn line(text: &str, longest: usize) -> Result<String, String> {
    let fits = !text.trim().is_empty() && text.chars().count() <= longest && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned()).ok_or_else(|| format!("expected 1 to {longest} characters, in one line"))
}

/// A span of time that is not nothing; days are what the settings have no need of.
///
/// # Errors
/// What was expected.
pub fn span(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<u32>().ok());
    let span = match days {
        Some(days) => Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        None => config::duration(text),
    };
    span.filter(|span| !span.is_zero()).ok_or_else(|| "expected a time like 30m, 8h or 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read() {
        assert_eq!(span("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(span("30d"), Ok(Duration::from_secs(30 * 86400)));
        assert!(span("0s").is_err() && span("10").is_err() && span("-1h").is_err());
    }
}
