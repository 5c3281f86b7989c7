//! `quipu tenant`.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use console::Term;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::SharedGraph;
use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc;

use super::failure::{Failure, warn};
use super::progress::{Progress, Unit};
use super::{caller, columns, print};
use crate::app::App;
use crate::audit::{Record, Whose};
use crate::config::Config;
use crate::tenancy::{self, Deletion, Exported, Portion, Proof, Standing};

/// Portions of an export that wait to be written.
const AHEAD: usize = 4;

/// List, suspend, resume, export and delete tenants
#[derive(Debug, Subcommand)]
pub enum Tenant {
    List(List),
    Suspend(Suspend),
    Resume(Resume),
    Export(Export),
    Delete(Delete),
}

/// List all tenants: what is published for each, whether it is suspended, and where log, graph and vectors stand
#[derive(Debug, Args)]
pub struct List {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    /// Also those that were deleted
    #[arg(long)]
    deleted: bool,
}

/// Let nobody into a tenant until it is resumed
///
/// On every server, within a second: requests are refused with TENANT_SUSPENDED, and streams end. Nothing is removed,
/// and its stores stay in step.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  quipu tenant suspend acme --reason \"contract ended\"")]
pub struct Suspend {
    /// The tenant
    #[arg(value_name = "NAME", value_parser = caller::tenant)]
    tenant: TenantId,
    /// Why; `quipu tenant list` shows it, and callers are not told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Serve a suspended tenant again
#[derive(Debug, Args)]
pub struct Resume {
    /// The tenant
    #[arg(value_name = "NAME", value_parser = caller::tenant)]
    tenant: TenantId,
}

/// Write everything of a tenant as JSON Lines, which `quipu import` takes
///
/// Nodes, rows, and relationships, with their ids; documents and their passages are nodes like others. What is written meanwhile may be in
/// it or not: suspend the tenant first where that matters. Rows of tables that belong to others are left out.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu tenant export acme acme.jsonl
  quipu tenant export acme | gzip > acme.jsonl.gz
  quipu ontology history --tenant acme --show 3 > acme.graphql     the ontology that goes with it")]
pub struct Export {
    /// The tenant
    #[arg(value_name = "NAME", value_parser = caller::tenant)]
    tenant: TenantId,
    /// Where to; a file that is there is not overwritten [default: standard output]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Delete a tenant from every store, and prove that nothing is left
///
/// It is suspended first. Then everything goes: ontologies, records, log, vectors, documents, keys, users, sessions, and what is cached.
/// Afterwards it is counted what is left, and the exit code is 0 only where that is nothing. Interrupted, it can be run again. The name can
/// be used anew. The audit trail stays under it, unless --with-audit is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu tenant export acme acme.jsonl && quipu tenant delete acme
  quipu tenant delete acme --confirm acme --json        for scripts")]
pub struct Delete {
    /// The tenant
    #[arg(value_name = "NAME", value_parser = caller::tenant)]
    tenant: TenantId,
    /// The tenant's name once more; asked for at a terminal
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Remove its audit trail as well; that of the gateway has a record of it
    #[arg(long)]
    with_audit: bool,
    /// What becomes of the nodes of a graph in a database of its own, which others may write as well
    #[arg(long, value_name = "WHAT")]
    shared_graph: Option<SharedNodes>,
    /// The proof as JSON
    #[arg(long)]
    json: bool,
}

/// What becomes of nodes that others may have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SharedNodes {
    /// They stay; what the gateway noted beside them goes
    Keep,
    /// Everything in the database goes
    Remove,
}

impl Tenant {
    /// Does it.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let done = match self {
            Self::List(list) => list.run(&app).await,
            Self::Suspend(suspend) => suspend.run(&app).await,
            Self::Resume(resume) => resume.run(&app).await,
            Self::Export(export) => export.run(&app).await,
            Self::Delete(delete) => delete.run(&app).await,
        };
        app.close().await;
        done
    }
}

