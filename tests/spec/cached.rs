//! Results of types with `@cache`, and vectors of queries: shared by those who may see the same, as long as nothing is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{join, join_all};
use quipu::stores::bus::LocalBus;
use quipu::stores::cache::LocalCache;
use quipu_resolvers::guard::Principal;
use quipu_resolvers::ports::{Cache, CacheKey, Clock, Found, KeyKind, Lookup, Trace};
use serde_json::json;

use super::access::matrix;
use super::follower::Follower;
use super::gate::{Counted, Gate};
use super::world::{TENANTS, World, admin, principal};

/// The ontology of the tests with `@cache` on every type.
pub fn cached_farm() -> String {
    include_str!("farm.graphql")
        .replace(" @node", " @node @cache(ttl: 3600)")
        .replace(" @table", " @cache(ttl: 3600) @table")
}

/// A clock that goes when it is told to, so that nothing is too old by itself.
#[derive(Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Keeps nothing, so that only what is made at the same time can be shared.
struct Forgetful;

#[async_trait]
impl Cache for Forgetful {
    async fn get(&self, _: &CacheKey) -> Found {
        Found::Nothing
    }

    async fn put(&self, _: &CacheKey, _: Bytes, _: Duration) {}

    fn largest(&self) -> usize {
        1 << 20
    }
}

/// A filled world in which every type is cached, and its clock.
async fn world() -> (World, Arc<Hands>) {
    let hands = Arc::new(Hands::default());
    let cache = Arc::new(LocalCache::new(64 << 20, 1 << 20, hands.clone()));
    let world = World::of(&cached_farm()).await.beside(|ports| ports.cache = cache).fill().await;
    (world, hands)
}

const WALK: &str = r#"query($region: String!) { facilities(limit: 10, where: {region: {eq: $region}, contracts: {some: {supplier: {eq: "Frost"}}}}) {
    id name notes rating devices(sort: [{id: ASC}]) { id total alerts { severity } }
    contracts(sort: [{id: ASC}]) { supplier price facility { name contracts { id } } } } }"#;

/// What came of the lookups of results.
fn lookups(trace: &Trace) -> Vec<(&'static str, u64)> {
    let all = Lookup::ALL.into_iter().map(|lookup| (lookup.as_str(), trace.lookups(KeyKind::Result, lookup)));
    all.filter(|(_, times)| *times > 0).collect()
}

#[tokio::test]
async fn hostile_56_nobody_sees_by_the_cache_what_they_may_not_see() {
    let (cached, _) = world().await;
    let uncached = World::filled().await;
    let expected = matrix(&uncached, "alpha").await;
    for round in 1..=2 {
        for tenant in TENANTS {
            assert_eq!(matrix(&cached, tenant).await, expected, "{tenant}, round {round}");
        }
    }
    // The same ids and other contents: the texts that differ between tenants never cross.
    for tenant in TENANTS {
        for _ in 1..=2 {
            let data = cached.data(&admin(tenant), "{ facility(id: \"f1\") { summary } }").await;
            assert_eq!(data["facility"]["summary"], tenant);
        }
    }
}

#[tokio::test]
async fn a_hit_runs_no_statement_and_is_shared_by_those_who_may_see_the_same() {
    let (world, _) = world().await;
    for tenant in TENANTS {
        let eu = principal(tenant, json!({"regions": ["EU"]}));
        let (first, made) = world.body(&eu, WALK, json!({"region": "EU"})).await;
        assert!(
            first["errors"].is_null() && first["data"]["facilities"][0]["contracts"][0]["supplier"] == "Frost",
            "{first}"
        );
        // Contracts of the condition, the walk, contracts, facilities, contracts.
        assert_eq!(made, [2, 3, 0]);
        assert_eq!(world.body(&eu, WALK, json!({"region": "EU"})).await, (first.clone(), [0, 0, 0]));
        let other =
            Principal { subject: Some("ben".into()), ..principal(tenant, json!({"regions": ["EU"], "team": "x"})) };
        assert_eq!(world.body(&other, WALK, json!({"region": "EU"})).await.1, [0, 0, 0], "the same rights");
        let aliased = WALK.replace("id name notes", "id: id called: name notes");
        let (renamed, counts) = world.body(&eu, &aliased, json!({"region": "EU"})).await;
        assert_eq!(
            (&renamed["data"]["facilities"][0]["called"], counts),
            (&json!("North"), [0, 0, 0]),
            "names are not part of it"
        );
        for (who, variables) in [
            (admin(tenant), json!({"region": "EU"})),
            (principal(tenant, json!({"regions": ["EU", "US"]})), json!({"region": "EU"})),
            (eu.clone(), json!({"region": "US"})),
        ] {
            let (body, counts) = world.body(&who, WALK, variables).await;
            assert!(body["errors"].is_null() && counts[0] > 0, "other rights, or another question: {body}");
        }
    }
}

