//! The embedded store.

use std::sync::Arc;

use quipu::stores::sqlite::{Embedded, Options};

use super::Stores;

/// An empty embedded store in a directory of its own.
pub async fn open() -> Stores {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(&directory.path().join("quipu.db"), Options::default()).await.unwrap();
    Stores { graph: Arc::new(store.graph()), metadata: Arc::new(store.metadata()), kept: Box::new(directory) }
}
