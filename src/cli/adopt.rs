//! `quipu adopt`.

use clap::Args;
use quipu_resolvers::guard::TenantId;

use super::failure::{self, Failure};
use super::import::{operator, served};
use super::progress::{Progress, Unit};
use super::{caller, print, vectors};
use crate::app::App;
use crate::config::Config;
use crate::ingest::adopt::{Adoption, Finding, Plan};

/// Register a graph that others wrote in Neo4j, so that it can be changed through the API like any other
///
/// Says first what is there and what does not fit the ontology, and writes nothing without --yes. Then nodes and relationships come into
/// the log as those of an import do, in batches. What is interrupted is started again with the same command; what is registered
/// already is left as it is. Nobody should write to the graph past Quipu meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu adopt --tenant acme                       what is there, and what stands in the way
  quipu adopt --tenant acme --yes
  quipu adopt --tenant acme --assign-ids --yes    give ids to nodes that have none, and keys to parallel relationships")]
pub struct Adopt {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// Do it; without this, nothing is written
    #[arg(long)]
    yes: bool,
    /// Give ids to nodes without one, texts for ids that are numbers, and keys to relationships that nothing tells apart
    #[arg(long)]
    assign_ids: bool,
    /// Do not wait for texts to be embedded; a running server does it, or the next one that starts
    #[arg(long)]
    no_embed: bool,
}

impl Adopt {
    /// Looks, tells, and adopts.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let tenant = &self.tenant;
        let Some(neo4j) = app.neo4j(tenant).cloned() else {
            let message = format!("the graph of {tenant} is in the file of `store.path`, where nobody else writes");
            return Err(Failure::refused(message)
                .help(format!("name the database of others: [graph.tenants.{tenant}] with `url`, or `graph.url`")));
        };
        let bound = served(&app, tenant).await?;
        app.engine.catch_up(tenant).await?;
        let adoption = Adoption {
            others: neo4j.others(tenant, &bound.served().ontology),
            engine: app.engine.clone(),
            principal: operator(tenant, "quipu adopt"),
            clock: app.ports.clock.clone(),
            bound,
        };
        let mut plan = look(&adoption, self.assign_ids).await?;
        if !self.yes {
            print(format_args!("nothing was written; with --yes it is adopted\n"));
            return Ok(());
        }
        if self.assign_ids {
            // Not before everything else fits.
            let given = adoption.give().await?;
            print(format_args!("{given} ids and keys were given\n"));
            plan = look(&adoption, false).await?;
        }
        self.adopt(&app, &adoption, &plan).await?;
        app.close().await;
        Ok(())
    }

    async fn adopt(&self, app: &App, adoption: &Adoption, plan: &Plan) -> Result<(), Failure> {
        let mut progress =
            Progress::begin(&format!("adopting {}", self.tenant), plan.total(), Unit::Count("nodes and relationships"));
        let outcome = adoption.run(&mut |more| progress.add(more)).await;
        let took = progress.end();
        let summary = outcome.map_err(|fault| {
            Failure::from(fault).help("what was adopted until then stays; mend it, and start the same command again")
        })?;
        print(format_args!(
            "adopted {} of {} nodes, with {} relationships, in {:.1} s; all others were registered already\n",
            summary.adopted,
            summary.nodes,
            summary.relationships,
            took.as_secs_f64()
        ));
        if !self.no_embed && !vectors::wait(app, &self.tenant).await? {
            failure::warn("searches by meaning find the adopted records when they are embedded");
        }
        Ok(())
    }
}

/// Looks through everything, and tells what is there.
///
/// # Errors
/// When something does not fit.
async fn look(adoption: &Adoption, give: bool) -> Result<Plan, Failure> {
    let mut progress = Progress::begin("looking", 0, Unit::Count("nodes and relationships"));
    let plan = adoption.plan(give, &mut |more| progress.add(more)).await;
    progress.end();
    let plan = plan?;
    print(told(&plan, adoption.others.are_marked()));
    if plan.problems.is_empty() {
        return Ok(plan);
    }
    let count: u64 = plan.problems.iter().map(|problem| problem.found.count).sum();
    Err(Failure::refused(format!("{count} things do not fit the ontology, so nothing is adopted"))
        .help("mend the graph or the ontology, and look again"))
}

/// The plan, for people.
fn told(plan: &Plan, marked: bool) -> String {
    let mut text = String::new();
    for (of, count) in &plan.nodes {
        text += &format!("{count:>10} {of}\n");
    }
    for (of, count) in &plan.relationships {
        text += &format!("{count:>10} {of}\n");
    }
    if plan.total() == 0 {
        text += "there is nothing of what the ontology speaks of\n";
    }
    if !plan.problems.is_empty() {
        text += "does not fit:\n";
        plan.problems.iter().for_each(|problem| text += &line(problem));
    }
    if !plan.notes.is_empty() {
        text += match marked {
            true => {
                "stays as it is, and is not in the log, from which `quipu rebuild --store graph` makes the graph anew:\n"
            }
            false => "stays as it is:\n",
        };
        plan.notes.iter().for_each(|note| text += &line(note));
    }
    text
}

fn line(finding: &Finding) -> String {
    let Finding { what, found, help } = finding;
    let help = help.as_ref().map_or(String::new(), |help| format!("{:>10} {help}\n", "help:"));
    format!("{:>10} {what}: {}\n{help}", found.count, found.examples.join(", "))
}
