//! What instances keep for each other.
//!
//! Whoever waits for Redis waits a moment only. After a failure nobody asks it for a second, and after that not before it has answered
//! somebody who has the time to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quipu_resolvers::ports::{Cache, CacheKey, Counters, Found};
use redis::{Cmd, ErrorKind, FromRedisValue};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Redis;

/// How long a request waits for Redis, at most.
pub const PATIENCE: Duration = Duration::from_millis(50);
/// How long it is passed over after a failure, before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts, and has the first one of a window set its end; both or nothing, whatever happens to the connection.
const COUNT: &str =
    "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n";

/// The cache and the counters of all instances that use the same server and prefix.
#[derive(Debug)]
pub struct RedisCache {
    shared: Arc<Shared>,
    largest: usize,
    patience: Duration,
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
        Self { shared, largest, patience, _tasks: tasks }
    }

    /// Whether it is asked at the moment.
    pub fn is_up(&self) -> bool {
        !self.shared.broken.load(Ordering::Relaxed)
    }

    fn name(&self, key: &CacheKey) -> String {
        format!("{}:cache:{}", self.shared.redis.prefix, key.as_str())
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
            tracing::warn!(cause, "redis does not answer; nothing is cached until it does");
            self.shared.broke.notify_one();
        }
        Err(Silence::Failed)
    }
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

    fn largest(&self) -> usize {
        self.largest
    }
}

#[async_trait]
impl Counters for RedisCache {
    async fn count(&self, key: &CacheKey, window: Duration) -> Option<u64> {
        let mut count = redis::cmd("EVAL");
        count.arg(COUNT).arg(1).arg(self.name(key)).arg(u64::try_from(window.as_millis().max(1)).unwrap_or(u64::MAX));
        self.ask(&count).await.ok()
    }
}
