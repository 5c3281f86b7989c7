//! The graph in Neo4j, on the server that `QUIPU_TEST_NEO4J` names (`scripts/servers/neo4j start` prints such a URL), with all else
//! embedded; and what holds for Neo4j alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quipu::stores::neo4j::{Neo4j, Options, TenancyMode};
use quipu::stores::sqlite::{self, Embedded};

use super::{Stores, skipped};

/// The server's options with a namespace that nobody else has.
pub fn options() -> Option<Options> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let url = std::env::var("QUIPU_TEST_NEO4J").ok().filter(|url| !url.is_empty())?;
    let (scheme, rest) = url.split_once("://").expect("a URL in QUIPU_TEST_NEO4J");
    let (credentials, address) = rest.rsplit_once('@').expect("user and password in QUIPU_TEST_NEO4J");
    let (user, password) = credentials.split_once(':').expect("user and password in QUIPU_TEST_NEO4J");
    let started = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    Some(Options {
        url: format!("{scheme}://{address}"),
        user: user.to_owned(),
        password: password.to_owned(),
        database: None,
        pool: 8,
        wait: Duration::from_secs(10),
        tenancy: TenancyMode::Property,
        namespace: format!("{started}-{}/", NEXT.fetch_add(1, Ordering::Relaxed)),
    })
}

/// Cases that need of the other stores what these do not do yet when the graph is elsewhere, and why.
const PENDING: &[(&str, &str)] = &[
    ("keeping::publishing_over_data", NODES),
    ("keeping::publishing_over_a_long_log", NODES),
    ("keeping::publishing_refuses_what_does_not_fit", NODES),
    ("keeping::publishing_fills_in_defaults", NODES),
    ("searches::words_of_rows", ROWS),
    ("searches::nearest_with_filter", VECTORS),
    ("searches::few_among_many", VECTORS),
    ("searches::vectors_come_and_go", VECTORS),
    ("searches::coverage_of_properties", VECTORS),
    ("visibility::hidden_in_searches", VECTORS),
];

const NODES: &str = "publishing in the embedded file looks for nodes there only";
const ROWS: &str = "the graph knows no rows, whose conditions it would have to ask";
const VECTORS: &str = "vectors in the embedded file ask conditions of nodes there only";

/// The store set of a case.
pub async fn opened(case: &str) -> Option<Stores> {
    let Some(options) = options() else {
        skipped(case, "QUIPU_TEST_NEO4J names no server");
        return None;
    };
    if let Some((_, why)) = PENDING.iter().find(|(pending, _)| case.ends_with(pending)) {
        skipped(case, why);
        return None;
    }
    let graph = Neo4j::open(options).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
    let directory = tempfile::tempdir().unwrap();
    let rest = Embedded::open(&directory.path().join("quipu.db"), sqlite::Options::default()).await.unwrap();
    Some(Stores {
        graph: Arc::new(graph),
        metadata: Arc::new(rest.metadata()),
        vectors: Arc::new(rest.vectors()),
        _kept: Box::new(directory),
    })
}
