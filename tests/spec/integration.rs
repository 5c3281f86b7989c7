//! The engine behind another integration: whatever takes async-graphql's `Executor` serves a caller's view of a tenant.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use quipu_resolvers::Session;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::world::{TENANTS, World, principal};

#[tokio::test]
async fn async_graphql_axum_serves_a_session() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let principal = principal(tenant, json!({"regions": ["US"]}));
        let bound = world.bound(&principal).clone();
        let session = Session { engine: world.engine.clone(), bound, principal, patience: Duration::from_secs(5) };
        let router = axum::Router::new().route_service("/", async_graphql_axum::GraphQL::new(session));
        let body = json!({"query": "query($n: String!) { facilities(where: {name: {eq: $n}}) { id } contracts(limit: -1) { id } }", "variables": {"n": "South"}});
        let request =
            Request::post("/").header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let bytes = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        let answer: Json = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
        assert_eq!(answer["errors"][0]["path"], json!(["contracts"]));
        assert_eq!(answer["data"], Json::Null, "the field is required");
    }
}
