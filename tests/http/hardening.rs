//! What every answer and every connection has, whoever asks for what.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use quipu::config::Mode;
use reqwest::header::ACCEPT;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::server::{Server, start, start_config};

/// On every answer; the page has a policy of its own.
const HEADERS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_browsers_in_bounds() {
    let server = start().await;
    let production = start_config(|config| config.server.mode = Mode::Production).await;
    let get = |server: &Server, path: &str| server.client.get(server.url(path));
    let post = |query: &str| server.post().json(&json!({"query": query}));
    for (request, status) in [
        (post("{a}"), 200),
        (post("{partial}"), 200),
        (server.get("{a}"), 200),
        (post("subscription {ticks}").header(ACCEPT, "text/event-stream"), 200),
        (post("{GRAPHQL_PARSE_FAILED}"), 400),
        (server.client.post(server.url("/graphql")).json(&json!({"query": "{a}"})), 401),
        (post("{FORBIDDEN}"), 403),
        (get(&server, "/nothing"), 404),
        (server.get("mutation {a}"), 405),
        (post("{a}").header(ACCEPT, "text/html"), 406),
        (server.post().body("a=b").header("content-type", "application/x-www-form-urlencoded"), 415),
        (post("{panic}"), 500),
        (post("{STORE_UNAVAILABLE}"), 503),
        (get(&server, "/healthz"), 200),
        (get(&server, "/readyz"), 200),
        (get(&server, "/metrics"), 200),
        (get(&server, "/playground"), 200),
        (get(&server, "/playground/config.json"), 200),
        (get(&server, "/playground/nothing"), 404),
        (get(&production, "/playground"), 404),
    ] {
        let response = request.send().await.unwrap();
        let headers = response.headers();
        // Without a page that was built it says so.
        let is_page = response.url().path() == "/playground" && response.status() == 503;
        assert!(response.status() == status || is_page, "{response:?}");
        for (name, value) in HEADERS {
            assert_eq!(headers.get(name).map(|value| value.to_str().unwrap()), Some(value), "{name}: {response:?}");
        }
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe-eval") && !policy.contains('*'), "{policy}");
        assert_eq!(headers.get_all("content-security-policy").iter().count(), 1);
        assert!(!headers.contains_key("server") && !headers.contains_key("x-powered-by"), "{response:?}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{response:?}");
        assert!(headers.contains_key("x-request-id"), "{response:?}");
    }
}

async fn http_2(server: &Server) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, speaking) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(speaking))
}

/// It answers every sign of life, so by that alone it could keep its place for ever.
#[tokio::test]
async fn hostile_24_a_connection_over_http_2_without_requests_is_closed() {
    let server = start_config(|config| config.server.header_timeout = Duration::from_millis(300)).await;
    let (sender, speaking) = http_2(&server).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), speaking).await;
    assert!(ended.is_ok(), "an idle connection ends");
    drop(sender);
    // One over which something is asked now and then stays, and one whose answer goes on.
    let (mut sender, speaking) = http_2(&server).await;
    for _ in 0..8 {
        let request = hyper::Request::get(server.url("/healthz")).body(Body::empty()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let request = hyper::Request::post(server.url("/graphql"))
        .header("authorization", format!("Bearer {}", server.token("library")))
        .header("accept", "text/event-stream")
        .header("content-type", "application/json")
        .body(Body::from(json!({"query": "subscription {forever}"}).to_string()));
    let mut events = sender.send_request(request.unwrap()).await.unwrap().into_body();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!speaking.is_finished(), "a stream is no idleness");
    assert!(events.frame().await.unwrap().is_ok());
    drop(events);
    assert!(tokio::time::timeout(Duration::from_secs(20), speaking).await.is_ok(), "and it ends when that ends");
    server.idle().await;
}

/// A body over HTTP/2 that never ends has its own time, whatever signs of life the connection gives.
#[tokio::test]
async fn hostile_24_a_slow_body_over_http_2_ends() {
    let server = start_config(|config| config.server.request_timeout = Duration::from_millis(400)).await;
    let (mut sender, _speaking) = http_2(&server).await;
    let drops = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok::<_, std::io::Error>(" "), ()))
    });
    let request = hyper::Request::post(server.url("/graphql"))
        .header("authorization", format!("Bearer {}", server.token("library")))
        .header("content-type", "application/json")
        .body(Body::from_stream(drops));
    let answer = tokio::time::timeout(Duration::from_secs(20), sender.send_request(request.unwrap())).await;
    assert_eq!(answer.unwrap().unwrap().status(), 408);
    assert_eq!(server.ask("{a}").await.status(), 200);
}

/// A request that opens a hundred thousand streams and takes each back at once.
#[tokio::test]
async fn a_flood_of_streams_that_are_taken_back_ends_the_connection_alone() {
    let server = start().await;
    let (mut sender, speaking) = http_2(&server).await;
    for _ in 0..20_000 {
        let request = hyper::Request::get(server.url("/healthz")).body(Body::empty()).unwrap();
        if sender.ready().await.is_err() {
            break;
        }
        // Polled once, so that it is sent, and dropped, which resets the stream.
        let mut asked = Box::pin(sender.send_request(request));
        let _ = futures_util::poll!(&mut asked);
    }
    drop(sender);
    let _ = tokio::time::timeout(Duration::from_secs(20), speaking).await;
    assert_eq!(server.ask("{a}").await.status(), 200, "and the server lives");
}
