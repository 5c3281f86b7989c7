//! With the real model. The library's path comes from `ORT_DYLIB_PATH`, which `make test` sets.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::quipu::{FARM, Quipu, Running};

const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--config", "model.toml"];
const IMPORT: [&str; 5] = ["import", "--tenant", "farm", "--config", "model.toml"];
const NEAREST: &str = "{ farmsSimilar(query: \"milk\", first: 1) { node { id } } }";

/// The settings that name model and library.
pub fn embedding() -> String {
    let dylib = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).filter(|path| path.is_file());
    let dylib = dylib.expect(
        "this test needs the ONNX Runtime library: run `make setup`, then set ORT_DYLIB_PATH to the file it prints",
    );
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/all-MiniLM-L6-v2");
    format!("[embedding]\nmodel = {model:?}\ndylib = {dylib:?}\n")
}

/// The farm, with a model.
fn with_model() -> Quipu {
    let quipu = Quipu::with_farm();
    quipu.file("model.toml", format!("[auth]\nsecret_file = \"secret\"\n{}threads = 1\n", embedding()));
    quipu
}

fn farm(id: &str, about: &str) -> String {
    json!({"node": "Farm", "id": id, "properties": {"name": id, "region": "EU", "about": about}}).to_string()
}

async fn until(running: &Running, token: &str, id: &str) {
    let begun = Instant::now();
    let wanted = json!({"farmsSimilar": [{"node": {"id": id}}]});
    loop {
        let answer: Json = running.ask(token, NEAREST).await;
        if answer["data"] == wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "still {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn an_import_waits_for_the_vectors() {
    let quipu = with_model();
    quipu.file("a.jsonl", [farm("cows", "cows in a dairy"), farm("wheat", "fields of wheat")].join("\n"));
    let ended = quipu.run(&[&IMPORT[..], &["a.jsonl"]].concat());
    assert_eq!((ended.code, ended.err.contains("warning")), (Some(0), false), "{ended:?}");
    let more = ["--role", "admin", "--config", "model.toml"];
    let answer = quipu.answer("farm", NEAREST, &more);
    assert_eq!(answer["data"], json!({"farmsSimilar": [{"node": {"id": "cows"}}]}), "{answer}");
}

#[tokio::test]
async fn a_server_embeds_what_it_is_told_and_what_others_import() {
    let quipu = with_model();
    let running = quipu.start(&SERVE);
    let ready = async || -> Json { serde_json::from_str(&running.text("/readyz").await).expect("JSON") };
    let before = ready().await;
    assert_eq!((&before["status"], &before["parts"]["embedding"]), (&json!("ready"), &json!("not loaded yet")));
    let token = quipu.token("farm", &["--role", "admin"]);
    quipu.file("a.jsonl", farm("wheat", "fields of wheat"));
    assert_eq!(quipu.run(&[&IMPORT[..], &["--no-embed", "a.jsonl"]].concat()).code, Some(0));
    until(&running, &token, "wheat").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(ready().await["parts"]["embedding"], "up");
    let create = r#"mutation { createFarms(input: [{ id: "cows", name: "cows", region: "EU", about: "cows in a dairy" }]) { info { nodesCreated } } }"#;
    let made = running.ask(&token, create).await;
    assert!(made.get("errors").is_none(), "{made}");
    until(&running, &token, "cows").await;
    // What has no text any more is not found by it.
    let update = r#"mutation { updateFarms(where: { id: { eq: "cows" } }, update: { about: { set: null } }) { info { nodesCreated } } }"#;
    let made = running.ask(&token, update).await;
    assert!(made.get("errors").is_none(), "{made}");
    until(&running, &token, "wheat").await;
    assert_eq!(running.stop().code, Some(0));
}

#[tokio::test]
async fn what_becomes_embedded_is_embedded_in_the_background_and_forgotten_again() {
    let quipu = with_model();
    let plain = FARM.replace("about: String @embed", "about: String");
    let publish = |sdl: &str| {
        quipu.file("farm.graphql", sdl);
        quipu.run(&["ontology", "publish", "--tenant", "farm", "farm.graphql", "--config", "model.toml"])
    };
    assert_eq!(publish(&plain).code, Some(0));
    quipu.file("a.jsonl", [farm("cows", "cows in a dairy"), farm("wheat", "fields of wheat")].join("\n"));
    assert_eq!(quipu.run(&[&IMPORT[..], &["a.jsonl"]].concat()).code, Some(0));
    let running = quipu.start(&SERVE);
    let token = quipu.token("farm", &["--role", "admin"]);
    let published = publish(FARM);
    assert!(published.out.contains("2 records that are there are embedded in the background"), "{published:?}");
    until(&running, &token, "cows").await;
    let begun = Instant::now();
    while !running.text("/metrics").await.contains("quipu_records_to_embed 0") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", running.text("/metrics").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // Removed and marked again: what was written in between is what is found.
    assert_eq!(publish(&plain).code, Some(0));
    quipu.file("a.jsonl", [farm("cows", "a field"), farm("wheat", "goats and their milk")].join("\n"));
    assert_eq!(quipu.run(&[&IMPORT[..], &["a.jsonl"]].concat()).code, Some(0));
    assert_eq!(publish(FARM).code, Some(0));
    until(&running, &token, "wheat").await;
    let ended = running.stop();
    assert_eq!(ended.code, Some(0));
    for line in ["embedding records that were there before", "left=2", "all records are found by meaning"] {
        assert!(ended.err.contains(line), "{line}: {}", ended.err);
    }
}
