//! Removing a tenant's graph, so that it is made anew from the log.

use std::time::{Duration, Instant};

use neo4rs::Txn;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;

use super::apply::{count, fetch};
use super::failure::Failure;
use super::session::{Work, query};
use super::{Neo4j, TenancyMode, column};
use crate::stores::cypher::apply::{self, POSITION};

/// Longest time for all of it.
pub(super) const REMOVING: Duration = Duration::from_secs(3_600);
/// Nodes that are removed in one transaction.
const PORTION: u32 = 5_000;

impl Neo4j {
    pub(super) async fn remove(&self, tenant: &TenantId) -> Result<(), Fault> {
        if self.0.options.tenancy == TenancyMode::Database {
            let message = format!(
                "`{}.tenancy` is \"database\": others write this graph as well, so it is not removed to be made anew from the log",
                self.0.options.section
            );
            return Err(Fault::client(Code::BadUserInput, message));
        }
        let deadline = Instant::now() + REMOVING;
        let name = self.name(tenant);
        self.remove_all(&name, deadline).await.map_err(Failure::fault)
    }

    async fn remove_all(&self, tenant: &str, deadline: Instant) -> Result<(), Failure> {
        self.0.sessions.transact(&Leaving { tenant }, deadline).await?;
        let labels = self.0.sessions.read(&apply::labels(), deadline).await?;
        for row in &labels {
            let label: String = column(row, "label").map_err(Failure::Answer)?;
            if label == POSITION {
                continue;
            }
            while self.0.sessions.transact(&Removing { label: &label, tenant }, deadline).await? > 0 {}
        }
        self.0.sessions.transact(&Forgetting { tenant }, deadline).await
    }
}

/// A note that the graph is on its way out.
struct Leaving<'a> {
    tenant: &'a str,
}

impl Work for Leaving<'_> {
    type Done = ();

    async fn work(&self, transaction: &mut Txn) -> Result<(), Failure> {
        fetch(transaction, &apply::begin(self.tenant)).await?;
        Ok(transaction.run(query(&apply::leave(self.tenant), None)).await?)
    }
}

/// A portion of the nodes of a label.
struct Removing<'a> {
    label: &'a str,
    tenant: &'a str,
}

impl Work for Removing<'_> {
    type Done = u64;

    async fn work(&self, transaction: &mut Txn) -> Result<u64, Failure> {
        count(transaction, &apply::clear(self.label, self.tenant, PORTION)).await
    }
}

/// The position. Which texts are indexed stays known: they are indexed as they come.
struct Forgetting<'a> {
    tenant: &'a str,
}

impl Work for Forgetting<'_> {
    type Done = ();

    async fn work(&self, transaction: &mut Txn) -> Result<(), Failure> {
        fetch(transaction, &apply::begin(self.tenant)).await?;
        Ok(transaction.run(query(&apply::left(self.tenant), None)).await?)
    }
}
