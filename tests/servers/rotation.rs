//! Passwords of servers change while the gateway serves, and nobody notices.

use neo4rs::{ConfigBuilder, Graph, query};
use serde_json::json;
use sqlx::{Connection as _, Executor as _};

use super::address;
use super::own::until;
use crate::cli::quipu::{FARM, Quipu, Running};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
const BASIC: &str = "[server]\nreload = \"100ms\"\n[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = \"none\"\n";

/// A name that no other run has.
fn name(prefix: &str) -> String {
    format!("{prefix}_{}", std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_micros())
}

/// A gateway with these settings, whose password is in the file `password`; a farm is in it.
fn farm(settings: &str) -> Quipu {
    let quipu = Quipu::empty();
    quipu.file("quipu.toml", format!("{BASIC}{settings}"));
    quipu.file("password", "first-password\n");
    quipu.file("farm.graphql", FARM);
    let ended = quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    quipu
}

/// Several questions at once, so that connections are made.
async fn serves(quipu: &Quipu, running: &Running) {
    let token = quipu.token("farm", &["--role", "admin"]);
    let query = "{ farms { id name } bills { id } }";
    let answers = futures_util::future::join_all((0..16).map(|_| running.ask(&token, query))).await;
    for answer in answers {
        assert_eq!(answer["data"], json!({"farms": [], "bills": []}), "{answer}");
    }
}

/// Whatever was said, no password is in it.
fn told(running: Running, what: &str) {
    let ended = running.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains(what), "{ended:?}");
    for password in ["first-password", "second-password", "wrong-password"] {
        assert!(!format!("{ended:?}").contains(password), "{ended:?}");
    }
}

/// Files first, with what the server does not take; then both.
async fn rotate(quipu: &Quipu, running: &Running, change: impl AsyncFnOnce()) {
    serves(quipu, running).await;
    assert_eq!(until(running, "passwords", "up").await.0, 200);
    quipu.file("password", "wrong-password");
    let (status, ready) = until(running, "passwords", "down").await;
    assert_eq!((status, &ready["status"]), (200, &json!("degraded")), "{ready}");
    serves(quipu, running).await;
    change().await;
    quipu.file("password", "second-password");
    until(running, "passwords", "up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_postgres_changes_without_a_restart() {
    let test = "servers::rotation::a_password_of_postgres_changes_without_a_restart";
    let (Some(owner), Some(admin)) = (address("QUIPU_TEST_POSTGRES", test), address("QUIPU_TEST_POSTGRES_ADMIN", test))
    else {
        return;
    };
    let role = name("rotating");
    let mut connection = sqlx::PgConnection::connect(&admin).await.expect("a server");
    let sql = |text: String| sqlx::raw_sql(sqlx::AssertSqlSafe(text));
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD 'first-password' NOSUPERUSER NOBYPASSRLS");
    connection.execute(sql(create)).await.expect("a role");
    let place = owner.rsplit_once('@').expect("credentials").1;
    let quipu = farm(&format!(
        "[metadata]\nurl = \"postgres://{role}@{place}\"\npassword_file = \"password\"\nowner_url = \"{owner}\"\nschema = \"{role}\"\n"
    ));
    let running = quipu.start(&SERVE);
    rotate(&quipu, &running, async || {
        let alter = format!("ALTER ROLE {role} PASSWORD 'second-password'");
        connection.execute(sql(alter)).await.expect("a role");
    })
    .await;
    // Only new connections show that the new password is used.
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    connection.execute(sql(end)).await.expect("an administrator");
    // They end by themselves, a moment later.
    let left = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'");
    while sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(left.clone()))
        .fetch_one(&mut connection)
        .await
        .expect("rows")
        > 0
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    serves(&quipu, &running).await;
    told(running, "the password has changed");
    let away = format!("DROP SCHEMA {role} CASCADE; DROP ROLE {role}");
    connection.execute(sql(away)).await.expect("an administrator");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_neo4j_changes_without_a_restart() {
    let test = "servers::rotation::a_password_of_neo4j_changes_without_a_restart";
    let Some(url) = address("QUIPU_TEST_NEO4J", test) else { return };
    let (credentials, place) = url.split_once("://").expect("a URL").1.rsplit_once('@').expect("credentials");
    let (user, password) = credentials.split_once(':').expect("user and password");
    let config = ConfigBuilder::default().uri(format!("bolt://{place}")).user(user).password(password).db("system");
    let system = config.build().and_then(Graph::connect).expect("a server");
    let changing = name("rotating");
    let run = async |text: String| system.run(query(&text)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    run(format!("CREATE USER {changing} SET PASSWORD 'first-password' CHANGE NOT REQUIRED")).await;
    let quipu = farm(&format!(
        "[graph]\nurl = \"neo4j://{place}\"\nuser = \"{changing}\"\npassword_file = \"password\"\nprefix = \"{changing}\"\n"
    ));
    let running = quipu.start(&SERVE);
    rotate(&quipu, &running, async || {
        run(format!("ALTER USER {changing} SET PASSWORD 'second-password' CHANGE NOT REQUIRED")).await;
    })
    .await;
    serves(&quipu, &running).await;
    told(running, "the password has changed");
    run(format!("DROP USER {changing}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_redis_changes_without_a_restart() {
    let test = "servers::rotation::a_password_of_redis_changes_without_a_restart";
    let Some(url) = address("QUIPU_TEST_REDIS", test) else { return };
    let user = name("rotating");
    let client = redis::Client::open(url.as_str()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await.expect("a server");
    let say = async |words: &[&str]| {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query_async::<redis::Value>(&mut connection.clone()).await.expect("an administrator");
    };
    say(&["ACL", "SETUSER", &user, "on", ">first-password", "~*", "&*", "+@all"]).await;
    let place = url.rsplit_once('@').map_or_else(|| url.split_once("://").expect("a URL").1, |(_, place)| place);
    let quipu = farm(&format!("[cache]\nurl = \"redis://{user}@{place}\"\npassword_file = \"password\"\n"));
    let running = quipu.start(&SERVE);
    until(&running, "cache", "up").await;
    rotate(&quipu, &running, async || {
        say(&["ACL", "SETUSER", &user, "resetpass", ">second-password"]).await;
    })
    .await;
    until(&running, "cache", "up").await;
    // The connections that there were are ended, so that new ones are made.
    say(&["CLIENT", "KILL", "USER", &user]).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    until(&running, "cache", "up").await;
    serves(&quipu, &running).await;
    told(running, "the password has changed");
    say(&["ACL", "DELUSER", &user]).await;
}
