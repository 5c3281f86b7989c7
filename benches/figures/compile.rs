//! An ontology of a hundred types, from its text to the first answer of its API: how long it takes and how much memory it holds, and both
//! for the first introspection. Run in a process of its own, so that nothing else is in the memory.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu_resolvers::ports::Served;
use quipu_resolvers::{Answer, Ask, Bound, Engine, Settings};

use super::process::resident;
use super::report::{median, table};
use super::world::{World, principal, tenant};

/// The first question to an API.
const QUERY: &str = "{ thing0s(where: {name: {eq: \"x\"}}, limit: 5) { id name state } }";

/// What tools ask for to know an API.
const INTROSPECTION: &str = "{ __schema { queryType { name } types { kind name description interfaces { name } possibleTypes { name } enumValues { name }
    fields(includeDeprecated: true) { name description type { ...t } args { name description defaultValue type { ...t } } }
    inputFields { name description defaultValue type { ...t } } } } }
    fragment t on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// An ontology of that many types of nodes, each with ten properties and some relationships.
pub fn ontology(types: usize, relationships: usize) -> String {
    let mut sdl = String::new();
    for n in 0..types {
        let _ = writeln!(
            sdl,
            "type Thing{n} @node {{ id: ID! name: String! @index code: String! @unique state: String size: Int weight: Float \
             made: DateTime day: Date active: Boolean tags: [String!]"
        );
        for r in 0..relationships {
            let to = (n + 1 + r * 7) % types;
            let _ = writeln!(sdl, "way{r}: [Thing{to}!]! @relationship(type: \"WAY_{n}_{r}\", direction: OUT)");
        }
        sdl.push_str("}\n");
    }
    sdl
}

/// Seven times from text to answer; one row of the table.
async fn row(world: &World, relationships: usize) -> Vec<String> {
    let sdl = ontology(100, relationships);
    let before = resident("self");
    let served = serve(world, &sdl, 1).await;
    let held = resident("self").saturating_sub(before);
    let begun = Instant::now();
    let schema = ask(world, &served.bound, INTROSPECTION).await;
    let introspected = begun.elapsed();
    assert!(schema.errors == 0 && schema.body.len() > 100_000, "introspection fails");
    let with_schema = resident("self").saturating_sub(before);
    let mut took = [const { Vec::new() }; 2];
    for version in 2..9 {
        for (all, one) in took.iter_mut().zip(serve(world, &sdl, version).await.took) {
            all.push(one.as_secs_f64() * 1e3);
        }
    }
    let took = took.map(median);
    drop(served);
    vec![
        relationships.to_string(),
        format!("**{:.0}**", took.iter().sum::<f64>()),
        took.map(|one| format!("{one:.1}")).join(" + "),
        format!("**{:.0}**", held as f64 / 1e6),
        format!("{:.0}", introspected.as_secs_f64() * 1e3),
        format!("{:.0}", with_schema as f64 / 1e6),
    ]
}

/// An API that has answered a query, and how long that took.
struct Ready {
    bound: Arc<Bound>,
    took: [Duration; 2],
}

async fn serve(world: &World, sdl: &str, version: u64) -> Ready {
    let begun = Instant::now();
    let (ontology, api) =
        quipu_schema::compile_with_api(sdl).unwrap_or_else(|problems| panic!("{}", problems.render("bench", false)));
    let bound = world.engine.bind(Served { tenant: tenant(), version, ontology, api });
    let made = begun.elapsed();
    let answer = ask(world, &bound, QUERY).await;
    assert_eq!(answer.errors, 0, "{answer:?}");
    Ready { bound, took: [made, begun.elapsed() - made] }
}

async fn ask(world: &World, bound: &Arc<Bound>, query: &str) -> Answer {
    let ask = Ask {
        query: query.to_owned(),
        operation_name: None,
        variables: Default::default(),
        may_write: false,
        idempotency_key: None,
        position: None,
        deadline: Instant::now() + Duration::from_secs(30),
        trace: Arc::default(),
        pricing: Default::default(),
    };
    world.engine.answer(bound, &principal(), ask).await
}

/// Prints the table for one number of relationships.
pub async fn measure(world: World, relationships: usize) {
    // Introspection is off in the other benchmarks, as in production.
    let settings = Settings { limits: Default::default(), introspection: true, cursor_secret: vec![7; 32] };
    let world = World { engine: Engine::new(world.ports.clone(), settings), ..world };
    let head = [
        "relationships per type",
        "ms",
        "compile and derive + first answer",
        "MB held",
        "ms of the first introspection",
        "MB with it",
    ];
    table("100 types, from SDL to the first answer", &head, &[row(&world, relationships).await]);
}
