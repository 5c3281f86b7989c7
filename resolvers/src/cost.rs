//! The price of what was planned, before anything runs: how many records it may touch.

use crate::fields::{Crossing, Job, Plan};
use crate::read::{Pick, Read};

/// What a count or a figure over all matching records is taken for.
const OVERALL: u64 = 100;

/// The price of a root field.
pub(crate) fn job(job: &Job) -> u64 {
    match job {
        Job::Nothing => 0,
        Job::Read(plan, _) => self::plan(plan, 1),
        Job::Similar(similar) => OVERALL + hits(similar.first, &similar.plan),
        Job::Search(search) => 2 * OVERALL + hits(search.first, &search.plan),
        Job::Write(write) => write.plan.as_ref().map_or(1, |found| plan(found, 1)),
        Job::Watch(_) => 1,
    }
}

fn hits(first: u32, found: &Plan) -> u64 {
    u64::from(first).saturating_mul(plan(found, 1))
}

/// The price of a plan that is run for that many enclosing records.
pub(crate) fn plan(plan: &Plan, parents: u64) -> u64 {
    let crossings = plan.crossings.iter().map(|crossing| self::crossing(&plan.read, crossing, parents));
    crossings.fold(read(&plan.read, parents), u64::saturating_add)
}

fn read(read: &Read, parents: u64) -> u64 {
    let overall = if read.is_composite() { OVERALL } else { 0 };
    let rows = if read.rows { rows(read) } else { 0 };
    let inside: u64 = read
        .targets
        .iter()
        .map(|target| {
            let nested = target.picks.iter().map(|pick| match pick {
                Pick::Read(inner) => self::read(inner, rows),
                Pick::Field(_) | Pick::Holds(_) | Pick::Masked { .. } => 0,
            });
            nested.fold(0, u64::saturating_add)
        })
        .max()
        .unwrap_or(0);
    parents.saturating_mul(rows.saturating_add(overall).saturating_add(inside))
}

fn rows(read: &Read) -> u64 {
    u64::from(read.window.limit.unwrap_or(1))
}

/// The price of a crossing: its plan for as many records as may hold a key for it.
fn crossing(outer: &Read, crossing: &Crossing, parents: u64) -> u64 {
    let mut holders = parents.saturating_mul(rows(outer));
    let mut at = outer;
    for step in &crossing.trail {
        let target = at.targets.get(step.target.unwrap_or(0));
        let pick = target.and_then(|target| target.picks.get(step.slot.saturating_sub(at.first_pick())));
        if let Some(Pick::Read(inner)) = pick {
            holders = holders.saturating_mul(rows(inner));
            at = inner;
        }
    }
    plan(&crossing.plan, holders)
}
