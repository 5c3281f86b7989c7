//! JSON Web Tokens (RFC 7519): of our own, signed with HS256 by a configured key (`own.rs`), and of identity providers (`issuers.rs`).
//!
//! Nothing in a token's header chooses a key that is not configured: `jku`, `jwk`, `x5u`, `x5c` are never followed, and `kid` only
//! names one of the keys of the issuer whose token it says to be. Times are checked against the clock port.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use quick_cache::sync::Cache;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Clock;
use serde_json::{Map, Value};

use super::claims::Said;
use super::credentials::Credentials;
use super::credentials::{origin_of_key, origin_of_user};
use super::issuers::{Issuers, Standing as OfIssuer};
use super::own::Own;
use super::sessions::{Given, Sessions};
use super::stored::Stored;
use super::{Denied, Ear, Source, Verified, shown};
use crate::config::{Config, ConfigError, Secret};
use crate::json::Unique;

/// That of our own tokens.
pub(super) const ALGORITHM: Algorithm = Algorithm::HS256;
/// Bounds the work on a token before anything of it is verified.
const LONGEST: usize = 8 * 1024;
/// Tokens whose verification is remembered.
const REMEMBERED: usize = 1_000;

/// Verifies tokens. What a token says is remembered as long as others do not push it out, and its issuer's keys stay the same: a
/// client sends the same one with every request. Its times are checked every time.
pub struct Authenticator {
    /// For our own tokens, when they are taken.
    own: Option<Own>,
    issuers: Issuers,
    /// What is looked up instead, where there is a store for that.
    stored: Option<(Stored, Sessions)>,
    clock: Arc<dyn Clock>,
    verified: Cache<Box<str>, Known>,
}

/// What a token says, and by which keys that is known.
#[derive(Clone)]
struct Known {
    said: Said,
    by: By,
}

/// A set of keys.
#[derive(Clone, Copy)]
enum By {
    Own(u64),
    Issuer(OfIssuer),
}

