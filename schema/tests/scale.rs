//! How long a large ontology takes.

use std::fmt::Write;
use std::time::{Duration, Instant};

use quipu_schema::compile;

/// An ontology of so many types: each with 12 properties, 3 relationships, a join and a rule.
fn generated(types: usize) -> String {
    let mut sdl = String::from("type Since @relationshipProperties { at: DateTime! confidence: Float }\n");
    for n in 0..types {
        let (next, far) = ((n + 1) % types, (n + 7) % types);
        write!(
            sdl,
            "\"Number {n}.\"
            type Thing{n} @authorization(filter: [{{where: {{node: {{region: {{in: \"$jwt.regions\"}}}}}}}}]) {{
              id: ID!
              name: String! @unique
              region: String! @index
              summary: String @embed
              state: State{n}! @default(value: ON)
              size: Int
              weight: Float
              count: BigInt
              made: DateTime
              day: Date
              tags: [String!]!
              extra: JSON
              next: [Thing{next}!]! @relationship(type: \"NEXT_{n}\", direction: OUT, properties: \"Since\")
              far: Thing{far} @relationship(type: \"FAR_{n}\", direction: OUT)
              papers: [Document!]! @relationship(type: \"TOLD_IN\", direction: OUT)
              rows: [Row{n}!]! @join(on: \"thing_id\")
            }}
            type Row{n} @table {{ id: ID! value: Float! thing: Thing{n}! @join(by: \"thing_id\") }}
            enum State{n} {{ ON OFF }}
            "
        )
        .expect("a string takes everything");
    }
    sdl
}

#[test]
fn a_hundred_types() {
    let sdl = generated(50);
    compile(&sdl).expect("it compiles");
    let started = Instant::now();
    let ontology = compile(&sdl).expect("it compiles");
    let took = started.elapsed();
    println!("{} types, {} bytes: {took:?}", ontology.types.len(), sdl.len());
    assert_eq!(ontology.types.len(), 102);
    // A release build is held to a fiftieth of a second by the benchmark; this only notices a change of order.
    assert!(took < Duration::from_secs(30), "took {took:?}");
}
