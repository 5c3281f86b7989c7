//! Hostile 72 and 73: processes that end at any point between accepting a change and applying it everywhere. A round is a process of its own
//! which writes at random until it ends; the next one sends what was not answered again. Afterwards no acknowledged write is missing,
//! none is there twice, and log, graph, rows and vectors agree with a model of what was written.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu::ingest::compare::Sum;
use quipu::ingest::relay::{Relay, Step, Turn};
use quipu::stores::bus::LocalBus;
use quipu::stores::cache::LocalCache;
use quipu::stores::clock::SystemClock;
use quipu_resolvers::change::{Change, Mode, Op, Ref};
use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::ports::{Call, Embedder as _, Graph, Metadata, Served, Terms, Trace, Vectors};
use quipu_resolvers::{Bound, Engine, Ports, Settings};
use quipu_schema::api::Api;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

use crate::contract::{Stores, Whereabouts};
use crate::spec::world::Letters;

mod doom;

use doom::{Doom, Doomed, POINTS};

/// Rounds where nobody asks for more by `QUIPU_TEST_ROUNDS`.
const ROUNDS: u32 = 18;
/// Writes of a round that nothing ends.
const WRITES: u32 = 40;
/// Tells a process of a round what it is to do.
const ROUND: &str = "QUIPU_TEST_CRASH_ROUND";

const SDL: &str = r#"
type Item @node { id: ID!  n: Int!  about: String @embed  tag: String @unique
  next: [Item!]! @relationship(type: "NEXT", direction: OUT, properties: "Step") }
