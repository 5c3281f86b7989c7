//! Hostile 64: requests of two tenants are dropped at every await, over pools of one connection each. Whoever comes next gets exactly their
//! own answer, no transaction stays open, and a change is there as a whole or not at all.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use quipu::stores::apart;
use quipu::stores::neo4j::Neo4j;
use quipu::stores::postgres::{self, Postgres};
use quipu::stores::qdrant;
use quipu::stores::redis::{Redis, RedisBus, RedisCache};
use quipu::stores::sqlite::{Embedded, Options};
use quipu_resolvers::ports::Embedder as _;
use serde_json::{Value as Json, json};
use sqlx::query_scalar;

use super::address;
use super::proxy::Proxy;
use super::redis::{LONG, options};
use crate::contract::{self, Stores};
use crate::spec::world::{Letters, TENANTS, World, admin};

/// One type is cached, so that requests go to the cache as well.
fn ontology() -> String {
    include_str!("../spec/farm.graphql").replace("type Alert @node", "type Alert @node @cache(ttl: 3600)")
}

/// What a request is, in a round that nobody else asks the same in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Nested,
    Cached,
    Search,
    Write,
}

impl Kind {
    fn query(self, round: usize) -> String {
        match self {
            Self::Nested => r#"{ facilities(limit: 10, where: {contracts: {some: {supplier: {startsWith: "Frost"}}}}, sort: [{id: ASC}]) {
                id name summary devices(sort: [{id: ASC}]) { id name alerts(sort: [{id: ASC}]) { message } }
                contracts(sort: [{id: ASC}]) { supplier facility { summary contracts(sort: [{id: ASC}]) { id } } } } }"#
                .to_owned(),
            Self::Cached => format!(
                "{{ alerts(where: {{severity: {{gte: -{round}}}}}, sort: [{{id: ASC}}]) {{ id message device {{ name facility {{ summary contracts(sort: [{{id: ASC}}]) {{ supplier }} }} }} }} }}"
            ),
            Self::Search => format!(
                r#"{{ search(query: "a warm place {round}", first: 3) {{ score node {{ ... on Facility {{ id summary contracts(sort: [{{id: ASC}}]) {{ supplier }} }} }} }}
                      facilitiesSimilar(query: "south {round}", first: 2, where: {{contracts: {{some: {{id: {{in: ["c1", "c3"]}}}}}}}}) {{ score node {{ summary }} }} }}"#
            ),
            Self::Write => format!(
                r#"mutation {{
                    createFacilities(input: [{{ id: "n{round}", name: "New", region: "EU", devices: {{ create: [
                        {{ node: {{ id: "n{round}", serial: "n{round}", name: "New" }}, edge: {{ since: "2026-01-01T00:00:00Z" }} }}] }} }}]) {{ facilities {{ name devices {{ name }} }} }}
                    createContracts(input: [{{ id: "n{round}", supplier: "New", facility_id: "n{round}" }}]) {{ contracts {{ facility {{ name }} }} }} }}"#
            ),
        }
    }
}

/// Polls a future that often and drops it: at once, or when it could go on. Its outcome, if it was done before.
pub async fn polled<T>(polls: usize, at_once: bool, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (Box::pin(future), polls);
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 && at_once => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Both tenants with the same ids, and texts of their own wherever a query looks.
async fn filled(world: World) -> World {
    let world = world.fill().await;
    for tenant in TENANTS {
        let change = format!(
            r#"mutation {{
                updateFacilities(where: {{id: {{eq: "f2"}}}}, update: {{summary: {{set: "{tenant} is a warm place in the south"}}}}) {{ info {{ nodesCreated }} }}
                updateDevices(where: {{id: {{in: ["d1", "d2", "d3", "d4"]}}}}, update: {{name: {{set: "of {tenant}"}}}}) {{ info {{ nodesCreated }} }}
                updateAlerts(where: {{id: {{in: ["a1", "a2", "a3"]}}}}, update: {{message: {{set: "of {tenant}"}}}}) {{ info {{ nodesCreated }} }}
                updateContracts(where: {{id: {{in: ["c1", "c3"]}}}}, update: {{supplier: {{set: "Frost of {tenant}"}}}}) {{ info {{ nodesCreated }} }} }}"#
        );
        world.data(&admin(tenant), &change).await;
    }
    world.embedded().await;
    world
}

/// What a tenant is answered when nobody disturbs it; it names no other tenant.
async fn undisturbed(world: &World, kind: Kind, tenant: &str, round: usize) -> Json {
    let data = world.data(&admin(tenant), &kind.query(round)).await;
    let other = if tenant == TENANTS[0] { TENANTS[1] } else { TENANTS[0] };
    assert!(data.to_string().contains(tenant) && !data.to_string().contains(other), "{tenant}: {data}");
    data
}

