//! `quipu audit list | verify`.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use quipu_resolvers::guard::TenantId;

use super::failure::Failure;
use super::{caller, print};
use crate::app::App;
use crate::audit::chain::{self, Found};
use crate::audit::search::{Page, Wanted, search};
use crate::audit::{Decision, Kept, Record, Whose};
use crate::config::Config;

/// Records that are printed at once.
const PORTION: usize = 1_000;

/// The trail of who did what
#[derive(Debug, Subcommand)]
pub enum Audit {
    List(List),
    Verify(Verify),
}

/// Print records of the audit trail, the oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu audit list --tenant acme
  quipu audit list --tenant acme --refused --who eva --since 2026-11-01
  quipu audit list --gateway --json | jq .")]
pub struct List {
    #[command(flatten)]
    of: Of,
    /// Only what was refused, in whole or in part
    #[arg(long)]
    refused: bool,
    /// Only what somebody did
    #[arg(long, value_name = "SUBJECT")]
    who: Option<String>,
    /// Only what was done from then on, like 2026-11-01 or 2026-11-01T10:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many records
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
    /// Each record as a line of JSON, with its position and hash
    #[arg(long)]
    json: bool,
}

/// Prove that no record was changed, removed or put in between
///
/// Goes through the whole chain. The last hash is printed: who notes it elsewhere can tell later that nothing was taken off the end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu audit verify --tenant acme
  quipu audit verify --tenant acme --has 1204:5f0c...    also that the chain still has this record, noted before

The exit code is 1 when a chain is broken.")]
pub struct Verify {
    #[command(flatten)]
    of: Of,
    /// A position and hash that were printed before
    #[arg(long, value_name = "POSITION:HASH", value_parser = noted)]
    has: Option<(u64, String)>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Of {
    /// The tenant whose trail it is
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: Option<TenantId>,
    /// The gateway's own: credentials that were refused, and what concerns no tenant
    #[arg(long)]
    gateway: bool,
}

impl Of {
    fn whose(self) -> Whose {
        self.tenant.map_or(Whose::Gateway, Whose::Tenant)
    }
}

fn noted(text: &str) -> Result<(u64, String), String> {
    let parts = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.to_lowercase())));
    parts
        .filter(|(_, hash)| hash.len() == 64)
        .ok_or_else(|| "expected a position and a hash, like 12:5f0c...".to_owned())
}

impl Audit {
    /// Runs the command.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let outcome = match self {
            Self::List(list) => list.run(&app).await,
            Self::Verify(verify) => verify.run(&app).await,
        };
        app.close().await;
        outcome
    }
}

impl List {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let (whose, trail) = (self.of.whose(), app.trail());
        let wanted = Wanted { refused: self.refused, who: self.who, since: self.since, ..Wanted::default() };
        let (mut after, mut left) = (0, self.limit);
        loop {
            let Page { records, next } = search(trail.as_ref(), &whose, &wanted, after, left.min(PORTION)).await?;
            left -= records.len();
            for (kept, record) in &records {
                print(if self.json { json(kept) } else { line(kept, record) });
            }
            match next {
                Some(next) if left > 0 => after = next,
                _ => return Ok(()),
            }
        }
    }
}

fn json(kept: &Kept) -> String {
    format!("{{\"seq\":{},\"hash\":\"{}\",\"record\":{}}}\n", kept.seq, chain::shown(&kept.hash), kept.text)
}

fn line(kept: &Kept, record: &Record) -> String {
    let decision = match record.decision {
        Decision::Allowed => "allowed",
        Decision::Partly => "partly",
        Decision::Refused => "refused",
    };
    let who = record.who.as_deref().unwrap_or("nobody");
    let mut line = format!("{} {} {decision} {who} {}", kept.seq, record.at, record.action);
    // Writing into a string cannot fail.
    if let Some(operation) = &record.operation {
        let _ = write!(line, " {operation}");
    }
    if !record.types.is_empty() {
        let types: Vec<&str> = record.types.iter().map(String::as_str).collect();
        let _ = write!(line, " of {}", types.join(", "));
    }
    if record.records > 0 {
        let _ = write!(line, ", {} records", record.records);
    }
    if !record.codes.is_empty() {
        let _ = write!(line, " ({})", record.codes.join(", "));
    }
    if record.times > 1 {
        let _ = write!(line, " {} times", record.times);
    }
    line + "\n"
}

impl Verify {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let (whose, trail) = (self.of.whose(), app.trail());
        let (from, upto, hash) = match chain::verify(trail.as_ref(), &whose).await? {
            Found::Whole { from, upto, hash } => (from, upto, hash),
            Found::Broken { seq, why } => {
                return Err(Failure::refused(format!("the audit trail of {whose} is broken: record {seq} {why}")));
            }
        };
        if let Some((seq, noted)) = self.has {
            let found = trail.kept(&whose, seq.saturating_sub(1), 1).await?;
            match found.first() {
                _ if seq <= from => {
                    return Err(Failure::refused(format!("record {seq} of {whose} was removed because of its age")));
                }
                Some(kept) if kept.seq == seq && chain::shown(&kept.hash) == noted => {}
                Some(kept) if kept.seq == seq => {
                    return Err(Failure::refused(format!(
                        "record {seq} of {whose} is another than the one that was noted"
                    )));
                }
                _ => return Err(Failure::refused(format!("record {seq} of {whose} is gone, and so is all after it"))),
            }
        }
        let before =
            if from > 0 { format!(", those up to {from} were removed because of their age") } else { String::new() };
        print(format_args!(
            "the audit trail of {whose} is whole: {} records{before}\n{upto}:{}\n",
            upto - from,
            chain::shown(&hash)
        ));
        Ok(())
    }
}
