//! The system's clock.

use std::sync::LazyLock;
use std::time::Instant;

use quipu_resolvers::ports::Clock;

/// The time that the operating system tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the time of day is read")]
    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }

    fn steady_ms(&self) -> i64 {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        i64::try_from(BEGIN.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what the clock is compared with")]
    fn counts_from_1970_in_milliseconds() {
        let before =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        assert!(SystemClock.now_ms() - before as i64 <= 1000);
        assert!(SystemClock.now_ms() >= before as i64);
    }

    #[test]
    fn counts_what_lasts_from_a_moment_of_its_own() {
        let begun = Instant::now();
        let first = SystemClock.steady_ms();
        let between = Instant::now();
        while between.elapsed().as_millis() < 5 {
            std::hint::spin_loop();
        }
        let second = SystemClock.steady_ms();
        // Both are whole milliseconds.
        assert!((4..=begun.elapsed().as_millis() as i64 + 1).contains(&(second - first)), "{first} {second}");
    }
}
