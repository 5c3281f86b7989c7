//! Hostile 68: what was written can be read afterwards, by whichever instance, for those who bring back the position that they were told.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use quipu::stores::bus::LocalBus;
use quipu_resolvers::guard::Principal;
use quipu_resolvers::value::position;
use serde_json::{Value as Json, json};

use super::cached::cached_farm;
use super::follower::{Follower, Watched};
use super::world::{SECRET, TENANTS, World, admin};

const QUERY: &str = r#"{ facility(id: "f1") { name contracts { id facility { name } } } }"#;

fn rename(name: &str) -> String {
    format!(
        r#"mutation {{ updateFacilities(where: {{id: {{eq: "f1"}}}}, update: {{name: {{set: "{name}"}}}}) {{ facilities {{ name }} }} }}"#
    )
}

/// The position that an answer tells.
fn told(answer: &Json) -> String {
    answer["extensions"]["position"].as_str().unwrap_or_else(|| panic!("no position: {answer}")).to_owned()
}

/// Has an instance accept a change into the log which its graph then does not follow.
async fn accepted(world: &World, who: &Principal, name: &str) -> String {
    let graph = Follower::failing(world.ports().graph.clone());
    let answer = world.beside(|ports| ports.graph = graph).body(who, &rename(name), json!({})).await.0;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "STORE_UNAVAILABLE", "{answer}");
    told(&answer)
}

/// Another instance, which hears of nothing.
fn elsewhere(world: &World, change: impl FnOnce(&mut quipu_resolvers::Limits)) -> (World, Arc<Follower>, Arc<Watched>) {
    let graph = Follower::held(world.ports().graph.clone());
    let log = Watched::over(world.ports().metadata.clone());
    let (graph_port, log_port) = (graph.clone(), log.clone());
    let other = world.beside_with(
        |ports| {
            (ports.graph, ports.metadata, ports.bus) = (graph_port, log_port, Arc::new(LocalBus::default()));
        },
        change,
    );
    (other, graph, log)
}

