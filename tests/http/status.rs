//! GraphQL over HTTP: methods, media types, status codes.

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};

use super::server::{Server, code, refusal, start};

const GRAPHQL: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

async fn outcome(server: &Server, accept: &str, query: &str) -> (u16, String, Value) {
    let request = server.post().header(ACCEPT, accept).json(&json!({"query": query}));
    let response = request.send().await.unwrap();
    let media_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    (response.status().as_u16(), media_type, response.json().await.unwrap())
}

#[tokio::test]
async fn the_status_depends_on_the_outcome_and_the_media_type() {
    let server = start().await;
    // document, status for application/graphql-response+json and for any type, status for application/json
    let table = [
        ("{hello}", 200, 200),
        ("{partial}", 200, 200),
        ("{GRAPHQL_PARSE_FAILED}", 400, 200),
        ("{GRAPHQL_VALIDATION_FAILED}", 400, 200),
        ("{BAD_USER_INPUT}", 400, 200),
        ("{TOO_EXPENSIVE}", 400, 200),
        ("{FORBIDDEN}", 403, 403),
        ("{EMBEDDING_UNAVAILABLE}", 503, 503),
        ("{STORE_UNAVAILABLE}", 503, 503),
        ("{INTERNAL}", 500, 500),
        ("{TIMEOUT}", 504, 504),
    ];
    for (query, modern, legacy) in table {
        let as_graphql = outcome(&server, GRAPHQL, query).await;
        assert_eq!((as_graphql.0, as_graphql.1.as_str()), (modern, "application/graphql-response+json; charset=utf-8"));
        let as_json = outcome(&server, JSON, query).await;
        assert_eq!((as_json.0, as_json.1.as_str()), (legacy, "application/json; charset=utf-8"), "{query}");
        let as_any = outcome(&server, "*/*", query).await;
        assert_eq!((as_any.0, as_any.1.as_str()), (modern, "application/json; charset=utf-8"), "{query}");
        assert_eq!((&as_graphql.2, &as_graphql.2), (&as_json.2, &as_any.2), "{query}: the body is the same");
    }
    let both = outcome(&server, "application/graphql-response+json, application/json;q=0.9", "{hello}").await;
    assert_eq!(both.1, "application/graphql-response+json; charset=utf-8");
}

#[tokio::test]
async fn what_is_no_request_is_refused_whatever_the_media_type() {
    let server = start().await;
    for accept in [GRAPHQL, JSON] {
        for body in ["", "nope", "{}", r#"{"query":1}"#, r#"{"query":"{a}","variables":[]}"#, "[]"] {
            let request = server.post().header(ACCEPT, accept).header(CONTENT_TYPE, JSON).body(body);
            assert_eq!(refusal(request.send().await.unwrap()).await, (400, "BAD_REQUEST".into()), "{body}");
        }
    }
    let not_acceptable = server.post().header(ACCEPT, "text/html").json(&json!({"query": "{a}"}));
    assert_eq!(refusal(not_acceptable.send().await.unwrap()).await, (406, "NOT_ACCEPTABLE".into()));
    assert!(server.asked().is_empty(), "nothing reached the engine");
}

