//! The graph in Neo4j, on the server that `QUIPU_TEST_NEO4J` names (`scripts/servers/neo4j start` prints such a URL), with all else
//! embedded; and what holds for Neo4j alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quipu::stores::apart;
use quipu::stores::migrations::State;
use quipu::stores::neo4j::{Gathering, Neo4j, Options, TenancyMode};
use quipu::stores::sqlite::{self, Embedded};
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard;
use quipu_resolvers::ports::{Call, Trace};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Related, Scope, Via};
use quipu_schema::ontology::Direction;
use quipu_schema::policy::Quantifier;
use serde_json::json;

use super::bolt::Bolt;
use super::fixture::*;
use super::{Stores, skipped};

/// The server's options with a namespace that nobody else has.
pub fn options() -> Option<Options> {
    let url = std::env::var("QUIPU_TEST_NEO4J").ok().filter(|url| !url.is_empty())?;
    Some(at(&url))
}

/// The same for the server at a URL with user and password.
pub fn at(url: &str) -> Options {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (scheme, rest) = url.split_once("://").expect("a URL of Neo4j");
    let (credentials, address) = rest.rsplit_once('@').expect("user and password in the URL of Neo4j");
    let (user, password) = credentials.split_once(':').expect("user and password in the URL of Neo4j");
    let started = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    Options {
        url: format!("{scheme}://{address}"),
        user: user.to_owned(),
        password: password.to_owned(),
        database: None,
        pool: 8,
        wait: Duration::from_secs(10),
        gathering: Gathering::default(),
        tenancy: TenancyMode::Property,
        namespace: format!("{started}-{}/", NEXT.fetch_add(1, Ordering::Relaxed)),
        section: "graph".to_owned(),
    }
}

/// The store set of a case.
pub async fn opened(case: &str) -> Option<Stores> {
    changed(case, |_| {}).await
}

/// The same, where every read is asked like several together.
pub async fn together(case: &str) -> Option<Stores> {
    changed(case, |options| options.gathering = Gathering::Always).await
}

/// A store set with other options. Says so and gives nothing when there is no server.
async fn changed(case: &str, change: impl FnOnce(&mut Options)) -> Option<Stores> {
    let Some(mut options) = options() else {
        skipped(case, "QUIPU_TEST_NEO4J names no server");
        return None;
    };
    change(&mut options);
    Some(beside(Neo4j::open(options).await.unwrap_or_else(|error| panic!("{error}; {}", error.help))).await)
}

/// A graph with all else embedded.
async fn beside(graph: Neo4j) -> Stores {
    let directory = tempfile::tempdir().unwrap();
    let rest = Embedded::open(&directory.path().join("quipu.db"), sqlite::Options::default()).await.unwrap();
    let metadata = Arc::new(rest.metadata());
    let graph = Arc::new(graph.with_rows(metadata.clone()));
    let vectors = apart::over(Arc::new(rest.vectors()), graph.clone(), metadata.clone());
    Stores { graph, metadata, vectors, _kept: Box::new(directory) }
}

/// A store set of a test of Neo4j alone, with other options.
pub async fn graph(test: &str, change: impl FnOnce(&mut Options)) -> Option<Stores> {
    changed(&format!("contract::neo4j::{test}"), change).await
}

/// What is wrong is told within five seconds, with what to do, and without the password.
#[tokio::test]
async fn a_server_that_cannot_be_used_is_told() {
    let Some(good) = options() else {
        return skipped("contract::neo4j::a_server_that_cannot_be_used_is_told", "QUIPU_TEST_NEO4J names no server");
    };
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (silence, http) = (silent.local_addr().unwrap(), other.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = other.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    });
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = good.clone();
        change(&mut options);
        options
    };
    for (options, message, help) in [
        (with(&|o| o.password = "wr0ng-secret".into()), "refuses the user or the password", "check graph.user"),
        (with(&|o| o.user = "nobody".into()), "refuses the user or the password", "check graph.user"),
        (
            with(&|o| (o.user, o.section) = ("nobody".into(), "graph.tenants.acme".into())),
            "which `graph.tenants.acme.url` names, refuses the user",
            "check graph.tenants.acme.user",
        ),
        (with(&|o| o.url = "neo4j://127.0.0.1:1".into()), "cannot be reached", "check that it runs"),
        (with(&|o| o.url = "neo4j://nowhere.invalid:7687".into()), "cannot be reached", "check that it runs"),
        (with(&|o| o.url = format!("neo4j://{silence}")), "did not answer within 4 seconds", "check that it runs"),
        (with(&|o| o.url = format!("neo4j://{http}")), "does not speak Bolt", "name the Bolt port"),
        (with(&|o| o.url = "http://127.0.0.1".into()), "has a URL that cannot be understood", "neo4j://host:7687"),
        (with(&|o| o.database = Some("absent".into())), "has no database \"absent\"", "graph.database"),
    ] {
        let (begun, secret) = (Instant::now(), options.password.clone());
        let error = Neo4j::open(options).await.err().unwrap_or_else(|| panic!("expected: {message}"));
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
        let told = format!("{error}; {}; {error:?}", error.help);
        assert!(told.contains(message) && told.contains(help), "{told}");
        assert!(!told.contains(&secret), "{told}");
    }
}

