//! JSON Web Tokens (RFC 7519), signed with HS256 by the one configured key.
//!
//! Nothing in a token's header chooses the key or the algorithm: `kid`, `jku`, `jwk`, `x5u` are never followed. Times are checked
//! against the clock port.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::Clock;
use serde_json::{Map, Value};

use super::{Denied, Verified};
use crate::config::{Auth, Config, ConfigError};
use crate::json::Unique;

const ALGORITHM: Algorithm = Algorithm::HS256;
/// Bounds the work on a token before anything of it is verified.
const LONGEST: usize = 8 * 1024;
/// Tokens whose verification is remembered.
const REMEMBERED: usize = 1_000;

/// Verifies tokens. What a token says is remembered as long as others do not push it out: a client sends the same one with every
/// request. Its times are checked every time.
pub struct Authenticator {
    key: DecodingKey,
    validation: Validation,
    rules: Auth,
    clock: Arc<dyn Clock>,
    verified: Cache<Box<str>, Known>,
}

/// What a token says whose signature and claims are right.
#[derive(Clone)]
struct Known {
    principal: Arc<Principal>,
    begins_ms: Option<i64>,
    expires_ms: i64,
}

impl Authenticator {
    /// Made once per process. Fails when no key is configured.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let key = DecodingKey::from_secret(config.auth_key()?.expose());
        let mut validation = Validation::new(ALGORITHM);
        // the library checks the signature alone: its clock is the system's, and it lets a missing `aud` or `iss` pass
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self { key, validation, rules: config.auth.clone(), clock, verified: Cache::new(REMEMBERED) })
    }

    /// Whom a token names.
    pub fn verify(&self, token: &str) -> Result<Verified, Denied> {
        if token.len() > LONGEST {
            return Err(Denied::TooLong(LONGEST));
        }
        let known = match self.verified.get(token) {
            Some(known) => known,
            None => {
                let known = self.read(token)?;
                self.verified.insert(token.into(), known.clone());
                known
            }
        };
        let now = self.clock.now_ms();
        if now >= known.expires_ms {
            return Err(Denied::Expired);
        }
        if known.begins_ms.is_some_and(|begins| now < begins) {
            return Err(Denied::NotYet);
        }
        Ok(Verified { principal: known.principal, expires_ms: known.expires_ms })
    }

    /// What a token says, the signature being right.
    fn read(&self, token: &str) -> Result<Known, Denied> {
        let data = jsonwebtoken::decode::<Unique>(token, &self.key, &self.validation)
            .map_err(|error| Denied::Unverified(error.to_string()))?;
        if data.header.crit.is_some() {
            return Err(Denied::Critical);
        }
        let Unique(Value::Object(claims)) = data.claims else {
            return Err(Denied::Unverified("the claims are not an object".into()));
        };
        let leeway = milliseconds(self.rules.leeway);
        let expires_ms = instant(&claims, "exp")?.ok_or_else(|| wrong("exp", "a number"))?.saturating_add(leeway);
        let begins_ms = instant(&claims, "nbf")?.map(|begins| begins.saturating_sub(leeway));
        self.check_parties(&claims)?;
        Ok(Known { principal: Arc::new(self.principal(claims)?), begins_ms, expires_ms })
    }

    /// Checks `aud` and `iss` where they are configured.
    fn check_parties(&self, claims: &Map<String, Value>) -> Result<(), Denied> {
        if let Some(audience) = &self.rules.audience {
            let named = match claims.get("aud") {
                Some(Value::String(one)) => one == audience,
                Some(Value::Array(several)) => several.iter().any(|one| one == audience),
                _ => false,
            };
            if !named {
                return Err(Denied::Audience);
            }
        }
        match &self.rules.issuer {
            Some(issuer) if claims.get("iss").and_then(Value::as_str) != Some(issuer) => Err(Denied::Issuer),
            _ => Ok(()),
        }
    }

    /// Reads tenant, subject and roles; the rest of the claims is kept as it is.
    fn principal(&self, mut claims: Map<String, Value>) -> Result<Principal, Denied> {
        let name = &self.rules.tenant_claim;
        let tenant = claims.get(name).and_then(Value::as_str).and_then(TenantId::parse);
        let tenant = tenant.ok_or_else(|| wrong(name, "the name of a tenant"))?;
        let subject = match claims.get("sub") {
            None => None,
            Some(Value::String(subject)) => Some(subject.clone()),
            Some(_) => return Err(wrong("sub", "text")),
        };
        let roles = match claims.get(&self.rules.roles_claim) {
            None => Value::Array(Vec::new()),
            Some(Value::Array(roles)) if roles.iter().all(Value::is_string) => Value::Array(roles.clone()),
            Some(_) => return Err(wrong(&self.rules.roles_claim, "a list of texts")),
        };
        // policies find the roles in one place, whatever the issuer calls them
        claims.insert("roles".into(), roles);
        Ok(Principal { tenant, subject, claims: Value::Object(claims), operator: false })
    }
}

fn wrong(claim: &str, expected: &'static str) -> Denied {
    Denied::Claim { claim: claim.into(), expected }
}

/// A `NumericDate` in milliseconds; text that looks like a number is refused.
fn instant(claims: &Map<String, Value>, claim: &str) -> Result<Option<i64>, Denied> {
    match claims.get(claim) {
        None => Ok(None),
        // the conversion saturates
        Some(Value::Number(seconds)) => Ok(seconds.as_f64().map(|seconds| (seconds * 1000.0) as i64)),
        Some(_) => Err(wrong(claim, "a number")),
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

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
