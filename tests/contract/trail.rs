//! The contract of the audit trail: chains that grow at one end, are shortened at the other, and tell when anything else was done to them.

use std::any::Any;
use std::sync::Arc;

use futures_util::future::join_all;
use quipu::audit::chain::{self, Found};
use quipu::audit::{Trail, Whose};
use quipu::stores::postgres::Postgres;
use quipu::stores::sqlite::{self, Embedded};
use quipu_resolvers::guard::TenantId;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::postgres::{self, plain};

/// What is under test, empty, and a way to write into its store behind its back.
struct Opened {
    trail: Arc<dyn Trail>,
    outside: Outside,
    _kept: Box<dyn Any + Send + Sync>,
}

enum Outside {
    File(SqliteConnection),
    /// As the owner of the tables, who may change triggers.
    Server(PgConnection),
}

impl Outside {
    /// Runs statements; what the store says against them.
    async fn run(&mut self, text: &str) -> Result<(), String> {
        let outcome = match self {
            Self::File(file) => file.execute(AssertSqlSafe(text.to_owned())).await.map(drop),
            Self::Server(server) => server.execute(AssertSqlSafe(text.to_owned())).await.map(drop),
        };
        outcome.map_err(|error| error.to_string())
    }

    /// Runs statements past what keeps the trail.
    async fn force(&mut self, text: &str) {
        let text = match self {
            Self::File(_) => {
                format!("DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_removed_from_its_old_end; {text}")
            }
            Self::Server(_) => format!(
                "ALTER TABLE audit DISABLE TRIGGER USER; ALTER TABLE audit NO FORCE ROW LEVEL SECURITY; {text}; \
                 ALTER TABLE audit ENABLE TRIGGER USER; ALTER TABLE audit FORCE ROW LEVEL SECURITY"
            ),
        };
        self.run(&text).await.unwrap();
    }
}

async fn in_file(_: &str) -> Option<Opened> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("quipu.db");
    let store = Embedded::open(&path, sqlite::Options::default()).await.unwrap();
    let outside = Outside::File(SqliteConnection::connect(path.to_str().unwrap()).await.unwrap());
    Some(Opened { trail: Arc::new(store.metadata()), outside, _kept: Box::new((store, directory)) })
}

async fn in_postgres(case: &str) -> Option<Opened> {
    let server = postgres::server(case)?;
    let options = server.fresh();
    let outside = options.clone();
    let store = Postgres::open(options).await.unwrap_or_else(|error| panic!("{error}: {}", error.help));
    let mut outside = plain(&server.owner, &outside).await;
    outside.execute("SELECT ensure_tenant('a'), ensure_tenant('b')").await.unwrap();
    Some(Opened { trail: Arc::new(store), outside: Outside::Server(outside), _kept: Box::new(()) })
}

macro_rules! trail_suite {
    ($name:ident, $open:path) => {
        mod $name {
            trail_suite!(@cases $open, chains_are_apart_and_in_order, many_write_at_once, old_records_go, tampering_shows);
        }
    };
    (@cases $open:path, $($case:ident),+) => {
        $(#[tokio::test]
        async fn $case() {
            // One that cannot be had says so by itself.
            if let Some(opened) = $open(concat!(module_path!(), "::", stringify!($case))).await {
                super::$case(opened).await;
            }
        })+
    };
}

trail_suite!(embedded, super::in_file);
trail_suite!(servers, super::in_postgres);

fn tenant(name: &str) -> Whose {
    Whose::Tenant(TenantId::parse(name).unwrap())
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| format!("{{\"word\":\"{word}\"}}")).collect()
}

async fn found(trail: &dyn Trail, whose: &Whose) -> (u64, u64) {
    match chain::verify(trail, whose).await.unwrap() {
        Found::Whole { from, upto, .. } => (from, upto),
        broken @ Found::Broken { .. } => panic!("{broken:?}"),
    }
}