const READS: [Kind; 3] = [Kind::Nested, Kind::Cached, Kind::Search];

/// Drops requests at every await. `quiet` is asked whether nothing is left of them.
async fn abandon(world: &World, quiet: impl AsyncFn()) {
    let mut round = 1_000;
    let mut expected = Vec::new();
    for kind in READS {
        for tenant in TENANTS {
            round += 1;
            expected.push((kind, tenant, undisturbed(world, kind, tenant, round).await));
        }
    }
    let mut acknowledged = BTreeSet::new();
    for kind in [Kind::Nested, Kind::Cached, Kind::Search, Kind::Write] {
        let mut most = 0;
        for polls in 0.. {
            let mut done = 0;
            for at_once in [true, false] {
                round += 1;
                let (tenant, other) = (TENANTS[round % 2], TENANTS[(round + 1) % 2]);
                let who = admin(tenant);
                let query = kind.query(round);
                if let Some((body, _)) = polled(polls, at_once, world.body(&who, &query, json!({}))).await {
                    assert!(body.get("errors").is_none(), "{kind:?} after {polls}: {body}");
                    acknowledged.extend((kind == Kind::Write).then_some((tenant, round)));
                    done += 1;
                }
                // Whoever comes next, of the other tenant first; each kind in turn.
                for (kind, tenant) in [(READS[round % 3], other), (READS[(round + 1) % 3], tenant)] {
                    let (_, _, expected) = expected.iter().find(|(k, t, _)| (*k, *t) == (kind, tenant)).expect("asked");
                    round += 2;
                    let data = world.data(&admin(tenant), &kind.query(round)).await;
                    assert_eq!(&data, expected, "{kind:?} of {tenant} after {polls} polls");
                }
            }
            most = polls;
            if done == 2 {
                break;
            }
        }
        assert!(most > 2, "{kind:?} is done after {most} polls: it was dropped nowhere");
        quiet().await;
    }
    // As many as the pools hold, and more, are answered side by side: no place was lost.
    let many = (0..12).map(|n| undisturbed(world, READS[n % 3], TENANTS[n / 3 % 2], round + 1 + n));
    join_all(many).await;
    whole(world, round, &acknowledged).await;
}

