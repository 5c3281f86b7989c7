//! What lets people and programs in, as metadata stores keep it: statements that SQLite and Postgres understand alike, and rows of both
//! as the port has them. Every statement names the tenant; below row security it is shown as well, before anything is looked up.

use quipu_resolvers::fault::{Code, Fault};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Error;

use crate::auth::{ApiKey, Digest, Session, User};
use crate::config::Secret;

/// A row of `api_key`, in the order of [`KEY`].
pub(super) type KeyRow = (String, String, String, String, String, Vec<u8>, i64, Option<i64>, Option<i64>, Option<i64>);

pub(super) const KEY: &str = "SELECT id, name, subject, roles, claims, digest, created, expires, revoked, used \
    FROM api_key WHERE tenant = $1 AND id = $2";
pub(super) const KEYS: &str = "SELECT id, name, subject, roles, claims, digest, created, expires, revoked, used \
    FROM api_key WHERE tenant = $1 ORDER BY created, id";
pub(super) const ADD_KEY: &str = "INSERT INTO api_key (tenant, id, name, subject, roles, claims, digest, created, expires, revoked, used) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant, id) DO NOTHING";
pub(super) const REVOKE_KEY: &str = "UPDATE api_key SET revoked = $3 WHERE tenant = $1 AND id = $2 AND revoked IS NULL";
pub(super) const NOTE_USED: &str =
    "UPDATE api_key SET used = $3 WHERE tenant = $1 AND id = $2 AND (used IS NULL OR used < $3)";

/// A row of `session`, in the order of [`SESSION`].
pub(super) type SessionRow = (
    String,
    String,
    Option<String>,
    String,
    Vec<u8>,
    Vec<u8>,
    Vec<u8>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    i64,
    i64,
    i64,
    i64,
    i64,
    Option<i64>,
);

pub(super) const SESSION: &str = "SELECT id, origin, subject, claims, family, access, refresh, access_before, refresh_before, \
    access_ends, refresh_ends, created, refreshed, ends, ended FROM session WHERE tenant = $1 AND id = $2";
pub(super) const ADD_SESSION: &str = "INSERT INTO session (tenant, id, origin, subject, claims, family, access, refresh, access_ends, refresh_ends, created, refreshed, ends) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (tenant, id) DO NOTHING";
pub(super) const FORGET_SESSIONS: &str = "DELETE FROM session WHERE tenant = $1 AND ends <= $2";
pub(super) const FORGET_OLDEST: &str = "DELETE FROM session WHERE tenant = $1 AND coalesce(subject, '') = $2 AND id NOT IN \
    (SELECT id FROM session WHERE tenant = $1 AND coalesce(subject, '') = $2 AND ended IS NULL ORDER BY created DESC, id LIMIT $3)";
pub(super) const REFRESH_SESSION: &str = "UPDATE session SET access = $4, refresh = $5, access_before = $6, refresh_before = $7, access_ends = $8, refresh_ends = $9, \
    refreshed = $10 WHERE tenant = $1 AND id = $2 AND refresh = $3 AND ended IS NULL";
pub(super) const END_SESSION: &str = "UPDATE session SET ended = $3 WHERE tenant = $1 AND id = $2 AND ended IS NULL";
pub(super) const END_SESSIONS_OF: &str =
    "UPDATE session SET ended = $3 WHERE tenant = $1 AND origin = $2 AND ended IS NULL";

/// A row of `account`, in the order of [`USER`].
pub(super) type UserRow = (String, String, String, String, i64, i64);

pub(super) const USER: &str =
    "SELECT name, roles, claims, password, created, changed FROM account WHERE tenant = $1 AND name = $2";
pub(super) const USERS: &str =
    "SELECT name, roles, claims, password, created, changed FROM account WHERE tenant = $1 ORDER BY name";
pub(super) const ADD_USER: &str = "INSERT INTO account (tenant, name, roles, claims, password, created, changed) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, name) DO NOTHING";
pub(super) const CHANGE_USER: &str =
    "UPDATE account SET roles = $3, claims = $4, password = $5, changed = $6 WHERE tenant = $1 AND name = $2";
pub(super) const REMOVE_USER: &str = "DELETE FROM account WHERE tenant = $1 AND name = $2";

/// A row as a user.
pub(super) fn user((name, roles, claims, password, created_ms, changed_ms): UserRow) -> Result<User, Error> {
    let (roles, claims) = (read(&roles)?, read(&claims)?);
    Ok(User { name, roles, claims, password: Secret::new(password), created_ms, changed_ms })
}

