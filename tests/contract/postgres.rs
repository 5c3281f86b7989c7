//! Postgres as the metadata store beside an embedded graph and embedded vectors, and what holds for Postgres alone.
//!
//! `scripts/servers/postgres start` starts a server and prints the two variables that these cases need. Without them they are skipped,
//! each by its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quipu::stores::apart;
use quipu::stores::postgres::{Options, Postgres};
use quipu::stores::sqlite::{self, Embedded};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::{Stores, skipped};

mod faults;
mod isolation;
mod opening;
mod plans;
mod tls;

/// A server for tests.
#[derive(Debug, Clone)]
pub struct Server {
    pub owner: String,
    pub login: String,
    /// A superuser's, where it is known.
    pub admin: Option<String>,
}

/// The server, if there is one; otherwise says that a case is skipped.
pub fn server(case: &str) -> Option<Server> {
    let (owner, login) = (std::env::var("QUIPU_TEST_POSTGRES"), std::env::var("QUIPU_TEST_POSTGRES_LOGIN"));
    if let (Ok(owner), Ok(login)) = (owner, login) {
        return Some(Server { owner, login, admin: std::env::var("QUIPU_TEST_POSTGRES_ADMIN").ok() });
    }
    skipped(case, "QUIPU_TEST_POSTGRES names no server");
    None
}

impl Server {
    /// Options for a schema that nothing else uses.
    pub fn fresh(&self) -> Options {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
        Options {
            url: self.login.clone(),
            owner_url: Some(self.owner.clone()),
            schema: format!("case_{now}_{number}"),
            ..Options::default()
        }
    }
}

/// An address with one more parameter.
pub fn with_parameter(url: &str, parameter: &str) -> String {
    format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' })
}

/// Rows, registry and log in Postgres, a graph and vectors in a file of their own.
pub async fn beside(metadata: Postgres) -> Stores {
    let directory = tempfile::tempdir().unwrap();
    let embedded = Embedded::open(&directory.path().join("quipu.db"), sqlite::Options::default()).await.unwrap();
    let (graph, metadata) = (Arc::new(embedded.graph()), Arc::new(metadata));
    let vectors = apart::over(Arc::new(embedded.vectors()), graph.clone(), metadata.clone());
    Stores { graph, metadata, vectors, _kept: Box::new(directory) }
}

/// A connection that Quipu knows nothing of, in the schema of some options.
pub async fn plain(url: &str, options: &Options) -> PgConnection {
    let connect: PgConnectOptions = url.parse().unwrap();
    PgConnection::connect_with(&connect.options([("search_path", options.schema.as_str())])).await.unwrap()
}

/// Empty stores: rows, registry and log in a schema of their own.
pub async fn opened(case: &str) -> Option<Stores> {
    let options = server(case)?.fresh();
    let metadata = Postgres::open(options).await.unwrap_or_else(|error| panic!("{error}: {}", error.help));
    Some(beside(metadata).await)
}
