//! The analysts' page: GraphiQL, built by npm into `playground/dist` and embedded into the binary, with the configuration it asks for.
//!
//! A debug build reads the files from the source tree at every request; a release build holds them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use rust_embed::RustEmbed;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the page may load and do. Two exceptions, both for the editor (Monaco): it makes style sheets and style attributes at run
/// time (`style-src 'unsafe-inline'`), and its style sheets hold small pictures (`img-src data:`).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const NOT_BUILT: &str = "<!doctype html><meta charset=\"utf-8\"><title>Quipu playground</title>\
     <h1>The page was not built</h1><p>Run <code>make playground</code>, then build the server again.</p>";

#[derive(RustEmbed)]
#[folder = "playground/dist/"]
struct Page;

#[derive(RustEmbed)]
#[folder = "playground/examples/"]
struct ExampleFiles;

/// What the page is told about the server it talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaygroundConfig {
    /// Tenants whose tokens are given to everyone who opens the page. Only for a demo; otherwise empty.
    pub tenants: Vec<DemoTenant>,
    /// Path of the GraphQL endpoint on the same origin, as `/graphql`.
    pub endpoint: String,
    /// In production neither tokens nor the demo's examples are given away, whatever `tenants` holds.
    pub production: bool,
}

/// A tenant of the demo, as the page's menu offers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoTenant {
    /// The tenant's name; it also names the folder of its example queries.
    pub name: String,
    /// A token for it, without the word `Bearer`.
    pub token: String,
}

/// `config.json`, as `playground/src/config.ts` reads it.
#[derive(Serialize)]
struct Told<'a> {
    endpoint: &'a str,
    tenants: &'a [DemoTenant],
    examples: BTreeMap<String, Vec<Example>>,
    production: bool,
}

#[derive(Debug, PartialEq, Serialize)]
struct Example {
    title: String,
    query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variables: Option<Value>,
}

/// The routes of the page: `/playground`, everything below it, and `/playground/config.json`. All answers carry the page's security
/// headers. Without a built page they answer 503 and say how to build it.
pub fn routes(config: PlaygroundConfig) -> Router {
    let shown = !config.production;
    let told = Told {
        endpoint: &config.endpoint,
        tenants: if shown { &config.tenants } else { &[] },
        examples: if shown { examples() } else { BTreeMap::new() },
        production: config.production,
    };
    let told = serde_json::to_vec(&told).expect("text and JSON values serialise");
    Router::new()
        .route("/playground", get(index))
        .route("/playground/", get(index))
        .route("/playground/config.json", get(configuration))
        .route("/playground/{*path}", get(asset))
        .with_state(Bytes::from(told))
        .layer(map_response(secure))
}

async fn secure(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn configuration(State(told): State<Bytes>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, told).into_response()
}

async fn index(headers: HeaderMap) -> Response {
    page(embedded, &headers)
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    file(embedded, &path, &headers).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// A file of the page with the hash of its content.
struct File {
    bytes: Bytes,
    hash: [u8; 32],
}

fn embedded(path: &str) -> Option<File> {
    let file = Page::get(path)?;
    let bytes = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some(File { bytes, hash: file.metadata.sha256_hash() })
}

fn page(look_up: impl Fn(&str) -> Option<File>, headers: &HeaderMap) -> Response {
    let not_built =
        || (StatusCode::SERVICE_UNAVAILABLE, [(header::CACHE_CONTROL, "no-store")], Html(NOT_BUILT)).into_response();
    file(look_up, "index.html", headers).unwrap_or_else(not_built)
}

/// Answers one file: compressed where the build has left it so and the client takes it, and not at all where the client has it.
fn file(look_up: impl Fn(&str) -> Option<File>, path: &str, headers: &HeaderMap) -> Option<Response> {
    // Only the file that is sent is looked up: a debug build reads and hashes it each time.
    let small = if accepts_gzip(headers) { look_up(&format!("{path}.gz")) } else { None };
    let encoding = small.is_some().then_some((header::CONTENT_ENCODING, "gzip"));
    let File { bytes, hash } = match small {
        Some(small) => small,
        None => look_up(path)?,
    };
    let etag = etag(&hash);
    let found = has(headers, &etag);
    // The build names everything in `assets` by its content.
    let caching = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if found { StatusCode::NOT_MODIFIED.into_response() } else { bytes.into_response() };
    let common = [
        (header::CACHE_CONTROL, caching),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_TYPE, content_type(path)),
    ];
    for (name, value) in common.into_iter().chain(encoding) {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Some(response)
}

fn etag(hash: &[u8; 32]) -> String {
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn has(headers: &HeaderMap, etag: &str) -> bool {
    words(headers, header::IF_NONE_MATCH).any(|known| known == "*" || known.trim_start_matches("W/") == etag)
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    words(headers, header::ACCEPT_ENCODING).any(|word| {
        let (coding, weight) = word.split_once(';').unwrap_or((word, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// The comma-separated words of a header that may come more than once.
fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        Some("md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Reads the example queries: `<tenant>/<name>.graphql`, in the order of the names, with variables in `<name>.json`.
fn examples() -> BTreeMap<String, Vec<Example>> {
    let mut paths: Vec<_> = ExampleFiles::iter().collect();
    paths.sort_unstable();
    let mut examples: BTreeMap<String, Vec<Example>> = BTreeMap::new();
    for path in paths {
        let Some((tenant, name)) = path.strip_suffix(".graphql").and_then(|stem| stem.split_once('/')) else {
            continue;
        };
        let Some(text) = ExampleFiles::get(&path) else {
            continue;
        };
        let variables = ExampleFiles::get(&format!("{tenant}/{name}.json")).map(|file| file.data);
        let example = read_example(name, &String::from_utf8_lossy(&text.data), variables.as_deref());
        examples.entry(tenant.to_owned()).or_default().push(example);
    }
    examples
}

/// Splits an example into its title, the `# ...` of its first line, and its query. Variables that are not JSON are left out with a
/// warning: the files are the project's own, and a test reads them all.
fn read_example(name: &str, text: &str, variables: Option<&[u8]>) -> Example {
    let (title, query) = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with('#') => (first.trim_start_matches('#').trim(), rest),
        _ => (name, text),
    };
    let variables = variables.and_then(|json| {
        serde_json::from_slice(json)
            .inspect_err(|error| tracing::warn!(example = name, %error, "variables are not JSON"))
            .ok()
    });
    Example { title: title.to_owned(), query: format!("{}\n", query.trim()), variables }
}

#[cfg(test)]
mod tests;
