//! `quipu migrate`.

use clap::Args;

use super::failure::Failure;
use super::print;
use crate::app::{self, App};
use crate::config::Config;

/// Bring the stores up to date, and make what is not there
///
/// Serving does the same by itself. A store of a newer version, or one that is not Quipu's, is refused and not changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  quipu migrate --plan      what would be run, by store, with its checksum; nothing is written")]
pub struct Migrate {
    /// Show what would be run, and write nothing
    #[arg(long)]
    plan: bool,
}

impl Migrate {
    /// Opens the stores, which migrates them, and catches up with their logs.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        if self.plan {
            for plan in app::plans(&config).await? {
                print(plan);
            }
            return Ok(());
        }
        let path = config.store.path.clone();
        let app = App::open(config).await?;
        app.migrate().await?;
        app.tenants.refresh().await?;
        app.close().await;
        print(format_args!("{} is up to date\n", path.display()));
        Ok(())
    }
}