type Step @relationshipProperties { weight: Float }
type Note @table(name: "notes") { id: ID!  n: Int! }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_73_nothing_acknowledged_is_lost_in_a_file() {
    rounds("servers::crash::hostile_73_nothing_acknowledged_is_lost_in_a_file", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_73_nothing_acknowledged_is_lost_on_servers() {
    rounds("servers::crash::hostile_73_nothing_acknowledged_is_lost_on_servers", true).await;
}

fn tenant() -> TenantId {
    TenantId::parse("crash").expect("a name")
}

/// The change of a write, the same whenever it is asked for.
fn change(round: u32, write: u32) -> Change {
    let mut random = StdRng::seed_from_u64(u64::from(round) << 32 | u64::from(write));
    let item = |n: u32| Ref { of: "Item".into(), id: format!("i{n}") };
    let put = |record: Ref, row: bool, set: Json| Op::Put {
        record,
        row,
        mode: Mode::Upsert,
        set: set.as_object().cloned().unwrap_or_default(),
        unique: Vec::new(),
        embed: if row { Vec::new() } else { vec!["about".into()] },
    };
    let (a, b, n) = (random.random_range(0..30), random.random_range(0..30), random.random_range(0..1_000));
    // Ends of relationships must be there: every change brings its own.
    let about = ["the cold room", "a warm place", "keys and doors"][random.random_range(0..3)];
    let mut ops = vec![put(item(a), false, json!({"n": n, "about": about})), put(item(b), false, json!({"n": n}))];
    match random.random_range(0..5) {
        0 => ops.push(Op::Delete { record: item(a), row: false }),
        1 => ops.push(Op::Unlink { relationship_type: "NEXT".into(), from: item(a), to: item(b), key: None }),
        2 => ops.push(put(item(a), false, json!({"about": null}))),
        _ => ops.push(Op::Link {
            relationship_type: "NEXT".into(),
            from: item(a),
            to: item(b),
            key: String::new(),
            set: json!({"weight": 0.5 * f64::from(n)}).as_object().cloned().unwrap_or_default(),
        }),
    }
    ops.push(put(Ref { of: "Note".into(), id: format!("n{a}") }, true, json!({"n": n})));
    Change { ops }
}

/// An engine over stores.
struct House {
    ports: Ports,
    engine: Arc<Engine>,
    bound: Arc<Bound>,
    _stores: Stores,
}

impl House {
    async fn open(whereabouts: &Whereabouts, doom: Option<Arc<Doom>>) -> Self {
        let stores = whereabouts.open().await;
        let (mut graph, mut metadata, mut vectors) =
            (stores.graph.clone(), stores.metadata.clone(), stores.vectors.clone());
        let ontology = quipu_schema::compile(SDL).unwrap_or_else(|problems| panic!("{problems}"));
        metadata.publish(&tenant(), SDL, &ontology, "2026-11-21T10:00:00.000Z").await.unwrap();
        graph.prepare(&tenant(), &ontology).await.unwrap();
        if let Some(doom) = doom {
            graph = Arc::new(Doomed::<dyn Graph> { inner: graph, doom: doom.clone() });
            metadata = Arc::new(Doomed::<dyn Metadata> { inner: metadata, doom: doom.clone() });
            vectors = Arc::new(Doomed::<dyn Vectors> { inner: vectors, doom });
        }
        let (bus, clock, embedder) = (Arc::new(LocalBus::default()), Arc::new(SystemClock), Arc::new(Letters));
        let cache = Arc::new(LocalCache::new(1 << 20, 1 << 16, clock.clone()));
        let ports = Ports { graph, metadata, vectors, embedder, cache, bus, clock };
        let settings = Settings { limits: Default::default(), introspection: true, cursor_secret: vec![7; 32] };
        let engine = Engine::new(ports.clone(), settings);
        let api = Api::of(&ontology);
        let bound = engine.bind(Served { tenant: tenant(), version: 1, ontology, api });
        Self { ports, engine, bound, _stores: stores }
    }

    /// Writes once, however often it is called.
    async fn write(&self, round: u32, write: u32) {
        let name = format!("{round}-{write}");
        let principal = Principal { tenant: tenant(), subject: Some(name.clone()), claims: json!({}), operator: true };
        let trace = Trace::default();
        let call = Call { deadline: Instant::now() + Duration::from_secs(30), trace: &trace };
        let terms = Terms {
            idempotency_key: Some(&name),
            actor: Some(&name),
            at: "2026-11-21T10:00:00.000Z",
            ..Terms::default()
        };
        let written = self.engine.write(&self.bound, &principal, change(round, write), terms, call).await;
        written.unwrap_or_else(|fault| panic!("{fault}"));
    }

    /// Follows the log with the vectors until they are in step.
    async fn relay(&self) {
        let relay = Relay::new(&self.ports, Turn::default());
        let ontology = &self.bound.served().ontology;
        while relay.step(&tenant(), ontology, &mut |_| {}).await.unwrap() != Step::InStep {}
    }
}

/// What a process of a round does.
async fn round(task: &Json) {
    let whereabouts = Whereabouts::of(&task["stores"]);
    let number = |name: &str| u32::try_from(task[name].as_u64().expect("a number")).expect("a small one");
    let doom = Doom::new(
        task["point"].as_str().expect("a point"),
        number("passes"),
        Duration::from_micros(u64::from(number("within"))),
    );
    let house = House::open(&whereabouts, Some(doom)).await;
    house.engine.catch_up(&tenant()).await.unwrap();
    let said = |text: String| {
        let mut out = std::io::stdout().lock();
        // The harness writes without ends of lines, too.
        out.write_all(format!("\n{text}\n").as_bytes()).and_then(|()| out.flush()).expect("somebody listens");
    };
    if let Some(write) = task["again"].as_u64() {
        let (before, write) = (number("before"), u32::try_from(write).expect("a small one"));
        // At once, from two sides.
        tokio::join!(house.write(before, write), house.write(before, write));
        said(format!("ack {before} {write}"));
    }
    for write in 0..WRITES {
        house.write(number("round"), write).await;
        said(format!("ack {} {write}", number("round")));
        if write % 4 == 3 {
            house.relay().await;
        }
    }
}

async fn rounds(test: &str, on_servers: bool) {
    if let Ok(task) = std::env::var(ROUND) {
        return round(&serde_json::from_str(&task).expect("a task")).await;
    }
    let Some(whereabouts) = Whereabouts::fresh(test, on_servers, Letters.dimensions()) else { return };
    let count = std::env::var("QUIPU_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let mut random = StdRng::seed_from_u64(73);
    let mut acknowledged: Vec<(u32, u32)> = Vec::new();
    let (mut again, mut before, mut ended) = (None, 0, 0);
    drop(House::open(&whereabouts, None).await);
    for round in 0..count {
        let task = json!({
            "stores": whereabouts.to_json(), "round": round, "again": again, "before": before,
            "point": POINTS[round as usize % POINTS.len()], "passes": random.random_range(0..10),
            "within": random.random_range(0..20_000),
        });
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.args(["--exact", test, "--nocapture"]).env(ROUND, task.to_string());
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        let out = String::from_utf8_lossy(&output.stdout);
        let told = out.lines().filter_map(|line| {
            let (round, write) = line.strip_prefix("ack ")?.split_once(' ')?;
            Some((round.parse().ok()?, write.parse().ok()?))
        });
        let told: Vec<(u32, u32)> = told.collect();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!err.contains("panicked"), "round {round}: {err}");
        ended += u32::from(!output.status.success());
        // What was under way: the write again, if it was not answered, else the one after the last answer.
        (again, before) = match (told.last(), output.status.success()) {
            (_, true) => (None, 0),
            (Some((of, write)), false) if *of == round => (Some(write + 1).filter(|write| *write < WRITES), round),
            (Some(_), false) => (Some(0), round),
            (None, false) => {
                if again.is_some() {
                    (again, before)
                } else {
                    (Some(0), round)
                }
            }
        };
        acknowledged.extend(told);
    }
    assert!(ended * 2 > count, "most rounds end in the middle: {ended} of {count}");
    assert!(acknowledged.len() as u32 > count, "something is written between the ends");
    agree(&House::open(&whereabouts, None).await, &acknowledged).await;
}

/// Model, log and stores agree, and what was acknowledged is there, once.
async fn agree(house: &House, acknowledged: &[(u32, u32)]) {
    house.engine.catch_up(&tenant()).await.unwrap();
    house.relay().await;
    let mut names = Vec::new();
    let mut model = Sum::default();
    let mut after = 0;
    loop {
        let entries = house.ports.metadata.log(&tenant(), after, 500).await.unwrap();
        let Some(last) = entries.last() else { break };
        after = last.seq;
        for entry in &entries {
            let name = entry.actor.clone().expect("who wrote it");
            let (round, write) = name.split_once('-').expect("a write");
            change(round.parse().unwrap(), write.parse().unwrap()).ops.into_iter().for_each(|op| model.add(op));
            names.push(name);
        }
    }
    let once: BTreeSet<&String> = names.iter().collect();
    assert_eq!(once.len(), names.len(), "each write is in the log once");
    for (round, write) in acknowledged {
        let name = format!("{round}-{write}");
        // A change that changes nothing is acknowledged and leaves no entry; these always bring other numbers, or nearly always.
        if !once.contains(&name) {
            let held = house.ports.metadata.head(&tenant()).await.unwrap();
            house.write(*round, *write).await;
            assert_eq!(
                house.ports.metadata.head(&tenant()).await.unwrap(),
                held,
                "{name} was acknowledged and is lost"
            );
        }
    }
    let ontology = &house.bound.served().ontology;
    let outcome = model.compare(&house.ports, &tenant(), ontology, true).await.unwrap();
    assert!(outcome.is_equal(), "the model: {:?}", outcome.shown);
    let outcome =
        Sum::of(&house.ports, &tenant()).await.unwrap().compare(&house.ports, &tenant(), ontology, true).await;
    let outcome = outcome.unwrap();
    assert!(outcome.is_equal(), "the log: {:?}", outcome.shown);
    assert!(outcome.records > 10, "{outcome}");
}

/// Hostile 72: the same key for something else is refused, also after a crash.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_72_a_key_stands_for_one_change() {
    for on_servers in [false, true] {
        let Some(whereabouts) =
            Whereabouts::fresh("hostile_72_a_key_stands_for_one_change", on_servers, Letters.dimensions())
        else {
            continue;
        };
        let house = House::open(&whereabouts, None).await;
        house.write(1, 1).await;
        drop(house);
        let house = House::open(&whereabouts, None).await;
        house.write(1, 1).await;
        assert_eq!(house.ports.metadata.head(&tenant()).await.unwrap(), 1);
        let trace = Trace::default();
        let call = Call { deadline: Instant::now() + Duration::from_secs(30), trace: &trace };
        let principal = Principal { tenant: tenant(), subject: None, claims: json!({}), operator: true };
        let terms = Terms { idempotency_key: Some("1-1"), at: "2026-11-21T10:00:00.000Z", ..Terms::default() };
        let refused = house.engine.write(&house.bound, &principal, change(1, 2), terms, call).await.unwrap_err();
        assert_eq!(refused.code(), Code::IdempotencyKeyReused);
    }
}
