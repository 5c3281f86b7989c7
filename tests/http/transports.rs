//! Attacks on HTTP, by their numbers, over the transports that the other tests of theirs leave out.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::server::{Server, refusal, start, start_config};
use super::socket::Client;

const EVENTS: &str = "text/event-stream";

/// What a body is answered with, for each form of answer: they differ in nothing but the media type.
async fn by_post(server: &Server, body: &str) -> (u16, String) {
    let mut outcomes = Vec::new();
    for accept in ["application/json", "application/graphql-response+json", EVENTS] {
        let request = server.post().header(ACCEPT, accept).header(CONTENT_TYPE, "application/json");
        outcomes.push(refusal(request.body(body.to_owned()).send().await.unwrap()).await);
    }
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
    outcomes.swap_remove(0)
}

/// The code that a socket is closed with for a message.
async fn by_message(server: &Server, text: &str) -> u16 {
    let mut client = Client::ready(server).await;
    client.say(text).await;
    client.closed().await.0
}

/// The whole text of an operation's answer, by name of the transport.
async fn everywhere(server: &Server, query: &str) -> Vec<(&'static str, String)> {
    let operation = json!({"query": query});
    let mut all = Vec::new();
    for (transport, request) in [
        ("POST", server.post().json(&operation)),
        ("GET", server.get(query)),
        ("events by POST", server.post().header(ACCEPT, EVENTS).json(&operation)),
        ("events by GET", server.get(query).header(ACCEPT, EVENTS)),
        ("a batch", server.post().json(&json!([operation, {"query": "{a}"}]))),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store", "{transport}");
        assert!(!response.headers().contains_key("etag"), "{transport}");
        all.push((transport, response.text().await.unwrap()));
    }
    let mut client = Client::ready(server).await;
    client.subscribe("1", query).await;
    all.push(("WebSocket", client.receive().await.to_string()));
    all
}

#[tokio::test]
async fn hostile_18_a_form_cannot_write_however_it_wants_the_answer() {
    let server = start().await;
    for body in [r#"{"query":"mutation {a}"}"#, r#"[{"query":"mutation {a}"}]"#, "query=mutation%20%7Ba%7D"] {
        for media_type in [
            "text/plain",
            "text/plain; application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/graphql",
            "application/json-seq",
            "application/jsonx",
        ] {
            for accept in ["*/*", EVENTS] {
                let request = server.post().header(ACCEPT, accept).header(CONTENT_TYPE, media_type).body(body);
                let outcome = refusal(request.send().await.unwrap()).await;
                assert_eq!(outcome, (415, "UNSUPPORTED_MEDIA_TYPE".into()), "{media_type}");
            }
        }
    }
    assert!(server.asked().is_empty(), "nothing reached the engine");
}

#[tokio::test]
async fn hostile_19_what_is_too_long_is_refused_over_every_transport() {
    let server = start().await;
    let pad = "x".repeat(20 << 20);
    let object = format!(r#"{{"query":"{{a}}","pad":"{pad}"}}"#);
    for body in [&object, &format!("[{object}]")] {
        assert_eq!(by_post(&server, body).await, (413, "BODY_TOO_LARGE".into()));
    }
    let mut client = Client::ready(&server).await;
    let message = json!({"type": "subscribe", "id": "1", "payload": {"query": "{a}", "pad": &pad[..(1 << 20)]}});
    client.send(message).await;
    assert_eq!(client.closed().await.0, 1009, "a message that is a little too long");
    let mut client = Client::ready(&server).await;
    let message = json!({"type": "ping", "payload": {"pad": pad}}).to_string();
    // The server may hang up while it is still being sent.
    let _ = futures_util::SinkExt::send(&mut client.0, tokio_tungstenite::tungstenite::Message::text(message)).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), async { while client.next().await.is_some() {} }).await;
    assert!(ended.is_ok(), "and one that is far too long ends the socket");
    let mut url = server.get("{a}");
    url = url.query(&[("variables", &pad[..100_000])]);
    assert!(url.send().await.map_or(true, |answer| answer.status().is_client_error()), "a URL has its own limit");
    assert!(server.asked().is_empty());
    assert_eq!(server.ask("{a}").await.status(), 200, "and the server lives");
}

