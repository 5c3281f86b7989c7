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

/// A Qdrant of this test alone, whose key changes when it starts again.
struct Keyed {
    folder: tempfile::TempDir,
    ports: [u16; 2],
    child: std::process::Child,
}

impl Keyed {
    /// Started with a key; nothing where there is no program to start.
    fn start(test: &str, key: &str) -> Option<Self> {
        address("QUIPU_TEST_QDRANT", test)?;
        let folder = tempfile::tempdir().expect("a folder");
        let free = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
        let ports = free.each_ref().map(|listener| listener.local_addr().expect("an address").port());
        drop(free);
        match Self::spawn(folder.path(), ports, key) {
            Ok(child) => Some(Self { folder, ports, child }),
            Err(error) => {
                eprintln!("skipped, no program to start a Qdrant with ({error}): {test}");
                None
            }
        }
    }

    fn spawn(folder: &std::path::Path, [grpc, http]: [u16; 2], key: &str) -> std::io::Result<std::process::Child> {
        let program = std::env::var("QUIPU_QDRANT_PROGRAM").unwrap_or_else(|_| "qdrant".to_owned());
        let settings = format!(
            "telemetry_disabled: true\nlog_level: WARN\nstorage:\n  storage_path: ./storage\n  snapshots_path: ./snapshots\n  \
             wal:\n    wal_capacity_mb: 1\nservice:\n  host: 127.0.0.1\n  grpc_port: {grpc}\n  http_port: {http}\n  \
             api_key: {key}\n  enable_static_content: false\n"
        );
        std::fs::write(folder.join("qdrant.yaml"), settings)?;
        let mut command = std::process::Command::new(program);
        command.args(["--config-path", "qdrant.yaml"]).current_dir(folder);
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.spawn()
    }

    /// Waits until it answers.
    async fn ready(&self) {
        let begun = std::time::Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.ports[0])).await.is_err() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "Qdrant does not answer");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    fn again(&mut self, key: &str) {
        self.end();
        self.child = Self::spawn(self.folder.path(), self.ports, key).expect("it started before");
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        self.end();
    }
}

/// A Qdrant takes another key when it starts again, so meanwhile searches have no vectors; the gateway itself goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_qdrant_changes_without_a_restart() {
    let test = "servers::rotation::a_key_of_qdrant_changes_without_a_restart";
    let Some(mut qdrant) = Keyed::start(test, "first-password") else { return };
    qdrant.ready().await;
    let quipu = Quipu::empty();
    let settings = BASIC.replace("[embedding]\nmodel = \"none\"\n", &crate::cli::meaning::embedding());
    let port = qdrant.ports[0];
    quipu.file(
        "quipu.toml",
        format!("{settings}[vectors]\nurl = \"qdrant://127.0.0.1:{port}\"\nkey_file = \"password\"\n"),
    );
    quipu.file("password", "first-password\n");
    quipu.file("farm.graphql", FARM);
    let ended = quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = r#"{"node":"Farm","id":"f1","properties":{"name":"A","region":"EU","about":"cows in a dairy"}}"#;
    quipu.file("a.jsonl", line);
    assert_eq!(quipu.run(&["import", "--tenant", "farm", "a.jsonl"]).code, Some(0));
    let running = quipu.start(&SERVE);
    let token = quipu.token("farm", &["--role", "admin"]);
    let nearest = async || running.ask(&token, "{ farmsSimilar(query: \"milk\", first: 1) { node { id } } }").await;
    let found = json!({"farmsSimilar": [{"node": {"id": "f1"}}]});
    assert_eq!(nearest().await["data"], found);
    qdrant.again("second-password");
    qdrant.ready().await;
    let code = nearest().await["errors"][0]["extensions"]["code"].clone();
    assert!(code.is_string(), "the key is another one");
    assert_eq!(running.ask(&token, "{ farms { id } }").await["data"], json!({"farms": [{"id": "f1"}]}));
    quipu.file("password", "second-password\n");
    let begun = std::time::Instant::now();
    loop {
        let answer = nearest().await;
        if answer["data"] == found {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "still {answer}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    until(&running, "passwords", "up").await;
    told(running, "the password has changed");
}
