//! Why something did not come to its end, and what is told of it.

use neo4rs::{Error, Neo4jErrorKind};
use quipu_resolvers::fault::{Code, Fault};

use super::PART;

/// Why something did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The deadline passed.
    Late,
    /// No connection was free in time.
    Busy,
    /// The server or the connection said so.
    Store(Error),
    /// What came back makes no sense.
    Answer(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            // The server keeps the deadline too.
            Error::Neo4j(error) if error.code().contains("TransactionTimedOut") => Self::Late,
            _ => Self::Store(error),
        }
    }
}

impl Failure {
    /// Whether the same may succeed a moment later.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Store(error) => is_transient(error) || is_broken(error),
            Self::Late | Self::Busy | Self::Answer(_) => false,
        }
    }

    /// The fault to answer with.
    pub(super) fn fault(self) -> Fault {
        match self {
            Self::Late => Fault::client(Code::Timeout, "the store did not answer in time"),
            Self::Busy => Fault::client(Code::Overloaded, "too many requests wait for the store; try again"),
            Self::Answer(cause) => Fault::internal(PART, cause),
            Self::Store(error) => {
                // A password that was changed, or a database that is being moved, is mended from outside.
                let outside = matches!(&error, Error::AuthenticationError(_))
                    || matches!(&error, Error::Neo4j(e) if e.code().contains(".Database.") || e.code().contains(".Security."));
                match outside || is_broken(&error) || is_transient(&error) {
                    true => Fault::passing(PART, error),
                    false => Fault::internal(PART, error),
                }
            }
        }
    }
}

fn is_transient(error: &Error) -> bool {
    matches!(error, Error::Neo4j(error) if error.kind() == Neo4jErrorKind::Transient)
}

/// Whether it is the connection that failed, and not the statement.
fn is_broken(error: &Error) -> bool {
    matches!(
        error,
        Error::IOError { .. }
            | Error::ConnectionError
            | Error::ConnectionTimedOut
            | Error::IncompleteBoltExchange
            | Error::Ignored(_)
            | Error::RequestIgnoredError
            | Error::ServerUnavailableError(_)
    )
}
