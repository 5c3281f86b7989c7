//! An import without embedding: JSON Lines of nodes and relationships, parsed, and written as changes through the engine.

use std::path::Path;
use std::time::{Duration, Instant};

use quipu::ingest::records::{Record, Reference, parse};
use quipu_resolvers::change::{Change, Mode, Op, Ref};
use quipu_resolvers::ports::{Call, Terms, Trace};
use serde_json::json;

use super::report::{median, table};
use super::world::{World, principal};

/// Imports that many records, half of them nodes, half relationships, into new files.
pub async fn measure(directory: &Path, records: usize, batch: usize, turns: usize) {
    let lines = lines(records);
    let bytes: usize = lines.iter().map(String::len).sum();
    let mut rates = Vec::new();
    for turn in 0..turns {
        let file = directory.join(format!("import-{turn}.db"));
        remove(&file);
        let world = World::open(&file, include_str!("../chain.graphql")).await;
        let begun = Instant::now();
        for batch in lines.chunks(batch) {
            write(&world, batch).await;
        }
        rates.push(records as f64 / begun.elapsed().as_secs_f64());
        drop(world);
        remove(&file);
    }
    let rate = median(rates.iter().copied());
    let head = ["of 40,000", "records/s", "lowest", "highest"];
    let (lowest, highest) =
        rates.iter().fold((f64::MAX, 0.0_f64), |(low, high), rate| (low.min(*rate), high.max(*rate)));
    let row = vec![
        format!("**{:.2}**", rate / 40_000.0),
        format!("{rate:.0}"),
        format!("{lowest:.0}"),
        format!("{highest:.0}"),
    ];
    table(&format!("Import of {records} records ({bytes} bytes) in batches of {batch}, {turns} times"), &head, &[row]);
}

fn remove(file: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        // It may not be there.
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
}

/// A device and its alert's node, then the relationship between two devices' ends.
fn lines(records: usize) -> Vec<String> {
    let mut lines = Vec::with_capacity(records);
    for n in 0..records / 4 {
        lines.push(json!({"node": "Device", "id": format!("d{n}"), "properties": {"name": format!("Device {n}"), "status": "ONLINE", "battery": n % 101, "firmware": "4.2.1"}}));
        lines.push(json!({"node": "Alert", "id": format!("a{n}"), "properties": {"severity": n % 5, "message": format!("temperature above {} degrees", n % 12), "raised": "2026-01-01T08:00:00.000Z"}}));
        lines.push(
            json!({"relationship": "RAISED", "from": {"Device": format!("d{n}")}, "to": {"Alert": format!("a{n}")}}),
        );
        lines.push(json!({"relationship": "RAISED", "from": {"Device": format!("d{}", n * 7 % (n + 1))}, "to": {"Alert": format!("a{n}")}}));
    }
    lines.iter().map(ToString::to_string).collect()
}

async fn write(world: &World, lines: &[String]) {
    let ops = lines.iter().map(|line| op(parse(line).expect("a good line"))).collect();
    let trace = Trace::default();
    let call = Call { deadline: Instant::now() + Duration::from_secs(60), trace: &trace };
    let terms = Terms { at: "2026-01-01T08:00:00.000Z", ..Terms::default() };
    world.engine.write(&world.bound, &principal(), Change { ops }, terms, call).await.expect("it is written");
}

fn op(record: Record) -> Op {
    let reference = |Reference { of, id }| Ref { of, id };
    match record {
        Record::Node { node, id, properties } => Op::Put {
            record: Ref { of: node, id },
            row: false,
            mode: Mode::Upsert,
            set: properties,
            unique: Vec::new(),
            embed: Vec::new(),
        },
        Record::Relationship { relationship, from, to, key, properties } => Op::Link {
            relationship_type: relationship,
            from: reference(from),
            to: reference(to),
            key: key.unwrap_or_default(),
            set: properties,
        },
        Record::Row { .. } | Record::Document { .. } => unreachable!("only nodes and relationships were made"),
    }
}
