//! API keys of a tenant.

use quipu_resolvers::value::scalar;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Call, Done, Outcome, not_found, stamp};
use crate::auth::{ApiKey, Event, KeyWish, report, span};
use crate::http::reply::Refusal;

/// A key as it is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    name: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    claims: Map<String, Json>,
    #[serde(default)]
    expires_in: Option<String>,
}

/// `GET /tenants/{tenant}/keys`: all of them, those that hold no longer among them.
pub(super) async fn list(call: Call) -> Outcome {
    call.knows(&[])?;
    let keys = call.admin.credentials.keys(call.tenant()?).await?;
    Ok(Done::with(json!({ "keys": keys.iter().map(shown).collect::<Vec<_>>() })))
}

/// `POST /tenants/{tenant}/keys`: makes one, and shows it this once.
pub(super) async fn create(call: Call) -> Outcome {
    call.knows(&[])?;
    let tenant = call.tenant()?;
    let Wanted { name, subject, roles, claims, expires_in } = call.body()?;
    let expires = expires_in.as_deref().map(span).transpose();
    let expires = expires.map_err(|wrong| Refusal::bad_request(format!("`expiresIn`: {wrong}")))?;
    let wish = KeyWish { name, subject, roles, claims, expires };
    let (key, text) = wish.make(tenant, &call.state.config.auth, call.now_ms()).map_err(Refusal::bad_request)?;
    call.admin.credentials.add_key(tenant, &key).await?;
    report(tenant, Event::KeyMade(&key.id, &key.name));
    let mut body = shown(&key);
    body["key"] = text.into();
    Ok(Done::created(body).about("key", key.id).about("name", key.name).about("roles", key.roles))
}

/// `DELETE /tenants/{tenant}/keys/{key}`: revokes one for good. Asked for again, it is as well as done.
pub(super) async fn revoke(call: Call) -> Outcome {
    call.knows(&[])?;
    let (tenant, id) = (call.tenant()?, call.path("key"));
    if call.admin.credentials.revoke_key(tenant, id, call.now_ms()).await? {
        report(tenant, Event::KeyRevoked(id));
    }
    let key = call.admin.credentials.key(tenant, id).await?;
    key.map(|key| Done::with(shown(&key))).ok_or_else(|| not_found(format!("the tenant has no key {id:?}")))
}

fn shown(key: &ApiKey) -> Json {
    json!({
        "id": key.id,
        "name": key.name,
        "subject": key.subject,
        "roles": key.roles,
        "claims": key.claims,
        "created": scalar::stamp_ms(key.created_ms),
        "expires": stamp(key.expires_ms),
        "revoked": stamp(key.revoked_ms),
        "lastUsed": stamp(key.used_ms),
    })
}
