//! What is kept within one process, bounded in bytes: what is used least goes first (S3-FIFO, by `quick_cache`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quick_cache::sync::{Cache as Values, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Cache, CacheKey, Clock, Found};

/// What an entry takes beside key and value, roughly.
const OVERHEAD: usize = 128;
/// Bytes of an entry as one expects it; it decides how much is remembered of entries that went.
const USUAL: u64 = 2048;
/// Parts that are locked one at a time.
const PARTS: u64 = 16;

/// A cache of this process. Its entries last until their time is over, whatever happens to the time of day meanwhile.
pub struct LocalCache {
    values: Values<CacheKey, Entry, ByBytes>,
    largest: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    span: Span,
}

/// From when to when, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    begin: i64,
    end: i64,
}

impl Span {
    pub fn new(begin: i64, length: Duration) -> Self {
        Self { begin, end: begin.saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)) }
    }

    /// A clock that went back all the same ends what seems to begin later.
    pub fn holds(self, now: i64) -> bool {
        (self.begin..self.end).contains(&now)
    }

    /// How long it still is.
    pub fn left(self, now: i64) -> Duration {
        Duration::from_millis(u64::try_from(self.end.saturating_sub(now)).unwrap_or(0))
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<CacheKey, Entry> for ByBytes {
    fn weight(&self, key: &CacheKey, entry: &Entry) -> u64 {
        (key.as_str().len() + entry.value.len() + OVERHEAD) as u64
    }
}

impl LocalCache {
    /// An empty one that takes `bytes` at most, all tenants together, and no value of more than `largest` bytes.
    pub fn new(bytes: usize, largest: usize, clock: Arc<dyn Clock>) -> Self {
        let bytes = bytes as u64;
        // Each part has its share of the bytes, and should take some of the largest values.
        let parts = (bytes / (4 * largest.max(1) as u64)).clamp(1, PARTS);
        let options = OptionsBuilder::new()
            .shards(1 << parts.ilog2())
            .weight_capacity(bytes)
            .estimated_items_capacity(usize::try_from(bytes / USUAL).unwrap_or(usize::MAX).max(1))
            .build()
            .expect("capacities are set");
        let values = Values::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self { values, largest, clock }
    }
}

#[async_trait]
impl Cache for LocalCache {
    async fn get(&self, key: &CacheKey) -> Found {
        match self.values.get(key) {
            Some(entry) if entry.span.holds(self.clock.steady_ms()) => Found::Value(entry.value),
            Some(_) => {
                let now = self.clock.steady_ms();
                self.values.remove_if(key, |entry| !entry.span.holds(now));
                Found::Nothing
            }
            None => Found::Nothing,
        }
    }

    async fn put(&self, key: &CacheKey, value: Bytes, ttl: Duration) {
        if value.len() <= self.largest {
            self.values.insert(key.clone(), Entry { value, span: Span::new(self.clock.steady_ms(), ttl) });
        }
    }

    async fn forget(&self, tenant: &TenantId) {
        self.values.retain(|key, _| !key.is_of(tenant));
    }

    async fn held(&self, tenant: &TenantId) -> Option<u64> {
        Some(self.values.iter().filter(|(key, _)| key.is_of(tenant)).count() as u64)
    }

    fn largest(&self) -> usize {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use quipu_resolvers::ports::KeyKind;

    use super::*;

    /// A clock that stands still.
    #[derive(Default)]
    struct Hands(AtomicI64);

    impl Clock for Hands {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn key(number: usize) -> CacheKey {
        CacheKey::of(&TenantId::parse("t").expect("a name"), KeyKind::Result, &[&number.to_le_bytes()])
    }

    #[tokio::test]
    async fn entries_end_with_their_time_also_when_the_clock_is_set_back() {
        let hands = Arc::new(Hands::default());
        let cache = LocalCache::new(1 << 20, 1 << 10, hands.clone());
        let at = |now| hands.0.store(now, Ordering::Relaxed);
        at(1_000);
        cache.put(&key(1), Bytes::from_static(b"one"), Duration::from_millis(500)).await;
        for (now, there) in [(1_000, true), (1_499, true), (1_500, false), (1_400, false)] {
            at(now);
            let found = cache.get(&key(1)).await;
            assert_eq!(found != Found::Nothing, there, "at {now}: what is over is gone for good");
        }
        cache.put(&key(1), Bytes::from_static(b"two"), Duration::MAX).await;
        at(1_000);
        assert_eq!(cache.get(&key(1)).await, Found::Nothing, "it seems to come from the future");
    }

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

    #[tokio::test]
    async fn hostile_74_entries_last_as_long_as_was_said_whatever_the_time_of_day() {
        let clock = Arc::new(Jumping::default());
        let cache = LocalCache::new(1 << 20, 1 << 10, clock.clone());
        let (ttl, hour) = (Duration::from_millis(500), 3_600_000);
        cache.put(&key(1), Bytes::from_static(b"one"), ttl).await;
        for (steady, day, there) in
            [(100, 6 * hour, true), (499, -6 * hour, true), (500, -6 * hour, false), (501, 0, false)]
        {
            clock.day.store(day, Ordering::Relaxed);
            clock.steady.store(steady, Ordering::Relaxed);
            assert_eq!(cache.get(&key(1)).await != Found::Nothing, there, "after {steady}");
        }
    }

    #[tokio::test]
    async fn it_takes_no_more_bytes_than_it_may_and_one_value_of_the_largest() {
        let (bytes, largest) = (1 << 20, 1 << 18);
        let cache = LocalCache::new(bytes, largest, Arc::new(Hands::default()));
        for number in 0..2_000 {
            cache.put(&key(number), Bytes::from(vec![0; 4_000]), Duration::from_secs(1)).await;
            assert!(cache.values.weight() <= bytes as u64);
        }
        assert!(cache.values.len() > 100, "{}", cache.values.len());
        cache.put(&key(9_999), Bytes::from(vec![0; largest]), Duration::from_secs(1)).await;
        assert_ne!(cache.get(&key(9_999)).await, Found::Nothing);
        cache.put(&key(9_998), Bytes::from(vec![0; largest + 1]), Duration::from_secs(1)).await;
        assert_eq!(cache.get(&key(9_998)).await, Found::Nothing);
        let none = LocalCache::new(0, largest, Arc::new(Hands::default()));
        none.put(&key(1), Bytes::from_static(b"one"), Duration::from_secs(1)).await;
        assert_eq!(none.get(&key(1)).await, Found::Nothing, "no room is no cache");
    }
}
