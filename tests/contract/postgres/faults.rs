//! Requests that are abandoned, late or too many, connections that break, and several instances on one database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu::stores::postgres::{Options, Postgres};
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard;
use quipu_resolvers::ports::{Call, Trace};
use quipu_resolvers::read::{Field, Pick, Place, Predicate, Read, Related, Scope, Via};
use quipu_schema::policy::Quantifier;
use serde_json::json;
use sqlx::{query, query_scalar};

use super::super::Stores;
use super::super::changes::{log, refused};
use super::super::fixture::*;
use super::{Server, beside, plain, server, with_parameter};
use crate::servers::proxy::Proxy;

async fn opened(server: &Server, change: impl FnOnce(&mut Options)) -> (Options, Stores) {
    let mut options = server.fresh();
    change(&mut options);
    let store = Postgres::open(options.clone()).await.unwrap();
    (options, beside(store).await)
}

fn suppliers() -> Read {
    all("Contract", vec![pick(field("supplier"))])
}

/// A question about rows that takes far longer than its deadline.
fn endless() -> Read {
    let same = |inner: Predicate| {
        Predicate::Related(Box::new(Related {
            place: Place::Rows,
            via: Via::Key { local: field("facility_id"), remote: field("facility_id") },
            targets: vec![Scope { of: "Contract".into(), filter: inner, visible: Predicate::True }],
            quantifier: Quantifier::None,
        }))
    };
    let never = Predicate::Compare {
        field: field("supplier"),
        operator: quipu_schema::policy::Operator::Contains,
        value: "never".into(),
    };
    let mut read = all("Contract", vec![pick(Field::Id)]).filtered(same(same(same(same(never)))));
    read.total = true;
    read
}

async fn crowd(stores: &Stores) {
    publish(stores, "alpha").await;
    let contract = |index| put("Contract", &format!("c{index}"), json!({"supplier": "s", "facility_id": "f1"}));
    accept(stores, "alpha", (0..3_000).map(contract).collect()).await.unwrap();
}

/// Hostile 64: requests of two tenants that are dropped at any point, on one connection; whoever comes next gets their own answer.
#[tokio::test(flavor = "multi_thread")]
async fn abandoned_requests_mix_nothing() {
    let Some(server) = server("contract::postgres::faults::abandoned_requests_mix_nothing") else { return };
    let (_, stores) = opened(&server, |options| options.connections = 1).await;
    fill(&stores).await;
    let stores = Arc::new(stores);
    for round in 0..150_u64 {
        let (who, next) = (TENANTS[round as usize % 2], TENANTS[(round as usize + 1) % 2]);
        let dropped = Arc::clone(&stores);
        let task = tokio::spawn(async move {
            if round % 3 == 0 {
                let set = json!({"supplier": format!("{who} late"), "facility_id": "f9"});
                let _ = accept(&dropped, who, vec![put("Contract", "c8", set)]).await;
            }
            let _ = ask(&dropped, who, suppliers()).await;
        });
        tokio::time::sleep(Duration::from_micros(round * 37 % 3_000)).await;
        task.abort();
        let _ = task.await;
        for who in [next, who] {
            let rows = ask(&stores, who, suppliers()).await;
            let rows = rows.as_array().unwrap();
            assert!(rows.len() >= 3, "{rows:?}");
            assert!(rows.iter().all(|row| row[0].as_str().unwrap().starts_with(who)), "{who}: {rows:?}");
        }
    }
    for who in TENANTS {
        let entries = log(&stores, who).await;
        assert_eq!(entries.len() as u64, stores.metadata.head(&tenant(who)).await.unwrap());
        assert!(entries.iter().zip(1..).all(|(entry, seq)| entry.seq == seq), "no gaps");
    }
}

/// Hostile 65 and 66: a statement stops at its deadline, and its connection answers again; the wait for one is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn late_and_crowded() {
    let Some(server) = server("contract::postgres::faults::late_and_crowded") else { return };
    let few = |options: &mut Options| (options.connections, options.wait) = (1, Duration::from_secs(2));
    let (_, stores) = opened(&server, few).await;
    crowd(&stores).await;
    let read = guard::read(&principal("alpha"), &ontology(), endless()).unwrap();
    let trace = Trace::default();
    let begun = Instant::now();
    let soon = Call { deadline: begun + Duration::from_millis(300), trace: &trace };
    assert_eq!(stores.metadata.read(&read, soon).await.unwrap_err().code(), Code::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(ask(&stores, "alpha", suppliers().first(1)).await, json!([["s"]]));
    let long = Call { deadline: Instant::now() + Duration::from_secs(8), trace: &trace };
    let fault = tokio::select! {
        first = stores.metadata.read(&read, long) => first,
        second = stores.metadata.read(&read, long) => second,
    };
    assert_eq!(fault.unwrap_err().code(), Code::Overloaded);
    tokio::time::sleep(Duration::from_millis(8_500)).await;
    assert_eq!(ask(&stores, "alpha", suppliers().first(1)).await, json!([["s"]]));
}

