//! Searches of one request that go to Qdrant together.

use std::sync::Arc;

use quipu_resolvers::ports::{Embedder as _, StoreName, Trace};
use serde_json::{Value as Json, json};

use super::address;
use crate::contract;
use crate::spec::world::{Letters, TENANTS, World, admin};

/// An ontology with that many embedded properties of that many types each.
fn ontology(types: usize, properties: usize) -> String {
    let property = |at| format!("  text{at}: String @embed\n");
    let properties: String = (0..properties).map(property).collect();
    (0..types).map(|at| format!("type Note{at} @node {{\n  id: ID!\n{properties}}}\n")).collect()
}

/// A world on Qdrant in which every property of every record has a text.
async fn world(types: usize, properties: usize) -> World {
    let options = contract::qdrant::options().expect("a server");
    let dimension = Letters.dimensions();
    let stores = contract::qdrant::beside(&quipu::stores::qdrant::Options { dimension, ..options }).await;
    let world = World::over(stores, &ontology(types, properties)).await;
    for tenant in TENANTS {
        for at in 0..types {
            let records = ["apple", "berry", "cherry"].map(|fruit| {
                let texts = (0..properties).map(|n| format!(", text{n}: \"{fruit} {tenant} {}\"", "z".repeat(n)));
                format!("{{ id: \"{fruit}{at}\"{} }}", texts.collect::<String>())
            });
            let create =
                format!("mutation {{ createNote{at}s(input: [{}]) {{ info {{ nodesCreated }} }} }}", records.join(" "));
            world.data(&admin(tenant), &create).await;
        }
    }
    world.embedded().await;
    world
}

/// The data, and how many requests it took to Qdrant.
async fn asked(world: &World, tenant: &str, query: &str) -> (Json, u64) {
    let trace = Arc::new(Trace::default());
    let body = world.traced(&admin(tenant), query, json!({}), &trace).await;
    assert!(body.get("errors").is_none(), "{body}");
    (body["data"].clone(), trace.count(StoreName::Vectors))
}

const SEARCH: &str = r#"search(query: "cherry", first: 4) { score node { id } }"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_search_takes_as_many_requests_whatever_it_searches() {
    if address("QUIPU_TEST_QDRANT", "a_search_takes_as_many_requests_whatever_it_searches").is_none() {
        return;
    }
    let mut requests = Vec::new();
    for (types, properties) in [(1, 1), (1, 6), (5, 4)] {
        let world = world(types, properties).await;
        for tenant in TENANTS {
            let (data, one) = asked(&world, tenant, &format!("{{ {SEARCH} }}")).await;
            assert!(data["search"][0]["node"]["id"].as_str().is_some_and(|id| id.starts_with("cherry")), "{data}");
            // Fields beside each other, when what they look for is known at the same time.
            let vector = serde_json::to_string(&[vec![1.0], vec![0.0; 25]].concat()).unwrap();
            let similar = |n| format!("s{n}: note0sSimilar(vector: {vector}, first: 2) {{ score node {{ id }} }}");
            let (alone, _) = asked(&world, tenant, &format!("{{ {} }}", similar(0))).await;
            let fields: Vec<String> = (0..8).map(similar).collect();
            let (eight, together) = asked(&world, tenant, &format!("{{ {} }}", fields.join(" "))).await;
            assert!((0..8).all(|n| eight[format!("s{n}")] == alone["s0"]), "{eight}");
            requests.push((one, together));
        }
    }
    // One, and one more for the few vectors that there are.
    assert!(requests.iter().all(|of| *of == (2, 2)), "{requests:?}");
}
