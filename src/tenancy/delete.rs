//! Deleting a tenant: everything of it goes from every store, and it is looked up afterwards what is left.
//!
//! First nobody is let in any more, then nothing is accepted any more (the tenant is *leaving*, which the metadata store itself keeps), and
//! only then are the stores emptied: the log first, so that nothing can be made anew from it. Whoever is interrupted anywhere does it again, and
//! it ends the same. What another instance was about to write at that moment is found by looking, and removed in a further round.
//!
//! The name stays in the metadata store, with its audit trail and the number of its last ontology. So the key under which the tenant's data was
//! is never another's, and a tenant of the same name begins with a higher version: nothing that is still kept anywhere of the first can be taken
//! for something of the second.

use std::time::Duration;

use quipu_resolvers::Ports;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Held, Life, SharedGraph};
use quipu_resolvers::value::scalar;
use serde::Serialize;
use tokio::time::sleep;

use super::standing::{life, suspend};
use crate::audit::{Trail, Whose};

/// How long instances take to notice how a tenant is: they look every 300 ms.
const NOTICED: Duration = Duration::from_millis(800);
/// How often the stores are emptied while something is found in them.
const ROUNDS: usize = 5;
/// The pause between, for what is about to be written.
const PAUSE: Duration = Duration::from_secs(1);

/// How a tenant is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deletion {
    /// What becomes of a graph in a database of its own, which others may write as well.
    pub shared_graph: SharedGraph,
    /// Whether the audit trail goes, too. Else it stays under the tenant's name, as the proof of what happened.
    pub with_audit: bool,
}

/// What is left of a tenant, looked up in the stores after everything was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The tenant.
    pub tenant: String,
    /// When it was looked up, RFC 3339 in UTC.
    pub at: String,
    /// Whether nothing is left. Else the tenant is leaving still, and deleting it again goes on.
    pub complete: bool,
    /// What was looked for, and how much of it there is.
    pub left: Vec<Leftover>,
    /// Whether the audit trail is kept.
    pub audit_kept: bool,
    /// Tables of others that the ontology showed: nothing was removed from them.
    pub tables_of_others: Vec<String>,
    /// Whether the nodes of a graph that others write as well were kept.
    pub graph_kept: bool,
}

/// Things of one kind that were looked for in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// `metadata`, `graph`, `vectors`, `cache` or `audit`.
    pub store: &'static str,
    /// What they are.
    pub kind: &'static str,
    /// How many there are; nothing where the store does not say.
    pub count: Option<u64>,
}

/// Deletes a tenant, or goes on deleting it. `told` hears what is being done.
///
/// # Errors
/// `NOT_FOUND` when there is no such tenant; `BAD_USER_INPUT` when others write its graph and it is not said what becomes of that; a store's.
/// After a store's error the tenant may be suspended or leaving, and deleting it again goes on.
pub async fn delete(
    ports: &Ports,
    trail: &dyn Trail,
    tenant: &TenantId,
    deletion: Deletion,
    told: &mut (dyn FnMut(&'static str) + Send),
) -> Result<Proof, Fault> {
    let before = life(ports, tenant).await?;
    if ports.graph.is_shared(tenant) && deletion.shared_graph == SharedGraph::Unsaid {
        let message = format!(
            "the graph of {tenant} is in a database of its own, which others may write as well: say whether its nodes are to be kept or removed"
        );
        return Err(Fault::client(Code::BadUserInput, message));
    }
    let tables_of_others = tables_of_others(ports, tenant).await?;
    let now = || scalar::stamp_ms(ports.clock.now_ms());
    if before.is_there() {
        told("letting nobody in");
        suspend(ports, tenant, None).await?;
        sleep(NOTICED).await;
        ports.metadata.set_life(tenant, &Life::Leaving { since: now() }).await?;
        sleep(NOTICED).await;
    }
    let mut left = Vec::new();
    for round in 0..ROUNDS {
        if round > 0 {
            sleep(PAUSE).await;
        }
        told("removing log, rows and credentials");
        ports.metadata.forget(tenant).await?;
        told("removing the graph");
        ports.graph.forget(tenant, deletion.shared_graph).await?;
        told("removing vectors");
        ports.vectors.forget(tenant).await?;
        ports.cache.forget(tenant).await;
        ports.bus.forget(tenant);
        told("looking what is left");
        left = looked_up(ports, tenant, deletion).await?;
        if is_nothing(&left) {
            break;
        }
    }
    let whose = Whose::Tenant(tenant.clone());
    if deletion.with_audit {
        trail.forget(&whose).await?;
        let records = trail.kept(&whose, 0, 1).await?.len() as u64;
        left.push(Leftover { store: "audit", kind: "records", count: Some(records) });
    }
    let complete = is_nothing(&left);
    if complete && !matches!(before, Life::Gone { .. }) {
        ports.metadata.set_life(tenant, &Life::Gone { since: now() }).await?;
    }
    Ok(Proof {
        tenant: tenant.to_string(),
        at: now(),
        complete,
        left,
        audit_kept: !deletion.with_audit,
        tables_of_others,
        graph_kept: ports.graph.is_shared(tenant) && deletion.shared_graph == SharedGraph::Kept,
    })
}

/// What the stores have of a tenant now.
async fn looked_up(ports: &Ports, tenant: &TenantId, deletion: Deletion) -> Result<Vec<Leftover>, Fault> {
    let of = |store: &'static str| move |Held { kind, count }: Held| Leftover { store, kind, count: Some(count) };
    let mut left: Vec<Leftover> = ports.metadata.held(tenant).await?.into_iter().map(of("metadata")).collect();
    left.extend(ports.graph.held(tenant, deletion.shared_graph).await?.into_iter().map(of("graph")));
    left.extend(ports.vectors.held(tenant).await?.into_iter().map(of("vectors")));
    left.push(Leftover { store: "cache", kind: "keys", count: ports.cache.held(tenant).await });
    Ok(left)
}

/// Whether nothing was found. A cache that does not answer holds nothing up: what is in it ends by itself, and cannot be asked for.
fn is_nothing(left: &[Leftover]) -> bool {
    left.iter().all(|one| one.count.map_or(one.store == "cache", |count| count == 0))
}

/// Tables of others that the published ontology shows; none where it does not compile any more, or is gone already.
async fn tables_of_others(ports: &Ports, tenant: &TenantId) -> Result<Vec<String>, Fault> {
    let Some((_, sdl)) = ports.metadata.ontology(tenant).await? else { return Ok(Vec::new()) };
    let Ok(ontology) = quipu_schema::compile(&sdl) else { return Ok(Vec::new()) };
    let mapped = ontology.types.values().filter_map(|entity| entity.mapped());
    Ok(mapped.map(|(table, mapped)| format!("{}.{table}", mapped.schema)).collect())
}
