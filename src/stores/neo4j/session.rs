//! Running statements: in a bounded number of connections, by a deadline, and again when an error passes.
//!
//! A request that is dropped in the middle of an exchange leaves its connection in the middle as well. The driver knows that (`neo4rs` 0.9)
//! and gives up such a connection before anybody else gets it; and the server ends a statement by itself when its deadline passes.
//!
//! What is tried again is decided here, within a budget, and not by the driver: see `weather.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use neo4rs::{DetachedRowStream, Graph, Query, Row, Txn};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout_at};

use super::apply::fetch;
use super::failure::Failure;
use super::weather::Weather;
use super::{Statement, bolt};
use crate::stores::budget::Budget;

/// Tries of one statement, the first among them.
const TRIES: u32 = 3;

/// The wait before the second try; twice as long before the next.
const PAUSE: Duration = Duration::from_millis(20);

/// Connections to a server.
pub(super) struct Sessions {
    /// Replaced as a whole when the password changes: the driver keeps it with its connections.
    graph: ArcSwap<Graph>,
    permits: Arc<Semaphore>,
    most: usize,
    wait: Duration,
    budget: Budget,
    weather: Weather,
}

impl Sessions {
    pub(super) fn new(graph: Graph, most: usize, wait: Duration) -> Self {
        let most = most.max(1);
        let permits = Arc::new(Semaphore::new(most));
        let graph = ArcSwap::from_pointee(graph);
        Self { graph, permits, most, wait, budget: Budget::default(), weather: Weather::new() }
    }

    /// Has what begins from now on use the connections of others; what is under way keeps its own.
    pub(super) fn replace(&self, others: Self) {
        self.graph.store(others.graph.into_inner());
    }

    fn graph(&self) -> Arc<Graph> {
        self.graph.load_full()
    }

    /// Whether at least half of the connections are free.
    pub(super) fn is_idle(&self) -> bool {
        self.permits.available_permits() * 2 >= self.most
    }

    /// The rows of a statement that reads.
    pub(super) async fn read(&self, statement: &Statement, deadline: Instant) -> Result<Vec<Row>, Failure> {
        let mut tries = self.tries(deadline).await?;
        loop {
            match within(deadline, self.read_once(statement, deadline)).await {
                Ok(rows) => {
                    tries.won();
                    return Ok(rows);
                }
                Err(failure) => tries.lost(failure).await?,
            }
        }
    }

    /// The rows of a statement that reads, as many as there are: they come as they are taken, and a connection is held until then.
    pub(super) async fn stream(&self, statement: &Statement, deadline: Instant) -> Result<Rows, Failure> {
        let permit = self.permit(deadline).await?;
        let graph = self.graph();
        let begun = async { Ok(graph.execute_read(query(statement, None)).await?) };
        Ok(Rows { stream: within(deadline, begun).await?, _permit: permit })
    }

    async fn read_once(&self, statement: &Statement, deadline: Instant) -> Result<Vec<Row>, Failure> {
        // Boxed, as it is rare and as large as the other way.
        let apart = || Box::pin(async { self.transact_once(&Reading(statement)).await });
        if self.weather.is_bad() {
            return apart().await;
        }
        let graph = self.graph();
        let mut asked = Box::pin(graph.execute_read(query(statement, Some(deadline))));
        let answered = loop {
            tokio::select! {
                biased;
                answered = &mut asked => break Some(answered),
                () = self.weather.slow() => {}
            }
            // The driver may be trying it again.
            if self.weather.is_bad() {
                break None;
            }
            if self.weather.is_scout() {
                tokio::select! {
                    answered = &mut asked => break Some(answered),
                    rows = apart() => return rows,
                }
            }
        };
        // It may stand in line for a connection, where it would be in the way of others if nobody went on with it.
        drop(asked);
        let Some(answered) = answered else { return apart().await };
        let mut stream = answered?;
        let mut rows = Vec::with_capacity(1);
        while let Some(row) = stream.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// Runs a statement outside of transactions, like one that makes an index.
    pub(super) async fn run(&self, text: &str, deadline: Instant) -> Result<(), Failure> {
        let mut tries = self.tries(deadline).await?;
        loop {
            let graph = self.graph();
            let once = async { Ok(graph.run(Query::new(text.to_owned())).await?) };
            match within(deadline, once).await {
                Ok(()) => {
                    tries.won();
                    return Ok(());
                }
                Err(failure) => tries.lost(failure).await?,
            }
        }
    }

    /// Does work in a transaction, which is committed when the work succeeds. The work may be done several times.
    pub(super) async fn transact<W: Work>(&self, work: &W, deadline: Instant) -> Result<W::Done, Failure> {
        let mut tries = self.tries(deadline).await?;
        loop {
            match within(deadline, self.transact_once(work)).await {
                Ok(done) => {
                    tries.won();
                    return Ok(done);
                }
                Err(failure) => tries.lost(failure).await?,
            }
        }
    }

    async fn transact_once<W: Work>(&self, work: &W) -> Result<W::Done, Failure> {
        let mut transaction = self.graph().start_txn().await?;
        match work.work(&mut transaction).await {
            Ok(done) => {
                transaction.commit().await?;
                Ok(done)
            }
            Err(failure) => {
                // What fails here fails again when the connection is taken for the next.
                let _ = transaction.rollback().await;
                Err(failure)
            }
        }
    }

    /// Tries of one piece of work, which hold a connection's place.
    async fn tries(&self, deadline: Instant) -> Result<Tries<'_>, Failure> {
        let permit = self.permit(deadline).await?;
        Ok(Tries { sessions: self, deadline, left: TRIES, pause: PAUSE, _permit: permit })
    }

