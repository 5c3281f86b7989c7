//! Numbered changes of what the gateway needs of a database for itself, forward only. What ran is noted in nodes of a label of their own.
//!
//! Indexes and constraints are made outside of transactions that write nodes. So one node says who is at it, and until when; the
//! statements run, and then they are noted. Whoever is interrupted is waited for until its time is over, and does no harm if it goes
//! on later: every statement can be run twice.

use std::time::{Duration, Instant};

use neo4rs::Txn;
use tokio::time::sleep;

use super::apply::fetch;
use super::failure::Failure;
use super::open::{self, OpenError};
use super::session::{Sessions, Work, query};
use super::{Neo4j, Options, column};
use crate::stores::cypher::migrations;
use crate::stores::migrations::{Migration, Plan, Ran, compare, missing};

const MIGRATIONS: &[Migration] =
    &[Migration { number: 1, name: "store", text: include_str!("../../../graph-migrations/neo4j/0001_store.cypher") }];

/// How long one instance may be at it before others take over, in milliseconds.
const LEASE: i64 = 30_000;

/// How often others look whether it is over.
const PAUSE: Duration = Duration::from_millis(100);

/// Longest time for all of it.
const MIGRATING: Duration = Duration::from_secs(600);

/// Longest time for a look.
const LOOK: Duration = Duration::from_secs(4);

/// The statements of all migrations, in order.
pub fn statements() -> impl Iterator<Item = String> {
    MIGRATIONS.iter().flat_map(|migration| parts(migration.text))
}

/// The statements of a text: each ends with a semicolon at the end of a line; lines that begin with `//` are comments.
fn parts(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("//")).collect();
    let text = lines.join("\n") + "\n";
    text.split(";\n").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// What ran on a database, in order.
async fn ran(sessions: &Sessions, deadline: Instant) -> Result<Vec<Ran>, Failure> {
    let rows = sessions.read(&migrations::ran(), deadline).await?;
    rows.iter().map(|row| note(row).map_err(Failure::Answer)).collect()
}

fn note(row: &neo4rs::Row) -> Result<Ran, String> {
    Ok(Ran { number: column(row, "number")?, name: column(row, "name")?, checksum: column(row, "checksum")? })
}

/// Refuses a database on which something ran that is not known here.
pub(super) async fn check(sessions: &Sessions, options: &Options) -> Result<(), OpenError> {
    let ran = looked_at(sessions, options).await?;
    compare(MIGRATIONS, &ran).map_err(|(message, help)| open::refused(options, message, help))
}

async fn looked_at(sessions: &Sessions, options: &Options) -> Result<Vec<Ran>, OpenError> {
    let ran = ran(sessions, Instant::now() + LOOK).await;
    ran.map_err(|failure| {
        let message = format!("does not tell what ran on it: {}", failure.fault());
        open::refused(options, message, "check what the user may do: it has to read and write nodes")
    })
}

impl Neo4j {
    /// What migrating would run. Nothing is written.
    ///
    /// # Errors
    /// When the server cannot be used.
    pub async fn plan(options: &Options) -> Result<Plan, OpenError> {
        let sessions = open::sessions(options)?;
        open::look(&sessions, options).await?;
        let database = options.database.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        let place = format!("neo4j {}{database}", open::address(&options.url));
        Ok(Plan::of(place, MIGRATIONS, &looked_at(&sessions, options).await?))
    }

    /// Runs what did not run yet. Instances that come together wait for one of them; returns the numbers of what ran here.
    ///
    /// # Errors
    /// When the server cannot be asked, or something newer ran on it.
    pub async fn migrate(&self) -> Result<Vec<i64>, quipu_resolvers::fault::Fault> {
        self.migrated(Instant::now() + MIGRATING).await.map_err(Failure::fault)
    }

    /// The same, until a deadline; once in a process.
    pub(super) async fn migrated(&self, deadline: Instant) -> Result<Vec<i64>, Failure> {
        let mut done = Vec::new();
        if self.is_made(MIGRATED) {
            return Ok(done);
        }
        let me = format!("{:032x}", rand::random::<u128>());
        let sessions = &self.0.sessions;
        let mut ran = ran(sessions, deadline).await?;
        if missing(MIGRATIONS, &ran).next().is_some() {
            self.make(migrations::NOTES, deadline).await?;
            while !sessions.transact(&Taking { me: &me }, deadline).await? {
                sleep(PAUSE).await;
            }
            ran = self::ran(sessions, deadline).await?;
            compare(MIGRATIONS, &ran).map_err(|(message, _)| Failure::Answer(message))?;
            for migration in missing(MIGRATIONS, &ran) {
                for text in parts(migration.text) {
                    self.make(&text, deadline).await?;
                }
                sessions.transact(&Noting { note: migration.note() }, deadline).await?;
                done.push(migration.number);
            }
            sessions.transact(&Leaving { me: &me }, deadline).await?;
        }
        self.note_made(MIGRATED);
        Ok(done)
    }
}

/// Stands for all migrations among what is made.
const MIGRATED: &str = "migrations";

/// Says that it is this instance's turn, unless it is another's; true when it is.
struct Taking<'a> {
    me: &'a str,
}

impl Work for Taking<'_> {
    type Done = bool;

    async fn work(&self, transaction: &mut Txn) -> Result<bool, Failure> {
        let rows = fetch(transaction, &migrations::take(self.me, LEASE)).await?;
        let row = rows.first().ok_or_else(|| Failure::Answer("no row came back".to_owned()))?;
        column(row, "mine").map_err(Failure::Answer)
    }
}

/// Says that it is nobody's turn any more.
struct Leaving<'a> {
    me: &'a str,
}

impl Work for Leaving<'_> {
    type Done = ();

    async fn work(&self, transaction: &mut Txn) -> Result<(), Failure> {
        transaction.run(query(&migrations::leave(self.me), None)).await?;
        Ok(())
    }
}

/// Notes that a migration ran.
struct Noting {
    note: Ran,
}

impl Work for Noting {
    type Done = ();

    async fn work(&self, transaction: &mut Txn) -> Result<(), Failure> {
        let Ran { number, name, checksum } = &self.note;
        transaction.run(query(&migrations::note(*number, name, checksum), None)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart() {
        assert_eq!(parts("// no; nothing;\nCREATE a\nb;\n\nCREATE 'x;y';\n"), ["CREATE a\nb", "CREATE 'x;y'"]);
        let all: Vec<String> = statements().collect();
        assert!(
            all.len() >= 3 && all.iter().all(|text| text.contains("IF NOT EXISTS") && !text.contains(';')),
            "{all:?}"
        );
        let label = crate::stores::cypher::texts::LABEL;
        assert!(all.iter().any(|text| text.contains(&format!("(t:{label})"))), "{all:?}");
        let index = crate::stores::cypher::search::INDEX;
        assert!(all.iter().any(|text| text.contains(&format!("FULLTEXT INDEX {index} "))), "{all:?}");
        let numbers: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.number).collect();
        assert_eq!(numbers, (1..=MIGRATIONS.len() as i64).collect::<Vec<_>>());
    }
}