/// A row as a session.
pub(super) fn session(row: SessionRow) -> Result<Session, Error> {
    let (id, origin, subject, claims, family, access, refresh, access_before, refresh_before, ..) = &row;
    let before = |digest: &Option<Vec<u8>>| digest.as_deref().map(digested).transpose();
    Ok(Session {
        claims: read(claims)?,
        family: digested(family)?,
        access: digested(access)?,
        refresh: digested(refresh)?,
        access_before: before(access_before)?,
        refresh_before: before(refresh_before)?,
        id: id.clone(),
        origin: origin.clone(),
        subject: subject.clone(),
        access_ends_ms: row.9,
        refresh_ends_ms: row.10,
        created_ms: row.11,
        refreshed_ms: row.12,
        ends_ms: row.13,
        ended_ms: row.14,
    })
}

/// A row as a key.
pub(super) fn key(
    (id, name, subject, roles, claims, digest, created, expires, revoked, used): KeyRow,
) -> Result<ApiKey, Error> {
    Ok(ApiKey {
        id,
        name,
        subject,
        roles: read(&roles)?,
        claims: read(&claims)?,
        digest: digested(&digest)?,
        created_ms: created,
        expires_ms: expires,
        revoked_ms: revoked,
        used_ms: used,
    })
}

/// JSON of a column.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Decode(error.into()))
}

/// JSON for a column.
pub(super) fn written<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(error.into()))
}

fn digested(bytes: &[u8]) -> Result<Digest, Error> {
    bytes.try_into().map_err(|_| Error::Decode("a digest has 32 bytes".into()))
}

/// A fault, where something is there already under a new name.
pub(super) fn made(rows: u64, what: &str) -> Result<(), Fault> {
    let taken = || Fault::client(Code::Conflict, format!("there is {what} already"));
    if rows == 1 { Ok(()) } else { Err(taken()) }
}

