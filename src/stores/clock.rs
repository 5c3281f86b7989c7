//! The system's clock.

use quipu_resolvers::ports::Clock;

/// The time that the operating system tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the time of day is read")]
    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
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
}
