//! The life of tenants: suspended, rolled back, deleted without a trace, and made anew.

use quipu_resolvers::fault::Code;
use quipu_resolvers::ports::{Coverage, Held, Life, Reached, SharedGraph, VectorChange};
use serde_json::json;

use super::Stores;
use super::changes::{facility, names, refused};
use super::fixture::*;

async fn life_of(stores: &Stores, who: &str) -> Life {
    let tenants = stores.metadata.tenants().await.unwrap();
    tenants.into_iter().find(|state| state.tenant == tenant(who)).map(|state| state.life).expect("it is known")
}

fn leaving() -> Life {
    Life::Leaving { since: AT.to_owned() }
}

fn gone() -> Life {
    Life::Gone { since: AT.to_owned() }
}

pub async fn tenants_are_suspended_and_served_again(stores: Stores) {
    fill(&stores).await;
    let (metadata, alpha) = (&stores.metadata, tenant("alpha"));
    let suspended = Life::Suspended { since: AT.to_owned(), reason: Some("the contract 'ended\"".to_owned()) };
    assert_eq!(metadata.set_life(&alpha, &suspended).await.unwrap(), Life::Active);
    assert_eq!(life_of(&stores, "alpha").await, suspended);
    assert_eq!(life_of(&stores, "beta").await, Life::Active, "the other tenant is served on");
    let known = metadata.tenants().await.unwrap();
    let numbers: Vec<_> = known.iter().map(|state| (state.tenant.as_str(), state.version, state.head)).collect();
    assert_eq!(numbers, [("alpha", 1, 1), ("beta", 1, 1)]);
    assert_eq!(metadata.published().await.unwrap().len(), 2, "its stores are kept in step");
    write(&stores, "alpha", vec![facility("f9", "nine")]).await;
    assert_eq!(metadata.set_life(&alpha, &Life::Active).await.unwrap(), suspended);
    assert_eq!(life_of(&stores, "alpha").await, Life::Active);
    assert_eq!(refused(metadata.set_life(&tenant("nobody"), &Life::Active).await).0, Code::NotFound);
}

pub async fn plans_are_set_for_one_tenant(stores: Stores) {
    fill(&stores).await;
    let (metadata, alpha) = (&stores.metadata, tenant("alpha"));
    let plans = async || -> Vec<Option<String>> {
        metadata.tenants().await.unwrap().into_iter().map(|state| state.plan).collect()
    };
    assert_eq!(plans().await, [None, None]);
    metadata.set_plan(&alpha, Some("{}")).await.unwrap();
    assert_eq!(plans().await, [Some("{}".to_owned()), None], "the other tenant has none");
    metadata.set_plan(&alpha, None).await.unwrap();
    assert_eq!(plans().await, [None, None]);
    assert_eq!(refused(metadata.set_plan(&tenant("nobody"), Some("{}")).await).0, Code::NotFound);
    metadata.set_plan(&alpha, Some("{}")).await.unwrap();
    metadata.set_life(&alpha, &leaving()).await.unwrap();
    assert_eq!(refused(metadata.set_plan(&alpha, None).await).0, Code::NotFound);
    metadata.set_life(&alpha, &gone()).await.unwrap();
    assert_eq!(plans().await, [None, None], "it goes with the tenant");
}

pub async fn nothing_is_written_for_a_tenant_that_is_leaving(stores: Stores) {
    fill(&stores).await;
    let (metadata, alpha) = (&stores.metadata, tenant("alpha"));
    metadata.set_life(&alpha, &leaving()).await.unwrap();
    assert_eq!(metadata.published().await.unwrap(), [(tenant("beta"), 1)]);
    assert_eq!(refused(accept(&stores, "alpha", vec![facility("f9", "nine")]).await).0, Code::NotFound);
    assert_eq!(refused(metadata.publish(&alpha, "another", &ontology(), AT).await).0, Code::Conflict);
    assert_eq!(refused(metadata.set_life(&alpha, &Life::Active).await).0, Code::Conflict, "there is no way back");
    assert_eq!(metadata.head(&alpha).await.unwrap(), 1);
    write(&stores, "beta", vec![facility("f9", "nine")]).await;
}

pub async fn versions_of_ontologies_are_kept(stores: Stores) {
    let metadata = &stores.metadata;
    for who in TENANTS {
        assert!(metadata.history(&tenant(who)).await.unwrap().is_empty());
        for sdl in ["one", who, "one"] {
            metadata.publish(&tenant(who), sdl, &ontology(), AT).await.unwrap();
        }
    }
    for who in TENANTS {
        let versions = metadata.history(&tenant(who)).await.unwrap();
        let told: Vec<_> = versions.iter().map(|one| (one.version, one.at.as_deref(), one.bytes)).collect();
        assert_eq!(told, [(1, Some(AT), 3), (2, Some(AT), who.len() as u64), (3, Some(AT), 3)]);
        assert_eq!(metadata.ontology_at(&tenant(who), 2).await.unwrap().as_deref(), Some(who));
        assert_eq!(metadata.ontology_at(&tenant(who), 4).await.unwrap(), None);
    }
}

