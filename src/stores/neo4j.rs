//! The graph in Neo4j 5, through Bolt.
//!
//! [`Neo4j::open`] looks whether the server can be used. [`Neo4j`] is the port `Graph` over it. Statements are written by `cypher`;
//! here they are run: within a bounded number of connections (`session.rs`), and again when the server says that an error passes.
//!
//! A tenant's labels and the texts that are indexed come from its ontology ([`Graph::prepare`](quipu_resolvers::ports::Graph::prepare)); until
//! then every type has its name for a label.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Reader, StoreName};
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use tokio::sync::OnceCell;

use super::cypher::{self, Labels, Parameter, Scope, Statement, Tenancy};

mod adopt;
mod apply;
mod decode;
mod failure;
mod forget;
mod gather;
mod graph;
mod migrations;
mod open;
mod pace;
mod prepare;
mod remove;
mod rows;
mod session;
mod weather;

pub use adopt::{Coming, Found, Lacking, Node, OfNodes, Others, Relationship};
use decode::Decoded;
use failure::Failure;
use gather::Gather;
pub use migrations::statements;
pub use open::{Gathering, OpenError, Options, TenancyMode};
use session::Sessions;

/// The name of this part in the log.
const PART: &str = "graph";

/// Longest time for work that belongs to no request, like applying the log.
const BACKGROUND: Duration = Duration::from_secs(60);

/// The port `Graph` over a Neo4j server.
#[derive(Clone)]
pub struct Neo4j(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    gather: Gather,
    options: Options,
    /// The password that is in use.
    password: Mutex<String>,
    /// That it was looked at, and can be used.
    looked: OnceCell<()>,
    labels: RwLock<HashMap<TenantId, Arc<Labels>>>,
    /// Labels and types of relationships that have their constraint or index.
    made: Mutex<HashSet<String>>,
    /// Who has the rows whose texts are searched here.
    rows: OnceLock<Arc<dyn Reader>>,
}

impl Neo4j {
    /// Connects to a server and looks whether it can be used; takes at most five seconds.
    ///
    /// # Errors
    /// When it cannot be reached, refuses user or password, is too old, or lacks the database. The message names no credentials.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let neo4j = Self::unseen(options)?;
        neo4j.look().await?;
        Ok(neo4j)
    }

    /// The same, and also where the server is away: then what it is asked fails until it is back, and it is looked at before it is
    /// prepared for a tenant.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for a server that does not answer.
    pub async fn open_later(options: Options) -> Result<Self, OpenError> {
        let neo4j = Self::unseen(options)?;
        match neo4j.look().await {
            Err(error) if error.away => tracing::warn!(help = error.help, "{error}; it is tried again"),
            other => other?,
        }
        Ok(neo4j)
    }

    /// Looks whether the server can be used, unless that is known.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn look(&self) -> Result<(), OpenError> {
        let looked = self.0.looked.get_or_try_init(async || {
            open::look(&self.0.sessions, &self.0.options).await?;
            migrations::check(&self.0.sessions, &self.0.options).await
        });
        looked.await.copied()
    }

    /// Uses the password of these options from now on; whether it is another one. It is tried first, and while the server refuses it, the
    /// connections that there are serve on.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn renew(&self, options: &Options) -> Result<bool, OpenError> {
        let held = || self.0.password.lock().unwrap_or_else(PoisonError::into_inner);
        if *held() == options.password {
            return Ok(false);
        }
        let sessions = open::sessions(options)?;
        open::look(&sessions, options).await?;
        self.0.sessions.replace(sessions);
        held().clone_from(&options.password);
        Ok(true)
    }

    fn unseen(options: Options) -> Result<Self, OpenError> {
        let sessions = open::sessions(&options)?;
        let (labels, made, rows) = (RwLock::default(), Mutex::default(), OnceLock::new());
        let gather = Gather::new(options.pool, options.gathering);
        let (password, looked) = (Mutex::new(options.password.clone()), OnceCell::new());
        Ok(Self(Arc::new(Inner { sessions, gather, options, password, looked, labels, made, rows })))
    }

    /// The name of a tenant in the database.
    fn name(&self, tenant: &TenantId) -> String {
        format!("{}{tenant}", self.0.options.namespace)
    }

    fn tenancy(&self, tenant: &TenantId) -> Tenancy {
        match self.0.options.tenancy {
            TenancyMode::Property => Tenancy::Property(self.name(tenant)),
            TenancyMode::Database => Tenancy::Database,
        }
    }

    fn labels(&self, tenant: &TenantId) -> Arc<Labels> {
        let known = self.0.labels.read().unwrap_or_else(PoisonError::into_inner);
        known.get(tenant).cloned().unwrap_or_default()
    }

    fn set_labels(&self, tenant: &TenantId, labels: Labels) {
        self.0.labels.write().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), Arc::new(labels));
    }

    /// Writes a statement for a tenant.
    fn written<T>(&self, tenant: &TenantId, write: impl FnOnce(Scope<'_>) -> T) -> T {
        let (tenancy, labels) = (self.tenancy(tenant), self.labels(tenant));
        write(Scope { tenancy: &tenancy, labels: &labels })
    }

    /// Runs a statement that reads, and notes it in the trace.
    async fn query<T>(
        &self,
        statement: Statement,
        call: Call<'_>,
        take: impl FnOnce(&[neo4rs::Row]) -> Result<T, String>,
    ) -> Result<T, Fault> {
        let begun = Instant::now();
        let rows = self.0.sessions.read(&statement, call.deadline).await;
        let count = rows.as_ref().map_or(0, Vec::len);
        call.trace.ran(StoreName::Graph, begun.elapsed(), || {
            let shown = statement.parameters.iter().map(|(name, value)| format!("{name}: {value}"));
            (statement.text.clone(), shown.collect(), count)
        });
        take(&rows.map_err(Failure::fault)?).map_err(|cause| Fault::internal(PART, cause))
    }
}

