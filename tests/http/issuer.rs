//! An identity provider for one test: a server of key sets that counts how often it is asked, and can be made to misbehave.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use quipu::config::{Config, Issuer, SpokenFor, Texts};
use quipu_resolvers::ports::Clock;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::double::Wall;
use super::signing::{Pair, key_set};

/// What is answered to whoever asks for keys.
#[derive(Debug, Clone)]
pub enum Mood {
    Keys(String),
    Status(u16),
    /// Never answers.
    Silent,
    /// Answers, and never ends.
    Endless,
    /// A body, a bit at a time.
    Slow(Duration),
    /// Leads elsewhere.
    Redirect(String),
}

struct Inside {
    asked: AtomicUsize,
    documents: AtomicUsize,
    mood: Mutex<Mood>,
    document: Mutex<Value>,
}

/// The provider; it stops when it is dropped.
pub struct Provider {
    pub address: SocketAddr,
    inside: Arc<Inside>,
    served: Option<JoinHandle<()>>,
}

impl Provider {
    pub async fn with(keys: &[Value]) -> Self {
        let mut provider = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            inside: Arc::new(Inside {
                asked: AtomicUsize::new(0),
                documents: AtomicUsize::new(0),
                mood: Mutex::new(Mood::Keys(key_set(keys))),
                document: Mutex::default(),
            }),
            served: None,
        };
        provider.begin().await;
        let document = json!({"issuer": provider.url(), "jwks_uri": format!("{}/keys", provider.url())});
        *provider.inside.document.lock().unwrap() = document;
        provider
    }

    /// Serves, at the port where it did before.
    pub async fn begin(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .with_state(self.inside.clone());
        self.served = Some(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
    }

    /// Is away: connections are refused.
    pub async fn end(&mut self) {
        if let Some(served) = self.served.take() {
            served.abort();
            let _ = served.await;
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn answers(&self, mood: Mood) {
        *self.inside.mood.lock().unwrap() = mood;
    }

    pub fn has(&self, keys: &[Value]) {
        self.answers(Mood::Keys(key_set(keys)));
    }

    pub fn says(&self, document: Value) {
        *self.inside.document.lock().unwrap() = document;
    }

    /// How often it was asked for keys so far.
    pub fn asked(&self) -> usize {
        self.inside.asked.load(Ordering::SeqCst)
    }

    /// How often it was asked for its discovery document so far.
    pub fn documents(&self) -> usize {
        self.inside.documents.load(Ordering::SeqCst)
    }

    /// Settings by which its tokens are taken for every tenant. Times are short, and nothing is refreshed unless a test says so.
    pub fn issuer(&self) -> Issuer {
        Issuer {
            issuer: Some(self.url()),
            audience: Texts(vec!["quipu".into()]),
            tenants: Some(SpokenFor::All),
            fetch_floor: Duration::from_millis(400),
            timeout: Duration::from_millis(1_500),
            ..Issuer::default()
        }
    }

    /// Has a server take its tokens.
    pub fn trusted(&self, change: impl FnOnce(&mut Issuer)) -> impl FnOnce(&mut Config) {
        let mut issuer = self.issuer();
        change(&mut issuer);
        move |config| {
            config.auth_issuers.insert("house".into(), issuer);
        }
    }

    /// Usual claims, good for an hour.
    pub fn claims(&self) -> Value {
        let now = Wall.now_ms() / 1000;
        json!({"iss": self.url(), "aud": ["quipu"], "tenant": "cryox", "sub": "ada", "exp": now + 3600, "iat": now})
    }

    /// A token with those claims.
    pub fn token(&self, pair: Pair, kid: &str) -> String {
        pair.token(kid, &self.claims())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(served) = &self.served {
            served.abort();
        }
    }
}

async fn document(State(inside): State<Arc<Inside>>) -> Response {
    inside.documents.fetch_add(1, Ordering::SeqCst);
    axum::Json(inside.document.lock().unwrap().clone()).into_response()
}

async fn keys(State(inside): State<Arc<Inside>>) -> Response {
    inside.asked.fetch_add(1, Ordering::SeqCst);
    let mood = inside.mood.lock().unwrap().clone();
    match mood {
        Mood::Keys(text) => text.into_response(),
        Mood::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Mood::Silent => std::future::pending().await,
        Mood::Endless => {
            let bits = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 64 << 10])));
            Body::from_stream(bits).into_response()
        }
        Mood::Slow(pause) => Body::from_stream(futures_util::stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        }))
        .into_response(),
        Mood::Redirect(target) => (StatusCode::FOUND, [(LOCATION, target)]).into_response(),
    }
}
