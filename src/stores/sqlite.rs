//! The embedded store: graph, rows, registry, log, full text and vectors of all tenants in one SQLite file.
//!
//! [`Embedded::open`] checks the file and holds its connections: several that read and one that writes. The ports are three thin
//! handles over it, so that another mix of stores can be configured.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Reader, StoreName};
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, sqlite::SqliteRow};

use super::known::Known;
use super::lives::unknown as unknown_tenant;
use super::sql::{self, Dialect, Parameter, Statement, names::Names};

mod accept;
mod apart;
mod audit;
mod codes;
mod connections;
mod covered;
mod credentials;
mod documents;
mod fitting;
mod forget;
mod graph;
mod known;
mod lives;
mod metadata;
mod migrations;
mod open;
mod publish;
mod records;
mod registry;
mod tenants;
mod text;
mod vectors;

use connections::{Connections, Failure, Lease, within};
pub use migrations::plan;
pub use open::{APPLICATION_ID, OpenError, Options};

/// Longest time for work that belongs to no request, like applying the log.
const BACKGROUND: Duration = Duration::from_secs(60);

/// Longest time for publishing, which may index what is there already.
const PUBLISHING: Duration = Duration::from_secs(900);

/// An open file.
#[derive(Debug)]
pub struct Embedded {
    readers: Arc<Connections>,
    writer: Arc<Connections>,
    known: Known,
    /// Whether the graph is this one, and not another store's.
    holds_graph: AtomicBool,
    /// Tenants whose graph is another store's all the same.
    elsewhere: OnceLock<BTreeSet<TenantId>>,
    /// Whether rows, registry and log are these.
    holds_metadata: AtomicBool,
}

/// The port `Graph` over an embedded store.
#[derive(Debug, Clone)]
pub struct EmbeddedGraph(Arc<Embedded>);

/// The port `Metadata` over an embedded store.
#[derive(Debug, Clone)]
pub struct EmbeddedMetadata(Arc<Embedded>);

/// The port `Vectors` over an embedded store.
#[derive(Debug, Clone)]
pub struct EmbeddedVectors(Arc<Embedded>);

impl Embedded {
    /// Opens a file; makes it when it is not there, brings it up to date when it is older.
    ///
    /// # Errors
    /// When the file is of a newer version, of another program, not a database, damaged, or cannot be reached. It is not changed then.
    pub async fn open(path: &Path, options: Options) -> Result<Arc<Self>, OpenError> {
        open::set_up();
        let found = open::look(path, &options).await?;
        open::prepare(path, &options, &found).await?;
        let readers = Connections::new(options.reading(path), options.readers, options.wait);
        let writer = Connections::new(options.writing(path), 1, options.wait.max(options.busy));
        Ok(Arc::new(Self {
            readers,
            writer,
            known: Known::default(),
            holds_graph: AtomicBool::new(false),
            elsewhere: OnceLock::new(),
            holds_metadata: AtomicBool::new(false),
        }))
    }

    /// The graph in it.
    pub fn graph(self: &Arc<Self>) -> EmbeddedGraph {
        self.holds_graph.store(true, Ordering::Relaxed);
        EmbeddedGraph(Arc::clone(self))
    }

    /// Says which tenants have their graph in another store, though it is in this file for all others. What is said first holds.
    pub fn without_graphs_of(&self, tenants: impl IntoIterator<Item = TenantId>) {
        let _ = self.elsewhere.set(tenants.into_iter().collect());
    }

    /// Whether the graph of a tenant is in the file.
    fn holds_graph_of(&self, tenant: &TenantId) -> bool {
        let elsewhere = self.elsewhere.get().is_some_and(|tenants| tenants.contains(tenant));
        self.holds_graph.load(Ordering::Relaxed) && !elsewhere
    }

    /// Rows, registry, log and ontologies in it.
    pub fn metadata(self: &Arc<Self>) -> EmbeddedMetadata {
        self.holds_metadata.store(true, Ordering::Relaxed);
        EmbeddedMetadata(Arc::clone(self))
    }

    /// Vectors in it.
    pub fn vectors(self: &Arc<Self>) -> EmbeddedVectors {
        EmbeddedVectors(Arc::clone(self))
    }

    /// Closes the connections that are not in use; nothing can be asked any more.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The names of a tenant. With `missing`, some name was not among those kept: they are read again, but not all the time.
    async fn names(
        &self,
        tenant: &TenantId,
        lease: &mut Lease,
        deadline: Instant,
        missing: bool,
    ) -> Result<Arc<Names>, Failure> {
        if let Some(names) = self.known.get(tenant)
            && (!missing || self.known.is_fresh(tenant))
        {
            return Ok(names);
        }
        let loaded = within(deadline, known::load(lease.start(deadline)?, tenant)).await;
        lease.ended(&loaded);
        // A tenant that is not there has no records: the same answers as for an empty one.
        Ok(match loaded? {
            Some(names) => self.known.set(tenant, names),
            None => Arc::new(Names::of_tenant(sql::names::UNKNOWN)),
        })
    }

