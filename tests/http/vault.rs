//! Stores of credentials for tests: real ones with the tenants `library` and `cryox`, and one that is watched.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use quipu::auth::{ApiKey, Credentials, Digest, MadeKey, Session, User};
use quipu::stores::postgres::Postgres;
use quipu::stores::sqlite::{Embedded, Options};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Clock, Metadata};
use serde_json::{Map, Value};

use super::double::Wall;
use crate::contract;

/// The tenants that are there, and one that is not.
pub const TENANTS: [&str; 2] = ["library", "cryox"];

/// A store with both tenants and nothing else.
pub struct Vault {
    pub credentials: Arc<dyn Credentials>,
    /// The file that it is in, if it is.
    pub file: Option<PathBuf>,
    /// Where it is otherwise, to look at by other means.
    pub postgres: Option<quipu::stores::postgres::Options>,
    _kept: Box<dyn Any + Send + Sync>,
}

async fn publish(metadata: &impl Metadata) {
    let sdl = "type Thing @node { id: ID! }";
    let ontology = quipu_schema::compile(sdl).unwrap();
    for name in TENANTS {
        metadata.publish(&tenant(name), sdl, &ontology, "2026-01-01T00:00:00.000Z").await.unwrap();
    }
}

impl Vault {
    pub async fn in_file(_: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("quipu.db");
        let metadata = Embedded::open(&path, Options::default()).await.unwrap().metadata();
        publish(&metadata).await;
        let credentials = Arc::new(metadata);
        Some(Self { credentials, file: Some(path), postgres: None, _kept: Box::new(directory) })
    }

    pub async fn in_postgres(test: &str) -> Option<Self> {
        let options = contract::postgres::server(test)?.fresh();
        let metadata = Postgres::open(options.clone()).await.unwrap_or_else(|error| panic!("{error}: {}", error.help));
        publish(&metadata).await;
        Some(Self { credentials: Arc::new(metadata), file: None, postgres: Some(options), _kept: Box::new(()) })
    }

    /// A new key of a tenant, as the store has it and as it is shown.
    pub async fn key(&self, of: &str, change: impl FnOnce(&mut ApiKey)) -> (ApiKey, String) {
        let (key, text) = new_key(&tenant(of), change);
        self.credentials.add_key(&tenant(of), &key).await.unwrap();
        (key, text)
    }
}

/// A key that nobody keeps yet.
pub fn new_key(tenant: &TenantId, change: impl FnOnce(&mut ApiKey)) -> (ApiKey, String) {
    let MadeKey { id, text, digest } = MadeKey::new(tenant);
    let mut key = ApiKey {
        id,
        name: "nightly".into(),
        subject: "key:nightly".into(),
        roles: vec!["reader".into()],
        claims: Map::new(),
        digest,
        created_ms: Wall.now_ms(),
        expires_ms: None,
        revoked_ms: None,
        used_ms: None,
    };
    change(&mut key);
    (key, text)
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// Claims by name.
pub fn claims(json: Value) -> Map<String, Value> {
    json.as_object().cloned().unwrap_or_default()
}

/// Runs cases on each store that there is.
macro_rules! on_each_store {
    ($($case:ident),+ $(,)?) => {
        mod in_file {
            $(#[tokio::test]
            async fn $case() {
                let vault = $crate::http::vault::Vault::in_file("").await.expect("a file is always there");
                super::$case(vault).await;
            })+
        }
        mod in_postgres {
            $(#[tokio::test]
            async fn $case() {
                let name = concat!(module_path!(), "::", stringify!($case));
                if let Some(vault) = $crate::http::vault::Vault::in_postgres(name).await {
                    super::$case(vault).await;
                }
            })+
        }
    };
}

pub(crate) use on_each_store;

/// A store that counts what it is asked, and can be away.
pub struct Watched {
    inner: Arc<dyn Credentials>,
    pub looked: AtomicUsize,
    pub noted: AtomicUsize,
    pub away: AtomicBool,
}

impl Watched {
    pub fn over(vault: &Vault) -> Arc<Self> {
        let (looked, noted, away) = Default::default();
        Arc::new(Self { inner: vault.credentials.clone(), looked, noted, away })
    }

    fn asked(&self) -> Result<(), Fault> {
        self.looked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) { Err(Fault::passing("rows", "a secret of the inside")) } else { Ok(()) }
    }
}

