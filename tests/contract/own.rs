//! One tenant in a Neo4j database that is served as others wrote it (`QUIPU_TEST_NEO4J_OTHER`), all others on the usual server.

use std::collections::HashMap;
use std::sync::Arc;

use quipu::stores::apart;
use quipu::stores::neo4j::{Neo4j, Options, TenancyMode};
use quipu::stores::routed::RoutedGraph;
use quipu::stores::sqlite::{self, Embedded};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Graph;

use super::{Stores, neo4j, skipped};
use crate::servers::foreign::Foreign;

/// The store set of a case, whose tenant `alpha` has the database.
pub async fn opened(case: &str) -> Option<Stores> {
    of_tenant(case, "alpha").await
}

/// The same for the demo's tenant `supertrack`.
pub async fn of_supertrack(case: &str) -> Option<Stores> {
    of_tenant(case, "supertrack").await
}

async fn of_tenant(case: &str, tenant: &str) -> Option<Stores> {
    let Some(usual) = neo4j::options() else {
        skipped(case, "QUIPU_TEST_NEO4J names no server");
        return None;
    };
    let foreign = Foreign::without_records(case).await?;
    let own = Options {
        tenancy: TenancyMode::Database,
        section: format!("graph.tenants.{tenant}"),
        ..neo4j::at(&foreign.url)
    };
    let directory = tempfile::tempdir().unwrap();
    let rest = Embedded::open(&directory.path().join("quipu.db"), sqlite::Options::default()).await.unwrap();
    let metadata = Arc::new(rest.metadata());
    let open = async |options| {
        let graph = Neo4j::open(options).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
        Arc::new(graph.with_rows(metadata.clone())) as Arc<dyn Graph>
    };
    let (usual, own) = (open(usual).await, open(own).await);
    let named = HashMap::from([(TenantId::parse(tenant).unwrap(), own)]);
    let graph: Arc<dyn Graph> = Arc::new(RoutedGraph::new(usual, named));
    let vectors = apart::over(Arc::new(rest.vectors()), graph.clone(), metadata.clone());
    Some(Stores { graph, metadata: metadata.clone(), vectors, _kept: Box::new((directory, foreign)) })
}
