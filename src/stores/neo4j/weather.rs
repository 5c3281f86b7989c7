//! Whether a server is having a bad time, told from what becomes of reads.
//!
//! The driver tries a read again by itself when the server says that an error passes (`neo4rs` 0.9): after 1 ms, 2 ms, 4 ms and so on,
//! for up to a minute, and tells nobody. So a server that is overloaded would be asked ten times as often. In a transaction the driver
//! tries nothing again, but one is five messages there and back instead of two. So reads are asked outside of transactions in good
//! times and inside in bad ones, where [`Budget`](crate::stores::budget::Budget) says what is tried again.
//!
//! That times are bad is noticed by a read that gets no first answer for a while: it is asked once more in a transaction, as a scout,
//! and when that fails in a way that passes, all reads that wait are given up and asked so. A few scouts a second are enough, since a
//! server that is only slow should not get twice the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// A read that has no first answer after two of these is slow. A clock that ticks for all of them is cheaper than one for each.
const TICK: Duration = Duration::from_millis(25);

/// Ticks without a read after which the clock stops until there is one.
const IDLE: u32 = 40;

/// How long times stay bad after the last failure.
const BAD: Duration = Duration::from_secs(5);

/// Between two scouts.
const SCOUTS: Duration = Duration::from_millis(250);

/// How it is with a server.
pub(super) struct Weather {
    sky: Arc<Sky>,
    clock: AbortHandle,
}

struct Sky {
    since: Instant,
    /// Until when times are bad, in milliseconds.
    bad_until: AtomicU64,
    /// When the next scout may go, in milliseconds.
    scout_from: AtomicU64,
    tick: Notify,
    /// Whether there was a read since the last tick.
    read: AtomicBool,
    stopped: AtomicBool,
    wanted: Notify,
}

impl Weather {
    /// Good until something else is known. Its clock is a task of the runtime in which this is called.
    pub(super) fn new() -> Self {
        let sky = Arc::new(Sky {
            since: Instant::now(),
            bad_until: AtomicU64::new(0),
            scout_from: AtomicU64::new(0),
            tick: Notify::new(),
            read: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            wanted: Notify::new(),
        });
        let clock = tokio::spawn(ticking(Arc::clone(&sky))).abort_handle();
        Self { sky, clock }
    }

    /// Whether times are bad.
    pub(super) fn is_bad(&self) -> bool {
        let until = self.sky.bad_until.load(Ordering::Relaxed);
        until > 0 && self.now() < until
    }

    /// Times are bad from now on, for a while.
    pub(super) fn turn(&self) {
        self.sky.bad_until.store(self.now() + millis(BAD), Ordering::Relaxed);
    }

    /// Done when a read that begins now is slow, and again for one that goes on.
    pub(super) async fn slow(&self) {
        self.sky.read.store(true, Ordering::SeqCst);
        if self.sky.stopped.swap(false, Ordering::SeqCst) {
            self.sky.wanted.notify_one();
        }
        // The first tick comes sooner than a whole one.
        for _ in 0..3 {
            self.sky.tick.notified().await;
        }
    }

    /// Whether it is the caller's turn to be the scout.
    pub(super) fn is_scout(&self) -> bool {
        let (now, from) = (self.now(), &self.sky.scout_from);
        let next = |due: u64| (due <= now).then_some(now + millis(SCOUTS));
        from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    fn now(&self) -> u64 {
        millis(self.sky.since.elapsed())
    }
}

impl Drop for Weather {
    fn drop(&mut self) {
        self.clock.abort();
    }
}

/// Ticks as long as there are reads.
async fn ticking(sky: Arc<Sky>) {
    let mut idle = 0;
    loop {
        sleep(TICK).await;
        sky.tick.notify_waiters();
        idle = if sky.read.swap(false, Ordering::SeqCst) { 0 } else { idle + 1 };
        if idle >= IDLE {
            idle = 0;
            sky.stopped.store(true, Ordering::SeqCst);
            // Whoever came in between did not see that it stops.
            if !sky.read.load(Ordering::SeqCst) {
                sky.wanted.notified().await;
            }
            sky.stopped.store(false, Ordering::SeqCst);
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_takes_long_is_noticed_also_after_a_rest() {
        let weather = Weather::new();
        for rest in [Duration::ZERO, TICK, TICK * (IDLE + 10)] {
            sleep(rest).await;
            let begun = Instant::now();
            timeout(Duration::from_secs(20), weather.slow()).await.expect("after some ticks");
            assert!(begun.elapsed() >= TICK, "not at once: {:?}", begun.elapsed());
        }
    }

    #[tokio::test]
    async fn times_are_bad_when_somebody_says_so() {
        let weather = Weather::new();
        assert!(!weather.is_bad());
        weather.turn();
        assert!(weather.is_bad());
    }

    #[tokio::test]
    async fn one_scout_at_a_time() {
        let weather = Weather::new();
        assert_eq!([weather.is_scout(), weather.is_scout(), weather.is_scout()], [true, false, false]);
    }
}
