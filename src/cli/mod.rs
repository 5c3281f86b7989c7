//! The command line: one file per command.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;

mod adopt;
mod audit;
mod caller;
mod columns;
mod demo;
mod documents;
mod explain;
mod failure;
mod import;
mod key;
mod migrate;
mod ontology;
mod outline;
mod policy;
mod progress;
mod rebuild;
mod serve;
mod status;
mod tenant;
mod token;
mod user;
mod vectors;

use failure::Failure;

const EXAMPLES: &str = "\
Examples:
  quipu demo                                         try it: five tenants and a playground
  quipu ontology check knowledge.graphql             see what is wrong with an ontology
  quipu ontology publish --tenant acme knowledge.graphql
  quipu import --tenant acme records.jsonl           load records, as many as you like
  quipu token --tenant acme --subject ada --role admin    a token to ask questions with
  quipu key create --tenant acme --name nightly      a key for a program, until it is revoked
  quipu serve                                        serve every published tenant

Settings come from quipu.toml in the current folder, or --config FILE, or QUIPU_CONFIG;
each can be set in the environment as QUIPU_<SECTION>_<KEY>.

Exit codes: 0 done, 1 the input was refused, 2 wrong usage or settings, 3 a store failed.";

/// A knowledge-graph query gateway: a typed GraphQL API over entities, relationships, rows and passages, per tenant.
#[derive(Debug, Parser)]
#[command(name = "quipu", bin_name = "quipu", version, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    /// The settings [default: quipu.toml in the current folder, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Migrate(migrate::Migrate),
    #[command(subcommand)]
    Ontology(ontology::Ontology),
    #[command(subcommand)]
    Documents(documents::Documents),
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    Token(token::Token),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    User(user::Account),
    Import(import::Import),
    Adopt(adopt::Adopt),
    Explain(explain::Explain),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Policy(policy::Policy),
    Status(status::Status),
    Rebuild(rebuild::Rebuild),
    Reindex(rebuild::Reindex),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs a command. Prints what went wrong, and gives the exit code.
fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows which stream and code they have.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

impl Cli {
    fn execute(self) -> Result<(), Failure> {
        let Self { config, command } = self;
        let load = || Config::load(config.as_deref()).map_err(Failure::from);
        match command {
            Command::Demo(demo) => block_on(demo.run(config)),
            Command::Serve(serve) => block_on(serve.run(load()?)),
            Command::Migrate(migrate) => block_on(migrate.run(load()?)),
            Command::Ontology(ontology) => ontology.run(load),
            Command::Documents(documents) => documents.run(load()?),
            Command::Tenant(tenant) => block_on(tenant.run(load()?)),
            Command::Token(token) => token.run(&load()?),
            Command::Key(key) => block_on(key.run(load()?)),
            Command::User(user) => block_on(user.run(load()?)),
            Command::Import(import) => block_on(import.run(load()?)),
            Command::Adopt(adopt) => block_on(adopt.run(load()?)),
            Command::Explain(explain) => block_on(explain.run(load()?)),
            Command::Audit(audit) => block_on(audit.run(load()?)),
            Command::Policy(policy) => policy.run(),
            Command::Status(status) => block_on(status.run(load()?)),
            Command::Rebuild(rebuild) => block_on(rebuild.run(load()?)),
            Command::Reindex(reindex) => block_on(reindex.run(load()?)),
        }
    }
}

/// Runs to the end on a runtime of its own.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::store(format!("no threads to run on: {error}")))?;
    let outcome = runtime.block_on(work);
    // Nothing waits for what may still be loading in the background.
    runtime.shutdown_background();
    outcome
}

/// Writes to standard output. Whoever closes the other end early has seen enough.
fn print(text: impl std::fmt::Display) {
    let mut stream = io::stdout().lock();
    let _ = write!(stream, "{text}").and_then(|()| stream.flush());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_make_sense() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_takes_a_configuration() {
        for command in Cli::command().get_subcommands().map(|c| c.get_name().to_owned()) {
            let args = ["quipu", &command, "--config", "x.toml", "--help"];
            let error = Cli::try_parse_from(args).expect_err("help is shown");
            assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{command}: {error}");
        }
    }
}
