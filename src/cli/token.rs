//! `quipu token`.

use std::time::Duration;

use clap::Args;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::Clock;

use super::caller::{self, Caller};
use super::failure::Failure;
use super::print;
use crate::auth::{self, Wish};
use crate::config::{self, Config};
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
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = ttl)]
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

/// A span of time; days are what the settings have no need of.
fn ttl(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<u32>().ok());
    let span = match days {
        Some(days) => Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        None => config::duration(text),
    };
    span.filter(|span| !span.is_zero()).ok_or_else(|| "expected a time like 30m, 8h or 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read() {
        assert_eq!(ttl("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(ttl("30d"), Ok(Duration::from_secs(30 * 86400)));
        assert!(ttl("0s").is_err() && ttl("10").is_err() && ttl("-1h").is_err());
    }
}
