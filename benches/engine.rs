//! The gateway's own time for one query: document (cached, and new every time), plan, guard, answer. The graph's rows are in memory,
//! recorded from the embedded store once.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use quipu_resolvers::change::{Change, Entry, Mode, Op, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Applied, Call, Graph, Hit, Matching, Reader, Served, Terms, Trace};
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use quipu_resolvers::{Ask, Engine, Ports, Settings};
use serde_json::{Map, Value as Json, json};

#[path = "figures/world.rs"]
#[allow(dead_code, reason = "the other benchmarks use the rest of it")]
mod world;

use world::{World, principal};

const SDL: &str = include_str!("chain.graphql");
const QUERY: &str = include_str!("nested.graphql");

/// As in the gateway's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A graph that answers with outcomes that lie ready.
struct Ready(Mutex<Vec<Value>>);

/// A graph that notes what another one answers.
struct Noting {
    graph: Arc<dyn Graph>,
    noted: Mutex<Option<Value>>,
}

#[async_trait]
impl Reader for Ready {
    async fn read(&self, _: &Allowed<Read>, _: Call<'_>) -> Result<Value, Fault> {
        let ready = self.0.lock().expect("nobody panicked").pop();
        ready.ok_or_else(|| Fault::internal("benchmark", "no outcome lies ready"))
    }

    async fn read_many(&self, _: &Allowed<Read>, _: &[Value], _: Call<'_>) -> Result<Vec<Value>, Fault> {
        Err(Fault::internal("benchmark", "the query crosses no stores"))
    }
}

#[async_trait]
impl Reader for Noting {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        let outcome = self.graph.read(read, call).await?;
        *self.noted.lock().expect("nobody panicked") = Some(outcome.clone());
        Ok(outcome)
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        self.graph.read_many(read, keys, call).await
    }
}

/// Neither of them searches or follows the log.
macro_rules! only_reads {
    ($($graph:ty),+) => {$(
        #[async_trait]
        impl Graph for $graph {
            async fn matching(&self, _: &Allowed<Matching>, _: Call<'_>) -> Result<Vec<Hit>, Fault> {
                Err(Fault::internal("benchmark", "the query searches nothing"))
            }

            async fn apply(&self, _: &TenantId, _: &[Entry]) -> Result<Applied, Fault> {
                Err(Fault::internal("benchmark", "nothing is written"))
            }

            async fn position(&self, _: &TenantId) -> Result<u64, Fault> {
                Ok(0)
            }

            async fn clear(&self, _: &TenantId) -> Result<(), Fault> {
                Err(Fault::internal("benchmark", "nothing is written"))
            }
        }
    )+};
}
only_reads!(Ready, Noting);

fn ask(query: &str) -> Ask {
    Ask {
        query: query.to_owned(),
        operation_name: None,
        variables: Map::from_iter([("region".to_owned(), Json::from("EU"))]),
        may_write: false,
        idempotency_key: None,
        position: None,
        deadline: Instant::now() + Duration::from_secs(30),
        trace: Arc::default(),
        pricing: Default::default(),
    }
}

