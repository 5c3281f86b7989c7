//! Requests to a server: over a few connections, a bounded number at once, by a deadline, and again when an error passes.
//!
//! The client of `qdrant-client` tries every request a second time by itself, also where a server says that it is overloaded; its
//! messages are used here and its generated services, over channels of our own. A request that is dropped takes its stream with it and
//! nothing else: many share a connection, and none can get another's answer. Every request may be sent twice: what is written has a
//! stable id, and what is removed stays removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::points_client::PointsClient;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use super::failure::Failure;
use crate::stores::budget::Budget;

/// Tries of one request, the first among them.
const TRIES: u32 = 3;
/// The wait before the second try; twice as long before the next.
const PAUSE: Duration = Duration::from_millis(20);
/// Largest answer: a hundred thousand hits have some ten megabytes.
const LARGEST: usize = 256 << 20;

/// Connections to a server. They are made by the first request, and again when they broke.
pub(super) struct Session {
    channels: Vec<Channel>,
    next: AtomicUsize,
    key: ArcSwapOption<MetadataValue<Ascii>>,
    permits: Semaphore,
    wait: Duration,
    budget: Budget,
}

/// The service of points over a connection.
pub(super) fn points(channel: Channel) -> PointsClient<Channel> {
    PointsClient::new(channel).max_decoding_message_size(LARGEST)
}

/// The service of collections over a connection.
pub(super) fn collections(channel: Channel) -> CollectionsClient<Channel> {
    CollectionsClient::new(channel)
}

impl Session {
    pub(super) fn new(
        endpoint: &Endpoint,
        connections: usize,
        requests: usize,
        wait: Duration,
        key: Option<MetadataValue<Ascii>>,
    ) -> Self {
        let channels = (0..connections.max(1)).map(|_| endpoint.connect_lazy()).collect();
        let (next, permits) = (AtomicUsize::new(0), Semaphore::new(requests.max(1)));
        let key = ArcSwapOption::new(key.map(Arc::new));
        Self { channels, next, key, permits, wait, budget: Budget::default() }
    }

    /// A session over the same connections with another key, to try that.
    pub(super) fn with_key(&self, key: Option<MetadataValue<Ascii>>) -> Self {
        let (next, permits) = (AtomicUsize::new(0), Semaphore::new(1));
        let key = ArcSwapOption::new(key.map(Arc::new));
        Self { channels: self.channels.clone(), next, key, permits, wait: self.wait, budget: Budget::default() }
    }

    /// Uses the key of another session from now on.
    pub(super) fn take_key(&self, other: &Self) {
        self.key.store(other.key.load_full());
    }

    /// Whether this is the key that is used.
    pub(super) fn has_key(&self, key: Option<&MetadataValue<Ascii>>) -> bool {
        self.key.load().as_deref() == key
    }

    /// The answer to a request.
    pub(super) async fn ask<M, R, F>(
        &self,
        deadline: Instant,
        message: M,
        send: impl Fn(Channel, Request<M>) -> F,
    ) -> Result<R, Failure>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let _permit = self.permit(deadline).await?;
        let (mut left, mut pause) = (TRIES, PAUSE);
        loop {
            let sent = send(self.channel(), self.request(message.clone(), deadline));
            let failure = match timeout_at(deadline.into(), sent).await {
                Ok(Ok(response)) => {
                    self.budget.earn();
                    return Ok(response.into_inner());
                }
                Ok(Err(status)) => Failure::from(status),
                Err(_) => Failure::Late,
            };
            left -= 1;
            let late = Instant::now() + pause >= deadline;
            if left == 0 || late || !failure.passes() || !self.budget.spend() {
                return Err(failure);
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// A place among the requests under way, at the latest when the wait or the deadline is over.
    async fn permit(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        let now = Instant::now();
        if now >= deadline {
            return Err(Failure::Late);
        }
        let until = deadline.min(now + self.wait);
        match timeout_at(until.into(), self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ if until == deadline => Err(Failure::Late),
            _ => Err(Failure::Busy),
        }
    }

    fn channel(&self) -> Channel {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.channels.len();
        self.channels[turn].clone()
    }

    /// A request that the server gives up by itself when the deadline has passed.
    fn request<M>(&self, message: M, deadline: Instant) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        if let Some(key) = &*self.key.load() {
            request.metadata_mut().insert("api-key", MetadataValue::clone(key));
        }
        request
    }
}
