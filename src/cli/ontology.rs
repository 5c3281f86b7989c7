//! `quipu ontology check | print | diff | publish | history | rollback`.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use quipu_resolvers::guard::TenantId;
use quipu_schema::api::Api;
use quipu_schema::diff::{Effect, diff};
use quipu_schema::ontology::Ontology as Compiled;
use serde_json::json;

use super::failure::{Failure, warn};
use super::progress::{Progress, Unit};
use super::{block_on, caller, columns, outline, print};
use crate::app::App;
use crate::audit::{Record, Whose};
use crate::config::Config;
use crate::tenancy::{self, Published, Unpublished};

/// How often publishing looks whether indexes are filled.
const LOOKING: Duration = Duration::from_millis(250);

/// Check, print, compare and publish ontologies, and bring earlier ones back
#[derive(Debug, Subcommand)]
pub enum Ontology {
    Check(Check),
    Print(Print),
    Diff(Diff),
    Publish(Publish),
    History(History),
    Rollback(RollBack),
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

/// List the versions of a tenant's ontology, or show the text of one of them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu ontology history --tenant acme
  quipu ontology history --tenant acme --show 3 > version-3.graphql")]
pub struct History {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// Print the text of this version instead
    #[arg(long, value_name = "VERSION")]
    show: Option<u64>,
}

/// Publish the text of an earlier version again, as a new version
///
/// The records that are there have to fit it, as with any publishing; what does not is named, and nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu ontology rollback --tenant acme            to the version before the one that is served
  quipu ontology rollback --tenant acme --to 3")]
pub struct RollBack {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// The version whose text is published again [default: the one before the last]
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
}

impl Ontology {
    /// Runs the command; the configuration is read only where a store is needed.
    pub fn run(self, load: impl FnOnce() -> Result<Config, Failure>) -> Result<(), Failure> {
        match self {
            Self::Check(check) => check.run(),
            Self::Print(print) => print.run(),
            Self::Diff(diff) => diff.run(),
            Self::Publish(publish) => {
                // Its problems are shown with their places before a store is asked.
                let (sdl, _) = read(&publish.file)?;
                let config = load()?;
                block_on(publish.run(config, sdl))
            }
            Self::History(history) => block_on(history.run(load()?)),
            Self::Rollback(rollback) => block_on(rollback.run(load()?)),
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
async fn filled(app: &App, tenant: &TenantId, mut left: Vec<String>) -> Result<(), Failure> {
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

impl From<Unpublished> for Failure {
    fn from(unpublished: Unpublished) -> Self {
        match unpublished {
            Unpublished::Problems(problems) => Self::refused(problems.to_string()),
            Unpublished::Fault(fault) => fault.into(),
        }
    }
}

impl Publish {
    async fn run(self, config: Config, sdl: String) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let published = app.publisher().publish(&self.tenant, &sdl).await?;
        noted(&app, &self.tenant, "ontology.publish", &published, None).await?;
        told(&app, &self.tenant, published).await?;
        app.close().await;
        Ok(())
    }
}

impl RollBack {
    async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let published = app.publisher().roll_back(&self.tenant, self.to).await?;
        noted(&app, &self.tenant, "ontology.rollback", &published, self.to).await?;
        told(&app, &self.tenant, published).await?;
        app.close().await;
        Ok(())
    }
}

impl History {
    async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let tenant = &self.tenant;
        if let Some(version) = self.show {
            print(tenancy::text(&app.ports, tenant, version).await?);
            app.close().await;
            return Ok(());
        }
        let versions = tenancy::history(&app.ports, tenant).await?;
        app.close().await;
        let last = versions.last().map(|one| one.version);
        let titles = ["VERSION", "PUBLISHED", "BYTES", ""].map(str::to_owned);
        let lines = versions.into_iter().map(|one| {
            let now = if last == Some(one.version) { "served" } else { "" };
            [
                one.version.to_string(),
                one.at.unwrap_or_else(|| "not known".to_owned()),
                one.bytes.to_string(),
                now.to_owned(),
            ]
        });
        print(columns::table(&std::iter::once(titles).chain(lines).collect::<Vec<_>>()));
        Ok(())
    }
}

/// Notes in the audit trail that something was published.
async fn noted(
    app: &App,
    tenant: &TenantId,
    action: &str,
    published: &Published,
    to: Option<u64>,
) -> Result<(), Failure> {
    if !published.is_new() {
        return Ok(());
    }
    let mut about = json!({ "version": published.version, "before": published.before });
    if let Some(to) = to {
        about["to"] = to.into();
    }
    let variables = about.as_object().cloned().unwrap_or_default();
    let record = Record { variables, ..Record::new(app.now(), action) };
    Ok(app.note(&Whose::Tenant(tenant.clone()), record).await?)
}

/// Says what came of publishing, and waits until indexes are filled.
async fn told(app: &App, tenant: &TenantId, published: Published) -> Result<(), Failure> {
    filled(app, tenant, published.filling.clone()).await?;
    let version = published.version;
    print(match published.is_new() {
        false => format!("{tenant} has this ontology already: version {version}\n"),
        true => format!("published version {version} for {tenant}\n"),
    });
    if let Some(diff) = published.diff {
        print(format_args!("\n{diff}"));
    }
    if !published.misfits.is_empty() {
        published.misfits.iter().for_each(|line| warn(line));
        print(
            "\nnot all documents that are published for the tenant fit this ontology; they are refused when they are sent\n",
        );
    }
    if published.to_embed > 0 {
        print(format_args!(
            "\n{} records that are there are embedded in the background, by the server that runs or by the next one; \
             until then they are found by words, and not by meaning\n",
            published.to_embed
        ));
    }
    Ok(())
}
