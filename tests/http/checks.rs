//! The checks that scanners of GraphQL servers make, as graphql-cop 1.15 makes them: in production none finds anything but what is meant to be.

use quipu::config::Mode;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::real::{admin, farm_of};
use super::server::Server;
use crate::spec::world::World;

async fn answer(request: RequestBuilder) -> (u16, Value, String) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert!(!response.headers().contains_key("access-control-allow-origin"), "no site may read it");
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default(), text)
}

/// As a scanner sends it: a POST with the name of the operation.
async fn ask(server: &Server, token: &str, query: &str) -> (u16, Value, String) {
    let request = server.client.post(server.url("/graphql")).bearer_auth(token);
    answer(request.json(&json!({"query": query, "operationName": "cop"}))).await
}

#[tokio::test]
async fn the_checks_of_scanners_find_nothing_in_production() {
    let server = farm_of(World::in_production().await, |config| config.server.mode = Mode::Production).await;
    let token = admin(&server, "alpha");
    let aliases = (0..101).map(|n| format!("alias{n}:__typename ")).collect::<String>();
    let lists = "type { fields { type { fields { type { fields { type { fields { type { name } } } } } } } }";
    for (check, query) in [
        ("aliases", format!("query cop {{ {aliases} }}")),
        ("the same field", format!("query cop {{ {} }}", "__typename ".repeat(500))),
        ("introspection in a circle", format!("query cop {{ __schema {{ types {{ fields {{ {lists} }} }} }} }}")),
        ("introspection", "query cop { __schema { types { name fields { name } } } }".into()),
        ("introspection of one type", "query cop { __type(name: \"Facility\") { name } }".into()),
    ] {
        let (status, body, text) = ask(&server, &token, &query).await;
        assert_eq!(status, 400, "{check}: {text}");
        assert!(body.get("data").is_none() && !text.contains("Facility"), "{check}: {text}");
    }
    let (_, body, text) = ask(&server, &token, "query cop { __typename @aa@aa@aa@aa@aa@aa@aa@aa@aa@aa }").await;
    assert_eq!(body["errors"].as_array().map(Vec::len), Some(1), "not one error for each directive: {text}");
    for query in
        ["query cop { __schema { directive } }", "query cop { facilites { id } }", "query cop { devices { idd } }"]
    {
        let (status, _, text) = ask(&server, &token, query).await;
        assert!(status == 400 && !text.to_lowercase().contains("did you mean"), "suggestions: {text}");
        assert!(!text.contains("facilities"), "suggestions: {text}");
    }
    let (status, body, text) = ask(&server, &token, "qwerty cop { abc }").await;
    assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (400, &json!("GRAPHQL_PARSE_FAILED")), "{text}");
    for word in ["exception", "stacktrace", "tracing", "debug", ".rs"] {
        assert!(!text.contains(word), "{word}: {text}");
    }

    // Tracing is given to nobody who asks for it.
    let traced = server.client.post(server.url("/graphql")).bearer_auth(&token).header("apollo-tracing", "1");
    let traced = traced.header("x-apollo-tracing", "1").header("apollo-federation-include-trace", "ftv1");
    let (status, body, text) = answer(traced.json(&json!({"query": "{ __typename }"}))).await;
    assert!(status == 200 && body.get("extensions").is_none(), "tracing: {text}");

    // Forms, and writing by a link.
    let form = server.client.post(server.url("/graphql")).bearer_auth(&token);
    let form =
        form.header("content-type", "application/x-www-form-urlencoded").body("query=query+cop+%7B+__typename+%7D");
    assert_eq!(answer(form).await.0, 415);
    let get = |query: &str| {
        let request = server.client.get(server.url("/graphql")).bearer_auth(&token);
        request.query(&[("query", query)])
    };
    assert_eq!(answer(get("mutation cop {__typename}")).await.0, 405);
    // Queries may be asked by GET: nothing is written by them, and a page that has one sent has no token for it.
    assert_eq!(answer(get("query cop {__typename}")).await.0, 200);
    assert_eq!(answer(server.client.get(server.url("/graphql")).query(&[("query", "{__typename}")])).await.0, 401);

    // No page, wherever one is looked for.
    for path in ["/graphql", "/graphiql", "/playground", "/console", "/altair", "/voyager", "/v1/graphql", "/"] {
        let (status, _, text) = answer(server.client.get(server.url(path)).header("accept", "text/html")).await;
        assert!([404, 406].contains(&status), "{path}: {status}");
        for word in ["graphiql", "GraphiQL", "Playground", "playground", "<html"] {
            assert!(!text.contains(word), "{path}: {text}");
        }
    }

    // Batches are bounded, and each of their operations is.
    let batch = |count: usize| {
        let request = server.client.post(server.url("/graphql")).bearer_auth(&token);
        request.json(&vec![json!({"query": "query cop { __typename }"}); count])
    };
    assert_eq!(answer(batch(10)).await.1.as_array().map(Vec::len), Some(10), "as clients batch by default");
    let (status, body, _) = answer(batch(11)).await;
    assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (400, &json!("BATCH_TOO_LARGE")));
}