#[tokio::test]
async fn every_root_read_field_of_the_type_is_cached_and_nothing_else() {
    let (world, _) = world().await;
    let who = admin("alpha");
    for query in [
        "{ device(id: \"d1\") { name } }",
        "{ devices(where: {battery: {gt: 50}}) { id } }",
        "{ devicesConnection(first: 2, sort: [{id: DESC}]) { totalCount edges { cursor node { id } } pageInfo { hasNextPage } aggregate { node { battery { max } } } } }",
        "{ contracts { id facility { id } } }",
        "{ device(id: \"none\") { name } }",
    ] {
        let (first, made) = world.body(&who, query, json!({})).await;
        assert!(made.iter().sum::<u64>() > 0, "{query}");
        assert_eq!(world.body(&who, query, json!({})).await, (first, [0, 0, 0]), "{query}");
    }
    let plain = World::filled().await;
    for (world, query) in [
        (&world, "{ assets { id } }"),
        (&world, "{ entitiesConnection { totalCount } }"),
        (&world, "{ relationships { type } }"),
        (
            &world,
            "mutation { updateDevices(where: {id: {eq: \"d1\"}}, update: {battery: {set: 90}}) { devices { id battery } } }",
        ),
        (&plain, "{ devices { id } }"),
    ] {
        for _ in 1..=2 {
            let trace = Arc::default();
            let body = world.traced(&who, query, json!({}), &trace).await;
            assert!(body["errors"].is_null() && lookups(&trace).is_empty(), "{query}: {body}");
        }
    }
    // Who explains a query wants its statements run.
    let trace = Arc::new(Trace::keeping());
    world.traced(&who, "{ contracts { id facility { id } } }", json!({}), &trace).await;
    assert_eq!((trace.statements().len(), lookups(&trace)), (2, vec![("pass", 1)]));
}

