//! A budget for trying again: when most of what is asked of a server fails, little is asked twice.

use std::sync::atomic::{AtomicU32, Ordering};

/// What one more try costs, and the most that is in the budget. Each success pays one back, so that in the long run a server gets at most
/// a tenth more than is asked of it.
const COST: u32 = 10;
const MOST: u32 = 200;

/// Tries that are left for a server.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(MOST))
    }
}

impl Budget {
    /// Takes one more try; false when there is none.
    pub(super) fn spend(&self) -> bool {
        let less = |left: u32| left.checked_sub(COST);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Something succeeded.
    pub(super) fn earn(&self) {
        let more = |left: u32| (left < MOST).then_some(left + 1);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where everything fails at first and every try again succeeds, a server gets hardly more than is asked of it.
    #[test]
    fn a_storm_is_not_made_stronger() {
        let budget = Budget::default();
        let again = (0..10_000).filter(|_| budget.spend()).count();
        assert_eq!(again, 20, "all fail");
        let again = (0..10_000)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count();
        assert!(again <= 1_000, "{again}");
    }
}
