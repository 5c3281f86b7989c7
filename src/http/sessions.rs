//! `/auth/session`, `/auth/refresh`, `/auth/sign-out`: sessions in cookies, for pages that should hold no token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts as Head;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::value::scalar;
use serde_json::json;
use tokio::time::Instant;

use super::caller::Caller;
use super::cookies::{self, Kind};
use super::origin;
use super::reply::{JSON, Refusal};
use super::state::AppState;
use crate::auth::{self, Denied, Given, Proof, Verified};

/// `POST /auth/session`: a token or a key, exchanged for a session.
pub(super) async fn begin(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let begun = async {
        origin::check(&head, &state.config)?;
        let _place = state.admission.enter_unknown(Instant::now() + state.config.server.request_timeout).await?;
        let caller = state.caller(auth::bearer_of(&head.headers).map(Proof::Bearer)).await?;
        let Caller { principal, expires_ms, source, .. } = caller;
        let begun = state.authenticator.begin_session(&Verified { principal, expires_ms, source }).await;
        begun.map_err(|denied| state.refused(denied))
    };
    answered(&state, begun.await)
}

/// `POST /auth/refresh`: new tokens for the one in the cookie.
pub(super) async fn refresh(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let refreshed = async {
        origin::check(&head, &state.config)?;
        let _place = state.admission.enter_unknown(Instant::now() + state.config.server.request_timeout).await?;
        let token = cookies::value(&head.headers, Kind::Refresh, &state.config.sessions);
        let refreshed = match token {
            Ok(Some(token)) => {
                state.authenticator.refresh_session(token, &|tenant: &TenantId| state.open(tenant)).await
            }
            Ok(None) => Err(Denied::Missing),
            Err(denied) => Err(denied),
        };
        refreshed.map_err(|denied| state.refused(denied))
    };
    let refreshed = refreshed.await;
    let is_over = refreshed.as_ref().is_err_and(|refusal| refusal.status == StatusCode::UNAUTHORIZED);
    let mut response = answered(&state, refreshed);
    if is_over {
        set_cookies(&mut response, cookies::clear(&state.config.sessions));
    }
    response
}

/// `POST /auth/sign-out`: the session of the cookies ends, if there is one; the browser forgets them in any case.
pub(super) async fn sign_out(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    match signed_out(&state, &head).await {
        Ok(()) => {
            let mut response = written(&json!({"signedOut": true}));
            set_cookies(&mut response, cookies::clear(&state.config.sessions));
            response
        }
        Err(refusal) => answered(&state, Err(refusal)),
    }
}

async fn signed_out(state: &AppState, head: &Head) -> Result<(), Refusal> {
    origin::check(head, &state.config)?;
    let [access, refresh] = [Kind::Access, Kind::Refresh]
        .map(|kind| cookies::value(&head.headers, kind, &state.config.sessions).ok().flatten());
    state.authenticator.end_session(access, refresh).await.map_err(|denied| state.refused(denied))
}

/// What a page may know of its session, with the cookies of new tokens.
pub(super) fn answered(state: &AppState, outcome: Result<Given, Refusal>) -> Response {
    let given = match outcome {
        Ok(given) => given,
        Err(refusal) => {
            if refusal.status != StatusCode::UNAUTHORIZED {
                // those are counted where they are found
                state.metrics.refused(refusal.code);
            }
            return refusal.into_response();
        }
    };
    let Given { principal, tokens, access_ends_ms, refresh_ends_ms, ends_ms } = given;
    let mut response = written(&json!({
        "tenant": principal.tenant.as_str(),
        "subject": principal.subject,
        "roles": principal.claims["roles"],
        "accessEnds": scalar::stamp_ms(access_ends_ms),
        "refreshEnds": scalar::stamp_ms(refresh_ends_ms),
        "ends": scalar::stamp_ms(ends_ms),
    }));
    if let Some(tokens) = tokens {
        let now = state.clock.now_ms();
        let seconds = [access_ends_ms, refresh_ends_ms].map(|ends| ends.saturating_sub(now).max(0) / 1000);
        set_cookies(&mut response, cookies::set(&tokens, seconds, &state.config.sessions));
    }
    response
}

fn written(body: &serde_json::Value) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(JSON))], body.to_string()).into_response()
}

fn set_cookies(response: &mut Response, cookies: [HeaderValue; 2]) {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}
