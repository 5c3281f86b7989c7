//! WebSockets with `graphql-transport-ws`.

use std::time::Duration;

use futures_util::SinkExt;
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::server::{code, eventually, start, start_config};
use super::socket::Client;

#[tokio::test]
async fn operations_run_over_one_socket() {
    let server = start().await;
    let mut client = Client::ready(&server).await;
    client.subscribe("a", "subscription {ticks}").await;
    for n in 0..3 {
        let payload = json!({"data": {"tick": n, "tenant": "library"}});
        assert_eq!(client.receive().await, json!({"id": "a", "type": "next", "payload": payload}));
    }
    assert_eq!(client.receive().await, json!({"id": "a", "type": "complete"}));
    for query in ["{a}", "mutation {a}"] {
        client.subscribe("a", query).await;
        assert_eq!(client.receive().await["payload"]["data"]["tenant"], "library");
        assert_eq!(client.receive().await, json!({"id": "a", "type": "complete"}));
    }
    assert_eq!(server.asked()[1]["mayWrite"], true);
    client.subscribe("b", "{TOO_EXPENSIVE}").await;
    let error = client.receive().await;
    assert_eq!(
        (&error["type"], &error["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("TOO_EXPENSIVE"))
    );
    client.send(json!({"type": "ping", "payload": {"x": 1}})).await;
    assert_eq!(client.receive().await, json!({"type": "pong", "payload": {"x": 1}}), "and no complete after an error");
    let normal = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    client.0.close(Some(normal)).await.unwrap();
    assert_eq!(client.closed().await.0, 1000, "a close is answered");
    server.idle().await;
}

#[tokio::test]
async fn credentials_come_with_the_request_or_the_init() {
    let server = start().await;
    let mut client = Client::open(&server, Some("graphql-transport-ws"), Some(&server.token("cryox"))).await;
    client.send(json!({"type": "connection_init"})).await;
    assert_eq!(client.receive().await, json!({"type": "connection_ack"}));
    client.subscribe("1", "{a}").await;
    assert_eq!(client.receive().await["payload"]["data"]["tenant"], "cryox");
    let mut client = Client::open(&server, Some("graphql-transport-ws"), Some(&server.token("cryox"))).await;
    let payload = json!({"Authorization": format!("Bearer {}", server.token("library"))});
    client.send(json!({"type": "connection_init", "payload": payload})).await;
    client.receive().await;
    client.subscribe("1", "{a}").await;
    assert_eq!(client.receive().await["payload"]["data"]["tenant"], "library", "what was given last counts");
}

#[tokio::test]
async fn hostile_32_an_operation_before_the_ack_closes_4401() {
    let server = start().await;
    let mut client = Client::open(&server, Some("graphql-transport-ws"), Some(&server.token("library"))).await;
    client.subscribe("1", "mutation {a}").await;
    assert_eq!(client.closed().await, (4401, "Unauthorized".into()));
    for subprotocol in [Some("graphql-ws"), None] {
        let client = match subprotocol {
            // a client must not go on when its subprotocol is not taken up
            Some(_) => {
                let mut request = format!("ws://{}/graphql", server.address).into_client_request().unwrap();
                request.headers_mut().insert("sec-websocket-protocol", "graphql-ws".parse().unwrap());
                assert!(connect_async(request).await.is_err());
                continue;
            }
            None => Client::open(&server, None, Some(&server.token("library"))).await,
        };
        assert_eq!(client.closed().await, (4406, "Subprotocol not acceptable".into()));
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn hostile_33_no_init_in_time_closes_4408() {
    let server = start_config(|config| config.live.init_timeout = Duration::from_secs(1)).await;
    let mut client = Client::plain(&server).await;
    client.send(json!({"type": "ping"})).await;
    assert_eq!(client.closed().await, (4408, "Connection initialisation timeout".into()));
    let mut client = Client::ready(&server).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    client.subscribe("1", "{a}").await;
    assert_eq!(client.receive().await["type"], "next", "after the ack there is time");
}

#[tokio::test]
async fn hostile_34_an_id_in_use_closes_4409() {
    let server = start().await;
    let mut client = Client::ready(&server).await;
    let id = "é".repeat(64);
    client.subscribe(&id, "subscription {forever}").await;
    client.receive().await;
    client.subscribe(&id, "{a}").await;
    let (code, reason) = client.closed().await;
    assert_eq!(code, 4409);
    assert!(reason.starts_with("Subscriber for é") && reason.len() <= 123, "{reason}");
    server.idle().await;
}

#[tokio::test]
async fn a_second_init_closes_4429() {
    let server = start().await;
    let mut client = Client::ready(&server).await;
    client.send(json!({"type": "connection_init"})).await;
    assert_eq!(client.closed().await, (4429, "Too many initialisation requests".into()));
}

#[tokio::test]
async fn hostile_35_operations_are_capped_per_connection_and_tenant() {
    let server = start_config(|config| {
        config.live.per_connection = 2;
        config.live.per_tenant = 3;
    })
    .await;
    let mut first = Client::ready(&server).await;
    for id in ["1", "2"] {
        first.subscribe(id, "subscription {forever}").await;
        assert_eq!(first.receive().await["type"], "next");
    }
    first.subscribe("3", "{a}").await;
    let error = first.receive().await;
    assert_eq!((&error["id"], &error["type"]), (&json!("3"), &json!("error")));
    assert!(error["payload"][0]["message"].as_str().unwrap().contains("live.per_connection"));
    let mut second = Client::ready(&server).await;
    second.subscribe("1", "subscription {forever}").await;
    assert_eq!(second.receive().await["type"], "next");
    second.subscribe("2", "subscription {forever}").await;
    assert!(second.receive().await["payload"][0]["message"].as_str().unwrap().contains("live.per_tenant"));
    first.send(json!({"type": "complete", "id": "1"})).await;
    eventually("the place is free", || server.working() == 2).await;
    second.subscribe("2", "subscription {forever}").await;
    assert_eq!(second.receive().await["type"], "next", "an id that failed can be used again");
    drop((first, second));
    server.idle().await;
    assert_eq!(server.metric("quipu_streams{transport=\"websocket\"}").await.as_deref(), Some("0"));
}

#[tokio::test]
async fn hostile_36_a_token_that_expires_ends_its_streams() {
    let server = start_config(|config| config.auth.leeway = Duration::ZERO).await;
    let mut client = Client::plain(&server).await;
    client.init(&server.token_for("library", Duration::from_secs(5))).await;
    client.subscribe("1", "subscription {forever}").await;
    assert_eq!(client.receive().await["type"], "next");
    assert_eq!(client.closed().await, (4403, "Forbidden: the token has expired".into()));
    server.idle().await;
}

#[tokio::test]
async fn hostile_38_a_slow_consumer_gets_a_visible_error() {
    let server = start_config(|config| {
        config.live.buffer = quipu::config::ByteSize(100_000);
        config.live.patience = Duration::from_millis(100);
    })
    .await;
    let mut client = Client::ready(&server).await;
    client.subscribe("1", "subscription {flood}").await;
    eventually("the flood begins", || server.taken() > 0).await;
    eventually("the flood ends by itself", || server.working() == 0).await;
    let mut events = 0;
    let error = loop {
        let message = client.receive().await;
        match message["type"].as_str() {
            Some("next") => events += 1,
            _ => break message,
        }
    };
    assert!(events < 2_000, "{events} events were kept for a client that reads none");
    assert_eq!((&error["type"], &error["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("OVERLOADED")));
    client.subscribe("1", "{a}").await;
    assert_eq!(client.receive().await["type"], "next", "the socket lives");
}

#[tokio::test]
async fn hostile_39_completed_and_vanished_work_is_cancelled() {
    let server = start().await;
    let mut client = Client::ready(&server).await;
    client.subscribe("1", "{sleep}").await;
    client.subscribe("2", "subscription {forever}").await;
    eventually("both have begun", || server.working() == 2).await;
    client.send(json!({"type": "complete", "id": "1"})).await;
    eventually("what is completed is cancelled", || server.working() == 1).await;
    drop(client);
    server.idle().await;
}

#[tokio::test]
async fn hostile_39_a_client_that_gives_no_sign_of_life_is_let_go() {
    let server = start_config(|config| config.live.keep_alive = Duration::from_millis(500)).await;
    let mut silent = Client::ready(&server).await;
    silent.subscribe("1", "subscription {forever}").await;
    eventually("it has begun", || server.working() == 1).await;
    // it does not read, so it answers no ping
    server.idle().await;
    let mut living = Client::ready(&server).await;
    let waiting = tokio::time::timeout(Duration::from_millis(2_500), async {
        loop {
            match living.next().await {
                Some(Message::Ping(_)) => {}
                other => break other,
            }
        }
    });
    assert!(waiting.await.is_err(), "one that answers pings stays");
}

/// 1013, after which clients come back by themselves.
#[tokio::test]
async fn a_tenant_that_is_not_ready_closes_1013() {
    let server = start().await;
    let mut client = Client::plain(&server).await;
    let payload = json!({"authorization": format!("Bearer {}", server.token("waiting"))});
    client.send(json!({"type": "connection_init", "payload": payload})).await;
    let (code, reason) = client.closed().await;
    assert!(code == 1013 && reason.contains("not ready"), "{code} {reason}");
}

#[tokio::test]
async fn hostile_40_claims_in_the_init_are_not_believed() {
    let server = start().await;
    let token = server.token("library");
    for payload in [
        json!({"tenant": "cryox", "roles": ["admin"]}),
        json!({"authorization": "cryox"}),
        json!({"authorization": {"tenant": "cryox"}}),
        json!({"authorization": format!("Bearer {token}"), "Authorization": format!("Bearer {}", server.token("cryox"))}),
        json!({"authorization": format!("Bearer {}", server.token("elsewhere"))}),
        json!({"authorization": format!("Bearer {token}x")}),
    ] {
        let mut client = Client::plain(&server).await;
        client.send(json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(client.closed().await, (4403, "Forbidden".into()), "{payload}");
    }
    let mut client = Client::plain(&server).await;
    let payload = json!({"authorization": format!("Bearer {token}"), "tenant": "cryox", "roles": ["admin"]});
    client.send(json!({"type": "connection_init", "payload": payload})).await;
    client.receive().await;
    client.subscribe("1", "{a}").await;
    let data = &client.receive().await["payload"]["data"];
    assert_eq!(data, &json!({"tenant": "library", "roles": ["reader"]}));
}

#[tokio::test]
async fn hostile_41_bad_messages_close_the_socket_with_a_short_reason() {
    let server = start().await;
    let deep = format!(r#"{{"type":"ping","payload":{}1{}}}"#, "{\"a\":".repeat(200), "}".repeat(200));
    let long_id = format!(r#"{{"type":"complete","id":"{}"}}"#, "x".repeat(200));
    for text in ["", "nope", "[]", r#"{"type":"nope"}"#, r#"{"type":"ping","type":"pong"}"#, &deep, &long_id] {
        let mut client = Client::ready(&server).await;
        client.say(text).await;
        let (code, reason) = client.closed().await;
        assert_eq!(code, 4400, "{text}");
        assert!(!reason.is_empty() && reason.len() <= 123, "{reason}");
    }
    let mut client = Client::ready(&server).await;
    client.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.closed().await.0, 4400);
    let mut client = Client::ready(&server).await;
    client.say(&format!(r#"{{"type":"ping","payload":{{"x":"{}"}}}}"#, "x".repeat(1 << 20))).await;
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test]
async fn hostile_25_a_panic_ends_its_operation_alone() {
    let server = start().await;
    let mut client = Client::ready(&server).await;
    client.subscribe("1", "{panic}").await;
    let error = client.receive().await;
    assert_eq!(error["payload"][0]["extensions"]["code"], "INTERNAL");
    assert!(!error.to_string().contains("secret"), "{error}");
    client.subscribe("2", "{a}").await;
    assert_eq!(client.receive().await["type"], "next");
}

#[tokio::test]
async fn hostile_31_a_socket_counts_as_a_connection() {
    let server = start_config(|config| config.server.max_connections = 2.try_into().unwrap()).await;
    let socket = Client::ready(&server).await;
    let _other = Client::ready(&server).await;
    let third = tokio::spawn(server.client.get(server.url("/healthz")).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!third.is_finished(), "both places are taken");
    drop(socket);
    assert_eq!(third.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn hostile_31_operations_wait_for_a_place_like_requests() {
    let server = start_config(|config| {
        config.server.max_concurrency = 1.try_into().unwrap();
        config.server.queue = 0;
        config.server.request_timeout = Duration::from_secs(2);
    })
    .await;
    let mut client = Client::ready(&server).await;
    client.subscribe("1", "{sleep}").await;
    eventually("it has begun", || server.working() == 1).await;
    client.subscribe("2", "{a}").await;
    let error = client.receive().await;
    assert_eq!((&error["id"], &error["payload"][0]["extensions"]["code"]), (&json!("2"), &json!("OVERLOADED")));
    let error = client.receive().await;
    assert_eq!((&error["id"], &error["payload"][0]["extensions"]["code"]), (&json!("1"), &json!("TIMEOUT")));
    assert_eq!(code(&json!({"errors": error["payload"]})), "TIMEOUT");
}

#[tokio::test]
async fn hostile_75_a_stop_closes_sockets_so_that_clients_come_back() {
    let mut server = start().await;
    let mut client = Client::ready(&server).await;
    client.subscribe("1", "subscription {forever}").await;
    client.receive().await;
    server.stop();
    assert_eq!(client.closed().await, (1001, "the server stops".into()));
    tokio::time::timeout(Duration::from_secs(30), &mut server.served).await.unwrap().unwrap().unwrap();
    server.idle().await;
}
