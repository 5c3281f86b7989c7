//! Postgres as the metadata store: rows, the registry of keys, the log, ontologies.
//!
//! [`Postgres::open`] migrates when it is given the owner's address, checks the server and the role, and holds a bounded number of
//! connections. All work runs in transactions that show one tenant (`session.rs`), as a role that owns nothing and cannot pass by row
//! security. What holds for every metadata store is decided beside this module, not in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::TenantId;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::known::Known;
use super::lives::unknown as unknown_tenant;
use super::sql::names::{Names, UNKNOWN};

mod accept;
mod audit;
mod check;
mod credentials;
mod documents;
mod foreign;
mod forget;
mod holdings;
mod lives;
mod metadata;
mod migrations;
mod names;
mod open;
mod publish;
mod reads;
mod registry;
mod rows;
mod session;
mod tables;
mod tls;
mod turns;

pub use migrations::{migrate, plan};
pub use open::{OpenError, Options};
use session::{Failure, Sessions, within};
use tables::{Opened, Wanted};
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
    password: Held,
    known: Known,
    turns: Turns,
    /// Tables of others that may be shown.
    opened: Opened,
    /// What the served ontologies show of them.
    wanted: RwLock<HashMap<TenantId, Arc<Wanted>>>,
}

/// The password that is in use, where the address has none.
struct Held(Mutex<Option<String>>);

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held(hidden)")
    }
}

impl Postgres {
    /// Migrates if an owner is given, checks server, role and migrations, and opens the connections that will be used.
    ///
    /// # Errors
    /// Within the time of [`Options::connect`] and a second: what is wrong and how to put it right, without credentials.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let sessions = open::open(&options).await?;
        let password = Held(Mutex::new(options.password));
        let opened = Opened { tables: options.tables, schema: options.schema };
        let (known, turns, wanted) = (Known::default(), Turns::default(), RwLock::default());
        Ok(Self(Arc::new(Store { sessions, password, known, turns, opened, wanted })))
    }

    /// Uses the password of these options for connections that are made from now on; whether it is another one. It is tried first.
    ///
    /// # Errors
    /// When the server does not let us in with it.
    pub async fn renew(&self, options: &Options) -> Result<bool, OpenError> {
        let held = || self.0.password.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *held() == options.password {
            return Ok(false);
        }
        let (login, connection) = options.connect_login().await?;
        let _ = connection.close().await;
        self.0.sessions.renew(login);
        held().clone_from(&options.password);
        Ok(true)
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

impl Store {
    /// Writes something that belongs to no request, in one transaction.
    async fn write<T>(
        &self,
        longest: Duration,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + longest;
        let mut session = self.sessions.begin(None, deadline).await.map_err(Failure::fault)?;
        let outcome = within(deadline, work(session.start())).await;
        session.done(&outcome);
        let outcome = outcome.map_err(Failure::fault)?;
        accept::end(session, deadline).await.map_err(Failure::fault)?;
        Ok(outcome)
    }
}
