//! Others write to their tables at the same time, and change them.

use std::time::{Duration, Instant};

use quipu_resolvers::change::{Act, Change, Op, Ref};
use quipu_resolvers::guard::{self, Principal, TenantId};
use quipu_resolvers::ports::{Call, Terms, Trace};
use serde_json::{Value as Json, json};
use sqlx::{AssertSqlSafe, Executor, query_scalar};

use super::super::execute;
use super::{Shop, done, head, refused};
use crate::servers::abandoned::polled;
use crate::spec::world::{World, admin};

/// Accepts a change of one row, as the engine does when it has found the row.
async fn accept(world: &World, act: Act, id: &str, set: Json) -> Result<u64, String> {
    let tenant = TenantId::parse("alpha").unwrap();
    let ontology = &world.served(&tenant).unwrap().served().ontology;
    let record = Ref { of: "Client".to_owned(), id: id.to_owned() };
    let change = Change { ops: vec![Op::Foreign { record, act, set: set.as_object().unwrap().clone() }] };
    let allowed = guard::change(&Principal::operator(&tenant, None), ontology, change, &[]).unwrap();
    let (trace, terms) = (Trace::default(), Terms { at: "2026-11-22T10:00:00.000Z", ..Terms::default() });
    let call = Call { deadline: Instant::now() + Duration::from_secs(60), trace: &trace };
    let accepted = world.ports().metadata.accept(&allowed, terms, call).await.map_err(|fault| fault.to_string())?;
    Ok(accepted.seq)
}

