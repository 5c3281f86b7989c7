//! Transactions: each shows one tenant, ends itself when its time is up, and is never handed on half-way.
//!
//! A caller may stop waiting at any point. `sqlx` would give such a connection to the next one, maybe inside a transaction that shows
//! another tenant (issue 4393 of its repository). So a connection belongs to a [`Session`] from before its `BEGIN`; whatever is
//! dropped in the middle of anything is closed, and not used again.

use std::time::{Duration, Instant};

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{AssertSqlSafe, raw_sql};
use tokio::time::timeout_at;

use super::PART;

/// How much longer than the server itself somebody waits for it to stop a statement.
const GRACE: Duration = Duration::from_millis(200);

/// A bounded number of connections.
#[derive(Debug)]
pub(super) struct Sessions {
    pool: PgPool,
    wait: Duration,
}

/// A transaction on a connection of its own.
#[derive(Debug)]
pub(super) struct Session {
    connection: Option<PoolConnection<sqlx::Postgres>>,
    /// In the middle of something.
    busy: bool,
    /// Ended by `commit`.
    ended: bool,
}

/// Why something did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The store said so.
    Store(sqlx::Error),
    /// The deadline passed, and the server did not stop in time.
    Late,
    /// All connections are in use.
    Crowded,
    /// It is not known whether a transaction was committed.
    Unsure(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error)
    }
}

/// The SQLSTATE of an error of the server.
pub(super) fn state_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned)
}

impl Failure {
    /// The fault to answer with. States: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
    pub(super) fn fault(self) -> Fault {
        let error = match self {
            Self::Late => return late(),
            Self::Crowded => {
                return Fault::client(Code::Overloaded, "too many requests wait for the store; try again");
            }
            Self::Unsure(error) => return Fault::passing(PART, error),
            Self::Store(error) => error,
        };
        let Some(state) = state_of(&error) else {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) => {
                    Fault::passing(PART, error)
                }
                _ => Fault::internal(PART, error),
            };
        };
        match state.as_str() {
            "57014" => late(),
            "54000" => Fault::client(Code::BadUserInput, "an id, or a value of an indexed property, is too long"),
            "22021" | "22P05" => {
                Fault::client(Code::BadUserInput, "ids and rows cannot hold text with the character U+0000")
            }
            // Serialization, deadlock, lock not available; connection, resources, shutdown, recovery.
            "40001" | "40P01" | "55P03" => Fault::passing(PART, error),
            state if ["08", "53", "57", "58"].iter().any(|class| state.starts_with(class)) => {
                Fault::passing(PART, error)
            }
            _ => Fault::internal(PART, error),
        }
    }

    /// Whether the same may well succeed at once, and nothing was written.
    pub(super) fn is_transient(&self) -> bool {
        let Self::Store(error) = self else { return false };
        match state_of(error) {
            Some(state) => ["40001", "40P01", "55P03", "57P01", "57P02", "57P03"].contains(&state.as_str()),
            None => matches!(error, sqlx::Error::Io(_)),
        }
    }
}

fn late() -> Fault {
    Fault::client(Code::Timeout, "the store did not answer in time")
}

/// Waits for work, until the deadline and a little longer, since the server stops by itself at the deadline.
pub(super) async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    if Instant::now() >= deadline {
        return Err(Failure::Late);
    }
    timeout_at((deadline + GRACE).into(), work).await.unwrap_or(Err(Failure::Late))
}

impl Sessions {
    pub(super) fn new(pool: PgPool, wait: Duration) -> Self {
        Self { pool, wait }
    }

    /// Begins a transaction that shows a tenant, or none.
    pub(super) async fn begin(&self, tenant: Option<i64>, deadline: Instant) -> Result<Session, Failure> {
        self.begin_named(tenant, None, deadline).await
    }

