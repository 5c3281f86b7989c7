//! A graph in Neo4j, asked through the gateway, through the Neo4j GraphQL Library and by hand.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use neo4rs::{ConfigBuilder, Graph, Query};
use serde_json::json;

use super::super::data::{FACILITIES, REGIONS};
use super::super::process::Process;
use super::super::world::TENANT;
use super::bolt::Counter;
use super::{Question, Who, compare, database, same_answers, serving, settled};

const SDL: &str = include_str!("../../facilities.graphql");
const NESTED: &str = include_str!("../../nested.graphql");
const POINT: &str = "query Point($id: ID!) { facilities(where: {id: {eq: $id}}) { id name region } }";

const DEVICES: u64 = FACILITIES * 10;
const ALERTS: u64 = DEVICES * 5;
/// Nodes or relationships in one transaction.
const PORTION: u64 = 10_000;

/// Runs the comparison on the server at a URL with credentials; `pid` is its process.
pub async fn measure(directory: &Path, url: &str, pid: Option<u32>, turns: (usize, Duration)) {
    fill(url).await;
    let questions = questions();
    let all = everybody(&directory.join("beside"), url, SDL, &questions);
    let answer = same_answers(&all, 0).await;
    let found = answer["data"]["facilities"].as_array().map_or(0, Vec::len);
    assert_eq!(found, 10, "not ten facilities: {answer}");
    same_answers(&all, 1).await;
    let statements = statements(&directory.join("beside-counted"), url, &questions).await;
    let counted = |question: usize, who: &str| {
        let found = statements.iter().find(|(name, _)| *name == who);
        found.map_or_else(String::new, |(_, counts)| format!("{:.1}", counts[question]))
    };
    let title = format!("Neo4j with {} nodes", FACILITIES + DEVICES + ALERTS);
    compare(&title, &all, &questions, turns, &database(pid), ("statements", &counted)).await;
}

fn questions() -> Vec<Question> {
    let regions = (0..REGIONS).map(|n| json!({"region": format!("region-{n}")})).collect();
    let ids = (0..1_000).map(|n| json!({"id": format!("f{}", n * 7 % FACILITIES)})).collect();
    vec![
        Question { name: "nested", query: NESTED, variables: regions },
        Question { name: "point", query: POINT, variables: ids },
    ]
}