/// What the log holds of the rounds is in the stores, and nothing else is.
async fn whole(world: &World, rounds: usize, acknowledged: &BTreeSet<(&'static str, usize)>) {
    let mut written = 0;
    for tenant in TENANTS {
        let who = admin(tenant);
        world.engine.catch_up(&who.tenant).await.unwrap();
        let log = world.ports().metadata.log(&who.tenant, 0, u32::MAX).await.unwrap();
        assert!(log.iter().zip(1..).all(|(entry, seq)| entry.seq == seq), "no gaps");
        let names = |of: &str| -> BTreeSet<String> {
            let effects = log.iter().flat_map(|entry| &entry.effects);
            let new = effects.filter(|effect| effect.record.of == of && effect.record.id.starts_with('n'));
            new.map(|effect| effect.record.id.clone()).collect()
        };
        let (facilities, contracts) = (names("Facility"), names("Contract"));
        assert!(contracts.is_subset(&facilities), "one after the other: {facilities:?} {contracts:?}");
        for (_, round) in acknowledged.iter().filter(|(of, _)| *of == tenant) {
            assert!(contracts.contains(&format!("n{round}")), "{round} was acknowledged");
        }
        let query = r#"{ facilities(where: {id: {startsWith: "n"}}, limit: 1000) { id devices { id } contracts { id } }
                         devicesConnection(where: {id: {startsWith: "n"}}) { totalCount } }"#;
        let data = world.data(&who, query).await;
        let found = data["facilities"].as_array().unwrap();
        assert_eq!(found.len(), facilities.len(), "{data}");
        assert_eq!(data["devicesConnection"]["totalCount"], json!(facilities.len()), "{data}");
        for facility in found {
            let id = facility["id"].as_str().unwrap();
            assert!(facilities.contains(id), "{id} is not in the log");
            assert_eq!(facility["devices"], json!([{ "id": id }]));
            let contract = if contracts.contains(id) { json!([{ "id": id }]) } else { json!([]) };
            assert_eq!(facility["contracts"], contract, "{id}");
        }
        written += facilities.len();
    }
    assert!(written > 0 && rounds > 0 && !acknowledged.is_empty(), "some were done");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_64_abandoned_at_every_await_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { readers: 1, wait: LONG, ..Options::default() };
    let store = Embedded::open(&directory.path().join("quipu.db"), options).await.unwrap();
    let stores = Stores {
        graph: Arc::new(store.graph()),
        metadata: Arc::new(store.metadata()),
        vectors: Arc::new(store.vectors()),
        _kept: Box::new(directory),
    };
    let world = filled(World::over(stores, &ontology()).await).await;
    abandon(&world, async || {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_64_abandoned_at_every_await_on_servers() {
    let test = "hostile_64_abandoned_at_every_await_on_servers";
    let Some(servers) = Servers::open(test).await else { return };
    let world = World::over(servers.stores().await, &ontology()).await;
    let world = match &servers.redis {
        Some(redis) => {
            let cache = Arc::new(RedisCache::new(redis, 1 << 20, LONG));
            let bus = Arc::new(RedisBus::new(redis));
            world.beside(|ports| (ports.bus, ports.cache) = (bus, cache))
        }
        None => world,
    };
    let world = filled(world).await;
    abandon(&world, async || servers.quiet().await).await;
}

/// The servers, with a way to look what goes on there.
struct Servers {
    graph: quipu::stores::neo4j::Options,
    wire: Proxy,
    looks: neo4rs::Graph,
    rows: postgres::Options,
    name: String,
    login: String,
    redis: Option<Redis>,
}

impl Servers {
    async fn open(test: &str) -> Option<Self> {
        let graph = address("QUIPU_TEST_NEO4J", test).and_then(|_| contract::neo4j::options())?;
        let server = contract::postgres::server(test)?;
        let host = graph.url.split_once("://").expect("a URL").1;
        let wire = Proxy::to(host).await;
        let looks = neo4rs::Graph::new(format!("bolt://{host}"), graph.user.clone(), graph.password.clone());
        let looks = looks.expect("a connection");
        let url = format!("{}://{}", graph.url.split_once("://").expect("a URL").0, wire.address);
        let graph = quipu::stores::neo4j::Options { url, pool: 1, wait: LONG, ..graph };
        let mut rows = server.fresh();
        let name = format!("abandoned_{}", std::process::id());
        rows.url = contract::postgres::with_parameter(&rows.url, &format!("application_name={name}"));
        (rows.connections, rows.wait) = (1, LONG);
        let redis = match std::env::var("QUIPU_TEST_REDIS").ok().filter(|url| !url.is_empty()) {
            Some(url) => Some(Redis::open(options(&url, "abandoned")).await.unwrap_or_else(|error| panic!("{error}"))),
            None => None,
        };
        Some(Self { graph, wire, looks, rows, name, login: server.login.clone(), redis })
    }

    async fn stores(&self) -> Stores {
        let metadata =
            Postgres::open(self.rows.clone()).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
        let graph = Neo4j::open(self.graph.clone()).await.unwrap_or_else(|error| panic!("{error}; {}", error.help));
        let metadata = Arc::new(metadata);
        let graph = Arc::new(graph.with_rows(metadata.clone()));
        if let Some(options) = contract::qdrant::options() {
            let dimension = Letters.dimensions();
            let options = qdrant::Options { connections: 1, requests: 1, wait: LONG, dimension, ..options };
            let (store, kept) = contract::qdrant::kept(&options, ()).await;
            let vectors = apart::over(Arc::new(store), graph.clone(), metadata.clone());
            return Stores { graph, metadata, vectors, _kept: Box::new(kept) };
        }
        let directory = tempfile::tempdir().unwrap();
        let file = Embedded::open(&directory.path().join("quipu.db"), Options::default()).await.unwrap();
        let vectors = apart::over(Arc::new(file.vectors()), graph.clone(), metadata.clone());
        Stores { graph, metadata, vectors, _kept: Box::new(directory) }
    }

    /// Waits until no transaction of ours is open.
    async fn quiet(&self) {
        let begun = Instant::now();
        let mut login = contract::postgres::plain(&self.login, &self.rows).await;
        let text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state <> 'idle'";
        loop {
            let rows: i64 = query_scalar(text).bind(&self.name).fetch_one(&mut login).await.unwrap();
            let mut open = Vec::new();
            let all = neo4rs::query("SHOW TRANSACTIONS YIELD clientAddress, currentQuery");
            let mut transactions = self.looks.execute(all).await.unwrap();
            while let Some(row) = transactions.next().await.unwrap() {
                let (client, text) = (row.get::<String>("clientAddress"), row.get::<String>("currentQuery"));
                if client.is_ok_and(|client| self.wire.is_end(&client)) {
                    open.push(text.unwrap_or_default());
                }
            }
            if rows == 0 && open.is_empty() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{rows} in Postgres; {open:?} in Neo4j");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