async fn chains_are_apart_and_in_order(opened: Opened) {
    let trail = opened.trail.as_ref();
    assert_eq!(found(trail, &tenant("a")).await, (0, 0));
    assert_eq!(trail.append(&tenant("a"), &texts(&["one", "two"])).await.unwrap(), 2);
    assert_eq!(trail.append(&tenant("b"), &texts(&["other"])).await.unwrap(), 1);
    assert_eq!(trail.append(&Whose::Gateway, &texts(&["nobody's"])).await.unwrap(), 1);
    assert_eq!(trail.append(&tenant("a"), &texts(&["three"])).await.unwrap(), 3);
    let kept = trail.kept(&tenant("a"), 0, 10).await.unwrap();
    assert_eq!(kept.iter().map(|kept| kept.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(kept.iter().map(|kept| kept.text.clone()).collect::<Vec<_>>(), texts(&["one", "two", "three"]));
    assert_eq!(trail.kept(&tenant("a"), 1, 1).await.unwrap(), kept[1..2]);
    assert_eq!(trail.kept(&tenant("b"), 0, 10).await.unwrap()[0].text, texts(&["other"])[0]);
    assert_eq!(trail.kept(&Whose::Gateway, 0, 10).await.unwrap().len(), 1);
    assert_eq!(found(trail, &tenant("a")).await, (0, 3));
}

async fn many_write_at_once(opened: Opened) {
    let trail = opened.trail.as_ref();
    let a = tenant("a");
    let all = (0..20).map(|n| {
        let a = &a;
        async move { trail.append(a, &texts(&[&format!("{n}a"), &format!("{n}b")])).await.unwrap() }
    });
    let mut ends = join_all(all).await;
    ends.sort_unstable();
    assert_eq!(ends, (1..=20).map(|n| 2 * n).collect::<Vec<u64>>());
    assert_eq!(found(trail, &a).await, (0, 40));
    let kept = trail.kept(&a, 0, 100).await.unwrap();
    assert!(kept.chunks(2).all(|pair| pair[0].text.replace("a\"", "b\"") == pair[1].text), "portions stay together");
}

async fn old_records_go(opened: Opened) {
    let trail = opened.trail.as_ref();
    let a = tenant("a");
    trail.append(&a, &texts(&["one", "two", "three"])).await.unwrap();
    assert_eq!(trail.prune(&a, 0).await.unwrap(), 0);
    assert_eq!(trail.prune(&a, 2).await.unwrap(), 2);
    assert_eq!(found(trail, &a).await, (2, 3));
    assert_eq!(trail.prune(&a, 9).await.unwrap(), 1);
    assert_eq!(found(trail, &a).await, (3, 3), "the chain goes on from its anchor");
    assert_eq!(trail.append(&a, &texts(&["four"])).await.unwrap(), 4);
    assert_eq!(found(trail, &a).await, (3, 4));
}

async fn tampering_shows(mut opened: Opened) {
    let trail = opened.trail.clone();
    let (a, b) = (tenant("a"), tenant("b"));
    for whose in [&a, &b] {
        trail.append(whose, &texts(&["one", "two", "three"])).await.unwrap();
    }
    let of_a = match &opened.outside {
        Outside::File(_) => "whose = 'a'",
        Outside::Server(_) => "tenant = (SELECT tenant_key('a'))",
    };
    if let Outside::Server(_) = opened.outside {
        opened.outside.run("SELECT set_config('quipu.tenant', tenant_key('a')::text, false)").await.unwrap();
    }
    // The store itself refuses what is no appending.
    for refused in [
        format!("UPDATE audit SET record = '{{}}' WHERE {of_a} AND seq = 2"),
        format!("DELETE FROM audit WHERE {of_a} AND seq = 2"),
        format!("DELETE FROM audit WHERE {of_a}"),
    ] {
        let said = opened.outside.run(&refused).await.expect_err(&refused);
        assert!(said.contains("records of the audit trail are"), "{said}");
    }
    assert_eq!(found(trail.as_ref(), &a).await, (0, 3));
    // Whoever gets past that is found out.
    opened.outside.force(&format!("UPDATE audit SET record = '{{\"word\":\"twO\"}}' WHERE {of_a} AND seq = 2")).await;
    let broken = chain::verify(trail.as_ref(), &a).await.unwrap();
    assert!(matches!(broken, Found::Broken { seq: 2, .. }), "{broken:?}");
    assert_eq!(found(trail.as_ref(), &b).await, (0, 3), "the other chain is whole");
    if let Outside::Server(_) = opened.outside {
        opened.outside.force(&format!("DELETE FROM audit WHERE {of_a} AND seq = 1")).await;
    } else {
        opened.outside.run(&format!("DELETE FROM audit WHERE {of_a} AND seq = 1")).await.unwrap();
    }
    let broken = chain::verify(trail.as_ref(), &a).await.unwrap();
    assert!(matches!(broken, Found::Broken { seq: 1, .. }), "{broken:?}");
}
