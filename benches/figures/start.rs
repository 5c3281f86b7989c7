//! From the start of `quipu serve` on the demo's file to its first answer, and the memory that it holds while nothing is asked; the
//! model is not needed for either.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::load::{ask, request};
use super::process::resident;
use super::report::{median, table};

const QUERY: &str = r#"{"query": "{ documents(limit: 1) { id title chunks(limit: 1) { id } source { licence } } }"}"#;

/// A server that is stopped when it is dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the binary and waits until it says where it serves.
fn start(folder: &Path, arguments: &[&str]) -> (Served, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
    command.args(arguments).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary runs");
    let out = child.stdout.take().expect("its output is piped");
    let served = Served(child);
    let line = BufReader::new(out).lines().next().expect("it says something").expect("its output can be read");
    let address = line.strip_prefix("quipu serves on http://").and_then(|address| address.parse().ok());
    (served, address.unwrap_or_else(|| panic!("it does not say where it serves: {line}")))
}

/// Loads the demo once, then starts it again and again.
pub async fn measure(directory: &Path, turns: usize) {
    let folder = directory.join("start");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let settings = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"demo/quipu.db\"\n[auth]\nsecret_file = \"demo/secret\"\n\
                    [embedding]\nmodel = \"none\"\n[playground]\ndemo_tokens = \"demo/tokens.json\"\n";
    std::fs::write(folder.join("quipu.toml"), settings).expect("settings");
    std::fs::create_dir_all(folder.join("demo")).expect("the folder can be made");
    std::fs::write(folder.join("demo/secret"), "a key of the benchmarks, 32 bytes long").expect("a key");
    std::fs::write(folder.join("demo/tokens.json"), "[]").expect("tokens");
    drop(start(&folder, &["demo", "--dir", "demo", "--config", "quipu.toml"]));
    let tokens = std::fs::read(folder.join("demo/tokens.json")).expect("tokens");
    let tokens: Json = serde_json::from_slice(&tokens).expect("tokens are JSON");
    let request = request("/graphql", tokens[0]["token"].as_str(), QUERY);
    let (mut times, mut idle) = (Vec::new(), 0);
    for turn in 0..turns {
        let begun = Instant::now();
        let (served, address) = start(&folder, &["serve", "--config", "quipu.toml"]);
        let answer = ask(address, &request).await;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        let answer: Json = serde_json::from_slice(&answer).expect("an answer is JSON");
        assert!(answer["data"]["documents"][0]["source"]["licence"].is_string(), "{answer}");
        if turn == 0 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            idle = resident(&served.0.id().to_string());
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    let highest = times.iter().copied().fold(0.0, f64::max);
    let middle = median(times);
    let head = ["of 150 ms", "ms, middle", "ms, longest", "of 60 MB", "MB idle"];
    let idle = idle as f64 / 1e6;
    let row = vec![
        format!("**{:.2}**", middle / 150.0),
        format!("{middle:.0}"),
        format!("{highest:.0}"),
        format!("**{:.2}**", idle / 60.0),
        format!("{idle:.0}"),
    ];
    table(&format!("From the start to the first answer on the demo's file, {turns} times"), &head, &[row]);
}
