//! The contract of what is kept of credentials, on every metadata store: nothing of one tenant is found or changed in another.

use quipu::auth::{Credentials, Session, User, origin_of_key, origin_of_user};
use quipu::config::Secret;
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::TenantId;
use serde_json::json;

use crate::http::vault::{TENANTS, Vault, claims, new_key, on_each_store, tenant};

on_each_store!(
    keys_come_back_as_they_were,
    keys_belong_to_a_tenant,
    keys_are_revoked_once,
    uses_are_noted,
    sessions_come_back_as_they_were,
    one_of_several_refreshes,
    sessions_are_bounded,
    sessions_end_with_what_they_were_made_of,
    users_are_kept_and_changed,
);

async fn keys_come_back_as_they_were(vault: Vault) {
    let credentials = &vault.credentials;
    let plain = vault.key("library", |key| key.created_ms = 1).await.0;
    let full = vault.key("library", |key| {
        key.created_ms = 2;
        key.name = "\"odd\" O'Brien \u{1F511}".into();
        key.subject = "ada".into();
        key.roles = vec!["a".into(), "b, c".into()];
        key.claims = claims(json!({"regions": ["EU"], "deep": {"n": 1.5, "nothing": null}}));
        key.expires_ms = Some(i64::MAX);
    });
    let full = full.await.0;
    assert_eq!(credentials.key(&tenant("library"), &full.id).await.unwrap(), Some(full.clone()));
    assert_eq!(credentials.keys(&tenant("library")).await.unwrap(), [plain.clone(), full], "as they were made");
    assert_eq!(credentials.key(&tenant("library"), "none").await.unwrap(), None);
    let again = credentials.add_key(&tenant("library"), &plain).await.unwrap_err();
    assert_eq!(again.code(), Code::Conflict);
    let (key, _) = new_key(&tenant("nobody"), |_| {});
    assert_eq!(credentials.add_key(&tenant("nobody"), &key).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(credentials.key(&tenant("nobody"), &plain.id).await.unwrap(), None);
    assert!(credentials.keys(&tenant("nobody")).await.unwrap().is_empty());
}

/// Both tenants have a key of the same id.
async fn keys_belong_to_a_tenant(vault: Vault) {
    let credentials = &vault.credentials;
    for name in TENANTS {
        vault.key(name, |key| (key.id, key.subject) = ("same".into(), name.into())).await;
    }
    let alone = vault.key("library", |_| {}).await.0;
    for name in TENANTS {
        assert_eq!(credentials.key(&tenant(name), "same").await.unwrap().unwrap().subject, name);
    }
    assert_eq!(credentials.key(&tenant("cryox"), &alone.id).await.unwrap(), None);
    assert!(!credentials.revoke_key(&tenant("cryox"), &alone.id, 5).await.unwrap());
    assert!(credentials.revoke_key(&tenant("library"), "same", 5).await.unwrap());
    credentials.note_used(&tenant("library"), &[("same".into(), 9)]).await.unwrap();
    let other = credentials.key(&tenant("cryox"), "same").await.unwrap().unwrap();
    assert_eq!((other.revoked_ms, other.used_ms), (None, None));
    assert_eq!(credentials.keys(&tenant("cryox")).await.unwrap().len(), 1);
}

async fn keys_are_revoked_once(vault: Vault) {
    let credentials = &vault.credentials;
    let key = vault.key("library", |_| {}).await.0;
    assert!(credentials.revoke_key(&tenant("library"), &key.id, 5).await.unwrap());
    assert!(!credentials.revoke_key(&tenant("library"), &key.id, 6).await.unwrap());
    let revoked = credentials.key(&tenant("library"), &key.id).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_ms, Some(5), "when it was done first");
    assert!(!credentials.revoke_key(&tenant("library"), "none", 5).await.unwrap());
    assert!(!credentials.revoke_key(&tenant("nobody"), &key.id, 5).await.unwrap());
}

async fn uses_are_noted(vault: Vault) {
    let credentials = &vault.credentials;
    let (one, two) = (vault.key("library", |_| {}).await.0.id, vault.key("library", |_| {}).await.0.id);
    let note = async |used: &[(&str, i64)]| {
        let used: Vec<_> = used.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect();
        credentials.note_used(&tenant("library"), &used).await.unwrap();
        let mut at = Vec::new();
        for id in [&one, &two] {
            at.push(credentials.key(&tenant("library"), id).await.unwrap().unwrap().used_ms);
        }
        at
    };
    assert_eq!(note(&[]).await, [None, None]);
    assert_eq!(note(&[(&one, 5), ("none", 5)]).await, [Some(5), None]);
    assert_eq!(note(&[(&one, 4), (&two, 7)]).await, [Some(5), Some(7)], "what came before changes nothing");
    credentials.note_used(&tenant("nobody"), &[(one.clone(), 9)]).await.unwrap();
    assert_eq!(note(&[(&one, 6)]).await, [Some(6), Some(7)]);
}

