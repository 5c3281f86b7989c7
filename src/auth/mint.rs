//! Tokens of our own, signed with `auth.secret`.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use quipu_resolvers::guard::TenantId;
use serde_json::{Map, Value};

use super::token::ALGORITHM;
use crate::config::{Config, ConfigError};

/// What a new token should say.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The tenant.
    pub tenant: TenantId,
    /// The subject.
    pub subject: Option<String>,
    /// The roles.
    pub roles: Vec<String>,
    /// More claims, by name.
    pub claims: Map<String, Value>,
    /// How long it is valid.
    pub ttl: Duration,
}

/// Signs a token that this configuration accepts. `now_ms` is milliseconds since 1970 in UTC.
///
/// Fails without a key, and when a further claim has the name of one that the token has anyway.
pub fn mint(config: &Config, wish: Wish, now_ms: i64) -> Result<String, ConfigError> {
    let key = config.auth_key()?;
    let rules = &config.auth;
    let now = now_ms.div_euclid(1000);
    let ttl = i64::try_from(wish.ttl.as_secs()).unwrap_or(i64::MAX);
    let mut claims = Map::from_iter([
        (rules.tenant_claim.clone(), wish.tenant.as_str().into()),
        ("iat".into(), now.into()),
        ("exp".into(), now.saturating_add(ttl).into()),
        (rules.roles_claim.clone(), wish.roles.into()),
    ]);
    let optional = [("sub", &wish.subject), ("aud", &rules.audience), ("iss", &rules.issuer)];
    claims.extend(optional.into_iter().filter_map(|(name, value)| Some((name.into(), value.clone()?.into()))));
    for (name, value) in wish.claims {
        if claims.contains_key(&name) {
            return Err(ConfigError::one(format!("the claim `{name}` is set already")));
        }
        claims.insert(name, value);
    }
    jsonwebtoken::encode(&Header::new(ALGORITHM), &claims, &EncodingKey::from_secret(key.expose()))
        .map_err(|error| ConfigError::one(format!("cannot sign the token: {error}")))
}
