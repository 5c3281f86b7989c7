//! The one place where it is reported what was done to credentials, and what was refused of them: to the log.

use std::net::IpAddr;

use quipu_resolvers::guard::TenantId;

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

/// Reports an event of a tenant.
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
