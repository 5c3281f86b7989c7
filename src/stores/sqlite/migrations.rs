//! Numbered changes of the file's format, forward only. The number of the last one is the file's `user_version`.

use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::open::{self, OpenError, Options};
use crate::stores::migrations::{Migration, Plan, Ran};

const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "store", text: include_str!("../../../graph-migrations/sqlite/0001_store.sql") },
    Migration { number: 2, name: "covered", text: include_str!("../../../graph-migrations/sqlite/0002_covered.sql") },
    Migration {
        number: 3,
        name: "credentials",
        text: include_str!("../../../graph-migrations/sqlite/0003_credentials.sql"),
    },
    Migration {
        number: 4,
        name: "documents",
        text: include_str!("../../../graph-migrations/sqlite/0004_documents.sql"),
    },
    Migration { number: 5, name: "audit", text: include_str!("../../../graph-migrations/sqlite/0005_audit.sql") },
    Migration { number: 6, name: "tenants", text: include_str!("../../../graph-migrations/sqlite/0006_tenants.sql") },
];

/// Number of the newest known migration.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

/// What migrating would run. Nothing is written, and no file is made.
///
/// # Errors
/// When there is a file that is no store, or that cannot be read.
pub async fn plan(path: &Path) -> Result<Plan, OpenError> {
    let ran = open::ran(path, &Options::default()).await?;
    Ok(Plan::of(format!("file {}", path.display()), MIGRATIONS, &ran))
}

/// What ran on a file that has notes.
pub(super) async fn ran(connection: &mut SqliteConnection) -> Result<Vec<Ran>, sqlx::Error> {
    let text = "SELECT number, name, checksum FROM migration ORDER BY number";
    let rows: Vec<(i64, String, String)> = sqlx::query_as(text).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(number, name, checksum)| Ran { number, name, checksum }).collect())
}

/// Compares what was run on a file with what is known here; a difference is returned as a message.
pub(super) async fn check(connection: &mut SqliteConnection, version: i64) -> Result<Option<String>, sqlx::Error> {
    if version == 0 {
        return Ok(None);
    }
    let ran = ran(connection).await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.number <= version) {
        let known = ran.iter().find(|ran| ran.number == migration.number);
        if known.is_none_or(|ran| ran.checksum != migration.checksum()) {
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
            .bind(migration.checksum())
            .execute(&mut *transaction)
            .await?;
        let mark = format!("PRAGMA user_version = {}", migration.number);
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}
