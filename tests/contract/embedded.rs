//! The embedded store, and what holds for its file alone.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu::stores::sqlite::{Embedded, Options};
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard;
use quipu_resolvers::ports::{Call, Coverage, Reached, Trace, VectorChange, Vectors};
use quipu_resolvers::read::{Field, Pick, Predicate, Related, Scope, Via};
use quipu_schema::ontology::Direction;
use quipu_schema::policy::Quantifier;
use serde_json::json;
use sqlx::{Connection, Executor};

use super::Stores;
use super::fixture::*;

/// An empty embedded store in a directory of its own.
pub async fn open() -> Stores {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(&directory.path().join("quipu.db"), Options::default()).await.unwrap();
    stores(&store, directory)
}

/// The same for a case of the suite.
pub async fn opened(_case: &str) -> Option<Stores> {
    Some(open().await)
}

fn stores(store: &Arc<Embedded>, kept: impl std::any::Any + Send + Sync) -> Stores {
    Stores {
        graph: Arc::new(store.graph()),
        metadata: Arc::new(store.metadata()),
        vectors: Arc::new(store.vectors()),
        _kept: Box::new(kept),
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("quipu.db");
    let first = Embedded::open(&path, Options::default()).await.unwrap();
    fill(&stores(&first, ())).await;
    first.close().await;
    let second = stores(&Embedded::open(&path, Options::default()).await.unwrap(), ());
    for who in TENANTS {
        let read = all("Facility", vec![pick(field("name"))]).first(1);
        assert_eq!(ask(&second, who, read).await, json!([[format!("{who} Oslo")]]));
    }
}

/// Two processes on one file: what one writes, the other reads, also names that it has not seen before.
#[tokio::test]
async fn another_process_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("quipu.db");
    let one = stores(&Embedded::open(&path, Options::default()).await.unwrap(), ());
    let other = stores(&Embedded::open(&path, Options::default()).await.unwrap(), ());
    let read = || all("Facility", vec![pick(field("name"))]).first(1);
    for who in TENANTS {
        assert_eq!(ask(&one, who, read()).await, json!([]));
    }
    fill(&other).await;
    for who in TENANTS {
        assert_eq!(ask(&one, who, read()).await, json!([[format!("{who} Oslo")]]));
        write(&one, who, vec![put("Facility", "f1", json!({"name": "from one"}))]).await;
        assert_eq!(ask(&other, who, read()).await, json!([["from one"]]));
    }
}

/// A file of the version before, which did not note what its vectors cover, is brought up to date with all that is in it.
#[tokio::test]
async fn a_file_of_the_version_before_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("quipu.db");
    let store = Embedded::open(&path, Options::default()).await.unwrap();
    fill(&stores(&store, ())).await;
    let record = record("Facility", "f1");
    let vector = VectorChange { record, property: Some("summary".to_owned()), vector: Some(vec![1.0; 16]) };
    store.vectors().apply(&tenant("alpha"), 1, &[vector]).await.unwrap();
    store.close().await;
    let mut old = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let back = "DROP TABLE covered; DROP TABLE api_key; DROP TABLE session; DROP TABLE account; DROP TABLE document; DROP TABLE audit; \
                DROP TABLE audit_anchor; ALTER TABLE tenant DROP COLUMN documents; ALTER TABLE tenant DROP COLUMN suspended; \
                ALTER TABLE tenant DROP COLUMN reason; ALTER TABLE tenant DROP COLUMN leaving; ALTER TABLE tenant DROP COLUMN gone; ALTER TABLE tenant DROP COLUMN plan; \
                ALTER TABLE ontology DROP COLUMN at; DELETE FROM migration WHERE number > 1; PRAGMA user_version = 1";
    old.execute(back).await.unwrap();
    old.close().await.unwrap();

    let store = Embedded::open(&path, Options::default()).await.unwrap();
    let covered = store.vectors().coverage(&tenant("alpha")).await.unwrap();
    let (of, property) = ("Facility".to_owned(), "summary".to_owned());
    assert_eq!(covered, [Coverage { of, property, reached: Reached::Upto(String::new()) }]);
    let read = all("Facility", vec![pick(field("name"))]).first(1);
    assert_eq!(ask(&stores(&store, ()), "alpha", read).await, json!([["alpha Oslo"]]));
}

/// Opens what must not be opened; the file and its directory stay as they are, byte for byte.
async fn refused(path: &Path, expected: &str) {
    let before = std::fs::read(path).unwrap();
    let error = Embedded::open(path, Options::default()).await.unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(!error.help.is_empty());
    assert_eq!(std::fs::read(path).unwrap(), before, "the file was changed");
}

/// Hostile 80: a torn or foreign file is refused, never rewritten.
#[tokio::test]
async fn hostile_80_foreign_and_torn_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    for contents in [
        "not a database at all, but some text that is long enough to hold a header of one hundred bytes and more",
        "SQLite",
    ] {
        std::fs::write(&path, contents).unwrap();
        refused(&path, "is not a database").await;
    }
    std::fs::remove_file(&path).unwrap();
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut foreign = sqlx::SqliteConnection::connect(&url).await.unwrap();
    foreign.execute("CREATE TABLE theirs (a)").await.unwrap();
    foreign.close().await.unwrap();
    refused(&path, "belongs to another program").await;
    refused_directory(directory.path()).await;

    let good = directory.path().join("good.db");
    let store = Embedded::open(&good, Options::default()).await.unwrap();
    fill(&stores(&store, ())).await;
    store.close().await;
    drop(store);
    let log = directory.path().join("good.db-wal");
    for _ in 0..1_000 {
        if !log.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!log.exists(), "a closed store leaves one file");
    let whole = std::fs::read(&good).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 4_096]).unwrap();
    refused(&path, "is damaged").await;
    std::fs::write(&path, &whole[..50]).unwrap();
    refused(&path, "is damaged").await;
    let mut scribbled = whole.clone();
    scribbled[120..4_096].fill(0xa5);
    std::fs::write(&path, &scribbled).unwrap();
    refused(&path, "cannot be read").await;
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&path, &newer).unwrap();
    refused(&path, "newer version").await;
    std::fs::write(&path, &whole).unwrap();
    Embedded::open(&path, Options::default()).await.unwrap();
}

