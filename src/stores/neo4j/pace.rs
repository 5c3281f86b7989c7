//! How many statements of one shape run side by side, and how many questions one of them may ask.
//!
//! A server with room to spare answers statements as fast side by side as one after another; one without lets each wait for the others.
//! So the time that statements take, beside the least that they took, tells which it is, as in TCP Vegas (Brakmo and Peterson, 1995)
//! and in limits of concurrency that follow it: while it stays near the least, more may run side by side; when it grows to more than
//! twice, fewer do, and the questions that wait are asked together.

use std::time::Duration;

/// Statements that run side by side at least: enough that the server works while others of them are sent, read and answered.
const LEAST: f64 = 4.0;

/// Statements that run side by side at first.
const FIRST: f64 = 8.0;

/// Questions in one statement at most.
const MOST_QUESTIONS: f64 = 32.0;

/// By what part the least is forgotten with each statement, so that it follows what grows.
const FORGOTTEN: f64 = 1.0 / 512.0;

/// What is known of one shape.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Statements that may run side by side.
    side_by_side: f64,
    /// The most that these may ever be.
    most: f64,
    /// How long a statement may take by what its questions take at least, in seconds.
    longest: f64,
    /// The least time that one question took alone, in seconds.
    alone: Option<f64>,
    /// The least time of each question, also of several together, in seconds.
    each: Option<f64>,
}

impl Pace {
    /// Of a shape that nobody asked before: at most that many statements at a time, none with so many questions that it takes longer.
    pub(super) fn new(most: usize, longest: Duration) -> Self {
        let most = (most as f64).max(LEAST);
        Self { side_by_side: FIRST.min(most), most, longest: longest.as_secs_f64(), alone: None, each: None }
    }

    /// How many statements may run side by side.
    pub(super) fn side_by_side(&self) -> usize {
        self.side_by_side as usize
    }

    /// How many questions one statement may ask; at least one.
    pub(super) fn room(&self) -> usize {
        self.each.map_or(1.0, |each| (self.longest / each).clamp(1.0, MOST_QUESTIONS)) as usize
    }

    /// A statement with that many questions succeeded in that time; `waited` says whether others had to wait.
    pub(super) fn took(&mut self, questions: usize, took: Duration, waited: bool) {
        let (questions, took) = (questions.max(1) as f64, took.as_secs_f64().max(1e-6));
        let each = least(&mut self.each, took / questions);
        let alone = match questions > 1.0 {
            true => self.alone.unwrap_or(took / questions),
            false => least(&mut self.alone, took),
        };
        let expected = alone + each * (questions - 1.0);
        if took > 2.0 * expected {
            self.side_by_side = (self.side_by_side * 0.9).max(LEAST);
        } else if waited {
            self.side_by_side = (self.side_by_side + 1.0 / self.side_by_side).min(self.most);
        }
    }
}

/// Takes note of a time, and gives the least so far.
fn least(known: &mut Option<f64>, took: f64) -> f64 {
    let least = known.map_or(took, |known| took.min(known * (1.0 + FORGOTTEN)));
    *known = Some(least);
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// As long as statements take what they took alone, more of them may run, up to the limit.
    #[test]
    fn a_server_with_room_is_asked_side_by_side() {
        let mut pace = Pace::new(32, ms(10));
        for _ in 0..2_000 {
            pace.took(1, ms(3), true);
        }
        assert_eq!(pace.side_by_side(), 32);
    }

    #[test]
    fn a_server_that_lets_statements_wait_is_asked_few_at_a_time() {
        let mut pace = Pace::new(32, ms(10));
        pace.took(1, ms(1), false);
        for _ in 0..50 {
            pace.took(1, ms(9), true);
        }
        assert_eq!(pace.side_by_side(), 4);
        // Several questions may take as much longer as they are more.
        let mut pace = Pace::new(32, ms(10));
        pace.took(1, ms(1), false);
        for _ in 0..2_000 {
            pace.took(8, ms(8), true);
        }
        assert_eq!(pace.side_by_side(), 32);
    }

    /// Nobody waits long for what others ask.
    #[test]
    fn statements_that_take_long_ask_one_question() {
        let mut pace = Pace::new(32, ms(10));
        assert_eq!(pace.room(), 1);
        pace.took(1, ms(200), true);
        assert_eq!(pace.room(), 1);
        pace.took(1, ms(2), true);
        assert_eq!(pace.room(), 5);
        pace.took(10, ms(1), true);
        assert_eq!(pace.room(), 32);
    }

    /// When data grow, what was quick once is forgotten.
    #[test]
    fn the_least_follows_what_grows() {
        let mut pace = Pace::new(8, ms(10));
        pace.took(1, ms(1), false);
        assert_eq!(pace.room(), 10);
        for _ in 0..5_000 {
            pace.took(1, ms(40), false);
        }
        assert_eq!(pace.room(), 1);
    }
}
