//! The gateway over servers, turn by turn beside others over the same data on the same server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::load::{self, Load, request, run};
use super::process::{Process, cpu};
use super::report::{median, table};
use super::servers::token;
use super::world::TENANT;

pub mod bolt;
pub mod graph;
pub mod neo4rs_by_hand;
pub mod rows;
pub mod sqlx_by_hand;
pub mod walk;

/// Somebody who answers.
pub struct Who {
    name: &'static str,
    server: Process,
    /// One list for each question.
    requests: Vec<Vec<Vec<u8>>>,
}

/// What a turn measured.
struct Turn {
    load: Load,
    /// Processor time of the gateway and of the database for each answer, in milliseconds.
    cpu: [f64; 2],
}

impl Who {
    /// A GraphQL server that is asked each of the questions.
    fn asked(name: &'static str, server: Process, path: &str, questions: &[Question]) -> Self {
        let token = token();
        let requests = questions.iter().map(|question| {
            let bodies =
                question.variables.iter().map(|v| json!({"query": question.query, "variables": v}).to_string());
            bodies.map(|body| request(path, Some(&token), &body)).collect()
        });
        let requests = requests.collect();
        Self { name, server, requests }
    }

    /// A program with a route for each of the questions, called like it, which takes the variables.
    fn by_hand(name: &'static str, server: Process, questions: &[Question]) -> Self {
        let requests = questions.iter().map(|question| {
            let bodies = question.variables.iter().map(Json::to_string);
            bodies.map(|body| request(&format!("/{}", question.name), None, &body)).collect()
        });
        let requests = requests.collect();
        Self { name, server, requests }
    }

    async fn turn(&self, question: usize, clients: usize, span: Duration, database: &dyn Fn() -> Duration) -> Turn {
        let before = [self.server.cpu(), database()];
        let load = run(self.server.address, &self.requests[question], clients, span).await;
        let after = [self.server.cpu(), database()];
        let answers = load.rate * span.as_secs_f64();
        let cpu = [0, 1].map(|n| (after[n] - before[n]).as_secs_f64() * 1e3 / answers);
        Turn { load, cpu }
    }

    /// The answers to some requests of a question.
    async fn answers(&self, question: usize, most: usize) -> Vec<Json> {
        let mut all = Vec::new();
        for request in self.requests[question].iter().take(most) {
            let body = load::ask(self.server.address, request).await;
            let read = serde_json::from_slice(&body);
            all.push(read.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body))));
        }
        all
    }
}

/// What everybody is asked.
pub struct Question {
    /// In the table, and the route of programs written by hand.
    name: &'static str,
    query: &'static str,
    variables: Vec<Json>,
}

/// Everybody must say the same; one answer, to look at.
async fn same_answers(all: &[Who], question: usize) -> Json {
    let expected = all[0].answers(question, 8).await;
    for who in &all[1..] {
        let answers = who.answers(question, 8).await;
        assert_eq!(answers, expected, "{} answers otherwise than {}", who.name, all[0].name);
    }
    expected[0].clone()
}

/// Name of a further column, and what stands in it for a question and who answers.
type Extra<'a> = (&'a str, &'a dyn Fn(usize, &str) -> String);

/// Asks everybody everything, with one client and with sixteen. `last` is who the others are compared with; `extra` is a further column.
async fn compare(
    title: &str,
    all: &[Who],
    questions: &[Question],
    (turns, span): (usize, Duration),
    database: &dyn Fn() -> Duration,
    extra: Extra<'_>,
) {
    let mut rows = Vec::new();
    for (at, question) in questions.iter().enumerate() {
        for clients in [1, 16] {
            let mut measured: Vec<Vec<Turn>> = all.iter().map(|_| Vec::new()).collect();
            // The first turn of each warms up.
            for turn in 0..=turns {
                for (who, measured) in all.iter().zip(&mut measured) {
                    let one = who.turn(at, clients, span, database).await;
                    if turn > 0 {
                        measured.push(one);
                    }
                }
            }
            let first = median(measured[0].iter().map(|turn| turn.load.rate));
            for (who, turns) in all.iter().zip(&measured) {
                rows.push(row(question.name, clients, who.name, first, turns, extra.1(at, who.name)));
            }
        }
    }
    let head = [
        "question",
        "clients",
        "who",
        "answers/s",
        "the first to it",
        "p50 ms",
        "p99 ms",
        "gateway CPU ms",
        "database CPU ms",
        extra.0,
    ];
    table(&format!("{title}, {turns} turns of {span:?} each"), &head, &rows);
}

fn row(question: &str, clients: usize, who: &str, first: f64, turns: &[Turn], extra: String) -> Vec<String> {
    let middle = |of: &dyn Fn(&Turn) -> f64| median(turns.iter().map(of));
    let rate = middle(&|turn| turn.load.rate);
    vec![
        question.into(),
        clients.to_string(),
        who.into(),
        format!("{rate:.0}"),
        format!("{:.2}", first / rate),
        format!("{:.2}", middle(&|turn| turn.load.p50)),
        format!("{:.2}", middle(&|turn| turn.load.p99)),
        format!("{:.3}", middle(&|turn| turn.cpu[0])),
        format!("{:.3}", middle(&|turn| turn.cpu[1])),
        extra,
    ]
}

/// The processor time of a database: of processes whose number or whose parent's is this.
fn database(pid: Option<u32>) -> impl Fn() -> Duration {
    move || pid.map_or(Duration::ZERO, cpu)
}

/// A folder with the gateway's settings, which publishes an ontology; nothing is left of an earlier run.
fn settled(folder: &Path, settings: &str, sdl: &str) -> PathBuf {
    // It may not be there.
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let all = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"quipu.db\"\n[auth]\nsecret = \"a key of the benchmarks, 32 bytes long\"\n{settings}"
    );
    std::fs::write(folder.join("quipu.toml"), all).expect("settings");
    std::fs::write(folder.join("ontology.graphql"), sdl).expect("an ontology");
    quipu(folder, &["ontology", "publish", "--tenant", TENANT, "ontology.graphql"]);
    folder.to_owned()
}

/// Runs a command of the gateway.
fn quipu(folder: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_quipu")).args(arguments).current_dir(folder).output();
    let output = output.expect("the binary runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The gateway as it is served.
fn serving(folder: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
    command.arg("serve").current_dir(folder);
    Process::spawn(command)
}
