//! `quipu key`.

use std::time::Duration;

use clap::{Args, Subcommand};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::value::scalar;
use serde_json::Value as Json;

use super::failure::{Failure, note};
use super::{caller, columns, print};
use crate::app::App;
use crate::auth::{ApiKey, Event, KeyWish};
use crate::config::Config;

/// Make, list and revoke API keys: tokens for programs, which hold until they are revoked
///
/// A key is of one tenant and is sent as `Authorization: Bearer KEY`. The store has a digest of it and no way back.
#[derive(Debug, Subcommand)]
pub enum Key {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a key, and show it this once
///
/// The key is the only thing printed on standard output.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu key create --tenant acme --name nightly-import --role operator --expires 90d
  quipu key create --tenant cryox --name dashboard --claim 'regions=[\"EU\"]' > /run/secrets/dashboard")]
pub struct Create {
    /// The tenant whose data the key opens
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// What it is called in lists
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Whom it stands for, the claim `sub` [default: key:NAME]
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// A role; repeat for several
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Any further claim, like scopes, its value as JSON; repeat for several
    #[arg(long = "claim", value_name = "NAME=JSON", value_parser = caller::claim)]
    claims: Vec<(String, Json)>,
    /// After what time it ends, like 90d [default: never]
    #[arg(long, value_name = "TIME", value_parser = caller::span)]
    expires: Option<Duration>,
}

/// List the keys of a tenant, also those that hold no longer
#[derive(Debug, Args)]
pub struct List {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
}

/// Revoke a key for good
///
/// Servers notice within `auth.recheck` of the settings, and end its streams.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// The key's id, as `quipu key list` shows it: what is between the dots of the key
    #[arg(value_name = "ID")]
    id: String,
}

impl Key {
    /// Does it.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let app = App::open(config).await?;
        let done = match self {
            Self::Create(create) => create.run(&app).await,
            Self::List(list) => list.run(&app).await,
            Self::Revoke(revoke) => revoke.run(&app).await,
        };
        app.close().await;
        done
    }
}

impl Create {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let Self { tenant, name, subject, roles, claims, expires } = self;
        let claims = caller::by_name(claims).map_err(Failure::usage)?;
        let wish = KeyWish { name, subject, roles, claims, expires };
        let (key, text) = wish.make(&tenant, &app.config.auth, app.ports.clock.now_ms()).map_err(Failure::usage)?;
        app.credentials.add_key(&tenant, &key).await?;
        print(format_args!("{text}\n"));
        app.tell(&tenant, Event::KeyMade(&key.id, &key.name)).await?;
        note(&format!("the key {} of {tenant} is not shown again; revoke it with `quipu key revoke`", key.id));
        Ok(())
    }
}

impl List {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let now = app.ports.clock.now_ms();
        let titles = ["ID", "NAME", "SUBJECT", "ROLES", "CREATED", "LAST USED", "STATE"].map(str::to_owned);
        let keys = app.credentials.keys(&self.tenant).await?;
        let lines = keys.iter().map(|key| {
            [
                key.id.clone(),
                key.name.clone(),
                key.subject.clone(),
                key.roles.join(","),
                scalar::stamp_ms(key.created_ms),
                key.used_ms.map_or_else(|| "never".to_owned(), scalar::stamp_ms),
                state(key, now),
            ]
        });
        print(columns::table(&std::iter::once(titles).chain(lines).collect::<Vec<_>>()));
        Ok(())
    }
}

/// Whether a key holds, and until when.
fn state(key: &ApiKey, now_ms: i64) -> String {
    match (key.revoked_ms, key.expires_ms) {
        (Some(at), _) => format!("revoked {}", scalar::stamp_ms(at)),
        (None, Some(at)) if now_ms >= at => format!("expired {}", scalar::stamp_ms(at)),
        (None, Some(at)) => format!("holds until {}", scalar::stamp_ms(at)),
        (None, None) => "holds".to_owned(),
    }
}

impl Revoke {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let Self { tenant, id } = self;
        if app.credentials.revoke_key(&tenant, &id, app.ports.clock.now_ms()).await? {
            app.tell(&tenant, Event::KeyRevoked(&id)).await?;
            let within = app.config.auth.recheck;
            print(format_args!("{id} is revoked; servers notice within {within:?} (auth.recheck)\n"));
            return Ok(());
        }
        match app.credentials.key(&tenant, &id).await? {
            Some(_) => Err(Failure::refused(format!("{id} was revoked before"))),
            None => Err(Failure::refused(format!("{tenant} has no key {id}"))
                .help(format!("`quipu key list --tenant {tenant}` shows them"))),
        }
    }
}
