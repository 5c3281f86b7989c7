//! Cookies: those of sessions, as browsers send them and as they are set (RFC 6265bis).

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::auth::{Denied, Tokens};
use crate::config;

/// Names of the cookies of a session. A browser takes those that begin with `__Host-` only from this very host, over TLS, for every path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To ask with.
    Access,
    /// To refresh with.
    Refresh,
}

impl Kind {
    fn name(self, settings: &config::Sessions) -> &'static str {
        match (self, settings.insecure_http) {
            (Self::Access, false) => "__Host-quipu-access",
            (Self::Refresh, false) => "__Host-quipu-refresh",
            (Self::Access, true) => "quipu-access",
            (Self::Refresh, true) => "quipu-refresh",
        }
    }
}

/// The value of a cookie, if it was sent.
///
/// # Errors
/// When it was sent twice: nobody can tell which one was meant.
pub(super) fn value<'a>(
    headers: &'a HeaderMap,
    kind: Kind,
    settings: &config::Sessions,
) -> Result<Option<&'a str>, Denied> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| *name == kind.name(settings)).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Denied::Twice),
        (found, None) => Ok(found.filter(|value| !value.is_empty())),
    }
}

/// The cookies of new tokens, which last for some seconds each.
pub(super) fn set(tokens: &Tokens, seconds: [i64; 2], settings: &config::Sessions) -> [HeaderValue; 2] {
    let [access, refresh] = seconds;
    [line(Kind::Access, &tokens.access, access, settings), line(Kind::Refresh, &tokens.refresh, refresh, settings)]
}

/// Has the browser forget both.
pub(super) fn clear(settings: &config::Sessions) -> [HeaderValue; 2] {
    [Kind::Access, Kind::Refresh].map(|kind| line(kind, "", 0, settings))
}

fn line(kind: Kind, value: &str, seconds: i64, settings: &config::Sessions) -> HeaderValue {
    let secure = if settings.insecure_http { "" } else { "; Secure" };
    let (name, same_site) = (kind.name(settings), settings.same_site.attribute());
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={seconds}{secure}");
    // Names and values are of our own making, and visible ASCII.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SameSite;

    fn sent(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn cookies_are_found_among_others_and_refused_when_there_are_two() {
        let settings = config::Sessions::default();
        let access =
            |lines: &[&'static str]| value(&sent(lines), Kind::Access, &settings).map(|v| v.map(str::to_owned));
        assert_eq!(access(&[]), Ok(None));
        assert_eq!(access(&["a=b; __Host-quipu-access=x.y=z; c=d"]), Ok(Some("x.y=z".into())));
        assert_eq!(access(&["a=b", "__Host-quipu-access=x"]), Ok(Some("x".into())));
        assert_eq!(access(&["__Host-quipu-access="]), Ok(None));
        assert_eq!(access(&["__host-quipu-access=x; quipu-access=x; x__Host-quipu-access=x"]), Ok(None));
        assert_eq!(access(&["__Host-quipu-access=x; __Host-quipu-access=y"]), Err(Denied::Twice));
        assert_eq!(access(&["__Host-quipu-access=x", "__Host-quipu-access=x"]), Err(Denied::Twice));
    }

    #[test]
    fn cookies_are_closed_to_scripts_other_hosts_and_plain_http() {
        let tokens = Tokens { access: "a".into(), refresh: "r".into() };
        let mut settings = config::Sessions::default();
        assert_eq!(
            set(&tokens, [60, 3600], &settings).map(|line| line.to_str().unwrap().to_owned()),
            [
                "__Host-quipu-access=a; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure",
                "__Host-quipu-refresh=r; Path=/; HttpOnly; SameSite=Strict; Max-Age=3600; Secure"
            ]
        );
        (settings.insecure_http, settings.same_site) = (true, SameSite::Lax);
        assert_eq!(clear(&settings)[0], "quipu-access=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }
}
