//! Caching in a real Redis: what instances share, and what happens when it is emptied, hangs, or is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu::stores::redis::{PATIENCE, Redis, RedisBus, RedisCache};
use quipu_resolvers::ports::{Bus as _, Cache as _, CacheKey, Counters as _, Found, KeyKind, Lookup, Trace};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use super::address;
use super::proxy::Proxy;
use super::redis::{LONG, options, until};
use crate::spec::cached::cached_farm;
use crate::spec::skew::{HOUR, Skewed};
use crate::spec::world::{World, admin};

const QUERY: &str = "{ facilities(sort: [{id: ASC}]) { id name contracts(sort: [{id: ASC}]) { supplier } } }";

/// An instance over the stores of a world, with what it shares over Redis.
struct Instance {
    world: World,
    bus: Arc<RedisBus>,
    cache: Arc<RedisCache>,
}

impl Instance {
    async fn over(world: &World, url: &str, prefix: &str, patience: Duration) -> Self {
        let redis = Redis::open(options(url, prefix)).await.unwrap_or_else(|error| panic!("{error}"));
        let (bus, cache) = (Arc::new(RedisBus::new(&redis)), Arc::new(RedisCache::new(&redis, 1 << 20, patience)));
        let world = world.beside(|ports| (ports.bus, ports.cache) = (bus.clone(), cache.clone()));
        Self { world, bus, cache }
    }

    /// The data of the query, and what came of looking it up.
    async fn ask(&self) -> (Json, Lookup) {
        let trace = Arc::new(Trace::default());
        let body = self.world.traced(&admin("alpha"), QUERY, json!({}), &trace).await;
        assert!(body["errors"].is_null(), "{body}");
        let came = |lookup: &Lookup| trace.lookups(KeyKind::Result, *lookup) > 0;
        (body["data"].clone(), Lookup::ALL.into_iter().find(came).expect("it was looked up"))
    }