/// Waits until somebody waits for a lock that a connection holds.
async fn waiting(shop: &mut Shop, holder: i32) {
    let begun = Instant::now();
    loop {
        let text =
            format!("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE {holder} = ANY(pg_blocking_pids(pid)))");
        let blocked: bool = query_scalar(AssertSqlSafe(text)).fetch_one(&mut shop.owner).await.unwrap();
        if blocked {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A row that somebody removes between finding and writing it is not there: no success, and nothing in the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_removed_in_between() {
    let Some(mut shop) = Shop::till("mapped::writing::a_row_that_is_removed_in_between").await else { return };
    let world = shop.till_world().await;
    done(
        &world,
        "alpha",
        "createClients(input: [{ id: \"c1\", name: \"a\" }, { id: \"c2\", name: \"b\" }]) { info { nodesCreated } }",
    )
    .await;
    let mut other = shop.another().await;
    let holder: i32 = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut other).await.unwrap();
    other.execute("BEGIN").await.unwrap();
    execute(&mut other, &shop.schema, "DELETE FROM SCHEMA.clients WHERE id = 'c1'").await;
    // It is still seen, and found; the update waits for whoever removes it.
    let who = admin("alpha");
    let update = "mutation { updateClients(update: { name: { set: \"new\" } }) { clients { id } } }";
    let asked = world.run(&who, update, json!({}));
    let ended = async {
        waiting(&mut shop, holder).await;
        other.execute("COMMIT").await.unwrap();
    };
    let ((data, errors), ()) = futures_util::join!(asked, ended);
    assert_eq!((data, &errors[0]["extensions"]["code"]), (Json::Null, &json!("NOT_FOUND")), "{errors}");
    assert_eq!(errors[0]["message"], "Client \"c1\" does not exist");
    assert_eq!(
        shop.look("SELECT id, name FROM SCHEMA.clients").await,
        json!([{"id": "c2", "name": "b"}]),
        "nothing is half done"
    );
    assert_eq!(head(&world, "alpha").await, 1);
    // Without anybody who waits it is the same; and what is gone already need not be removed.
    let refused = accept(&world, Act::Update, "c1", json!({"name": "x"})).await.unwrap_err();
    assert_eq!(refused, "NOT_FOUND: Client \"c1\" does not exist");
    assert_eq!(accept(&world, Act::Delete, "c1", json!({})).await, Ok(1), "no entry of its own");
    assert_eq!(
        accept(&world, Act::Create, "c2", json!({"name": "x"})).await.unwrap_err(),
        "CONFLICT: Client \"c2\" exists already"
    );
}

/// Rows that others make and change are there at once, and decide: no registry of ours knows better.
#[tokio::test]
async fn rows_of_others_decide() {
    let Some(mut shop) = Shop::till("mapped::writing::rows_of_others_decide").await else { return };
    let world = shop.till_world().await;
    done(&world, "alpha", "createClients(input: [{ id: \"c1\", name: \"a\" }]) { info { nodesCreated } }").await;
    shop.run("DELETE FROM SCHEMA.clients; INSERT INTO SCHEMA.clients VALUES ('alpha', 'c2', 'theirs')").await;
    let said =
        refused(&world, "alpha", "createClients(input: [{ id: \"c2\", name: \"mine\" }]) { clients { id } }").await;
    assert_eq!(said, "CONFLICT Client \"c2\" exists already");
    // What we made and others removed can be made again.
    let made = done(
        &world,
        "alpha",
        "createClients(input: [{ id: \"c1\", name: \"again\" }]) { info { nodesCreated } clients { name } }",
    )
    .await;
    assert_eq!(made, json!({"info": {"nodesCreated": 1}, "clients": [{"name": "again"}]}));
    let changed = done(
        &world,
        "alpha",
        "upsertClients(input: [{ id: \"c2\", name: \"ours\" }]) { info { nodesCreated } clients { name } }",
    )
    .await;
    assert_eq!(changed, json!({"info": {"nodesCreated": 0}, "clients": [{"name": "ours"}]}));
    // The same again is written again: others may have changed it meanwhile.
    let before = head(&world, "alpha").await;
    shop.run("UPDATE SCHEMA.clients SET name = 'theirs'").await;
    done(&world, "alpha", "upsertClients(input: [{ id: \"c2\", name: \"ours\" }]) { info { nodesCreated } }").await;
    assert_eq!(shop.look("SELECT name FROM SCHEMA.clients WHERE id = 'c2'").await, json!([{"name": "ours"}]));
    assert_eq!(head(&world, "alpha").await, before + 1);
}

/// Many writers of both sides: every answer is true of the table afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once() {
    let Some(mut shop) = Shop::till("mapped::writing::many_writers_at_once").await else { return };
    let world = shop.till_world().await;
    done(&world, "alpha", "createClients(input: [{ id: \"c1\", name: \"a\", credit: 0 }]) { info { nodesCreated } }")
        .await;
    let mut other = shop.another().await;
    let (who, mut made) = (admin("alpha"), 1);
    for round in 0..10 {
        let ours = (0..4).map(|_| format!("mutation {{ createClients(input: [{{ id: \"r{round}\", name: \"ours\" }}]) {{ info {{ nodesCreated }} }} }}"));
        let ours: Vec<String> = ours.collect();
        let ours = futures_util::future::join_all(ours.iter().map(|text| world.run(&who, text, json!({}))));
        let theirs = super::named(
            &format!("INSERT INTO SCHEMA.clients VALUES ('alpha', 'r{round}', 'theirs') ON CONFLICT DO NOTHING"),
            &shop.schema,
        );
        let theirs = other.execute(AssertSqlSafe(theirs));
        let (ours, theirs) = futures_util::join!(ours, theirs);
        let won = ours.iter().filter(|(_, errors)| *errors == Json::Null).count() as u64;
        assert!(
            ours.iter().all(|(_, errors)| *errors == Json::Null || errors[0]["extensions"]["code"] == "CONFLICT"),
            "{ours:?}"
        );
        assert_eq!(won + theirs.unwrap().rows_affected(), 1, "one has made it");
        made += won;
    }
    assert_eq!(head(&world, "alpha").await, made, "an entry for each that we made");
    assert_eq!(
        shop.look("SELECT count(*) AS n FROM SCHEMA.clients WHERE name = 'ours'").await,
        json!([{ "n": made - 1 }])
    );
}

/// A table that changes so that it cannot be written any more is told, in words that name nothing of the database, and is read as before;
/// when it is put right, it is written again.
#[tokio::test]
async fn a_table_that_changes() {
    let Some(mut shop) = Shop::till("mapped::writing::a_table_that_changes").await else { return };
    let world = shop.till_world().await;
    let create =
        |n: usize| format!("createClients(input: [{{ id: \"c{n}\", name: \"a\" }}]) {{ info {{ nodesCreated }} }}");
    done(&world, "alpha", &create(1)).await;
    let lacking = "STORE_UNAVAILABLE Client cannot be written: its table does not fit the ontology any more; whoever runs the gateway finds the reason in its log";
    for (step, back) in [
        ("REVOKE INSERT ON SCHEMA.clients FROM quipu_login", "GRANT INSERT ON SCHEMA.clients TO quipu_login"),
        ("ALTER TABLE SCHEMA.clients RENAME credit TO kredit", "ALTER TABLE SCHEMA.clients RENAME kredit TO credit"),
        ("ALTER TABLE SCHEMA.clients RENAME TO customers", "ALTER TABLE SCHEMA.customers RENAME TO clients"),
    ] {
        shop.run(step).await;
        let mutation = create(2).replace("name:", "credit: 1, name:");
        assert_eq!(refused(&world, "alpha", &mutation).await, lacking, "{step}");
        if step.starts_with("REVOKE") {
            assert_eq!(world.data(&admin("alpha"), "{ clients { id } }").await["clients"], json!([{"id": "c1"}]));
        }
        shop.run(back).await;
        let begun = Instant::now();
        while world.code(&admin("alpha"), &format!("mutation {{ {} }}", create(2))).await == "STORE_UNAVAILABLE" {
            assert!(begun.elapsed() < Duration::from_secs(60), "{back}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        done(&world, "alpha", "deleteClients(where: { id: { eq: \"c2\" } }) { nodesDeleted }").await;
    }
    // Another type that fits as well, and a column more, are no reason to ask anybody.
    shop.run("ALTER TABLE SCHEMA.clients ALTER credit TYPE bigint, ALTER name TYPE text, ADD more text").await;
    done(&world, "alpha", &create(3)).await;
    shop.run("ALTER TABLE SCHEMA.clients ALTER COLUMN id TYPE varchar(10)").await;
    done(
        &world,
        "alpha",
        "updateClients(where: { id: { eq: \"c3\" } }, update: { name: { set: \"b\" } }) { clients { id } }",
    )
    .await;
    let there = shop.look("SELECT id, name FROM SCHEMA.clients ORDER BY id").await;
    assert_eq!(there, json!([{"id": "c1", "name": "a"}, {"id": "c3", "name": "b"}]));
}

/// Who holds a row longer than a request lasts is not waited for any longer, and nothing of the change is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_holds() {
    let Some(mut shop) = Shop::till("mapped::writing::a_row_that_somebody_holds").await else { return };
    let world = shop.till_world().await;
    done(&world, "alpha", "createClients(input: [{ id: \"c1\", name: \"a\" }]) { info { nodesCreated } }").await;
    let mut other = shop.another().await;
    other.execute("BEGIN").await.unwrap();
    execute(&mut other, &shop.schema, "SELECT 1 FROM SCHEMA.clients FOR UPDATE").await;
    let tenant = TenantId::parse("alpha").unwrap();
    let ontology = &world.served(&tenant).unwrap().served().ontology;
    let record = Ref { of: "Client".to_owned(), id: "c1".to_owned() };
    let set = json!({"name": "x"}).as_object().unwrap().clone();
    let change = Change { ops: vec![Op::Foreign { record, act: Act::Update, set }] };
    let allowed = guard::change(&Principal::operator(&tenant, None), ontology, change, &[]).unwrap();
    let (trace, terms) = (Trace::default(), Terms { at: "2026-11-22T10:00:00.000Z", ..Terms::default() });
    let call = Call { deadline: Instant::now() + Duration::from_millis(500), trace: &trace };
    let fault = world.ports().metadata.accept(&allowed, terms, call).await.unwrap_err();
    assert_eq!(fault.code().as_str(), "TIMEOUT", "{fault}");
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(shop.look("SELECT name FROM SCHEMA.clients").await, json!([{"name": "a"}]));
    assert_eq!(head(&world, "alpha").await, 1);
    done(&world, "alpha", "updateClients(update: { name: { set: \"b\" } }) { clients { id } }").await;
}

/// A change that nobody waits for any more, dropped at every await over one connection, is whole in table and log, or in neither; and
/// whoever comes next is another tenant in nothing but their own.
#[tokio::test]
async fn an_abandoned_change_is_whole_or_not_there() {
    let Some(mut shop) = Shop::till("mapped::writing::an_abandoned_change_is_whole_or_not_there").await else { return };
    shop.options.connections = 1;
    let world = shop.till_world().await;
    let (alpha, beta) = (admin("alpha"), admin("beta"));
    let mut done_at = [None; 2];
    for polls in 1.. {
        for at_once in [true, false] {
            let create = format!(
                "mutation {{ createClients(input: [{{ id: \"a{polls}{at_once}\", name: \"a\" }}, {{ id: \"b{polls}{at_once}\", name: \"b\", credit: 1 }}]) \
                 {{ info {{ nodesCreated }} }} }}"
            );
            if let Some((data, errors)) = polled(polls, at_once, world.run(&alpha, &create, json!({}))).await {
                assert_eq!(
                    (&data["createClients"]["info"]["nodesCreated"], &errors),
                    (&json!(2), &Json::Null),
                    "{data}"
                );
                done_at[usize::from(at_once)].get_or_insert(polls);
            }
            let theirs = format!(
                "createClients(input: [{{ id: \"{polls}{at_once}\", name: \"theirs\" }}]) {{ clients {{ id }} }}"
            );
            done(&world, "beta", &theirs).await;
            let seen = world.data(&beta, "{ clients(where: { NOT: { name: { eq: \"theirs\" } } }) { id } }").await;
            assert_eq!(seen["clients"], json!([]));
        }
        if done_at.iter().all(Option::is_some) {
            break;
        }
        assert!(polls < 2_000, "a change takes so many polls");
    }
    let begun = Instant::now();
    loop {
        let rows = shop.look("SELECT count(*) AS n FROM SCHEMA.clients WHERE tenant = 'alpha'").await[0]["n"]
            .as_u64()
            .unwrap();
        let entries = head(&world, "alpha").await;
        if rows == entries * 2 {
            assert!(rows > 0);
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{rows} rows, and {entries} entries of two");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        shop.look("SELECT DISTINCT tenant FROM SCHEMA.clients WHERE name = 'theirs'").await,
        json!([{"tenant": "beta"}])
    );
}
