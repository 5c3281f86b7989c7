//! Attacks on HTTP, by their numbers.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::{Server, refusal, start, start_config};

async fn post_raw(server: &Server, media_type: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let request = server.post().header(CONTENT_TYPE, media_type).body(body);
    refusal(request.send().await.unwrap()).await
}

#[tokio::test]
async fn hostile_18_a_form_cannot_write() {
    let server = start().await;
    let unsupported = (415, "UNSUPPORTED_MEDIA_TYPE".to_owned());
    let json = r#"{"query":"mutation {a}"}"#;
    assert_eq!(post_raw(&server, "text/plain", json).await, unsupported);
    assert_eq!(post_raw(&server, "application/x-www-form-urlencoded", "query=mutation%20%7Ba%7D").await, unsupported);
    let multipart = format!("--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{json}\r\n--x--\r\n");
    assert_eq!(post_raw(&server, "multipart/form-data; boundary=x", multipart).await, unsupported);
    let untyped = server.post().body(json).send().await.unwrap();
    assert_eq!(refusal(untyped).await, unsupported);
    assert!(server.asked().is_empty(), "nothing reached the engine");
}

#[tokio::test]
async fn hostile_19_a_body_of_20_mb_is_refused() {
    let server = start().await;
    let body = format!(r#"{{"query":"{{a}}","pad":"{}"}}"#, "x".repeat(20 << 20));
    let began = Instant::now();
    assert_eq!(post_raw(&server, "application/json", body.clone()).await, (413, "BODY_TOO_LARGE".into()));
    assert!(began.elapsed() < Duration::from_secs(20));
    // without a length said beforehand
    let chunks =
        body.into_bytes().chunks(64 << 10).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    assert_eq!(post_raw(&server, "application/json", stream).await, (413, "BODY_TOO_LARGE".into()));
    assert_eq!(server.ask("{a}").await.status(), 200, "and the server lives");
}

#[tokio::test]
async fn hostile_20_a_compressed_body_is_not_read() {
    let server = start().await;
    let request = server.post().header("content-encoding", "gzip").json(&json!({"query": "{a}"}));
    assert_eq!(refusal(request.send().await.unwrap()).await, (415, "UNSUPPORTED_MEDIA_TYPE".into()));
}

#[tokio::test]
async fn hostile_21_a_batch_of_10_000_is_refused() {
    let server = start().await;
    let body = format!("[{}]", vec![r#"{"query":"{a}"}"#; 10_000].join(","));
    assert_eq!(post_raw(&server, "application/json", body).await, (400, "BATCH_TOO_LARGE".into()));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn hostile_22_a_key_twice_is_refused() {
    let server = start().await;
    for body in [
        r#"{"query":"{a}","query":"mutation {b}"}"#,
        r#"{"query":"{a}","variables":{"tenant":"library","tenant":"cryox"}}"#,
        r#"[{"query":"{a}","\u0071uery":"{b}"}]"#,
    ] {
        assert_eq!(post_raw(&server, "application/json", body).await, (400, "BAD_REQUEST".into()), "{body}");
    }
    let url = server.get("{a}").query(&[("query", "{b}")]);
    assert_eq!(refusal(url.send().await.unwrap()).await, (400, "BAD_REQUEST".into()));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn hostile_23_deep_json_is_refused() {
    let server = start().await;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let body = format!(r#"{{"query":"{{a}}","variables":{{"x":{deep}}}}}"#);
    assert_eq!(post_raw(&server, "application/json", body).await, (400, "NESTING_TOO_DEEP".into()));
    let url = server.get("{a}").query(&[("variables", format!(r#"{{"x":{deep}}}"#))]);
    assert_eq!(refusal(url.send().await.unwrap()).await, (400, "NESTING_TOO_DEEP".into()));
    let deeper = "{\"a\":".repeat(150_000);
    assert_eq!(post_raw(&server, "application/json", deeper).await, (400, "NESTING_TOO_DEEP".into()));
}

/// Sends bytes slowly, and returns what came back until the connection was closed.
async fn drip(server: &Server, head: &str, drop: &[u8], pause: Duration) -> (String, Duration) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let drop = drop.to_vec();
    let dripping = tokio::spawn(async move {
        while !drop.is_empty() && writer.write_all(&drop).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
        std::future::pending::<()>().await;
    });
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), reader.read_to_end(&mut answer)).await;
    dripping.abort();
    assert!(closed.is_ok(), "the server must close the connection");
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

#[tokio::test]
async fn hostile_24_slow_headers_and_slow_bodies_end() {
    let server = start_config(|config| {
        config.server.header_timeout = Duration::from_millis(300);
        config.server.request_timeout = Duration::from_millis(600);
    })
    .await;
    let pause = Duration::from_millis(50);
    // says nothing; begins like HTTP/2 and stops; never ends its headers; is idle after an answer
    for (head, drop) in [
        ("", &b""[..]),
        ("PRI * HTTP/2.0", b""),
        ("GET /healthz HTTP/1.1\r\n", b"X: y\r\n"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b""),
    ] {
        let (_, took) = drip(&server, head, drop, pause).await;
        assert!(took < Duration::from_secs(20), "{head:?} was kept for {took:?}");
    }
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n",
        server.token("library")
    );
    let (answer, took) = drip(&server, &head, b" ", pause).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"TIMEOUT\""), "{answer}");
    assert!(took < Duration::from_secs(20), "a slow body was kept for {took:?}");
    assert_eq!(server.client.get(server.url("/healthz")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn hostile_24_a_client_that_does_not_read_is_let_go() {
    let server = start_config(|config| {
        config.server.stall_timeout = Duration::from_millis(300);
        config.live.patience = Duration::from_secs(60);
    })
    .await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = r#"{"query":"subscription {flood}"}"#;
    let request = format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.token("library"),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    super::server::eventually("it has begun", || server.working() == 1).await;
    super::server::eventually("a connection that does not take anything ends", || server.working() == 0).await;
}

#[tokio::test]
async fn hostile_25_a_panic_is_a_500_with_a_json_body() {
    let server = start().await;
    let response =
        server.post().header("x-request-id", "find-me").json(&json!({"query": "{panic}"})).send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "find-me");
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, 500);
    assert_eq!(body["errors"][0]["extensions"]["code"], "INTERNAL");
    assert_eq!(body["errors"][0]["extensions"]["errorId"], "find-me");
    assert_eq!(server.ask("{a}").await.status(), 200, "and the server lives");
    server.idle().await;
    assert_eq!(server.metric("quipu_requests_in_progress").await.as_deref(), Some("0"));
}

#[tokio::test]
async fn hostile_26_errors_hold_nothing_internal() {
    let server = start().await;
    for query in ["{panic}", "mutation {panic}"] {
        for accept in ["application/json", "application/graphql-response+json"] {
            let request = server.post().header(ACCEPT, accept).json(&json!({"query": query}));
            let text = request.send().await.unwrap().text().await.unwrap();
            for word in ["secret", "panicked", "src/", ".rs", "thread", "tokio"] {
                assert!(!text.contains(word), "{word} in {text}");
            }
        }
    }
}

#[tokio::test]
async fn hostile_30_answers_are_not_to_be_stored() {
    let server = start().await;
    for response in [server.ask("{a}").await, server.get("{a}").send().await.unwrap(), server.ask("{partial}").await] {
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!response.headers().contains_key("etag"));
    }
}

#[tokio::test]
async fn credentials_are_refused_alike_whatever_is_wrong_with_them() {
    let server = start().await;
    let mut bodies = Vec::new();
    let expired = server.token_for("library", Duration::ZERO);
    let unserved = server.token("elsewhere");
    let none = server.token("library").rsplit_once('.').unwrap().0.to_owned() + ".";
    let ok = server.token("library");
    for authorization in [
        None,
        Some("Basic bGlicmFyeTo="),
        Some("Bearer nonsense"),
        Some(&*format!("Bearer {unserved}")),
        Some(&*format!("Bearer {none}")),
        Some(&*format!("Bearer {ok}, Bearer {ok}")),
    ] {
        let mut request = server.client.post(server.url("/graphql")).json(&json!({"query": "{a}"}));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(response.status(), 401, "{authorization:?}");
        bodies.push(response.text().await.unwrap());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(!expired.is_empty() && server.asked().is_empty());
}

#[tokio::test]
async fn a_request_line_or_headers_too_long_are_refused() {
    let server = start().await;
    let long = "x".repeat(200_000);
    for head in [
        format!("GET /graphql?query={long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // the server may close while we still send
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ =
            tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.expect("it is closed");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(server.ask("{a}").await.status(), 200);
}
