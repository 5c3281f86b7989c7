//! `quipu import`.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use quipu_resolvers::Bound;
use quipu_resolvers::guard::{Principal, TenantId};

use super::caller;
use super::failure::{self, Failure};
use super::progress::{Progress, Unit};
use super::{print, vectors};
use crate::app::App;
use crate::config::Config;
use crate::ingest::import::{Importer, Listener, Summary};
use crate::ingest::source::{Problem, Source};

/// Problems that are printed one by one.
const PRINTED: u64 = 50;

/// Import records from JSON Lines
///
/// Each line is one record. Lines are taken in batches of about a thousand; a batch with a bad line in it is not imported at all,
/// the others are. Importing the same file again changes nothing. Works beside a running server, which serves the records at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Records:
  {\"node\":\"Facility\",\"id\":\"f1\",\"properties\":{\"name\":\"Maasvlakte\"}}
  {\"relationship\":\"HAS_DEVICE\",\"from\":{\"Facility\":\"f1\"},\"to\":{\"Device\":\"d1\"},\"properties\":{\"slot\":\"B2-04\"}}
  {\"row\":\"Contract\",\"id\":\"c1\",\"properties\":{\"supplier\":\"Nordfrost\",\"facility_id\":\"f1\"}}
  {\"document\":{\"id\":\"p1\",\"title\":\"Defrosting\",\"text\":\"Moisture that ...\",\"properties\":{\"page\":6}}}

  A relationship may have an \"id\" that tells it from others of its type between the same nodes. A document is split into
  chunks named p1#0, p1#1 and so on; properties that the ontology adds to Document are set, others are kept in `properties`.

Examples:
  quipu import --tenant acme facilities.jsonl devices.jsonl
  zcat dump.jsonl.gz | quipu import --tenant acme -
  quipu import --tenant acme --no-embed big.jsonl       leave the vectors to the server")]
pub struct Import {
    /// The tenant to import into
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// Files of JSON Lines, imported in this order; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Do not wait for texts to be embedded; a running server does it, or the next one that starts
    #[arg(long)]
    no_embed: bool,
}

impl Import {
    /// Imports, reports what was refused, and waits for the vectors.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let (sources, bytes) = self.sources()?;
        let app = App::open(config).await?;
        let bound = served(&app, &self.tenant).await?;
        app.engine.catch_up(&self.tenant).await?;
        let importer = importer(&app, bound, None);
        let mut listener = Report::begin("importing", bytes, Unit::Bytes);
        let outcome = importer.run(sources, &mut listener).await;
        let refusals = listener.refusals;
        let took = listener.progress.end();
        let summary = outcome?;
        print(told(&summary, took.as_secs_f64()));
        if !self.no_embed {
            vectors::wait(&app, &self.tenant).await?;
        }
        app.close().await;
        if summary.refused == 0 {
            return Ok(());
        }
        let lines = if refusals > PRINTED { format!(" ({} problems in all)", refusals) } else { String::new() };
        Err(Failure::refused(format!("{} records were not imported{lines}", summary.refused))
            .help("mend the lines named above and import the file again: what is there already does not change"))
    }

    fn sources(&self) -> Result<(Vec<Source>, u64), Failure> {
        if self.files.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
            return Err(Failure::usage("standard input (-) can be read once"));
        }
        let mut sources = Vec::with_capacity(self.files.len());
        let mut bytes = 0;
        for path in &self.files {
            if path.as_os_str() == "-" {
                sources.push(Source::reader("standard input", std::io::stdin()));
                continue;
            }
            let failed = |error| Failure::refused(format!("cannot read {}: {error}", path.display()));
            let about = fs::metadata(path).map_err(failed)?;
            if about.is_dir() {
                return Err(Failure::refused(format!("{} is a folder; name its files", path.display())));
            }
            bytes += about.len();
            sources.push(Source::file(path).map_err(failed)?);
        }
        Ok((sources, bytes))
    }
}

/// What a tenant is served by.
///
/// # Errors
/// When nothing is published for it, or what is published does not compile.
pub async fn served(app: &App, tenant: &TenantId) -> Result<Arc<Bound>, Failure> {
    let refreshed = app.tenants.refresh().await;
    match app.tenants.bound(tenant) {
        // What is wrong with others, like a database that is away, is not this one's.
        Some(bound) => Ok(bound),
        None => {
            refreshed?;
            let known: Vec<_> = app.tenants.names().iter().map(ToString::to_string).collect();
            let known = if known.is_empty() { String::new() } else { format!("; there is {}", known.join(", ")) };
            Err(Failure::refused(format!("no tenant {tenant} is served{known}"))
                .help(format!("publish an ontology for it: quipu ontology publish --tenant {tenant} FILE")))
        }
    }
}

/// An importer that acts for whoever runs the gateway.
pub fn importer(app: &App, bound: Arc<Bound>, once: Option<String>) -> Importer {
    Importer {
        engine: app.engine.clone(),
        ports: app.ports.clone(),
        principal: operator(&bound.served().tenant, "quipu import"),
        splitter: app.splitter(),
        bound,
        once,
    }
}

/// Whoever runs the gateway with a command, acting for a tenant: bound to it, not to its rules.
pub fn operator(tenant: &TenantId, command: &str) -> Principal {
    Principal::operator(tenant, Some(command))
}

/// Shows progress and prints what is refused.
pub struct Report {
    /// The bar.
    pub progress: Progress,
    /// How many problems there were.
    pub refusals: u64,
}

impl Report {
    /// Begins to show.
    pub fn begin(title: &str, total: u64, unit: Unit) -> Self {
        Self { progress: Progress::begin(title, total, unit), refusals: 0 }
    }
}

impl Listener for Report {
    fn progress(&mut self, so_far: &Summary) {
        self.progress.set(so_far.read);
    }

    fn problem(&mut self, problem: Problem) {
        self.refusals += 1;
        if self.refusals <= PRINTED {
            self.progress.aside(|| failure::error(&problem.to_string()));
        }
    }
}

fn told(summary: &Summary, seconds: f64) -> String {
    let records = summary.imported + summary.refused;
    let rate = records as f64 / seconds.max(1e-3);
    let Summary { imported, created, updated, deleted, .. } = summary;
    format!(
        "imported {imported} of {records} records in {seconds:.1} s ({rate:.0}/s): \
         {created} created, {updated} updated, {deleted} deleted\n"
    )
}