#[tokio::test]
async fn after_a_write_the_answer_is_new_at_once_here_and_elsewhere_when_it_is_heard_of() {
    let (world, _) = world().await;
    let elsewhere = world.beside(|ports| ports.bus = Arc::new(LocalBus::default()));
    for tenant in TENANTS {
        let who = admin(tenant);
        let (nodes, rows) = (
            "{ facility(id: \"f1\") { name devices { id } } }",
            "{ contract(id: \"c1\") { supplier facility { name } } }",
        );
        for world in [&world, &elsewhere] {
            world.data(&who, nodes).await;
            world.data(&who, rows).await;
        }
        for number in 1..=3 {
            let set = format!(
                "mutation {{ updateFacilities(where: {{id: {{eq: \"f1\"}}}}, update: {{name: {{set: \"N{number}\"}}}}) {{ facilities {{ id }} }}
                             updateContracts(where: {{id: {{eq: \"c1\"}}}}, update: {{supplier: {{set: \"S{number}\"}}}}) {{ contracts {{ id }} }} }}"
            );
            world.data(&who, &set).await;
            let contract = json!({"supplier": format!("S{number}"), "facility": {"name": format!("N{number}")}});
            assert_eq!(world.data(&who, nodes).await["facility"]["name"], format!("N{number}"));
            assert_eq!(world.data(&who, rows).await["contract"], contract);
            elsewhere.engine.catch_up(&who.tenant).await.unwrap();
            assert_eq!(elsewhere.data(&who, rows).await["contract"], contract);
            assert_eq!(
                elsewhere.body(&who, nodes, json!({})).await.1,
                [0, 0, 0],
                "what one instance made serves the other"
            );
        }
    }
}

#[tokio::test]
async fn a_graph_that_is_behind_what_was_announced_is_read_without_the_cache() {
    let (world, _) = world().await;
    let behind = world.beside(|ports| ports.bus = Arc::new(LocalBus::default()));
    let who = admin("alpha");
    let came = async || {
        let trace = Arc::default();
        behind.traced(&who, "{ vehicles { id } }", json!({}), &trace).await;
        lookups(&trace)
    };
    assert_eq!((came().await, came().await), (vec![("miss", 1)], vec![("hit", 1)]), "nothing was announced yet");
    let position = world.ports().graph.position(&who.tenant).await.unwrap();
    behind.ports().bus.announce(&who.tenant, position + 1).await;
    assert_eq!((came().await, came().await), (vec![("pass", 1)], vec![("pass", 1)]));
    world.data(&who, r#"mutation { createVehicles(input: [{ id: "v3", name: "Cart" }]) { vehicles { id } } }"#).await;
    assert_eq!((came().await, came().await), (vec![("miss", 1)], vec![("hit", 1)]));
}

/// What is kept while a graph is made anew is kept for that time only, also by those who have not noticed yet.
#[tokio::test]
async fn what_is_read_of_a_graph_that_is_made_anew_does_not_outlive_that() {
    let (world, _) = world().await;
    let (serving, rebuilding) = (world.beside(|_| {}), world.beside(|_| {}));
    for tenant in TENANTS {
        let who = admin(tenant);
        let came = async |query: &str| {
            let trace = Arc::default();
            let body = serving.traced(&who, query, json!({}), &trace).await;
            (body["data"].clone(), lookups(&trace))
        };
        let (one, other) = ("{ facilities { id name } }", "{ vehicles { id name } }");
        let whole = (came(one).await.0, came(other).await.0);
        assert_eq!(came(one).await, (whole.0.clone(), vec![("hit", 1)]));
        rebuilding.ports().graph.clear(&who.tenant).await.unwrap();
        // Nobody has told this instance: what it finds in an empty graph is kept.
        let asked_anew = "{ facilities { name } }";
        assert_eq!(came(asked_anew).await, (json!({"facilities": []}), vec![("miss", 1)]));
        assert_eq!(came(asked_anew).await, (json!({"facilities": []}), vec![("hit", 1)]));
        // Half of it is there, and this instance has looked: nothing is kept, nothing is found.
        let log = rebuilding.ports().metadata.log(&who.tenant, 0, 1).await.unwrap();
        rebuilding.ports().graph.apply(&who.tenant, &log).await.unwrap();
        let held = Follower::held(world.ports().graph.clone());
        let looking = serving.beside(|ports| ports.graph = held);
        for query in [one, other] {
            let trace = Arc::default();
            looking.traced(&who, query, json!({}), &trace).await;
            looking.traced(&who, query, json!({}), &trace).await;
            assert_eq!(lookups(&trace), [("pass", 2)], "{query}");
        }
        rebuilding.engine.catch_up(&who.tenant).await.unwrap();
        serving.engine.catch_up(&who.tenant).await.unwrap();
        for _ in 0..2 {
            assert_eq!((came(one).await.0, came(other).await.0), whole);
            let named = came(asked_anew).await.0;
            assert_eq!(
                named["facilities"].as_array().map(Vec::len),
                Some(4),
                "what was kept meanwhile is gone: {named}"
            );
        }
        assert_eq!(came(asked_anew).await.1, [("hit", 1)], "and things are kept again");
    }
}

#[tokio::test]
async fn data_that_changes_beside_the_log_is_seen_when_the_time_is_over() {
    let (world, hands) = world().await;
    let query = "{ vehicles { id } }";
    let runs = async || world.body(&admin("alpha"), query, json!({})).await.1[0];
    assert_eq!((runs().await, runs().await), (1, 0));
    hands.0.store(3_599_999, Ordering::SeqCst);
    assert_eq!(runs().await, 0);
    hands.0.store(3_600_000, Ordering::SeqCst);
    assert_eq!((runs().await, runs().await), (1, 0));
}

/// Has an instance look how far the graph is, so that what is asked next goes to the gate without a break. Takes one read.
async fn known(gated: &World, graph: &Gate) {
    graph.open(1);
    gated.data(&admin("alpha"), "{ vehicles { id } }").await;
}

#[tokio::test]
async fn hostile_70_one_request_makes_what_many_ask_for() {
    let (world, _) = world().await;
    let graph = Gate::before(world.ports().graph.clone());
    let gated = world.beside(|ports| (ports.graph, ports.cache) = (graph.clone(), Arc::new(Forgetful)));
    let (who, trace) = (admin("alpha"), Arc::default());
    let query = "{ facilities { id name contracts { id } } }";
    let expected = World::filled().await.data(&who, query).await;
    let ask = || gated.traced(&who, query, json!({}), &trace);
    known(&gated, &graph).await;
    // All of them wait before the gate opens.
    let (bodies, ()) = join(join_all((0..20).map(|_| ask())), async { graph.open(1) }).await;
    assert!(bodies.iter().all(|body| body["data"] == expected && body["errors"].is_null()), "{bodies:?}");
    assert_eq!((graph.begun(), lookups(&trace)), (2, vec![("miss", 1), ("shared", 19)]));
    // Other rights are another question.
    let eu = principal("alpha", json!({"regions": ["EU"]}));
    let (both, ()) = join(join(ask(), gated.traced(&eu, query, json!({}), &trace)), async { graph.open(2) }).await;
    assert_ne!(both.0, both.1);
    assert_eq!(graph.begun(), 4);
}

#[tokio::test]
async fn hostile_70_whoever_waits_goes_on_when_the_maker_fails_or_goes_away() {
    let (world, _) = world().await;
    let graph = Gate::before(world.ports().graph.clone());
    let gated = world.beside(|ports| ports.graph = graph.clone());
    let who = admin("alpha");
    let ask = |trace| {
        let (gated, who) = (&gated, &who);
        async move { gated.traced(who, "{ facilities { id } }", json!({}), &trace).await }
    };
    known(&gated, &graph).await;
    // The first one is in the store when its client goes; two wait for it.
    let mut gone = Box::pin(ask(Arc::default()));
    let (second, third) = (Arc::new(Trace::default()), Arc::new(Trace::default()));
    assert!(futures_util::poll!(gone.as_mut()).is_pending());
    assert_eq!(graph.begun(), 2);
    let waiting = join(ask(second.clone()), ask(third.clone()));
    let (bodies, ()) = join(waiting, async {
        drop(gone);
        graph.open(1);
    })
    .await;
    assert_eq!((bodies.0["data"]["facilities"].as_array().map(Vec::len), &bodies.0), (Some(4), &bodies.1));
    assert_eq!((graph.begun(), lookups(&second), lookups(&third)), (3, vec![("miss", 1)], vec![("shared", 1)]));
    // The next maker fails; who waits makes it after all, and the failure is kept by nobody.
    let change = "mutation { updateFacilities(where: {id: {eq: \"f3\"}}, update: {name: {set: \"Orient\"}}) { info { nodesCreated } } }";
    world.data(&who, change).await;
    known(&gated, &graph).await;
    graph.fail_once();
    let asks = join_all((0..3).map(|_| ask(Arc::default())));
    let (bodies, ()) = join(asks, async { graph.open(2) }).await;
    assert_eq!(bodies[0]["errors"][0]["extensions"]["code"], "STORE_UNAVAILABLE");
    assert!(bodies[1..].iter().all(|body| body["errors"].is_null()), "{bodies:?}");
    assert_eq!(graph.begun(), 6);
    let (body, counts) = gated.body(&who, "{ facilities { id } }", json!({})).await;
    assert_eq!((body["errors"].is_null(), counts), (true, [0, 0, 0]));
}

#[tokio::test]
async fn a_text_is_embedded_once_per_tenant() {
    let (world, _) = world().await;
    world.embedded().await;
    let counted = Arc::new(Counted::default());
    let world = world.beside(|ports| ports.embedder = counted.clone());
    let texts = || counted.0.load(Ordering::SeqCst);
    let similar = r#"{ facilitiesSimilar(query: "a warm place in the south", first: 1) { score node { id } } }"#;
    let first = world.data(&admin("alpha"), similar).await;
    assert_eq!(world.data(&admin("alpha"), similar).await, first, "to the last digit");
    world.data(&principal("alpha", json!({"regions": ["EU"]})), similar).await;
    world.data(&admin("alpha"), r#"{ search(query: "a warm place in the south") { score } }"#).await;
    assert_eq!(texts(), 1, "rights play no part in what a text means");
    world.data(&admin("beta"), similar).await;
    assert_eq!(texts(), 2, "what others asked cannot be told by the time it takes");
    world.data(&admin("alpha"), r#"{ search(query: "a cold place") { score } }"#).await;
    assert_eq!(texts(), 3);
}
