//! Documents that are published for tenants.

use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Metadata, Room, TrustedDocument};

use super::Stores;
use super::changes::refused;
use super::fixture::*;

const ROOM: Room = Room { documents: 3, bytes: 60 };

fn documents(all: &[(&str, &str)]) -> Vec<TrustedDocument> {
    all.iter().map(|(id, text)| TrustedDocument { id: (*id).to_owned(), text: (*text).to_owned() }).collect()
}

async fn kept(stores: &Stores, who: &str) -> Vec<(String, String)> {
    let (_, documents) = stores.metadata.documents(&tenant(who)).await.unwrap();
    documents.into_iter().map(|one| (one.id, one.text)).collect()
}

/// How often the documents of tenants were changed, of those that ever had some.
async fn changes_of(metadata: &dyn Metadata) -> Vec<(TenantId, u64)> {
    let tenants = metadata.tenants().await.unwrap();
    tenants.into_iter().filter(|one| one.documents > 0).map(|one| (one.tenant, one.documents)).collect()
}

pub async fn documents_are_published_per_tenant(stores: Stores) {
    let metadata = &stores.metadata;
    let nobody = metadata.publish_documents(&tenant("nobody"), &documents(&[("a", "{ a }")]), ROOM, AT).await;
    assert_eq!(refused(nobody).0, Code::NotFound);
    assert_eq!(metadata.documents(&tenant("nobody")).await.unwrap(), (0, Vec::new()));
    for who in TENANTS {
        metadata.publish(&tenant(who), "one", &ontology(), AT).await.unwrap();
        assert_eq!(metadata.documents(&tenant(who)).await.unwrap(), (0, Vec::new()));
    }
    assert!(changes_of(metadata.as_ref()).await.is_empty());
    for (who, text) in TENANTS.into_iter().zip(["{ one }", "{ two 'é\" }"]) {
        let some = documents(&[("b", text), ("a", "{ a }")]);
        assert_eq!(metadata.publish_documents(&tenant(who), &some, ROOM, AT).await.unwrap(), 2);
        assert_eq!(metadata.publish_documents(&tenant(who), &some, ROOM, AT).await.unwrap(), 0, "they are there");
    }
    let pair = |id: &str, text: &str| (id.to_owned(), text.to_owned());
    assert_eq!(kept(&stores, "alpha").await, [pair("a", "{ a }"), pair("b", "{ one }")]);
    assert_eq!(kept(&stores, "beta").await, [pair("a", "{ a }"), pair("b", "{ two 'é\" }")]);
    let changes = [(tenant("alpha"), 1), (tenant("beta"), 1)];
    assert_eq!(changes_of(metadata.as_ref()).await, changes, "what changes nothing does not count");

    let gone = ["b".to_owned(), "nothing".to_owned()];
    assert_eq!(metadata.remove_documents(&tenant("alpha"), &gone).await.unwrap(), 1);
    assert_eq!(metadata.remove_documents(&tenant("alpha"), &gone).await.unwrap(), 0);
    assert_eq!(kept(&stores, "alpha").await, [pair("a", "{ a }")]);
    assert_eq!(kept(&stores, "beta").await.len(), 2, "the other tenant's stay");
    assert_eq!(changes_of(metadata.as_ref()).await, [(tenant("alpha"), 2), (tenant("beta"), 1)]);
    assert_eq!(metadata.documents(&tenant("alpha")).await.unwrap().0, 2);
    assert_eq!(refused(metadata.remove_documents(&tenant("nobody"), &gone).await).0, Code::NotFound);
}

pub async fn documents_are_published_all_or_none(stores: Stores) {
    let metadata = &stores.metadata;
    let alpha = tenant("alpha");
    metadata.publish(&alpha, "one", &ontology(), AT).await.unwrap();
    metadata.publish_documents(&alpha, &documents(&[("a", "{ a }")]), ROOM, AT).await.unwrap();
    let long = "x".repeat(60);
    for (some, said) in [
        (vec![("b", "{ b }"), ("a", "{ other }")], "the id a stands for another text"),
        (vec![("b", "{ b }"), ("b", "{ c }")], "the id b stands for another text"),
        (vec![("b", "{ b }"), ("c", "{ c }"), ("d", "{ d }")], "limits.trusted_documents"),
        (vec![("b", long.as_str())], "limits.trusted_bytes"),
    ] {
        let (code, message) = refused(metadata.publish_documents(&alpha, &documents(&some), ROOM, AT).await);
        assert!(code == Code::Conflict && message.contains(said), "{message}");
    }
    assert_eq!(kept(&stores, "alpha").await.len(), 1);
    assert_eq!(changes_of(metadata.as_ref()).await, [(alpha, 1)]);
}
