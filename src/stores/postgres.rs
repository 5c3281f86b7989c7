//! Postgres as the metadata store: rows, the registry of keys, the log, ontologies.
//!
//! [`Postgres::open`] migrates when it is given the owner's address, checks the server and the role, and holds a bounded number of
//! connections. All work runs in transactions that show one tenant (`session.rs`), as a role that owns nothing and cannot pass by row
//! security. What holds for every metadata store is decided beside this module, not in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Reader, StoreName};
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row, ValueRef};

use super::known::Known;
use super::sql::names::{Names, UNKNOWN};
use super::sql::{Dialect, Parameter, Statement};

mod accept;
mod check;
mod holdings;
mod metadata;
mod migrations;
mod names;
mod open;
mod publish;
mod registry;
mod rows;
mod session;
mod turns;

pub use migrations::migrate;
pub use open::{OpenError, Options};
use session::{Failure, Sessions, within};
use turns::Turns;

/// Name of the port in traces and faults.
const PART: &str = "rows";

/// Longest time for work that belongs to no request, like reading the log.
const BACKGROUND: Duration = Duration::from_secs(60);

/// Longest time for publishing, which may look at all records.
const PUBLISHING: Duration = Duration::from_secs(900);

/// The port `Metadata` over a Postgres server.
#[derive(Debug, Clone)]
pub struct Postgres(Arc<Store>);

#[derive(Debug)]
struct Store {
    sessions: Sessions,
    known: Known,
    turns: Turns,
}

impl Postgres {
    /// Migrates if an owner is given, checks server, role and migrations, and opens the connections that will be used.
    ///
    /// # Errors
    /// Within the time of [`Options::connect`] and a second: what is wrong and how to put it right, without credentials.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let sessions = open::open(&options).await?;
        Ok(Self(Arc::new(Store { sessions, known: Known::default(), turns: Turns::default() })))
    }

    /// Closes all connections; nothing can be asked any more.
    pub async fn close(&self) {
        self.0.sessions.close().await;
    }
}

impl Store {
    /// The names of a tenant. With `missing`, some name was not among those kept: they are read again, but not all the time.
    async fn names(&self, tenant: &TenantId, deadline: Instant, missing: bool) -> Result<Arc<Names>, Failure> {
        if let Some(names) = self.known.get(tenant)
            && (!missing || self.known.is_fresh(tenant))
        {
            return Ok(names);
        }
        let mut session = self.sessions.begin(None, deadline).await?;
        let loaded = within(deadline, names::load(session.start(), tenant)).await;
        session.done(&loaded);
        // A tenant that is not there has no records: the same answers as for an empty one.
        Ok(match loaded? {
            Some(names) => self.known.set(tenant, names),
            None => Arc::new(Names::of_tenant(UNKNOWN)),
        })
    }

    /// Runs what `write` makes of the tenant's names: one statement with one value.
    async fn query(
        &self,
        tenant: &TenantId,
        call: Call<'_>,
        write: impl Fn(&Names) -> Statement,
    ) -> Result<Value, Fault> {
        let mut names = self.names(tenant, call.deadline, false).await.map_err(Failure::fault)?;
        let mut statement = write(&names);
        if statement.unknown_names && !self.known.is_fresh(tenant) {
            names = self.names(tenant, call.deadline, true).await.map_err(Failure::fault)?;
            statement = write(&names);
        }
        let mut session = self.sessions.begin(Some(names.tenant), call.deadline).await.map_err(Failure::fault)?;
        let begun = Instant::now();
        let row = within(call.deadline, fetch(session.start(), &statement)).await;
        session.done(&row);
        call.trace.ran(StoreName::Rows, begun.elapsed(), || {
            (statement.text.clone(), statement.parameters.iter().map(Parameter::to_string).collect(), 1)
        });
        outcome(&row.map_err(Failure::fault)?).map_err(|cause| Fault::internal(PART, cause))
    }

    /// Looks something up that belongs to no request.
    async fn look<T>(
        &self,
        tenant: Option<i64>,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + BACKGROUND;
        let mut session = self.sessions.begin(tenant, deadline).await.map_err(Failure::fault)?;
        let outcome = within(deadline, work(session.start())).await;
        session.done(&outcome);
        outcome.map_err(Failure::fault)
    }
}

/// Runs a statement.
async fn fetch(connection: &mut PgConnection, statement: &Statement) -> Result<PgRow, Failure> {
    let mut query = sqlx::query(AssertSqlSafe(statement.text.clone()));
    for parameter in &statement.parameters {
        query = match parameter {
            Parameter::Null => query.bind(None::<String>),
            Parameter::Int(number) => query.bind(*number),
            Parameter::Text(text) => query.bind(text.clone()),
            Parameter::Bytes(bytes) => query.bind(bytes.clone()),
            Parameter::Texts(texts) => query.bind(texts.clone()),
        };
    }
    Ok(query.fetch_one(connection).await?)
}

/// The JSON of the only column, read from the bytes that came.
fn outcome(row: &PgRow) -> Result<Value, String> {
    let value = row.try_get_raw(0).map_err(|error| error.to_string())?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(value.as_bytes().map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

#[async_trait]
impl Reader for Postgres {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.0.query(read.tenant(), call, |names| Dialect::Postgres.read(read.get(), names)).await
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        let write = |names: &Names| Dialect::Postgres.read_many(read.get(), keys, names);
        match self.0.query(read.tenant(), call, write).await? {
            Value::List(outcomes) if outcomes.len() == keys.len() => Ok(outcomes),
            _ => Err(Fault::internal(PART, "not one outcome per key")),
        }
    }
}

fn unknown_tenant(tenant: &TenantId) -> Fault {
    Fault::client(Code::NotFound, format!("there is no tenant {tenant}; publish an ontology for it first"))
}
