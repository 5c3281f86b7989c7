//! The bus between instances: who hears of a change looks into the log. Nothing but a tenant's name and a position travels.
//!
//! Redis only makes it faster: an instance that is cut off still looks into the logs by itself, several times a second.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Bus;
use redis::{Client, ErrorKind, RedisError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{ANSWER, CONNECTING, Redis};
use crate::stores::bus::LocalBus;

/// How often it is looked whether the connection that listens still works; a connection can die without a word.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Waits between attempts to connect again: the first one; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Announcements within this process, and to and from others that use the same server and prefix.
#[derive(Debug)]
pub struct RedisBus {
    shared: Arc<Shared>,
    /// Ended when the bus is dropped.
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    local: LocalBus,
    channel: String,
    /// What is to be said to others: the newest position of each tenant. A server that is away makes this no longer than there are tenants.
    unsaid: Mutex<BTreeMap<TenantId, u64>>,
    more: Notify,
    speaks: AtomicBool,
    hears: AtomicBool,
}

impl RedisBus {
    /// Speaks and listens by a server. One that is away is no error: see [`is_up`](Self::is_up).
    pub fn new(redis: &Redis) -> Self {
        let shared = Arc::new(Shared {
            local: LocalBus::default(),
            channel: format!("{}:log", redis.prefix),
            unsaid: Mutex::default(),
            more: Notify::new(),
            speaks: AtomicBool::new(true),
            hears: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(speak(shared.clone(), redis.clone()));
        tasks.spawn(hear(shared.clone(), redis.clone()));
        Self { shared, _tasks: tasks }
    }

    /// Whether other instances are heard and were reached the last time.
    pub fn is_up(&self) -> bool {
        self.shared.hears.load(Ordering::Relaxed) && self.shared.speaks.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Bus for RedisBus {
    /// Never waits for Redis.
    async fn announce(&self, tenant: &TenantId, seq: u64) {
        self.shared.local.announce(tenant, seq).await;
        self.shared.unsaid(tenant, seq);
        self.shared.more.notify_one();
    }

    fn listen(&self, tenant: &TenantId) -> watch::Receiver<u64> {
        self.shared.local.listen(tenant)
    }

    fn forget(&self, tenant: &TenantId) {
        self.shared.unsaid.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
        self.shared.local.forget(tenant);
    }
}

impl Shared {
    fn unsaid(&self, tenant: &TenantId, seq: u64) {
        let mut unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = unsaid.entry(tenant.clone()).or_default();
        *newest = seq.max(*newest);
    }

    fn next(&self) -> Option<(TenantId, u64)> {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }
}

/// Tells other instances. What could not be said is said when the server is back, unless something newer was to be said by then.
async fn speak(shared: Arc<Shared>, redis: Redis) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some((tenant, seq)) = shared.next() else {
            shared.more.notified().await;
            continue;
        };
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&shared.channel).arg(format!("{tenant} {seq}"));
        let mut connection = redis.connection();
        let said = timeout(CONNECTING + ANSWER, publish.query_async::<i64>(&mut connection)).await;
        let said = matches!(said, Ok(Ok(_)));
        shared.speaks.store(said, Ordering::Relaxed);
        if said {
            pause = FIRST_PAUSE;
        } else {
            shared.unsaid(&tenant, seq);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Listens to other instances, again and again.
async fn hear(shared: Arc<Shared>, redis: Redis) {
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    loop {
        let ended = listen(&shared, &redis.client(), &mut pause).await;
        shared.hears.store(false, Ordering::Relaxed);
        if !std::mem::replace(&mut told, pause > FIRST_PAUSE) {
            let cause = ended.as_ref().map_or_else(|error| error.category(), |()| "closed");
            tracing::warn!(cause, "redis: other instances are not heard; the logs are looked at instead");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Listens until the connection ends.
async fn listen(shared: &Shared, client: &Client, pause: &mut Duration) -> Result<(), RedisError> {
    let late = |_| RedisError::from((ErrorKind::Io, "no answer"));
    let (mut sink, mut stream) = timeout(CONNECTING, client.get_async_pubsub()).await.map_err(late)??.split();
    timeout(ANSWER, sink.subscribe(&shared.channel)).await.map_err(late)??;
    shared.hears.store(true, Ordering::Relaxed);
    *pause = FIRST_PAUSE;
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            message = stream.next() => {
                let Some(message) = message else { return Ok(()) };
                let said = message.get_payload::<String>().unwrap_or_default();
                // Whatever else is on the channel is not for us.
                let Some((tenant, seq)) = said.split_once(' ') else { continue };
                if let (Some(tenant), Ok(seq)) = (TenantId::parse(tenant), seq.parse()) {
                    shared.local.announce(&tenant, seq).await;
                }
            }
            _ = heartbeat.tick() => {
                timeout(ANSWER, sink.ping::<redis::Value>()).await.map_err(late)??;
            }
        }
    }
}
