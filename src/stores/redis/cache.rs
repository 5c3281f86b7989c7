//! What instances keep for each other.
//!
//! Whoever waits for Redis waits a moment only. After a failure nobody asks it for a second, and after that not before it has answered
//! somebody who has the time to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Cache, CacheKey, Counters, Found, Taken};
use redis::{Cmd, ErrorKind, FromRedisValue};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Redis;
use crate::stores::clock::SystemClock;
use crate::stores::counters::LocalCounters;

/// How long a request waits for Redis, at most.
pub const PATIENCE: Duration = Duration::from_millis(50);
/// How long it is passed over after a failure, before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes an amount if it is there; the first of a window sets its end. All or nothing, whatever happens to the connection.
const TAKE: &str = "\
local used = tonumber(redis.call('GET', KEYS[1]) or '0') \
local left = redis.call('PTTL', KEYS[1]) \
local granted = used + tonumber(ARGV[1]) <= tonumber(ARGV[2]) \
if granted and tonumber(ARGV[1]) > 0 then \
  used = redis.call('INCRBY', KEYS[1], ARGV[1]) \
  if left < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end \
end \
if left < 0 then left = tonumber(ARGV[3]) end \
return {granted and 1 or 0, used, left}";
/// Keys that are looked at at once when those of a tenant are removed.
const SCANNED: usize = 1_000;
/// The largest number that a script can compute with exactly.
const EXACT: u64 = 1 << 53;

/// The cache and the counters of all instances that use the same server and prefix.
#[derive(Debug)]
pub struct RedisCache {
    shared: Arc<Shared>,
    largest: usize,
    patience: Duration,
    /// Counts while nobody answers.
    alone: LocalCounters,
    /// Ended when the cache is dropped.
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    redis: Redis,
    /// Whether it is passed over.
    broken: AtomicBool,
    broke: Notify,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy)]
enum Silence {
    PassedOver,
    Failed,
}

impl RedisCache {
    /// Keeps values of at most `largest` bytes in a server; `patience` is how long anybody waits for it.
    pub fn new(redis: &Redis, largest: usize, patience: Duration) -> Self {
        let shared = Arc::new(Shared { redis: redis.clone(), broken: AtomicBool::new(false), broke: Notify::new() });
        let mut tasks = JoinSet::new();
        tasks.spawn(mend(shared.clone()));
        let alone = LocalCounters::new(Arc::new(SystemClock));
        Self { shared, largest, patience, alone, _tasks: tasks }
    }

    /// Whether it is asked at the moment.
    pub fn is_up(&self) -> bool {
        !self.shared.broken.load(Ordering::Relaxed)
    }

    fn name(&self, key: &CacheKey) -> String {
        format!("{}:cache:{}", self.shared.redis.prefix, key.as_str())
    }

    /// Names of some keys of a tenant, all where they are few; none only where there are none. `None` when the server does not answer. Nobody
    /// waits for a request meanwhile, so it may take its time.
    async fn some_of(&self, tenant: &TenantId) -> Option<Vec<String>> {
        let prefix = format!("{}:cache:{}", self.shared.redis.prefix, CacheKey::prefix(tenant));
        let pattern = format!("{}*", literal(&prefix));
        let (mut cursor, mut found) = (0_u64, Vec::new());
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCANNED);
            let (next, names): (u64, Vec<String>) = self.shared.redis.command(&scan).await?;
            found.extend(names);
            if next == 0 || found.len() >= SCANNED {
                return Some(found);
            }
            cursor = next;
        }
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Silence> {
        if !self.is_up() {
            return Err(Silence::PassedOver);
        }
        let mut connection = self.shared.redis.connection();
        let cause = match timeout(self.patience, command.query_async(&mut connection)).await {
            Ok(Ok(answer)) => return Ok(answer),
            // It refuses this command, for example because it has no memory left; it may well answer the next one.
            Ok(Err(error)) if error.code().is_some() || error.kind() == ErrorKind::UnexpectedReturnType => {
                tracing::debug!(cause = %error.category(), "redis refuses");
                return Err(Silence::Failed);
            }
            Ok(Err(error)) => error.category().to_owned(),
            Err(_) => "no answer in time".to_owned(),
        };
        if !self.shared.broken.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                cause,
                "redis does not answer; nothing is cached until it does, and each instance counts what tenants use for itself"
            );
            self.shared.broke.notify_one();
        }
        Err(Silence::Failed)
    }
}

/// A text as a pattern that fits itself alone.
fn literal(text: &str) -> String {
    let special = |character| matches!(character, '*' | '?' | '[' | ']' | '\\');
    text.chars().flat_map(|one| special(one).then_some('\\').into_iter().chain([one])).collect()
}

/// Tries again for those who cannot wait.
async fn mend(shared: Arc<Shared>) {
    loop {
        shared.broke.notified().await;
        tokio::time::sleep(PAUSE).await;
        while !shared.redis.ping().await {
            tokio::time::sleep(PAUSE).await;
        }
        tracing::info!("redis answers again");
        shared.broken.store(false, Ordering::Relaxed);
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &CacheKey) -> Found {
        let mut get = redis::cmd("GET");
        get.arg(self.name(key));
        match self.ask::<Option<Vec<u8>>>(&get).await {
            Ok(Some(value)) => Found::Value(value.into()),
            Ok(None) => Found::Nothing,
            Err(Silence::PassedOver) => Found::PassedOver,
            Err(Silence::Failed) => Found::Failed,
        }
    }

    async fn put(&self, key: &CacheKey, value: Bytes, ttl: Duration) {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        if value.len() > self.largest || ttl == 0 {
            return;
        }
        let mut set = redis::cmd("SET");
        set.arg(self.name(key)).arg(value.as_ref()).arg("PX").arg(ttl);
        // What is not kept is made again.
        let _ = self.ask::<()>(&set).await;
    }

    async fn forget(&self, tenant: &TenantId) {
        let forgotten = async {
            while let Some(names) = self.some_of(tenant).await {
                if names.is_empty() || self.shared.redis.command::<()>(redis::cmd("UNLINK").arg(&names)).await.is_none()
                {
                    return;
                }
            }
        };
        forgotten.await;
    }

    async fn held(&self, tenant: &TenantId) -> Option<u64> {
        Some(self.some_of(tenant).await?.len() as u64)
    }

    fn largest(&self) -> usize {
        self.largest
    }
}

#[async_trait]
impl Counters for RedisCache {
    async fn take(&self, key: &CacheKey, amount: u64, quota: u64, window: Duration) -> Taken {
        let mut take = redis::cmd("EVAL");
        let window_ms = u64::try_from(window.as_millis().max(1)).unwrap_or(EXACT).min(EXACT);
        take.arg(TAKE).arg(1).arg(self.name(key)).arg(amount.min(EXACT)).arg(quota.min(EXACT)).arg(window_ms);
        match self.ask::<(u64, u64, u64)>(&take).await {
            Ok((granted, used, left)) => Taken { granted: granted == 1, used, ends_in: Duration::from_millis(left) },
            Err(_) => self.alone.take_now(key, amount, quota, window),
        }
    }
}
