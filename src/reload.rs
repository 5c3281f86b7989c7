//! When files of secrets and certificates are looked at again: every so often, and when the process gets SIGHUP.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(50);

/// The moments at which to look. Each watcher has its own.
pub struct Looks {
    ticks: Interval,
    #[cfg(unix)]
    hangups: Option<tokio::signal::unix::Signal>,
}

impl Looks {
    /// One look each time that `every` has passed, and one for each SIGHUP. From now on that signal does not end the process.
    pub fn new(every: Duration) -> Self {
        let mut ticks = interval(every.max(SHORTEST));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one would be now.
        ticks.reset();
        #[cfg(unix)]
        let hangups = {
            use tokio::signal::unix::{SignalKind, signal};
            // Without it there are still the ticks.
            signal(SignalKind::hangup()).ok()
        };
        Self {
            ticks,
            #[cfg(unix)]
            hangups,
        }
    }

    /// Waits for the next moment.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(hangups) = &mut self.hangups {
            tokio::select! {
                _ = self.ticks.tick() => {}
                _ = hangups.recv() => {}
            }
            return;
        }
        self.ticks.tick().await;
    }
}
