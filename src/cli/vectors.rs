//! Waiting for the vectors of what was imported.

use std::time::Duration;

use quipu_resolvers::fault::Code;
use quipu_resolvers::guard::TenantId;

use super::failure::{self, Failure};
use super::import::served;
use super::progress::{Progress, Unit};
use crate::app::App;
use crate::ingest::embed::EmbedderStatus;
use crate::ingest::relay::Step;

/// How often it is looked how far another process is.
const LOOK: Duration = Duration::from_millis(200);

/// Embeds what is to be embedded for a tenant, or waits for the server that does it. True when the vectors are complete; without a
/// model that is said and is no failure.
pub async fn wait(app: &App, tenant: &TenantId) -> Result<bool, Failure> {
    let mut bound = served(app, tenant).await?;
    let total = app.relay.behind(tenant, &bound.served().ontology).await?;
    if total == 0 {
        // Moves the position over entries without texts.
        while app.relay.step(tenant, &bound.served().ontology, &mut |_| {}).await? == Step::Embedded(0) {}
        return Ok(true);
    }
    let mut progress = Progress::begin(&format!("embedding {tenant}"), total, Unit::Count("texts"));
    loop {
        // What is published meanwhile says what has vectors, also here.
        bound = served(app, tenant).await?;
        let ontology = &bound.served().ontology;
        match app.relay.step(tenant, ontology, &mut |count| progress.add(count as u64)).await {
            Ok(Step::InStep) => {
                progress.end();
                return Ok(true);
            }
            Ok(Step::Embedded(_)) => {}
            Ok(Step::Elsewhere) => {
                tokio::time::sleep(LOOK).await;
                progress.set(total.saturating_sub(app.relay.behind(tenant, ontology).await?));
            }
            Err(fault) if fault.code() == Code::EmbeddingUnavailable => {
                progress.end();
                failure::warn(&format!("{total} texts are not embedded: {}", reason(app).await));
                return Ok(false);
            }
            Err(fault) => {
                progress.end();
                return Err(fault.into());
            }
        }
    }
}

/// As [`wait`] for the demo's tenants, where without a model nothing is counted: that would take longer than starting does.
pub async fn wait_for_demo(app: &App) -> Result<bool, Failure> {
    for tenant in app.tenants.names() {
        let bound = served(app, &tenant).await?;
        if app.relay.is_in_step(&tenant, &bound.served().ontology).await? {
            continue;
        }
        if let EmbedderStatus::Unavailable(reason) = app.embedder.status().await {
            failure::warn(&format!("texts are not embedded: {reason}"));
            return Ok(false);
        }
        if !wait(app, &tenant).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Why there are no vectors, for whoever runs the gateway.
async fn reason(app: &App) -> String {
    match app.embedder.status().await {
        EmbedderStatus::Unavailable(reason) => reason,
        EmbedderStatus::NotLoaded | EmbedderStatus::Ready => "the model was not there; try again".to_owned(),
    }
}
