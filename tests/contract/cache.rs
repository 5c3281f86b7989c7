//! The contract of caches and counters: one suite that runs against every adapter.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use quipu::stores::cache::LocalCache;
use quipu::stores::clock::SystemClock;
use quipu::stores::counters::LocalCounters;
use quipu::stores::redis::{Options, Redis, RedisCache};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Cache, CacheKey, Counters, Found, KeyKind};

use crate::servers::address;

/// Long enough for a busy machine, and longer than any test.
const LONG: Duration = Duration::from_secs(600);
/// Bytes of the largest value.
const LARGEST: usize = 1 << 16;

/// What is under test, empty.
pub struct Opened {
    cache: Arc<dyn Cache>,
    counters: Arc<dyn Counters>,
    /// What has to live as long.
    _kept: Box<dyn Any + Send + Sync>,
}

async fn in_process(_: &str) -> Option<Opened> {
    let cache = Arc::new(LocalCache::new(1 << 24, LARGEST, Arc::new(SystemClock)));
    Some(Opened { cache, counters: Arc::new(LocalCounters::new(Arc::new(SystemClock))), _kept: Box::new(()) })
}

async fn in_redis(test: &str) -> Option<Opened> {
    let url = address("QUIPU_TEST_REDIS", test)?;
    let prefix = format!("test-{}-{test}", std::process::id());
    let redis = Redis::open(Options { url, password: None, prefix }).await.unwrap_or_else(|error| panic!("{error}"));
    let cache = Arc::new(RedisCache::new(&redis, LARGEST, Duration::from_secs(20)));
    Some(Opened { cache: cache.clone(), counters: cache, _kept: Box::new(redis) })
}

/// Runs every case against what a function opens.
macro_rules! cache_suite {
    ($name:ident, $open:path) => {
        mod $name {
            cache_suite!(@cases $open, values_come_back, values_end_with_their_time, large_values_are_not_kept, many_at_once, counts, windows_end,
                a_tenant_is_forgotten_and_no_other);
        }
    };
    (@cases $open:path, $($case:ident),+) => {
        $(#[tokio::test]
        async fn $case() {
            // One that cannot be had says so by itself.
            if let Some(opened) = $open(concat!(module_path!(), "::", stringify!($case))).await {
                super::$case(opened).await;
            }
        })+
    };
}

cache_suite!(on_process, super::in_process);
cache_suite!(on_redis, super::in_redis);

fn key(tenant: &str, kind: KeyKind, name: &str) -> CacheKey {
    CacheKey::of(&TenantId::parse(tenant).expect("a name"), kind, &[name.as_bytes()])
}

async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < LONG, "it does not come to that");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn values_come_back(Opened { cache, _kept, .. }: Opened) {
    let all: Vec<CacheKey> = [("a", "x"), ("b", "x"), ("a", "y")]
        .into_iter()
        .flat_map(|(tenant, name)| [KeyKind::Result, KeyKind::Embedding].map(|kind| key(tenant, kind, name)))
        .collect();
    for key in &all {
        assert_eq!(cache.get(key).await, Found::Nothing);
    }
    let value = |at: usize| Bytes::from_iter((0..=255_u8).cycle().take(at * 300));
    for (at, key) in all.iter().enumerate() {
        cache.put(key, Bytes::from_static(b"what was there before"), LONG).await;
        cache.put(key, value(at), LONG).await;
    }
    for (at, key) in all.iter().enumerate() {
        assert_eq!(cache.get(key).await, Found::Value(value(at)), "{key:?}, an empty one among them");
    }
}

async fn values_end_with_their_time(Opened { cache, _kept, .. }: Opened) {
    let (short, long) = (key("a", KeyKind::Result, "short"), key("a", KeyKind::Result, "long"));
    cache.put(&long, Bytes::from_static(b"long"), LONG).await;
    cache.put(&short, Bytes::from_static(b"short"), Duration::from_millis(200)).await;
    until(|| async { cache.get(&short).await == Found::Nothing }).await;
    assert_eq!(cache.get(&long).await, Found::Value(Bytes::from_static(b"long")));
    // The time of the last value is the one that counts.
    cache.put(&short, Bytes::from_static(b"short"), LONG).await;
    cache.put(&short, Bytes::from_static(b"shorter"), Duration::from_millis(200)).await;
    until(|| async { cache.get(&short).await == Found::Nothing }).await;
}

