//! Counting within one process, in windows of time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quipu_resolvers::ports::{CacheKey, Clock, Counters, Taken};

use super::cache::Span;

/// Counters that may be there before those are looked for whose windows are over.
const FEW: usize = 1024;

/// The counters of this process. Windows last as long as was said, whatever happens to the time of day meanwhile.
pub struct LocalCounters {
    windows: Mutex<Windows>,
    clock: Arc<dyn Clock>,
}

/// Counters by key.
struct Windows {
    all: HashMap<CacheKey, (u64, Span)>,
    /// How many there may be before those that are over are thrown out.
    room: usize,
}

impl LocalCounters {
    /// Counters at nothing.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { windows: Mutex::new(Windows { all: HashMap::new(), room: FEW }), clock }
    }

    /// What [`Counters::take`] does, at once.
    pub fn take_now(&self, key: &CacheKey, amount: u64, quota: u64, window: Duration) -> Taken {
        let now = self.clock.steady_ms();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.all.len() >= windows.room {
            windows.all.retain(|_, (_, span)| span.holds(now));
            windows.room = FEW.max(2 * windows.all.len());
        }
        let running = windows.all.get(key).copied().filter(|(_, span)| span.holds(now));
        let (used, span) = running.unwrap_or((0, Span::new(now, window)));
        let after = used.saturating_add(amount);
        if after > quota {
            return Taken { granted: false, used, ends_in: span.left(now) };
        }
        if amount > 0 {
            windows.all.insert(key.clone(), (after, span));
        }
        Taken { granted: true, used: after, ends_in: span.left(now) }
    }
}

impl fmt::Debug for LocalCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCounters").finish_non_exhaustive()
    }
}

#[async_trait]
impl Counters for LocalCounters {
    async fn take(&self, key: &CacheKey, amount: u64, quota: u64, window: Duration) -> Taken {
        self.take_now(key, amount, quota, window)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use quipu_resolvers::guard::TenantId;
    use quipu_resolvers::ports::KeyKind;

    use super::*;

    const WINDOW: Duration = Duration::from_millis(500);

    /// The time of day jumps about; what lasts goes on.
    #[derive(Default)]
    struct Jumping {
        day: AtomicI64,
        steady: AtomicI64,
    }

    impl Clock for Jumping {
        fn now_ms(&self) -> i64 {
            self.day.load(Ordering::Relaxed)
        }

        fn steady_ms(&self) -> i64 {
            self.steady.load(Ordering::Relaxed)
        }
    }

    fn key(number: usize) -> CacheKey {
        CacheKey::of(&TenantId::parse("t").expect("a name"), KeyKind::Count, &[&number.to_le_bytes()])
    }

    #[test]
    fn hostile_74_windows_last_as_long_as_was_said_whatever_the_time_of_day() {
        let (clock, hour) = (Arc::new(Jumping::default()), 3_600_000);
        let counters = LocalCounters::new(clock.clone());
        let took = |granted, used, ms| Taken { granted, used, ends_in: Duration::from_millis(ms) };
        assert_eq!(counters.take_now(&key(2), 3, 4, WINDOW), took(true, 3, 500));
        for (steady, day, amount, expected) in [
            (100, 6 * hour, 2, took(false, 3, 400)),
            (100, 6 * hour, 1, took(true, 4, 400)),
            (499, -6 * hour, 1, took(false, 4, 1)),
            (499, -6 * hour, 0, took(true, 4, 1)),
            (500, -6 * hour, 5, took(false, 0, 500)),
            (500, -6 * hour, 2, took(true, 2, 500)),
            (501, 0, 1, took(true, 3, 499)),
        ] {
            clock.day.store(day, Ordering::Relaxed);
            clock.steady.store(steady, Ordering::Relaxed);
            assert_eq!(counters.take_now(&key(2), amount, 4, WINDOW), expected, "after {steady}");
        }
    }

    #[test]
    fn counters_whose_windows_are_over_take_no_room() {
        let clock = Arc::new(Jumping::default());
        let counters = LocalCounters::new(clock.clone());
        for number in 0..50 * FEW {
            clock.steady.store(number as i64, Ordering::Relaxed);
            assert_eq!(counters.take_now(&key(number), 1, 9, Duration::from_millis(10)).used, 1);
        }
        let windows = counters.windows.lock().expect("not poisoned");
        assert!(windows.all.len() <= FEW, "{}", windows.all.len());
    }
}