/// A session whose digests are all of one byte.
fn session(id: &str, byte: u8) -> Session {
    Session {
        id: id.to_owned(),
        origin: "token".to_owned(),
        subject: Some("ada".to_owned()),
        claims: claims(json!({"roles": ["reader"], "deep": {"n": [1, null]}})),
        family: [byte; 32],
        access: [byte + 1; 32],
        refresh: [byte + 2; 32],
        access_before: None,
        refresh_before: None,
        access_ends_ms: 2_000,
        refresh_ends_ms: 3_000,
        created_ms: 1_000,
        refreshed_ms: 1_000,
        ends_ms: 4_000,
        ended_ms: None,
    }
}

async fn sessions_come_back_as_they_were(vault: Vault) {
    let credentials = &vault.credentials;
    for name in TENANTS {
        let subject = Some(name.to_owned());
        credentials.add_session(&tenant(name), &Session { subject, ..session("same", 1) }, 9).await.unwrap();
    }
    let nobody = Session { subject: None, ..session("nobody", 50) };
    credentials.add_session(&tenant("library"), &nobody, 9).await.unwrap();
    for name in TENANTS {
        let found = credentials.session(&tenant(name), "same").await.unwrap();
        assert_eq!(found, Some(Session { subject: Some(name.to_owned()), ..session("same", 1) }));
    }
    assert_eq!(credentials.session(&tenant("library"), "nobody").await.unwrap(), Some(nobody.clone()));
    assert_eq!(credentials.session(&tenant("cryox"), "nobody").await.unwrap(), None);
    assert_eq!(credentials.session(&tenant("none"), "nobody").await.unwrap(), None);
    assert!(!credentials.end_session(&tenant("cryox"), "nobody", 5).await.unwrap());
    assert!(!credentials.refresh_session(&tenant("cryox"), &nobody, &nobody.refresh).await.unwrap());
    assert!(credentials.end_session(&tenant("library"), "nobody", 5).await.unwrap());
    assert!(!credentials.end_session(&tenant("library"), "nobody", 6).await.unwrap());
    let ended = credentials.session(&tenant("library"), "nobody").await.unwrap().unwrap();
    assert_eq!(ended.ended_ms, Some(5));
    assert!(!credentials.refresh_session(&tenant("library"), &nobody, &nobody.refresh).await.unwrap(), "it has ended");
    let again = credentials.add_session(&tenant("library"), &session("same", 1), 9).await.unwrap_err();
    assert_eq!(again.code(), Code::Conflict);
    let unknown = credentials.add_session(&tenant("none"), &session("x", 1), 9).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

async fn one_of_several_refreshes(vault: Vault) {
    let credentials = &vault.credentials;
    let before = session("s", 1);
    credentials.add_session(&tenant("library"), &before, 9).await.unwrap();
    let next = |byte: u8| Session {
        access: [byte; 32],
        refresh: [byte + 1; 32],
        access_before: Some(before.access),
        refresh_before: Some(before.refresh),
        access_ends_ms: 2_500,
        refresh_ends_ms: 3_500,
        refreshed_ms: 1_500,
        ..before.clone()
    };
    let tasks = (1..=5_u8).map(|number| {
        let (credentials, next, from) = (credentials.clone(), next(number * 20), before.refresh);
        tokio::spawn(async move {
            credentials.refresh_session(&tenant("library"), &next, &from).await.unwrap().then_some(next)
        })
    });
    let refreshed = futures_util::future::join_all(tasks).await;
    let refreshed: Vec<Session> = refreshed.into_iter().filter_map(|done| done.expect("no panic")).collect();
    assert_eq!(refreshed.len(), 1, "one of five");
    assert_eq!(credentials.session(&tenant("library"), "s").await.unwrap().as_ref(), refreshed.first());
}

async fn sessions_are_bounded(vault: Vault) {
    let credentials = &vault.credentials;
    let made = |id: &str, created_ms| Session { created_ms, ends_ms: created_ms + 100, ..session(id, 1) };
    for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
        credentials.add_session(&tenant("library"), &made(id, 1_000 + at as i64), 2).await.unwrap();
    }
    let other = Session { subject: Some("eva".into()), ..made("e", 900) };
    credentials.add_session(&tenant("library"), &other, 2).await.unwrap();
    credentials.add_session(&tenant("cryox"), &made("x", 900), 2).await.unwrap();
    let there = async |ids: &[&str]| {
        let mut there = Vec::new();
        for id in ids {
            there.push(credentials.session(&tenant("library"), id).await.unwrap().is_some());
        }
        there
    };
    assert_eq!(there(&["a", "b", "c", "e"]).await, [false, true, true, true], "the oldest of the subject's went");
    credentials.add_session(&tenant("library"), &made("d", 1_101), 2).await.unwrap();
    assert_eq!(there(&["b", "c", "d", "e"]).await, [false, true, true, false], "and what was over");
    assert!(credentials.session(&tenant("cryox"), "x").await.unwrap().is_some(), "in this tenant alone");
}

