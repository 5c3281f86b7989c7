//! `quipu ontology check | print | diff | publish`.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use quipu_resolvers::guard::TenantId;
use quipu_schema::api::Api;
use quipu_schema::diff::{Effect, diff};
use quipu_schema::ontology::Ontology as Compiled;

use super::failure::{Failure, warn};
use super::progress::{Progress, Unit};
use super::{block_on, caller, documents, outline, print};
use crate::app::App;
use crate::config::Config;
use crate::tenants;

/// How often publishing looks whether indexes are filled.
const LOOKING: Duration = Duration::from_millis(250);

/// Check, print, compare and publish ontologies
#[derive(Debug, Subcommand)]
pub enum Ontology {
    Check(Check),
    Print(Print),
    Diff(Diff),
    Publish(Publish),
}

/// Compile an ontology and show everything that is wrong with it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  quipu ontology check knowledge.graphql && echo fine")]
pub struct Check {
    /// The ontology, in GraphQL SDL
    file: PathBuf,
}

/// Print an ontology as it was understood, or the API that is served of it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu ontology print knowledge.graphql
  quipu ontology print knowledge.graphql --api > schema.graphql    for code generators and editors")]
pub struct Print {
    /// The ontology, in GraphQL SDL
    file: PathBuf,
    /// The served API as SDL instead
    #[arg(long)]
    api: bool,
}

/// Compare two ontologies: what is safe, what breaks clients, and what the data needs
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  quipu ontology diff knowledge.graphql changed.graphql

The exit code is 1 when something breaks clients.")]
pub struct Diff {
    /// The ontology that is served now
    old: PathBuf,
    /// The one that shall take its place
    new: PathBuf,
}

/// Publish an ontology for a tenant, which is made when it is not there
///
/// A running server serves it within a second; requests in flight finish on the one before. What
/// changes for clients and for the data is printed. What the records that are there do not fit is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  quipu ontology publish --tenant acme knowledge.graphql")]
pub struct Publish {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// The ontology, in GraphQL SDL
    file: PathBuf,
}

impl Ontology {
    /// Runs the command; the configuration is read only where a store is needed.
    pub fn run(self, load: impl FnOnce() -> Result<Config, Failure>) -> Result<(), Failure> {
        match self {
            Self::Check(check) => check.run(),
            Self::Print(print) => print.run(),
            Self::Diff(diff) => diff.run(),
            Self::Publish(publish) => {
                let (sdl, ontology) = read(&publish.file)?;
                let config = load()?;
                block_on(publish.run(config, sdl, ontology))
            }
        }
    }
}

/// An ontology's text and what it compiles to; its problems go to standard error.
///
/// # Errors
/// When it cannot be read or does not compile.
pub fn read(file: &Path) -> Result<(String, Compiled), Failure> {
    let name = file.display().to_string();
    let sdl = fs::read_to_string(file).map_err(|error| Failure::refused(format!("cannot read {name}: {error}")))?;
    match quipu_schema::compile(&sdl) {
        Ok(ontology) => Ok((sdl, ontology)),
        Err(problems) => {
            eprintln!("{}", problems.render(&name, io::stderr().is_terminal()));
            Err(Failure::refused(format!("{name} does not compile")))
        }
    }
}

impl Check {
    fn run(self) -> Result<(), Failure> {
        let (_, ontology) = read(&self.file)?;
        let (nodes, rows): (Vec<_>, Vec<_>) =
            ontology.types.values().filter(|t| !t.built_in).partition(|entity| entity.is_node());
        let name = self.file.display();
        print(format_args!("{name} is fine: {} node types, {} row types\n", nodes.len(), rows.len()));
        Ok(())
    }
}

impl Print {
    fn run(self) -> Result<(), Failure> {
        let (_, ontology) = read(&self.file)?;
        if self.api {
            print(Api::of(&ontology).sdl());
        } else {
            print(outline::of(&ontology));
        }
        Ok(())
    }
}

impl Diff {
    fn run(self) -> Result<(), Failure> {
        let ((_, old), (_, new)) = (read(&self.old)?, read(&self.new)?);
        let diff = diff(&old, &new);
        print(&diff);
        match diff.count(Effect::Breaking) {
            0 => Ok(()),
            1 => Err(Failure::refused("1 change breaks clients")),
            some => Err(Failure::refused(format!("{some} changes break clients"))),
        }
    }
}

/// Waits until the indexes that were made are filled, and shows how far that is. Whoever interrupts it interrupts nothing else: a server fills them
/// by itself.
async fn filled(app: &App, tenant: &TenantId) -> Result<(), Failure> {
    let mut left = app.ports.graph.filling(tenant).await?;
    let all = left.len();
    let mut progress = Progress::begin("filling indexes", all as u64, Unit::Count("indexes"));
    while !left.is_empty() {
        progress.set(all.saturating_sub(left.len()) as u64);
        tokio::time::sleep(LOOKING).await;
        left = app.ports.graph.filling(tenant).await?;
    }
    progress.end();
    Ok(())
}

impl Publish {
    async fn run(self, config: Config, sdl: String, ontology: Compiled) -> Result<(), Failure> {
        let app = App::open(config).await?;
        // What the server would do with it, before it is asked to.
        let bound = tenants::compile(&app.engine, self.tenant.clone(), 1, &sdl).map_err(Failure::refused)?;
        let before = app.ports.metadata.ontology(&self.tenant).await?;
        let version = app.ports.metadata.publish(&self.tenant, &sdl, &ontology, &app.now()).await?;
        app.tenants.prepare(&bound).await?;
        filled(&app, &self.tenant).await?;
        let left = app.relay.left(&self.tenant, &ontology).await?;
        // Under a number of its own: what is kept of the one before fits that one.
        let now = tenants::compile(&app.engine, self.tenant.clone(), version, &sdl).map_err(Failure::refused)?;
        let broken = documents::misfits(&app.engine, &now, &app.ports.metadata.documents(&self.tenant).await?.1);
        app.close().await;
        let told = match before {
            Some((old, _)) if old == version => {
                format!("{} has this ontology already: version {version}\n", self.tenant)
            }
            _ => format!("published version {version} for {}\n", self.tenant),
        };
        print(told);
        // The one before may be of a Quipu that compiled more; then there is nothing to compare with.
        if let Some(old) =
            before.filter(|(old, _)| *old != version).and_then(|(_, sdl)| quipu_schema::compile(&sdl).ok())
        {
            print(format_args!("\n{}", diff(&old, &ontology)));
        }
        if !broken.is_empty() {
            broken.iter().for_each(|line| warn(line));
            print(
                "\nnot all documents that are published for the tenant fit this ontology; they are refused when they are sent\n",
            );
        }
        if left > 0 {
            print(format_args!(
                "\n{left} records that are there are embedded in the background, by the server that runs or by the next one; \
                 until then they are found by words, and not by meaning\n"
            ));
        }
        Ok(())
    }
}