    /// A connection's place, at the latest when the wait or the deadline is over.
    async fn permit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        let now = Instant::now();
        if now >= deadline {
            return Err(Failure::Late);
        }
        // Mostly one is free, and no clock has to be set.
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let until = deadline.min(now + self.wait);
        match timeout_at(until.into(), Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ if until == deadline => Err(Failure::Late),
            _ => Err(Failure::Busy),
        }
    }
}

/// Rows that are still to come.
pub(super) struct Rows {
    stream: DetachedRowStream,
    _permit: OwnedSemaphorePermit,
}

impl Rows {
    /// The next ones; fewer than `most` only at the end.
    pub(super) async fn portion(&mut self, most: usize, deadline: Instant) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        while rows.len() < most {
            match within(deadline, async { Ok(self.stream.next().await?) }).await? {
                Some(row) => rows.push(row),
                None => break,
            }
        }
        Ok(rows)
    }
}

/// Work in a transaction.
pub(super) trait Work: Sync {
    /// What comes of it.
    type Done: Send;

    /// Does it.
    fn work(&self, transaction: &mut Txn) -> impl Future<Output = Result<Self::Done, Failure>> + Send;
}

/// A statement that reads.
struct Reading<'a>(&'a Statement);

impl Work for Reading<'_> {
    type Done = Vec<Row>;

    async fn work(&self, transaction: &mut Txn) -> Result<Vec<Row>, Failure> {
        fetch(transaction, self.0).await
    }
}

/// How often something may be tried.
struct Tries<'a> {
    sessions: &'a Sessions,
    deadline: Instant,
    left: u32,
    pause: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Tries<'_> {
    /// It succeeded.
    fn won(&self) {
        self.sessions.budget.earn();
    }

    /// It failed: waits until it may be tried again, or gives the failure back.
    async fn lost(&mut self, failure: Failure) -> Result<(), Failure> {
        if failure.passes() {
            self.sessions.weather.turn();
        }
        self.left = self.left.saturating_sub(1);
        let late = Instant::now() + self.pause >= self.deadline;
        if self.left == 0 || late || !failure.passes() || !self.sessions.budget.spend() {
            return Err(failure);
        }
        sleep(self.pause).await;
        self.pause *= 2;
        Ok(())
    }
}

/// Waits for work, until the deadline. The driver's futures are some 9 KB: boxed at once, they are not copied again into each future
/// around them.
fn within<'w, T: Send + 'w>(
    deadline: Instant,
    work: impl Future<Output = Result<T, Failure>> + Send + 'w,
) -> impl Future<Output = Result<T, Failure>> + Send + 'w {
    let work = timeout_at(deadline.into(), Box::pin(work));
    async move { work.await.unwrap_or(Err(Failure::Late)) }
}

/// A statement for the driver. With a deadline, the server ends it by itself when that has passed.
pub(super) fn query(statement: &Statement, deadline: Option<Instant>) -> Query {
    let parameters = statement.parameters.iter().map(|(name, value)| (name.as_str(), bolt(value)));
    let query = Query::new(statement.text.clone()).params(parameters);
    let Some(deadline) = deadline else { return query };
    let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
    query.extra("tx_timeout", i64::try_from(left).unwrap_or(i64::MAX))
}
