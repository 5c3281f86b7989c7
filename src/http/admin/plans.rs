//! What a tenant may use: its quotas.

use serde_json::json;

use super::{Call, Done, Outcome};
use crate::config::OwnPlan;
use crate::http::reply::Refusal;

/// `GET /tenants/{tenant}/plan`: what holds, and what of it was set for the tenant here.
pub(super) async fn show(call: Call) -> Outcome {
    call.knows(&[])?;
    shown(&call).await
}

/// `PUT /tenants/{tenant}/plan`: sets it, in place of what was set here before. The rest is as the settings say.
pub(super) async fn set(call: Call) -> Outcome {
    call.knows(&[])?;
    let own = OwnPlan::of_json(&call.body.to_string()).map_err(Refusal::bad_request)?.shown();
    let text = json!(own).to_string();
    call.admin.publisher.ports.metadata.set_plan(call.tenant()?, Some(&text)).await?;
    Ok(shown(&call).await?.about("plan", own))
}

/// `DELETE /tenants/{tenant}/plan`: what was set here holds no longer.
pub(super) async fn reset(call: Call) -> Outcome {
    call.knows(&[])?;
    call.admin.publisher.ports.metadata.set_plan(call.tenant()?, None).await?;
    shown(&call).await
}

async fn shown(call: &Call) -> Outcome {
    let tenant = call.tenant()?;
    let tenants = call.admin.publisher.ports.metadata.tenants().await?;
    let kept = tenants.into_iter().find(|state| state.tenant == *tenant).and_then(|state| state.plan);
    // What cannot be read holds nowhere, and is told in the log.
    let own = kept.and_then(|text| OwnPlan::of_json(&text).ok());
    let set = call.state.config.plan(tenant);
    let holds = own.as_ref().map_or_else(|| set.clone(), |own| own.over(&set));
    Ok(Done::with(json!({ "plan": holds.shown(), "own": own.map(|own| own.shown()) })))
}
