//! Why something did not come to its end, and what is told of it.

use std::error::Error;
use std::io;

use quipu_resolvers::fault::{Code, Fault};
use tonic::Status;

use super::PART;

/// Why something did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The deadline passed.
    Late,
    /// Too many requests were under way.
    Busy,
    /// The server or the connection said so.
    Store(Box<Status>),
    /// What came back makes no sense.
    Answer(String),
}

/// What is wrong with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// There is none, or it ended.
    Io(String),
    /// No TLS could be agreed on.
    Tls,
    /// The other end speaks something else, or hung up.
    Protocol,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        match status.code() {
            // The deadline goes to the server too; either end may be the first to say so.
            tonic::Code::DeadlineExceeded => Self::Late,
            tonic::Code::Cancelled if status.message().contains("Timeout expired") => Self::Late,
            _ => Self::Store(Box::new(status)),
        }
    }
}

impl Failure {
    /// Whether the same may succeed a moment later.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Store(status) => {
                matches!(status.code(), tonic::Code::Unavailable | tonic::Code::Aborted) || broken(status).is_some()
            }
            Self::Late | Self::Busy | Self::Answer(_) => false,
        }
    }

    /// The fault to answer with.
    pub(super) fn fault(self) -> Fault {
        use tonic::Code::{Cancelled, PermissionDenied, ResourceExhausted, Unauthenticated};
        match self {
            Self::Late => Fault::client(Code::Timeout, "the store did not answer in time"),
            Self::Busy => Fault::client(Code::Overloaded, "too many requests wait for the store; try again"),
            Self::Answer(cause) => Fault::internal(PART, cause),
            Self::Store(status) => {
                let cause = described(&status);
                // A key that was changed, or a server without room, is mended from outside.
                let outside =
                    matches!(status.code(), Unauthenticated | PermissionDenied | ResourceExhausted | Cancelled);
                match outside || Self::Store(status).passes() {
                    true => Fault::passing(PART, cause),
                    false => Fault::internal(PART, cause),
                }
            }
        }
    }
}

/// A status in words, without its headers.
pub(super) fn described(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    if let Some(cause) = causes(status).last() {
        text.push_str(&format!(" ({cause})"));
    }
    text
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = status.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// What is wrong with the connection, when it is that which failed.
pub(super) fn broken(status: &Status) -> Option<Broken> {
    let mut found = None;
    for cause in causes(status) {
        let text = cause.to_string();
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            // TLS errors come as "invalid data"; an error of a look-up has no kind of its own.
            return Some(match error.kind() {
                io::ErrorKind::InvalidData => Broken::Tls,
                _ if text.contains("lookup") => Broken::Io("its name cannot be resolved".to_owned()),
                kind => Broken::Io(kind.to_string()),
            });
        }
        if text.contains("dns error") {
            return Some(Broken::Io("its name cannot be resolved".to_owned()));
        }
        if cause.is::<hyper::Error>() {
            // Not a matter of the network below, unless such a cause follows.
            found = Some(Broken::Protocol);
        } else if cause.is::<tonic::transport::Error>() && found.is_none() {
            found = Some(Broken::Io(text));
        }
    }
    found
}
