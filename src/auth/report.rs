//! The one place where it is reported what was done to credentials, and what was refused of them: to the log, and to whoever writes the audit
//! trail.

use std::net::IpAddr;

use quipu_resolvers::guard::TenantId;
use serde_json::{Map, Value, json};

/// Something that whoever watches over a gateway wants to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A key was made; its id and name.
    KeyMade(&'a str, &'a str),
    /// A key was revoked; its id.
    KeyRevoked(&'a str),
    /// A user was added; the name.
    UserAdded(&'a str),
    /// Password or roles of a user were changed; the name.
    UserChanged(&'a str),
    /// A user was removed; the name.
    UserRemoved(&'a str),
    /// Somebody was not let in by a password: the name that they gave, their address, and why.
    SignInRefused(&'a str, Option<IpAddr>, &'a str),
    /// A session began; its id, what it was made of, and whom it is of.
    SessionBegun(&'a str, &'a str, Option<&'a str>),
    /// A session was ended by whoever has it; its id.
    SessionEnded(&'a str),
    /// A token to refresh with came back after it was used, so its session was ended; its id, and whom it is of.
    RefreshReused(&'a str, Option<&'a str>),
}

impl Event<'_> {
    /// What the audit trail calls it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::KeyMade(..) => "key.create",
            Self::KeyRevoked(..) => "key.revoke",
            Self::UserAdded(..) => "user.add",
            Self::UserChanged(..) => "user.change",
            Self::UserRemoved(..) => "user.remove",
            Self::SignInRefused(..) => "session.sign-in",
            Self::SessionBegun(..) => "session.begin",
            Self::SessionEnded(..) => "session.end",
            Self::RefreshReused(..) => "session.refresh",
        }
    }

    /// Why it was refused, if it was.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::SignInRefused(.., cause) => Some(cause),
            Self::RefreshReused(..) => Some("a token to refresh with was used twice"),
            _ => None,
        }
    }

    /// Who did it, where that is known.
    pub fn who(&self) -> Option<&str> {
        match self {
            Self::SessionBegun(.., subject) | Self::RefreshReused(_, subject) => *subject,
            _ => None,
        }
    }

    /// What it is about: ids and names, no secrets.
    pub fn about(&self) -> Map<String, Value> {
        let about = match self {
            Self::KeyMade(key, name) => json!({ "key": key, "name": name }),
            Self::KeyRevoked(key) => json!({ "key": key }),
            Self::UserAdded(user) | Self::UserChanged(user) | Self::UserRemoved(user) => json!({ "user": user }),
            Self::SignInRefused(user, address, _) => json!({ "user": user, "address": address }),
            Self::SessionBegun(session, origin, _) => json!({ "session": session, "origin": origin }),
            Self::SessionEnded(session) | Self::RefreshReused(session, _) => json!({ "session": session }),
        };
        about.as_object().cloned().unwrap_or_default()
    }
}

/// Whoever is told of events, besides the log.
pub trait Ear: Send + Sync {
    /// Takes an event of a tenant.
    fn hear(&self, tenant: &TenantId, event: Event<'_>);
}

/// Nobody is told.
pub struct Deaf;

impl Ear for Deaf {
    fn hear(&self, _tenant: &TenantId, _event: Event<'_>) {}
}

/// Reports an event of a tenant to the log.
pub fn report(tenant: &TenantId, event: Event<'_>) {
    match event {
        Event::KeyMade(key, name) => tracing::info!(%tenant, key, name, "an API key was made"),
        Event::UserAdded(user) => tracing::info!(%tenant, user, "a user was added"),
        Event::UserChanged(user) => tracing::info!(%tenant, user, "a user was changed; their sessions are ended"),
        Event::UserRemoved(user) => tracing::info!(%tenant, user, "a user was removed; their sessions are ended"),
        Event::SignInRefused(user, address, cause) => {
            // Whatever was given as a name is written so that it stays in its line.
            tracing::warn!(%tenant, ?user, ?address, cause, "signing in was refused");
        }
        Event::SessionBegun(session, origin, subject) => {
            tracing::info!(%tenant, session, origin, subject, "a session began");
        }
        Event::SessionEnded(session) => tracing::info!(%tenant, session, "a session was ended"),
        Event::RefreshReused(session, subject) => {
            tracing::warn!(%tenant, session, subject, "a token to refresh with was used twice; its session is ended");
        }
        Event::KeyRevoked(key) => tracing::info!(%tenant, key, "an API key was revoked"),
    }
}
