//! Credentials that are looked up in the store that keeps them: API keys, by their digests, and local users with their passwords.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::Clock;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::believed::{Believed, Found, Name, PATIENCE, unavailable};
use super::credentials::{ApiKey, Credentials, Digest};
use super::passwords::Passwords;
use super::shown::{self, Shown};
use super::{Denied, Source, Verified};
use crate::config::{Config, ConfigError, Secret};

/// How often it is written down which keys were used.
const NOTED: Duration = Duration::from_secs(60);
/// Keys whose use waits to be written down.
const WAITING: usize = 10_000;
/// How long the end of the process waits for that.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is looked up, and what is believed of it.
pub(super) struct Stored {
    store: Arc<dyn Credentials>,
    keys: Believed<Known>,
    passwords: Passwords,
    /// When keys were used last, milliseconds since 1970 in UTC.
    used: Mutex<HashMap<Name, i64>>,
    clock: Arc<dyn Clock>,
    tenant_claim: String,
    roles_claim: String,
}

/// A key, and whom it lets in.
struct Known {
    key: ApiKey,
    principal: Arc<Principal>,
}

/// Which of them let somebody in, so that it can be asked again whether it still does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    tenant: TenantId,
    id: Box<str>,
    /// Until when it is believed that it holds, by [`Clock::steady_ms`].
    pub until_ms: i64,
}

impl Standing {
    pub(super) fn new((tenant, id): Name, until_ms: i64) -> Self {
        Self { tenant, id, until_ms }
    }

    pub(super) fn name(&self) -> Name {
        (self.tenant.clone(), self.id.clone())
    }
}

impl Stored {
    pub fn new(config: &Config, store: Arc<dyn Credentials>, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let auth = &config.auth;
        Ok(Self {
            store,
            passwords: Passwords::new(&config.passwords)?,
            keys: Believed::new(auth.recheck, clock.clone()),
            used: Mutex::default(),
            clock,
            tenant_claim: auth.tenant_claim.clone(),
            roles_claim: auth.roles_claim.clone(),
        })
    }

    /// Whom a key lets in.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn key(&self, text: &str) -> Result<Verified, Denied> {
        let Shown { tenant, id, digest } = shown::key(text).ok_or(Denied::BadForm)?;
        let name = (tenant, id.into_boxed_str());
        let found = self.look_up(&name).await?;
        if !is_same(&found.value.key.digest, &digest) {
            return Err(Denied::WrongSecret);
        }
        self.admit(name, &found)
    }

    /// Whether what let somebody in still does; what was believed for long enough is looked up.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn again(&self, standing: &Standing) -> Result<Verified, Denied> {
        let name = standing.name();
        let found = self.look_up(&name).await?;
        self.admit(name, &found)
    }

    async fn look_up(&self, name: &Name) -> Result<Found<Known>, Denied> {
        let look = async {
            let key = self.store.key(&name.0, &name.1).await?;
            Ok(key.map(|key| Known { principal: Arc::new(self.principal(&name.0, &key)), key }))
        };
        self.keys.get(name, look).await?.ok_or(Denied::UnknownId)
    }

    /// Lets in whom a key stands for, if it holds by now.
    fn admit(&self, name: Name, found: &Found<Known>) -> Result<Verified, Denied> {
        let (key, now) = (&found.value.key, self.clock.now_ms());
        if key.revoked_ms.is_some() {
            return Err(Denied::Revoked);
        }
        let expires_ms = key.expires_ms.unwrap_or(i64::MAX);
        if now >= expires_ms {
            return Err(Denied::Expired);
        }
        let principal = found.value.principal.clone();
        let standing = Standing::new(name.clone(), found.until_ms);
        if found.is_first_use() {
            self.note(name, now);
        }
        Ok(Verified { principal, expires_ms, source: Source::Key(standing) })
    }

    /// The claims are those that a token of our own would have.
    fn principal(&self, tenant: &TenantId, key: &ApiKey) -> Principal {
        self.claiming(tenant, &key.subject, &key.roles, &key.claims)
    }

    fn claiming(&self, tenant: &TenantId, subject: &str, roles: &[String], more: &Map<String, Value>) -> Principal {
        let roles = Value::from(roles.to_vec());
        let mut claims = Map::from_iter([
            (self.tenant_claim.clone(), tenant.as_str().into()),
            (self.roles_claim.clone(), roles.clone()),
            ("sub".into(), subject.into()),
        ]);
        claims.extend(more.clone());
        claims.insert("roles".into(), roles);
        let (subject, claims) = (Some(subject.to_owned()), Value::Object(claims));
        Principal { tenant: tenant.clone(), subject, claims, operator: false }
    }

    /// Whom a name and a password let in. Whether there is such a user or tenant, or the password is wrong, takes as long.
    ///
    /// # Errors
    /// `WrongPassword` whatever is wrong; others when it cannot be told.
    pub async fn user(&self, tenant: Option<&TenantId>, name: &str, password: Secret) -> Result<Principal, Denied> {
        let _place = self.passwords.line_up()?;
        let looked = async {
            match tenant {
                Some(tenant) => self.store.user(tenant, name).await,
                None => Ok(None),
            }
        };
        let looked = timeout(PATIENCE, looked).await;
        let user = looked.map_err(|_| Denied::Unavailable("nothing was heard of it in time".into()))?;
        let user = user.map_err(unavailable)?;
        let fits = self.passwords.verify(password, user.as_ref().map(|user| &user.password)).await?;
        match (tenant, user) {
            (Some(tenant), Some(user)) if fits => Ok(self.claiming(tenant, &user.name, &user.roles, &user.claims)),
            _ => Err(Denied::WrongPassword),
        }
    }

    /// Notes that a key was used. Where too many wait to be written down, it is not.
    fn note(&self, name: Name, now_ms: i64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < WAITING || used.contains_key(&name) {
            used.insert(name, now_ms);
        }
    }

    /// Writes down every minute which keys were used; never ends.
    pub async fn follow(&self) {
        let mut ticks = interval(NOTED);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.write_down().await;
        }
    }

    /// Writes down what is left of that at the end of the process.
    pub async fn finish(&self) {
        if timeout(FAREWELL, self.write_down()).await.is_err() {
            tracing::warn!("which API keys were used last is not written down: the store does not answer");
        }
    }

    async fn write_down(&self) {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tenants: HashMap<TenantId, Vec<(String, i64)>> = HashMap::new();
        for ((tenant, id), at) in used {
            tenants.entry(tenant).or_default().push((id.into(), at));
        }
        for (tenant, used) in tenants {
            if let Err(fault) = self.store.note_used(&tenant, &used).await {
                // The next use of each is noted as well, so nothing has to be kept for then.
                tracing::warn!(%tenant, %fault, "which API keys were used last could not be written down");
            }
        }
    }
}

/// Compares digests in a time that does not depend on where they differ.
pub(super) fn is_same(one: &Digest, other: &Digest) -> bool {
    one.ct_eq(other).into()
}
