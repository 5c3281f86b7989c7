//! The port to what is kept of keys, sessions and users: whom they let in, never a secret that could be shown again. Metadata stores implement it, and one
//! contract suite holds for all (`tests/contract/credentials.rs`).

use async_trait::async_trait;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use serde_json::{Map, Value};

use crate::config::Secret;

/// SHA-256 of a secret. The secrets are random and have 256 bits, so there is nothing to be guessed that a slow hash would protect.
pub type Digest = [u8; 32];

/// An API key as it is kept. Times are milliseconds since 1970 in UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// Part of the key, which finds it; no secret.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whom it stands for: the claim `sub`.
    pub subject: String,
    /// The roles.
    pub roles: Vec<String>,
    /// Further claims, by name.
    pub claims: Map<String, Value>,
    /// Of its secret.
    pub digest: Digest,
    /// When it was made.
    pub created_ms: i64,
    /// When it ends, if it does.
    pub expires_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
    /// When it was used last, to the minute.
    pub used_ms: Option<i64>,
}

/// A session as it is kept: somebody who was let in by something else, and the tokens they have instead. Times are milliseconds since
/// 1970 in UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Part of its tokens, which finds it; no secret.
    pub id: String,
    /// What it was made of: `token`, `key ID` or `user NAME`.
    pub origin: String,
    /// Whom it stands for.
    pub subject: Option<String>,
    /// All claims, among them `roles`.
    pub claims: Map<String, Value>,
    /// Of what all its tokens to refresh with have in common.
    pub family: Digest,
    /// Of the token to ask with.
    pub access: Digest,
    /// Of the token to refresh with.
    pub refresh: Digest,
    /// Of the token to ask with that the last refresh replaced.
    pub access_before: Option<Digest>,
    /// Of the token to refresh with that was replaced then.
    pub refresh_before: Option<Digest>,
    /// Until when it may be asked with.
    pub access_ends_ms: i64,
    /// Until when it may be refreshed.
    pub refresh_ends_ms: i64,
    /// When it was made.
    pub created_ms: i64,
    /// When it was refreshed last.
    pub refreshed_ms: i64,
    /// When it ends, however often it is refreshed.
    pub ends_ms: i64,
    /// When it was ended before that.
    pub ended_ms: Option<i64>,
}

/// What a session of an API key has as its origin.
pub fn origin_of_key(id: &str) -> String {
    format!("key {id}")
}

/// What a session of a local user has as its origin.
pub fn origin_of_user(name: &str) -> String {
    format!("user {name}")
}

/// A user that no identity provider knows. Times are milliseconds since 1970 in UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// The name, which is the claim `sub` as well.
    pub name: String,
    /// The roles.
    pub roles: Vec<String>,
    /// Further claims, by name.
    pub claims: Map<String, Value>,
    /// The hash of the password, as a PHC string.
    pub password: Secret,
    /// When it was made.
    pub created_ms: i64,
    /// When it was changed last.
    pub changed_ms: i64,
}

/// What a metadata store keeps to let people and programs in. Everything belongs to a tenant, and nothing is found in another one.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Keeps a new key.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such tenant; `CONFLICT` when the id is taken.
    async fn add_key(&self, tenant: &TenantId, key: &ApiKey) -> Result<(), Fault>;

    /// The key of an id, whether it still holds or not.
    async fn key(&self, tenant: &TenantId, id: &str) -> Result<Option<ApiKey>, Fault>;

    /// All keys of a tenant, those that hold no longer among them, in the order in which they were made.
    async fn keys(&self, tenant: &TenantId) -> Result<Vec<ApiKey>, Fault>;

    /// Revokes a key for good, and ends the sessions that were made of it. False when there is none of this id that was not revoked before.
    async fn revoke_key(&self, tenant: &TenantId, id: &str, at_ms: i64) -> Result<bool, Fault>;

    /// Notes when keys were used last. An earlier time than the one that is there changes nothing.
    async fn note_used(&self, tenant: &TenantId, used: &[(String, i64)]) -> Result<(), Fault>;

    /// Keeps a new session. Those of the tenant that are over when it was made are forgotten, and the oldest of its subject when there
    /// are more than `most`, the new one among them.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such tenant; `CONFLICT` when the id is taken.
    async fn add_session(&self, tenant: &TenantId, session: &Session, most: usize) -> Result<(), Fault>;

    /// The session of an id, whether it goes on or not.
    async fn session(&self, tenant: &TenantId, id: &str) -> Result<Option<Session>, Fault>;

    /// Replaces the tokens of a session and their times. False, and nothing is changed, when it was ended or its token to refresh with
    /// is not `from` any more: of several who refresh at once, one does.
    async fn refresh_session(&self, tenant: &TenantId, session: &Session, from: &Digest) -> Result<bool, Fault>;

    /// Ends a session for good. False when there is none of this id that was not ended before.
    async fn end_session(&self, tenant: &TenantId, id: &str, at_ms: i64) -> Result<bool, Fault>;

    /// Keeps a new user.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such tenant; `CONFLICT` when the name is taken.
    async fn add_user(&self, tenant: &TenantId, user: &User) -> Result<(), Fault>;

    /// The user of a name.
    async fn user(&self, tenant: &TenantId, name: &str) -> Result<Option<User>, Fault>;

    /// All users of a tenant, by name.
    async fn users(&self, tenant: &TenantId) -> Result<Vec<User>, Fault>;

    /// Replaces roles, claims and password of a user, and ends the sessions that were made before. False when there is none of this name.
    async fn change_user(&self, tenant: &TenantId, user: &User) -> Result<bool, Fault>;

    /// Removes a user, and ends their sessions. False when there is none of this name.
    async fn remove_user(&self, tenant: &TenantId, name: &str, at_ms: i64) -> Result<bool, Fault>;
}