impl List {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let tenants = tenancy::list(&app.ports, self.deleted).await?;
        if self.json {
            let text = serde_json::to_string_pretty(&tenants).map_err(|error| Failure::store(error.to_string()))?;
            print(format_args!("{text}\n"));
            return Ok(());
        }
        let titles = ["TENANT", "ONTOLOGY", "LOG", "GRAPH", "VECTORS", "STATE"].map(str::to_owned);
        let lines = tenants.iter().map(|standing| {
            let stands = |position: Option<u64>| match position {
                _ if standing.state == "gone" => String::new(),
                Some(position) => columns::stands(position, standing.log),
                None => "does not answer".to_owned(),
            };
            [
                standing.tenant.clone(),
                standing.ontology.map_or_else(|| "none".to_owned(), |version| format!("version {version}")),
                standing.log.to_string(),
                stands(standing.graph),
                stands(standing.vectors),
                state(standing),
            ]
        });
        print(columns::table(&std::iter::once(titles).chain(lines).collect::<Vec<_>>()));
        Ok(())
    }
}

/// How a tenant is, since when, and why.
fn state(standing: &Standing) -> String {
    let word = match standing.state {
        "leaving" => "being deleted",
        "gone" => "deleted",
        other => other,
    };
    let since = standing.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let reason = standing.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{word}{since}{reason}")
}

impl Suspend {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let Self { tenant, reason } = self;
        let is_new = tenancy::suspend(&app.ports, &tenant, reason.clone()).await?;
        note(app, &tenant, "tenant.suspend", json!({ "reason": reason })).await?;
        print(match is_new {
            true => format!("{tenant} is suspended; servers notice within a second\n"),
            false => format!("{tenant} was suspended before\n"),
        });
        Ok(())
    }
}

impl Resume {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let Self { tenant } = self;
        let is_new = tenancy::resume(&app.ports, &tenant).await?;
        note(app, &tenant, "tenant.resume", json!({})).await?;
        print(match is_new {
            true => format!("{tenant} is served again; servers notice within a second\n"),
            false => format!("{tenant} is not suspended\n"),
        });
        Ok(())
    }
}

impl Export {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let Self { tenant, file } = self;
        let Some((_, sdl)) = app.ports.metadata.ontology(&tenant).await? else {
            return Err(Failure::refused(format!("there is no tenant {tenant}")));
        };
        let ontology = quipu_schema::compile(&sdl).map_err(|problems| Failure::refused(problems.to_string()))?;
        app.engine.catch_up(&tenant).await?;
        let mut out = Out::open(file)?;
        let export = tenancy::Export { ports: &app.ports, tenant: &tenant, ontology: &ontology };
        let (sender, mut portions) = mpsc::channel(AHEAD);
        let mut progress = Progress::begin("exporting", export.size().await?, Unit::Count("records"));
        let (exported, written) = tokio::join!(
            async {
                let exported = export.run(&sender).await;
                drop(sender);
                exported
            },
            async {
                while let Some(Portion { lines, passed }) = portions.recv().await {
                    out.write(&lines)?;
                    progress.add(passed);
                }
                portions.close();
                out.finish()
            }
        );
        progress.end();
        let (exported, ()) = (exported?, written?);
        let Exported { nodes, rows, relationships, left_out, log } = exported;
        let about = json!({ "nodes": nodes, "rows": rows, "relationships": relationships });
        note(app, &tenant, "tenant.export", about).await?;
        eprintln!("exported {nodes} nodes, {rows} rows and {relationships} relationships of {tenant}");
        if !left_out.is_empty() {
            warn(&format!("left out, since their tables belong to others: {}", left_out.join(", ")));
        }
        if log.0 != log.1 {
            warn(
                "something was written meanwhile, of which a part may be in the export; suspend the tenant and export again",
            );
        }
        Ok(())
    }
}

/// Where an export goes. A file has its name when all of it is there.
enum Out {
    Standard,
    File { file: BufWriter<File>, part: PathBuf, to: PathBuf },
}

