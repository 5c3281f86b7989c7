//! The port `Graph` over several graphs: tenants whose graph is in a database of their own, and all others.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use quipu_resolvers::change::Entry;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Applied, Call, Graph, Held, Hit, Matching, Reader, SharedGraph, Standing};
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Ontology;

/// Graphs by tenant. There is no way from one tenant's calls to another's graph: each call names its tenant, and nothing else chooses.
pub struct RoutedGraph {
    /// Where tenants are that are not named.
    usual: Arc<dyn Graph>,
    named: HashMap<TenantId, Arc<dyn Graph>>,
}

impl RoutedGraph {
    /// Tenants that are `named` have their own graph, all others the usual one.
    pub fn new(usual: Arc<dyn Graph>, named: HashMap<TenantId, Arc<dyn Graph>>) -> Self {
        Self { usual, named }
    }

    /// The graph of a tenant.
    fn of(&self, tenant: &TenantId) -> &dyn Graph {
        self.named.get(tenant).unwrap_or(&self.usual).as_ref()
    }
}

#[async_trait]
impl Reader for RoutedGraph {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.of(read.tenant()).read(read, call).await
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        self.of(read.tenant()).read_many(read, keys, call).await
    }
}

#[async_trait]
impl Graph for RoutedGraph {
    async fn matching(&self, matching: &Allowed<Matching>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        self.of(matching.tenant()).matching(matching, call).await
    }

    async fn apply(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault> {
        self.of(tenant).apply(tenant, entries).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.of(tenant).position(tenant).await
    }

    async fn standing(&self, tenant: &TenantId) -> Result<Standing, Fault> {
        self.of(tenant).standing(tenant).await
    }

    async fn prepare(&self, tenant: &TenantId, ontology: &Ontology) -> Result<(), Fault> {
        self.of(tenant).prepare(tenant, ontology).await
    }

    async fn filling(&self, tenant: &TenantId) -> Result<Vec<String>, Fault> {
        self.of(tenant).filling(tenant).await
    }

    fn is_shared(&self, tenant: &TenantId) -> bool {
        self.of(tenant).is_shared(tenant)
    }

    async fn forget(&self, tenant: &TenantId, shared: SharedGraph) -> Result<(), Fault> {
        self.of(tenant).forget(tenant, shared).await
    }

    async fn held(&self, tenant: &TenantId, shared: SharedGraph) -> Result<Vec<Held>, Fault> {
        self.of(tenant).held(tenant, shared).await
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.of(tenant).clear(tenant).await
    }
}
