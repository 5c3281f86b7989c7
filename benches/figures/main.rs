//! The figures of BENCHMARKS.md that need files, servers and load. Each is measured against the same thing written by hand, in the same
//! run, where there is such a thing. `cargo bench --bench figures -- NAME...` measures only the named ones.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

mod beside;
mod compile;
mod data;
mod fair;
mod guard;
mod hops;
mod import;
mod load;
mod nested;
mod process;
mod recall;
mod report;
mod servers;
mod similar;
mod start;
mod world;

/// As in the gateway's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAMES: [&str; 8] = ["nested", "hops", "guard", "similar", "import", "start", "compile", "fair"];
const HELP: &str = "figures: nested hops guard similar import start compile fair; without one, all of these
         peer --neo4j=URL --neo4j-pid=N               beside the Neo4j GraphQL Library and neo4rs by hand
         walk --neo4j=URL --neo4j-pid=N               the same for walks over many relationships in Neo4j
         rows --postgres=URL --postgres-owner=URL --postgres-pid=N    beside sqlx by hand
         recall --qdrant=URL                          what searches in Qdrant find of the nearest
  --ten-million    hops and walk over 10 million relationships instead of 1 million, which are made in some minutes; the file has 1.5 GB
  --quick          shorter turns";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let role = arguments.first().map(String::as_str);
    let file = arguments.get(1).map(Path::new);
    match (role, file) {
        (Some("serve-ours"), Some(file)) => return servers::ours(data::chain(file).await).await,
        (Some("serve-fair"), Some(file)) => {
            let share = arguments.get(2).expect("a number");
            return fair::serve(data::chain(file).await, share).await;
        }
        (Some("serve-by-hand"), Some(file)) => return servers::by_hand(file).await,
        (Some("serve-neo4rs"), Some(url)) => {
            return beside::neo4rs_by_hand::serve(url.to_str().expect("a URL")).await;
        }
        (Some("serve-sqlx"), Some(file)) => return beside::sqlx_by_hand::serve(file).await,
        (Some("compile-once"), Some(relationships)) => {
            let relationships = relationships.to_str().and_then(|text| text.parse().ok()).expect("a number");
            let world = world::World::open(&world::directory().join("empty.db"), "type Thing @node { id: ID! }").await;
            return compile::measure(world, relationships).await;
        }
        _ => {}
    }
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    if flag("--help") {
        return println!("{HELP}");
    }
    let named: Vec<&str> = arguments.iter().map(String::as_str).filter(|name| NAMES.contains(name)).collect();
    let wanted = |name: &str| named.is_empty() || named.contains(&name);
    let directory = world::directory();
    std::fs::create_dir_all(&directory).expect("the folder for the files can be made");
    let (turns, span) = if flag("--quick") { (3, Duration::from_secs(1)) } else { (7, Duration::from_secs(3)) };
    let value = |name: &str| arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
    let process = |name: &str| value(name).and_then(|pid| pid.parse().ok());
    // Those over servers need these, so they are asked for by name.
    let relationships = if flag("--ten-million") { 10_000_000 } else { 1_000_000 };
    if let (Some(url), true) = (value("--neo4j"), flag("walk")) {
        beside::walk::measure(&directory, url, process("--neo4j-pid"), relationships, (turns, span)).await;
    } else if let Some(url) = value("--neo4j") {
        beside::graph::measure(&directory, url, process("--neo4j-pid"), (turns, span)).await;
    }
    if let (Some(login), Some(owner)) = (value("--postgres"), value("--postgres-owner")) {
        beside::rows::measure(&directory, login, owner, process("--postgres-pid"), (turns, span)).await;
    }
    if let Some(url) = value("--qdrant") {
        recall::measure(&directory, url, if flag("--quick") { 5_000 } else { 50_000 }, 200).await;
    }
    let servers = ["--neo4j=", "--postgres=", "--qdrant="];
    if arguments.iter().any(|argument| servers.iter().any(|server| argument.starts_with(server))) {
        return;
    }
    if wanted("nested") {
        nested::measure(&directory.join("chain.db"), turns, span).await;
    }
    if wanted("hops") {
        hops::measure(&directory.join(format!("people-{relationships}.db")), relationships, 2_000).await;
    }
    if wanted("guard") {
        guard::measure(&directory.join("guard.db"), if flag("--quick") { 400 } else { 3_000 }).await;
    }
    if wanted("similar") {
        similar::measure(&directory.join("passages.db"), 100_000, 200).await;
    }
    if wanted("import") {
        import::measure(&directory, 400_000, if flag("--quick") { 1 } else { 3 }).await;
    }
    if wanted("start") {
        start::measure(&directory, if flag("--quick") { 3 } else { 15 }).await;
    }
    if wanted("fair") {
        fair::measure(&directory.join("chain.db"), turns, span).await;
    }
    if wanted("compile") {
        for relationships in ["0", "2", "5"] {
            let program = std::env::current_exe().expect("this program has a path");
            let status = Command::new(program).args(["compile-once", relationships]).status();
            assert!(status.is_ok_and(|status| status.success()), "compiling failed");
        }
    }
}
