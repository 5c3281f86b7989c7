//! Vectors on the Qdrant server that `QUIPU_TEST_QDRANT` names (`scripts/servers/qdrant start` prints such a URL), with graph and metadata
//! embedded; and what holds for Qdrant alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quipu::stores::apart;
pub use quipu::stores::qdrant::Options;
use quipu::stores::qdrant::Qdrant;
use quipu::stores::sqlite::{self, Embedded};

use super::{Stores, skipped};

mod data;
mod double;
mod faults;
mod opening;

/// Numbers of a vector in the suite.
pub const DIMENSION: usize = 16;

/// The server's options with collections that nobody else has.
pub fn options() -> Option<Options> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let url = std::env::var("QUIPU_TEST_QDRANT").ok().filter(|url| !url.is_empty())?;
    let (scheme, rest) = url.split_once("://").expect("a URL in QUIPU_TEST_QDRANT");
    let (key, address) = rest.rsplit_once('@').map_or((None, rest), |(key, rest)| (Some(key.to_owned()), rest));
    let started = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    Some(Options {
        url: format!("{scheme}://{address}"),
        key,
        prefix: format!("case-{started}-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        model: "test".to_owned(),
        dimension: DIMENSION,
        wait: Duration::from_secs(10),
        ..Options::default()
    })
}

/// The server's options, or a word that a test is skipped.
fn options_for(test: &str) -> Option<Options> {
    let options = options();
    if options.is_none() {
        skipped(&format!("contract::qdrant::{test}"), "QUIPU_TEST_QDRANT names no server");
    }
    options
}

/// A client that knows nothing of Quipu.
pub fn plain(options: &Options) -> qdrant_client::Qdrant {
    let url = options.url.replace("qdrant", "http");
    let client = qdrant_client::Qdrant::from_url(&url).api_key(options.key.clone()).timeout(Duration::from_secs(30));
    client.skip_compatibility_check().build().unwrap()
}

/// Collections that go when a test has ended, and whatever else lives so long.
pub struct Kept<T> {
    options: Options,
    names: [String; 2],
    _more: T,
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        let (options, names) = (self.options.clone(), self.names.clone());
        // A test's own runtime cannot wait while something is dropped in it.
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = plain(&options);
                for name in names {
                    let _ = client.delete_collection(name).await;
                }
            });
        };
        let _ = std::thread::spawn(remove).join();
    }
}

pub async fn open(options: &Options) -> Qdrant {
    Qdrant::open(options.clone()).await.unwrap_or_else(|error| panic!("{error}; {}", error.help))
}

/// The store set of a case.
pub async fn opened(case: &str) -> Option<Stores> {
    let Some(options) = options() else {
        skipped(case, "QUIPU_TEST_QDRANT names no server");
        return None;
    };
    Some(beside(&options).await)
}

/// Vectors on a server, and what removes them at the end.
pub async fn kept<T>(options: &Options, more: T) -> (Qdrant, Kept<T>) {
    let qdrant = open(options).await;
    let names = qdrant.collections().map(str::to_owned);
    (qdrant, Kept { options: options.clone(), names, _more: more })
}

/// Vectors on a server with all else embedded.
pub async fn beside(options: &Options) -> Stores {
    let directory = tempfile::tempdir().unwrap();
    let rest = Embedded::open(&directory.path().join("quipu.db"), sqlite::Options::default()).await.unwrap();
    let (qdrant, kept) = kept(options, directory).await;
    let (graph, metadata) = (Arc::new(rest.graph()), Arc::new(rest.metadata()));
    let vectors = apart::over(Arc::new(qdrant), graph.clone(), metadata.clone());
    Stores { graph, metadata, vectors, _kept: Box::new(kept) }
}

/// Soon enough for whoever waits, and late enough for a busy machine.
fn patience() -> Instant {
    Instant::now() + Duration::from_secs(20)
}
