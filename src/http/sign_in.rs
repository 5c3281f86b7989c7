//! `/auth/sign-in`: a session for the name and password of a local user.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::TenantId;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::accept::Connection;
use super::gateway::Absent;
use super::graphql::{bounds, read_body};
use super::reply::Refusal;
use super::state::AppState;
use super::{negotiate, operation, origin, sessions};
use crate::auth::{Denied, Ear, Event, Given, report};
use crate::config::Secret;

/// Bytes of a body.
const LONGEST_BODY: usize = 8 * 1024;
/// Bytes of a user's name.
const LONGEST_NAME: usize = 200;
/// Where proxies say for whom they ask.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who wants to sign in.
struct Wanted {
    tenant: String,
    user: String,
    password: Secret,
}

/// `POST /auth/sign-in`.
pub(super) async fn post(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let signed_in = sign_in(&state, &head, body).await;
    let waits = signed_in.as_ref().is_err_and(|refusal| refusal.status == StatusCode::TOO_MANY_REQUESTS);
    let mut response = sessions::answered(&state, signed_in);
    if waits {
        // The window may end before, but nobody knows when it began.
        let seconds = HeaderValue::from(state.tries.window.as_secs().max(1));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

async fn sign_in(state: &AppState, head: &Head, body: Body) -> Result<Given, Refusal> {
    let deadline = Instant::now() + state.config.server.request_timeout;
    origin::check(head, &state.config)?;
    negotiate::check_body(&head.headers)?;
    let address = address(head, state.config.server.proxies);
    let body = read_body(body, LONGEST_BODY.min(state.config.server.body_bytes.0), deadline).await?;
    let wanted = wanted(operation::read(&body, bounds(state))?)?;
    // A name that none can have is refused like one that nobody has.
    let tenant = TenantId::parse(&wanted.tenant);
    let refused = |cause: &str| {
        let event = Event::SignInRefused(&wanted.user, address, cause);
        if let Some(tenant) = &tenant {
            report(tenant, event);
        }
        let is_there = |tenant: &&TenantId| !matches!(state.gateway.api(tenant), Err(Absent::Unknown));
        match (&state.watching, tenant.as_ref().filter(is_there)) {
            (Some(watching), Some(tenant)) => watching.hear(tenant, event),
            (Some(watching), None) => watching.credentials_refused(cause),
            (None, _) => {}
        }
    };
    if let Some(address) = address
        && !state.tries.by_address(address).await
    {
        refused("too many tries from this address");
        return Err(too_many());
    }
    if let Some(tenant) = &tenant
        && !state.tries.by_account(tenant, &wanted.user).await
    {
        refused("too many tries for this account");
        return Err(too_many());
    }
    let open = |tenant: &TenantId| state.open(tenant);
    let signed_in = state.authenticator.sign_in(tenant.as_ref(), &wanted.user, wanted.password.clone(), &open).await;
    signed_in.map_err(|denied| match denied {
        Denied::WrongPassword => {
            refused("wrong name or password");
            let message = "tenant, user or password is not right";
            state.metrics.refused(Code::Unauthenticated.as_str());
            Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated.as_str(), message)
        }
        denied => {
            if matches!(denied, Denied::Suspended) {
                refused("the tenant is suspended");
            }
            state.refused(denied)
        }
    })
}

fn too_many() -> Refusal {
    let message = "too many tries to sign in; wait, or ask whoever runs this gateway (passwords.window)";
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyTries.as_str(), message)
}

/// Takes what has to be there, as text.
fn wanted(body: Value) -> Result<Wanted, Refusal> {
    let Value::Object(mut members) = body else {
        return Err(Refusal::bad_request("the body must be a JSON object with `tenant`, `user` and `password`"));
    };
    let tenant = text(&mut members, "tenant", LONGEST_NAME)?;
    let user = text(&mut members, "user", LONGEST_NAME)?;
    let password = Secret::new(text(&mut members, "password", crate::auth::LONGEST_PASSWORD)?);
    Ok(Wanted { tenant, user, password })
}

fn text(members: &mut Map<String, Value>, name: &str, longest: usize) -> Result<String, Refusal> {
    match members.remove(name) {
        Some(Value::String(text)) if text.len() <= longest => Ok(text),
        Some(Value::String(_)) => Err(Refusal::bad_request(format!("`{name}` has at most {longest} bytes"))),
        _ => Err(Refusal::bad_request(format!("`{name}` must be there, as text"))),
    }
}

/// The address of whoever asks: the other end of the connection, or, behind that many proxies of our own, what the outermost of them
/// saw. What stands before that in the header anybody can write.
fn address(head: &Head, proxies: usize) -> Option<IpAddr> {
    let peer = head.extensions.get::<Connection>().map(|connection| connection.peer);
    let forwarded = proxies.checked_sub(1).and_then(|back| forwarded(&head.headers, back));
    forwarded.or(peer)
}

fn forwarded(headers: &HeaderMap, back: usize) -> Option<IpAddr> {
    let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
    let named: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    named.iter().rev().nth(back)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_proxies_of_our_own_wrote_is_believed() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_static("1.1.1.1, 2.2.2.2"));
        headers.append(FORWARDED_FOR, HeaderValue::from_static("2001:db8::1"));
        let at = |back| forwarded(&headers, back).map(|address| address.to_string());
        assert_eq!(at(0).as_deref(), Some("2001:db8::1"));
        assert_eq!(at(1).as_deref(), Some("2.2.2.2"));
        assert_eq!(at(3), None);
        assert_eq!(forwarded(&HeaderMap::new(), 0), None);
    }

    #[test]
    fn all_three_have_to_be_there_as_text() {
        use serde_json::json;
        assert!(wanted(json!({"tenant": "a", "user": "b", "password": "c", "more": 1})).is_ok());
        for bad in
            [json!([]), json!({"tenant": "a", "user": "b"}), json!({"tenant": "a", "user": ["b"], "password": "c"})]
        {
            assert_eq!(wanted(bad).err().map(|refusal| refusal.status), Some(StatusCode::BAD_REQUEST));
        }
        let long = json!({"tenant": "a", "user": "b", "password": "x".repeat(5_000)});
        assert!(wanted(long).is_err_and(|refusal| refusal.message.contains("1024")));
    }
}