async fn a_tenant_is_forgotten_and_no_other(Opened { cache, counters, _kept }: Opened) {
    let value = || Bytes::from_static(b"value");
    // More than one look finds, and names of which one is the beginning of the other.
    for number in 0..2_500 {
        cache.put(&key("a", KeyKind::Result, &number.to_string()), value(), LONG).await;
    }
    counters.take(&key("a", KeyKind::Count, "requests"), 1, 9, LONG).await;
    let others = ["a-b", "ab", "b"].map(|tenant| key(tenant, KeyKind::Embedding, "x"));
    for other in &others {
        cache.put(other, value(), LONG).await;
    }
    let of = |name: &str| TenantId::parse(name).expect("a name");
    assert!(cache.held(&of("a")).await.is_some_and(|held| held > 0));
    cache.forget(&of("a")).await;
    assert_eq!(cache.held(&of("a")).await, Some(0));
    assert_eq!(cache.get(&key("a", KeyKind::Result, "7")).await, Found::Nothing);
    for (other, name) in others.iter().zip(["a-b", "ab", "b"]) {
        assert_eq!((cache.get(other).await, cache.held(&of(name)).await), (Found::Value(value()), Some(1)), "{name}");
    }
}

async fn large_values_are_not_kept(Opened { cache, _kept, .. }: Opened) {
    let key = |name| key("a", KeyKind::Result, name);
    assert_eq!(cache.largest(), LARGEST);
    cache.put(&key("fits"), Bytes::from(vec![7; LARGEST]), LONG).await;
    cache.put(&key("too large"), Bytes::from(vec![7; LARGEST + 1]), LONG).await;
    assert_eq!(cache.get(&key("fits")).await, Found::Value(Bytes::from(vec![7; LARGEST])));
    assert_eq!(cache.get(&key("too large")).await, Found::Nothing);
    cache.put(&key("no time"), Bytes::from_static(b"x"), Duration::ZERO).await;
    assert_eq!(cache.get(&key("no time")).await, Found::Nothing);
}

async fn many_at_once(Opened { cache, _kept, .. }: Opened) {
    let tasks = (0..50_u8).map(|number| {
        let (cache, key) = (cache.clone(), key("a", KeyKind::Result, &format!("{}", number % 10)));
        tokio::spawn(async move {
            cache.put(&key, Bytes::from(vec![number % 10; 2_000]), LONG).await;
            cache.get(&key).await == Found::Value(Bytes::from(vec![number % 10; 2_000]))
        })
    });
    for done in join_all(tasks).await {
        assert!(done.expect("no panic"));
    }
}

async fn counts(Opened { counters, _kept, .. }: Opened) {
    let key = |name| key("a", KeyKind::Count, name);
    for (amount, granted, used) in
        [(0, true, 0), (3, true, 3), (8, false, 3), (7, true, 10), (1, false, 10), (0, true, 10)]
    {
        let taken = counters.take(&key("x"), amount, 10, LONG).await;
        assert_eq!((taken.granted, taken.used), (granted, used), "{amount}");
        assert!(taken.ends_in <= LONG && taken.ends_in > LONG / 2, "{:?}", taken.ends_in);
    }
    assert_eq!(counters.take(&key("y"), 1, 10, LONG).await.used, 1);
    assert!(!counters.take(&key("none"), 1, 0, LONG).await.granted);
    assert!(counters.take(&key("large"), 1 << 60, u64::MAX, LONG).await.granted);
    let tasks = (0..100).map(|_| {
        let (counters, key) = (counters.clone(), key("many"));
        tokio::spawn(async move { counters.take(&key, 1, 90, LONG).await })
    });
    let taken: Vec<_> = join_all(tasks).await.into_iter().map(|done| done.expect("no panic")).collect();
    let seen: HashSet<u64> = taken.iter().filter(|taken| taken.granted).map(|taken| taken.used).collect();
    assert_eq!(seen, (1..=90).collect(), "nobody is counted twice or passed over");
    assert_eq!(taken.iter().filter(|taken| !taken.granted).count(), 10);
}

async fn windows_end(Opened { counters, _kept, .. }: Opened) {
    let (key, window) = (key("a", KeyKind::Count, "x"), Duration::from_millis(500));
    counters.take(&key, 1, u64::MAX, window).await;
    // What is counted in between makes the window no longer: it ends although this goes on.
    until(|| async { counters.take(&key, 1, u64::MAX, window).await.used > 1 }).await;
    until(|| async { counters.take(&key, 1, u64::MAX, window).await.used == 1 }).await;
}

#[tokio::test]
async fn who_cannot_reach_the_others_counts_alone() {
    // Nothing listens there.
    let options = Options { url: "redis://127.0.0.1:1".into(), password: None, prefix: "alone".into() };
    let redis = Redis::open(options).await.unwrap_or_else(|error| panic!("{error}"));
    let counters = RedisCache::new(&redis, LARGEST, Duration::from_millis(50));
    let key = key("a", KeyKind::Count, "x");
    for used in 1..=3 {
        let taken = counters.take(&key, 1, 3, LONG).await;
        assert_eq!((taken.granted, taken.used), (true, used));
    }
    assert!(!counters.take(&key, 1, 3, LONG).await.granted);
    assert!(!counters.is_up(), "and says so");
}