/// A column of a row.
fn column<T: serde::de::DeserializeOwned>(row: &neo4rs::Row, name: &str) -> Result<T, String> {
    row.get(name).map_err(|error| format!("column {name}: {error}"))
}

#[async_trait]
impl Reader for Neo4j {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        let tenant = read.tenant();
        let question = self.written(tenant, |scope| cypher::Question::new(read.get(), scope));
        match self.0.options.gathering {
            _ if !question.is_for_several() => self.asked_alone(question.into_alone(), call).await,
            Gathering::Never => self.asked_alone(question.into_alone(), call).await,
            Gathering::UnderLoad(_) => self.gathered(tenant, question, call).await,
            Gathering::Always => {
                let outcomes = self.query(cypher::Question::together(&[&question]), call, |rows| by_position(rows, 1));
                Ok(outcomes.await?.pop().unwrap_or_default())
            }
        }
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        let statement = self.written(read.tenant(), |scope| cypher::read_many(read.get(), keys, scope));
        self.query(statement, call, |rows| by_position(rows, keys.len())).await
    }
}

/// One outcome for each position.
fn by_position(rows: &[neo4rs::Row], count: usize) -> Result<Vec<Value>, String> {
    let mut outcomes: Vec<Option<Value>> = vec![None; count];
    for row in rows {
        let place = usize::try_from(column::<i64>(row, "i")?).ok().and_then(|place| outcomes.get_mut(place));
        *place.ok_or("an outcome of no key")? = Some(column::<Decoded>(row, "o")?.0);
    }
    outcomes.into_iter().collect::<Option<_>>().ok_or_else(|| "not one outcome per key".to_owned())
}

/// A value for the driver.
fn bolt(parameter: &Parameter) -> neo4rs::BoltType {
    use neo4rs::BoltType;
    match parameter {
        Parameter::Null => BoltType::Null(neo4rs::BoltNull),
        Parameter::Bool(flag) => BoltType::Boolean(neo4rs::BoltBoolean::new(*flag)),
        Parameter::Int(number) => BoltType::Integer(neo4rs::BoltInteger::new(*number)),
        Parameter::Float(number) => BoltType::Float(neo4rs::BoltFloat::new(*number)),
        Parameter::Text(text) => BoltType::String(text.as_str().into()),
        Parameter::List(items) => BoltType::List(items.iter().map(bolt).collect::<Vec<_>>().into()),
        Parameter::Map(entries) => {
            let mut map = neo4rs::BoltMap::with_capacity(entries.len());
            for (name, value) in entries {
                map.put(name.as_str().into(), bolt(value));
            }
            BoltType::Map(map)
        }
    }
}
