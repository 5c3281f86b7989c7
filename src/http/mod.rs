//! HTTP: the routes, and what happens to a request before and after the engine has it.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

mod accept;
mod admin;
mod admission;
mod caller;
mod cookies;
mod events;
mod gateway;
mod graphql;
mod health;
mod kind;
mod layers;
mod live;
mod meter;
mod negotiate;
mod operation;
mod origin;
mod outbox;
mod persisted;
pub mod playground;
mod protocol;
mod reply;
mod sessions;
mod sign_in;
mod socket;
mod state;
mod streams;
mod tls;
mod tries;

pub use admin::Administration;
pub use gateway::{Absent, Condition, Gateway, Probe, Readiness, TenantApi};
pub use layers::current_request;
pub use state::{AppState, Parts};
pub use tls::Tls;

use reply::Refusal;

/// Where a server listens.
pub struct Listeners {
    /// For everything.
    pub main: TcpListener,
    /// For the admin API, where that has a place of its own.
    pub admin: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(main: TcpListener) -> Self {
        Self { main, admin: None }
    }
}

/// Serves until `shutdown` is done; then stops to accept, ends streams, and lets requests finish for as long as `server.drain` says.
pub async fn serve(listeners: Listeners, state: Arc<AppState>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    // A task of its own, which ends with the server: it may be busy with a key set while connections are accepted.
    let mut keeping = JoinSet::new();
    let keeper = state.clone();
    keeping.spawn(async move { keeper.authenticator.follow().await });
    if let Some(tls) = &state.tls {
        keeping.spawn(tls.clone().follow(state.config.server.reload));
    }
    let Listeners { main, admin } = listeners;
    let mut stopping = state.stopping.subscribe();
    let apart = admin.is_some();
    let beside = async {
        match admin {
            Some(listener) => {
                let router = framed(&state, admin::routes(&state).fallback(async || Refusal::no_such_path()));
                accept::serve(listener, router, &state, state::stopped(&mut stopping)).await
            }
            None => Ok(()),
        }
    };
    let served = tokio::try_join!(accept::serve(main, router(&state, !apart), &state, shutdown), beside);
    keeping.shutdown().await;
    state.authenticator.finish().await;
    served.map(|_| ())
}

/// What happens around every request, whatever it is for.
fn framed(state: &Arc<AppState>, router: Router) -> Router {
    router.layer(from_fn_with_state(state.clone(), layers::around))
}

/// Every path that is served; with the admin API where that has no place of its own.
fn router(state: &Arc<AppState>, with_admin: bool) -> Router {
    let reads = async || Refusal::method("GET, HEAD");
    let both = async || Refusal::method("GET, HEAD, POST");
    let posts = async || Refusal::method("POST");
    let pages = state.page.clone().map_or_else(Router::new, playground::routes);
    let router = Router::new()
        .route("/graphql", get(graphql::get).post(graphql::post).fallback(both))
        .route("/auth/sign-in", post(sign_in::post).fallback(posts))
        .route("/auth/session", post(sessions::begin).fallback(posts))
        .route("/auth/refresh", post(sessions::refresh).fallback(posts))
        .route("/auth/sign-out", post(sessions::sign_out).fallback(posts))
        .route("/healthz", get(health::alive).fallback(reads))
        .route("/readyz", get(health::ready).fallback(reads))
        .route("/metrics", get(health::metrics).fallback(reads))
        .fallback(async || Refusal::no_such_path())
        .with_state(state.clone())
        .merge(pages);
    let router = match origin::cors(&state.config) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    // Behind that layer: pages of other origins have no business there.
    let router = if with_admin { router.merge(admin::routes(state)) } else { router };
    framed(state, router)
}