/// Wherever an answer stops, its request ends at its deadline, and what comes of it later reaches nobody.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_65_a_server_that_hangs_in_mid_record() {
    let Some(server) = server("contract::postgres::faults::hostile_65_a_server_that_hangs_in_mid_record") else {
        return;
    };
    let (credentials, rest) = server.login.rsplit_once('@').unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    let proxy = Proxy::to(address).await;
    let url = format!("{credentials}@{}/{database}", proxy.address);
    let one = |options: &mut Options| (options.url, options.connections) = (url, 1);
    let (_, stores) = opened(&server, one).await;
    for who in TENANTS {
        publish(&stores, who).await;
        let set = json!({"supplier": who, "facility_id": "f1"});
        accept(&stores, who, vec![put("Contract", "c1", set)]).await.unwrap();
        assert_eq!(ask(&stores, who, suppliers()).await, json!([[who]]));
    }
    let read = guard::read(&principal("alpha"), &ontology(), suppliers()).unwrap();
    let (trace, mut hung) = (Trace::default(), 0);
    for bytes in (0..240).step_by(17) {
        proxy.valve.shut_after(bytes);
        let begun = Instant::now();
        let soon = Call { deadline: begun + Duration::from_millis(300), trace: &trace };
        match stores.metadata.read(&read, soon).await {
            // That was more than the answer has.
            Ok(outcome) => assert_eq!(outcome.to_json(), json!([["alpha"]]), "{bytes} bytes"),
            Err(fault) => {
                assert_eq!(fault.code(), Code::Timeout, "{bytes} bytes: {fault:?}");
                hung += 1;
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{bytes} bytes: {:?}", begun.elapsed());
        proxy.valve.open();
        assert_eq!(ask(&stores, "beta", suppliers()).await, json!([["beta"]]), "{bytes} bytes");
    }
    assert!(hung >= 3, "most answers are longer: {hung}");
}

/// A server that works for a request that nobody waits for any more stops long before the request's deadline.
#[tokio::test(flavor = "multi_thread")]
async fn abandoned_statements_are_stopped() {
    let Some(server) = server("contract::postgres::faults::abandoned_statements_are_stopped") else { return };
    let name = format!("abandoning_{}", std::process::id());
    let (options, stores) =
        opened(&server, |options| options.url = with_parameter(&options.url, &format!("application_name={name}")))
            .await;
    crowd(&stores).await;
    let mut login = plain(&server.login, &options).await;
    let text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'";
    let read = guard::read(&principal("alpha"), &ontology(), endless()).unwrap();
    let stores = Arc::new(stores);
    let asking = Arc::clone(&stores);
    let task = tokio::spawn(async move {
        let _ = asking.metadata.read(&read, call(&Trace::default())).await;
    });
    let mut becomes = async |wanted: i64| {
        let begun = Instant::now();
        while query_scalar::<_, i64>(text).bind(&name).fetch_one(&mut login).await.unwrap() != wanted {
            assert!(begun.elapsed() < Duration::from_secs(8), "it does not come to {wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    becomes(1).await;
    task.abort();
    let _ = task.await;
    becomes(0).await;
}

/// Connections that the server closed while they were idle are replaced before anybody notices.
#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_are_replaced() {
    let Some(server) = server("contract::postgres::faults::broken_connections_are_replaced") else { return };
    let name = format!("breaking_{}", std::process::id());
    let (options, stores) =
        opened(&server, |options| options.url = with_parameter(&options.url, &format!("application_name={name}")))
            .await;
    fill(&stores).await;
    let stores = Arc::new(stores);
    let mut login = plain(&server.login, &options).await;
    for round in 0..5 {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let stores = Arc::clone(&stores);
            tasks.spawn(async move { ask(&stores, "alpha", suppliers()).await });
        }
        tasks.join_all().await;
        let text = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
        assert!(query(text).bind(&name).execute(&mut login).await.unwrap().rows_affected() > 0);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let set = json!({"supplier": format!("alpha {round}"), "facility_id": "f1"});
        accept(&stores, "alpha", vec![put("Contract", "c1", set)]).await.unwrap();
        assert_eq!(ask(&stores, "alpha", suppliers().first(1)).await, json!([[format!("alpha {round}")]]));
    }
}

/// One key, many requests at once, on two instances: written once, and all get the same answer.
#[tokio::test(flavor = "multi_thread")]
async fn one_key_at_once_on_two_instances() {
    let Some(server) = server("contract::postgres::faults::one_key_at_once_on_two_instances") else { return };
    let (options, one) = opened(&server, |_| {}).await;
    let other = beside(Postgres::open(options).await.unwrap()).await;
    for who in TENANTS {
        publish(&one, who).await;
    }
    let stores = [Arc::new(one), Arc::new(other)];
    for who in TENANTS {
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..20 {
            let stores = Arc::clone(&stores[index % 2]);
            tasks.spawn(async move {
                let ops = vec![put("Contract", "c1", json!({"supplier": who, "facility_id": "f1"}))];
                accept_under(&stores, who, ops, Some("once")).await.unwrap()
            });
        }
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.appended).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.replayed).count(), 19);
        assert!(answers.iter().all(|answer| answer.seq == 1 && answer.effects == answers[0].effects));
        assert_eq!(log(&stores[0], who).await.len(), 1);
    }
}

