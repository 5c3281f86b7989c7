//! Who reads insights: users, the entities that they follow, and the jobs that they started. Rows, made from a seed.

use rand::Rng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use super::super::cryox::{chance, pick};
use super::super::library::RETRIEVED;
use super::super::{instant, row};
use super::HOUR;
use crate::ingest::records::Record;

/// So many of the entities that most articles name are there to be followed.
pub const FOLLOWED: usize = 30;
/// Entities that each user follows.
const EACH: usize = 4;
const USERS: [(&str, &str); 6] = [
    ("ada", "Ada Lindqvist"),
    ("ben", "Ben Okafor"),
    ("eva", "Eva Moreau"),
    ("ines", "Inês Carvalho"),
    ("noor", "Noor Haddad"),
    ("tomo", "Tomo Kobayashi"),
];
const KINDS: [&str; 3] = ["IMPORT", "EXTRACT", "ANALYSE"];
/// Why jobs break off.
const ERRORS: [&str; 3] = [
    "the source answered with status 503 five times",
    "article 17 has no text",
    "the model took longer than its deadline",
];

/// Users, their preferences, and for each source a job of every kind. The row of job `j1` comes last.
pub fn records(seed: u64, entities: &[&str], sources: &[&str]) -> Vec<Record> {
    let mut records = Vec::new();
    for (at, (id, name)) in USERS.into_iter().enumerate() {
        let joined = RETRIEVED - HOUR * 24 * (90 - 11 * at as i64);
        let set = json!({ "name": name, "email": format!("{id}@insights.example"), "joinedAt": instant(joined) });
        records.push(row("User", id, set));
        let mut rng = chance(seed, 20, at);
        let mut followed = entities.to_vec();
        followed.shuffle(&mut rng);
        for (n, entity) in followed.into_iter().take(EACH).enumerate() {
            let set = json!({
                "minConfidence": pick(&mut rng, [0.25, 0.5, 0.75]),
                "digest": pick(&mut rng, ["NEVER", "DAILY", "WEEKLY"]),
                "muted": rng.random_bool(0.2),
                "user_id": id,
                "entity_id": entity,
            });
            records.push(row("Preference", format!("{id}-{}", n + 1), set));
        }
    }
    let mut jobs: Vec<Record> = sources
        .iter()
        .flat_map(|source| KINDS.map(|kind| (*source, kind)))
        .enumerate()
        .map(|(at, (source, kind))| row("Job", format!("j{}", at + 1), job(seed, at, source, kind)))
        .collect();
    jobs.reverse();
    records.extend(jobs);
    records
}

/// A job in one of its four states: the last two of all wait, the two before them are at work.
fn job(seed: u64, at: usize, source: &str, kind: &str) -> Value {
    let mut rng = chance(seed, 21, at);
    let all = super::VOLUMES.len() * KINDS.len();
    let status = match all - at {
        1 | 2 => "QUEUED",
        3 | 4 => "RUNNING",
        _ if rng.random_bool(0.2) => "FAILED",
        _ => "DONE",
    };
    let created = RETRIEVED + HOUR * 6 * at as i64;
    let started = created + rng.random_range(2..90);
    let finished = started + rng.random_range(40..2_400);
    let (began, ended) = (status != "QUEUED", matches!(status, "DONE" | "FAILED"));
    let progress = match status {
        "DONE" => 1.0,
        "QUEUED" => 0.0,
        _ => f64::from(rng.random_range(5..95)) / 100.0,
    };
    json!({
        "kind": kind,
        "status": status,
        "progress": progress,
        "error": (status == "FAILED").then(|| pick(&mut rng, ERRORS)),
        "createdAt": instant(created),
        "startedAt": began.then(|| instant(started)),
        "finishedAt": ended.then(|| instant(finished)),
        "user_id": pick(&mut rng, USERS).0,
        "source_id": source,
    })
}