    /// Runs what `write` makes of the tenant's names, and gives the rows to `take`.
    async fn query<T>(
        &self,
        store: StoreName,
        tenant: &TenantId,
        call: Call<'_>,
        write: impl Fn(&Names) -> Statement,
        take: impl FnOnce(Vec<SqliteRow>) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let part = store.as_str();
        let mut lease = self.readers.lease(call.deadline, part).await?;
        let failed = |failure: Failure| failure.fault(part);
        let names = self.names(tenant, &mut lease, call.deadline, false).await.map_err(failed)?;
        let mut statement = write(&names);
        if statement.unknown_names && !self.known.is_fresh(tenant) {
            let names = self.names(tenant, &mut lease, call.deadline, true).await.map_err(failed)?;
            statement = write(&names);
        }
        let begun = Instant::now();
        let rows = within(call.deadline, fetch(lease.start(call.deadline).map_err(failed)?, &statement)).await;
        lease.ended(&rows);
        drop(lease);
        let count = rows.as_ref().map_or(0, Vec::len);
        call.trace.ran(store, begun.elapsed(), || {
            (statement.text.clone(), statement.parameters.iter().map(Parameter::to_string).collect(), count)
        });
        take(rows.map_err(failed)?).map_err(|cause| Fault::internal(part, cause))
    }

    /// Looks something up that belongs to no request.
    async fn look<T>(
        &self,
        store: StoreName,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Failure>,
    ) -> Result<T, Fault> {
        let part = store.as_str();
        let deadline = Instant::now() + BACKGROUND;
        let mut lease = self.readers.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let outcome = within(deadline, work(connection)).await;
        lease.ended(&outcome);
        outcome.map_err(|failure| failure.fault(part))
    }

    /// Runs work that belongs to no request on the one connection that writes. Transactions are the work's own.
    async fn write<T>(
        &self,
        longest: Duration,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Failure>,
    ) -> Result<T, Fault> {
        let part = StoreName::Rows.as_str();
        let deadline = Instant::now() + longest;
        let mut lease = self.writer.lease(deadline, part).await?;
        let connection = lease.start(deadline).map_err(|failure| failure.fault(part))?;
        let outcome = within(deadline, work(connection)).await;
        lease.ended(&outcome);
        outcome.map_err(|failure| failure.fault(part))
    }

    async fn read(&self, store: StoreName, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.query(store, read.tenant(), call, |names| Dialect::Sqlite.read(read.get(), names), |rows| outcome(&rows))
            .await
    }

    async fn read_many(
        &self,
        store: StoreName,
        read: &Allowed<Read>,
        keys: &[Value],
        call: Call<'_>,
    ) -> Result<Vec<Value>, Fault> {
        let write = |names: &Names| Dialect::Sqlite.read_many(read.get(), keys, names);
        let outcomes = self.query(store, read.tenant(), call, write, |rows| outcome(&rows)).await?;
        match outcomes {
            Value::List(outcomes) if outcomes.len() == keys.len() => Ok(outcomes),
            _ => Err(Fault::internal(store.as_str(), "not one outcome per key")),
        }
    }
}

/// Runs a statement.
async fn fetch(connection: &mut SqliteConnection, statement: &Statement) -> Result<Vec<SqliteRow>, Failure> {
    let mut query = sqlx::query(AssertSqlSafe(statement.text.clone()));
    for parameter in &statement.parameters {
        query = match parameter {
            Parameter::Null => query.bind(None::<i64>),
            Parameter::Int(number) => query.bind(*number),
            Parameter::Text(text) => query.bind(text.clone()),
            Parameter::Bytes(bytes) => query.bind(bytes.clone()),
            // SQLite has no lists; its dialect binds them as JSON.
            Parameter::Texts(texts) => query.bind(serde_json::json!(texts).to_string()),
        };
    }
    Ok(query.fetch_all(connection).await?)
}

/// The JSON of the only column of the only row.
fn outcome(rows: &[SqliteRow]) -> Result<Value, String> {
    let row = rows.first().ok_or("no row came back")?;
    match row.try_get::<Option<&str>, _>(0).map_err(|error| error.to_string())? {
        Some(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        None => Ok(Value::Null),
    }
}

#[async_trait]
impl Reader for EmbeddedGraph {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.0.read(StoreName::Graph, read, call).await
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        self.0.read_many(StoreName::Graph, read, keys, call).await
    }
}

#[async_trait]
impl Reader for EmbeddedMetadata {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.0.read(StoreName::Rows, read, call).await
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        self.0.read_many(StoreName::Rows, read, keys, call).await
    }
}
