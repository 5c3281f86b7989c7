//! Servers that fail, and callers that leave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::{self, Allowed};
use quipu_resolvers::ports::{Call, Hit, Nearest, StoreName, Trace, Within};
use quipu_resolvers::read::Predicate;

use super::super::apart::{at, change};
use super::super::fixture::*;
use super::double::{Double, Mood};
use super::*;
use crate::servers::proxy::Proxy;

fn nearest(who: &str) -> Allowed<Nearest> {
    let within = Within { of: "Facility".to_owned(), row: false, filter: Predicate::True, visible: Predicate::True };
    let nearest = Nearest { within, property: "summary".to_owned(), vector: at(0.0), limit: 1 };
    guard::nearest(&principal(who), &ontology(), nearest).unwrap()
}

async fn asked(stores: &Stores, who: &str, deadline: Instant) -> Result<Vec<Hit>, Fault> {
    stores.vectors.nearest(&nearest(who), Call { deadline, trace: &Trace::default() }).await
}

/// Facilities in each tenant; the nearest are not the same.
async fn turned(stores: &Stores) {
    fill(stores).await;
    for (who, angles) in TENANTS.iter().zip([[0.0, 10.0], [10.0, 0.0]]) {
        let changes: Vec<_> = ["f1", "f2"]
            .iter()
            .zip(angles)
            .map(|(id, angle)| change("Facility", id, "summary", Some(at(angle))))
            .collect();
        stores.vectors.apply(&tenant(who), 1, &changes).await.unwrap();
    }
}

/// A request that is dropped at any moment takes nothing with it, and leaves no answer to others.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_requests_leave_connections_that_answer() {
    let test = "faults::dropped_requests_leave_connections_that_answer";
    let Some(options) = options_for(test) else { return };
    let stores = Arc::new(beside(&Options { connections: 1, requests: 2, ..options }).await);
    turned(&stores).await;
    for round in 0..300_u64 {
        let who = TENANTS[(round % 2) as usize];
        let cancelled = Arc::clone(&stores);
        let task = tokio::spawn(async move { asked(&cancelled, who, patience()).await });
        tokio::time::sleep(Duration::from_micros(round * 20)).await;
        task.abort();
        let _ = task.await;
        let other = TENANTS[usize::from(who == TENANTS[0])];
        let hits = asked(&stores, other, patience()).await.unwrap();
        assert_eq!(hits[0].id, if other == TENANTS[0] { "f1" } else { "f2" }, "round {round}");
    }
}

/// Whatever of it is done when applying is dropped, a position that is noted stands for vectors that are there; doing it again makes it whole.
#[tokio::test(flavor = "multi_thread")]
async fn applying_that_is_dropped_is_done_again() {
    let Some(options) = options_for("faults::applying_that_is_dropped_is_done_again") else { return };
    let stores = Arc::new(beside(&options).await);
    let alpha = tenant("alpha");
    for round in 0..40_u64 {
        let ids: Vec<String> = (0..50).map(|n| format!("{round:03}-{n}")).collect();
        let changes: Vec<_> = ids.iter().map(|id| change("Facility", id, "summary", Some(at(1.0)))).collect();
        let (writer, portion) = (Arc::clone(&stores), changes.clone());
        let task = tokio::spawn(async move { writer.vectors.apply(&tenant("alpha"), round + 1, &portion).await });
        tokio::time::sleep(Duration::from_micros(round * 500)).await;
        task.abort();
        let _ = task.await;
        let lacking = async || stores.vectors.lacking(&alpha, "Facility", "summary", ids.clone()).await.unwrap();
        // Vectors first, then the position; so the position is asked first here.
        if stores.vectors.position(&alpha).await.unwrap() == round + 1 {
            assert!(lacking().await.is_empty(), "round {round}");
        }
        stores.vectors.apply(&alpha, round + 1, &changes).await.unwrap();
        assert!(lacking().await.is_empty(), "round {round}");
        assert_eq!(stores.vectors.position(&alpha).await.unwrap(), round + 1);
    }
}

