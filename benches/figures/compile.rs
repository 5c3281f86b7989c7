//! An ontology of a hundred types, from its text to a served API: how long it takes and how much memory it holds. Run in a process of
//! its own, so that nothing else is in the memory.

use std::fmt::Write;
use std::time::{Duration, Instant};

use quipu_resolvers::ports::Served;
use quipu_schema::api::Api;

use super::process::resident;
use super::report::{median, table};
use super::world::{World, tenant};

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

/// Compiles and binds; one row of the table.
fn row(world: &World, relationships: usize) -> Vec<String> {
    let sdl = ontology(100, relationships);
    let before = resident("self");
    let bound = bind(world, &sdl);
    let held = resident("self").saturating_sub(before);
    let mut took = [const { Vec::new() }; 3];
    for _ in 0..7 {
        for (all, one) in took.iter_mut().zip(bind(world, &sdl).1) {
            all.push(one.as_secs_f64() * 1e3);
        }
    }
    let took = took.map(median);
    drop(bound);
    vec![
        relationships.to_string(),
        format!("**{:.0}**", took.iter().sum::<f64>()),
        took.map(|one| format!("{one:.1}")).join(" + "),
        format!("**{:.0}**", held as f64 / 1e6),
    ]
}

fn bind(world: &World, sdl: &str) -> (std::sync::Arc<quipu_resolvers::Bound>, [Duration; 3]) {
    let begun = Instant::now();
    let ontology = quipu_schema::compile(sdl).unwrap_or_else(|problems| panic!("{}", problems.render("bench", false)));
    let compiled = begun.elapsed();
    let api = Api::of(&ontology);
    let derived = begun.elapsed();
    let bound = world.engine.bind(Served { tenant: tenant(), version: 1, ontology, api }).expect("it binds");
    (bound, [compiled, derived - compiled, begun.elapsed() - derived])
}

/// Prints the table for one number of relationships.
pub async fn measure(world: World, relationships: usize) {
    let head = ["relationships per type", "ms", "compile + derive + bind", "MB held"];
    table("100 types, from SDL to a served API", &head, &[row(&world, relationships)]);
}
