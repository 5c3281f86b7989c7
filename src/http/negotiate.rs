//! Which media type an answer has, and whether a body is of one that is read (RFC 9110 section 12, GraphQL over HTTP).

use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use quipu_resolvers::fault::Code;

use super::reply::{GRAPHQL, JSON, Refusal};

/// How the client wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// `application/graphql-response+json`: the status tells what became of the request.
    Graphql,
    /// `application/json`, asked for by name: the status is 200 for whatever is wrong with a document, as older clients expect.
    Json,
    /// Whatever we like: JSON for the widest understanding, the status as with `Graphql`.
    Any,
    /// `text/event-stream`.
    Events,
}

impl Reply {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Graphql => GRAPHQL,
            Self::Json | Self::Any | Self::Events => JSON,
        }
    }

    /// The status of a response in which nothing was executed.
    pub fn status(self, code: Code) -> StatusCode {
        match (self, code.status()) {
            (Self::Json, 400) => StatusCode::OK,
            (_, status) => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// What fits the `Accept` headers best: the highest weight, then the most specific, then the first.
pub(super) fn reply(headers: &HeaderMap) -> Result<Reply, Refusal> {
    if !headers.contains_key(ACCEPT) {
        return Ok(Reply::Any);
    }
    let mut best: Option<((u16, u8), Reply)> = None;
    for (range, weight) in list(headers, &ACCEPT).filter_map(weighted).filter(|(_, weight)| *weight > 0) {
        let (reply, specific) = match range.as_str() {
            "application/graphql-response+json" => (Reply::Graphql, 2),
            "application/json" => (Reply::Json, 2),
            "text/event-stream" => (Reply::Events, 2),
            "application/*" => (Reply::Any, 1),
            "*/*" => (Reply::Any, 0),
            _ => continue,
        };
        let rank = (weight, specific);
        if best.is_none_or(|(other, _)| rank > other) {
            best = Some((rank, reply));
        }
    }
    best.map(|(_, reply)| reply).ok_or_else(|| {
        let message = "answers are application/graphql-response+json, application/json or text/event-stream";
        Refusal::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message)
    })
}

/// Refuses bodies that a browser would send for any page without asking (CSRF), and compressed ones.
pub(super) fn check_body(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported =
        |message| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let json = match (types.next().map(|value| value.to_str()), types.next()) {
        (Some(Ok(media_type)), None) => is_json(media_type),
        _ => false,
    };
    if !json {
        return unsupported("the body must be JSON in UTF-8: send `Content-Type: application/json`");
    }
    if list(headers, &CONTENT_ENCODING).any(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return unsupported("compressed bodies are not read");
    }
    Ok(())
}

fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        && parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

/// The items of a header that is a list, over all its lines.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

/// A media range in lower case and its weight in thousandths. What cannot be read counts as not there.
fn weighted(item: &str) -> Option<(String, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let range = parts.next()?.to_ascii_lowercase();
    let weight = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then_some(value.trim())
    });
    let weight = match weight {
        None => 1.0,
        Some(text) => text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight))?,
    };
    Some((range, (weight * 1000.0) as u16))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_best_media_type_is_chosen() {
        let expect: [(&[&str], Option<Reply>); 15] = [
            (&[], Some(Reply::Any)),
            (&["*/*"], Some(Reply::Any)),
            (&["application/*"], Some(Reply::Any)),
            (&["application/json"], Some(Reply::Json)),
            (&["application/graphql-response+json"], Some(Reply::Graphql)),
            (&["application/graphql-response+json, application/json;q=0.9"], Some(Reply::Graphql)),
            (
                &["application/json; q=0.5, application/graphql-response+json; charset=utf-8; q=0.9"],
                Some(Reply::Graphql),
            ),
            (&["application/json", "application/graphql-response+json"], Some(Reply::Json)),
            (&["*/*, application/json"], Some(Reply::Json)),
            (&["text/html, application/xhtml+xml, */*;q=0.8"], Some(Reply::Any)),
            (&["text/event-stream"], Some(Reply::Events)),
            (&["TEXT/EVENT-STREAM;q=0.4, application/json;q=0.3"], Some(Reply::Events)),
            (&["application/json;q=0, text/html"], None),
            (&["image/png"], None),
            (&["application/json;q=nonsense"], None),
        ];
        for (accept, reply_or_none) in expect {
            assert_eq!(reply(&headers(&ACCEPT, accept)).ok(), reply_or_none, "{accept:?}");
        }
    }

    #[test]
    fn hostile_18_bodies_of_other_types_are_refused() {
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
            assert!(check_body(&headers(&CONTENT_TYPE, &[good])).is_ok(), "{good}");
        }
        let bad: [&[&str]; 8] = [
            &[],
            &["text/plain"],
            &["application/x-www-form-urlencoded"],
            &["multipart/form-data; boundary=x"],
            &["text/plain; application/json"],
            &["application/json; charset=utf-16"],
            &["application/jsonp"],
            &["application/json", "text/plain"],
        ];
        for bad in bad {
            let refusal = check_body(&headers(&CONTENT_TYPE, bad)).unwrap_err();
            assert_eq!(refusal.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{bad:?}");
        }
    }

    #[test]
    fn hostile_20_compressed_bodies_are_refused() {
        let mut both = headers(&CONTENT_TYPE, &["application/json"]);
        both.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(check_body(&both).unwrap_err().status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        both.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
        assert!(check_body(&both).is_ok());
    }
}