/// A server that goes away is a fault that passes, told before the deadline; when it is back, it answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_answers_again() {
    let Some(options) = options_for("faults::a_server_that_comes_back_answers_again") else { return };
    let mut proxy = Proxy::to(options.url.split_once("://").unwrap().1).await;
    let url = format!("qdrant://{}", proxy.address);
    let stores = beside(&Options { url, ..options }).await;
    turned(&stores).await;
    for _ in 0..3 {
        assert_eq!(asked(&stores, "alpha", patience()).await.unwrap()[0].id, "f1");
        proxy.cut().await;
        match asked(&stores, "alpha", patience()).await.unwrap_err() {
            Fault::Internal(fault) => assert!(fault.retryable && fault.part == "vectors", "{fault:?}"),
            Fault::Client(fault) => panic!("{fault:?}"),
        }
        proxy.mend().await;
        let until = patience();
        while asked(&stores, "alpha", patience()).await.is_err() {
            assert!(Instant::now() < until, "it is back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // What is removed at the end goes the same way.
    drop(stores);
    drop(proxy);
}

async fn over_double(double: &Double, change: impl FnOnce(&mut Options)) -> Stores {
    let mut options = Options {
        url: format!("qdrant://{}", double.address),
        model: "test".to_owned(),
        dimension: 16,
        ..Options::default()
    };
    change(&mut options);
    let directory = tempfile::tempdir().unwrap();
    let rest = Embedded::open(&directory.path().join("quipu.db"), sqlite::Options::default()).await.unwrap();
    let (graph, metadata) = (Arc::new(rest.graph()), Arc::new(rest.metadata()));
    let vectors = apart::over(Arc::new(open(&options).await), graph.clone(), metadata.clone());
    Stores { graph, metadata, vectors, _kept: Box::new(directory) }
}

/// A server that is overloaded gets hardly more than it is asked: some are tried again, and most are not.
#[tokio::test]
async fn a_storm_is_not_made_stronger() {
    for every in [1, 2, 10] {
        let double = Double::start("1.18.3", Mood::Unavailable(every)).await;
        let stores = over_double(&double, |_| {}).await;
        let (trace, mut failed) = (Trace::default(), 0);
        for _ in 0..500 {
            match stores.vectors.nearest(&nearest("alpha"), Call { deadline: patience(), trace: &trace }).await {
                Ok(hits) => assert!(hits.is_empty()),
                Err(fault) => {
                    assert_eq!(fault.code(), Code::StoreUnavailable, "{fault:?}");
                    failed += 1;
                }
            }
        }
        let (sent, wanted) = (double.asked(), trace.count(StoreName::Vectors));
        assert!(sent <= wanted + wanted / 5, "{sent} requests for {wanted} with every {every}th failing");
        assert!(every != 10 || failed <= 10, "where few fail they are tried again: {failed}");
    }
}

/// A server that does not answer costs a caller no more than their deadline, and the places of those who left are free again.
#[tokio::test]
async fn a_silent_server_is_left_at_the_deadline() {
    let double = Double::start("1.18.3", Mood::Silent).await;
    let stores =
        over_double(&double, |options| (options.requests, options.wait) = (1, Duration::from_millis(100))).await;
    for _ in 0..3 {
        let soon = Instant::now() + Duration::from_millis(200);
        let asking = tokio::time::timeout(Duration::from_secs(20), asked(&stores, "alpha", soon));
        assert_eq!(asking.await.expect("at the deadline").unwrap_err().code(), Code::Timeout);
    }
    // One has the only place and waits on; the other is told so.
    let fault = tokio::select! {
        first = asked(&stores, "alpha", patience()) => first,
        second = asked(&stores, "beta", patience()) => second,
    };
    assert_eq!(fault.unwrap_err().code(), Code::Overloaded);
    assert_eq!(asked(&stores, "alpha", Instant::now()).await.unwrap_err().code(), Code::Timeout);
}
