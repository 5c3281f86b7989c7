//! Connecting: what is wrong with a server is told at once, and how to put it right.

use std::fmt;
use std::time::{Duration, Instant};

use neo4rs::{ConfigBuilder, Error, Graph};

use super::failure::Failure;
use super::session::Sessions;
use super::{Statement, column};

/// Longest time for looking whether a server can be used.
const LOOK: Duration = Duration::from_secs(4);

/// Longest time that a connection waits for one answer. Every call has a deadline of its own, which is shorter.
const ANSWER: Duration = Duration::from_secs(900);

/// The oldest version that speaks all of the Cypher that is written here.
const OLDEST: (u32, u32) = (5, 26);

/// How the records of several tenants are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenancyMode {
    /// By the property `_tenant` of every node and relationship.
    Property,
    /// Not at all: the database holds one tenant, as others wrote it.
    Database,
}

/// Where a server is and how it is used.
#[derive(Clone)]
pub struct Options {
    /// `neo4j://host:port`, or `neo4j+s://` with TLS; `bolt` means the same. No credentials.
    pub url: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
    /// Database; the server's default when `None`.
    pub database: Option<String>,
    /// Most connections.
    pub pool: usize,
    /// Longest wait for a connection.
    pub wait: Duration,
    /// When reads of one shape are asked together.
    pub gathering: Gathering,
    /// How tenants are told apart.
    pub tenancy: TenancyMode,
    /// What stands before the names of tenants in the database, so that several gateways can share it; mostly empty.
    pub namespace: String,
    /// The section of the settings that speaks of it, like `graph`, for messages.
    pub section: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("url", &self.url).field("user", &self.user).finish_non_exhaustive()
    }
}

/// When reads of a tenant that differ in their values alone are asked together, as one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathering {
    /// Never: each is asked alone.
    Never,
    /// When some of them run already: as many as are expected to be answered in that time.
    UnderLoad(Duration),
    /// Also a single one is asked like several, which takes longer; for tests.
    Always,
}

impl Default for Gathering {
    /// Under load, for 10 ms: those that wait for one another should not wait long.
    fn default() -> Self {
        Self::UnderLoad(Duration::from_millis(10))
    }
}

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("Neo4j at {address}, which `{section}.url` names, {message}")]
pub struct OpenError {
    /// The section of the settings that speaks of it.
    pub section: String,
    /// Host and port.
    pub address: String,
    /// What is wrong.
    pub message: String,
    /// How to put it right.
    pub help: String,
    /// Whether it did not answer at all, which may pass.
    pub away: bool,
}

/// Connections to a server, of which none is made yet.
///
/// # Errors
/// When the URL cannot be understood.
pub(super) fn sessions(options: &Options) -> Result<Sessions, OpenError> {
    let wrong = |message: String, help: &str| refused(options, message, help);
    let Some(url) = direct(&options.url) else {
        let message = "has a URL that cannot be understood".to_owned();
        return Err(wrong(message, "write it as neo4j://host:7687, or neo4j+s://host:7687 with TLS"));
    };
    let mut config = ConfigBuilder::default()
        .uri(url)
        .user(&options.user)
        .password(&options.password)
        // One more for a read that is asked twice, to tell how it is with the server.
        .max_connections(options.pool.max(1) + 1)
        .connection_timeout(ANSWER)
        .fetch_size(500);
    if let Some(database) = &options.database {
        config = config.db(database.as_str());
    }
    let graph = config.build().and_then(Graph::connect);
    let graph = graph.map_err(|error| wrong(format!("cannot be used: {error}"), "check its URL"))?;
    Ok(Sessions::new(graph, options.pool, options.wait))
}

