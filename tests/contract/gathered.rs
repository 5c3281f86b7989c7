//! Reads of one shape that come at the same time, and are asked together: each gets what it would have got alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quipu::stores::neo4j::{Gathering, Options};
use quipu_resolvers::guard;
use quipu_resolvers::ports::Trace;
use quipu_resolvers::read::{Field, Pick, Predicate, Read};
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Direction;
use quipu_schema::policy::Operator;
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::fixture::*;
use super::{Stores, neo4j};

/// Gathers whenever something waits, however slow the machine is.
fn eager(options: &mut Options) {
    options.gathering = Gathering::UnderLoad(Duration::from_secs(60));
    options.pool = 4;
}

/// Questions of three shapes as both tenants, in an order that mixes them.
fn questions() -> Vec<(&'static str, Read)> {
    let devices = |status: &str| {
        let devices = along("HAS_DEVICE", Direction::Out, "Device", vec![pick(Field::Id), pick(field("name"))]);
        devices.filtered(Predicate::equals(field("status"), Value::from(status)))
    };
    let facility = |id: &str| {
        all("Facility", vec![pick(Field::Id), pick(field("name"))])
            .filtered(Predicate::equals(Field::Id, Value::from(id)))
    };
    let nested = |floor: i64, status: &str| {
        let picks = vec![pick(field("name")), Pick::Read(Box::new(devices(status)))];
        let grade = Predicate::Compare { field: field("grade?"), operator: Operator::Gte, value: Value::Int(floor) };
        all("Facility", picks).filtered(grade).first(3)
    };
    let regions = |names: &[&str]| {
        let regions = names.iter().map(|name| Value::from(*name)).collect();
        let mut read = all("Facility", vec![pick(Field::Id)]).filtered(Predicate::one_of(field("region"), regions));
        read.total = true;
        read
    };
    let reads = [
        facility("f1"),
        nested(1, "FAILED"),
        facility("f2"),
        regions(&["north"]),
        facility("' OR true //"),
        nested(3, "ONLINE"),
        regions(&["north", "south"]),
        facility("f4"),
        nested(9, "FAILED"),
        regions(&[]),
    ];
    reads.into_iter().flat_map(|read| TENANTS.map(|who| (who, read.clone()))).collect()
}

/// An outcome, and whether it was asked for together with others.
async fn asked(stores: &Stores, who: &str, read: Read) -> (Json, bool) {
    let trace = Trace::keeping();
    let read = guard::read(&principal(who), &ontology(), read).unwrap();
    let outcome = stores.graph.read(&read, call(&trace)).await.unwrap_or_else(|fault| panic!("{fault}"));
    let statements = trace.statements();
    assert_eq!(statements.len(), 1, "one statement for one read");
    let for_several = statements[0].text.starts_with("UNWIND range(0, size($asked)");
    assert!(for_several || trace.together() == 0, "what is asked alone is not counted as asked together");
    (outcome.to_json(), trace.together() == 1)
}

/// Asks everything so many times at once; each with the place of its question.
fn at_once(stores: &Arc<Stores>, times: usize) -> Vec<(usize, JoinHandle<(Json, bool)>)> {
    let questions = questions();
    let all = questions.iter().enumerate().cycle().take(times * questions.len());
    let ask = |(at, (who, read)): (usize, &(&'static str, Read))| {
        let (stores, who, read) = (Arc::clone(stores), *who, read.clone());
        (at, tokio::spawn(async move { asked(&stores, who, read).await }))
    };
    all.map(ask).collect()
}

/// Asks everything several times at once, until some was asked together.
async fn rounds(stores: &Arc<Stores>, mut check: impl FnMut(usize, Json)) {
    let until = Instant::now() + Duration::from_secs(120);
    let mut together = 0;
    while together < 100 {
        assert!(Instant::now() < until, "only {together} were asked together");
        for (at, task) in at_once(stores, 10) {
            let (outcome, was_together) = task.await.unwrap();
            together += usize::from(was_together);
            check(at, outcome);
        }
    }
}

async fn one_by_one(stores: &Stores) -> Vec<Json> {
    let mut outcomes = Vec::new();
    for (who, read) in questions() {
        outcomes.push(asked(stores, who, read).await.0);
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn each_gets_its_own() {
    let Some(stores) = neo4j::graph("gathered::each_gets_its_own", eager).await else { return };
    fill(&stores).await;
    let expected = one_by_one(&stores).await;
    assert!(expected.iter().any(|outcome| outcome.to_string().contains("beta")), "{expected:?}");
    for (who, read) in questions() {
        assert!(!asked(&stores, who, read).await.1, "nothing else runs");
    }
    rounds(&Arc::new(stores), |at, outcome| assert_eq!(outcome, expected[at], "{:?}", questions()[at])).await;
}

/// Hostile 64: who gives up takes nothing from those who are asked for with it.
#[tokio::test(flavor = "multi_thread")]
async fn others_get_theirs_when_some_give_up() {
    let Some(stores) = neo4j::graph("gathered::others_get_theirs_when_some_give_up", eager).await else { return };
    fill(&stores).await;
    let expected = one_by_one(&stores).await;
    let stores = Arc::new(stores);
    for round in 0..20_u64 {
        let tasks = at_once(&stores, 6);
        tokio::time::sleep(Duration::from_micros(round * 150)).await;
        for (_, task) in tasks.iter().skip((round % 2) as usize).step_by(2) {
            task.abort();
        }
        for (at, task) in tasks {
            match task.await {
                Ok((outcome, _)) => assert_eq!(outcome, expected[at], "round {round}"),
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
    }
    assert_eq!(one_by_one(&stores).await, expected);
}

/// When a statement fails, its questions are asked one by one. Here the server gets every statement that asks several with a mistake in it.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_together_is_asked_one_by_one() {
    let spoilt = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = String::new();
    let change = |options: &mut Options| {
        eager(options);
        server = options.url.split_once("://").unwrap().1.to_owned();
        options.url = format!("bolt://{address}");
        let (server, spoilt) = (server.clone(), Arc::clone(&spoilt));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&server).await else { continue };
                tokio::spawn(spoil(client, far, Arc::clone(&spoilt)));
            }
        });
    };
    let Some(stores) = neo4j::graph("gathered::what_fails_together_is_asked_one_by_one", change).await else { return };
    fill(&stores).await;
    let expected = one_by_one(&stores).await;
    let stores = Arc::new(stores);
    let until = Instant::now() + Duration::from_secs(120);
    while spoilt.load(Ordering::Relaxed) < 10 {
        assert!(Instant::now() < until, "nothing was asked together");
        for (at, task) in at_once(&stores, 6) {
            assert_eq!(task.await.unwrap().0, expected[at], "{:?}", questions()[at]);
        }
    }
}

/// Hands on what both say; a statement that asks several is spoilt on its way. The driver sends a message at once, so it comes whole.
async fn spoil(client: TcpStream, far: TcpStream, spoilt: Arc<AtomicU64>) {
    const RIGHT: &[u8] = b"AS asked RETURN i, ";
    const WRONG: &[u8] = b"AS asked RETURN ?, ";
    let ((mut from, mut back), (mut answers, mut to)) = (client.into_split(), far.into_split());
    let answering = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
    let mut bytes = vec![0; 1 << 20];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if let Some(at) = bytes[..count].windows(RIGHT.len()).position(|part| part == RIGHT) {
            bytes[at..at + WRONG.len()].copy_from_slice(WRONG);
            spoilt.fetch_add(1, Ordering::Relaxed);
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    answering.abort();
}
