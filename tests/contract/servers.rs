//! Every store on a server of its own, as far as there are servers.

use std::sync::Arc;

use quipu::stores::apart;
use quipu::stores::neo4j::Neo4j;
use quipu::stores::postgres::Postgres;
use quipu::stores::sqlite::{self, Embedded};

use super::{Stores, neo4j, postgres, qdrant, skipped};

/// Nodes in Neo4j, rows, registry and log in Postgres, vectors in Qdrant, or in a file where there is none.
pub async fn opened(case: &str) -> Option<Stores> {
    of_dimension(case, qdrant::DIMENSION).await
}

/// The same for vectors of the model that ships.
pub async fn with_model(case: &str) -> Option<Stores> {
    of_dimension(case, 384).await
}

/// The same for vectors of some length.
pub async fn of_dimension(case: &str, dimension: usize) -> Option<Stores> {
    let Some(options) = neo4j::options() else {
        skipped(case, "QUIPU_TEST_NEO4J names no server");
        return None;
    };
    let rows = postgres::server(case)?.fresh();
    let metadata = Postgres::open(rows).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
    let graph = Neo4j::open(options).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
    let metadata = Arc::new(metadata);
    let graph = Arc::new(graph.with_rows(metadata.clone()));
    if let Some(options) = qdrant::options() {
        let (store, kept) = qdrant::kept(&qdrant::Options { dimension, ..options }, ()).await;
        let vectors = apart::over(Arc::new(store), graph.clone(), metadata.clone());
        return Some(Stores { graph, metadata, vectors, _kept: Box::new(kept) });
    }
    let directory = tempfile::tempdir().unwrap();
    let file = Embedded::open(&directory.path().join("quipu.db"), sqlite::Options::default()).await.unwrap();
    let vectors = apart::over(Arc::new(file.vectors()), graph.clone(), metadata.clone());
    Some(Stores { graph, metadata, vectors, _kept: Box::new(directory) })
}