/// Asks the server for its version.
///
/// # Errors
/// When it does not answer within some seconds, refuses user or password, is too old, or lacks the database.
pub(super) async fn look(sessions: &Sessions, options: &Options) -> Result<(), OpenError> {
    let asked = Statement {
        text: "CALL dbms.components() YIELD name, versions WHERE name = 'Neo4j Kernel' RETURN versions[0] AS version"
            .to_owned(),
        parameters: Vec::new(),
    };
    let rows = sessions.read(&asked, Instant::now() + LOOK).await;
    let rows = rows.map_err(|failure| explained(failure, options))?;
    let version: String = rows.first().and_then(|row| column(row, "version").ok()).unwrap_or_default();
    if parsed(&version).is_none_or(|version| version < OLDEST) {
        let (major, minor) = OLDEST;
        let message = format!("is version {version:?}, and {major}.{minor} or newer is needed");
        return Err(refused(options, message, "upgrade it to the newest 5.26"));
    }
    Ok(())
}

/// What a failure at the start means for whoever configured the server.
fn explained(failure: Failure, options: &Options) -> OpenError {
    let section = &options.section;
    let wrong = |message: String, help: &str| refused(options, message, help);
    let away = |message: String, help: &str| OpenError { away: true, ..wrong(message, help) };
    let unreachable = "check that it runs, that the URL names its host and Bolt port, and that no firewall is between";
    match failure {
        Failure::Late | Failure::Busy => away(format!("did not answer within {} seconds", LOOK.as_secs()), unreachable),
        Failure::Answer(cause) => wrong(format!("gave an answer that makes no sense: {cause}"), "check its version"),
        Failure::Store(error) => match error {
            Error::AuthenticationError(_) => {
                let help = format!("check {section}.user and {section}.password");
                wrong("refuses the user or the password".to_owned(), &help)
            }
            Error::UnsupportedVersion(..) => wrong(
                "does not speak a version of Bolt that is known here".to_owned(),
                "use Neo4j 5; the newest 5.26 is best",
            ),
            Error::ProtocolMismatch(_) => wrong(
                "does not speak Bolt".to_owned(),
                "name the Bolt port in the URL, mostly 7687, and not that of HTTP",
            ),
            Error::Neo4j(error) if error.code().ends_with("DatabaseNotFound") => wrong(
                format!("has no database {:?}", options.database.as_deref().unwrap_or_default()),
                &format!("make it, or name another in {section}.database"),
            ),
            Error::Neo4j(error) if error.code().contains(".Security.") => wrong(
                format!("refuses the user: {}", error.code()),
                &format!("check {section}.user and {section}.password, and what the user may do"),
            ),
            Error::IOError { detail } => away(format!("cannot be reached: {}", detail.kind()), unreachable),
            other => wrong(format!("cannot be used: {other}"), unreachable),
        },
    }
}

/// The URL for the driver: this one server, without a routing table.
fn direct(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (_, security) = scheme.split_at_checked(scheme.find('+').unwrap_or(scheme.len()))?;
    let known = matches!(scheme.strip_suffix(security)?, "neo4j" | "bolt") && matches!(security, "" | "+s" | "+ssc");
    (known && !rest.is_empty()).then(|| format!("bolt{security}://{}", rest.rsplit('@').next().unwrap_or(rest)))
}

/// Why a server that answers is not used.
pub(super) fn refused(options: &Options, message: String, help: &str) -> OpenError {
    let (section, address) = (options.section.clone(), address(&options.url));
    OpenError { section, address, message, help: help.to_owned(), away: false }
}

/// Host and port of a URL, without credentials.
pub(super) fn address(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit('@').next().unwrap_or(rest);
    rest.split(['/', '?']).next().unwrap_or(rest).to_owned()
}

fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(direct("neo4j://h:1").as_deref(), Some("bolt://h:1"));
        assert_eq!(direct("neo4j+s://h").as_deref(), Some("bolt+s://h"));
        assert_eq!(direct("bolt+ssc://u:p@h:1").as_deref(), Some("bolt+ssc://h:1"));
        for wrong in ["", "h:1", "http://h", "neo4j+x://h", "neo4j://"] {
            assert_eq!(direct(wrong), None, "{wrong}");
        }
        assert_eq!(address("neo4j://user:secret@host:7687/x?y"), "host:7687");
        assert_eq!((parsed("5.26.16"), parsed("2025.01.0"), parsed("x")), (Some((5, 26)), Some((2025, 1)), None));
    }
}
