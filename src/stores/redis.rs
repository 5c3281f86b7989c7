//! Redis: one connection for what is said and what is kept, one more to listen.
//!
//! Nothing depends on it. An instance that is cut off looks into the logs by itself, several times a second, and makes again what it cannot
//! look up.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, IntoConnectionInfo as _, RedisError};
use tokio::time::timeout;

mod bus;
mod cache;

pub use bus::RedisBus;
pub use cache::{PATIENCE, RedisCache};

/// Longest wait for a connection at the start.
const CONNECTING: Duration = Duration::from_secs(4);
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(1);

/// How Redis is reached.
#[derive(Clone)]
pub struct Options {
    /// `redis://[user[:password]@]host[:port][/number]`. It may hold a password: not for logs.
    pub url: String,
    /// The password, if it is not part of the URL.
    pub password: Option<String>,
    /// What the names of channels and keys begin with, so that several deployments can share a server.
    pub prefix: String,
}

/// Why Redis cannot be used. Holds neither URL nor password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("redis (`cache.url`): {message}\nhelp: {help}")]
pub struct OpenError {
    message: String,
    help: String,
}

impl OpenError {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// A server, and the connection to it that is made anew by itself. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    live: Arc<ArcSwap<Live>>,
    prefix: String,
}

/// How the server is reached with one password.
struct Live {
    client: Client,
    connection: ConnectionManager,
    password: Option<String>,
}

impl Live {
    fn of(client: Client, options: &Options) -> Result<Self, OpenError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECTING))
            .set_response_timeout(Some(ANSWER))
            .set_number_of_retries(1);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config);
        let connection = connection.map_err(|_| OpenError::new("no connection can be made", "look at `cache.url`"))?;
        Ok(Self { client, connection, password: options.password.clone() })
    }
}

impl Redis {
    /// Connects. A server that is not there is no error: this process works without, says so in its log, and tries again.
    ///
    /// # Errors
    /// When the URL cannot be read, or the server refuses the user or the password.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let client = client(&options)?;
        let live = Live::of(client.clone(), &options)?;
        let redis = Self { live: Arc::new(ArcSwap::from_pointee(live)), prefix: options.prefix };
        match timeout(CONNECTING, greet(&client)).await {
            Ok(Err(error)) if is_refusal(&error) => return Err(refused()),
            Ok(Err(error)) => tracing::warn!(cause = %error.category(), "redis cannot be reached; it is tried again"),
            Err(_) => tracing::warn!(cause = "no answer", "redis cannot be reached; it is tried again"),
            // So that no request finds a connection that is only being made.
            Ok(Ok(())) => drop(redis.ping().await),
        }
        Ok(redis)
    }

    /// Uses the password of these options from now on; whether it is another one. It is tried first; a connection that listens stays as long
    /// as it lasts.
    ///
    /// # Errors
    /// When the server refuses it, or is away.
    pub async fn renew(&self, options: &Options) -> Result<bool, OpenError> {
        if self.live.load().password == options.password {
            return Ok(false);
        }
        let client = client(options)?;
        match timeout(CONNECTING, greet(&client)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if is_refusal(&error) => return Err(refused()),
            _ => return Err(OpenError::new("the server does not answer", "look at `cache.url`")),
        }
        self.live.store(Arc::new(Live::of(client, options)?));
        Ok(true)
    }

    fn connection(&self) -> ConnectionManager {
        self.live.load().connection.clone()
    }

    fn client(&self) -> Client {
        self.live.load().client.clone()
    }

    /// What a command brings that nobody's request waits for; `None` when the server does not answer.
    async fn command<T: FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        let mut connection = self.connection();
        match timeout(CONNECTING + ANSWER, command.query_async(&mut connection)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Whether the server answers on the shared connection, which is made again where it has to be.
    async fn ping(&self) -> bool {
        let mut connection = self.connection();
        let ping = redis::cmd("PING");
        matches!(timeout(CONNECTING + ANSWER, ping.query_async::<String>(&mut connection)).await, Ok(Ok(_)))
    }
}

impl std::fmt::Debug for Redis {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn refused() -> OpenError {
    let help = "set user and password in `cache.url`, or the password as `cache.password` or `cache.password_file`";
    OpenError::new("the server refuses user or password", help)
}

fn client(options: &Options) -> Result<Client, OpenError> {
    let unreadable = |_| OpenError::new("the URL cannot be read", "write it as \"redis://host:6379\"");
    let mut info = options.url.as_str().into_connection_info().map_err(unreadable)?;
    if let Some(password) = &options.password {
        let settings = info.redis_settings().clone().set_password(password);
        info = info.set_redis_settings(settings);
    }
    Client::open(info).map_err(unreadable)
}

/// Connects once and asks something, since a server that wants a password lets everybody connect.
async fn greet(client: &Client) -> Result<(), RedisError> {
    let patience =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECTING)).set_response_timeout(Some(ANSWER));
    let mut connection = client.get_multiplexed_async_connection_with_config(&patience).await?;
    redis::cmd("PING").query_async(&mut connection).await
}

fn is_refusal(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
}