#[async_trait]
impl Credentials for Watched {
    async fn add_key(&self, tenant: &TenantId, key: &ApiKey) -> Result<(), Fault> {
        self.inner.add_key(tenant, key).await
    }

    async fn key(&self, tenant: &TenantId, id: &str) -> Result<Option<ApiKey>, Fault> {
        self.asked()?;
        self.inner.key(tenant, id).await
    }

    async fn keys(&self, tenant: &TenantId) -> Result<Vec<ApiKey>, Fault> {
        self.inner.keys(tenant).await
    }

    async fn revoke_key(&self, tenant: &TenantId, id: &str, at_ms: i64) -> Result<bool, Fault> {
        self.inner.revoke_key(tenant, id, at_ms).await
    }

    async fn note_used(&self, tenant: &TenantId, used: &[(String, i64)]) -> Result<(), Fault> {
        self.noted.fetch_add(used.len(), Ordering::SeqCst);
        self.inner.note_used(tenant, used).await
    }

    async fn add_session(&self, tenant: &TenantId, session: &Session, most: usize) -> Result<(), Fault> {
        self.inner.add_session(tenant, session, most).await
    }

    async fn session(&self, tenant: &TenantId, id: &str) -> Result<Option<Session>, Fault> {
        self.asked()?;
        self.inner.session(tenant, id).await
    }

    async fn refresh_session(&self, tenant: &TenantId, session: &Session, from: &Digest) -> Result<bool, Fault> {
        self.inner.refresh_session(tenant, session, from).await
    }

    async fn end_session(&self, tenant: &TenantId, id: &str, at_ms: i64) -> Result<bool, Fault> {
        self.inner.end_session(tenant, id, at_ms).await
    }

    async fn add_user(&self, tenant: &TenantId, user: &User) -> Result<(), Fault> {
        self.inner.add_user(tenant, user).await
    }

    async fn user(&self, tenant: &TenantId, name: &str) -> Result<Option<User>, Fault> {
        self.asked()?;
        self.inner.user(tenant, name).await
    }

    async fn users(&self, tenant: &TenantId) -> Result<Vec<User>, Fault> {
        self.inner.users(tenant).await
    }

    async fn change_user(&self, tenant: &TenantId, user: &User) -> Result<bool, Fault> {
        self.inner.change_user(tenant, user).await
    }

    async fn remove_user(&self, tenant: &TenantId, name: &str, at_ms: i64) -> Result<bool, Fault> {
        self.inner.remove_user(tenant, name, at_ms).await
    }
}

/// Nobody is known, and nobody can be made known.
pub struct NoCredentials;

#[async_trait]
impl Credentials for NoCredentials {
    async fn add_key(&self, _: &TenantId, _: &ApiKey) -> Result<(), Fault> {
        unreachable!("this server's test keeps nothing")
    }

    async fn key(&self, _: &TenantId, _: &str) -> Result<Option<ApiKey>, Fault> {
        Ok(None)
    }

    async fn keys(&self, _: &TenantId) -> Result<Vec<ApiKey>, Fault> {
        Ok(Vec::new())
    }

    async fn revoke_key(&self, _: &TenantId, _: &str, _: i64) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn note_used(&self, _: &TenantId, _: &[(String, i64)]) -> Result<(), Fault> {
        Ok(())
    }

    async fn add_session(&self, _: &TenantId, _: &Session, _: usize) -> Result<(), Fault> {
        unreachable!("this server's test keeps nothing")
    }

    async fn session(&self, _: &TenantId, _: &str) -> Result<Option<Session>, Fault> {
        Ok(None)
    }

    async fn refresh_session(&self, _: &TenantId, _: &Session, _: &Digest) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn end_session(&self, _: &TenantId, _: &str, _: i64) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn add_user(&self, _: &TenantId, _: &User) -> Result<(), Fault> {
        unreachable!("this server's test keeps nothing")
    }

    async fn user(&self, _: &TenantId, _: &str) -> Result<Option<User>, Fault> {
        Ok(None)
    }

    async fn users(&self, _: &TenantId) -> Result<Vec<User>, Fault> {
        Ok(Vec::new())
    }

    async fn change_user(&self, _: &TenantId, _: &User) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn remove_user(&self, _: &TenantId, _: &str, _: i64) -> Result<bool, Fault> {
        Ok(false)
    }
}
