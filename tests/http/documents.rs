//! Documents that are named instead of sent, by those who sent them before (Apollo's protocol) or published them; and whether others are let
//! through.

use quipu::config::DocumentMode;
use quipu_resolvers::hash_of;
use serde_json::{Value, json};

use super::everywhere::{Reply, everywhere, once};
use super::real::{admin, farm, farm_of, farm_with};
use super::server::{Server, code};
use crate::spec::world::World;

const TRANSPORTS: [&str; 6] = ["POST", "GET", "a batch", "events", "events by GET", "a socket"];
const QUERY: &str = r#"query Name { facility(id: "f1") { summary } }"#;
const OTHER: &str = "{ facilities(limit: 2) { id } }";

fn hash(text: &str) -> String {
    hash_of(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A document by its hash, with the document where it is to be kept.
fn persisted(hash: &str, text: Option<&str>) -> Value {
    let mut operation = json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}});
    if let Some(text) = text {
        operation["query"] = text.into();
    }
    operation
}

async fn ask(server: &Server, tenant: &str, operation: &Value, over: &'static str) -> Reply {
    once(server, &admin(server, tenant), operation, over).await
}

#[tokio::test]
async fn documents_are_kept_and_named_by_their_hash_over_every_transport() {
    for over in TRANSPORTS {
        let server = farm(|_| {}).await;
        let (named, sent) = (persisted(&hash(QUERY), None), persisted(&hash(QUERY), Some(QUERY)));
        let reply = ask(&server, "alpha", &named, over).await;
        assert_eq!(code(&reply.body), "PERSISTED_QUERY_NOT_FOUND", "over {over}: {}", reply.body);
        assert_eq!(reply.body["errors"][0]["message"], "PersistedQueryNotFound", "as Apollo's clients look for it");
        assert!(reply.status.is_none_or(|status| status == 200), "over {over}: {:?}", reply.status);
        for operation in [&sent, &named] {
            let reply = ask(&server, "alpha", operation, over).await;
            assert_eq!(reply.body["data"]["facility"]["summary"], "alpha", "over {over}: {}", reply.body);
        }
        let upper = persisted(&hash(QUERY).to_uppercase(), None);
        assert!(ask(&server, "alpha", &upper, over).await.body["data"].is_object(), "over {over}");
        let other = ask(&server, "beta", &named, over).await;
        assert_eq!(code(&other.body), "PERSISTED_QUERY_NOT_FOUND", "another tenant sends its own: over {over}");
    }
}

#[tokio::test]
async fn a_mutation_that_is_named_needs_post() {
    let server = farm(|_| {}).await;
    let change =
        r#"mutation { updateAlerts(where: {id: {eq: "a1"}}, update: {message: {set: "m"}}) { alerts { id } } }"#;
    let sent = persisted(&hash(change), Some(change));
    assert!(ask(&server, "alpha", &sent, "POST").await.body["data"].is_object());
    let named = persisted(&hash(change), None);
    for over in ["GET", "events by GET"] {
        let reply = ask(&server, "alpha", &named, over).await;
        assert_eq!((reply.status, code(&reply.body)), (Some(405), "METHOD_NOT_ALLOWED"), "over {over}");
    }
    for over in ["POST", "a batch", "events", "a socket"] {
        assert!(ask(&server, "alpha", &named, over).await.body["data"].is_object(), "over {over}");
    }
}

