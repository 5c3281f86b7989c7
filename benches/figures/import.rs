//! `quipu import --no-embed` of JSON Lines of nodes and relationships into a new file, from the start of the process to its end.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use super::report::{median, table};
use super::world::{TENANT, World};

/// Imports that many records, half of them nodes, half relationships, each time into a new file.
pub async fn measure(directory: &Path, records: usize, turns: usize) {
    let folder = directory.join("import");
    let lines = lines(records).join("\n");
    let mut rates = Vec::new();
    for _ in 0..turns {
        // It may not be there.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        let settings = "[store]\npath = \"import.db\"\n[auth]\nsecret = \"a key of the benchmarks, 32 bytes long\"\n";
        std::fs::write(folder.join("quipu.toml"), settings).expect("settings");
        std::fs::write(folder.join("records.jsonl"), &lines).expect("records");
        drop(World::open(&folder.join("import.db"), include_str!("../chain.graphql")).await);
        let begun = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_quipu"))
            .args(["import", "--tenant", TENANT, "--no-embed", "records.jsonl"])
            .current_dir(&folder)
            .output()
            .expect("the binary runs");
        rates.push(records as f64 / begun.elapsed().as_secs_f64());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let _ = std::fs::remove_dir_all(&folder);
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
    table(&format!("Import of {records} records ({} bytes), {turns} times", lines.len()), &head, &[row]);
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
