//! How much is worked on at once: places for requests with a bounded queue before them, and places for streams per tenant.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Places for requests that are worked on.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    total: usize,
    waiting: AtomicUsize,
    queue: usize,
}

impl Admission {
    pub fn new(total: usize, queue: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(total)), total, waiting: AtomicUsize::new(0), queue }
    }

    /// Waits for places, one per operation, in the order of asking. Fails with `OVERLOADED` when the queue is full or the deadline passes.
    pub async fn enter(&self, operations: usize, deadline: Instant) -> Result<OwnedSemaphorePermit, Fault> {
        // a batch larger than all places together takes them all, or it would wait for ever
        let wanted = u32::try_from(operations.clamp(1, self.total)).unwrap_or(u32::MAX);
        if let Ok(places) = self.places.clone().try_acquire_many_owned(wanted) {
            return Ok(places);
        }
        let _waiting = Waiting::begin(self)?;
        match timeout_at(deadline, self.places.clone().acquire_many_owned(wanted)).await {
            Ok(Ok(places)) => Ok(places),
            Ok(Err(_)) | Err(_) => Err(overloaded("no place became free in time")),
        }
    }
}

/// One in the queue, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(admission: &'a Admission) -> Result<Self, Fault> {
        let one_more = |waiting: usize| (waiting < admission.queue).then_some(waiting + 1);
        match admission.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(_) => Ok(Self(&admission.waiting)),
            Err(_) => Err(overloaded("too many requests are waiting (server.queue)")),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn overloaded(message: &str) -> Fault {
    Fault::client(Code::Overloaded, message)
}

/// Places for streams, counted per tenant.
#[derive(Debug)]
pub(super) struct Streams {
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
    per_tenant: usize,
}

impl Streams {
    pub fn new(per_tenant: usize) -> Self {
        Self { open: Arc::default(), per_tenant }
    }

    /// A place for one more stream of the tenant. Fails with `OVERLOADED` when it has as many as it may have.
    pub fn enter(&self, tenant: &TenantId) -> Result<StreamPlace, Fault> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(tenant).copied().unwrap_or(0);
        if count >= self.per_tenant {
            return Err(overloaded("the tenant has too many subscriptions (live.per_tenant)"));
        }
        open.insert(tenant.clone(), count + 1);
        Ok(StreamPlace { open: self.open.clone(), tenant: tenant.clone() })
    }
}

/// The place of one stream, until it is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace {
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn hostile_66_waiting_is_bounded_in_number_and_time() {
        let admission = Arc::new(Admission::new(2, 1));
        let soon = || Instant::now() + Duration::from_millis(50);
        let held = admission.enter(9, soon()).await.unwrap();
        let second = tokio::spawn({
            let admission = admission.clone();
            async move { admission.enter(1, Instant::now() + Duration::from_secs(5)).await.map(drop) }
        });
        tokio::task::yield_now().await;
        let full = admission.enter(1, soon()).await.unwrap_err();
        assert!(full.to_string().contains("server.queue"), "{full}");
        drop(held);
        second.await.unwrap().unwrap();
        let held = admission.enter(2, soon()).await.unwrap();
        let late = admission.enter(1, soon()).await.unwrap_err();
        assert_eq!(late.code(), Code::Overloaded);
        drop(held);
        drop(admission.enter(1, soon()).await.unwrap());
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn hostile_35_streams_are_capped_per_tenant() {
        let streams = Streams::new(1);
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let place = streams.enter(&a).unwrap();
        assert_eq!(streams.enter(&a).unwrap_err().code(), Code::Overloaded);
        let _other = streams.enter(&b).unwrap();
        drop(place);
        drop(streams.enter(&a).unwrap());
        assert_eq!(streams.open.lock().unwrap().len(), 1, "nothing is kept of tenants without streams");
    }
}
