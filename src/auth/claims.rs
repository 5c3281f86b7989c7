//! What claims have to say, and whom they name: the rules of an issuer, or of our own tokens.

use std::sync::Arc;

use quipu_resolvers::guard::{Principal, TenantId};
use serde_json::{Map, Value};

use super::Denied;
use crate::config::{ANY, Auth, ClaimPath, Issuer, SpokenFor};

/// What is asked of claims whose signature is right.
pub(super) struct Rules {
    issuer: Option<String>,
    /// One of these; any when there are none.
    audience: Vec<String>,
    required: Vec<(ClaimPath, Vec<Value>)>,
    tenant: Tenant,
    subject: ClaimPath,
    roles: ClaimPath,
    roles_in_text: bool,
    leeway_ms: i64,
}

/// Where the tenant comes from.
enum Tenant {
    /// A claim, which may name one of these.
    Claim(ClaimPath, SpokenFor),
    /// The settings: the issuer has this one.
    Always(TenantId),
}

/// What a token says whose signature and claims are right.
#[derive(Clone)]
pub(super) struct Said {
    pub principal: Arc<Principal>,
    pub begins_ms: Option<i64>,
    pub expires_ms: i64,
}

impl Rules {
    /// Those of tokens of our own.
    pub fn own(auth: &Auth) -> Self {
        Self {
            issuer: auth.issuer.clone(),
            audience: auth.audience.iter().cloned().collect(),
            required: Vec::new(),
            tenant: Tenant::Claim(ClaimPath::whole(&auth.tenant_claim), SpokenFor::All),
            subject: ClaimPath::whole("sub"),
            roles: ClaimPath::whole(&auth.roles_claim),
            roles_in_text: false,
            leeway_ms: milliseconds(auth.leeway),
        }
    }

    /// Those of an issuer, which speaks for no tenant unless its settings say so.
    pub fn of(issuer: &Issuer, auth: &Auth) -> Self {
        let claim = issuer.tenant_claim.clone().unwrap_or_else(|| ClaimPath::whole(&auth.tenant_claim));
        let spoken_for = issuer.tenants.clone().unwrap_or(SpokenFor::These(Default::default()));
        Self {
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.0.clone(),
            required: issuer.required_claims.0.clone(),
            tenant: issuer.tenant.clone().map_or(Tenant::Claim(claim, spoken_for), Tenant::Always),
            subject: issuer.subject_claim.clone(),
            roles: issuer.roles_claim.clone().unwrap_or_else(|| ClaimPath::whole(&auth.roles_claim)),
            roles_in_text: issuer.roles_in_text,
            leeway_ms: milliseconds(issuer.leeway.unwrap_or(auth.leeway)),
        }
    }

    /// Whom the claims name, and from when until when. Whether that is now is not looked at.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn read(&self, claims: Map<String, Value>) -> Result<Said, Denied> {
        let expires = instant(&claims, "exp")?.ok_or_else(|| wrong("exp", "a number"))?;
        let begins = instant(&claims, "nbf")?;
        instant(&claims, "iat")?;
        self.check_parties(&claims)?;
        self.check_required(&claims)?;
        Ok(Said {
            principal: Arc::new(self.principal(claims)?),
            begins_ms: begins.map(|begins| begins.saturating_sub(self.leeway_ms)),
            expires_ms: expires.saturating_add(self.leeway_ms),
        })
    }

    /// Checks `aud` and `iss` where they are configured.
    fn check_parties(&self, claims: &Map<String, Value>) -> Result<(), Denied> {
        if !self.audience.is_empty() {
            let is_ours = |named: &Value| self.audience.iter().any(|audience| named == audience);
            let named = match claims.get("aud") {
                Some(Value::Array(several)) => several.iter().any(is_ours),
                Some(one) => is_ours(one),
                None => false,
            };
            if !named {
                return Err(Denied::Audience);
            }
        }
        match &self.issuer {
            Some(issuer) if claims.get("iss").and_then(Value::as_str) != Some(issuer) => Err(Denied::Issuer),
            _ => Ok(()),
        }
    }

    /// Checks claims that have to be there: with one of the values, or a list that has one of them.
    fn check_required(&self, claims: &Map<String, Value>) -> Result<(), Denied> {
        for (path, values) in &self.required {
            let fits = |value: &Value| values.iter().any(|wanted| wanted == ANY && !value.is_null() || wanted == value);
            let holds = match path.of(claims) {
                Some(Value::Array(several)) => several.iter().any(fits),
                Some(one) => fits(one),
                None => false,
            };
            if !holds {
                return Err(wrong(&path.shown(), "what `required_claims` says"));
            }
        }
        Ok(())
    }

    /// Reads tenant, subject and roles; the rest of the claims is kept as it is.
    fn principal(&self, mut claims: Map<String, Value>) -> Result<Principal, Denied> {
        let tenant = match &self.tenant {
            Tenant::Always(tenant) => tenant.clone(),
            Tenant::Claim(path, spoken_for) => {
                let tenant = path.of(&claims).and_then(Value::as_str).and_then(TenantId::parse);
                let tenant = tenant.ok_or_else(|| wrong(&path.shown(), "the name of a tenant"))?;
                if !spoken_for.includes(&tenant) {
                    return Err(Denied::NotSpokenFor(tenant.to_string()));
                }
                tenant
            }
        };
        let subject = match self.subject.of(&claims) {
            None => None,
            Some(Value::String(subject)) => Some(subject.clone()),
            Some(_) => return Err(wrong(&self.subject.shown(), "text")),
        };
        let roles = self.roles(&claims)?;
        // policies find the roles in one place, whatever the issuer calls them
        claims.insert("roles".into(), roles);
        Ok(Principal { tenant, subject, claims: Value::Object(claims), operator: false })
    }

    fn roles(&self, claims: &Map<String, Value>) -> Result<Value, Denied> {
        match self.roles.of(claims) {
            None => Ok(Value::Array(Vec::new())),
            Some(Value::Array(roles)) if roles.iter().all(Value::is_string) => Ok(Value::Array(roles.clone())),
            Some(Value::String(roles)) if self.roles_in_text => Ok(roles.split_ascii_whitespace().collect()),
            Some(_) => Err(wrong(&self.roles.shown(), "a list of texts")),
        }
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

pub(super) fn milliseconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
