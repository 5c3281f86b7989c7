//! What has to hold before the server is used: its version, and that row security binds the role that logs in.

use sqlx::postgres::PgConnection;
use sqlx::{query_as, query_scalar};

use super::open::{OpenError, Options};

/// The oldest version that is used, as the server counts.
const OLDEST: i32 = 150_000;

/// The server's version and encoding.
pub(super) async fn server(connection: &mut PgConnection, options: &Options) -> Result<(), OpenError> {
    let text = "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
                current_setting('server_encoding')";
    let (number, version, encoding): (i32, String, String) = query_as(text)
        .fetch_one(connection)
        .await
        .map_err(|error| options.failed("does not tell its version", &error))?;
    if number < OLDEST {
        let message = format!("the server is version {version}, and 15 is needed");
        return Err(options.error(message, "use Postgres 15 or newer"));
    }
    if encoding != "UTF8" {
        let message = format!("the database is encoded as {encoding}, and UTF8 is needed");
        return Err(options.error(message, "create the database with ENCODING 'UTF8'"));
    }
    Ok(())
}

/// Refuses a role that row security does not bind.
pub(super) async fn role(connection: &mut PgConnection, options: &Options) -> Result<(), OpenError> {
    // Roles that it is a member of count as well: SET ROLE would do.
    let text = "SELECT rolname::text, rolsuper, rolbypassrls FROM pg_roles \
                WHERE (rolsuper OR rolbypassrls) AND pg_has_role(current_user, oid, 'MEMBER') \
                ORDER BY rolname = current_user DESC LIMIT 1";
    let found: Option<(String, bool, bool)> = query_as(text)
        .fetch_optional(connection)
        .await
        .map_err(|error| options.failed("does not tell about its roles", &error))?;
    let Some((name, superuser, _)) = found else { return Ok(()) };
    let what = if superuser { "is a superuser" } else { "has BYPASSRLS" };
    let login = options.login();
    let message = if name == login {
        format!("the role {login} {what}, so row security would not keep tenants apart")
    } else {
        format!("the role {login} is a member of {name}, which {what}, so row security would not keep tenants apart")
    };
    Err(options.error(message, LESSER))
}

/// Refuses a role that could switch row security off, and tables without it.
pub(super) async fn tables(connection: &mut PgConnection, options: &Options) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| options.failed("does not tell about its tables", &error);
    let text = "SELECT relowner::regrole::text FROM pg_class WHERE relnamespace = to_regnamespace($1) \
                AND relkind IN ('r', 'p') AND pg_has_role(current_user, relowner, 'MEMBER') LIMIT 1";
    let owner: Option<String> =
        query_scalar(text).bind(&options.schema).fetch_optional(&mut *connection).await.map_err(failed)?;
    if owner.is_some() {
        let login = options.login();
        let message = format!("the role {login} owns the tables, so it could switch row security off");
        return Err(options.error(message, LESSER));
    }
    let text = "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p') \
                AND relname <> 'migration' AND NOT (relrowsecurity AND relforcerowsecurity) LIMIT 1";
    let open: Option<String> =
        query_scalar(text).bind(&options.schema).fetch_optional(&mut *connection).await.map_err(failed)?;
    match open {
        Some(table) => {
            let message = format!("row security is not enabled and forced on the table {}.{table}", options.schema);
            let help =
                format!("ALTER TABLE {0}.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", options.schema);
            Err(options.error(message, help))
        }
        None => Ok(()),
    }
}

/// What can be done about a role with too many rights.
const LESSER: &str =
    "log in as a role that owns nothing: CREATE ROLE quipu_login LOGIN PASSWORD '...' NOSUPERUSER NOBYPASSRLS";
