//! What is kept beside the records: the log per tenant, and what is published over data.

use quipu_resolvers::change::Op;
use quipu_resolvers::fault::Code;
use serde_json::json;

use super::Stores;
use super::changes::*;
use super::fixture::*;

pub async fn the_log_is_per_tenant(stores: Stores) {
    fill(&stores).await;
    for index in 0..3 {
        write(&stores, "alpha", vec![facility("f9", &format!("nine {index}"))]).await;
    }
    assert_eq!(stores.metadata.head(&tenant("alpha")).await.unwrap(), 4);
    assert_eq!(stores.metadata.head(&tenant("beta")).await.unwrap(), 1);
    assert_eq!(stores.metadata.head(&tenant("nobody")).await.unwrap(), 0);
    assert_eq!(stores.graph.position(&tenant("nobody")).await.unwrap(), 0);
    let pages = stores.metadata.log(&tenant("alpha"), 1, 2).await.unwrap();
    assert_eq!(pages.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 3]);
    assert!(stores.metadata.log(&tenant("alpha"), 4, 10).await.unwrap().is_empty());
    assert!(stores.metadata.log(&tenant("nobody"), 0, 10).await.unwrap().is_empty());
    assert_eq!(log(&stores, "beta").await.len(), 1);
}

pub async fn publishing(stores: Stores) {
    assert!(stores.metadata.published().await.unwrap().is_empty());
    let ontology = ontology();
    for who in TENANTS {
        let tenant = tenant(who);
        assert_eq!(stores.metadata.ontology(&tenant).await.unwrap(), None);
        for (sdl, version) in [("one", 1), ("one", 1), ("two", 2), ("one", 3)] {
            assert_eq!(stores.metadata.publish(&tenant, sdl, &ontology).await.unwrap(), version);
            assert_eq!(stores.metadata.ontology(&tenant).await.unwrap(), Some((version, sdl.to_owned())));
        }
    }
    let published = stores.metadata.published().await.unwrap();
    assert_eq!(published, [(tenant("alpha"), 3), (tenant("beta"), 3)]);
}

/// What becomes unique or embedded holds for the records that are there already, applied or not.
pub async fn publishing_over_data(stores: Stores) {
    let (full, mut plain) = (ontology(), ontology());
    let facility = &mut plain.types["Facility"];
    (facility.properties["code"].unique, facility.properties["code"].indexed) = (false, false);
    facility.properties["summary"].embed = false;
    let coded = |id: &str, code: &str, summary: &str| {
        let Op::Put { record, row, mode, set, .. } =
            put("Facility", id, json!({"name": id, "region": "r", "code": code, "summary": summary}))
        else {
            unreachable!()
        };
        Op::Put { record, row, mode, set, unique: Vec::new(), embed: Vec::new() }
    };
    for who in TENANTS {
        let publish = |sdl, ontology| {
            let metadata = std::sync::Arc::clone(&stores.metadata);
            async move { metadata.publish(&tenant(who), sdl, ontology).await }
        };
        publish("plain", &plain).await.unwrap();
        write(&stores, who, vec![coded("f1", "A", "frozen fish"), coded("f2", "A", "vaccines")]).await;
        let (code, message) = refused(publish("full", &full).await);
        assert_eq!((code, message.as_str()), (Code::Conflict, "Facility.code cannot be unique: \"A\" is there twice"));
        assert_eq!(stores.metadata.ontology(&tenant(who)).await.unwrap().unwrap().1, "plain");
        accept(&stores, who, vec![coded("f2", "B", "vaccines and fish")]).await.unwrap();
        publish("full", &full).await.unwrap();
        let taken = put("Facility", "f3", json!({"name": "n", "region": "r", "code": "B"}));
        assert_eq!(refused(accept(&stores, who, vec![taken.clone()]).await).0, Code::Conflict);
        assert_eq!(super::searches::found(&stores, who, "fish").await.len(), 2);
        // A change that was made before somebody heard of it.
        write(&stores, who, vec![coded("f1", "A", "a cake")]).await;
        assert_eq!(super::searches::found(&stores, who, "fish").await, ["Facility f2"]);
        assert_eq!(super::searches::found(&stores, who, "cake").await, ["Facility f1"]);
        publish("plain again", &plain).await.unwrap();
        let Op::Put { record, row, mode, set, .. } = taken else { unreachable!() };
        write(&stores, who, vec![Op::Put { record, row, mode, set, unique: vec![], embed: vec![] }]).await;
        assert!(super::searches::found(&stores, who, "fish").await.is_empty());
        assert_eq!(refused(publish("full again", &full).await).0, Code::Conflict);
    }
}

/// Changes from many at once are all accepted, one after another, and reads go on meanwhile.
pub async fn many_at_once(stores: Stores) {
    for who in TENANTS {
        publish(&stores, who).await;
    }
    let stores = std::sync::Arc::new(stores);
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..40 {
        let stores = std::sync::Arc::clone(&stores);
        tasks.spawn(async move {
            let who = TENANTS[index % 2];
            let accepted = accept(&stores, who, vec![facility(&format!("f{index:02}"), who)]).await.unwrap();
            names(&stores, who).await;
            accepted.seq
        });
    }
    let mut positions = tasks.join_all().await;
    positions.sort_unstable();
    let expected: Vec<u64> = (1..=20).flat_map(|seq| [seq, seq]).collect();
    assert_eq!(positions, expected);
    for who in TENANTS {
        follow(&stores, who).await;
        assert_eq!(names(&stores, who).await.as_array().unwrap().len(), 20);
    }
}
