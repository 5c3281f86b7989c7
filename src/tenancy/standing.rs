//! Which tenants there are and how each stands; suspended, and served again.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use quipu_resolvers::Ports;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Life, TenantState};
use quipu_resolvers::value::scalar;
use serde::Serialize;
use tokio::time::timeout;

/// How long a store is waited for that is to say where it stands.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tenants that are asked about at the same time.
const BESIDE: usize = 8;
/// Characters of a reason why a tenant is suspended.
pub const LONGEST_REASON: usize = 500;

/// How a tenant stands. Instants are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Its name.
    pub tenant: String,
    /// `active`, `suspended`, `leaving` while it is being deleted, or `gone` after that.
    pub state: &'static str,
    /// Since when it is suspended, leaving or gone.
    pub since: Option<String>,
    /// Why it is suspended.
    pub reason: Option<String>,
    /// Version of the published ontology; nothing where none is.
    pub ontology: Option<u64>,
    /// The last position of its log; 0 when it is empty.
    pub log: u64,
    /// Position of the log that the graph has followed up to; nothing where the graph does not say.
    pub graph: Option<u64>,
    /// The same of the vectors.
    pub vectors: Option<u64>,
}

/// All tenants, by name, whether they can be served or not. Those that are gone are left out unless they are asked for.
///
/// # Errors
/// When the metadata store fails. Graphs and vectors that do not answer have no position.
pub async fn list(ports: &Ports, gone: bool) -> Result<Vec<Standing>, Fault> {
    let mut states = ports.metadata.tenants().await?;
    states.retain(|state| gone || !matches!(state.life, Life::Gone { .. }));
    Ok(stream::iter(states).map(|state| standing(ports, state)).buffered(BESIDE).collect().await)
}

/// One of them.
///
/// # Errors
/// `NOT_FOUND` when there is no such tenant; when the metadata store fails.
pub async fn show(ports: &Ports, tenant: &TenantId) -> Result<Standing, Fault> {
    let states = ports.metadata.tenants().await?;
    let state = states.into_iter().find(|state| state.tenant == *tenant).ok_or_else(|| unknown(tenant))?;
    Ok(standing(ports, state).await)
}

async fn standing(ports: &Ports, state: TenantState) -> Standing {
    let TenantState { tenant, version, head, life, .. } = state;
    let (graph, vectors) = match life {
        // Nothing is asked of stores about a tenant that left them.
        Life::Gone { .. } => (None, None),
        _ => {
            let (graph, vectors) = tokio::join!(
                timeout(PATIENCE, ports.graph.position(&tenant)),
                timeout(PATIENCE, ports.vectors.position(&tenant))
            );
            (graph.ok().and_then(Result::ok), vectors.ok().and_then(Result::ok))
        }
    };
    let (state, since, reason) = match life {
        Life::Active => ("active", None, None),
        Life::Suspended { since, reason } => ("suspended", Some(since), reason),
        Life::Leaving { since } => ("leaving", Some(since), None),
        Life::Gone { since } => ("gone", Some(since), None),
    };
    let ontology = (version > 0 && matches!(state, "active" | "suspended")).then_some(version);
    Standing { tenant: tenant.to_string(), state, since, reason, ontology, log: head, graph, vectors }
}

/// Suspends a tenant: on every instance, within a second, nobody is let in and streams end. Its stores stay in step. The reason is for whoever
/// runs the gateway, and not shown to callers. False when it was suspended before; then the reason alone changes, if there is a new one.
///
/// # Errors
/// `NOT_FOUND` when there is no such tenant, `CONFLICT` when it is being deleted, `BAD_USER_INPUT` when the reason is too long.
pub async fn suspend(ports: &Ports, tenant: &TenantId, reason: Option<String>) -> Result<bool, Fault> {
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        return Err(Fault::client(Code::BadUserInput, format!("the reason has more than {LONGEST_REASON} characters")));
    }
    let before = life(ports, tenant).await?;
    let life = match &before {
        Life::Suspended { since, reason: held } => {
            Life::Suspended { since: since.clone(), reason: reason.or_else(|| held.clone()) }
        }
        _ => Life::Suspended { since: scalar::stamp_ms(ports.clock.now_ms()), reason },
    };
    Ok(!ports.metadata.set_life(tenant, &life).await?.is_suspended())
}

/// Lets a tenant be served again, on every instance within a second. False when it was not suspended.
///
/// # Errors
/// `NOT_FOUND` when there is no such tenant, `CONFLICT` when it is being deleted.
pub async fn resume(ports: &Ports, tenant: &TenantId) -> Result<bool, Fault> {
    Ok(ports.metadata.set_life(tenant, &Life::Active).await?.is_suspended())
}

/// How a tenant is.
pub(super) async fn life(ports: &Ports, tenant: &TenantId) -> Result<Life, Fault> {
    let states = ports.metadata.tenants().await?;
    states.into_iter().find(|state| state.tenant == *tenant).map(|state| state.life).ok_or_else(|| unknown(tenant))
}

fn unknown(tenant: &TenantId) -> Fault {
    Fault::client(Code::NotFound, format!("there is no tenant {tenant}"))
}