#[tokio::test]
async fn a_query_can_be_sent_by_get() {
    let server = start().await;
    let response = server.get("query Q {a}").query(&[("operationName", "Q"), ("variables", r#"{"x":[1]}"#)]);
    let response = response.header(ACCEPT, GRAPHQL).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.json::<Value>().await.unwrap()["data"]["tenant"], "library");
    let expected = json!({"query": "query Q {a}", "operationName": "Q", "variables": {"x": [1]}, "key": null,
        "mayWrite": false, "tenant": "library"});
    assert_eq!(server.asked(), [expected]);
    let without = server.client.get(server.url("/graphql")).bearer_auth(server.token("library"));
    assert_eq!(refusal(without.send().await.unwrap()).await, (400, "BAD_REQUEST".into()));
}

#[tokio::test]
async fn hostile_17_a_mutation_over_get_is_refused() {
    let server = start().await;
    for accept in [GRAPHQL, JSON, "text/event-stream"] {
        for query in ["mutation {a}", "# query {a}\nmutation M($x: Int = 1) {a}", "query A {a} mutation B {b}"] {
            let request = server.get(query).query(&[("operationName", if query.contains('A') { "B" } else { "" })]);
            let response = request.header(ACCEPT, accept).header("idempotency-key", "k").send().await.unwrap();
            assert_eq!(response.headers()["allow"], "POST");
            assert_eq!(refusal(response).await, (405, "METHOD_NOT_ALLOWED".into()), "{query}");
        }
    }
    assert!(server.asked().is_empty(), "nothing reached the engine");
}

#[tokio::test]
async fn a_request_that_hides_its_mutation_is_still_not_allowed_to_write() {
    let server = start().await;
    // two operations of one name: the kind cannot be told from outside, so the engine decides
    let response = server.get("mutation A {a} query A {a}").send().await.unwrap();
    assert_eq!(refusal(response).await, (400, "BAD_REQUEST".into()));
    assert_eq!(server.asked()[0]["mayWrite"], false);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_json() {
    let server = start().await;
    let response = server.client.get(server.url("/nothing/here")).send().await.unwrap();
    assert_eq!(refusal(response).await, (404, "NOT_FOUND".into()));
    for (method, path, allow) in [
        ("PUT", "/graphql", "GET, HEAD, POST"),
        ("DELETE", "/graphql", "GET, HEAD, POST"),
        ("OPTIONS", "/graphql", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("PATCH", "/metrics", "GET, HEAD"),
    ] {
        let request = server.client.request(method.parse().unwrap(), server.url(path));
        let response = request.header("origin", "http://elsewhere.example").send().await.unwrap();
        assert_eq!(response.headers()["allow"], allow, "{method} {path}");
        assert!(!response.headers().contains_key("access-control-allow-origin"), "no site may read answers");
        assert_eq!(refusal(response).await, (405, "METHOD_NOT_ALLOWED".into()), "{method} {path}");
    }
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_each_by_itself() {
    let server = start().await;
    let body = json!([{"query": "{nap}"}, {"query": "{BAD_USER_INPUT}"}, {"query": "{partial}"}]);
    let response = server.post().json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let answers: Vec<Value> = response.json().await.unwrap();
    assert_eq!(answers[0]["data"]["tenant"], "library");
    assert_eq!(code(&answers[1]), "BAD_USER_INPUT");
    assert_eq!(answers[2]["data"], json!({"a": null}));
    assert_eq!(server.metric("quipu_batch_operations_sum").await.as_deref(), Some("3"));
    let mutations = json!([{"query": "mutation {nap1}"}, {"query": "mutation {b}"}]);
    let answers: Vec<Value> = server.post().json(&mutations).send().await.unwrap().json().await.unwrap();
    assert_eq!(answers.len(), 2);
    let asked = server.asked();
    assert_eq!((&asked[3]["query"], &asked[4]["query"]), (&json!("mutation {nap1}"), &json!("mutation {b}")));
}

#[tokio::test]
async fn the_idempotency_key_reaches_the_engine() {
    let server = start().await;
    let send =
        async |key: &str, body: Value| server.post().header("idempotency-key", key).json(&body).send().await.unwrap();
    assert_eq!(send("key-1", json!({"query": "mutation {a}"})).await.status(), 200);
    assert_eq!(server.asked()[0]["key"], "key-1");
    let long = "k".repeat(256);
    for (key, body) in [
        ("", json!({"query": "mutation {a}"})),
        ("two words", json!({"query": "mutation {a}"})),
        (long.as_str(), json!({"query": "mutation {a}"})),
        ("key-1", json!([{"query": "mutation {a}"}])),
    ] {
        assert_eq!(refusal(send(key, body).await).await, (400, "BAD_REQUEST".into()), "{key}");
    }
    assert_eq!(server.asked().len(), 1);
}