/// The gateway in both ways to tell tenants apart, the library, and the program written by hand.
pub fn everybody(folder: &Path, url: &str, sdl: &str, questions: &[Question]) -> Vec<Who> {
    let gateway = |tenancy: &str| {
        // Neither of the others writes a line for each request.
        let settings = format!("[graph]\nurl = \"{url}\"\ntenancy = \"{tenancy}\"\n[logs]\nlevel = \"warn\"\n");
        serving(&settled(&folder.join(tenancy), &settings, sdl))
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let definitions = folder.join("definitions.graphql");
    let property = gateway("property");
    let whole = gateway("database");
    std::fs::write(&definitions, sdl.replace(" @index", "")).expect("definitions");
    let mut library = Command::new("node");
    library.arg(root.join("tests/peer/server.mjs")).env("PEER_NEO4J", url).env("PEER_DEFINITIONS", &definitions);
    library.env("PEER_SECRET", "a key of the benchmarks, 32 bytes long").env("NODE_ENV", "production");
    let by_hand = Process::start("serve-neo4rs", Path::new(url));
    vec![
        Who::asked("Quipu", property, "/graphql", questions),
        Who::asked("Quipu, a database per tenant", whole, "/graphql", questions),
        Who::asked("@neo4j/graphql", Process::spawn(library), "/", questions),
        Who::by_hand("neo4rs by hand", by_hand, questions),
    ]
}

/// Statements for each answer, by who asks and by question. Counted apart, because what counts stands in the way.
async fn statements(folder: &Path, url: &str, questions: &[Question]) -> Vec<(&'static str, Vec<f64>)> {
    let (credentials, address) = url.rsplit_once('@').expect("credentials");
    let mut counts: Vec<(&'static str, Vec<f64>)> = Vec::new();
    let counter = Counter::before(address);
    let all = everybody(folder, &format!("{credentials}@{}", counter.address), SDL, questions);
    for who in &all {
        let mut of_questions = Vec::new();
        for question in 0..questions.len() {
            // What is asked once is not counted.
            who.answers(question, 8).await;
            // The gateways look into their logs now and then, in the graph as well: the least of some rounds is what the answers take.
            let mut least = f64::INFINITY;
            for _ in 0..5 {
                let before = counter.statements();
                let answers = who.answers(question, 8).await.len();
                least = least.min((counter.statements() - before) as f64 / answers as f64);
            }
            of_questions.push(least);
        }
        counts.push((who.name, of_questions));
    }
    counts
}

/// Fills the database, where that was not done before.
async fn fill(url: &str) {
    let filling = Filling::connect(url);
    for index in ["Facility", "Device", "Alert"] {
        filling.run(&format!("CREATE CONSTRAINT IF NOT EXISTS FOR (n:{index}) REQUIRE n.id IS UNIQUE")).await;
    }
    filling.run("CREATE INDEX IF NOT EXISTS FOR (n:Facility) ON (n.region)").await;
    filling.run("CREATE INDEX IF NOT EXISTS FOR (n:Facility) ON (n.name)").await;
    let filled = ["MATCH (n:Alert) RETURN count(n) AS count", "MATCH ()-[r:RAISED]->() RETURN count(r) AS count"];
    filling
        .portions(
            "facilities",
            FACILITIES,
            "MERGE (n:Facility {_tenant: $tenant, id: 'f' + i}) SET n.region = 'region-' + (i % $regions), \
             n.name = 'Facility ' + right('0000' + (i * 7919) % $count, 5)",
            FACILITIES,
        )
        .await;
    filling
        .portions(
            "devices",
            DEVICES,
            "MERGE (n:Device {_tenant: $tenant, id: 'd' + i}) SET n.battery = (i * 31) % 101, \
             n.name = 'Device ' + right('00000' + (i * 7919) % $count, 6), \
             n.status = CASE i % 7 WHEN 0 THEN 'OFFLINE' WHEN 1 THEN 'DEGRADED' ELSE 'ONLINE' END \
             WITH n, i MATCH (f:Facility {id: 'f' + i / 10}) MERGE (f)-[:HAS_DEVICE \
             {_tenant: $tenant, _key: '', since: 1600000000 + (i * 104729) % 90000000, slot: i % 10}]->(n)",
            DEVICES,
        )
        .await;
    filling
        .portions(
            "alerts",
            ALERTS,
            "MERGE (n:Alert {_tenant: $tenant, id: 'a' + i}) SET n.severity = (i * 13) % 5, \
             n.message = 'temperature above ' + i % 12 + ' degrees for ' + i % 90 + ' minutes' \
             WITH n, i MATCH (d:Device {id: 'd' + i / 5}) MERGE (d)-[:RAISED {_tenant: $tenant, _key: ''}]->(n)",
            ALERTS,
        )
        .await;
    for filled in filled {
        assert_eq!(filling.count(filled).await, ALERTS, "the database holds something else: {filled}");
    }
}

/// Writes by hand, for what is measured.
pub struct Filling(Graph);

impl Filling {
    /// On the server at a URL with credentials.
    pub fn connect(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (credentials, address) = rest.rsplit_once('@').expect("credentials");
        let (user, password) = credentials.split_once(':').expect("a password");
        let config = ConfigBuilder::default().uri(format!("bolt://{address}")).user(user).password(password);
        // While the server writes to its disk, a portion can take long.
        let config = config.connection_timeout(Duration::from_secs(900));
        Self(Graph::connect(config.build().expect("settings")).expect("a pool"))
    }

    /// Runs a statement.
    pub async fn run(&self, text: &str) {
        self.send(text, 0, 0, 0).await;
    }

    /// Runs a statement for each `i` below a number, portion by portion, which can be run twice; `count` is a parameter of it. What an
    /// interrupted run of the same name has done is not done again.
    pub async fn portions(&self, name: &str, most: u64, create: &str, count: u64) {
        let done = format!("OPTIONAL MATCH (f:_Filled {{name: '{name}'}}) RETURN coalesce(max(f.to), 0) AS count");
        for from in (self.count(&done).await..most).step_by(PORTION as usize) {
            let to = most.min(from + PORTION);
            self.send(&format!("UNWIND range($from, $to) AS i {create}"), from, to - 1, count).await;
            self.send(&format!("MERGE (f:_Filled {{name: '{name}'}}) SET f.to = $to"), from, to, count).await;
        }
    }

    /// The column `count` of a statement's only row.
    pub async fn count(&self, text: &str) -> u64 {
        let mut rows = self.0.execute(Query::new(text.to_owned())).await.expect("it can be counted");
        let row = rows.next().await.expect("it can be counted");
        row.and_then(|row| row.get::<i64>("count").ok()).expect("a number") as u64
    }

    async fn send(&self, text: &str, from: u64, to: u64, count: u64) {
        let numbers = [("from", from), ("to", to), ("count", count), ("regions", REGIONS)];
        let query =
            numbers.into_iter().fold(Query::new(text.to_owned()), |query, (name, n)| query.param(name, n as i64));
        self.0.run(query.param("tenant", TENANT)).await.unwrap_or_else(|error| panic!("{error}: {text}"));
    }
}
