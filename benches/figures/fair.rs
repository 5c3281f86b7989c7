//! What one tenant's flood does to another: somebody who asks now and then, alone, beside a flood of another tenant, and beside the same flood as
//! if both were one tenant, which then wait in one line.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join;
use futures_util::stream::BoxStream;
use quipu::http::{Absent, Gateway, TenantApi};
use quipu_resolvers::guard::{Principal, TenantId};
use quipu_resolvers::{Answer, Ask, TextHash};
use serde_json::json;

use super::data::{REGIONS, chain};
use super::load::{self, Load, request};
use super::process::Process;
use super::report::{median, table};
use super::servers::{self, token_of};
use super::world::{World, tenant};

const QUERY: &str = include_str!("../nested.graphql");
/// Clients of the flood, each of which asks again as soon as it is answered.
const FLOOD: usize = 64;
/// How long the other one thinks between its questions.
const THINKING: Duration = Duration::from_millis(10);

/// Two tenants that read the same records, so that their questions take the same.
#[derive(Clone)]
struct Two(Arc<World>);

impl Gateway for Two {
    fn api(&self, tenant: &TenantId) -> Result<Arc<dyn TenantApi>, Absent> {
        match tenant.as_str() {
            "quiet" | "loud" => Ok(Arc::new(self.clone())),
            _ => Err(Absent::Unknown),
        }
    }
}

fn reading(principal: Principal) -> Principal {
    Principal { tenant: tenant(), ..principal }
}

#[async_trait]
impl TenantApi for Two {
    async fn answer(&self, principal: &Principal, ask: Ask) -> Answer {
        self.0.engine.answer(&self.0.bound, &reading(principal.clone()), ask).await
    }

    fn watch(&self, principal: Principal, ask: Ask) -> BoxStream<'static, Answer> {
        self.0.engine.watch(self.0.bound.clone(), reading(principal), ask)
    }

    fn published(&self, _id: &str) -> Option<Arc<str>> {
        None
    }

    fn is_published(&self, _text: &str) -> bool {
        false
    }

    fn kept(&self, _hash: &TextHash) -> Option<Arc<str>> {
        None
    }
}

/// Serves the file to both; in company a tenant holds so many places.
pub async fn serve(world: World, share: &str) {
    let share = share.parse().expect("a number from 1");
    let credentials = world.credentials.clone();
    let gateway = Arc::new(Two(Arc::new(world)));
    servers::gateway(gateway, credentials, |config| {
        config.server.tenant_share = Some(share);
    })
    .await;
}

/// Runs the comparison.
pub async fn measure(file: &Path, turns: usize, span: Duration) {
    drop(chain(file).await);
    let mut rows = Vec::new();
    for share in [1, 2, 4, 16, 64] {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg("serve-fair").arg(file).arg(share.to_string());
        let server = Process::spawn(command);
        let (quiet, loud) = (questions("quiet"), questions("loud"));
        let mut alone = Vec::new();
        let (mut apart, mut together, mut flood) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..turns {
            alone.push((now_and_then(&server, &quiet, span).await, None));
            apart.push(beside(&server, &quiet, &loud, span).await);
            together.push(beside(&server, &loud, &loud, span).await);
            flood.push((load::run(server.address, &loud, FLOOD, span).await, None));
        }
        let calm = median(alone.iter().map(|(load, _)| load.p99));
        rows.push(row(share, "alone", calm, &alone));
        rows.push(row(share, "beside the flood of another tenant", calm, &apart));
        rows.push(row(share, "in one line with the flood", calm, &together));
        let rate = median(flood.iter().map(|(load, _): &(Load, Option<f64>)| load.rate));
        let none = || String::new();
        rows.push(vec![
            share.to_string(),
            "nobody: the flood alone".into(),
            none(),
            none(),
            none(),
            format!("{rate:.0}"),
        ]);
    }
    let head = [
        "`server.tenant_share`",
        "who asks now and then",
        "p50 ms",
        "p99 ms",
        "of its p99 alone",
        "the flood's answers/s",
    ];
    table(
        &format!("One that asks every {THINKING:?} and a flood of {FLOOD} clients, {turns} turns of {span:?} each"),
        &head,
        &rows,
    );
}

fn questions(tenant: &str) -> Vec<Vec<u8>> {
    let token = token_of(&TenantId::parse(tenant).expect("a name of a tenant"));
    let regions = (0..REGIONS).map(|n| format!("region-{n}"));
    let body = |region| json!({"query": QUERY, "variables": {"region": region}}).to_string();
    regions.map(|region| request("/graphql", Some(&token), &body(region))).collect()
}

/// Asks one question after another, with pauses.
async fn now_and_then(server: &Process, questions: &[Vec<u8>], span: Duration) -> Load {
    let mut connection = load::Connection::open(server.address).await;
    let (begun, mut times) = (Instant::now(), Vec::new());
    for question in questions.iter().cycle() {
        tokio::time::sleep(THINKING).await;
        let asked = Instant::now();
        if asked - begun >= span {
            break;
        }
        assert_eq!(connection.ask(question).await, 200, "the server refused");
        times.push(asked.elapsed());
    }
    Load::of(times, begun.elapsed())
}

/// The same while others flood the server; with the rate of the flood.
async fn beside(server: &Process, quiet: &[Vec<u8>], loud: &[Vec<u8>], span: Duration) -> (Load, Option<f64>) {
    let (load, flood) = join(now_and_then(server, quiet, span), load::run(server.address, loud, FLOOD, span)).await;
    (load, Some(flood.rate))
}

fn row(share: usize, who: &str, calm: f64, turns: &[(Load, Option<f64>)]) -> Vec<String> {
    let p99 = median(turns.iter().map(|(load, _)| load.p99));
    let flood: Vec<f64> = turns.iter().filter_map(|(_, rate)| *rate).collect();
    vec![
        share.to_string(),
        who.into(),
        format!("{:.2}", median(turns.iter().map(|(load, _)| load.p50))),
        format!("{p99:.2}"),
        format!("**{:.2}**", p99 / calm),
        if flood.is_empty() { String::new() } else { format!("{:.0}", median(flood)) },
    ]
}
