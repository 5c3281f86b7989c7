//! What happens around every request: its id, its line in the log, its headers, and what remains of a panic.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;
use ulid::Ulid;

use super::reply::Refusal;
use super::state::AppState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_ID: usize = 128;

tokio::task_local! {
    /// The request that the present task works on.
    static REQUEST: Arc<str>;
}

/// Names the request that the present task works on, if it works on one.
pub fn current_request() -> Option<Arc<str>> {
    REQUEST.try_with(Arc::clone).ok()
}

/// Runs work as part of a request.
pub(super) async fn within<T>(id: Arc<str>, work: impl Future<Output = T>) -> T {
    REQUEST.scope(id, work).await
}

/// Names a request in the log and to the client.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub Arc<str>);

/// Set on every response that does not set them itself.
const HEADERS: [(HeaderName, &str); 7] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (CACHE_CONTROL, "no-store"),
];

/// The outermost layer.
pub(super) async fn around(State(state): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    let id = request_id(&request).unwrap_or_else(|| fresh_id(&state));
    let (method, path) = (request.method(), request.uri().path());
    let span = tracing::info_span!("request", id = &*id, %method, path, tenant = tracing::field::Empty);
    request.extensions_mut().insert(RequestId(id.clone()));
    let began = Instant::now();
    let work = async {
        // the panic itself is logged where it happens, in this span
        let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let response = response.unwrap_or_else(|_| Refusal::internal(&id).into_response());
        let took_ms = began.elapsed().as_micros() as f64 / 1000.0;
        tracing::info!(status = response.status().as_u16(), took_ms, "answered");
        response
    };
    let mut response = within(id.clone(), work.instrument(span)).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Some(value) = &state.transport_security {
        headers.insert(STRICT_TRANSPORT_SECURITY, value.clone());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The id that the client gave, if it can be repeated in headers and logs without harm.
fn request_id(request: &Request) -> Option<Arc<str>> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (!id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(plain)).then(|| id.into())
}

/// An id in the order of time.
pub(super) fn fresh_id(state: &AppState) -> Arc<str> {
    let now = u64::try_from(state.clock.now_ms()).unwrap_or(0);
    Ulid::from_parts(now, rand::random()).to_string().into()
}
