//! Connections to the file: leased for a time, interrupted when the time is up, never handed on while a statement still runs.
//!
//! `sqlx` runs each connection on a thread of its own and lets a statement run on when nobody waits for it any more. So every
//! connection carries the instant at which its statement has to stop, which SQLite's progress handler watches; and a lease that is
//! dropped in the middle of a statement stops it and waits for the thread before others get the connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use quipu_resolvers::fault::{Code, Fault};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

/// Virtual machine steps between two looks at the clock: some tens of microseconds.
const STEPS: i32 = 4_000;

/// A fixed number of connections, opened when they are first needed.
#[derive(Debug)]
pub(super) struct Connections {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<Line>>,
    permits: Arc<Semaphore>,
    wait: Duration,
}

#[derive(Debug)]
struct Line {
    connection: SqliteConnection,
    /// Nanoseconds after [`epoch`] at which its statement has to stop.
    stop_at: Arc<AtomicU64>,
}

/// A connection for one use.
#[derive(Debug)]
pub(super) struct Lease {
    line: Option<Line>,
    home: Arc<Connections>,
    permit: Option<OwnedSemaphorePermit>,
    busy: bool,
}

/// Why something did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The store said so.
    Store(sqlx::Error),
    /// The deadline passed.
    Late,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(|e| e.code()).as_deref() {
            // SQLITE_INTERRUPT: the progress handler saw the deadline pass.
            Some("9") => Self::Late,
            _ => Self::Store(error),
        }
    }
}

impl Failure {
    /// The fault to answer with.
    pub(super) fn fault(self, part: &'static str) -> Fault {
        let error = match self {
            Self::Late => return Fault::client(Code::Timeout, "the store did not answer in time"),
            Self::Store(error) => error,
        };
        let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i32>().ok());
        match code.map(|code| code & 0xff) {
            // Busy, locked, input/output, full, cannot open: these pass, or are mended from outside.
            Some(5 | 6 | 10 | 13 | 14) => Fault::passing(part, error),
            _ => Fault::internal(part, error),
        }
    }
}

impl Connections {
    pub(super) fn new(options: SqliteConnectOptions, most: usize, wait: Duration) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(most.max(1)));
        Arc::new(Self { options, idle: Mutex::default(), permits, wait })
    }

    /// A connection, at the latest when the wait or the deadline is over.
    pub(super) async fn lease(self: &Arc<Self>, deadline: Instant, part: &'static str) -> Result<Lease, Fault> {
        let until = deadline.min(Instant::now() + self.wait);
        let permit = match timeout_at(until.into(), Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(closed)) => return Err(Fault::passing(part, closed)),
            Err(_) if until == deadline => return Err(Failure::Late.fault(part)),
            Err(_) => return Err(Fault::client(Code::Overloaded, "too many requests wait for the store; try again")),
        };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let line = match idle {
            Some(line) => line,
            None => self.open().await.map_err(|error| Failure::from(error).fault(part))?,
        };
        Ok(Lease { line: Some(line), home: Arc::clone(self), permit: Some(permit), busy: false })
    }

    async fn open(&self) -> Result<Line, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let stop_at = Arc::new(AtomicU64::new(u64::MAX));
        let watched = Arc::clone(&stop_at);
        connection
            .lock_handle()
            .await?
            .set_progress_handler(STEPS, move || nanos(Instant::now()) < watched.load(Ordering::Relaxed));
        Ok(Line { connection, stop_at })
    }

    fn take_back(&self, line: Line) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Closes all idle connections.
    pub(super) async fn close(&self) {
        self.permits.close();
        let lines = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for line in lines {
            let _ = line.connection.close().await;
        }
    }
}

impl Lease {
    /// The connection, for work that has to be done by the deadline. The work may be abandoned at any point.
    pub(super) fn start(&mut self, deadline: Instant) -> Result<&mut SqliteConnection, Failure> {
        let line = self.line.as_mut().ok_or(Failure::Store(sqlx::Error::PoolClosed))?;
        line.stop_at.store(nanos(deadline), Ordering::Relaxed);
        self.busy = true;
        Ok(&mut line.connection)
    }

    /// Says how the work ended. Without it, or after a missed deadline, the connection is stopped before others get it.
    pub(super) fn ended<T>(&mut self, outcome: &Result<T, Failure>) {
        self.busy = matches!(outcome, Err(Failure::Late));
    }
}

/// Waits for work, until the deadline.
pub(super) async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    if Instant::now() >= deadline {
        return Err(Failure::Late);
    }
    timeout_at(deadline.into(), work).await.unwrap_or(Err(Failure::Late))
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut line) = self.line.take() else { return };
        if !self.busy && !line.connection.is_in_transaction() {
            return self.home.take_back(line);
        }
        line.stop_at.store(0, Ordering::Relaxed);
        let (home, permit) = (Arc::clone(&self.home), self.permit.take());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // An interrupted write ends its transaction by itself, which `sqlx` does not notice: such a connection is given up.
                if line.connection.ping().await.is_ok() && !line.connection.is_in_transaction() {
                    home.take_back(line);
                }
                drop(permit);
            });
        }
    }
}

/// Nanoseconds since the first use of this function.
fn nanos(at: Instant) -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    let since = at.saturating_duration_since(*EPOCH.get_or_init(Instant::now));
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
