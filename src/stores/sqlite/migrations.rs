//! Numbered changes of the file's format, forward only. The number of the last one is the file's `user_version`.

use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

/// One step of the format.
struct Migration {
    number: i64,
    name: &'static str,
    text: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "store", text: include_str!("../../../graph-migrations/sqlite/0001_store.sql") },
    Migration { number: 2, name: "covered", text: include_str!("../../../graph-migrations/sqlite/0002_covered.sql") },
];

/// Number of the newest known migration.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

fn checksum(migration: &Migration) -> String {
    Sha256::digest(migration.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares what was run on a file with what is known here; a difference is returned as a message.
pub(super) async fn check(connection: &mut SqliteConnection, version: i64) -> Result<Option<String>, sqlx::Error> {
    if version == 0 {
        return Ok(None);
    }
    let ran: Vec<(i64, String)> =
        sqlx::query_as("SELECT number, checksum FROM migration ORDER BY number").fetch_all(connection).await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.number <= version) {
        let known = ran.iter().find(|(number, _)| *number == migration.number);
        if known.is_none_or(|(_, sum)| *sum != checksum(migration)) {
            let (number, name) = (migration.number, migration.name);
            return Ok(Some(format!("its migration {number:04} ({name}) is not the one this version knows")));
        }
    }
    Ok(None)
}

/// Runs what is missing, each migration in a transaction of its own.
pub(super) async fn run(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for migration in MIGRATIONS {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
        if version >= migration.number {
            transaction.rollback().await?;
            continue;
        }
        let kept = "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)";
        sqlx::raw_sql(kept).execute(&mut *transaction).await?;
        sqlx::raw_sql(migration.text).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO migration (number, name, checksum) VALUES (?, ?, ?)")
            .bind(migration.number)
            .bind(migration.name)
            .bind(checksum(migration))
            .execute(&mut *transaction)
            .await?;
        let mark = format!("PRAGMA user_version = {}", migration.number);
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}