#[tokio::test]
async fn hostile_68_what_one_instance_wrote_another_one_answers() {
    let world = World::filled().await;
    for tenant in TENANTS {
        let who = admin(tenant);
        let position = accepted(&world, &who, "Nord").await;
        let (other, graph, log) = elsewhere(&world, |limits| limits.position_wait = Duration::from_secs(600));
        // Nobody waits who has no position.
        assert_eq!(other.data(&who, QUERY).await["facility"]["name"], "North");
        let mut asked = Box::pin(other.at(&who, QUERY, &position));
        while graph.counts().1 == 0 {
            assert!(poll!(asked.as_mut()).is_pending(), "it waits until the graph is there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let many = join_all((0..30).map(|_| other.at(&who, QUERY, &position)));
        let release = async {
            tokio::task::yield_now().await;
            graph.let_go();
        };
        let (first, many, ()) = tokio::join!(asked, many, release);
        for answer in many.iter().chain([&first]) {
            assert_eq!(answer["data"]["facility"]["contracts"][0]["facility"]["name"], "Nord", "{answer}");
            assert_eq!(answer["data"]["facility"]["name"], "Nord", "{answer}");
        }
        assert!(graph.counts().1 == 1 && graph.counts().0 <= 2, "one follows for all: {:?}", graph.counts());
        // From here on it is known, and asks for nothing.
        let before = (graph.counts(), log.asked());
        for _ in 0..3 {
            assert_eq!(other.at(&who, QUERY, &position).await["data"]["facility"]["name"], "Nord");
        }
        assert_eq!((graph.counts(), log.asked()), before);
    }
}

#[tokio::test]
async fn hostile_68_what_is_not_there_in_time_is_told() {
    let world = World::filled().await;
    let who = admin("alpha");
    let position = accepted(&world, &who, "Nord").await;
    let (other, graph, _) = elsewhere(&world, |limits| limits.position_wait = Duration::from_millis(20));
    for query in [QUERY, &rename("Norte"), r#"{ search(query: "North") { score } }"#] {
        let answer = other.at(&who, query, &position).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "STALE", "{answer}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("`limits.position_wait`"), "{answer}");
        assert!(answer.get("data").is_none() && answer.get("extensions").is_none(), "{answer}");
    }
    // What asks no store waits for none.
    assert_eq!(other.at(&who, "{ __typename }", &position).await, json!({"data": {"__typename": "Query"}}));
    graph.let_go();
    // What those who went began goes on to its end.
    let mut answer = other.at(&who, QUERY, &position).await;
    for _ in 0..3_000 {
        if answer.get("data").is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = other.at(&who, QUERY, &position).await;
    }
    assert_eq!(answer["data"]["facility"]["name"], "Nord", "and the other change did not happen: {answer}");
}

#[tokio::test]
async fn hostile_68_other_positions_are_refused_alike() {
    let world = World::filled().await;
    let told_of = async |tenant: &str| told(&world.body(&admin(tenant), &rename("Nord"), json!({})).await.0);
    let (alpha, beta) = (told_of("alpha").await, told_of("beta").await);
    let who = admin("alpha");
    let head = world.ports().metadata.head(&who.tenant).await.unwrap();
    let beyond = position::seal(SECRET, &who.tenant, head + 1);
    let forged = position::seal(b"another secret that is 32 bytes!", &who.tenant, head);
    let (other, graph, _) = elsewhere(&world, |limits| limits.position_wait = Duration::from_secs(600));
    let mut refusals = Vec::new();
    for bad in [&beta, &beyond, &forged, "", "x", &alpha[1..], &format!("{alpha}A"), "0", &"A".repeat(100_000)] {
        let answer = other.at(&who, QUERY, bad).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_POSITION", "{answer}");
        assert!(answer.get("data").is_none(), "{answer}");
        refusals.push(answer);
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "none tells more than another");
    assert!(graph.counts().0 <= 1 && graph.counts().1 == 0, "nothing was to be applied: {:?}", graph.counts());
    assert_eq!(other.at(&who, QUERY, &alpha).await["data"]["facility"]["name"], "Nord");
}

/// What was kept before the change is not served to whoever knows of it.
#[tokio::test]
async fn hostile_68_nothing_kept_is_older_than_the_position() {
    let world = World::of(&cached_farm()).await.fill().await;
    let (other, graph, _) = elsewhere(&world, |_| {});
    graph.let_go();
    for tenant in TENANTS {
        let who = admin(tenant);
        for name in ["Nord", "Norte", "Septentrio"] {
            let old = other.data(&who, QUERY).await;
            let position = told(&world.body(&who, &rename(name), json!({})).await.0);
            assert_eq!(other.data(&who, QUERY).await, old, "it has heard of nothing yet, and keeps what it read");
            let answer = other.at(&who, QUERY, &position).await;
            assert_eq!(answer["data"]["facility"]["name"], name, "{answer}");
            assert_eq!(other.data(&who, QUERY).await["facility"]["name"], name, "and now it knows");
        }
    }
}

/// The same change asked for twice tells the same position, and so does one that changes nothing; queries tell none.
#[tokio::test]
async fn mutations_tell_a_position_and_queries_none() {
    let world = World::filled().await;
    let who = admin("alpha");
    let first = world.keyed(&who, &rename("Nord"), "once").await;
    let again = world.keyed(&who, &rename("Nord"), "once").await;
    assert_eq!(told(&first), told(&again));
    let nothing = world.body(&who, &rename("Nord"), json!({})).await.0;
    assert_eq!(told(&first), told(&nothing), "nothing was written since");
    let refused = world
        .body(
            &who,
            r#"mutation { createFacilities(input: [{id: "f1", name: "x", region: "EU"}]) { info { nodesCreated } } }"#,
            json!({}),
        )
        .await
        .0;
    assert!(refused.get("errors").is_some() && refused.get("extensions").is_none(), "{refused}");
    assert!(world.body(&who, QUERY, json!({})).await.0.get("extensions").is_none());
    let two = world.body(&who, &format!("{} {}", rename("A").replace("updateF", "a: updateF"), ""), json!({})).await.0;
    assert_ne!(told(&two), told(&first));
}
