//! The keys of an issuer as they are known: fetched by one task, used by all requests.
//!
//! Whoever verifies looks at what is held, without waiting. Only a token that names an unknown key lets its request wait, for a fetch
//! that is under way or may begin; `fetch_floor` says how often one may. So many requests with made-up keys cause one fetch, and none
//! of them can stop it: the task that fetches belongs to nobody's request.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use quipu_resolvers::ports::Clock;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::claims::milliseconds;
use super::fetch::Fetcher;
use super::keyset::KeySet;
use crate::config::{Algorithms, Issuer};

/// What a waiting request grants on top of one fetch's time.
const GRACE: Duration = Duration::from_millis(100);

/// The keys of one issuer.
pub(super) struct Keys {
    name: String,
    fetcher: Fetcher,
    algorithms: Algorithms,
    refresh_ms: i64,
    floor_ms: i64,
    keep_ms: i64,
    patience: Duration,
    clock: Arc<dyn Clock>,
    held: ArcSwapOption<Held>,
    fetches: watch::Sender<Fetches>,
    wanted: Notify,
}

/// A key set, and since when it is known to be right.
pub(super) struct Held {
    pub set: KeySet,
    /// Another number for another set.
    pub generation: u64,
    text: Vec<u8>,
    at_ms: i64,
}

/// What became of fetching, for those who wait for it.
#[derive(Default)]
struct Fetches {
    running: bool,
    begun_ms: Option<i64>,
    done: u64,
    /// In a row.
    failed: u32,
}

impl Keys {
    pub fn new(name: &str, issuer: &Issuer, fetcher: Fetcher, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.into(),
            fetcher,
            algorithms: issuer.algorithms.clone(),
            refresh_ms: milliseconds(issuer.refresh),
            floor_ms: milliseconds(issuer.fetch_floor),
            keep_ms: milliseconds(issuer.keep),
            patience: issuer.timeout + GRACE,
            clock,
            held: ArcSwapOption::empty(),
            fetches: watch::Sender::default(),
            wanted: Notify::new(),
        }
    }

    /// The keys, when they may be used: fetched once, and not longer ago than `keep` says.
    pub fn held(&self) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| self.is_fresh(held))
    }

    /// The number of the set that may be used: what was verified by another one is to be verified anew.
    pub fn generation(&self) -> Option<u64> {
        self.held.load().as_ref().filter(|held| self.is_fresh(held)).map(|held| held.generation)
    }

    fn is_fresh(&self, held: &Held) -> bool {
        self.clock.steady_ms().saturating_sub(held.at_ms) <= self.keep_ms
    }

    /// Whether keys can be used, and the last fetch brought them.
    pub fn is_well(&self) -> bool {
        self.fetches.borrow().failed == 0 && self.held().is_some_and(|held| held.set.len() > 0)
    }

    /// Waits for the fetch that is under way, or for one that begins now. When the last one began less than the floor ago, and is
    /// done, there is nothing to wait for.
    pub async fn sought(&self) {
        let mut fetches = self.fetches.subscribe();
        let seen = {
            let state = fetches.borrow_and_update();
            if !state.running && self.until_allowed(&state) > 0 {
                return;
            }
            state.done
        };
        self.wanted.notify_one();
        let _ = timeout(self.patience, fetches.wait_for(|state| state.done > seen)).await;
    }

    /// Fetches at once, then whenever it is time or a key is wanted; never ends.
    pub async fn follow(&self) {
        loop {
            self.fetch().await;
            loop {
                let wait = self.until_next();
                if wait == 0 {
                    break;
                }
                tokio::select! {
                    () = sleep(span(wait)) => {}
                    // Who asks too late for one fetch may ask too early for the next.
                    () = self.wanted.notified() => {
                        if self.until_allowed(&self.fetches.borrow()) == 0 {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Milliseconds until the next fetch that nobody asks for. After failures in a row the time doubles, up to that of a refresh.
    fn until_next(&self) -> i64 {
        let fetches = self.fetches.borrow();
        let pause = match fetches.failed {
            0 => self.refresh_ms,
            failed => self.floor_ms.saturating_mul(1 << (failed - 1).min(20)).min(self.refresh_ms),
        };
        let since = fetches.begun_ms.map_or(i64::MAX, |begun| self.clock.steady_ms().saturating_sub(begun));
        pause.saturating_sub(since).max(0)
    }

    /// Milliseconds until a fetch may begin; none when it may now.
    fn until_allowed(&self, fetches: &Fetches) -> i64 {
        fetches
            .begun_ms
            .map_or(0, |begun| begun.saturating_add(self.floor_ms).saturating_sub(self.clock.steady_ms()).max(0))
    }

    async fn fetch(&self) {
        self.fetches.send_modify(|fetches| {
            fetches.running = true;
            fetches.begun_ms = Some(self.clock.steady_ms());
        });
        // Were it to panic, nobody would ask for these keys again.
        let fetched = AssertUnwindSafe(async { self.fetcher.key_set().await.and_then(|text| self.take(&text)) });
        let outcome = fetched.catch_unwind().await.unwrap_or_else(|_| Err("reading the keys panicked".into()));
        let failed_before = self.fetches.borrow().failed;
        match &outcome {
            Ok(()) if failed_before > 0 => tracing::info!(issuer = %self.name, "the issuer's keys are there again"),
            Ok(()) => {}
            Err(reason) if self.held().is_some() => {
                tracing::warn!(issuer = %self.name, %reason, "the issuer's keys could not be asked for; those known are used on");
            }
            Err(reason) => {
                tracing::warn!(issuer = %self.name, %reason, "the issuer's keys could not be asked for; its tokens are refused");
            }
        }
        self.fetches.send_modify(|fetches| {
            fetches.running = false;
            fetches.done += 1;
            fetches.failed = if outcome.is_ok() { 0 } else { fetches.failed.saturating_add(1) };
        });
    }

    /// Puts a set in place. The same text is the same set, so that what was verified by it stays so.
    fn take(&self, text: &[u8]) -> Result<(), String> {
        let before = self.held.load_full();
        let at_ms = self.clock.steady_ms();
        let held = match &before {
            Some(before) if before.text == text => {
                Held { set: before.set.clone(), generation: before.generation, text: text.to_vec(), at_ms }
            }
            _ => {
                let (set, left_out) = KeySet::parse(text, &self.algorithms)?;
                let generation = before.map_or(1, |before| before.generation + 1);
                tracing::info!(issuer = %self.name, keys = set.len(), ?left_out, "the issuer's keys are known");
                Held { set, generation, text: text.to_vec(), at_ms }
            }
        };
        self.held.store(Some(Arc::new(held)));
        Ok(())
    }
}

fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
