//! The binary with every store on a server: two instances beside each other, the commands that look after stores, and settings that are
//! wrong.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{Connection as _, Executor as _};

use super::address;
use crate::cli::quipu::{FARM, Quipu, Running};

/// What `quipu.toml` says of servers, with names that nobody else has; nothing where there are none.
pub fn settings(test: &str) -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let graph = address("QUIPU_TEST_NEO4J", test)?;
    let owner = address("QUIPU_TEST_POSTGRES", test)?;
    let login = address("QUIPU_TEST_POSTGRES_LOGIN", test)?;
    let cache = address("QUIPU_TEST_REDIS", test)?;
    let vectors = std::env::var("QUIPU_TEST_QDRANT").ok().filter(|url| !url.is_empty());
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_micros();
    let name = format!("whole_{now}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let vectors = vectors.map_or_else(String::new, |url| format!("[vectors]\nurl = \"{url}\"\nprefix = \"{name}\"\n"));
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/all-MiniLM-L6-v2");
    Some(format!(
        "[auth]\nsecret_file = \"secret\"\n[embedding]\nmodel = {model:?}\n\
         [graph]\nurl = \"{graph}\"\nprefix = \"{name}\"\n\
         [metadata]\nurl = \"{login}\"\nowner_url = \"{owner}\"\nschema = \"{name}\"\n\
         [cache]\nurl = \"{cache}\"\nprefix = \"{name}\"\n{vectors}"
    ))
}

/// A folder with these settings and a published ontology.
pub fn published(settings: &str) -> Quipu {
    let quipu = Quipu::empty();
    quipu.file("quipu.toml", settings);
    quipu.file("farm.graphql", FARM);
    let ended = quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    quipu
}

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
const CREATE: &str = r#"mutation { createFarms(input: [{ id: "a", name: "A", region: "EU",
    keeps: { create: [{ node: { id: "c", kind: "cow" }, edge: { since: "2024-05-01" } }] } }]) { info { nodesCreated } } }"#;

