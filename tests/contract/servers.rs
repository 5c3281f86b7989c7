//! Every store on a server of its own, as far as there are servers.

use std::sync::Arc;

use quipu::stores::apart;
use quipu::stores::neo4j::Neo4j;
use quipu::stores::postgres::Postgres;
use quipu::stores::sqlite::{self, Embedded};

use super::{Stores, neo4j, postgres, skipped};

/// Nodes in Neo4j, rows, registry and log in Postgres, vectors in a file.
pub async fn opened(case: &str) -> Option<Stores> {
    let Some(options) = neo4j::options() else {
        skipped(case, "QUIPU_TEST_NEO4J names no server");
        return None;
    };
    let rows = postgres::server(case)?.fresh();
    let metadata = Postgres::open(rows).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
    let graph = Neo4j::open(options).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
    let metadata = Arc::new(metadata);
    let directory = tempfile::tempdir().unwrap();
    let file = Embedded::open(&directory.path().join("quipu.db"), sqlite::Options::default()).await.unwrap();
    let graph = Arc::new(graph.with_rows(metadata.clone()));
    let vectors = apart::over(Arc::new(file.vectors()), graph.clone(), metadata.clone());
    Some(Stores { graph, metadata, vectors, _kept: Box::new(directory) })
}