/// Hostile 64: a request that is dropped at any moment leaves no connection that answers wrongly, and none that is lost.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_requests_leave_connections_that_answer() {
    let Some(stores) = graph("dropped_requests_leave_connections_that_answer", |options| options.pool = 2).await else {
        return;
    };
    fill(&stores).await;
    let stores = Arc::new(stores);
    for round in 0..300_u64 {
        let who = TENANTS[(round % 2) as usize];
        let cancelled = Arc::clone(&stores);
        let task = tokio::spawn(async move {
            let read = all("Device", vec![pick(Field::Id), pick(field("name"))]);
            let read = guard::read(&principal(who), &ontology(), read).unwrap();
            let _ = cancelled.graph.read(&read, call(&Trace::default())).await;
        });
        tokio::time::sleep(Duration::from_micros(round * 20)).await;
        task.abort();
        let _ = task.await;
        let read = all("Facility", vec![pick(Field::Id), pick(field("name"))]).first(1);
        assert_eq!(ask(&stores, who, read).await, json!([["f1", format!("{who} Oslo")]]), "round {round}");
    }
    let begun = Instant::now();
    let mut together = tokio::task::JoinSet::new();
    for index in 0..20 {
        let stores = Arc::clone(&stores);
        together.spawn(async move {
            let who = TENANTS[index % 2];
            let read = all("Facility", vec![pick(field("name"))]).first(1);
            assert_eq!(ask(&stores, who, read).await, json!([[format!("{who} Oslo")]]));
        });
    }
    together.join_all().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Applying that is dropped at any moment is there as a whole or not at all, and can be done again.
#[tokio::test(flavor = "multi_thread")]
async fn applying_that_is_dropped_is_whole_or_not_there() {
    let Some(stores) = graph("applying_that_is_dropped_is_whole_or_not_there", |options| options.pool = 2).await else {
        return;
    };
    let stores = Arc::new(stores);
    publish(&stores, "alpha").await;
    for round in 0..40_u64 {
        let put = |n: u64| put("Facility", &format!("{round:03}-{n}"), json!({"name": "n", "region": "r"}));
        accept(&stores, "alpha", (0..50).map(put).collect()).await.unwrap();
        let writer = Arc::clone(&stores);
        let task = tokio::spawn(async move { follow(&writer, "alpha").await });
        tokio::time::sleep(Duration::from_micros(round * 700)).await;
        task.abort();
        let _ = task.await;
        let mut counted = all("Facility", vec![]);
        (counted.rows, counted.total) = (false, true);
        let total = ask(&stores, "alpha", counted).await[1].as_u64().unwrap();
        assert_eq!(total % 50, 0, "round {round}");
    }
    follow(&stores, "alpha").await;
    let mut counted = all("Facility", vec![]);
    (counted.rows, counted.total) = (false, true);
    assert_eq!(ask(&stores, "alpha", counted).await[1], 2_000);
}

/// A question that takes far longer than its deadline.
fn endless() -> Read {
    let same = |inner: Predicate| {
        Predicate::Related(Box::new(Related {
            place: Place::Nodes,
            via: Via::Key { local: field("region"), remote: field("region") },
            targets: vec![Scope { of: "Facility".into(), filter: inner, visible: Predicate::True }],
            quantifier: Quantifier::None,
        }))
    };
    let mut read = all("Facility", vec![pick(Field::Id)]).filtered(same(same(same(same(Predicate::False)))));
    read.total = true;
    read
}

async fn crowd(stores: &Stores) {
    publish(stores, "alpha").await;
    let ops = (0..1_000).map(|index| put("Facility", &format!("f{index}"), json!({"name": "n", "region": "r"})));
    write(stores, "alpha", ops.collect()).await;
}

