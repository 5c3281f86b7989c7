//! `quipu token`.

use std::time::Duration;

use clap::Args;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Clock;

use super::caller::{self, Caller};
use super::failure::Failure;
use super::print;
use crate::auth::{self, Wish};
use crate::config::Config;
use crate::stores::clock::SystemClock;

/// Print a token that the server accepts
///
/// The token is signed with `auth.secret` of the settings, so it works on every server that has the same settings. It is
/// the only thing printed on standard output.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu token --tenant acme
  quipu token --tenant acme --subject ada --role admin --role finance --ttl 8h
  quipu token --tenant cryox --subject eva --claim 'regions=[\"EU\",\"NA\"]' --config quipu-demo/quipu.toml
  curl localhost:8080/graphql -H \"authorization: Bearer $(quipu token --tenant acme)\" \\
    -H 'content-type: application/json' -d '{\"query\":\"{ __typename }\"}'")]
pub struct Token {
    /// The tenant whose data the token opens
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    #[command(flatten)]
    caller: Caller,
    /// How long it is valid, like 30m, 8h or 30d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = caller::span)]
    ttl: Duration,
}

impl Token {
    /// Prints the token.
    pub fn run(self, config: &Config) -> Result<(), Failure> {
        let claims = self.caller.claims().map_err(Failure::usage)?;
        let Caller { subject, roles, .. } = self.caller;
        let wish = Wish { tenant: self.tenant, subject: Some(subject), roles, claims, ttl: self.ttl };
        print(format_args!("{}\n", auth::mint(config, wish, SystemClock.now_ms())?));
        Ok(())
    }
}
