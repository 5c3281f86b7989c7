//! Where a request comes from: which pages of which origins may use cookies, and read answers at all (CSRF and CORS).
//!
//! A browser sends cookies along whoever asks. So whoever comes with one has to show that it is a page that may: by a header that no
//! foreign page can set without being asked about in a preflight, and by the origin that the browser names.

use std::time::Duration;

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use axum::http::request::Parts as Head;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use quipu_resolvers::fault::Code;
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};

use super::reply::Refusal;
use crate::config::Config;

/// Says that a page may set headers here. Its value does not matter.
pub(super) const CSRF: HeaderName = HeaderName::from_static("quipu-csrf");
/// How long a browser may remember what a preflight said.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Whether a request that uses cookies, or is answered with some, was sent by a page that may.
///
/// # Errors
/// `FORBIDDEN`, with what is missing.
pub(super) fn check(head: &Head, config: &Config) -> Result<(), Refusal> {
    let refused = |message| Err(Refusal::new(StatusCode::FORBIDDEN, Code::Forbidden.as_str(), message));
    if !head.headers.contains_key(CSRF) {
        return refused("a request with cookies needs the header `Quipu-Csrf: 1`, which other sites cannot send");
    }
    if head.headers.contains_key(ORIGIN) && !is_of_an_allowed_page(head, config) {
        return refused("pages of this origin may not use cookies here (server.cors_origins)");
    }
    Ok(())
}

/// Whether the request names one origin, and it is the server's own or on the list.
pub(super) fn is_of_an_allowed_page(head: &Head, config: &Config) -> bool {
    let mut origins = head.headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
    let Ok(origin) = origin.to_str() else { return false };
    config.server.cors_origins.includes(origin) || is_own(head, origin, config.sessions.insecure_http)
}

/// Whether an origin is the host that was asked. Over plain HTTP only where cookies are taken over it.
fn is_own(head: &Head, origin: &str, insecure_http: bool) -> bool {
    let authority = match origin.split_once("://") {
        Some(("https", authority)) => authority,
        Some(("http", authority)) if insecure_http => authority,
        _ => return false,
    };
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| head.uri.authority().map(|authority| authority.as_str()));
    let without_port = |text: &str| text.strip_suffix(":443").or(text.strip_suffix(":80")).unwrap_or(text).to_owned();
    host.is_some_and(|host| without_port(host).eq_ignore_ascii_case(&without_port(authority)))
}

/// Answers preflights, and says in every answer whether the page that asked may read it; nothing at all where no origin is on the list.
pub(super) fn cors(config: &Config) -> Option<CorsLayer> {
    let origins = config.server.cors_origins.clone();
    if origins.is_empty() {
        return None;
    }
    let listed = move |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| origins.includes(origin));
    let sent = ["quipu-position", "idempotency-key", "x-request-id"].map(HeaderName::from_static);
    let read = ["quipu-position", "x-request-id"].map(HeaderName::from_static);
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate({
                let listed = listed.clone();
                move |origin, _| listed(origin)
            }))
            .allow_credentials(AllowCredentials::predicate(move |origin, _| listed(origin)))
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE, CSRF].into_iter().chain(sent).collect::<Vec<_>>())
            .expose_headers([RETRY_AFTER].into_iter().chain(read).collect::<Vec<_>>())
            .max_age(REMEMBERED),
    )
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::config::Origins;

    fn head(headers: &[(&str, &str)]) -> Head {
        let mut request = Request::builder().uri("/graphql");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn pages_of_this_host_and_of_the_list_may_use_cookies() {
        let mut config = Config::default();
        config.server.cors_origins = Origins::parse(&["https://app.example"]).unwrap();
        let allowed = |origin: &str, config: &Config| {
            let head = head(&[("host", "api.example"), ("origin", origin), ("quipu-csrf", "1")]);
            assert_eq!(check(&head, config).is_ok(), is_of_an_allowed_page(&head, config));
            is_of_an_allowed_page(&head, config)
        };
        for origin in ["https://api.example", "https://API.example:443", "https://app.example"] {
            assert!(allowed(origin, &config), "{origin}");
        }
        for origin in [
            "http://api.example",
            "http://app.example",
            "https://app.example.evil.example",
            "https://evil.example",
            "https://api.example:8443",
            "https://api.example@evil.example",
            "https://sub.app.example",
            "null",
            "",
            "api.example",
        ] {
            assert!(!allowed(origin, &config), "{origin}");
        }
        config.sessions.insecure_http = true;
        assert!(allowed("http://api.example", &config) && !allowed("http://app.example", &config));
    }

    #[test]
    fn without_the_header_or_with_two_origins_nothing_is_taken() {
        let config = Config::default();
        let own = ("origin", "https://api.example");
        assert!(check(&head(&[("host", "api.example"), own]), &config).is_err());
        assert!(check(&head(&[("host", "api.example"), ("quipu-csrf", "1")]), &config).is_ok(), "no browser");
        assert!(check(&head(&[("host", "api.example"), own, own, ("quipu-csrf", "1")]), &config).is_err());
        assert!(!is_of_an_allowed_page(&head(&[("host", "api.example")]), &config), "a WebSocket has to name one");
    }
}
