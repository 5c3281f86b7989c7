//! What a store said a moment ago and is believed for a while, so that not every request asks it.
//!
//! What is not there is remembered apart, so that made-up names push out nothing that is. At most a few look at the same time: a flood
//! of made-up names waits for itself, and holds up neither the store nor those who were found before and are looked up again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Clock;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Denied;

/// Found ones that are remembered, and those that were not there.
const REMEMBERED: usize = 10_000;
const ABSENT: usize = 1_000;
/// Lookups at the same time: of names that were never found, and again of those that were.
const LANE: usize = 4;
/// Longest wait for a turn and for the store together.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Where something is: in a tenant, under an id.
pub(super) type Name = (TenantId, Box<str>);

/// What was found under names.
pub(super) struct Believed<T> {
    there: Cache<Name, Found<T>>,
    /// Until when it is believed that there is nothing.
    absent: Cache<Name, i64>,
    first: Semaphore,
    again: Semaphore,
    /// Milliseconds.
    span: i64,
    clock: Arc<dyn Clock>,
}

/// Something that is there.
pub(super) struct Found<T> {
    pub value: Arc<T>,
    /// Until when it is believed, by the clock that is never set.
    pub until_ms: i64,
    noted: Arc<AtomicBool>,
}

impl<T> Clone for Found<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), until_ms: self.until_ms, noted: self.noted.clone() }
    }
}

impl<T> Found<T> {
    /// True once for each time that it was looked up.
    pub fn is_first_use(&self) -> bool {
        !self.noted.load(Ordering::Relaxed) && !self.noted.swap(true, Ordering::Relaxed)
    }
}

impl<T: Send + Sync> Believed<T> {
    /// Nothing yet; what is found is believed for a while.
    pub fn new(span: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            there: Cache::new(REMEMBERED),
            absent: Cache::new(ABSENT),
            first: Semaphore::new(LANE),
            again: Semaphore::new(LANE),
            span: super::claims::milliseconds(span),
            clock,
        }
    }

    /// What is under a name, as `look` says, or as it said a moment ago.
    ///
    /// # Errors
    /// When the store fails, or there is no turn in time.
    pub async fn get(
        &self,
        name: &Name,
        look: impl Future<Output = Result<Option<T>, Fault>> + Send,
    ) -> Result<Option<Found<T>>, Denied> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        // What was found before is there as a rule; so whoever makes names up waits in the other line.
        let lane = if self.there.peek(name).is_some() { &self.again } else { &self.first };
        let looked = timeout(PATIENCE, async {
            let _turn = lane.acquire().await;
            if let Some(known) = self.known(name) {
                return Ok(known);
            }
            // From before the store looks: what it says is no newer than that.
            let until_ms = self.clock.steady_ms().saturating_add(self.span);
            Ok(self.keep(name, look.await?, until_ms))
        });
        match looked.await {
            Ok(looked) => looked.map_err(unavailable),
            Err(_) => Err(Denied::Unavailable("nothing was heard of it in time".into())),
        }
    }

    /// Forgets what is under a name, because it was changed here.
    pub fn forget(&self, name: &Name) {
        self.there.remove(name);
        self.absent.remove(name);
    }

    fn known(&self, name: &Name) -> Option<Option<Found<T>>> {
        let now = self.clock.steady_ms();
        if let Some(found) = self.there.get(name).filter(|found| now < found.until_ms) {
            return Some(Some(found));
        }
        self.absent.get(name).filter(|until| now < *until).map(|_| None)
    }

    fn keep(&self, name: &Name, looked: Option<T>, until_ms: i64) -> Option<Found<T>> {
        match looked {
            Some(value) => {
                let found = Found { value: Arc::new(value), until_ms, noted: Arc::default() };
                self.there.insert(name.clone(), found.clone());
                self.absent.remove(name);
                Some(found)
            }
            None => {
                self.there.remove(name);
                self.absent.insert(name.clone(), until_ms);
                None
            }
        }
    }
}

/// Why somebody is not let in whose credentials cannot be looked up.
pub(super) fn unavailable(fault: Fault) -> Denied {
    match fault.code() {
        Code::Overloaded => Denied::Busy,
        _ => Denied::Unavailable(fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize};

    use futures_util::future::join_all;

    use super::*;

    /// A clock that is set by hand.
    #[derive(Default)]
    struct Hands(AtomicI64);

    impl Clock for Hands {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn name(id: usize) -> Name {
        (TenantId::parse("acme").unwrap(), id.to_string().into())
    }

    #[tokio::test]
    async fn the_store_is_asked_once_in_a_while_whether_there_is_something_or_not() {
        let hands = Arc::new(Hands::default());
        let believed = Believed::new(Duration::from_millis(100), hands.clone());
        let asked = AtomicUsize::new(0);
        let look = async |id: usize, there: bool| {
            let look = async {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(there.then_some(id))
            };
            believed.get(&name(id), look).await.unwrap().map(|found| *found.value)
        };
        for _ in 0..10 {
            assert_eq!((look(1, true).await, look(2, false).await), (Some(1), None));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        hands.0.store(99, Ordering::Relaxed);
        assert_eq!((look(1, false).await, look(2, true).await), (Some(1), None), "still believed");
        hands.0.store(100, Ordering::Relaxed);
        assert_eq!((look(1, false).await, look(2, true).await), (None, Some(2)), "and not for longer");
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        believed.forget(&name(2));
        assert_eq!(look(2, false).await, None, "forgotten at once");
    }

    #[tokio::test]
    async fn hostile_50b_a_flood_of_made_up_names_looks_a_few_at_a_time_and_pushes_nothing_out() {
        let hands = Arc::new(Hands::default());
        let believed = Believed::new(Duration::from_millis(100), hands.clone());
        believed.get(&name(0), async { Ok(Some(0)) }).await.unwrap();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let made_up = (1..=30 * ABSENT).map(|id| {
            let look = async {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(None)
            };
            let believed = &believed;
            async move { believed.get(&name(id), look).await.unwrap() }
        });
        assert!(join_all(made_up).await.iter().all(Option::is_none));
        assert_eq!(most.load(Ordering::SeqCst), LANE);
        assert!(believed.absent.len() <= ABSENT + ABSENT / 10, "{}", believed.absent.len());
        let found = believed.get(&name(0), async { panic!("it is remembered") }).await.unwrap();
        assert_eq!(found.map(|found| *found.value), Some(0));
        // Somebody who was found before is looked up again although the line of the others stands still.
        hands.0.store(100, Ordering::Relaxed);
        let _all = believed.first.acquire_many(LANE as u32).await.unwrap();
        assert!(believed.get(&name(0), async { Ok(Some(7)) }).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_store_that_fails_or_hangs_is_told_as_such_and_not_remembered() {
        let believed: Believed<u8> = Believed::new(Duration::from_secs(100), Arc::new(Hands::default()));
        let fails = believed.get(&name(1), async { Err(Fault::passing("rows", "away")) }).await;
        assert!(matches!(fails, Err(Denied::Unavailable(_))));
        let full = believed.get(&name(1), async { Err(Fault::client(Code::Overloaded, "full")) }).await;
        assert!(matches!(full, Err(Denied::Busy)));
        let hangs = believed.get(&name(1), std::future::pending()).await;
        assert!(matches!(hangs, Err(Denied::Unavailable(_))));
        assert!(believed.get(&name(1), async { Ok(Some(1)) }).await.unwrap().is_some());
    }
}
