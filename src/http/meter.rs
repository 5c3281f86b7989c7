//! What a tenant's plan lets it use: operations in an hour, and their price in a minute. What is left is told in the fields of
//! draft-ietf-httpapi-ratelimit-headers.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use quipu_resolvers::Toll;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{CacheKey, Counters, KeyKind, Taken};

use super::reply::Refusal;
use super::state::AppState;
use crate::config::Quota;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// One of the things that are counted.
#[derive(Debug, Clone, Copy)]
struct Measure {
    /// Its name in keys and in the headers.
    name: &'static str,
    window: Duration,
    /// In which unit, where it is not requests.
    unit: &'static str,
}

const REQUESTS: Measure = Measure { name: "requests", window: Duration::from_secs(3600), unit: "" };
const PRICE: Measure = Measure { name: "price", window: Duration::from_secs(60), unit: ";qu=\"price\"" };

/// Counts what the operations of one request use. There is none for tenants that may use as much as they like.
pub(super) struct Meter {
    counters: Arc<dyn Counters>,
    tenant: TenantId,
    /// Operations and price, as far as they are limited.
    limited: [(Measure, Option<Gauge>); 2],
}

/// One limit with what was counted last.
struct Gauge {
    quota: u64,
    last: Mutex<Option<Taken>>,
}

impl Gauge {
    fn of(quota: Quota) -> Option<Self> {
        match quota {
            Quota::Unlimited => None,
            Quota::Of(quota) => Some(Self { quota, last: Mutex::default() }),
        }
    }

    fn last(&self) -> Option<Taken> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AppState {
    /// What counts for a tenant; `None` when nothing of it is limited.
    pub(super) fn meter(&self, tenant: &TenantId) -> Option<Arc<Meter>> {
        let plan = self.plan(tenant);
        let limited = [(REQUESTS, Gauge::of(plan.requests_per_hour)), (PRICE, Gauge::of(plan.price_per_minute))];
        let is_limited = limited.iter().any(|(_, gauge)| gauge.is_some());
        is_limited.then(|| Arc::new(Meter { counters: self.counters.clone(), tenant: tenant.clone(), limited }))
    }
}

impl Meter {
    /// Counts one operation.
    ///
    /// # Errors
    /// `RATE_LIMITED` when the tenant has had as many as it may in this hour.
    pub async fn operation(&self) -> Result<(), Fault> {
        let [(measure, Some(gauge)), _] = &self.limited else { return Ok(()) };
        let taken = self.take(*measure, gauge, 1).await;
        if taken.granted {
            return Ok(());
        }
        let message = format!(
            "the tenant has had its {} operations of this hour (`tenants.requests_per_hour`); try again in {} s",
            gauge.quota,
            seconds(taken.ends_in)
        );
        Err(Fault::client(Code::RateLimited, message))
    }

    async fn take(&self, measure: Measure, gauge: &Gauge, amount: u64) -> Taken {
        let key = CacheKey::of(&self.tenant, KeyKind::Count, &[measure.name.as_bytes()]);
        let taken = self.counters.take(&key, amount, gauge.quota, measure.window).await;
        *gauge.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        taken
    }

    /// Says what there is and what is left of it.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let (mut policy, mut left) = (String::new(), String::new());
        for (Measure { name, window, unit }, gauge) in &self.limited {
            let Some(gauge) = gauge else { continue };
            let comma = if policy.is_empty() { "" } else { ", " };
            // Writing into a string cannot fail.
            let _ = write!(policy, "{comma}\"{name}\";q={}{unit};w={}", gauge.quota, window.as_secs());
            if let Some(taken) = gauge.last() {
                let comma = if left.is_empty() { "" } else { ", " };
                let rest = gauge.quota.saturating_sub(taken.used);
                let _ = write!(left, "{comma}\"{name}\";r={rest};t={}", seconds(taken.ends_in));
            }
        }
        for (name, value) in [(POLICY, policy), (LEFT, left)] {
            if let (false, Ok(value)) = (value.is_empty(), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
    }

    /// In how many seconds there is more of what was used up: after an answer with `RATE_LIMITED`.
    fn retry_after(&self) -> u64 {
        let refused =
            self.limited.iter().filter_map(|(_, gauge)| gauge.as_ref()?.last()).filter(|taken| !taken.granted);
        refused.map(|taken| seconds(taken.ends_in)).max().unwrap_or(1)
    }
}

/// Adds what a tenant's plan has left to an answer's headers, and when to come back to one that was refused for it.
pub(super) fn tell(meter: Option<&Arc<Meter>>, refused: Option<Code>, headers: &mut HeaderMap) {
    let Some(meter) = meter else { return };
    meter.tell(headers);
    if refused == Some(Code::RateLimited) {
        headers.insert(RETRY_AFTER, meter.retry_after().into());
    }
}

/// A fault as a refusal that also says what the plan has left.
pub(super) fn refusal(meter: Option<&Arc<Meter>>, fault: Fault) -> Refusal {
    let code = fault.code();
    let mut headers = HeaderMap::new();
    tell(meter, Some(code), &mut headers);
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name?, value))).collect();
    Refusal { headers, ..Refusal::from(fault) }
}

#[async_trait]
impl Toll for Meter {
    async fn pay(&self, price: u64) -> Result<(), Fault> {
        let [_, (measure, Some(gauge))] = &self.limited else { return Ok(()) };
        let quota = gauge.quota;
        if price > quota {
            let message = format!(
                "the operation may touch {price} records; all operations of a minute together may touch {quota} \
                 (`tenants.price_per_minute`). Ask for smaller pages"
            );
            return Err(Fault::client(Code::TooExpensive, message));
        }
        let taken = self.take(*measure, gauge, price).await;
        if taken.granted {
            return Ok(());
        }
        let message = format!(
            "the operation may touch {price} records, and {} of {quota} are left in this minute (`tenants.price_per_minute`); \
             try again in {} s",
            quota.saturating_sub(taken.used),
            seconds(taken.ends_in)
        );
        Err(Fault::client(Code::RateLimited, message))
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// Whole seconds, so many that the time is over then.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
