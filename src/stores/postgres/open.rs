//! Opening: addresses, what can be wrong with them, and the connections.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::session::{Sessions, state_of};
use super::{check, migrations, tls};
use crate::stores::open_tables::OpenTable;

/// How the server is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// Address of the database as the role that reads and writes, with credentials.
    pub url: String,
    /// Password of that role, when the address has none.
    pub password: Option<String>,
    /// Address as the role that owns the tables; migrations run at start when it is given.
    pub owner_url: Option<String>,
    /// Password of the owner, when that address has none.
    pub owner_password: Option<String>,
    /// The schema that holds everything; letters, digits and underscores.
    pub schema: String,
    /// Most connections.
    pub connections: u32,
    /// Longest wait for a free connection before a request is refused as `OVERLOADED`.
    pub wait: Duration,
    /// Longest wait for the server at start.
    pub connect: Duration,
    /// Tables of others that ontologies may show.
    pub tables: Vec<OpenTable>,
    /// A file with the certificates of whoever vouches for the server; with it, TLS is demanded and the server has to be the one of the
    /// address, unless the address says otherwise.
    pub root_certificate: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            url: String::new(),
            password: None,
            owner_url: None,
            owner_password: None,
            schema: "quipu".to_owned(),
            connections: u32::try_from(cores * 4).unwrap_or(64).clamp(8, 64),
            wait: Duration::from_secs(2),
            connect: Duration::from_secs(4),
            tables: Vec::new(),
            root_certificate: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { schema, connections, wait, connect, .. } = self;
        let place = self.place();
        f.debug_struct("Options")
            .field("place", &place)
            .field("schema", schema)
            .field("connections", connections)
            .field("wait", wait)
            .field("connect", connect)
            .finish_non_exhaustive()
    }
}

/// Why the server is not used. No credentials are in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("postgres {place}: {message}")]
pub struct OpenError {
    /// Host, port and database.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What can be done.
    pub help: String,
}

impl Options {
    pub(super) fn error(&self, message: impl Into<String>, help: impl Into<String>) -> OpenError {
        OpenError { place: self.place(), message: message.into(), help: help.into() }
    }

    /// An error about which nothing better is known than what the server says; its messages name objects, not credentials.
    pub(super) fn failed(&self, what: &str, error: &sqlx::Error) -> OpenError {
        self.error(format!("{what}: {error}"), "look at the server's log")
    }

    pub(super) fn place(&self) -> String {
        PgConnectOptions::from_str(&self.url).map_or_else(|_| "(address)".to_owned(), |known| place_of(&known))
    }

    /// The name of the login role.
    pub(super) fn login(&self) -> String {
        PgConnectOptions::from_str(&self.url).map(|known| known.get_username().to_owned()).unwrap_or_default()
    }

    fn parse(&self, url: &str, password: Option<&str>, whose: &str) -> Result<PgConnectOptions, OpenError> {
        let form = "write it as postgres://user:password@host:port/database";
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(self.error(format!("{whose} is not an address of Postgres"), form));
        }
        self.check_tls(url, whose)?;
        // The parser's message may quote the address, so it is not passed on.
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| self.error(format!("{whose} is not an address that can be read"), form))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !self.schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') || !self.schema.chars().all(plain) {
            let message = format!("the schema \"{}\" has characters that are not allowed", self.schema);
            return Err(self.error(message, "use small letters, digits and underscores"));
        }
        let options = match password {
            Some(password) => options.password(password),
            None => options,
        };
        let options = self.with_tls(options, url)?;
        let name = options.get_application_name().unwrap_or("quipu").to_owned();
        Ok(options
            .application_name(&name)
            // A server that works for a client that went away notices within a second.
            .options([("search_path", self.schema.as_str()), ("client_connection_check_interval", "1000")])
            .statement_cache_capacity(500)
            .disable_statement_logging())
    }

    /// A connection as the owner.
    pub(super) async fn connect_owner(&self) -> Result<PgConnection, OpenError> {
        let (url, password) = match &self.owner_url {
            Some(url) => (url.as_str(), self.owner_password.as_deref()),
            None => (self.url.as_str(), self.password.as_deref()),
        };
        let options = self.parse(url, password, "the owner's address")?;
        self.connect(&options).await
    }

    /// A connection as the role that reads and writes, and how further ones are made.
    pub(super) async fn connect_login(&self) -> Result<(PgConnectOptions, PgConnection), OpenError> {
        let login = self.parse(&self.url, self.password.as_deref(), "the address")?;
        let connection = self.connect(&login).await?;
        Ok((login, connection))
    }

    async fn connect(&self, options: &PgConnectOptions) -> Result<PgConnection, OpenError> {
        match tokio::time::timeout(self.connect, PgConnection::connect_with(options)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(refused(options, &error)),
            Err(_) => Err(OpenError {
                place: place_of(options),
                message: format!("does not answer within {} s", self.connect.as_secs()),
                help: "check host and port, and that no firewall is between".to_owned(),
            }),
        }
    }
}

fn place_of(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}

/// Why the server did not let us in.
fn refused(options: &PgConnectOptions, error: &sqlx::Error) -> OpenError {
    let user = options.get_username();
    let (message, help) = match (state_of(error).as_deref(), error) {
        (Some("28P01"), _) => (format!("the password of {user} is wrong"), "check the credentials"),
        (Some("28000"), _) => (
            format!("the server does not let {user} in"),
            "check the role, and the server's pg_hba.conf, which may ask for TLS (sslmode=require) or for none (sslmode=disable)",
        ),
        (Some("3D000"), _) => ("there is no such database".to_owned(), "check its name, or create it"),
        (Some("53300"), _) => (
            "the server has no connection left".to_owned(),
            "lower the number of connections, or raise max_connections",
        ),
        (Some("57P03"), _) => ("the server is starting or stopping".to_owned(), "try again"),
        (_, error) if let Some(untrusted) = tls::untrusted(error) => untrusted,
        (_, sqlx::Error::Io(cause)) => {
            (format!("cannot be reached: {cause}"), "check host and port, and that the server runs")
        }
        _ => (format!("cannot be opened: {error}"), "look at the server's log"),
    };
    OpenError { place: place_of(options), message, help: help.to_owned() }
}

/// Migrates if an owner is given, checks, and makes the pool.
pub(super) async fn open(options: &Options) -> Result<Sessions, OpenError> {
    if options.tables.iter().any(|open| open.schema == options.schema) {
        let message = format!("the setting of tables of others opens {}, which is this gateway's own", options.schema);
        return Err(options.error(message, "take it out of `metadata.tables`"));
    }
    let (login, mut connection) = options.connect_login().await?;
    check::server(&mut connection, options).await?;
    check::role(&mut connection, options).await?;
    if options.owner_url.is_some() {
        migrations::migrate(options).await?;
    }
    migrations::check(&mut connection, options).await?;
    check::tables(&mut connection, options).await?;
    let _ = connection.close().await;
    Ok(Sessions::new(pool(options, login), options.wait))
}

fn pool(options: &Options, login: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(options.connections.max(1))
        // Waiting is bounded where it is waited; this one is only never to be shorter.
        .acquire_timeout(options.wait + options.connect)
        // Every transaction begins with a message of its own, which finds out as well whether the connection is still there.
        .test_before_acquire(false)
        .idle_timeout(Duration::from_secs(300))
        .connect_lazy_with(login)
}