async fn refused_directory(path: &Path) {
    let error = Embedded::open(path, Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
    let missing = Embedded::open(&path.join("no/such/directory.db"), Options::default()).await.unwrap_err();
    assert!(missing.to_string().contains("cannot be prepared"), "{missing}");
}

/// A question that takes far longer than its deadline.
fn endless() -> quipu_resolvers::read::Read {
    let same = |inner: Predicate| {
        Predicate::Related(Box::new(Related {
            place: quipu_resolvers::read::Place::Nodes,
            via: Via::Key { local: field("region"), remote: field("region") },
            targets: vec![Scope { of: "Facility".into(), filter: inner, visible: Predicate::True }],
            quantifier: Quantifier::None,
        }))
    };
    let mut read = all("Facility", vec![pick(Field::Id)]).filtered(same(same(same(same(Predicate::False)))));
    read.total = true;
    read
}

async fn crowd(options: Options) -> Stores {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(&directory.path().join("quipu.db"), options).await.unwrap();
    let stores = stores(&store, directory);
    publish(&stores, "alpha").await;
    let ops = (0..2_000).map(|index| put("Facility", &format!("f{index}"), json!({"name": "n", "region": "r"})));
    write(&stores, "alpha", ops.collect()).await;
    stores
}

/// A statement that runs past its deadline, or that nobody waits for any more, is stopped and does not hold its connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_statement_is_stopped() {
    let stores = Arc::new(crowd(Options { readers: 1, ..Options::default() }).await);
    let read = guard::read(&principal("alpha"), &ontology(), endless()).unwrap();
    let trace = Trace::default();
    let begun = Instant::now();
    let soon = Call { deadline: begun + Duration::from_millis(200), trace: &trace };
    assert_eq!(stores.graph.read(&read, soon).await.unwrap_err().code(), Code::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let short = all("Facility", vec![pick(Field::Id)]).first(1);
    let begun = Instant::now();
    assert_eq!(ask(&stores, "alpha", short.clone()).await, json!([["f0"]]), "the only connection answers again");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    for _ in 0..5 {
        let (stores, read) = (Arc::clone(&stores), read.clone());
        let task = tokio::spawn(async move {
            let trace = Trace::default();
            let _ = stores.graph.read(&read, call(&trace)).await;
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        task.abort();
        let _ = task.await;
    }
    let begun = Instant::now();
    assert_eq!(ask(&stores, "alpha", short).await, json!([["f0"]]));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

/// Hostile 66: the wait for a connection is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_66_all_connections_busy() {
    let stores = Arc::new(crowd(Options { readers: 1, wait: Duration::from_millis(100), ..Options::default() }).await);
    let read = guard::read(&principal("alpha"), &ontology(), endless()).unwrap();
    let trace = Trace::default();
    // One of the two has the only connection and reads on; the other is told so.
    let fault = tokio::select! {
        first = stores.graph.read(&read, call(&trace)) => first,
        second = stores.graph.read(&read, call(&trace)) => second,
    };
    let fault = fault.unwrap_err();
    assert_eq!(fault.code(), Code::Overloaded, "{fault}");
}

/// A change that is abandoned while it is written is either there as a whole or not at all, and the next one is accepted.
#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_change_is_whole_or_not_there() {
    let stores = Arc::new(crowd(Options::default()).await);
    for round in 0..20_u64 {
        let writer = Arc::clone(&stores);
        let task = tokio::spawn(async move {
            let ops = (0..500).map(|index| {
                put("Contract", &format!("r{round}-{index}"), json!({"supplier": "s", "facility_id": "f1"}))
            });
            accept(&writer, "alpha", ops.collect()).await.unwrap();
        });
        tokio::time::sleep(Duration::from_millis(round * 2)).await;
        task.abort();
        let _ = task.await;
        accept(&stores, "alpha", vec![put("Device", &format!("d{round}"), json!({"name": "n", "status": "OK"}))])
            .await
            .unwrap();
        let mut rows = all("Contract", vec![]);
        (rows.rows, rows.total) = (false, true);
        let total = ask(&stores, "alpha", rows).await[1].as_u64().unwrap();
        assert_eq!(total % 500, 0);
    }
    let head = stores.metadata.head(&tenant("alpha")).await.unwrap();
    follow(&stores, "alpha").await;
    assert_eq!(stores.graph.position(&tenant("alpha")).await.unwrap(), head, "the log has no gaps");
}

/// Names of properties may be anything that an ontology allows as a stored name.
#[tokio::test]
async fn odd_property_names() {
    let stores = open().await;
    publish(&stores, "alpha").await;
    let names = ["with space", "it's", "quo\"te", "back\\slash", "dot.ted", "$", "0", "ü", "[0]", "#-1"];
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