#[tokio::test]
async fn hostile_29_a_hash_that_does_not_fit_is_refused_and_nothing_is_kept() {
    let server = farm(|_| {}).await;
    let token = admin(&server, "alpha");
    for wrong in [persisted(&hash(QUERY), Some(OTHER)), persisted("banana", Some(OTHER)), persisted("", Some(OTHER))] {
        for reply in everywhere(&server, &token, &wrong).await {
            assert_eq!(code(&reply.body), "PERSISTED_QUERY_MISMATCH", "over {}: {}", reply.over, reply.body);
            assert!(reply.body.get("data").is_none(), "nothing runs");
        }
    }
    for reply in everywhere(&server, &token, &persisted(&hash(QUERY), None)).await {
        assert_eq!(code(&reply.body), "PERSISTED_QUERY_NOT_FOUND", "over {}: {}", reply.over, reply.body);
    }
    let version = json!({"query": QUERY, "extensions": {"persistedQuery": {"version": 2, "sha256Hash": hash(QUERY)}}});
    assert_eq!(ask(&server, "alpha", &version, "POST").await.status, Some(400));
    let nothing = json!({"extensions": {}});
    assert_eq!(code(&ask(&server, "alpha", &nothing, "POST").await.body), "BAD_REQUEST");
}

#[tokio::test]
async fn hostile_29_what_does_not_fit_the_api_is_not_kept() {
    let server = farm(|_| {}).await;
    let wrong = "{ nothing }";
    let reply = ask(&server, "alpha", &persisted(&hash(wrong), Some(wrong)), "POST").await;
    assert_eq!(code(&reply.body), "GRAPHQL_VALIDATION_FAILED");
    let named = ask(&server, "alpha", &persisted(&hash(wrong), None), "POST").await;
    assert_eq!(code(&named.body), "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn hostile_29_a_tenants_flood_of_documents_pushes_out_its_own_alone() {
    let world = World::filled().await.beside_with(|_| {}, |limits| limits.cached_document_bytes = 5_000);
    let server = farm_of(world, |_| {}).await;
    let sent = persisted(&hash(QUERY), Some(QUERY));
    for tenant in ["alpha", "beta"] {
        assert!(ask(&server, tenant, &sent, "POST").await.body["data"].is_object());
    }
    for number in 0..300 {
        let text = format!("{{ facilities(limit: 1, where: {{name: {{eq: \"{number}\"}}}}) {{ id }} }}");
        let reply = ask(&server, "alpha", &persisted(&hash(&text), Some(&text)), "POST").await;
        assert!(reply.body["data"].is_object(), "{}", reply.body);
    }
    let named = persisted(&hash(QUERY), None);
    assert!(ask(&server, "beta", &named, "POST").await.body["data"].is_object(), "the other's is still there");
    let mut kept = 0;
    for number in 0..300 {
        let text = format!("{{ facilities(limit: 1, where: {{name: {{eq: \"{number}\"}}}}) {{ id }} }}");
        let reply = ask(&server, "alpha", &persisted(&hash(&text), None), "POST").await;
        kept += usize::from(reply.body["data"].is_object());
    }
    assert!((1..=5_000 / 50).contains(&kept), "{kept} of more than 50 bytes are kept in 5,000 bytes");
}

/// A server with one document that is published for `alpha`, under a hash and under a name.
async fn publishing(mode: DocumentMode) -> Server {
    let world = World::filled().await;
    farm_with(world, &[(&hash(QUERY), QUERY), ("by-name", QUERY)], |config| {
        config.tenants.documents = mode;
        config.tenants.unknown_price = 5;
    })
    .await
}

#[tokio::test]
async fn published_documents_are_named_by_their_id_over_every_transport() {
    for mode in [DocumentMode::Open, DocumentMode::KnownFirst, DocumentMode::KnownOnly] {
        let server = publishing(mode).await;
        let token = admin(&server, "alpha");
        for operation in [
            persisted(&hash(QUERY), None),
            persisted("by-name", None),
            persisted("by-name", Some(QUERY)),
            json!({"documentId": "by-name"}),
            json!({"documentId": hash(QUERY), "operationName": "Name"}),
            json!({"query": QUERY}),
        ] {
            for reply in everywhere(&server, &token, &operation).await {
                let summary = &reply.body["data"]["facility"]["summary"];
                assert_eq!(summary, "alpha", "{mode:?} over {}: {operation}: {}", reply.over, reply.body);
            }
        }
        let unknown = json!({"documentId": "nothing"});
        for reply in everywhere(&server, &token, &unknown).await {
            assert_eq!(code(&reply.body), "UNKNOWN_DOCUMENT", "{mode:?} over {}: {}", reply.over, reply.body);
        }
        for reply in everywhere(&server, &admin(&server, "beta"), &json!({"documentId": "by-name"})).await {
            assert_eq!(code(&reply.body), "UNKNOWN_DOCUMENT", "of another tenant: over {}", reply.over);
        }
    }
}

#[tokio::test]
async fn known_only_lets_nothing_else_through_over_any_transport() {
    let server = publishing(DocumentMode::KnownOnly).await;
    let token = admin(&server, "alpha");
    let spaced = format!("{QUERY} ");
    for text in [OTHER, &spaced, "{ __typename }", "{ __schema { queryType { name } } }"] {
        for operation in [json!({"query": text}), persisted(&hash(text), Some(text))] {
            for reply in everywhere(&server, &token, &operation).await {
                assert_eq!(code(&reply.body), "UNKNOWN_DOCUMENT", "over {}: {}", reply.over, reply.body);
                assert!(reply.body.get("data").is_none(), "nothing runs");
                if reply.over == "POST" || reply.over == "GET" {
                    assert_eq!(reply.status, Some(403));
                }
            }
        }
    }
    let named = ask(&server, "alpha", &persisted(&hash(OTHER), None), "POST").await;
    assert_eq!(code(&named.body), "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn known_first_lets_others_through_for_a_smaller_price() {
    let server = publishing(DocumentMode::KnownFirst).await;
    let token = admin(&server, "alpha");
    for (query, lets) in [(OTHER, true), ("{ facilities(limit: 6) { id } }", false)] {
        for reply in everywhere(&server, &token, &json!({"query": query, "extensions": {"cost": true}})).await {
            if lets {
                assert_eq!(reply.body["extensions"]["cost"]["limit"], 5, "over {}: {}", reply.over, reply.body);
                continue;
            }
            assert_eq!(code(&reply.body), "TOO_EXPENSIVE", "over {}: {}", reply.over, reply.body);
            let message = reply.body["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("the limit `tenants.unknown_price` is 5"), "{message}");
        }
    }
    let known = json!({"query": QUERY, "extensions": {"cost": true}});
    for reply in everywhere(&server, &token, &known).await {
        assert_eq!(reply.body["extensions"]["cost"]["limit"], 1_000_000, "over {}: {}", reply.over, reply.body);
    }
}

#[tokio::test]
async fn hostile_30_no_answer_over_any_transport_may_be_kept_by_others() {
    let server = publishing(DocumentMode::Open).await;
    let token = admin(&server, "alpha");
    for operation in [
        json!({"query": QUERY, "extensions": {"cost": true}}),
        persisted(&hash(QUERY), None),
        persisted(&hash(OTHER), None),
        persisted(&hash(OTHER), Some(OTHER)),
        persisted(&hash(OTHER), None),
        json!({"documentId": "by-name"}),
        json!({"query": "{ nothing }"}),
        json!({"query": "{ facilities(limit: 1000) { devices(limit: 1000) { alerts(limit: 1000) { id } } } }"}),
    ] {
        for reply in everywhere(&server, &token, &operation).await.into_iter().filter(|reply| reply.over != "a socket")
        {
            let all: Vec<_> = reply.headers.get_all("cache-control").iter().collect();
            assert_eq!(all, ["no-store"], "over {}: {operation}", reply.over);
            for header in ["etag", "last-modified", "expires", "age"] {
                assert!(!reply.headers.contains_key(header), "{header} over {}", reply.over);
            }
        }
        let refused = server.client.post(server.url("/graphql")).json(&operation).send().await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["cache-control"]),
            (401, &"no-store".parse().unwrap())
        );
    }
}
