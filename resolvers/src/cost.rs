//! The price of what was planned, before anything runs: how many records it may touch.
//!
//! It is made of the sizes of pages alone, of the query and of the ontology, and not of how many records there are: a price by numbers that
//! were counted would tell a caller of records that they may not see.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use crate::fault::{Code, Fault};
use crate::fields::{Crossing, Job, Plan};
use crate::read::{Pick, Read};

/// How an operation is priced.
#[derive(Debug, Clone, Default)]
pub struct Pricing {
    /// Whether the answer tells the price, as `extensions.cost`.
    pub shown: bool,
    /// Whom the price is paid to, before anything runs.
    pub toll: Option<Arc<dyn Toll>>,
    /// What the price may be for this operation, where that is less than for others.
    pub most: Option<PriceLimit>,
}

/// A limit of prices with the setting that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceLimit {
    /// The price that an operation may have, in records.
    pub price: u64,
    /// Name of the setting.
    pub setting: &'static str,
}

/// Takes the prices of operations out of what the caller's tenant has.
#[async_trait]
pub trait Toll: fmt::Debug + Send + Sync {
    /// Takes a price, in records.
    ///
    /// # Errors
    /// `RATE_LIMITED` where that is not there at the moment, `TOO_EXPENSIVE` where it never will be. Nothing is taken then.
    async fn pay(&self, price: u64) -> Result<(), Fault>;
}

/// The price of an operation, in records, and of what it is made.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    /// All fields together.
    pub price: u64,
    /// What it may be.
    pub limit: PriceLimit,
    /// Root fields by their keys in the response.
    fields: Vec<(Arc<str>, u64)>,
}

impl Cost {
    /// Adds up the prices of root fields.
    pub fn of(fields: Vec<(Arc<str>, u64)>, limit: PriceLimit) -> Self {
        let price = fields.iter().map(|(_, price)| *price).fold(0, u64::saturating_add);
        Self { price, limit, fields }
    }

    /// Sees to it that the price is within the limit, and has it paid.
    ///
    /// # Errors
    /// `TOO_EXPENSIVE` when the price is over the limit; what the toll refuses.
    pub async fn settle(&self, pricing: &Pricing) -> Result<(), Fault> {
        self.check()?;
        match &pricing.toll {
            Some(toll) => toll.pay(self.price).await,
            None => Ok(()),
        }
    }

    /// # Errors
    /// `TOO_EXPENSIVE` when the price is over the limit.
    pub fn check(&self) -> Result<(), Fault> {
        let Self { price, limit: PriceLimit { price: limit, setting }, .. } = self;
        if price <= limit {
            return Ok(());
        }
        let message =
            format!("the operation may touch {price} records; the limit `{setting}` is {limit}. Ask for smaller pages");
        Err(Fault::client(Code::TooExpensive, message))
    }

    /// As `extensions.cost` has it.
    pub fn json(&self) -> Json {
        let fields: Map<String, Json> =
            self.fields.iter().map(|(key, price)| (key.to_string(), (*price).into())).collect();
        json!({ "price": self.price, "limit": self.limit.price, "fields": fields })
    }
}

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