#[tokio::test]
async fn two_instances_on_servers_serve_alike() {
    let Some(settings) = settings("two_instances_on_servers_serve_alike") else { return };
    let quipu = published(&settings);
    let (one, other) = (quipu.start(&SERVE), quipu.start(&SERVE));
    let token = quipu.token("farm", &["--role", "admin"]);
    let made = one.ask(&token, CREATE).await;
    assert!(made.get("errors").is_none(), "{made}");
    let query = "{ farms { name keepsConnection { edges { properties { since } node { kind } } } } }";
    let edge = json!({"properties": {"since": "2024-05-01"}, "node": {"kind": "cow"}});
    let farms = json!({"farms": [{"name": "A", "keepsConnection": {"edges": [edge]}}]});
    other.soon(&token, query, |answer| answer["data"] == farms).await;
    // What is published reaches both.
    quipu.file("farm.graphql", FARM.replace("kind: String!", "kind: String!  legs: Int! @default(value: 4)"));
    assert_eq!(quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql"]).code, Some(0));
    for instance in [&one, &other] {
        let filled = json!({"animals": [{"kind": "cow", "legs": 4}]});
        instance.soon(&token, "{ animals { kind legs } }", |answer| answer["data"] == filled).await;
    }
    // A graph that is made anew under a running server, which goes on writing.
    let ended = quipu.run(&["rebuild", "--store", "graph", "--tenant", "farm"]);
    assert!(ended.code == Some(0) && ended.out.contains("is equal to its log"), "{ended:?}");
    let update = r#"mutation { updateFarms(where: {id: {eq: "a"}}, update: {name: {set: "B"}}) { farms { name } } }"#;
    let renamed = other.ask(&token, update).await;
    assert_eq!(renamed["data"], json!({"updateFarms": {"farms": [{"name": "B"}]}}), "{renamed}");
    one.soon(&token, "{ farms { name } }", |answer| answer["data"] == json!({"farms": [{"name": "B"}]})).await;
    positions(&one).await;
    for running in [one, other] {
        let ended = running.stop();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for secret in settings.lines().filter_map(|line| line.strip_prefix("url = \"")?.split('@').next()) {
            let secret = secret.rsplit(':').next().expect("a password");
            assert!(!format!("{ended:?}").contains(secret), "a password is in the log: {ended:?}");
        }
    }
    let ended = quipu.run(&["status", "--compare"]);
    assert!(ended.code == Some(0) && ended.out.contains("the stores hold what the log says"), "{ended:?}");
}

/// The metrics say where log and stores stand.
async fn positions(running: &Running) {
    let begun = Instant::now();
    loop {
        let text = running.text("/metrics").await;
        let of = |of: &str| {
            let name = format!("quipu_position{{of=\"{of}\",tenant=\"farm\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok())
        };
        if of("graph") == Some(3) && of("log") == Some(3) && of("vectors").is_some() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The schema that settings name.
fn schema_of(settings: &str) -> &str {
    settings.split("schema = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a schema")
}

/// What would be run is told, nothing is written for it, and a store that is ahead is told of; ten instances that start together
/// migrate once.
#[tokio::test]
async fn instances_that_start_together_migrate_once() {
    let Some(settings) = settings("instances_that_start_together_migrate_once") else { return };
    let owner = std::env::var("QUIPU_TEST_POSTGRES").expect("as above");
    let quipu = Quipu::empty();
    quipu.file("quipu.toml", &settings);
    let plan = quipu.run(&["migrate", "--plan"]);
    assert_eq!(plan.code, Some(0), "{plan:?}");
    let (graph, rest) = plan.out.split_once("postgres ").expect("two servers");
    assert!(graph.starts_with("neo4j 127.0.0.1:") && graph.contains("\n  0001  store  "), "{}", plan.out);
    assert!(rest.contains("pending\n  5 would be run\n"), "{}", plan.out);
    let again = quipu.run(&["migrate", "--plan"]);
    assert_eq!(again.out.split_once("postgres ").expect("two servers").1, rest, "nothing was written");
    let ended: Vec<_> = std::thread::scope(|scope| {
        let begun: Vec<_> = (0..10).map(|_| scope.spawn(|| quipu.run(&["migrate"]))).collect();
        begun.into_iter().map(|running| running.join().expect("no panic")).collect()
    });
    assert!(ended.iter().all(|ended| ended.code == Some(0)), "{ended:?}");
    let plan = quipu.run(&["migrate", "--plan"]);
    let servers = plan.out.split("file ").next().expect("what is before the file");
    assert_eq!(servers.matches("  applied\n  up to date\n").count(), 2, "{}", plan.out);
    let mut owner = sqlx::postgres::PgConnection::connect(&owner).await.expect("the owner");
    let newer = format!("INSERT INTO {}.migration VALUES (99, 'later', 'abc')", schema_of(&settings));
    owner.execute(sqlx::AssertSqlSafe(newer)).await.expect("the owner may");
    let plan = quipu.run(&["migrate", "--plan"]);
    assert!(plan.code == Some(0) && plan.out.contains("  0099  later        abc  of a newer version\n"), "{plan:?}");
    let refused = quipu.run(&["migrate"]);
    assert!(refused.err.contains("was migrated by a newer version (migration 99, this one knows 5)"), "{refused:?}");
    assert!(!quipu.path("quipu.db").exists() || std::env::var("QUIPU_TEST_QDRANT").is_err(), "nothing is in a file");
}

/// What is wrong is said by the store's name, with a way out and without credentials.
#[test]
fn wrong_settings_are_told_at_the_start() {
    let Some(settings) = settings("wrong_settings_are_told_at_the_start") else { return };
    let admin = address("QUIPU_TEST_POSTGRES_ADMIN", "wrong_settings_are_told_at_the_start");
    let login = std::env::var("QUIPU_TEST_POSTGRES_LOGIN").expect("as above");
    let (scheme, graph) =
        settings.split("[graph]\nurl = \"").nth(1).expect("a graph").split_once("://").expect("a URL");
    let (credentials, _) = graph.split_once('@').expect("credentials");
    let with_password = format!("{scheme}://{credentials}@");
    let mut wrong = vec![
        (settings.replace(&with_password, &format!("{scheme}://neo4j:hunter22@")), "Neo4j", "graph.password"),
        (
            settings.replace(&with_password, &format!("{scheme}://neo4j:hunter22@127.0.0.1:1/")),
            "Neo4j",
            "cannot be reached",
        ),
        (
            settings.replace("quipu_login:login@", "quipu_login:hunter22@"),
            "postgres",
            "the password of quipu_login is wrong",
        ),
        (
            settings.replace("[graph]\n", "[graph]\npassword = \"hunter22\"\n"),
            "graph.password",
            "leave one of them out",
        ),
    ];
    if let Some(admin) = admin {
        wrong.push((settings.replace(&login, &admin), "postgres", "row security"));
    }
    for (settings, store, told) in wrong {
        let quipu = Quipu::empty();
        quipu.file("quipu.toml", &settings);
        let begun = Instant::now();
        let ended = quipu.run(&["migrate"]);
        assert!(matches!(ended.code, Some(2 | 3)), "{told}: {ended:?}");
        assert!(ended.err.contains(store) && ended.err.contains(told), "{told}: {ended:?}");
        assert!(ended.err.contains("help: "), "{ended:?}");
        assert!(!ended.err.contains("hunter22"), "{ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}
