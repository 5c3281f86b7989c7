//! `quipu rebuild` and `quipu reindex`.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use quipu_resolvers::Bound;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Coverage, Reached};

use super::failure::{self, Failure};
use super::import::served;
use super::progress::{Progress, Unit};
use super::{caller, print, vectors};
use crate::app::App;
use crate::config::Config;
use crate::ingest::compare::Sum;
use crate::tenants;

/// How often it is looked how far the graph has come.
const LOOK: Duration = Duration::from_millis(200);

/// A store that follows the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    /// Nodes, relationships and the full text over them
    Graph,
    /// Vectors of embedded texts
    Vectors,
}

/// Make a tenant's graph or vectors anew from the log, and prove that they are equal to it
///
/// A running server goes on serving; until this has ended its answers lack what is not there yet. What is interrupted is
/// started again with the same command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu rebuild --store graph --tenant acme
  quipu rebuild --store vectors --tenant acme      embeds every text again")]
pub struct Rebuild {
    /// The store
    #[arg(long)]
    store: Store,
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
}

/// Embed what has no vector, for a vector store that is new or has lost some
///
/// Nothing is removed: searches go on finding what is there.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  quipu reindex --tenant acme")]
pub struct Reindex {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
}

impl Rebuild {
    /// Removes, follows the log, and compares.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        if self.store == Store::Graph {
            rebuild_graph(&app, &self.tenant).await?;
        } else {
            leave_vectors(&app, &self.tenant).await?;
            vectors::wait(&app, &self.tenant).await?;
        }
        prove(&app, &self.tenant).await?;
        app.close().await;
        Ok(())
    }
}

impl Reindex {
    /// Goes through all records again, and compares.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let bound = served(&app, &self.tenant).await?;
        cover(&app, &self.tenant, &bound, Reached::Upto(String::new())).await?;
        vectors::wait(&app, &self.tenant).await?;
        prove(&app, &self.tenant).await?;
        app.close().await;
        Ok(())
    }
}

/// What is published for a tenant. Not what is served: stores that do not belong to their log are not.
async fn published(app: &App, tenant: &TenantId) -> Result<Arc<Bound>, Failure> {
    let Some((version, sdl)) = app.ports.metadata.ontology(tenant).await? else {
        return Err(Failure::refused(format!("there is no tenant {tenant}")));
    };
    tenants::compile(&app.engine, tenant.clone(), version, &sdl).map_err(Failure::refused)
}

async fn rebuild_graph(app: &App, tenant: &TenantId) -> Result<(), Failure> {
    let bound = published(app, tenant).await?;
    let head = app.ports.metadata.head(tenant).await?;
    app.ports.graph.clear(tenant).await?;
    let mut progress = Progress::begin(&format!("rebuilding {tenant}"), head, Unit::Count("changes"));
    let mut following = Box::pin(app.tenants.prepare(&bound));
    loop {
        tokio::select! {
            done = &mut following => {
                progress.end();
                return Ok(done?);
            }
            () = tokio::time::sleep(LOOK) => progress.set(app.ports.graph.position(tenant).await?),
        }
    }
}

/// Notes that all vectors are to go; with them goes a position that is beyond the log.
async fn leave_vectors(app: &App, tenant: &TenantId) -> Result<(), Failure> {
    cover(app, tenant, &*published(app, tenant).await?, Reached::Leaving).await?;
    let position = app.ports.vectors.position(tenant).await?;
    let head = app.ports.metadata.head(tenant).await?;
    if position > head {
        // After the note: whoever breaks off here is refused again until they come back.
        app.ports.vectors.rewind(tenant, head).await?;
    }
    Ok(())
}

/// Notes for every embedded property how far its records were gone through.
async fn cover(app: &App, tenant: &TenantId, bound: &Bound, reached: Reached) -> Result<(), Failure> {
    for entity in bound.served().ontology.types.values() {
        for property in entity.embedded() {
            let coverage =
                Coverage { of: entity.name.clone(), property: property.stored.clone(), reached: reached.clone() };
            app.ports.vectors.cover(tenant, &coverage, &[]).await?;
        }
    }
    Ok(())
}

/// Compares with the log, and says what came of it.
async fn prove(app: &App, tenant: &TenantId) -> Result<(), Failure> {
    let bound = served(app, tenant).await?;
    let ontology = &bound.served().ontology;
    let vectors = app.relay.is_in_step(tenant, ontology).await?;
    if !vectors {
        failure::warn("the vectors are not complete, so they are not compared");
    }
    let sum = Sum::of(&app.ports, tenant).await?;
    let outcome = sum.compare(&app.ports, tenant, ontology, vectors).await?;
    if outcome.is_equal() {
        print(format_args!("{tenant} is equal to its log at {}: {outcome}\n", sum.position));
        return Ok(());
    }
    let message = format!("{tenant} differs from its log: {}", outcome.shown.join("; "));
    Err(Failure::refused(message).help("if somebody writes meanwhile, look again: quipu status --compare"))
}
