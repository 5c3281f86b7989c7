//! Tenants as a whole.

use std::io;

use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use futures_util::stream;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::SharedGraph;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use super::{Call, Done, Outcome, ontologies};
use crate::auth::line;
use crate::http::reply::Refusal;
use crate::tenancy::{self, Deletion, Export, LONGEST_REASON, Portion};

/// Portions of an export that wait to be sent.
const AHEAD: usize = 4;

/// A tenant that is to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    sdl: String,
}

/// Why a tenant is suspended.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Why {
    reason: Option<String>,
}

/// `GET /tenants`: all of them; with `gone=true` those that were deleted as well.
pub(super) async fn list(call: Call) -> Outcome {
    call.knows(&["gone"])?;
    let gone = call.parameter("gone", "true or false")?.unwrap_or(false);
    let tenants = tenancy::list(&call.admin.publisher.ports, gone).await?;
    Ok(Done::with(json!({ "tenants": tenants })))
}

/// `GET /tenants/{tenant}`: one, and how far its stores have followed its log.
pub(super) async fn show(call: Call) -> Outcome {
    call.knows(&[])?;
    shown(&call).await
}

/// `POST /tenants`: makes one, by publishing its first ontology.
pub(super) async fn create(call: Call) -> Outcome {
    call.knows(&[])?;
    let New { name, sdl } = call.body()?;
    let Some(tenant) = TenantId::parse(&name) else {
        let message = "a tenant is named by 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit";
        return Err(Refusal::bad_request(message));
    };
    if call.admin.publisher.ports.metadata.ontology(&tenant).await?.is_some() {
        return Err(Fault::client(Code::Conflict, format!("there is a tenant {tenant} already")).into());
    }
    let published = call.admin.publisher.publish(&tenant, &sdl).await;
    let published = published.map_err(ontologies::refusal)?;
    let standing = tenancy::show(&call.admin.publisher.ports, &tenant).await?;
    Ok(Done::created(json!(standing)).about("version", published.version).of(tenant))
}

/// `POST /tenants/{tenant}/suspend`: nobody of it is served until it is resumed; streams end.
pub(super) async fn suspend(call: Call) -> Outcome {
    call.knows(&[])?;
    let Why { reason } = if call.body.is_null() { Why::default() } else { call.body()? };
    let reason = reason.map(|reason| line(&reason, LONGEST_REASON)).transpose();
    let reason = reason.map_err(|wrong| Refusal::bad_request(format!("`reason`: {wrong}")))?;
    tenancy::suspend(&call.admin.publisher.ports, call.tenant()?, reason.clone()).await?;
    Ok(shown(&call).await?.about("reason", reason))
}

/// `POST /tenants/{tenant}/resume`: it is served again.
pub(super) async fn resume(call: Call) -> Outcome {
    call.knows(&[])?;
    tenancy::resume(&call.admin.publisher.ports, call.tenant()?).await?;
    shown(&call).await
}

async fn shown(call: &Call) -> Outcome {
    Ok(Done::with(json!(tenancy::show(&call.admin.publisher.ports, call.tenant()?).await?)))
}

/// `GET /tenants/{tenant}/export`: everything of it as JSON Lines that an import takes. A body that breaks off is no whole export.
pub(super) async fn export(call: Call) -> Outcome {
    call.knows(&[])?;
    let tenant = call.tenant()?.clone();
    let (_, ontology) = ontologies::served(&call).await?;
    call.admin.publisher.engine.catch_up(&tenant).await?;
    let ports = call.admin.publisher.ports.clone();
    let (to, portions) = mpsc::channel::<Portion>(AHEAD);
    let work = tokio::spawn(async move {
        let export = Export { ports: &ports, tenant: &tenant, ontology: &ontology };
        let exported = export.run(&to).await;
        match &exported {
            Ok(exported) => tracing::info!(%tenant, ?exported, "exported"),
            Err(fault) => tracing::error!(%tenant, %fault, "an export broke off"),
        }
        exported.map(drop)
    });
    let lines = stream::unfold(portions, async |mut portions| Some((portions.recv().await?, portions)))
        .map(|portion| Ok(Bytes::from(portion.lines)));
    // At the end it is asked whether it was the end.
    let end = stream::once(work).filter_map(async |ended| match ended {
        Ok(Ok(())) => None,
        Ok(Err(fault)) => Some(Err(io::Error::other(fault))),
        Err(error) => Some(Err(io::Error::other(error))),
    });
    Ok(Done::lines(Body::from_stream(lines.chain(end))))
}

/// `DELETE /tenants/{tenant}?confirm=TENANT`: removes everything of it from every store, and tells what is left, looked up afterwards.
pub(super) async fn delete(call: Call) -> Outcome {
    call.knows(&["confirm", "withAudit", "sharedGraph"])?;
    let tenant = call.tenant()?;
    if call.query.get("confirm").map(String::as_str) != Some(tenant.as_str()) {
        let message = format!("deleting cannot be taken back: confirm it with `?confirm={tenant}`");
        return Err(Refusal::bad_request(message));
    }
    let shared_graph = match call.query.get("sharedGraph").map(String::as_str) {
        None => SharedGraph::Unsaid,
        Some("keep") => SharedGraph::Kept,
        Some("remove") => SharedGraph::Removed,
        Some(_) => return Err(Refusal::bad_request("the parameter `sharedGraph` must be keep or remove")),
    };
    let with_audit = call.parameter("withAudit", "true or false")?.unwrap_or(false);
    let deletion = Deletion { shared_graph, with_audit };
    let admin = &call.admin;
    let mut told = |what: &'static str| tracing::info!(%tenant, what, "deleting");
    let proof = tenancy::delete(&admin.publisher.ports, &*admin.trail, tenant, deletion, &mut told).await?;
    let (complete, left): (_, Json) = (proof.complete, json!(proof.left));
    let done = Done::with(json!(proof)).about("complete", complete).about("left", left).about("withAudit", with_audit);
    // With its trail gone, the gateway's own has what happened.
    Ok(if with_audit { done.about("tenant", tenant.as_str()).of_gateway() } else { done })
}