/// A statement that runs past its deadline is stopped and does not hold its connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_statement_is_stopped() {
    let Some(stores) = graph("a_late_statement_is_stopped", |options| options.pool = 1).await else { return };
    crowd(&stores).await;
    let read = guard::read(&principal("alpha"), &ontology(), endless()).unwrap();
    let trace = Trace::default();
    for _ in 0..3 {
        let begun = Instant::now();
        let soon = Call { deadline: begun + Duration::from_millis(300), trace: &trace };
        assert_eq!(stores.graph.read(&read, soon).await.unwrap_err().code(), Code::Timeout);
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        let begun = Instant::now();
        let short = all("Facility", vec![pick(Field::Id)]).first(1);
        assert_eq!(ask(&stores, "alpha", short).await, json!([["f0"]]), "the only connection answers again");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }
}

/// Hostile 66: the wait for a connection is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_66_all_connections_busy() {
    let change = |options: &mut Options| (options.pool, options.wait) = (1, Duration::from_millis(100));
    let Some(stores) = graph("hostile_66_all_connections_busy", change).await else { return };
    crowd(&stores).await;
    let read = guard::read(&principal("alpha"), &ontology(), endless()).unwrap();
    let trace = Trace::default();
    let soon = || Call { deadline: Instant::now() + Duration::from_secs(3), trace: &trace };
    // One of the two has the only connection and reads on; the other is told so.
    let fault = tokio::select! {
        first = stores.graph.read(&read, soon()) => first,
        second = stores.graph.read(&read, soon()) => second,
    };
    assert_eq!(fault.unwrap_err().code(), Code::Overloaded);
}

/// Names of properties and types may be anything that an ontology allows as a stored name, and more.
#[tokio::test]
async fn odd_names() {
    let Some(stores) = graph("odd_names", |_| {}).await else { return };
    publish(&stores, "alpha").await;
    let names = [
        "with space",
        "it's",
        "quo\"te",
        "back\\slash",
        "dot.ted",
        "$",
        "0",
        "ü",
        "[0]",
        "#-1",
        "a`b",
        "\\u0060",
        "match",
    ];
    let set: serde_json::Map<String, serde_json::Value> =
        names.iter().map(|name| (name.to_string(), json!(name))).collect();
    write(&stores, "alpha", vec![put("Facility", "f1", set.clone().into())]).await;
    let device = put("Device", "d1", json!({"name": "n", "status": "OK"}));
    write(&stores, "alpha", vec![device, link("HAS_DEVICE", ("Facility", "f1"), ("Device", "d1"), set.into())]).await;
    for name in names {
        let devices = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(edge(name))]);
        let read = all("Facility", vec![pick(field(name)), Pick::Read(Box::new(devices))])
            .filtered(Predicate::equals(field(name), name.into()))
            .sorted(vec![up(field(name))]);
        assert_eq!(ask(&stores, "alpha", read).await, json!([[name, [[name]]]]), "{name}");
    }
}

/// Ten instances that migrate at once, one of which was stopped in the middle before: one of them does it, the others wait for it.
/// Other tests use the same database, and one of theirs may be quicker.
#[tokio::test(flavor = "multi_thread")]
async fn ten_at_once_migrate_once() {
    let Some(options) = options() else {
        return skipped("ten_at_once_migrate_once", "QUIPU_TEST_NEO4J names no server");
    };
    Neo4j::open(options.clone()).await.unwrap().migrate().await.unwrap();
    let before = Neo4j::plan(&options).await.unwrap();
    assert!(before.steps.iter().all(|step| step.state == State::Applied), "{before}");
    let address = options.url.split_once("://").unwrap().1;
    let mut bolt = Bolt::connect(address, &options.user, &options.password);
    // Without its notes, and with the turn of somebody who is gone for a second.
    let forget = "MATCH (m:_QuipuMigration) WHERE m.number > 0 DETACH DELETE m";
    let taken = "MERGE (m:_QuipuMigration {number: 0}) SET m.holder = 'gone', m.until = timestamp() + 1000";
    bolt.run(taken, Vec::new());
    bolt.run(forget, Vec::new());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let options = options.clone();
        tasks.spawn(async move { Neo4j::open(options).await.unwrap().migrate().await.unwrap() });
    }
    let ran: Vec<i64> = tasks.join_all().await.into_iter().flatten().collect();
    assert!(ran.len() <= before.steps.len(), "each migration ran in one of them at most: {ran:?}");
    assert_eq!(Neo4j::plan(&options).await.unwrap(), before, "each is noted once");
}
