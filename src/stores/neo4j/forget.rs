//! Removing everything of a tenant from Neo4j for good, in portions, and counting what is there.

use std::time::Instant;

use neo4rs::Txn;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Held, SharedGraph};

use super::apply::count;
use super::failure::Failure;
use super::remove::REMOVING;
use super::session::Work;
use super::{Neo4j, TenancyMode, column};
use crate::stores::cypher::Statement;
use crate::stores::cypher::apply;

/// Nodes that are removed in one transaction.
const PORTION: u32 = 5_000;

impl Neo4j {
    /// Whether the tenant has a database of its own, in which others may write.
    pub(super) fn has_a_database(&self) -> bool {
        self.0.options.tenancy == TenancyMode::Database
    }

    pub(super) async fn forget_tenant(&self, tenant: &TenantId, shared: SharedGraph) -> Result<(), Fault> {
        if self.has_a_database() && shared == SharedGraph::Unsaid {
            let message = format!(
                "the graph of {tenant} is a database of its own (`{}.tenancy` is \"database\"), which others may write as well: say \
                 whether its nodes are to be kept or removed",
                self.0.options.section
            );
            return Err(Fault::client(Code::BadUserInput, message));
        }
        let deadline = Instant::now() + REMOVING;
        let name = self.name(tenant);
        self.forget_all(&name, shared, deadline).await.map_err(Failure::fault)?;
        Ok(())
    }

    async fn forget_all(&self, tenant: &str, shared: SharedGraph, deadline: Instant) -> Result<(), Failure> {
        if self.has_a_database() && shared == SharedGraph::Removed {
            let all = apply::forget_everything(PORTION);
            while self.0.sessions.transact(&Removing(&all), deadline).await? > 0 {}
            return Ok(());
        }
        for label in self.labels_held(shared, deadline).await? {
            let portion = apply::forget(&label, tenant, PORTION);
            while self.0.sessions.transact(&Removing(&portion), deadline).await? > 0 {}
        }
        Ok(())
    }

    /// Labels under which nodes of a tenant may be, that of the notes last; of a database that others write, those of the gateway's own.
    async fn labels_held(&self, shared: SharedGraph, deadline: Instant) -> Result<Vec<String>, Failure> {
        let rows = self.0.sessions.read(&apply::labels(), deadline).await?;
        let labels: Result<Vec<String>, String> = rows.iter().map(|row| column(row, "label")).collect();
        let mut labels = labels.map_err(Failure::Answer)?;
        if self.has_a_database() && shared != SharedGraph::Removed {
            labels.retain(|label| apply::OWN_LABELS.contains(&label.as_str()));
        }
        labels.sort_by_key(|label| label == apply::POSITION);
        Ok(labels)
    }

    pub(super) async fn held_of(&self, tenant: &TenantId, shared: SharedGraph) -> Result<Vec<Held>, Fault> {
        let deadline = Instant::now() + REMOVING;
        self.count_all(&self.name(tenant), shared, deadline).await.map_err(Failure::fault)
    }

    async fn count_all(&self, tenant: &str, shared: SharedGraph, deadline: Instant) -> Result<Vec<Held>, Failure> {
        let counted = async |statement: Statement| {
            let rows = self.0.sessions.read(&statement, deadline).await?;
            let count: Result<i64, String> = rows.first().map_or(Ok(0), |row| column(row, "count"));
            count.map(i64::unsigned_abs).map_err(Failure::Answer)
        };
        if self.has_a_database() && shared == SharedGraph::Removed {
            return Ok(vec![Held { kind: "nodes", count: counted(apply::count_everything()).await? }]);
        }
        let (mut nodes, mut notes) = (0, 0);
        for label in self.labels_held(shared, deadline).await? {
            let of = if apply::OWN_LABELS.contains(&label.as_str()) { &mut notes } else { &mut nodes };
            *of += counted(apply::count_of(&label, tenant)).await?;
        }
        Ok(vec![Held { kind: "nodes", count: nodes }, Held { kind: "notes and texts", count: notes }])
    }
}

/// A portion of nodes.
struct Removing<'a>(&'a Statement);

impl Work for Removing<'_> {
    type Done = u64;

    async fn work(&self, transaction: &mut Txn) -> Result<u64, Failure> {
        count(transaction, self.0).await
    }
}
