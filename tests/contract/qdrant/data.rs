//! What is in the collections, also as somebody sees it who knows nothing of Quipu.

use std::collections::BTreeMap;

use qdrant_client::qdrant::{CountPointsBuilder, ScrollPointsBuilder};
use quipu_resolvers::change::Ref;
use quipu_resolvers::ports::VectorChange;

use super::super::apart::{at, change, far_and_near, rows};
use super::super::fixture::*;
use super::*;

/// Points by tenant in the collection of vectors.
async fn held(options: &Options) -> BTreeMap<String, usize> {
    let name = format!("{}-test-16", options.prefix);
    let all = ScrollPointsBuilder::new(&name).limit(10_000).with_payload(true);
    let found = plain(options).scroll(all).await.unwrap();
    let mut counts = BTreeMap::new();
    for point in &found.result {
        for field in ["type", "property", "id"] {
            assert!(point.get(field).as_str().is_some(), "{point:?}");
        }
        *counts.entry(point.get("tenant").as_str().unwrap().clone()).or_default() += 1;
    }
    let counted = plain(options).count(CountPointsBuilder::new(name).exact(true)).await.unwrap();
    assert_eq!(counted.result.unwrap().count, found.result.len() as u64);
    counts
}

fn counts(alpha: usize, beta: usize) -> BTreeMap<String, usize> {
    [("alpha", alpha), ("beta", beta)].into_iter().filter(|(_, n)| *n > 0).map(|(who, n)| (who.to_owned(), n)).collect()
}

/// The same ids in two tenants are points of their own; storing one again replaces it, and removing it removes no other's.
#[tokio::test]
async fn each_tenant_has_points_of_its_own() {
    let Some(options) = options_for("data::each_tenant_has_points_of_its_own") else { return };
    let stores = beside(&options).await;
    let ids = ["f1", "f2", "f3"];
    let some = |angle| ids.map(|id| change("Facility", id, "summary", Some(at(angle)))).to_vec();
    for (position, angle) in [(1, 0.0), (1, 0.0), (2, 10.0)] {
        for who in TENANTS {
            stores.vectors.apply(&tenant(who), position, &some(angle)).await.unwrap();
        }
        assert_eq!(held(&options).await, counts(3, 3));
    }
    let whole = |id: &str| VectorChange {
        record: Ref { of: "Facility".to_owned(), id: id.to_owned() },
        property: None,
        vector: None,
    };
    // In order: what is stored after its record was removed stays.
    let mut changes = vec![whole("f1"), change("Facility", "f1", "name", Some(at(0.0))), whole("f2")];
    changes.extend([change("Facility", "f3", "summary", None), change("Facility", "f3", "summary", Some(at(5.0)))]);
    for _ in 0..2 {
        stores.vectors.apply(&tenant("alpha"), 3, &changes).await.unwrap();
        assert_eq!(held(&options).await, counts(2, 3));
    }
    stores.vectors.apply(&tenant("alpha"), 4, &[whole("f1"), whole("f3"), whole("f9")]).await.unwrap();
    assert_eq!(held(&options).await, counts(0, 3));
    while !stores.vectors.uncover(&tenant("beta"), "Facility", "summary").await.unwrap() {}
    assert_eq!(held(&options).await, counts(0, 0));
}

/// Vectors of another length are refused, and nothing of what comes with them is stored or noted.
#[tokio::test]
async fn vectors_of_another_length_are_refused() {
    let Some(options) = options_for("data::vectors_of_another_length_are_refused") else { return };
    let stores = beside(&options).await;
    let changes =
        [change("Facility", "f1", "summary", Some(at(0.0))), change("Facility", "f2", "summary", Some(vec![1.0]))];
    assert!(stores.vectors.apply(&tenant("alpha"), 1, &changes).await.is_err());
    assert_eq!(held(&options).await, counts(0, 0));
    assert_eq!(stores.vectors.position(&tenant("alpha")).await.unwrap(), 0);
}

/// However many records meet a condition, and wherever they are, the nearest of them are found.
#[tokio::test]
async fn all_that_exist_are_found_near_and_far() {
    let Some(options) = options_for("data::all_that_exist_are_found_near_and_far") else { return };
    far_and_near(&beside(&options).await).await;
}

#[tokio::test]
async fn vectors_of_rows() {
    let Some(options) = options_for("data::vectors_of_rows") else { return };
    rows(&beside(&options).await).await;
}

/// What one process wrote, another reads.
#[tokio::test]
async fn another_process_sees_the_same() {
    let Some(options) = options_for("data::another_process_sees_the_same") else { return };
    let one = beside(&options).await;
    one.vectors.apply(&tenant("alpha"), 7, &[change("Facility", "f1", "summary", Some(at(0.0)))]).await.unwrap();
    let other = beside(&options).await;
    assert_eq!(other.vectors.position(&tenant("alpha")).await.unwrap(), 7);
    assert_eq!(other.vectors.coverage(&tenant("alpha")).await.unwrap().len(), 1);
    assert_eq!(other.vectors.position(&tenant("beta")).await.unwrap(), 0);
    assert!(other.vectors.coverage(&tenant("beta")).await.unwrap().is_empty());
}
