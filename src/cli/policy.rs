//! `quipu policy test`: who sees what, written down as a table and asked of an ontology with records.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Subcommand};
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::{Ask, Bound};
use serde_json::{Map, Value as Json};
use tempfile::TempDir;

use super::failure::Failure;
use super::import::{self, Report};
use super::progress::Unit;
use super::{block_on, ontology, print, vectors};
use crate::app::App;
use crate::config::Config;
use crate::ingest::source::Source;

mod table;

use table::{Case, Seen, Table};

/// Test who sees what
#[derive(Debug, Subcommand)]
pub enum Policy {
    Test(Test),
}

/// Ask a table of questions as several people, and compare what each sees with what they should see
///
/// The ontology and the records are loaded into a store of the test's own, which nobody else sees and which goes with it; settings play
/// no part. A mutation is asked on records as they were loaded, so no case disturbs another.
#[derive(Debug, Args)]
#[command(after_help = "\
The file, in TOML:
  ontology = \"facility.graphql\"        # relative to the file
  data = [\"facility.jsonl\"]            # in the format of `quipu import`

  [who.eva]                            # claims, as a token has them
  sub = \"eva\"
  roles = [\"technician\"]
  regions = [\"EU\"]

  [who.nobody]                         # a caller without an identity

  [[case]]
  name = \"facilities are seen in one's own regions\"
  query = \"{ facilities { id } }\"
  expect.eva = [\"f1\", \"f2\"]            # rows, in any order; a row of one value is written as the value
  expect.nobody = []

  [[case]]
  name = \"wages are for accounting\"
  query = \"{ people { name wage } }\"
  expect.eva = [{name = \"Ada\", wage = \"FORBIDDEN\"}]    # a field that a rule hides, by the code of its error
  expect.nobody = \"UNAUTHENTICATED\"    # the whole field is refused; a number instead counts rows

Rows are those of the first field: of a list, the nodes of a connection, or a single record. What is null is left out.

Example:
  quipu policy test rules.toml

The exit code is 1 when anything is seen that should not be, or the other way round.")]
pub struct Test {
    /// The table
    file: PathBuf,
    /// Embed texts first, for questions that search by meaning
    #[arg(long)]
    embed: bool,
    /// Fail when a case says nothing of somebody
    #[arg(long)]
    complete: bool,
}

impl Policy {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let Self::Test(test) = self;
        let shown = test.file.display();
        let text = fs::read_to_string(&test.file)
            .map_err(|error| Failure::refused(format!("cannot read {shown}: {error}")))?;
        let table = Table::parse(&text).map_err(|problem| Failure::refused(format!("{shown}: {problem}")))?;
        block_on(test.ask(table))
    }
}

/// The store of a test.
struct Bench {
    folder: TempDir,
    tenant: TenantId,
    /// How often records were put in their first state.
    rounds: u32,
}

impl Bench {
    fn new() -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|error| Failure::store(format!("no temporary folder: {error}")))?;
        let tenant = TenantId::parse("policy").ok_or_else(|| Failure::usage("no tenant"))?;
        Ok(Self { folder, tenant, rounds: 0 })
    }

    fn part(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn open(&self, part: &Path) -> Result<App, Failure> {
        fs::create_dir_all(part).map_err(|error| Failure::store(format!("{}: {error}", part.display())))?;
        let mut config = Config::default();
        config.store.path = part.join("quipu.db");
        Ok(App::open(config).await?)
    }

    /// Publishes the ontology and loads the records.
    async fn load(&self, table: &Table, beside: &Path, embed: bool) -> Result<(), Failure> {
        let (sdl, compiled) = ontology::read(&beside.join(&table.ontology))?;
        let sources = table.data.iter().map(|file| {
            let path = beside.join(file);
            Source::file(&path).map_err(|error| Failure::refused(format!("cannot read {}: {error}", path.display())))
        });
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let app = self.open(&self.part("first")).await?;
        app.ports.metadata.publish(&self.tenant, &sdl, &compiled, &app.now()).await?;
        let bound = import::served(&app, &self.tenant).await?;
        let mut report = Report::begin("loading", 0, Unit::Bytes);
        let outcome = import::importer(&app, bound, None).run(sources, &mut report).await;
        report.progress.end();
        let refused = outcome?.refused;
        if embed {
            vectors::wait(&app, &self.tenant).await?;
        }
        app.close().await;
        match refused {
            0 => Ok(()),
            some => Err(Failure::refused(format!("{some} records do not fit the ontology"))),
        }
    }

    /// The records as they were loaded, in a store of their own.
    async fn fresh(&mut self) -> Result<(App, Arc<Bound>), Failure> {
        self.rounds += 1;
        let part = self.part(&format!("round{}", self.rounds));
        copied(&self.part("first"), &part).map_err(|error| Failure::store(format!("copying the records: {error}")))?;
        let app = self.open(&part).await?;
        let bound = import::served(&app, &self.tenant).await?;
        Ok((app, bound))
    }
}

/// Copies the files of a folder.
fn copied(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

impl Test {
    async fn ask(self, table: Table) -> Result<(), Failure> {
        let mut bench = Bench::new()?;
        let beside = self.file.parent().unwrap_or(Path::new("")).to_path_buf();
        bench.load(&table, &beside, self.embed).await?;
        let (mut app, mut bound) = bench.fresh().await?;
        let (mut held, mut broken, mut silent) = (0, 0, 0);
        for case in &table.cases {
            print(format_args!("{}\n", case.name));
            for (who, claims) in &table.who {
                let Some(expected) = case.expect.get(who) else {
                    silent += 1;
                    if self.complete {
                        print(format_args!("  ????  {who}: nothing is said of them\n"));
                    }
                    continue;
                };
                let response = asked(&app, &bound, &bench.tenant, case, claims).await?;
                if response["extensions"].get("position").is_some() {
                    app.close().await;
                    (app, bound) = bench.fresh().await?;
                }
                let seen = Seen::of(response);
                if seen.is(expected) {
                    held += 1;
                    print(format_args!("  ok    {who}: {}\n", short(&seen)));
                } else {
                    broken += 1;
                    print(format_args!("  FAIL  {who}: expected {expected}, and saw {}\n", long(&seen)));
                }
            }
        }
        app.close().await;
        print(format_args!("\n{} cases: {held} answers as expected, {broken} not\n", table.cases.len()));
        if broken > 0 {
            return Err(Failure::refused(format!("{broken} answers are not as expected")));
        }
        if self.complete && silent > 0 {
            return Err(Failure::refused(format!("of {silent} answers nothing is said"))
                .help("add `expect.NAME` to each case, or leave out --complete"));
        }
        Ok(())
    }
}

/// The response to a case's question, asked with those claims.
async fn asked(
    app: &App,
    bound: &Arc<Bound>,
    tenant: &TenantId,
    case: &Case,
    claims: &Map<String, Json>,
) -> Result<Json, Failure> {
    let principal = Principal {
        tenant: tenant.clone(),
        subject: claims.get("sub").and_then(Json::as_str).map(str::to_owned),
        claims: Json::Object(claims.clone()),
        operator: false,
    };
    let ask = Ask {
        query: case.query.clone(),
        operation_name: None,
        variables: case.variables.clone(),
        may_write: true,
        idempotency_key: None,
        position: None,
        deadline: Instant::now() + app.config.server.request_timeout,
        trace: Arc::default(),
        pricing: Default::default(),
    };
    let answer = app.engine.answer(bound, &principal, ask).await;
    let response: Json = serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::store(format!("the answer is no JSON: {error}")))?;
    // A question that the API does not know is a mistake in the table, and not a refusal.
    let unknown = response["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        || response["errors"][0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED";
    match unknown && !case.expect.values().any(|expected| *expected == response["errors"][0]["extensions"]["code"]) {
        true => Err(Failure::refused(format!(
            "the question of \"{}\" is not one that can be asked: {}",
            case.name, response["errors"][0]["message"]
        ))),
        false => Ok(response),
    }
}

fn short(seen: &Seen) -> String {
    match seen {
        Seen::Rows(rows) if rows.len() == 1 => "1 row".to_owned(),
        Seen::Rows(rows) => format!("{} rows", rows.len()),
        Seen::Refused(code) => code.clone(),
    }
}

fn long(seen: &Seen) -> String {
    match seen {
        Seen::Rows(rows) => Json::from(rows.clone()).to_string(),
        Seen::Refused(code) => code.clone(),
    }
}
