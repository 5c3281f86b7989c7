//! Stores that several processes open one after the other.

use std::path::PathBuf;
use std::sync::Arc;

use quipu::stores::apart::{self, Bare};
use quipu::stores::neo4j::Neo4j;
use quipu::stores::postgres::Postgres;
use quipu::stores::sqlite::{self, Embedded};
use serde_json::{Value as Json, json};

use super::{Stores, neo4j, postgres, qdrant, skipped};

/// Where stores are.
pub struct Whereabouts {
    /// A file, alone or for the vectors.
    file: PathBuf,
    /// The namespace in Neo4j, the schema in Postgres, and what collections begin with in Qdrant, where there is one.
    servers: Option<(String, String, Option<String>)>,
    /// Numbers of a vector.
    dimension: usize,
    _directory: Option<tempfile::TempDir>,
}

impl Whereabouts {
    /// Of stores that nobody else has; nothing where there are no servers.
    pub fn fresh(case: &str, on_servers: bool, dimension: usize) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("quipu.db");
        let servers = match on_servers {
            false => None,
            true => {
                let Some(options) = neo4j::options() else {
                    skipped(case, "QUIPU_TEST_NEO4J names no server");
                    return None;
                };
                let prefix = qdrant::options().map(|options| options.prefix);
                Some((options.namespace, postgres::server(case)?.fresh().schema, prefix))
            }
        };
        Some(Self { file, servers, dimension, _directory: Some(directory) })
    }

    /// For another process.
    pub fn to_json(&self) -> Json {
        json!([self.file, self.servers, self.dimension])
    }

    /// What another process was told.
    pub fn of(told: &Json) -> Self {
        let (file, servers, dimension) = serde_json::from_value(told.clone()).expect("whereabouts");
        Self { file, servers, dimension, _directory: None }
    }

    /// Opens the stores.
    pub async fn open(&self) -> Stores {
        let file = Embedded::open(&self.file, sqlite::Options::default()).await.unwrap();
        let kept = Box::new(());
        let Some((namespace, schema, prefix)) = &self.servers else {
            let (graph, metadata, vectors) = (file.graph(), file.metadata(), file.vectors());
            let (graph, metadata, vectors) = (Arc::new(graph), Arc::new(metadata), Arc::new(vectors));
            return Stores { graph, metadata, vectors, _kept: kept };
        };
        let mut options = postgres::server("").expect("a server").fresh();
        options.schema.clone_from(schema);
        let metadata = Postgres::open(options).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
        let mut options = neo4j::options().expect("a server");
        options.namespace.clone_from(namespace);
        let graph = Neo4j::open(options).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
        let metadata = Arc::new(metadata);
        let graph = Arc::new(graph.with_rows(metadata.clone()));
        let vectors: Arc<dyn Bare> = match prefix {
            Some(prefix) => {
                let options = qdrant::options().expect("a server");
                let options = qdrant::Options { prefix: prefix.clone(), dimension: self.dimension, ..options };
                Arc::new(qdrant::open(&options).await)
            }
            None => Arc::new(file.vectors()),
        };
        let vectors = apart::over(vectors, graph.clone(), metadata.clone());
        Stores { graph, metadata, vectors, _kept: kept }
    }
}
