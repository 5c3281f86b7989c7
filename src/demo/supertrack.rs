//! The tenant `supertrack`: marketing figures of one company, made from a seed. Metrics are counted from sources, sources come by connectors,
//! and every campaign has a value a day for each metric that it is judged by.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::cryox::{chance, pick};
use super::{day, instant, link, node, row};
use crate::ingest::records::Record;

mod catalogue;

use catalogue::{CONNECTORS, Figure, METRICS, PEOPLE};

const CAMPAIGNS: usize = 190;
/// Days of a campaign that were measured, at most.
const MEASURED: i64 = 8;
const RUNS_EACH: usize = 20;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// The present of the data: 1 November 2026, 00:00 UTC.
const NOW: i64 = 1_793_491_200;

/// All records of the tenant, in an order in which everything is there before it is referred to. The same seed gives the same records.
pub fn supertrack(seed: u64) -> impl Iterator<Item = Record> {
    let mut records = catalogue::people();
    let mut runs = Vec::new();
    for (at, connector) in CONNECTORS.iter().enumerate() {
        let mut rng = chance(seed, 40, at);
        records.extend(connector.records(&mut rng, NOW));
        runs.extend((0..RUNS_EACH).map(|n| run(&mut rng, at, n)));
    }
    for (at, metric) in METRICS.iter().enumerate() {
        records.extend(metric.records(&mut chance(seed, 41, at), NOW));
    }
    let mut values = Vec::new();
    for at in 0..CAMPAIGNS {
        let mut rng = chance(seed, 42, at);
        records.extend(campaign(&mut rng, at, &mut values));
    }
    records.extend(values);
    // The first run comes last: nothing refers to it, so where it is, all is.
    runs.reverse();
    records.into_iter().chain(runs)
}

/// One time that a connector ran.
fn run(rng: &mut ChaCha8Rng, connector: usize, nth: usize) -> Record {
    let connector = &CONNECTORS[connector];
    let outcome = match (connector.status, nth) {
        ("BROKEN", 0..6) => "FAILED",
        ("DEGRADED", _) if rng.random_bool(0.4) => "PARTIAL",
        _ if rng.random_bool(0.03) => "FAILED",
        _ => "DONE",
    };
    let message = match outcome {
        "FAILED" => Some(format!("sign-in of {} was refused: token expired", connector.account)),
        "PARTIAL" => {
            Some(format!("rate limit of {} reached after {} pages", connector.account, rng.random_range(3..90)))
        }
        _ => None,
    };
    let set = json!({
        "startedAt": instant(NOW - nth as i64 * 6 * HOUR - rng.random_range(60..3_000)),
        "seconds": rng.random_range(4..900),
        "records": if outcome == "FAILED" { 0 } else { rng.random_range(40..90_000) },
        "outcome": outcome, "message": message, "connector_id": connector.id,
    });
    row("Run", format!("{}-{}", connector.id, nth + 1), set)
}

/// A campaign with its goals; what was measured for it goes into `values`.
fn campaign(rng: &mut ChaCha8Rng, at: usize, values: &mut Vec<Record>) -> Vec<Record> {
    let id = format!("k{}", at + 1);
    let (theme, what) = pick(
        rng,
        [
            ("Spring Bulbs", "Tulips and daffodils for balconies that face north"),
            ("Winter Tyres", "Tyres fitted at home before the first frost"),
            ("School Start", "Backpacks that last longer than a school year"),
            ("Early Bird", "Holidays by train, booked half a year ahead"),
            ("Second Life", "Refurbished telephones with two years of guarantee"),
            ("Quiet Kitchen", "Dishwashers that do not wake the baby"),
            ("Long Weekend", "Four days by the sea for those without a car"),
            ("Night Shift", "Coffee for people who work when others sleep"),
        ],
    );
    let market = pick(rng, ["Benelux", "Nordics", "Iberia", "DACH", "Ireland"]);
    let begins = NOW - rng.random_range(-40..360) * DAY;
    let ends = begins + rng.random_range(14..80) * DAY;
    let status = match (begins > NOW, ends < NOW) {
        (true, _) => "DRAFT",
        (_, true) => "ENDED",
        _ if rng.random_bool(0.15) => "PAUSED",
        _ => "RUNNING",
    };
    let marketers: Vec<_> = PEOPLE.iter().filter(|person| person.role == "marketer").collect();
    let owner = marketers[rng.random_range(0..marketers.len())];
    let set = json!({
        "name": format!("{theme} {market} {}", at + 1),
        "status": status,
        "brief": format!("{what}. For {market}, {}.", pick(rng, ["by search", "by social networks", "by newsletter and search", "by posters with a code"])),
        "startsOn": day(begins), "endsOn": day(ends),
        "budget": rng.random_range(4..120) * 500, "fee": f64::from(rng.random_range(8..22)) / 2.0 + 3.0,
    });
    let mut records =
        vec![node("Campaign", &id, set), link("ANSWERS_FOR", ("Person", owner.id), ("Campaign", &id), json!({}))];
    let mut judged: Vec<&Figure> = METRICS.iter().filter(|metric| metric.daily.is_some()).collect();
    judged.shuffle(rng);
    for (metric, weight) in judged.into_iter().zip([50, 30, 20]) {
        let Some((low, high)) = metric.daily else { continue };
        let target = (low + high) / 2.0 * f64::from(rng.random_range(8..13)) / 10.0;
        let goal = json!({ "target": target.round(), "weight": weight });
        records.push(link("JUDGED_BY", ("Campaign", &id), ("Metric", metric.id), goal));
        let days = ((NOW.min(ends) - begins) / DAY).clamp(0, MEASURED);
        for passed in 0..days {
            let value = (low + (high - low) * rng.random::<f64>() * (1.0 + passed as f64 / 20.0)) * 10.0;
            let set = json!({
                "day": day(begins + passed * DAY), "value": value.round() / 10.0,
                "cost": f64::from(rng.random_range(0..90)) / 10.0,
                "metric_id": metric.id, "campaign_id": id,
            });
            values.push(row("Measurement", format!("{id}-{}-{}", metric.id, passed + 1), set));
        }
    }
    records
}
