//! Sessions: what a browser has in cookies instead of a token. One token to ask with, which lives for minutes, and one that gets both
//! anew, which is good for once. A token to refresh with that comes back after it was used is in somebody else's hands as well, and
//! nobody can tell who of them is who: the whole family of tokens ends (RFC 9700, section 4.14.2).

use std::sync::Arc;

use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::Clock;
use serde_json::Value;

use super::believed::{Believed, Found, Name, unavailable};
use super::claims::milliseconds;
use super::credentials::{Credentials, Session};
use super::shown::{self, Pair, Shown, ShownRefresh};
use super::stored::{Standing, is_same};
use super::{Denied, Ear, Event, Source, Verified, report};
use crate::config::{self, Config};

/// Makes sessions, and lets in by them.
pub(super) struct Sessions {
    store: Arc<dyn Credentials>,
    believed: Believed<Open>,
    clock: Arc<dyn Clock>,
    ear: Arc<dyn Ear>,
    settings: config::Sessions,
}

/// A session, and whom it lets in.
struct Open {
    session: Session,
    principal: Arc<Principal>,
}

/// What a browser is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Whom the session lets in.
    pub principal: Arc<Principal>,
    /// The tokens; none when they were given a moment ago.
    pub tokens: Option<Tokens>,
    /// Until when it may be asked with, milliseconds since 1970 in UTC like the others.
    pub access_ends_ms: i64,
    /// Until when it may be refreshed.
    pub refresh_ends_ms: i64,
    /// When it ends, however often it is refreshed.
    pub ends_ms: i64,
}

/// Two secrets for two cookies.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    /// To ask with.
    pub access: String,
    /// To refresh both with.
    pub refresh: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(hidden)")
    }
}

impl Sessions {
    pub fn new(config: &Config, store: Arc<dyn Credentials>, clock: Arc<dyn Clock>, ear: Arc<dyn Ear>) -> Self {
        let believed = Believed::new(config.auth.recheck, clock.clone());
        Self { store, believed, clock, ear, settings: config.sessions.clone() }
    }

