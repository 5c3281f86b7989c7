//! Ontologies of tenants: published, listed, and rolled back to an earlier one.

use std::sync::Arc;

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{OntologyVersion, TrustedDocument};
use quipu_resolvers::{Bound, Engine, Ports};
use quipu_schema::diff::{Diff, diff};
use quipu_schema::problem::Problems;

use crate::ingest::relay::Relay;
use crate::tenants::{self, Tenants};

/// What publishes.
#[derive(Clone)]
pub struct Publisher {
    /// Binds what is published.
    pub engine: Arc<Engine>,
    /// The stores.
    pub ports: Ports,
    /// Makes the stores ready.
    pub tenants: Arc<Tenants>,
    /// Knows what is left to embed.
    pub relay: Relay,
}

/// What came of publishing.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The version that is published now.
    pub version: u64,
    /// The one that was published before; nothing where none was. The same number when the text is the same.
    pub before: Option<u64>,
    /// What is different from the one before. Nothing where there was none, or one that does not compile any more.
    pub diff: Option<Diff>,
    /// Names of indexes that are not filled yet. Until they are, what needs them is slower and as right.
    pub filling: Vec<String>,
    /// What is wrong with documents that are published for the tenant and do not fit any more: a line for each mistake.
    pub misfits: Vec<String>,
    /// Records that were there before and are embedded in the background.
    pub to_embed: u64,
}

impl Published {
    /// Whether anything else than before is published now.
    pub fn is_new(&self) -> bool {
        self.before != Some(self.version)
    }
}

/// Why nothing was published.
#[derive(Debug)]
pub enum Unpublished {
    /// The text does not compile.
    Problems(Problems),
    /// The records do not fit, there is no such version, or a store failed.
    Fault(Fault),
}

impl From<Fault> for Unpublished {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Publisher {
    /// Publishes an ontology for a tenant, which is made when it is not there, and makes the stores ready for it. Servers serve it within a
    /// second; requests in flight finish on the one before.
    ///
    /// # Errors
    /// The problems of the text; `CONFLICT` when the records that are there do not fit, or the tenant is being deleted; a store's.
    pub async fn publish(&self, tenant: &TenantId, sdl: &str) -> Result<Published, Unpublished> {
        // Large ontologies take tens of milliseconds, which no request should have to wait for.
        let text = sdl.to_owned();
        let compiled = tokio::task::spawn_blocking(move || quipu_schema::compile(&text)).await;
        let ontology = compiled.map_err(|error| Fault::internal("ontology", error))?.map_err(Unpublished::Problems)?;
        let bind = |version| {
            let bound = tenants::compile(&self.engine, tenant.clone(), version, sdl);
            bound.map_err(|problems| Fault::client(Code::BadUserInput, problems))
        };
        // What the server would do with it, before it is asked to.
        let bound = bind(1)?;
        let before = self.ports.metadata.ontology(tenant).await?;
        let at = quipu_resolvers::value::scalar::stamp_ms(self.ports.clock.now_ms());
        let version = self.ports.metadata.publish(tenant, sdl, &ontology, &at).await?;
        self.tenants.prepare(&bound).await?;
        let filling = self.ports.graph.filling(tenant).await?;
        let to_embed = self.relay.left(tenant, &ontology).await?;
        let (_, documents) = self.ports.metadata.documents(tenant).await?;
        // Under a number of its own: what is kept of the one before fits that one.
        let misfits = misfits(&self.engine, &*bind(version)?, &documents);
        let (number, text) = before.unzip();
        // The one before may be of a Quipu that compiled more; then there is nothing to compare with.
        let old = text.filter(|_| number != Some(version)).and_then(|text| quipu_schema::compile(&text).ok());
        let diff = old.map(|old| diff(&old, &ontology));
        Ok(Published { version, before: number, diff, filling, misfits, to_embed })
    }

    /// Publishes the text of an earlier version again, as a new version; without a number, that of the one before. What publishing refuses
    /// is refused here as well: the records that are there have to fit.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); `NOT_FOUND` when there is no such version.
    pub async fn roll_back(&self, tenant: &TenantId, to: Option<u64>) -> Result<Published, Unpublished> {
        let to = match to {
            Some(version) => version,
            None => {
                let versions = history(&self.ports, tenant).await?;
                let before = versions.iter().rev().nth(1).map(|one| one.version);
                before.ok_or_else(|| {
                    Fault::client(
                        Code::NotFound,
                        format!("{tenant} has one version of its ontology, and none before it"),
                    )
                })?
            }
        };
        let sdl = text(&self.ports, tenant, to).await?;
        self.publish(tenant, &sdl).await
    }
}

/// The versions of a tenant's ontology, in order; the last one is published.
///
/// # Errors
/// `NOT_FOUND` when nothing was ever published for it; a store's.
pub async fn history(ports: &Ports, tenant: &TenantId) -> Result<Vec<OntologyVersion>, Fault> {
    let versions = ports.metadata.history(tenant).await?;
    if versions.is_empty() {
        return Err(Fault::client(Code::NotFound, format!("nothing is published for {tenant}")));
    }
    Ok(versions)
}

/// The text of a version of a tenant's ontology.
///
/// # Errors
/// `NOT_FOUND` when there is no such version; a store's.
pub async fn text(ports: &Ports, tenant: &TenantId, version: u64) -> Result<String, Fault> {
    let text = ports.metadata.ontology_at(tenant, version).await?;
    text.ok_or_else(|| Fault::client(Code::NotFound, format!("{tenant} has no version {version} of its ontology")))
}

/// What is wrong with the documents that do not fit an ontology, a line for each mistake.
pub fn misfits(engine: &Engine, bound: &Bound, documents: &[TrustedDocument]) -> Vec<String> {
    let mut told = Vec::new();
    for TrustedDocument { id, text } in documents {
        let problems = engine.check_document(bound, text).err().unwrap_or_default();
        told.extend(problems.into_iter().map(|problem| format!("{id}: {problem}")));
    }
    told
}
