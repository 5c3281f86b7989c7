//! `quipu demo`: five tenants in a folder of their own, loaded and served.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use quipu_resolvers::guard::TenantId;
use serde_json::json;

use super::failure::{self, Failure};
use super::{print, serve, vectors};
use crate::app::App;
use crate::auth::{self, Wish};
use crate::config::Config;
use crate::ops;

mod folder;
mod load;

use load::Tenant;

/// How long the demo's tokens are valid.
const TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const FIRST_QUERY: &str = include_str!("../../../playground/examples/library/01-search-by-meaning.graphql");

/// Try Quipu: five tenants full of data, a playground, nothing to set up
///
/// Makes a folder with settings, keys and one SQLite file, loads the tenants `library` (an encyclopaedia's passages and what they state),
/// `cryox` (a cold chain), `insights` (articles and what was made of them), `emma` (a mortgage desk with its rules) and `supertrack` (marketing
/// figures), embeds their texts, and serves them. The second time it serves at once. A load that was interrupted goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu demo
  quipu demo --dir /tmp/demo --listen 127.0.0.1:9000
  quipu demo --load-only --config servers.toml          into servers of your own, for `quipu serve`
  quipu token --tenant cryox --subject ada --role admin --config quipu-demo/quipu.toml

Other commands work on the running demo, too: give them --config DIR/quipu.toml.")]
pub struct Demo {
    /// Its folder, made when it is not there
    #[arg(long, value_name = "DIR", default_value = "quipu-demo")]
    dir: PathBuf,
    /// Where to listen; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Load and embed what is not there yet, write the playground's tokens, and end; `quipu serve` serves it
    #[arg(long, conflicts_with = "listen")]
    load_only: bool,
}

impl Demo {
    /// Makes what is not there, and serves.
    pub async fn run(self, named: Option<PathBuf>) -> Result<(), Failure> {
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        let mut config = folder::settings(&self.dir, named, self.listen.unwrap_or(usual))?;
        config.server.listen = self.listen.unwrap_or(config.server.listen);
        if self.load_only {
            let app = App::open(config).await?;
            filled(&app).await?;
            app.close().await;
            return Ok(());
        }
        // Before anything is loaded: a taken port should not be found out minutes later.
        let listener = serve::listen(config.server.listen).await?;
        let app = App::open(config).await?;
        let (embedded, tokens) = filled(&app).await?;
        ops::start_log(&app.config.logs)?;
        let address = serve::announce(&listener, "http")?;
        print(welcome(address, &tokens));
        if !embedded {
            failure::warn(
                "everything but search by meaning works; `make setup` fetches the library of the model, and a restart embeds",
            );
        }
        app.serve(listener.into(), serve::stop_signal()).await?;
        Ok(())
    }
}

/// Loads and embeds what is not there, and writes the tokens that the playground offers. Whether everything is embedded, and all
/// tokens.
async fn filled(app: &App) -> Result<(bool, Vec<Token>), Failure> {
    for tenant in Tenant::all()? {
        load::load(app, &tenant).await?;
        app.engine.catch_up(&tenant.name).await?;
    }
    let embedded = vectors::wait_for_demo(app).await?;
    let tokens = tokens(&app.config, app.ports.clock.now_ms())?;
    folder::offer(&app.config, &tokens.iter().filter(|t| t.offered).map(Token::offer).collect::<Vec<_>>())?;
    Ok((embedded, tokens))
}

/// A token of the demo.
struct Token {
    tenant: &'static str,
    about: &'static str,
    /// Whether the playground has it in its menu.
    offered: bool,
    text: String,
}

impl Token {
    fn offer(&self) -> (&str, &str) {
        (self.tenant, &self.text)
    }
}

fn tokens(config: &Config, now_ms: i64) -> Result<Vec<Token>, Failure> {
    let token = |tenant, about, offered, subject: &str, roles: &[&str], claims: serde_json::Value| {
        let name = TenantId::parse(tenant).ok_or_else(|| Failure::usage(format!("{tenant} names no tenant")))?;
        let roles = roles.iter().map(ToString::to_string).collect();
        let claims = claims.as_object().cloned().unwrap_or_default();
        let wish = Wish { tenant: name, subject: Some(subject.to_owned()), roles, claims, ttl: TTL };
        Ok::<_, Failure>(Token { tenant, about, offered, text: auth::mint(config, wish, now_ms)? })
    };
    Ok(vec![
        token("library", "a reader", true, "reader", &["reader"], json!({}))?,
        token(
            "cryox",
            "an analyst, who sees Europe and North America",
            true,
            "analyst",
            &["analyst", "operator"],
            json!({ "regions": ["EU", "NA"] }),
        )?,
        token("cryox", "an admin, who sees everything", false, "admin", &["admin", "operator", "finance"], json!({}))?,
        token("insights", "Ada, an editor: preferences and jobs are her own", true, "ada", &["editor"], json!({}))?,
        token("insights", "an admin, who sees everybody's", false, "admin", &["admin"], json!({}))?,
        token(
            "emma",
            "Inês, an underwriter at Harbour: its customers, its rules and those above",
            true,
            "ines",
            &["underwriter"],
            json!({ "scopes": ["/global/mortgage/harbour"] }),
        )?,
        token(
            "emma",
            "Bea, who writes the rules of the line of business",
            false,
            "bea",
            &["compliance"],
            json!({ "scopes": ["/global/mortgage"] }),
        )?,
        token("supertrack", "Mats, a marketer: budgets of his own campaigns", true, "mats", &["marketer"], json!({}))?,
        token("supertrack", "an admin, who sees everything", false, "noa", &["admin"], json!({}))?,
    ])
}

/// What to do now.
fn welcome(address: SocketAddr, tokens: &[Token]) -> String {
    let reachable = match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        _ => address,
    };
    let mut text = format!("\nPlayground: http://{reachable}/playground\n\nTokens, valid for 30 days:\n");
    for Token { tenant, about, text: token, .. } in tokens {
        text.push_str(&format!("\n  {tenant}: {about}\n  {token}\n"));
    }
    text.push_str("\nA first query, for the tenant library:\n\n");
    for line in FIRST_QUERY.lines().filter(|line| !line.starts_with('#')) {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str("\nCtrl-C stops the demo; it is there again when you come back.\n");
    text
}
