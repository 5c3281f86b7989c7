//! `quipu explain`.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use quipu_resolvers::Ask;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::Trace;
use serde_json::{Map, Value as Json};

use super::caller::{self, Caller};
use super::failure::Failure;
use super::import::served;
use super::print;
use crate::app::App;
use crate::config::Config;

/// Run one query and print every stage of it
///
/// The document, its price, the reads before and after the guard put the caller's rights in, each statement with its
/// parameters, rows and time, and the answer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu explain --tenant library query.graphql
  quipu explain --tenant cryox query.graphql --subject eva --claim 'regions=[\"EU\"]' --variables '{\"first\": 5}'")]
pub struct Explain {
    /// The tenant to ask
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// A GraphQL document with one query
    file: PathBuf,
    /// Values of its variables, a JSON object
    #[arg(long, value_name = "JSON", value_parser = variables)]
    variables: Option<Map<String, Json>>,
    /// Which operation, where the document has several
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    #[command(flatten)]
    caller: Caller,
}

impl Explain {
    /// Prints the stages on standard output.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let query = fs::read_to_string(&self.file)
            .map_err(|error| Failure::refused(format!("cannot read {}: {error}", self.file.display())))?;
        let mut claims = self.caller.claims().map_err(Failure::usage)?;
        claims.insert("roles".to_owned(), self.caller.roles.into());
        claims.insert("sub".to_owned(), self.caller.subject.as_str().into());
        let deadline = Instant::now() + config.server.request_timeout;
        let app = App::open(config).await?;
        let bound = served(&app, &self.tenant).await?;
        let (subject, claims) = (Some(self.caller.subject), Json::Object(claims));
        let principal = Principal { tenant: self.tenant, subject, claims, operator: false };
        let ask = Ask {
            query,
            operation_name: self.operation,
            variables: self.variables.unwrap_or_default(),
            may_write: false,
            idempotency_key: None,
            position: None,
            deadline,
            trace: Arc::new(Trace::keeping()),
            pricing: Default::default(),
        };
        let told = app.engine.explain(&bound, &principal, ask).await;
        app.close().await;
        print(&told);
        let refused = told.starts_with("refused:") || told.starts_with("invalid:");
        if refused { Err(Failure::said()) } else { Ok(()) }
    }
}

fn variables(text: &str) -> Result<Map<String, Json>, String> {
    match serde_json::from_str(text) {
        Ok(Json::Object(variables)) => Ok(variables),
        Ok(_) => Err("expected a JSON object like {\"first\": 5}".to_owned()),
        Err(error) => Err(format!("no JSON: {error}")),
    }
}
