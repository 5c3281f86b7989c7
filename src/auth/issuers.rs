//! Tokens of identity providers: each is verified by the keys and rules of the one that it names, and by no other's.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use jsonwebtoken::Header;
use quipu_resolvers::ports::Clock;
use serde::Deserialize;
use serde_json::Value;

use super::Denied;
use super::claims::{Rules, Said};
use super::fetch::Fetcher;
use super::keys::Keys;
use super::token::{claims_of, validation};
use crate::config::{Config, ConfigError};

/// What the header of an access token may call it (RFC 7519 and RFC 9068). Issuers sign other things with the same keys.
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// The identity providers whose tokens are taken.
pub(super) struct Issuers {
    /// By `iss`.
    by_claim: HashMap<String, usize>,
    all: Vec<Issuer>,
}

/// One of them.
struct Issuer {
    name: String,
    keys: Keys,
    rules: Rules,
}

/// A set of keys by which something was verified.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    issuer: usize,
    generation: u64,
}

/// The claim that chooses the issuer, before anything is verified.
#[derive(Deserialize)]
struct Issued {
    iss: Option<Value>,
}

impl Issuers {
    /// No server is asked yet.
    pub fn new(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, ConfigError> {
        config.check_issuers()?;
        let (mut by_claim, mut all) = (HashMap::new(), Vec::new());
        for (name, settings) in &config.auth_issuers {
            let fetcher = Fetcher::new(&format!("auth.issuers.{name}"), settings)?;
            let keys = Keys::new(name, settings, fetcher, clock.clone());
            by_claim.extend(settings.issuer.clone().map(|issuer| (issuer, all.len())));
            all.push(Issuer { name: name.clone(), keys, rules: Rules::of(settings, &config.auth) });
        }
        Ok(Self { by_claim, all })
    }

    /// The issuer that a token names, if it is one of these. Nothing is verified by this: it only chooses by whose keys and rules.
    pub fn named_by(&self, token: &str) -> Result<Option<usize>, Denied> {
        if self.all.is_empty() {
            return Ok(None);
        }
        let issued: Issued = jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(unverified)?;
        Ok(issued.iss.as_ref().and_then(Value::as_str).and_then(|iss| self.by_claim.get(iss)).copied())
    }

    /// What a token says, the signature and the claims being right.
    pub fn read(&self, at: usize, token: &str) -> Result<(Said, Standing), Denied> {
        let issuer = &self.all[at];
        let header = jsonwebtoken::decode_header(token).map_err(unverified)?;
        check_header(&header)?;
        let held = issuer.keys.held().ok_or(Denied::NoKeys)?;
        let validation = validation(header.alg);
        let mut outcome = Err(Denied::UnknownKey);
        for key in held.set.candidates(header.kid.as_deref(), header.alg)? {
            outcome = claims_of(token, key, &validation);
            if outcome.is_ok() {
                break;
            }
        }
        Ok((issuer.rules.read(outcome?)?, Standing { issuer: at, generation: held.generation }))
    }

    /// Whether the keys by which something was verified are still those of their issuer.
    pub fn holds(&self, standing: Standing) -> bool {
        self.all[standing.issuer].keys.generation() == Some(standing.generation)
    }

    /// Waits for the keys of the issuer that a token names, if they may be asked for now.
    pub async fn sought(&self, token: &str) {
        if let Ok(Some(at)) = self.named_by(token) {
            self.all[at].keys.sought().await;
        }
    }

    /// Keeps the keys; never ends.
    pub async fn follow(&self) {
        join_all(self.all.iter().map(|issuer| issuer.keys.follow())).await;
    }

    /// Each by name, and whether its keys are known and new.
    pub fn conditions(&self) -> impl Iterator<Item = (&str, bool)> {
        self.all.iter().map(|issuer| (issuer.name.as_str(), issuer.keys.is_well()))
    }
}

/// Checks what a header says beside key and algorithm. Keys in it or behind it (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
fn check_header(header: &Header) -> Result<(), Denied> {
    if header.crit.is_some() {
        return Err(Denied::Critical);
    }
    match &header.typ {
        Some(typ) if !TYPES.contains(&typ.to_ascii_lowercase().as_str()) => Err(Denied::Type),
        _ => Ok(()),
    }
}

fn unverified(error: jsonwebtoken::errors::Error) -> Denied {
    Denied::Unverified(error.to_string())
}
