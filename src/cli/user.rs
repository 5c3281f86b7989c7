//! `quipu user`.

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand};
use console::Term;
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::value::scalar;
use serde_json::Value as Json;

use super::failure::Failure;
use super::{caller, columns, print};
use crate::app::App;
use crate::auth::{self, Event, LONGEST_PASSWORD, Passwords, User};
use crate::config::{Config, Secret};

/// Characters of a user's name.
const LONGEST_NAME: usize = 100;

/// Add, list, change and remove users of a tenant, for teams without an identity provider
///
/// They sign in at `/auth/sign-in` and get a session. Passwords are asked for, or read from standard input, one line; they are
/// never arguments, which others on the machine could see.
#[derive(Debug, Subcommand)]
pub enum Account {
    Add(Add),
    List(List),
    Password(Named),
    Roles(Roles),
    Remove(Named),
}

/// Which user.
#[derive(Debug, Args)]
pub struct Named {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
    /// The user's name, which is the claim `sub` as well
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: String,
}

/// Add a user, with a password that is asked for
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quipu user add --tenant acme --name ada --role admin
  quipu user add --tenant cryox --name eva --claim 'regions=[\"EU\"]' < password.txt")]
pub struct Add {
    #[command(flatten)]
    who: Named,
    /// A role; repeat for several
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Any further claim, its value as JSON; repeat for several
    #[arg(long = "claim", value_name = "NAME=JSON", value_parser = caller::claim)]
    claims: Vec<(String, Json)>,
}

/// List the users of a tenant
#[derive(Debug, Args)]
pub struct List {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = caller::tenant)]
    tenant: TenantId,
}

/// Set all roles of a user, and end the sessions that have the old ones
#[derive(Debug, Args)]
pub struct Roles {
    #[command(flatten)]
    who: Named,
    /// A role; repeat for several, leave it out for none
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
}

impl Account {
    /// Does it.
    pub async fn run(self, config: Config) -> Result<(), Failure> {
        let passwords = Passwords::new(&config.passwords)?;
        let app = App::open(config).await?;
        let done = match self {
            Self::Add(add) => add.run(&app, &passwords).await,
            Self::List(list) => list.run(&app).await,
            Self::Password(who) => set_password(&app, &passwords, &who).await,
            Self::Roles(roles) => change(&app, &roles.who, |user| user.roles = roles.roles.clone()).await,
            Self::Remove(who) => remove(&app, &who).await,
        };
        app.close().await;
        done
    }
}

impl Add {
    async fn run(self, app: &App, passwords: &Passwords) -> Result<(), Failure> {
        let Self { who: Named { tenant, name }, roles, claims } = self;
        let claims = caller::by_name(claims).map_err(Failure::usage)?;
        caller::further(&claims, &app.config.auth)?;
        let password = hashed(passwords, ask()?).await?;
        let now = app.ports.clock.now_ms();
        let user = User { name, roles, claims, password, created_ms: now, changed_ms: now };
        app.credentials.add_user(&tenant, &user).await?;
        app.tell(&tenant, Event::UserAdded(&user.name)).await?;
        print(format_args!("{} may sign in to {tenant}\n", user.name));
        Ok(())
    }
}

impl List {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let titles = ["NAME", "ROLES", "CREATED", "CHANGED"].map(str::to_owned);
        let users = app.credentials.users(&self.tenant).await?;
        let lines = users.iter().map(|user| {
            let [created, changed] = [user.created_ms, user.changed_ms].map(scalar::stamp_ms);
            [user.name.clone(), user.roles.join(","), created, changed]
        });
        print(columns::table(&std::iter::once(titles).chain(lines).collect::<Vec<_>>()));
        Ok(())
    }
}

async fn set_password(app: &App, passwords: &Passwords, who: &Named) -> Result<(), Failure> {
    // Before anybody is asked for a password.
    known(app, who).await?;
    let password = hashed(passwords, ask()?).await?;
    change(app, who, |user| user.password = password).await
}

/// Changes a user, and ends the sessions that were made before.
async fn change(app: &App, who: &Named, change: impl FnOnce(&mut User)) -> Result<(), Failure> {
    let mut user = known(app, who).await?;
    change(&mut user);
    user.changed_ms = app.ports.clock.now_ms();
    if !app.credentials.change_user(&who.tenant, &user).await? {
        return Err(nobody(who));
    }
    app.tell(&who.tenant, Event::UserChanged(&who.name)).await?;
    print(format_args!("{} is changed, and signed out everywhere\n", who.name));
    Ok(())
}

async fn remove(app: &App, who: &Named) -> Result<(), Failure> {
    if !app.credentials.remove_user(&who.tenant, &who.name, app.ports.clock.now_ms()).await? {
        return Err(nobody(who));
    }
    app.tell(&who.tenant, Event::UserRemoved(&who.name)).await?;
    print(format_args!("{} is removed, and signed out everywhere\n", who.name));
    Ok(())
}

async fn known(app: &App, who: &Named) -> Result<User, Failure> {
    app.credentials.user(&who.tenant, &who.name).await?.ok_or_else(|| nobody(who))
}

fn nobody(who: &Named) -> Failure {
    let Named { tenant, name } = who;
    Failure::refused(format!("{tenant} has no user {name}"))
        .help(format!("`quipu user list --tenant {tenant}` shows them"))
}

async fn hashed(passwords: &Passwords, password: Secret) -> Result<Secret, Failure> {
    passwords.check(password.text()).map_err(Failure::usage)?;
    passwords.hash(password).await.map_err(|denied: auth::Denied| Failure::store(denied.to_string()))
}

/// A password: asked for twice at a terminal, else the first line of standard input.
fn ask() -> Result<Secret, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("no password can be read: {error}"));
    if !std::io::stdin().is_terminal() {
        let mut text = String::new();
        let most = u64::try_from(LONGEST_PASSWORD + 3).unwrap_or(u64::MAX);
        std::io::stdin().lock().take(most).read_to_string(&mut text).map_err(failed)?;
        return Ok(Secret::new(text.lines().next().unwrap_or_default()));
    }
    let terminal = Term::stderr();
    let read = |prompt: &str| {
        terminal.write_str(prompt)?;
        terminal.read_secure_line()
    };
    let (first, second) = (read("Password: ").map_err(failed)?, read("Once more: ").map_err(failed)?);
    if first != second {
        return Err(Failure::usage("the two are not the same"));
    }
    Ok(Secret::new(first))
}

/// What a user may be called: something that can be shown in a line.
fn name(text: &str) -> Result<String, String> {
    caller::line(text, LONGEST_NAME)
}
