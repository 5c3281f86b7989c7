//! Hostile 74: instances whose clocks differ by hours, or run backwards. What is written is in the order of the log, whatever the clocks say.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use quipu::stores::clock::SystemClock;
use quipu_resolvers::ports::Clock;
use serde_json::{Value as Json, json};

use super::world::{TENANTS, World, admin};

/// Hours in milliseconds.
pub const HOUR: i64 = 3_600_000;

/// A clock that is wrong from the beginning, and moves by so much each time that somebody looks at it.
pub struct Skewed {
    now: AtomicI64,
    step: i64,
}

impl Skewed {
    /// That far from the right time.
    pub fn by(off: i64, step: i64) -> Arc<Self> {
        Self::at(SystemClock.now_ms() + off, step)
    }

    fn at(now: i64, step: i64) -> Arc<Self> {
        Arc::new(Self { now: AtomicI64::new(now), step })
    }
}

impl Clock for Skewed {
    fn now_ms(&self) -> i64 {
        self.now.fetch_add(self.step, Ordering::SeqCst)
    }

    fn steady_ms(&self) -> i64 {
        SystemClock.steady_ms()
    }
}

/// Instances ahead and behind, one of them with a clock that runs backwards.
fn instances(world: &World) -> [World; 3] {
    [Skewed::by(6 * HOUR, -60_000), Skewed::by(-6 * HOUR, 1), Skewed::by(0, 1)]
        .map(|clock| world.beside(|ports| ports.clock = clock))
}

fn rename(name: &str) -> String {
    format!(
        r#"mutation {{ updateFacilities(where: {{id: {{eq: "f1"}}}}, update: {{name: {{set: "{name}"}}}}) {{ facilities {{ name }} }} }}"#
    )
}

#[tokio::test]
async fn hostile_74_what_is_written_is_in_the_order_of_the_log() {
    let world = World::filled().await;
    let instances = instances(&world);
    for tenant in TENANTS {
        let who = admin(tenant);
        let head = world.ports().metadata.head(&who.tenant).await.unwrap();
        let query = format!("subscription {{ changes(types: [Facility], since: \"{head}\") {{ seq at id }} }}");
        let mut streams = instances.each_ref().map(|instance| instance.watch(&who, &query));
        let mut position: Option<String> = None;
        for round in 0..12 {
            let (writes, reads) = (&instances[round % 3], &instances[(round + 1) % 3]);
            let change = rename(&format!("N{round}"));
            // Each goes on from what the one before has written.
            let answer = match &position {
                Some(position) => writes.at(&who, &change, position).await,
                None => writes.body(&who, &change, json!({})).await.0,
            };
            assert_eq!(answer["data"]["updateFacilities"]["facilities"][0]["name"], format!("N{round}"), "{answer}");
            let told = answer["extensions"]["position"].as_str().unwrap().to_owned();
            let read = reads.at(&who, r#"{ facility(id: "f1") { name } }"#, &told).await;
            assert_eq!(read["data"]["facility"]["name"], format!("N{round}"), "the last one in the log wins: {read}");
            position = Some(told);
        }
        let log = world.ports().metadata.log(&who.tenant, head, 100).await.unwrap();
        assert!(log.iter().zip(head + 1..).all(|(entry, seq)| entry.seq == seq) && log.len() == 12);
        assert!(!log.is_sorted_by(|a, b| a.at <= b.at), "the clocks say something else: the test means something");
        for stream in &mut streams {
            for entry in &log {
                let event = tokio::time::timeout(Duration::from_secs(30), stream.next()).await.unwrap().unwrap();
                let event: Json = serde_json::from_slice(&event.body).unwrap();
                let change = json!({"seq": entry.seq.to_string(), "at": entry.at, "id": "f1"});
                assert_eq!(event["data"]["changes"], change, "events are in the order of the log, too");
            }
        }
    }
}

#[tokio::test]
async fn hostile_74_an_idempotency_key_holds_whatever_the_clock() {
    let world = World::filled().await;
    let instances = instances(&world);
    let create = r#"mutation { createVehicles(input: [{ name: "Cart" }]) { vehicles { id } } }"#;
    for tenant in TENANTS {
        let who = admin(tenant);
        let first = instances[0].keyed(&who, create, "once").await;
        assert!(first["data"]["createVehicles"]["vehicles"][0]["id"].is_string(), "{first}");
        for instance in instances.iter().chain([&world]) {
            assert_eq!(instance.keyed(&who, create, "once").await, first);
            let other = instance.keyed(&who, &create.replace("Cart", "Sled"), "once").await;
            assert_eq!(other["errors"][0]["extensions"]["code"], "IDEMPOTENCY_KEY_REUSED");
        }
    }
}

/// Clocks that say what no calendar has.
#[tokio::test]
async fn hostile_74_no_time_of_day_keeps_anybody_from_writing() {
    let world = World::filled().await;
    for now in [i64::MIN, -1, 0, i64::MAX] {
        let instance = world.beside(|ports| ports.clock = Skewed::at(now, 0));
        for tenant in TENANTS {
            let name = format!("at {now}");
            let data = instance.data(&admin(tenant), &rename(&name)).await;
            assert_eq!(data["updateFacilities"]["facilities"][0]["name"], name);
        }
    }
}