impl Authenticator {
    /// Made once per process. Fails when no key is configured, or an issuer is not as it should be; no server is asked.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let own = Own::of(config)?;
        let issuers = Issuers::new(config, &clock)?;
        Ok(Self { own, issuers, stored: None, clock, verified: Cache::new(REMEMBERED) })
    }

    /// Takes API keys and sessions as well, which this store keeps; somebody may listen to what becomes of them.
    ///
    /// # Errors
    /// When the settings of passwords are none that can be used.
    pub fn with_stored(
        mut self,
        config: &Config,
        store: Arc<dyn Credentials>,
        ear: Arc<dyn Ear>,
    ) -> Result<Self, ConfigError> {
        let sessions = Sessions::new(config, store.clone(), self.clock.clone(), ear);
        self.stored = Some((Stored::new(config, store, self.clock.clone())?, sessions));
        Ok(self)
    }

    /// Whom a token names, by the keys that are known.
    ///
    /// # Errors
    /// Why it is not taken; `authenticate` is for tokens whose key may not be known yet.
    pub fn verify(&self, token: &str) -> Result<Verified, Denied> {
        if token.len() > LONGEST {
            return Err(Denied::TooLong(LONGEST));
        }
        let known = match self.verified.get(token) {
            Some(known) if self.holds(known.by) => known,
            _ => {
                let known = self.read(token)?;
                self.verified.insert(token.into(), known.clone());
                known
            }
        };
        let Said { principal, begins_ms, expires_ms } = known.said;
        let now = self.clock.now_ms();
        if now >= expires_ms {
            return Err(Denied::Expired);
        }
        if begins_ms.is_some_and(|begins| now < begins) {
            return Err(Denied::NotYet);
        }
        let source = match known.by {
            By::Own(_) => Source::Own,
            By::Issuer(_) => Source::Issuer,
        };
        Ok(Verified { principal, expires_ms, source })
    }

    /// As `verify`, and API keys as well. Where the issuer may have a new key it waits for that, at most as long as `timeout` of the issuer says, while
    /// [`Self::follow`] runs.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn authenticate(&self, token: &str) -> Result<Verified, Denied> {
        if let (true, Some((stored, _))) = (shown::is_key(token), &self.stored) {
            return stored.key(token).await;
        }
        match self.verify(token) {
            Err(denied) if denied.may_be_new() => {
                self.issuers.sought(token).await;
                self.verify(token)
            }
            outcome => outcome,
        }
    }

    /// The tenant that an API key names, before anything of it is proven.
    pub fn tenant_named(&self, token: &str) -> Option<TenantId> {
        shown::is_key(token).then(|| shown::key(token)).flatten().map(|shown| shown.tenant)
    }

    /// Whether what let somebody in still does.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn again(&self, source: &Source) -> Result<Verified, Denied> {
        match (source, &self.stored) {
            (Source::Key(standing), Some((keys, _))) => keys.again(standing).await,
            (Source::Session(standing), Some((_, sessions))) => sessions.again(standing).await,
            _ => Err(Denied::UnknownId),
        }
    }

    /// Whom a session's token lets in.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn session(&self, token: &str) -> Result<Verified, Denied> {
        self.sessions()?.access(token).await
    }

    /// Begins a session for somebody who was let in. It ends no later than a key or token of our own that let them in. An identity
    /// provider's token says how long it may be shown, not how long somebody may stay, so what holds then is `sessions.length`.
    ///
    /// # Errors
    /// When it cannot be kept, or was made of a session.
    pub async fn begin_session(&self, verified: &Verified) -> Result<Given, Denied> {
        let (origin, until_ms) = match &verified.source {
            Source::Own => ("token".to_owned(), verified.expires_ms),
            Source::Issuer => ("token".to_owned(), i64::MAX),
            Source::Key(standing) => (origin_of_key(&standing.name().1), verified.expires_ms),
            Source::Session(_) => return Err(Denied::NotBearer),
        };
        self.sessions()?.begin(&verified.principal, origin, until_ms).await
    }

    /// Begins a session for a user with a password, if the tenant lets anybody in.
    ///
    /// # Errors
    /// `WrongPassword` whatever of them is wrong; others when it cannot be told, or the session cannot be kept; what `open` says, to those
    /// whose password is right.
    pub async fn sign_in(
        &self,
        tenant: Option<&TenantId>,
        user: &str,
        password: Secret,
        open: super::Open<'_>,
    ) -> Result<Given, Denied> {
        let Some((stored, sessions)) = &self.stored else { return Err(Denied::WrongPassword) };
        let principal = stored.user(tenant, user, password).await?;
        open(&principal.tenant)?;
        sessions.begin(&principal, origin_of_user(user), i64::MAX).await
    }

    /// New tokens of a session, if its tenant lets anybody in.
    ///
    /// # Errors
    /// Why there are none; what `open` says, to whoever has the token, which is good afterwards as before.
    pub async fn refresh_session(&self, token: &str, open: super::Open<'_>) -> Result<Given, Denied> {
        self.sessions()?.refresh(token, open).await
    }

    /// Ends the session of a token to ask with or of one to refresh with.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn end_session(&self, access: Option<&str>, refresh: Option<&str>) -> Result<(), Denied> {
        self.sessions()?.end(access, refresh).await
    }

    fn sessions(&self) -> Result<&Sessions, Denied> {
        self.stored.as_ref().map(|(_, sessions)| sessions).ok_or(Denied::UnknownId)
    }

    /// Keeps the keys of issuers, and our own, and notes which API keys are used; never ends.
    pub async fn follow(&self) {
        let own = async {
            if let Some(own) = &self.own {
                own.follow().await;
            }
        };
        let stored = async {
            if let Some((stored, _)) = &self.stored {
                stored.follow().await;
            }
        };
        tokio::join!(self.issuers.follow(), own, stored);
        std::future::pending().await
    }

    /// Writes down what waits for that, at the end of the process.
    pub async fn finish(&self) {
        if let Some((stored, _)) = &self.stored {
            stored.finish().await;
        }
    }

    /// Whether the file of our own keys held some when it was looked at last; `None` where there is no such file.
    pub fn own_is_well(&self) -> Option<bool> {
        self.own.as_ref().and_then(Own::is_well)
    }

    fn holds(&self, by: By) -> bool {
        match by {
            By::Own(generation) => self.own.as_ref().is_some_and(|own| own.holds(generation)),
            By::Issuer(standing) => self.issuers.holds(standing),
        }
    }

    /// The issuers by their names in the settings, each with whether its keys are known and could be asked for.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, bool)> {
        self.issuers.conditions()
    }

    /// What a token says, the signature being right.
    fn read(&self, token: &str) -> Result<Known, Denied> {
        if let Some(issuer) = self.issuers.named_by(token)? {
            let (said, standing) = self.issuers.read(issuer, token)?;
            return Ok(Known { said, by: By::Issuer(standing) });
        }
        let (said, generation) = self.own.as_ref().ok_or(Denied::Issuer)?.read(token)?;
        Ok(Known { said, by: By::Own(generation) })
    }
}

/// Has the library check the signature alone: its clock is the system's, and it lets a missing `aud` or `iss` pass.
pub(super) fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// The claims of a token that this key has signed.
pub(super) fn claims_of(token: &str, key: &DecodingKey, validation: &Validation) -> Result<Map<String, Value>, Denied> {
    let data = jsonwebtoken::decode::<Unique>(token, key, validation)
        .map_err(|error| Denied::Unverified(error.to_string()))?;
    if data.header.crit.is_some() {
        return Err(Denied::Critical);
    }
    match data.claims {
        Unique(Value::Object(claims)) => Ok(claims),
        Unique(_) => Err(Denied::Unverified("the claims are not an object".into())),
    }
}