/// The first bytes of a bomb: what is compressed is not even looked at, so it cannot grow.
#[tokio::test]
async fn hostile_20_nothing_compressed_is_taken_over_any_transport() {
    let server = start().await;
    let bomb = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &vec![0; 500_000]].concat();
    for encoding in ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "gzip, gzip", "identity, gzip"] {
        for accept in ["application/json", EVENTS] {
            let request = server.post().header(ACCEPT, accept).header("content-encoding", encoding);
            let request = request.header(CONTENT_TYPE, "application/json").body(bomb.clone());
            let outcome = refusal(request.send().await.unwrap()).await;
            assert_eq!(outcome, (415, "UNSUPPORTED_MEDIA_TYPE".into()), "{encoding}");
        }
    }
    let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    headers.insert("sec-websocket-extensions", "permessage-deflate; client_max_window_bits".parse().unwrap());
    let (_, response) = connect_async(request).await.unwrap();
    assert!(!response.headers().contains_key("sec-websocket-extensions"), "no compression is agreed upon");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn hostile_21_a_batch_of_10_000_is_refused_over_every_transport() {
    let server = start().await;
    let batch = format!("[{}]", vec![r#"{"query":"{a}"}"#; 10_000].join(","));
    assert_eq!(by_post(&server, &batch).await, (400, "BATCH_TOO_LARGE".into()));
    let subscribe = format!(r#"{{"type":"subscribe","id":"1","payload":{batch}}}"#);
    for message in [&batch, &subscribe] {
        assert_eq!(by_message(&server, message).await, 4400, "there are none over a socket");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn hostile_22_23_ambiguous_and_deep_json_is_refused_over_every_transport() {
    let server = start().await;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for (operation, code) in [
        (r#"{"query":"{a}","query":"mutation {b}"}"#.to_owned(), "BAD_REQUEST"),
        (r#"{"query":"{a}","variables":{"tenant":"a","tenant":"b"}}"#.into(), "BAD_REQUEST"),
        (format!(r#"{{"query":"{{a}}","variables":{{"x":{deep}}}}}"#), "NESTING_TOO_DEEP"),
        (format!(r#"{{"query":"{{a}}","extensions":{{"x":{deep}}}}}"#), "NESTING_TOO_DEEP"),
        (format!(r#"{{"query":"{{a}}","unknown":{deep}}}"#), "NESTING_TOO_DEEP"),
    ] {
        for body in [&operation, &format!("[{operation}]")] {
            assert_eq!(by_post(&server, body).await, (400, code.into()), "{body}");
        }
        let message = format!(r#"{{"type":"subscribe","id":"1","payload":{operation}}}"#);
        assert_eq!(by_message(&server, &message).await, 4400, "{operation}");
    }
    for accept in ["application/json", EVENTS] {
        for name in ["variables", "extensions"] {
            let request = server.get("{a}").header(ACCEPT, accept).query(&[(name, format!(r#"{{"x":{deep}}}"#))]);
            assert_eq!(refusal(request.send().await.unwrap()).await, (400, "NESTING_TOO_DEEP".into()));
            let request = server.get("{a}").header(ACCEPT, accept).query(&[(name, r#"{"x":1,"x":2}"#)]);
            assert_eq!(refusal(request.send().await.unwrap()).await, (400, "BAD_REQUEST".into()));
        }
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn hostile_25_26_a_panic_says_nothing_over_any_transport() {
    let server = start().await;
    for (transport, text) in everywhere(&server, "{panic}").await {
        assert!(text.contains(r#""code":"INTERNAL""#) && text.contains("errorId"), "{transport}: {text}");
        for word in ["secret", "panicked", "src/", ".rs", "thread", "tokio"] {
            assert!(!text.contains(word), "{word} over {transport}: {text}");
        }
        assert_eq!(server.ask("{a}").await.status(), 200, "the server lives after {transport}");
    }
    server.idle().await;
}

#[tokio::test]
async fn hostile_30_no_answer_is_to_be_stored_over_any_transport() {
    let server = start().await;
    // `everywhere` looks at the headers.
    for query in ["{a}", "{partial}", "{TOO_EXPENSIVE}", "{FORBIDDEN}", "{panic}"] {
        everywhere(&server, query).await;
    }
    let without = server.client.get(server.url("/graphql")).send().await.unwrap();
    assert_eq!(without.headers()["cache-control"], "no-store");
}

/// The other subprotocol that servers know is not offered, whatever is named beside it.
#[tokio::test]
async fn hostile_32_only_the_subprotocol_that_is_served_is_taken_up() {
    let server = start().await;
    for (offered, expected) in [
        ("graphql-ws, graphql-transport-ws", Some("graphql-transport-ws")),
        ("graphql-transport-ws", Some("graphql-transport-ws")),
        ("graphql-ws, mqtt", None),
    ] {
        let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
        let taken = connect_async(request).await.ok().map(|(socket, response)| {
            let name = response.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
            (Client(socket), name)
        });
        assert_eq!(taken.as_ref().map(|(_, name)| name.as_str()), expected, "{offered}");
        if let Some((mut client, _)) = taken {
            client.subscribe("1", "mutation {a}").await;
            assert_eq!(client.closed().await.0, 4401);
        }
    }
    assert!(server.asked().is_empty());
}

/// Asking again and again to be let in costs the asker a connection each time.
#[tokio::test]
async fn hostile_40_a_socket_with_bad_credentials_is_closed_at_once() {
    let server = start_config(|config| config.live.init_timeout = Duration::from_secs(60)).await;
    for payload in [json!(null), json!({}), json!({"authorization": "Bearer x"}), json!({"authorization": 7})] {
        let mut client = Client::plain(&server).await;
        client.send(json!({"type": "connection_init", "payload": payload})).await;
        let closed = tokio::time::timeout(Duration::from_secs(10), client.closed()).await.unwrap();
        assert_eq!(closed, (4403, "Forbidden".into()), "{payload}");
    }
    let body: Value = server.ask("{a}").await.json().await.unwrap();
    assert_eq!(body["data"]["tenant"], "library");
}