    /// The same; policies of tables of others learn the tenant's name.
    pub(super) async fn begin_named(
        &self,
        tenant: Option<i64>,
        name: Option<&TenantId>,
        deadline: Instant,
    ) -> Result<Session, Failure> {
        // Connections that were idle while the server went away are all found out here, before anything is asked.
        let mut attempts = self.pool.options().get_max_connections();
        loop {
            let mut session = Session { connection: Some(self.connection(deadline).await?), busy: true, ended: false };
            let begun = within(deadline, session.show(tenant, name, deadline)).await;
            match begun {
                Ok(()) => {
                    session.busy = false;
                    return Ok(session);
                }
                Err(failure) if failure.is_transient() && attempts > 0 => attempts -= 1,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// A connection, at the latest when the wait or the deadline is over.
    async fn connection(&self, deadline: Instant) -> Result<PoolConnection<sqlx::Postgres>, Failure> {
        let now = Instant::now();
        if now >= deadline {
            return Err(Failure::Late);
        }
        let until = deadline.min(now + self.wait);
        match timeout_at(until.into(), self.pool.acquire()).await {
            Ok(connection) => Ok(connection?),
            Err(_) if until == deadline => Err(Failure::Late),
            Err(_) if self.pool.num_idle() == 0 && self.pool.size() >= self.pool.options().get_max_connections() => {
                Err(Failure::Crowded)
            }
            Err(_) => Err(Failure::Store(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Has connections that are made from now on use another password; those that there are stay.
    pub(super) fn renew(&self, login: PgConnectOptions) {
        self.pool.set_connect_options(login);
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Session {
    async fn show(&mut self, tenant: Option<i64>, name: Option<&TenantId>, deadline: Instant) -> Result<(), Failure> {
        // In one message. Only numbers and names of tenants, which have no quotes, go into the text.
        let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
        let tenant = tenant.map(|key| format!("SET LOCAL quipu.tenant = '{key}'; ")).unwrap_or_default();
        let name = name.map(|name| format!("SET LOCAL quipu.tenant_name = '{name}'; ")).unwrap_or_default();
        let text = format!("BEGIN; {tenant}{name}SET LOCAL statement_timeout = {left}");
        raw_sql(AssertSqlSafe(text)).execute(self.start()).await?;
        Ok(())
    }

    /// The connection, for work that may be abandoned at any point.
    pub(super) fn start(&mut self) -> &mut PgConnection {
        self.busy = true;
        // It is there until the session is dropped.
        self.connection.as_mut().expect("a session has a connection")
    }

    /// Says how the work ended. Without it, or when nobody knows, the connection is closed; with it, the transaction is rolled back.
    pub(super) fn done<T>(&mut self, outcome: &Result<T, Failure>) {
        self.busy = matches!(outcome, Err(Failure::Late | Failure::Unsure(_)))
            || matches!(outcome, Err(Failure::Store(error)) if error.as_database_error().is_none() && !is_ours(error));
    }

    /// Commits.
    pub(super) async fn commit(mut self) -> Result<(), Failure> {
        let committed = raw_sql("COMMIT").execute(self.start()).await;
        match committed {
            Ok(_) => {
                (self.busy, self.ended) = (false, true);
                Ok(())
            }
            Err(error) => Err(Failure::Unsure(error)),
        }
    }
}

/// An error of ours about values, after which the connection is as good as before.
fn is_ours(error: &sqlx::Error) -> bool {
    use sqlx::Error::{ColumnDecode, ColumnIndexOutOfBounds, ColumnNotFound, Decode, Encode, RowNotFound};
    matches!(
        error,
        Decode(_) | Encode(_) | ColumnDecode { .. } | ColumnNotFound(_) | ColumnIndexOutOfBounds { .. } | RowNotFound
    )
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.busy {
            // Closed without a word: the server takes back what was not committed.
            drop(connection.detach());
            return;
        }
        if self.ended {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        // Nobody has to wait for the end of what was only read, or of what is taken back.
        runtime.spawn(async move {
            let mut session = Session { connection: None, busy: true, ended: true };
            let over = raw_sql("ROLLBACK").execute(&mut *connection).await;
            session.connection = Some(connection);
            session.busy = over.is_err();
        });
    }
}