/// Twelve facilities of a region with eight devices each and five alerts for each of these.
async fn fill(world: &World) {
    let mut ops = Vec::new();
    let put = |ops: &mut Vec<Op>, of: &str, id: &str, set: Json| {
        let Json::Object(set) = set else { unreachable!("properties are an object") };
        let record = Ref { of: of.into(), id: id.into() };
        ops.push(Op::Put { record, row: false, mode: Mode::Create, set, unique: Vec::new(), embed: Vec::new() });
    };
    let link =
        |ops: &mut Vec<Op>, relationship_type: &str, (a, from): (&str, &str), (b, to): (&str, &str), set: Json| {
            let set = set.as_object().cloned().unwrap_or_default();
            let (from, to) = (Ref { of: a.into(), id: from.into() }, Ref { of: b.into(), id: to.into() });
            ops.push(Op::Link { relationship_type: relationship_type.into(), from, to, key: String::new(), set });
        };
    for f in 0..12 {
        let facility = format!("f{f}");
        put(&mut ops, "Facility", &facility, json!({"name": format!("Facility {f:05}"), "region": "EU"}));
        for d in 0..8 {
            let device = format!("d{f}-{d}");
            put(
                &mut ops,
                "Device",
                &device,
                json!({"name": format!("Device {f:03}{d:03}"), "status": "ONLINE", "battery": d * 9}),
            );
            let since = json!({"since": format!("2026-01-{:02}T08:00:00.000Z", d + 1), "slot": d});
            link(&mut ops, "HAS_DEVICE", ("Facility", &facility), ("Device", &device), since);
            for a in 0..5 {
                let alert = format!("a{f}-{d}-{a}");
                let message = format!("temperature above {a} degrees for {} minutes", a * 7);
                put(
                    &mut ops,
                    "Alert",
                    &alert,
                    json!({"severity": a, "message": message, "raised": "2026-01-01T08:00:00.000Z"}),
                );
                link(&mut ops, "RAISED", ("Device", &device), ("Alert", &alert), Json::Null);
            }
        }
    }
    let trace = Trace::default();
    let call = Call { deadline: Instant::now() + Duration::from_secs(60), trace: &trace };
    let terms = Terms { at: "2026-01-01T08:00:00.000Z", ..Terms::default() };
    world.engine.write(&world.bound, &principal(), Change { ops }, terms, call).await.expect("it is written");
}

/// The same tenant served by an engine over another graph.
fn over(world: &World, graph: Arc<dyn Graph>) -> (Arc<Engine>, Arc<quipu_resolvers::Bound>) {
    let ports = Ports { graph, ..world.ports.clone() };
    let settings = Settings { limits: Default::default(), introspection: false, cursor_secret: vec![7; 32] };
    let engine = Engine::new(ports, settings);
    let ontology = quipu_schema::compile(SDL).expect("it compiles");
    let api = quipu_schema::api::Api::of(&ontology);
    let served = Served { tenant: world::tenant(), version: 1, ontology, api };
    let bound = engine.bind(served);
    (engine, bound)
}

fn nested(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a folder");
    let (engine, bound, ready, outcome) = runtime.block_on(async {
        let world = World::open(&directory.path().join("quipu.db"), SDL).await;
        fill(&world).await;
        let noting = Arc::new(Noting { graph: world.ports.graph.clone(), noted: Mutex::default() });
        let (engine, bound) = over(&world, noting.clone());
        let expected = engine.answer(&bound, &principal(), ask(QUERY)).await;
        assert_eq!(expected.errors, 0, "{expected:?}");
        let outcome = noting.noted.lock().expect("nobody panicked").take().expect("the graph was asked");
        let ready = Arc::new(Ready(Mutex::new(vec![outcome.clone()])));
        let (engine, bound) = over(&world, ready.clone());
        let answer = engine.answer(&bound, &principal(), ask(QUERY)).await;
        assert_eq!(answer.body, expected.body, "the same rows make the same answer");
        eprintln!("an answer of {} bytes", answer.body.len());
        (engine, bound, ready, outcome)
    });
    let mut number = 0_u64;
    for (name, new) in [("rows in memory", false), ("the document new every time", true)] {
        criterion.bench_function(&format!("gateway: nested 10 x 5 x 3, {name}"), |bencher| {
            let prepare = || {
                number += 1;
                ready.0.lock().expect("nobody panicked").push(outcome.clone());
                let text = if new { format!("{QUERY}# {number}") } else { QUERY.to_owned() };
                (principal(), ask(&text))
            };
            let answer = |(principal, ask)| {
                let (engine, bound) = (&engine, &bound);
                async move { black_box(engine.answer(bound, &principal, ask).await) }
            };
            bencher.to_async(&runtime).iter_batched(prepare, answer, BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, nested);
criterion_main!(benches);
