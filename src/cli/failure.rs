//! How a command ends when it does not do what it was asked for.

use std::io::Write;
use std::process::ExitCode;

use quipu_resolvers::fault::Fault;

use crate::app::AppError;
use crate::config::ConfigError;
use crate::stores::sqlite::OpenError;

/// Why a command failed: a line, mostly a second one that helps, and an exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
    help: Option<String>,
}

impl Failure {
    /// The input was refused: exit code 1.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into(), help: None }
    }

    /// The command or its settings are wrong: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into(), help: None }
    }

    /// A store, or the system, failed: exit code 3.
    pub fn store(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into(), help: None }
    }

    /// The input was refused, and everything has been said about it.
    pub fn said() -> Self {
        Self::refused("")
    }

    /// Adds a line that helps.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Tells the user on standard error, and gives the exit code.
    pub fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            error(&self.message);
        }
        if let Some(help) = &self.help {
            say("help", "\u{1b}[1;36m", help);
        }
        ExitCode::from(self.code)
    }
}

/// An error on standard error that does not end the command.
pub fn error(message: &str) {
    say("error", "\u{1b}[1;31m", message);
}

/// A warning on standard error.
pub fn warn(message: &str) {
    say("warning", "\u{1b}[1;33m", message);
}

/// Something to know, on standard error.
pub fn note(message: &str) {
    say("note", "\u{1b}[1;32m", message);
}

/// Colours are taken out where standard error is no terminal.
fn say(word: &str, colour: &str, message: &str) {
    let mut stream = anstream::stderr().lock();
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(stream, "{colour}{word}\u{1b}[0m: {message}");
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let help = error.help.clone();
        Self { help: (!help.is_empty()).then_some(help), ..Self::store(error.to_string()) }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Client(fault) => Self::refused(fault.message),
            Fault::Internal(_) => Self::store(fault.to_string()),
        }
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Config(error) => error.into(),
            AppError::Open(error) => error.into(),
            AppError::Graph(error) => Self::store(error.to_string()).help(error.help),
            AppError::Metadata(error) => Self::store(error.to_string()).help(error.help),
            AppError::Vectors(error) => Self::store(error.to_string()).help(error.help),
            AppError::Store(fault) => fault.into(),
            AppError::Cache(_) | AppError::Serve(_) | AppError::Metrics(_) => Self::store(error.to_string()),
        }
    }
}
