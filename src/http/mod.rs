//! HTTP: the routes, and what happens to a request before and after the engine has it.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

mod accept;
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

pub use gateway::{Absent, Condition, Gateway, Probe, Readiness, TenantApi};
pub use layers::current_request;
pub use state::{AppState, Parts};
pub use tls::Tls;

use reply::Refusal;

/// Serves until `shutdown` is done; then stops to accept, ends streams, and lets requests finish for as long as `server.drain` says.
pub async fn serve(listener: TcpListener, state: Arc<AppState>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let router = router(&state);
    // A task of its own, which ends with the server: it may be busy with a key set while connections are accepted.
    let mut keeping = JoinSet::new();
    let keeper = state.clone();
    keeping.spawn(async move { keeper.authenticator.follow().await });
    if let Some(tls) = &state.tls {
        keeping.spawn(tls.clone().follow(state.config.server.reload));
    }
    let served = accept::serve(listener, router, &state, shutdown).await;
    keeping.shutdown().await;
    state.authenticator.finish().await;
    served
}

/// Every path that is served.
fn router(state: &Arc<AppState>) -> Router {
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
    router.layer(from_fn_with_state(state.clone(), layers::around))
}