/// What all stores have of a tenant.
async fn held(stores: &Stores, who: &str) -> Vec<Held> {
    let who = tenant(who);
    let mut held = stores.metadata.held(&who).await.unwrap();
    held.extend(stores.graph.held(&who, SharedGraph::Removed).await.unwrap());
    held.extend(stores.vectors.held(&who).await.unwrap());
    held
}

async fn forget(stores: &Stores, who: &str) {
    stores.metadata.forget(&tenant(who)).await.unwrap();
    stores.graph.forget(&tenant(who), SharedGraph::Removed).await.unwrap();
    stores.vectors.forget(&tenant(who)).await.unwrap();
}

async fn with_vectors(stores: &Stores, who: &str) {
    let mut vector = vec![0.0; 16];
    vector[0] = 1.0;
    let record = record("Facility", "f1");
    let change = VectorChange { record, property: Some("summary".to_owned()), vector: Some(vector) };
    stores.vectors.apply(&tenant(who), 1, &[change]).await.unwrap();
    let all = Coverage { of: "Facility".to_owned(), property: "summary".to_owned(), reached: Reached::All };
    stores.vectors.cover(&tenant(who), &all, &[]).await.unwrap();
}

pub async fn a_deleted_tenant_leaves_nothing_and_others_alone(stores: Stores) {
    fill(&stores).await;
    for who in TENANTS {
        with_vectors(&stores, who).await;
    }
    let (metadata, alpha) = (&stores.metadata, tenant("alpha"));
    let (before, of_beta) = (held(&stores, "alpha").await, held(&stores, "beta").await);
    let names_of_beta = names(&stores, "beta").await;
    assert_eq!(names_of_beta.as_array().map(Vec::len), Some(4));
    assert!(before.iter().filter(|one| one.count > 0).count() > 5, "{before:?}");
    metadata.set_life(&alpha, &leaving()).await.unwrap();
    // Interrupted after the log, and begun again.
    metadata.forget(&alpha).await.unwrap();
    for _ in 0..2 {
        forget(&stores, "alpha").await;
        let left = held(&stores, "alpha").await;
        assert!(left.iter().all(|one| one.count == 0), "{left:?}");
    }
    metadata.set_life(&alpha, &gone()).await.unwrap();
    assert_eq!(held(&stores, "beta").await, of_beta, "the other tenant has what it had");
    assert_eq!(names(&stores, "beta").await, names_of_beta);
    assert_eq!(metadata.head(&alpha).await.unwrap(), 0);
    assert_eq!(metadata.ontology(&alpha).await.unwrap(), None);
    assert!(metadata.log(&alpha, 0, 9).await.unwrap().is_empty());
    assert_eq!(refused(accept(&stores, "alpha", vec![facility("f9", "nine")]).await).0, Code::NotFound);
    assert_eq!(refused(metadata.set_life(&alpha, &Life::Active).await).0, Code::NotFound);
    assert_eq!(names(&stores, "alpha").await, json!([]));
}

pub async fn a_name_is_used_anew_after_its_tenant_went(stores: Stores) {
    fill(&stores).await;
    with_vectors(&stores, "alpha").await;
    let (metadata, alpha) = (&stores.metadata, tenant("alpha"));
    metadata.set_life(&alpha, &leaving()).await.unwrap();
    forget(&stores, "alpha").await;
    metadata.set_life(&alpha, &gone()).await.unwrap();
    publish(&stores, "alpha").await;
    assert_eq!(metadata.published().await.unwrap(), [(alpha.clone(), 2), (tenant("beta"), 1)], "versions go on");
    metadata.prepare(&alpha, &ontology()).await.unwrap();
    assert_eq!((metadata.head(&alpha).await.unwrap(), stores.graph.position(&alpha).await.unwrap()), (0, 0));
    write(&stores, "alpha", vec![facility("f7", "seven")]).await;
    assert_eq!(names(&stores, "alpha").await, json!([["f7", "seven"]]));
    assert_eq!(stores.graph.position(&alpha).await.unwrap(), 1);
    write(&stores, "alpha", world("alpha")).await;
    assert_eq!(names(&stores, "alpha").await.as_array().map(Vec::len), Some(5));
}