    /// Begins a session for somebody who was let in by something else until `until_ms`. The `origin` says by what, as the store keeps it.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn begin(&self, principal: &Principal, origin: String, until_ms: i64) -> Result<Given, Denied> {
        let now = self.clock.now_ms();
        let ends_ms = now.saturating_add(milliseconds(self.settings.length)).min(until_ms);
        if ends_ms <= now {
            return Err(Denied::Expired);
        }
        let tenant = &principal.tenant;
        let (id, family) = shown::session();
        let pair = Pair::new(tenant, &id, &family);
        let Value::Object(claims) = principal.claims.clone() else { return Err(Denied::BadForm) };
        let mut session = Session {
            id,
            origin,
            subject: principal.subject.clone(),
            claims,
            family: shown::digest(&family),
            access: pair.access.1,
            refresh: pair.refresh.1,
            access_before: None,
            refresh_before: None,
            access_ends_ms: 0,
            refresh_ends_ms: 0,
            created_ms: now,
            refreshed_ms: now,
            ends_ms,
            ended_ms: None,
        };
        self.prolong(&mut session, now);
        self.store.add_session(tenant, &session, self.settings.per_subject.get()).await.map_err(unavailable)?;
        self.tell(tenant, Event::SessionBegun(&session.id, &session.origin, session.subject.as_deref()));
        Ok(given(&session, Arc::new(principal.clone()), Some(pair)))
    }

    fn prolong(&self, session: &mut Session, now_ms: i64) {
        let until = |span| now_ms.saturating_add(milliseconds(span)).min(session.ends_ms);
        (session.access_ends_ms, session.refresh_ends_ms) = (until(self.settings.access), until(self.settings.refresh));
    }

    /// Whom a token to ask with lets in.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn access(&self, text: &str) -> Result<Verified, Denied> {
        let Shown { tenant, id, digest } = shown::access(text).ok_or(Denied::BadForm)?;
        let name = (tenant, id.into_boxed_str());
        let mut found = self.look_up(&name).await?;
        if !self.is_current(&found.value.session, &digest) {
            // It may have been refreshed at another instance, and is believed here to be what it was.
            self.believed.forget(&name);
            found = self.look_up(&name).await?;
        }
        if !self.is_current(&found.value.session, &digest) {
            return Err(Denied::WrongSecret);
        }
        self.admit(name, &found)
    }

    /// Whether a session that let somebody in still does; which of its tokens it was does not matter any more.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn again(&self, standing: &Standing) -> Result<Verified, Denied> {
        let name = standing.name();
        let found = self.look_up(&name).await?;
        self.admit(name, &found)
    }

    async fn look_up(&self, name: &Name) -> Result<Found<Open>, Denied> {
        let look = async {
            let session = self.store.session(&name.0, &name.1).await?;
            Ok(session.map(|session| Open { principal: Arc::new(principal(&name.0, &session)), session }))
        };
        self.believed.get(name, look).await?.ok_or(Denied::UnknownId)
    }

    /// What was replaced a moment ago is taken as well: it may have been on its way.
    fn is_current(&self, session: &Session, access: &super::Digest) -> bool {
        let before = session.access_before.as_ref().filter(|_| self.is_within_grace(session));
        is_same(&session.access, access) || before.is_some_and(|before| is_same(before, access))
    }

    fn is_within_grace(&self, session: &Session) -> bool {
        self.clock.now_ms() < session.refreshed_ms.saturating_add(milliseconds(self.settings.grace))
    }

    fn admit(&self, name: Name, found: &Found<Open>) -> Result<Verified, Denied> {
        let session = &found.value.session;
        if session.ended_ms.is_some() {
            return Err(Denied::Revoked);
        }
        if self.clock.now_ms() >= session.access_ends_ms {
            return Err(Denied::Expired);
        }
        let standing = Standing::new(name, found.until_ms);
        let principal = found.value.principal.clone();
        Ok(Verified { principal, expires_ms: session.access_ends_ms, source: Source::Session(standing) })
    }

    /// New tokens for one to refresh with. Somebody who comes with the one that was replaced a moment ago, as a second window of the same
    /// browser does, is told that all is well and given nothing: the browser has the new ones.
    ///
    /// # Errors
    /// Why it is not taken. `Reused` ends the session; what `open` says changes nothing.
    pub async fn refresh(&self, text: &str, open: super::Open<'_>) -> Result<Given, Denied> {
        let shown = shown::refresh(text).ok_or(Denied::BadForm)?;
        let ShownRefresh { tenant, id, .. } = &shown;
        let mut session = self.family(&shown).await?;
        open(tenant)?;
        if is_same(&session.refresh, &shown.refresh) {
            let now = self.clock.now_ms();
            let pair = Pair::new(tenant, id, &shown.family);
            let mut next = session.clone();
            (next.access_before, next.refresh_before) = (Some(session.access), Some(session.refresh));
            (next.access, next.refresh, next.refreshed_ms) = (pair.access.1, pair.refresh.1, now);
            self.prolong(&mut next, now);
            if self.store.refresh_session(tenant, &next, &session.refresh).await.map_err(unavailable)? {
                self.forget(tenant, id);
                return Ok(given(&next, Arc::new(principal(tenant, &next)), Some(pair)));
            }
            // Somebody else came first, or ended it.
            session = self.family(&shown).await?;
        }
        let just_before = session.refresh_before.as_ref().is_some_and(|before| is_same(before, &shown.refresh));
        if just_before && self.is_within_grace(&session) {
            return Ok(given(&session, Arc::new(principal(tenant, &session)), None));
        }
        self.store.end_session(tenant, id, self.clock.now_ms()).await.map_err(unavailable)?;
        self.forget(tenant, id);
        self.tell(tenant, Event::RefreshReused(id, session.subject.as_deref()));
        Err(Denied::Reused)
    }

    /// The session of a token to refresh with, if that is one of its tokens, old or new, and it goes on.
    async fn family(&self, shown: &ShownRefresh) -> Result<Session, Denied> {
        let session = self.store.session(&shown.tenant, &shown.id).await.map_err(unavailable)?;
        let session = session.ok_or(Denied::UnknownId)?;
        if !is_same(&session.family, &shown::digest(&shown.family)) {
            return Err(Denied::WrongSecret);
        }
        if session.ended_ms.is_some() {
            return Err(Denied::Revoked);
        }
        if self.clock.now_ms() >= session.refresh_ends_ms {
            return Err(Denied::Expired);
        }
        Ok(session)
    }

    /// Ends the session of either token, if it goes on; who shows none of its tokens ends nothing.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn end(&self, access: Option<&str>, refresh: Option<&str>) -> Result<(), Denied> {
        let by_refresh = refresh.and_then(shown::refresh);
        let ended = match by_refresh {
            Some(shown) => self.family(&shown).await.map(|_| (shown.tenant, shown.id)),
            None => match access.and_then(shown::access) {
                Some(shown) => self.of_access(&shown).await.map(|()| (shown.tenant, shown.id)),
                None => return Ok(()),
            },
        };
        let (tenant, id) = match ended {
            Ok(ended) => ended,
            Err(denied @ (Denied::Busy | Denied::Unavailable(_))) => return Err(denied),
            Err(_) => return Ok(()),
        };
        if self.store.end_session(&tenant, &id, self.clock.now_ms()).await.map_err(unavailable)? {
            self.tell(&tenant, Event::SessionEnded(&id));
        }
        self.forget(&tenant, &id);
        Ok(())
    }

    async fn of_access(&self, shown: &Shown) -> Result<(), Denied> {
        let session = self.store.session(&shown.tenant, &shown.id).await.map_err(unavailable)?;
        let session = session.ok_or(Denied::UnknownId)?;
        if self.is_current(&session, &shown.digest) { Ok(()) } else { Err(Denied::WrongSecret) }
    }

    fn tell(&self, tenant: &TenantId, event: Event<'_>) {
        report(tenant, event);
        self.ear.hear(tenant, event);
    }

    fn forget(&self, tenant: &TenantId, id: &str) {
        self.believed.forget(&(tenant.clone(), id.into()));
    }
}

fn principal(tenant: &TenantId, session: &Session) -> Principal {
    let claims = Value::Object(session.claims.clone());
    Principal { tenant: tenant.clone(), subject: session.subject.clone(), claims, operator: false }
}

fn given(session: &Session, principal: Arc<Principal>, pair: Option<Pair>) -> Given {
    Given {
        principal,
        tokens: pair.map(|pair| Tokens { access: pair.access.0, refresh: pair.refresh.0 }),
        access_ends_ms: session.access_ends_ms,
        refresh_ends_ms: session.refresh_ends_ms,
        ends_ms: session.ends_ms,
    }
}
