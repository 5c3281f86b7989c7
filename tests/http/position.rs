//! Hostile 68 over HTTP: a mutation's answer tells a position, in a header and in its extensions; requests bring it back in either, over every
//! transport.

use std::time::Duration;

use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::real::{admin, farm, farm_of};
use super::server::{Server, code, refusal};
use super::socket::Client;
use crate::spec::follower::Follower;
use crate::spec::world::World;

const HEADER: &str = "quipu-position";
const QUERY: &str = r#"{ alert(id: "a1") { message } }"#;

fn change(message: &str) -> String {
    format!(
        r#"mutation {{ updateAlerts(where: {{id: {{eq: "a1"}}}}, update: {{message: {{set: "{message}"}}}}) {{ alerts {{ id }} }} }}"#
    )
}

fn post(server: &Server, tenant: &str) -> RequestBuilder {
    server.client.post(server.url("/graphql")).bearer_auth(admin(server, tenant))
}

/// What the header says.
fn header(response: &Response) -> Option<String> {
    Some(response.headers().get(HEADER)?.to_str().unwrap().to_owned())
}

/// A position that the server told after a change.
async fn written(server: &Server, tenant: &str) -> String {
    let response = post(server, tenant).json(&json!({"query": change("new")})).send().await.unwrap();
    let told = header(&response).expect("a position");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["extensions"], json!({"position": told}), "{body}");
    told
}

#[tokio::test]
async fn a_position_is_told_and_taken_over_every_transport() {
    let server = farm(|_| {}).await;
    let (mine, other) = (written(&server, "alpha").await, written(&server, "beta").await);
    let data = json!({"alert": {"message": "new"}});
    for (position, fits) in [(&mine, true), (&other, false)] {
        let with = json!({"query": QUERY, "extensions": {"position": position}});
        let mut url = reqwest::Url::parse(&server.url("/graphql")).unwrap();
        url.query_pairs_mut().append_pair("query", QUERY);
        let get = |url| server.client.get(url).bearer_auth(admin(&server, "alpha"));
        let plain = get(url.clone()).header(HEADER, position);
        url.query_pairs_mut().append_pair("extensions", &with["extensions"].to_string());
        for request in [
            post(&server, "alpha").header(HEADER, position).json(&json!({"query": QUERY})),
            post(&server, "alpha").json(&with),
            // What the operation says counts for more.
            post(&server, "alpha").header(HEADER, "another").json(&with),
            plain,
            get(url),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(header(&response), None, "queries tell none");
            if fits {
                assert_eq!(response.json::<Value>().await.unwrap(), json!({"data": data}));
            } else {
                assert_eq!(refusal(response).await, (400, "BAD_POSITION".to_owned()));
            }
        }
        let batch = post(&server, "alpha").header(HEADER, position).json(&json!([{"query": QUERY}, with]));
        let batch: Vec<Value> = batch.send().await.unwrap().json().await.unwrap();
        assert!(batch.len() == 2 && batch.iter().all(|one| (one["data"] == data) == fits), "{batch:?}");
        let events = post(&server, "alpha").header(ACCEPT, "text/event-stream").json(&with).send().await.unwrap();
        let events = events.text().await.unwrap();
        assert_eq!((events.contains("\"new\""), events.contains("BAD_POSITION")), (fits, !fits), "{events}");
        let mut socket = Client::plain(&server).await;
        socket.init(&admin(&server, "alpha")).await;
        socket.send(json!({"type": "subscribe", "id": "1", "payload": with})).await;
        let said = socket.receive().await;
        match fits {
            true => assert_eq!(said["payload"], json!({"data": data})),
            false => assert_eq!(said["payload"][0]["extensions"]["code"], "BAD_POSITION", "{said}"),
        }
    }
}

#[tokio::test]
async fn positions_are_told_where_there_are_no_headers_to_tell_them_in() {
    let server = farm(|_| {}).await;
    let events = post(&server, "alpha").header(ACCEPT, "text/event-stream").json(&json!({"query": change("one")}));
    let events = events.send().await.unwrap().text().await.unwrap();
    assert!(events.contains("\"extensions\":{\"position\":\""), "{events}");
    let mut socket = Client::plain(&server).await;
    socket.init(&admin(&server, "alpha")).await;
    socket.subscribe("1", &change("two")).await;
    let said = socket.receive().await;
    assert!(said["payload"]["extensions"]["position"].is_string(), "{said}");
    let batch = json!([{"query": change("three")}, {"query": QUERY}, {"query": change("four")}]);
    let response = post(&server, "alpha").json(&batch).send().await.unwrap();
    let told = header(&response);
    let batch: Vec<Value> = response.json().await.unwrap();
    assert_eq!(batch[2]["extensions"]["position"].as_str(), told.as_deref(), "the last one's: {batch:?}");
    assert_ne!(batch[0]["extensions"], batch[2]["extensions"]);
}

#[tokio::test]
async fn what_is_no_position_is_refused() {
    let server = farm(|_| {}).await;
    let mine = written(&server, "alpha").await;
    let query = json!({"query": QUERY});
    for request in [
        post(&server, "alpha").header(HEADER, "").json(&query),
        post(&server, "alpha").header(HEADER, "caf\u{e9}").json(&query),
        post(&server, "alpha").header(HEADER, &mine).header(HEADER, &mine).json(&query),
        post(&server, "alpha").header(HEADER, format!("{mine}, {mine}")).json(&query),
    ] {
        assert_eq!(refusal(request.send().await.unwrap()).await, (400, "BAD_POSITION".to_owned()));
    }
    for odd in [json!(7), json!([mine]), json!({})] {
        let request = post(&server, "alpha").json(&json!({"query": QUERY, "extensions": {"position": odd}}));
        assert_eq!(refusal(request.send().await.unwrap()).await, (400, "BAD_REQUEST".to_owned()));
    }
}

#[tokio::test]
async fn a_graph_that_does_not_come_to_a_position_is_told_as_such() {
    let world = World::filled().await;
    let failing = Follower::failing(world.ports().graph.clone());
    let held = Follower::held(world.ports().graph.clone());
    let first = farm_of(world.beside(|ports| ports.graph = failing), |_| {}).await;
    let wait = Duration::from_millis(20);
    let second = world.beside_with(|ports| ports.graph = held.clone(), |limits| limits.position_wait = wait);
    let second = farm_of(second, |_| {}).await;
    // It failed after it was accepted: the position says from where on it can be seen.
    let response = post(&first, "alpha").json(&json!({"query": change("new")})).send().await.unwrap();
    let position = header(&response).expect("a position");
    assert_eq!(code(&response.json().await.unwrap()), "STORE_UNAVAILABLE");
    let ask =
        async || post(&second, "alpha").header(HEADER, &position).json(&json!({"query": QUERY})).send().await.unwrap();
    let response = ask().await;
    assert_eq!(response.headers().get(RETRY_AFTER).map(|value| value.as_bytes()), Some(&b"1"[..]));
    assert_eq!(refusal(response).await, (503, "STALE".to_owned()));
    held.let_go();
    for _ in 0..3_000 {
        let response = ask().await;
        if response.status() == StatusCode::OK {
            let body: Value = response.json().await.unwrap();
            assert_eq!(body, json!({"data": {"alert": {"message": "new"}}}));
            return;
        }
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come to the position");
}
