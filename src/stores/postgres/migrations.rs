//! Numbered changes of the schema, forward only, by its owner. What ran is noted with its checksum.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, query, query_as, query_scalar, raw_sql};

use super::open::{OpenError, Options};
use crate::stores::migrations::{Migration, Plan, Ran, compare, missing};

const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "store", text: include_str!("../../../graph-migrations/postgres/0001_store.sql") },
    Migration {
        number: 2,
        name: "credentials",
        text: include_str!("../../../graph-migrations/postgres/0002_credentials.sql"),
    },
    Migration {
        number: 3,
        name: "documents",
        text: include_str!("../../../graph-migrations/postgres/0003_documents.sql"),
    },
    Migration { number: 4, name: "audit", text: include_str!("../../../graph-migrations/postgres/0004_audit.sql") },
    Migration { number: 5, name: "tenants", text: include_str!("../../../graph-migrations/postgres/0005_tenants.sql") },
];

/// What migrating would run. Nothing is written.
///
/// # Errors
/// When the server cannot be reached.
pub async fn plan(options: &Options) -> Result<Plan, OpenError> {
    let mut connection = options.connect_owner().await?;
    let ran = ran(&mut connection, options).await;
    let _ = connection.close().await;
    let ran = ran.map_err(|error| options.failed("does not tell what ran on it", &error))?.unwrap_or_default();
    Ok(Plan::of(format!("postgres {}, schema {}", options.place(), options.schema), MIGRATIONS, &ran))
}

/// Brings the schema up to date as its owner, and gives the login role its rights. Instances that start together wait for each other;
/// the first does the work. Returns the numbers of the migrations that ran.
///
/// # Errors
/// When the server cannot be reached as the owner, or a migration is not the one this version knows.
pub async fn migrate(options: &Options) -> Result<Vec<i64>, OpenError> {
    let mut owner = options.connect_owner().await?;
    let outcome = under_lock(&mut owner, options).await;
    let _ = owner.close().await;
    outcome
}

async fn under_lock(owner: &mut PgConnection, options: &Options) -> Result<Vec<i64>, OpenError> {
    let failed = |error: sqlx::Error| options.failed("cannot be migrated", &error);
    // Held until the connection ends. The wait is as long as the others need.
    let lock = "SELECT pg_advisory_lock(hashtextextended('quipu migrations ' || $1, 0))";
    query(lock).bind(&options.schema).execute(&mut *owner).await.map_err(failed)?;
    let schema = format!("CREATE SCHEMA IF NOT EXISTS {0}; SET search_path = {0}", options.schema);
    if ran(owner, options).await.map_err(failed)?.is_none() {
        let kept = "CREATE TABLE migration (number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL)";
        raw_sql(AssertSqlSafe(format!("BEGIN; {schema}; {kept}; COMMIT")))
            .execute(&mut *owner)
            .await
            .map_err(failed)?;
    } else {
        let path = format!("SET search_path = {}", options.schema);
        raw_sql(AssertSqlSafe(path)).execute(&mut *owner).await.map_err(failed)?;
    }
    let before = ran(owner, options).await.map_err(failed)?.unwrap_or_default();
    compare(MIGRATIONS, &before).map_err(|problem| options.error(problem.0, problem.1))?;
    let mut done = Vec::new();
    for migration in missing(MIGRATIONS, &before) {
        let mut transaction = owner.begin().await.map_err(failed)?;
        raw_sql(migration.text).execute(&mut *transaction).await.map_err(failed)?;
        query("INSERT INTO migration (number, name, checksum) VALUES ($1, $2, $3)")
            .bind(i32::try_from(migration.number).unwrap_or(i32::MAX))
            .bind(migration.name)
            .bind(migration.checksum())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        done.push(migration.number);
    }
    grant(owner, options).await.map_err(failed)?;
    Ok(done)
}

/// What ran; `None` when nothing ever did.
async fn ran(connection: &mut PgConnection, options: &Options) -> Result<Option<Vec<Ran>>, sqlx::Error> {
    let table = format!("{}.migration", options.schema);
    let there: bool =
        query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(&table).fetch_one(&mut *connection).await?;
    if !there {
        return Ok(None);
    }
    let text = format!("SELECT number::bigint, name, checksum FROM {table} ORDER BY number");
    let rows: Vec<(i64, String, String)> = query_as(AssertSqlSafe(text)).fetch_all(connection).await?;
    Ok(Some(rows.into_iter().map(|(number, name, checksum)| Ran { number, name, checksum }).collect()))
}

/// Whether everything ran that has to; asked as the login role.
pub(super) async fn check(connection: &mut PgConnection, options: &Options) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| options.failed("cannot be looked at", &error);
    let help = "migrate it as its owner: set the owner's address, or run `quipu migrate`";
    let Some(ran) = ran(connection, options).await.map_err(failed)? else {
        return Err(options.error(format!("is not migrated: there is no schema {} to be used", options.schema), help));
    };
    compare(MIGRATIONS, &ran).map_err(|problem| options.error(problem.0, problem.1))?;
    if ran.len() < MIGRATIONS.len() {
        let message = format!("is not migrated: {} of {} migrations ran", ran.len(), MIGRATIONS.len());
        return Err(options.error(message, help));
    }
    Ok(())
}

/// What the login role may do: read and write rows that row security shows it, and nothing to the tables themselves.
async fn grant(owner: &mut PgConnection, options: &Options) -> Result<(), sqlx::Error> {
    let text = "SELECT format('GRANT USAGE ON SCHEMA %1$I TO %2$I; \
                GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %1$I TO %2$I; \
                REVOKE INSERT, UPDATE, DELETE ON %1$I.migration FROM %2$I; \
                REVOKE INSERT, DELETE ON %1$I.tenant FROM %2$I', $1, $2)";
    let login = options.login();
    let grants: String = query_scalar(text).bind(&options.schema).bind(&login).fetch_one(&mut *owner).await?;
    raw_sql(AssertSqlSafe(grants)).execute(owner).await?;
    Ok(())
}
