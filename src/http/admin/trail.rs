//! The audit trail of a tenant, or the gateway's own.

use serde_json::{Value as Json, json};

use super::{Call, Done, Outcome};
use crate::audit::Whose;
use crate::audit::chain::{self, Found};
use crate::audit::search::{Page, Wanted, search};
use crate::http::reply::Refusal;

/// Records of one answer, if nothing is said, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

/// `GET /audit` and `GET /tenants/{tenant}/audit`: records, the oldest first.
pub(super) async fn list(call: Call) -> Outcome {
    call.knows(&["after", "limit", "refused", "who", "action", "since", "until"])?;
    let after = call.parameter("after", "a position, a whole number")?.unwrap_or(0);
    let limit: usize = call.parameter("limit", "a whole number")?.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Refusal::bad_request(format!("the parameter `limit` is from 1 to {LARGEST_PAGE}")));
    }
    let text = |name: &str| call.query.get(name).cloned();
    let wanted = Wanted {
        refused: call.parameter("refused", "true or false")?.unwrap_or(false),
        who: text("who"),
        action: text("action"),
        since: text("since"),
        until: text("until"),
    };
    let Page { records, next } = search(&*call.admin.trail, &whose(&call), &wanted, after, limit).await?;
    let shown = |seq: u64, hash: &[u8; 32], text: &str| -> Json {
        json!({ "seq": seq, "hash": chain::shown(hash), "record": serde_json::from_str::<Json>(text).unwrap_or_default() })
    };
    let records: Vec<Json> = records.iter().map(|(kept, _)| shown(kept.seq, &kept.hash, &kept.text)).collect();
    Ok(Done::with(json!({ "records": records, "next": next })))
}

/// `GET /audit/verify` and `GET /tenants/{tenant}/audit/verify`: whether the chain is whole.
pub(super) async fn verify(call: Call) -> Outcome {
    call.knows(&[])?;
    Ok(Done::with(match chain::verify(&*call.admin.trail, &whose(&call)).await? {
        Found::Whole { from, upto, hash } => {
            json!({ "whole": true, "removed": from, "records": upto - from, "last": { "seq": upto, "hash": chain::shown(&hash) } })
        }
        Found::Broken { seq, why } => json!({ "whole": false, "broken": { "seq": seq, "why": why } }),
    }))
}

fn whose(call: &Call) -> Whose {
    call.tenant.clone().map_or(Whose::Gateway, Whose::Tenant)
}