/// Implements the port for a store that can look and write within a tenant: `looked` and `changed` give the connection and the tenant's
/// key to what they are given, and `None` when there is no such tenant.
macro_rules! keeps_credentials {
    ($store:ty, $connection:ty, $unknown_tenant:path) => {
        #[async_trait::async_trait]
        impl $crate::auth::Credentials for $store {
            async fn add_key(&self, tenant: &TenantId, key: &ApiKey) -> Result<(), Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let added = query(credentials::ADD_KEY)
                        .bind(of)
                        .bind(&key.id)
                        .bind(&key.name)
                        .bind(&key.subject)
                        .bind(credentials::written(&key.roles)?)
                        .bind(credentials::written(&key.claims)?)
                        .bind(key.digest.to_vec())
                        .bind(key.created_ms)
                        .bind(key.expires_ms)
                        .bind(key.revoked_ms)
                        .bind(key.used_ms);
                    Ok(added.execute(connection).await?.rows_affected())
                };
                let added = self.changed(tenant, work).await?.ok_or_else(|| $unknown_tenant(tenant))?;
                credentials::made(added, "an API key of this id")
            }

            async fn key(&self, tenant: &TenantId, id: &str) -> Result<Option<ApiKey>, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let row = query_as(credentials::KEY).bind(of).bind(id).fetch_optional(connection).await?;
                    Ok(row.map(credentials::key).transpose()?)
                };
                Ok(self.looked(tenant, work).await?.flatten())
            }

            async fn keys(&self, tenant: &TenantId) -> Result<Vec<ApiKey>, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let rows = query_as(credentials::KEYS).bind(of).fetch_all(connection).await?;
                    Ok(rows.into_iter().map(credentials::key).collect::<Result<Vec<_>, _>>()?)
                };
                Ok(self.looked(tenant, work).await?.unwrap_or_default())
            }

            async fn revoke_key(&self, tenant: &TenantId, id: &str, at_ms: i64) -> Result<bool, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let revoked = query(credentials::REVOKE_KEY).bind(of).bind(id).bind(at_ms);
                    let revoked = revoked.execute(&mut *connection).await?.rows_affected();
                    let sessions = query(credentials::END_SESSIONS_OF).bind(of).bind(origin_of_key(id)).bind(at_ms);
                    sessions.execute(connection).await?;
                    Ok(revoked)
                };
                Ok(self.changed(tenant, work).await? == Some(1))
            }

            async fn note_used(&self, tenant: &TenantId, used: &[(String, i64)]) -> Result<(), Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    for (id, at) in used {
                        query(credentials::NOTE_USED).bind(of).bind(id).bind(at).execute(&mut *connection).await?;
                    }
                    Ok(())
                };
                self.changed(tenant, work).await?;
                Ok(())
            }

            async fn add_session(&self, tenant: &TenantId, session: &Session, most: usize) -> Result<(), Fault> {
                let most = i64::try_from(most).unwrap_or(i64::MAX);
                let work = async |connection: &mut $connection, of: i64| {
                    let over = query(credentials::FORGET_SESSIONS).bind(of).bind(session.created_ms);
                    over.execute(&mut *connection).await?;
                    let added = query(credentials::ADD_SESSION)
                        .bind(of)
                        .bind(&session.id)
                        .bind(&session.origin)
                        .bind(&session.subject)
                        .bind(credentials::written(&session.claims)?)
                        .bind(session.family.to_vec())
                        .bind(session.access.to_vec())
                        .bind(session.refresh.to_vec())
                        .bind(session.access_ends_ms)
                        .bind(session.refresh_ends_ms)
                        .bind(session.created_ms)
                        .bind(session.refreshed_ms)
                        .bind(session.ends_ms);
                    let added = added.execute(&mut *connection).await?.rows_affected();
                    let subject = session.subject.as_deref().unwrap_or_default();
                    let oldest = query(credentials::FORGET_OLDEST).bind(of).bind(subject).bind(most);
                    oldest.execute(connection).await?;
                    Ok(added)
                };
                let added = self.changed(tenant, work).await?.ok_or_else(|| $unknown_tenant(tenant))?;
                credentials::made(added, "a session of this id")
            }

            async fn session(&self, tenant: &TenantId, id: &str) -> Result<Option<Session>, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let row = query_as(credentials::SESSION).bind(of).bind(id).fetch_optional(connection).await?;
                    Ok(row.map(credentials::session).transpose()?)
                };
                Ok(self.looked(tenant, work).await?.flatten())
            }

            async fn refresh_session(
                &self,
                tenant: &TenantId,
                session: &Session,
                from: &Digest,
            ) -> Result<bool, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let refreshed = query(credentials::REFRESH_SESSION)
                        .bind(of)
                        .bind(&session.id)
                        .bind(from.to_vec())
                        .bind(session.access.to_vec())
                        .bind(session.refresh.to_vec())
                        .bind(session.access_before.map(|digest| digest.to_vec()))
                        .bind(session.refresh_before.map(|digest| digest.to_vec()))
                        .bind(session.access_ends_ms)
                        .bind(session.refresh_ends_ms)
                        .bind(session.refreshed_ms);
                    Ok(refreshed.execute(connection).await?.rows_affected())
                };
                Ok(self.changed(tenant, work).await? == Some(1))
            }

            async fn end_session(&self, tenant: &TenantId, id: &str, at_ms: i64) -> Result<bool, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let ended = query(credentials::END_SESSION).bind(of).bind(id).bind(at_ms);
                    Ok(ended.execute(connection).await?.rows_affected())
                };
                Ok(self.changed(tenant, work).await? == Some(1))
            }

            async fn add_user(&self, tenant: &TenantId, user: &User) -> Result<(), Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let added = query(credentials::ADD_USER)
                        .bind(of)
                        .bind(&user.name)
                        .bind(credentials::written(&user.roles)?)
                        .bind(credentials::written(&user.claims)?)
                        .bind(user.password.text())
                        .bind(user.created_ms)
                        .bind(user.changed_ms);
                    Ok(added.execute(connection).await?.rows_affected())
                };
                let added = self.changed(tenant, work).await?.ok_or_else(|| $unknown_tenant(tenant))?;
                credentials::made(added, "a user of this name")
            }

            async fn user(&self, tenant: &TenantId, name: &str) -> Result<Option<User>, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let row = query_as(credentials::USER).bind(of).bind(name).fetch_optional(connection).await?;
                    Ok(row.map(credentials::user).transpose()?)
                };
                Ok(self.looked(tenant, work).await?.flatten())
            }

            async fn users(&self, tenant: &TenantId) -> Result<Vec<User>, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let rows = query_as(credentials::USERS).bind(of).fetch_all(connection).await?;
                    Ok(rows.into_iter().map(credentials::user).collect::<Result<Vec<_>, _>>()?)
                };
                Ok(self.looked(tenant, work).await?.unwrap_or_default())
            }

            async fn change_user(&self, tenant: &TenantId, user: &User) -> Result<bool, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let changed = query(credentials::CHANGE_USER)
                        .bind(of)
                        .bind(&user.name)
                        .bind(credentials::written(&user.roles)?)
                        .bind(credentials::written(&user.claims)?)
                        .bind(user.password.text())
                        .bind(user.changed_ms);
                    let changed = changed.execute(&mut *connection).await?.rows_affected();
                    let origin = origin_of_user(&user.name);
                    let sessions = query(credentials::END_SESSIONS_OF).bind(of).bind(origin).bind(user.changed_ms);
                    sessions.execute(connection).await?;
                    Ok(changed)
                };
                Ok(self.changed(tenant, work).await? == Some(1))
            }

            async fn remove_user(&self, tenant: &TenantId, name: &str, at_ms: i64) -> Result<bool, Fault> {
                let work = async |connection: &mut $connection, of: i64| {
                    let removed = query(credentials::REMOVE_USER).bind(of).bind(name);
                    let removed = removed.execute(&mut *connection).await?.rows_affected();
                    let sessions = query(credentials::END_SESSIONS_OF).bind(of).bind(origin_of_user(name)).bind(at_ms);
                    sessions.execute(connection).await?;
                    Ok(removed)
                };
                Ok(self.changed(tenant, work).await? == Some(1))
            }
        }
    };
}

pub(super) use keeps_credentials;