impl Out {
    fn open(to: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(to) = to else { return Ok(Self::Standard) };
        if to.exists() {
            return Err(Failure::refused(format!("{} is there already; name another file", to.display())));
        }
        let mut part = to.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|error| unwritable(&part, &error))?;
        Ok(Self::File { file: BufWriter::new(file), part, to })
    }

    fn write(&mut self, lines: &str) -> Result<(), Failure> {
        match self {
            Self::Standard => {
                let written = io::stdout().lock().write_all(lines.as_bytes());
                written.map_err(|error| Failure::refused(format!("standard output cannot be written: {error}")))
            }
            Self::File { file, part, .. } => file.write_all(lines.as_bytes()).map_err(|error| unwritable(part, &error)),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        let Self::File { file, part, to } = self else { return Ok(()) };
        let whole = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        whole.and_then(|()| fs::rename(&part, &to)).map_err(|error| unwritable(&to, &error))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::refused(format!("{} cannot be written: {error}", path.display()))
}

impl Delete {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let Self { tenant, confirm, with_audit, shared_graph, json } = self;
        let confirmed = match confirm {
            Some(name) => name,
            None if io::stdin().is_terminal() => asked(&tenant)?,
            None => return Err(Failure::usage(format!("say the name once more: --confirm {tenant}"))),
        };
        if confirmed.trim() != tenant.as_str() {
            return Err(Failure::refused(format!("{confirmed:?} is not {tenant}; nothing was deleted")));
        }
        let shared_graph = match shared_graph {
            None => SharedGraph::Unsaid,
            Some(SharedNodes::Keep) => SharedGraph::Kept,
            Some(SharedNodes::Remove) => SharedGraph::Removed,
        };
        if app.ports.graph.is_shared(&tenant) && shared_graph == SharedGraph::Unsaid {
            let message = format!("the graph of {tenant} is in a database of its own, which others may write as well");
            return Err(Failure::usage(message)
                .help("--shared-graph keep leaves its nodes as they are, --shared-graph remove removes everything in the database"));
        }
        let deletion = Deletion { shared_graph, with_audit };
        let mut told = |stage: &'static str| eprintln!("{stage} ...");
        let proof = tenancy::delete(&app.ports, app.trail().as_ref(), &tenant, deletion, &mut told).await?;
        let whose = if with_audit { Whose::Gateway } else { Whose::Tenant(tenant.clone()) };
        let about = json!({ "tenant": tenant.as_str(), "complete": proof.complete, "auditKept": proof.audit_kept });
        note_in(app, &whose, "tenant.delete", about).await?;
        if json {
            let text = serde_json::to_string_pretty(&proof).map_err(|error| Failure::store(error.to_string()))?;
            print(format_args!("{text}\n"));
        } else {
            print(said(&proof));
        }
        if proof.complete {
            return Ok(());
        }
        Err(Failure::store(format!("something of {tenant} is left")).help(format!(
            "a server that cannot see this store may still write; run it again: quipu tenant delete {tenant}"
        )))
    }
}

/// The name, typed once more.
fn asked(tenant: &TenantId) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::usage(format!("nothing can be read: {error}"));
    let terminal = Term::stderr();
    terminal
        .write_str(&format!("Everything of {tenant} will be deleted for good. Its name, to go on: "))
        .map_err(failed)?;
    terminal.read_line().map_err(failed)
}

/// A proof in words.
fn said(proof: &Proof) -> String {
    let titles = ["STORE", "WHAT", "LEFT"].map(str::to_owned);
    let lines = proof.left.iter().map(|one| {
        let count = one.count.map_or_else(|| "does not answer".to_owned(), |count| count.to_string());
        [one.store.to_owned(), one.kind.to_owned(), count]
    });
    let mut said = columns::table(&std::iter::once(titles).chain(lines).collect::<Vec<_>>());
    let tenant = &proof.tenant;
    if proof.complete {
        said += &format!("{tenant} is deleted; looked up {}\n", proof.at);
    }
    if proof.audit_kept {
        said += &format!("its audit trail is kept: quipu audit list --tenant {tenant}\n");
    }
    if proof.graph_kept {
        said += "the nodes of its database are as they were\n";
    }
    if !proof.tables_of_others.is_empty() {
        said += &format!("nothing was removed from tables of others: {}\n", proof.tables_of_others.join(", "));
    }
    said
}

/// Tells the tenant's audit trail.
async fn note(app: &App, tenant: &TenantId, action: &str, about: Json) -> Result<(), Failure> {
    note_in(app, &Whose::Tenant(tenant.clone()), action, about).await
}

async fn note_in(app: &App, whose: &Whose, action: &str, about: Json) -> Result<(), Failure> {
    let variables: Map<String, Json> = about.as_object().cloned().unwrap_or_default();
    let record = Record { variables, ..Record::new(app.now(), action) };
    Ok(app.note(whose, record).await?)
}