    async fn becomes(&self, wanted: Lookup) {
        let begun = Instant::now();
        while self.ask().await.1 != wanted {
            assert!(begun.elapsed() < LONG, "it does not come to a {}", wanted.as_str());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn filled() -> World {
    World::of(&cached_farm()).await.fill().await
}

#[tokio::test]
async fn instances_share_what_is_kept_and_what_is_written_is_new_for_both() {
    let Some(url) = address("QUIPU_TEST_REDIS", "instances_share_what_is_kept") else { return };
    let world = filled().await;
    let a = Instance::over(&world, &url, "shared", LONG).await;
    let b = Instance::over(&world, &url, "shared", LONG).await;
    until(|| a.bus.is_up() && b.bus.is_up()).await;
    let (first, lookup) = a.ask().await;
    assert_eq!(lookup, Lookup::Miss);
    assert_eq!(b.ask().await, (first.clone(), Lookup::Hit));
    let mut heard = b.bus.listen(&admin("alpha").tenant);
    let change = "mutation { updateFacilities(where: {id: {eq: \"f1\"}}, update: {name: {set: \"Nord\"}}) { info { nodesCreated } } }";
    a.world.data(&admin("alpha"), change).await;
    let (second, lookup) = a.ask().await;
    assert_eq!((&second["facilities"][0]["name"], lookup), (&json!("Nord"), Lookup::Miss));
    tokio::time::timeout(LONG, heard.changed()).await.expect("it is heard").expect("the bus lives");
    assert_eq!(b.ask().await, (second, Lookup::Hit));
    // Another deployment on the same server has nothing of it.
    let apart = Instance::over(&world, &url, "shared-not", LONG).await;
    assert_eq!(apart.ask().await.1, Lookup::Miss);
}

/// What is kept in Redis lasts by its own clock: instances that are hours apart share it, and none keeps it longer.
#[tokio::test]
async fn hostile_74_instances_whose_clocks_differ_share_what_is_kept() {
    let Some(url) = address("QUIPU_TEST_REDIS", "hostile_74_instances_whose_clocks_differ") else { return };
    let world = filled().await;
    let mut instances = Vec::new();
    for off in [0, 48 * HOUR, -48 * HOUR] {
        let instance = Instance::over(&world, &url, "skewed", LONG).await;
        let world = instance.world.beside(|ports| ports.clock = Skewed::by(off, -1_000));
        instances.push(Instance { world, ..instance });
    }
    let (first, lookup) = instances[1].ask().await;
    assert_eq!(lookup, Lookup::Miss);
    for instance in &instances {
        assert_eq!(instance.ask().await, (first.clone(), Lookup::Hit));
    }
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("test-{}-skewed:cache:*", std::process::id());
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(key).query_async(&mut redis).await.unwrap();
        assert!((0..=HOUR).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn hostile_71_redis_is_emptied() {
    let Some(url) = address("QUIPU_TEST_REDIS", "hostile_71_redis_is_emptied") else { return };
    // A database of its own, which can be emptied under everybody's feet.
    let url = format!("{}/9", url.trim_end_matches('/'));
    let instance = Instance::over(&filled().await, &url, "emptied", LONG).await;
    let (first, lookup) = instance.ask().await;
    assert_eq!((lookup, instance.ask().await), (Lookup::Miss, (first.clone(), Lookup::Hit)));
    let mut other = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHDB").query_async::<()>(&mut other).await.unwrap();
    assert_eq!(instance.ask().await, (first.clone(), Lookup::Miss));
    assert_eq!(instance.ask().await, (first.clone(), Lookup::Hit));
    // What somebody else wrote there is made again.
    let keys: Vec<String> = redis::cmd("KEYS").arg("*:cache:alpha:result:*").query_async(&mut other).await.unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    for wrong in [&b""[..], b"\x01", b"\xff\xff", b"{\"data\":1}"] {
        redis::cmd("SET").arg(&keys[0]).arg(wrong).query_async::<()>(&mut other).await.unwrap();
        assert_eq!(instance.ask().await, (first.clone(), Lookup::Miss));
        assert_eq!(instance.ask().await, (first.clone(), Lookup::Hit));
    }
    // A key of another sort is an error of Redis, not ours, and of this key alone.
    redis::cmd("DEL").arg(&keys[0]).query_async::<()>(&mut other).await.unwrap();
    redis::cmd("LPUSH").arg(&keys[0]).arg("x").query_async::<()>(&mut other).await.unwrap();
    assert_eq!(instance.ask().await, (first, Lookup::Failed));
    assert!(instance.cache.is_up());
}

#[tokio::test]
async fn hostile_71_redis_is_gone_and_comes_back() {
    let Some(url) = address("QUIPU_TEST_REDIS", "hostile_71_redis_is_gone_and_comes_back") else { return };
    let (credentials, server) = url.rsplit_once('@').expect("user and password");
    let mut proxy = Proxy::to(server).await;
    let through = format!("{credentials}@{}", proxy.address);
    let instance = Instance::over(&filled().await, &through, "gone", LONG).await;
    let (first, _) = instance.ask().await;
    assert_eq!(instance.ask().await, (first.clone(), Lookup::Hit));
    proxy.cut().await;
    assert_eq!(instance.ask().await, (first.clone(), Lookup::Failed), "one request finds out");
    for _ in 0..20 {
        assert_eq!(instance.ask().await, (first.clone(), Lookup::Passed), "the others need not");
    }
    assert!(!instance.cache.is_up());
    let change = "mutation { updateFacilities(where: {id: {eq: \"f1\"}}, update: {name: {set: \"Nord\"}}) { info { nodesCreated } } }";
    instance.world.data(&admin("alpha"), change).await;
    assert_eq!(instance.ask().await.0["facilities"][0]["name"], "Nord");
    proxy.mend().await;
    until(|| instance.cache.is_up()).await;
    instance.becomes(Lookup::Hit).await;
    assert_eq!(instance.ask().await.0["facilities"][0]["name"], "Nord");
}

#[tokio::test]
async fn hostile_71_nobody_waits_for_a_redis_that_hangs() {
    // It takes connections and says nothing. The system makes them; nobody has to accept them.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("redis://{}", silent.local_addr().expect("an address"));
    let world = filled().await;
    let instance = Instance::over(&world, &url, "silent", PATIENCE).await;
    let begun = Instant::now();
    let (data, lookup) = instance.ask().await;
    assert_eq!((data["facilities"].as_array().map(Vec::len), lookup), (Some(4), Lookup::Failed));
    for _ in 0..50 {
        assert_eq!(instance.ask().await.1, Lookup::Passed);
    }
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    let key = CacheKey::of(&admin("alpha").tenant, KeyKind::Result, &[]);
    assert_eq!(instance.cache.get(&key).await, Found::PassedOver);
}

#[tokio::test]
async fn instances_count_together_what_a_tenant_uses() {
    let Some(url) = address("QUIPU_TEST_REDIS", "instances_count_together_what_a_tenant_uses") else { return };
    let open = async |prefix: &str| {
        let redis = Redis::open(options(&url, prefix)).await.unwrap_or_else(|error| panic!("{error}"));
        RedisCache::new(&redis, 1 << 20, LONG)
    };
    let (a, b, apart) = (open("counted").await, open("counted").await, open("counted-not").await);
    let key = CacheKey::of(&admin("alpha").tenant, KeyKind::Count, &[b"requests"]);
    for (counters, granted, used) in [(&a, true, 4), (&b, true, 8), (&a, false, 8), (&b, false, 8), (&apart, true, 4)] {
        let taken = counters.take(&key, 4, 10, LONG).await;
        assert_eq!((taken.granted, taken.used), (granted, used));
    }
}
