//! Opening: migrations run once, and what is wrong is told, with what can be done, without credentials, and in time.

use std::time::{Duration, Instant};

use quipu::stores::postgres::{OpenError, Options, Postgres, migrate};
use quipu_resolvers::ports::Metadata as _;
use sqlx::{Executor, query_scalar};

use super::{plain, server};

/// Ten instances that start together: each is ready afterwards, and the migrations ran once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_at_once_migrate_once() {
    let Some(server) = server("contract::postgres::opening::ten_at_once_migrate_once") else { return };
    let options = server.fresh();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let options = options.clone();
        tasks.spawn(async move {
            let ran = migrate(&options).await.unwrap();
            let opened = Postgres::open(options).await.unwrap();
            assert!(opened.published().await.unwrap().is_empty());
            ran
        });
    }
    let mut ran: Vec<i64> = tasks.join_all().await.into_iter().flatten().collect();
    ran.sort_unstable();
    assert_eq!(ran, [1, 2, 3, 4, 5], "each migration ran in one of them");
    let mut owner = plain(&server.owner, &options).await;
    let noted: i64 = query_scalar("SELECT count(*) FROM migration").fetch_one(&mut owner).await.unwrap();
    assert_eq!(noted, 5);
}

/// What opening says, within five seconds, and never the credentials.
async fn refused(options: Options) -> OpenError {
    let begun = Instant::now();
    let error = Postgres::open(options.clone()).await.expect_err("it must be refused");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let shown = format!("{error} {error:?} {options:?}");
    for secret in ["owner@", ":login", "admin@", "hunter2"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(!error.help.is_empty());
    error
}

#[tokio::test]
async fn wrong_addresses_are_told() {
    let Some(server) = server("contract::postgres::opening::wrong_addresses_are_told") else { return };
    let at = server.login.rsplit('@').next().unwrap().to_owned();
    let (host, _) = at.split_once('/').unwrap();
    // A listener that takes the connection and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let quiet = silent.local_addr().unwrap();
    for (url, message) in [
        (format!("postgres://quipu_login:hunter2@{at}"), "the password of quipu_login is wrong".to_owned()),
        (format!("postgres://nobody:hunter2@{at}"), "the password of nobody is wrong".to_owned()),
        (server.login.replace(&at, &format!("{host}/elsewhere")), "there is no such database".to_owned()),
        ("postgres://quipu_login:hunter2@127.0.0.1:1/quipu".to_owned(), "cannot be reached".to_owned()),
        (format!("postgres://quipu_login:hunter2@{quiet}/quipu"), "does not answer within 4 s".to_owned()),
        ("mysql://quipu_login:hunter2@127.0.0.1/quipu".to_owned(), "is not an address of Postgres".to_owned()),
        (
            "postgres://quipu_login:hunter2@127.0.0.1:port/quipu".to_owned(),
            "is not an address that can be read".to_owned(),
        ),
    ] {
        let options = Options { url, owner_url: None, ..server.fresh() };
        let error = refused(options).await;
        assert!(error.to_string().contains(&message), "{error}\nand not\n{message}");
    }
}

#[tokio::test]
async fn unmigrated_and_foreign_schemas_are_refused() {
    let case = "contract::postgres::opening::unmigrated_and_foreign_schemas_are_refused";
    let Some(server) = server(case) else { return };
    let fresh = server.fresh();
    let alone = Options { owner_url: None, ..fresh.clone() };
    assert!(refused(alone.clone()).await.to_string().contains("is not migrated"));
    migrate(&fresh).await.unwrap();
    Postgres::open(alone.clone()).await.unwrap();
    let mut owner = plain(&server.owner, &fresh).await;
    for (text, message) in [
        ("UPDATE migration SET checksum = 'x'", "its migration 0001 (store) is not the one this version knows"),
        (
            "UPDATE migration SET number = 99 WHERE number = 5",
            "was migrated by a newer version (migration 99, this one knows 5)",
        ),
        ("DELETE FROM migration", "is not migrated: 0 of 5 migrations ran"),
    ] {
        owner.execute(text).await.unwrap();
        let error = refused(alone.clone()).await;
        assert!(error.to_string().contains(message), "{error}");
    }
    let odd = Options { schema: "a; DROP SCHEMA b".to_owned(), ..alone };
    assert!(refused(odd).await.to_string().contains("characters that are not allowed"));
}

/// A role that row security does not bind is not used.
#[tokio::test]
async fn roles_beyond_row_security_are_refused() {
    let Some(server) = server("contract::postgres::opening::roles_beyond_row_security_are_refused") else { return };
    let fresh = server.fresh();
    migrate(&fresh).await.unwrap();
    let owner = Options { url: server.owner.clone(), owner_url: None, ..fresh.clone() };
    assert!(refused(owner).await.to_string().contains("owns the tables, so it could switch row security off"));
    let mut forced = plain(&server.owner, &fresh).await;
    forced.execute("ALTER TABLE log NO FORCE ROW LEVEL SECURITY").await.unwrap();
    let login = Options { owner_url: None, ..fresh.clone() };
    assert!(refused(login).await.to_string().contains("not enabled and forced on the table"));
    let Some(admin) = server.admin else { return };
    let superuser = Options { url: admin.clone(), owner_url: None, ..fresh.clone() };
    assert!(refused(superuser).await.to_string().contains("is a superuser"));
    let mut connection = plain(&admin, &fresh).await;
    let (name, above) = (fresh.schema.replace("case", "bypass"), fresh.schema.replace("case", "member"));
    let roles = format!(
        "CREATE ROLE {name} LOGIN PASSWORD 'hunter2' BYPASSRLS; CREATE ROLE {above} LOGIN PASSWORD 'hunter2' IN ROLE {name}"
    );
    connection.execute(sqlx::AssertSqlSafe(roles)).await.unwrap();
    for (role, message) in [(&name, "has BYPASSRLS"), (&above, "which has BYPASSRLS")] {
        let url = admin.replace("quipu_admin:admin", &format!("{role}:hunter2"));
        let error = refused(Options { url, owner_url: None, ..fresh.clone() }).await;
        assert!(error.to_string().contains(message), "{error}");
    }
    connection.execute(sqlx::AssertSqlSafe(format!("DROP ROLE {above}; DROP ROLE {name}"))).await.unwrap();
}
