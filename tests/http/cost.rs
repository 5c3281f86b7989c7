//! `extensions.cost`: the price of an operation, for those who ask for it.

use serde_json::{Value, json};

use super::everywhere::everywhere;
use super::real::{admin, farm, farm_of};
use super::server::{Server, code};
use super::socket::Client;
use crate::spec::world::World;

const QUERY: &str = r#"{ facilities(limit: 10) { id devices(limit: 5) { id } } first: facility(id: "f1") { id } }"#;

/// 10 facilities and 5 devices of each; one facility.
fn cost() -> Value {
    json!({"price": 61, "limit": 1_000_000, "fields": {"facilities": 60, "first": 1}})
}

async fn post(server: &Server, header: Option<&str>, body: Value) -> (u16, Value) {
    let mut request = server.client.post(server.url("/graphql")).bearer_auth(admin(server, "alpha"));
    if let Some(value) = header {
        request = request.header("quipu-cost", value);
    }
    let response = request.json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn the_price_is_told_over_every_transport_to_those_who_ask() {
    let server = farm(|_| {}).await;
    let token = admin(&server, "alpha");
    for (asked, told) in [(json!(true), cost()), (json!(false), Value::Null), (Value::Null, Value::Null)] {
        let operation = json!({"query": QUERY, "extensions": {"cost": asked}});
        for reply in everywhere(&server, &token, &operation).await {
            assert_eq!(reply.body["extensions"]["cost"], told, "over {}: {}", reply.over, reply.body);
            assert!(reply.body["data"]["facilities"].is_array(), "over {}: {}", reply.over, reply.body);
        }
    }
}

#[tokio::test]
async fn a_header_asks_for_the_price_of_all_operations() {
    let server = farm(|_| {}).await;
    let one = json!({"query": QUERY});
    for (value, told) in [("true", cost()), ("1", cost()), ("false", Value::Null)] {
        assert_eq!(post(&server, Some(value), one.clone()).await.1["extensions"]["cost"], told, "{value}");
    }
    let (_, batch) = post(&server, Some("true"), json!([one, one])).await;
    assert_eq!((&batch[0]["extensions"]["cost"], &batch[1]["extensions"]["cost"]), (&cost(), &cost()));
    let (status, body) = post(&server, Some("yes"), one.clone()).await;
    assert_eq!((status, code(&body)), (400, "BAD_REQUEST"));
    let wrong = json!({"query": QUERY, "extensions": {"cost": "yes"}});
    assert_eq!(post(&server, None, wrong).await.0, 400);
}

#[tokio::test]
async fn what_is_too_expensive_says_what_it_is_made_of() {
    let world = World::filled().await.beside_with(|_| {}, |limits| limits.price = 60);
    let server = farm_of(world, |_| {}).await;
    let told = json!({"price": 61, "limit": 60, "fields": {"facilities": 60, "first": 1}});
    let operation = json!({"query": QUERY, "extensions": {"cost": true}});
    for reply in everywhere(&server, &admin(&server, "alpha"), &operation).await {
        assert_eq!(code(&reply.body), "TOO_EXPENSIVE", "over {}: {}", reply.over, reply.body);
        assert!(reply.body.get("data").is_none(), "nothing runs");
        // The protocol of sockets has errors alone there.
        if reply.over != "a socket" {
            assert_eq!(reply.body["extensions"]["cost"], told, "over {}: {}", reply.over, reply.body);
        }
    }
}

#[tokio::test]
async fn a_mutation_tells_price_and_position_and_a_subscription_the_price_with_its_first_event() {
    let server = farm(|_| {}).await;
    let token = admin(&server, "alpha");
    let change =
        r#"mutation { updateAlerts(where: {id: {eq: "a1"}}, update: {message: {set: "new"}}) { alerts { id } } }"#;
    let (_, body) = post(&server, Some("true"), json!({"query": change})).await;
    assert!(body["extensions"]["position"].is_string() && body["extensions"]["cost"]["price"].is_u64(), "{body}");
    let mut socket = Client::plain(&server).await;
    socket.init(&token).await;
    let query = r#"subscription { changes(since: "0") { id } }"#;
    let payload = json!({"query": query, "extensions": {"cost": true}});
    socket.send(json!({"type": "subscribe", "id": "1", "payload": payload})).await;
    let told = socket.receive().await["payload"]["extensions"]["cost"]["price"].clone();
    assert!(told.is_u64(), "{told}");
    assert_eq!(socket.receive().await["payload"]["extensions"], Value::Null);
}