/// What one instance writes and publishes, the other knows, also types that it has not heard of.
#[tokio::test]
async fn two_instances_share_everything() {
    let Some(server) = server("contract::postgres::faults::two_instances_share_everything") else { return };
    let (options, one) = opened(&server, |_| {}).await;
    let other = beside(Postgres::open(options).await.unwrap()).await;
    for who in TENANTS {
        assert_eq!(ask(&other, who, suppliers()).await, json!([]));
    }
    fill(&one).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for who in TENANTS {
        let siblings =
            Read { via: Via::Key { local: field("facility_id"), remote: field("facility_id") }, ..suppliers() };
        let read = all("Contract", vec![Pick::Read(Box::new(siblings))]).first(1);
        assert_eq!(ask(&other, who, read).await, json!([[[[format!("{who} c1")], [format!("{who} c2")]]]]));
        assert_eq!(other.metadata.ontology(&tenant(who)).await.unwrap().unwrap().0, 1);
        let set = json!({"supplier": "n", "facility_id": "f7"});
        let seq = |accepted: quipu_resolvers::change::Accepted| accepted.seq;
        assert_eq!(seq(accept(&other, who, vec![put("Contract", "c5", set.clone())]).await.unwrap()), 2);
        assert_eq!(seq(accept(&one, who, vec![put("Contract", "c6", set)]).await.unwrap()), 3);
    }
}

/// What was stored while a property had another type counts as absent, and is no error of the server.
#[tokio::test]
async fn values_of_another_type_are_passed_over() {
    let Some(server) = server("contract::postgres::faults::values_of_another_type_are_passed_over") else { return };
    let (_, stores) = opened(&server, |_| {}).await;
    fill(&stores).await;
    for who in TENANTS {
        let odd = json!({"supplier": "s", "facility_id": "f1", "price": "dear", "active": 1});
        accept(&stores, who, vec![put("Contract", "c9", odd)]).await.unwrap();
        let sorted = suppliers().sorted(vec![down(field("price?")), up(Field::Id)]).first(2);
        assert_eq!(ask(&stores, who, sorted).await, json!([["s"], [format!("{who} c1")]]));
        for filter in [field("price?"), field("active?")] {
            let absent = suppliers()
                .filtered(Predicate::All(vec![Predicate::Absent(filter), Predicate::equals(Field::Id, "c9".into())]));
            assert_eq!(ask(&stores, who, absent).await, json!([["s"]]));
        }
    }
}

/// Postgres has no U+0000 in texts. That is said, and not an error of the server.
#[tokio::test]
async fn what_postgres_cannot_hold_is_refused() {
    let Some(server) = server("contract::postgres::faults::what_postgres_cannot_hold_is_refused") else { return };
    let (_, stores) = opened(&server, |_| {}).await;
    fill(&stores).await;
    for who in TENANTS {
        let row = |id: &str, supplier: &str| put("Contract", id, json!({"supplier": supplier, "facility_id": "f1"}));
        let long: String = (0..5_000).map(|n| char::from_u32(0x4e00 + n * 7 % 20_000).unwrap()).collect();
        for (op, message) in [
            (row("a\u{0}b", "s"), "U+0000"),
            (row("c9", "a\u{0}b"), "U+0000"),
            (row(&long, "s"), "at most 512"),
            (put("Contract", "c9", json!({"supplier": "s", "facility_id": long})), "at most 1536"),
        ] {
            let (code, text) = refused(accept(&stores, who, vec![op]).await);
            assert_eq!(code, Code::BadUserInput);
            assert!(text.contains(message), "{text}");
        }
        let odd = suppliers().filtered(Predicate::equals(field("supplier"), "a\u{0}b".into()));
        let odd = guard::read(&principal(who), &ontology(), odd).unwrap();
        let fault = stores.metadata.read(&odd, call(&Trace::default())).await.unwrap_err();
        assert_eq!(fault.code(), Code::BadUserInput);
        assert_eq!(stores.metadata.head(&tenant(who)).await.unwrap(), 1);
        assert_eq!(ask(&stores, who, suppliers().first(1)).await, json!([[format!("{who} c1")]]));
    }
}
