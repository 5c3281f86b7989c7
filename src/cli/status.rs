//! `quipu status`.

use clap::Args;
use quipu_resolvers::guard::TenantId;

use super::failure::Failure;
use super::{caller, columns, print};
use crate::app::App;
use crate::config::Config;
use crate::ingest::compare::Sum;

/// Show where each tenant's log stands, and how far the graph and the vectors have followed it
///
/// A store that is behind catches up by itself while a server runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu status
  quipu status --tenant acme --compare      look into every record, and exit with 1 where a store differs from the log")]
pub struct Status {
    /// One tenant alone
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: Option<TenantId>,
    /// Compare every record, relationship and vector with the log as well
    #[arg(long)]
    compare: bool,
}

impl Status {
    /// Looks, and prints a table.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let mut tenants = app.ports.metadata.published().await?;
        tenants.sort();
        if let Some(wanted) = &self.tenant {
            tenants.retain(|(tenant, _)| tenant == wanted);
            if tenants.is_empty() {
                return Err(Failure::refused(format!("there is no tenant {wanted}")));
            }
        }
        let mut lines = vec![["TENANT", "ONTOLOGY", "LOG", "GRAPH", "VECTORS"].map(str::to_owned)];
        let mut differs = 0;
        let mut told = String::new();
        for (tenant, version) in &tenants {
            let head = app.ports.metadata.head(tenant).await?;
            let graph = app.ports.graph.position(tenant).await?;
            let vectors = app.ports.vectors.position(tenant).await?;
            let published = app.ports.metadata.ontology(tenant).await?;
            let ontology = published.and_then(|(_, sdl)| quipu_schema::compile(&sdl).ok());
            let left = match &ontology {
                Some(ontology) => app.relay.left(tenant, ontology).await?,
                None => 0,
            };
            let mut of_vectors = columns::stands(vectors, head);
            if left > 0 {
                of_vectors = format!("{of_vectors}, {left} records to embed");
            }
            lines.push([
                tenant.to_string(),
                format!("version {version}"),
                head.to_string(),
                columns::stands(graph, head),
                of_vectors,
            ]);
            if let (true, Some(ontology)) = (self.compare, &ontology) {
                let sum = Sum::of(&app.ports, tenant).await?;
                let outcome = sum.compare(&app.ports, tenant, ontology, vectors >= head && left == 0).await?;
                differs += outcome.differences;
                told += &match outcome.is_equal() {
                    true => format!("{tenant}: the stores hold what the log says: {outcome}\n"),
                    false => format!(
                        "{tenant}: {} differences from the log\n  {}\n",
                        outcome.differences,
                        outcome.shown.join("\n  ")
                    ),
                };
            }
        }
        app.close().await;
        print(columns::table(&lines) + &told);
        match differs {
            0 => Ok(()),
            some => Err(Failure::refused(format!("{some} differences between the stores and the log"))
                .help("quipu rebuild --store graph --tenant TENANT makes a store anew from the log")),
        }
    }
}