async fn sessions_end_with_what_they_were_made_of(vault: Vault) {
    let credentials = &vault.credentials;
    let key = vault.key("library", |_| {}).await.0;
    for name in TENANTS {
        for (id, origin) in [("k", origin_of_key(&key.id)), ("u", origin_of_user("ada")), ("t", "token".to_owned())] {
            credentials.add_session(&tenant(name), &Session { origin, ..session(id, 1) }, 9).await.unwrap();
        }
        credentials.add_user(&tenant(name), &user("ada")).await.unwrap();
    }
    let ended = async || {
        let mut ended = Vec::new();
        for name in TENANTS {
            for id in ["k", "u", "t"] {
                ended.push(credentials.session(&tenant(name), id).await.unwrap().unwrap().ended_ms);
            }
        }
        ended
    };
    assert!(credentials.revoke_key(&tenant("library"), &key.id, 7).await.unwrap());
    assert_eq!(ended().await, [Some(7), None, None, None, None, None]);
    assert!(credentials.change_user(&tenant("library"), &User { changed_ms: 8, ..user("ada") }).await.unwrap());
    assert_eq!(ended().await, [Some(7), Some(8), None, None, None, None]);
    assert!(credentials.remove_user(&tenant("cryox"), "ada", 9).await.unwrap());
    assert_eq!(ended().await, [Some(7), Some(8), None, None, Some(9), None]);
}

fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        roles: vec!["reader".into()],
        claims: claims(json!({"regions": ["EU"]})),
        password: Secret::new("$argon2id$v=19$..."),
        created_ms: 1,
        changed_ms: 1,
    }
}

/// Something of each kind in a tenant.
pub async fn keep_some(credentials: &impl Credentials, tenant: &TenantId) {
    credentials.add_key(tenant, &new_key(tenant, |_| {}).0).await.unwrap();
    credentials.add_session(tenant, &session("s", 1), 9).await.unwrap();
    credentials.add_user(tenant, &user("ada")).await.unwrap();
}

async fn users_are_kept_and_changed(vault: Vault) {
    let credentials = &vault.credentials;
    for name in ["eva", "ada", "Ada"] {
        credentials.add_user(&tenant("library"), &user(name)).await.unwrap();
    }
    let taken = credentials.add_user(&tenant("library"), &user("ada")).await.unwrap_err();
    assert_eq!(taken.code(), Code::Conflict);
    assert_eq!(credentials.add_user(&tenant("none"), &user("ada")).await.unwrap_err().code(), Code::NotFound);
    let names = async |of: &str| -> Vec<String> {
        credentials.users(&tenant(of)).await.unwrap().into_iter().map(|user| user.name).collect()
    };
    assert_eq!(names("library").await, ["Ada", "ada", "eva"]);
    assert!(names("cryox").await.is_empty() && names("none").await.is_empty());
    assert_eq!(credentials.user(&tenant("library"), "ada").await.unwrap(), Some(user("ada")));
    assert_eq!(credentials.user(&tenant("cryox"), "ada").await.unwrap(), None);
    let changed = User { roles: Vec::new(), password: Secret::new("another"), changed_ms: 2, ..user("ada") };
    assert!(!credentials.change_user(&tenant("cryox"), &changed).await.unwrap());
    assert!(credentials.change_user(&tenant("library"), &changed).await.unwrap());
    assert_eq!(credentials.user(&tenant("library"), "ada").await.unwrap(), Some(changed));
    assert_eq!(credentials.user(&tenant("library"), "Ada").await.unwrap(), Some(user("Ada")));
    assert!(!credentials.remove_user(&tenant("cryox"), "ada", 3).await.unwrap());
    assert!(credentials.remove_user(&tenant("library"), "ada", 3).await.unwrap());
    assert!(!credentials.remove_user(&tenant("library"), "ada", 3).await.unwrap());
    assert_eq!(names("library").await, ["Ada", "eva"]);
}
