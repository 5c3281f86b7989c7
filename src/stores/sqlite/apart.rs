//! Vectors of records that are in another store.

use async_trait::async_trait;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Coverage, Held, Hit, Nearest, StoreName, VectorChange, VectorOf, Vectors};
use sqlx::sqlite::SqliteRow;

use super::vectors::{first_vector, hits};
use super::{EmbeddedVectors, codes};
use crate::stores::apart::{Bare, Found};
use crate::stores::sql::apart;

/// Candidates by signs that are compared exactly: at least these, or so many times what is asked for.
const COMPARED: usize = 1_000;
const TIMES: usize = 4;

#[async_trait]
impl Bare for EmbeddedVectors {
    async fn nearest(&self, nearest: &Allowed<Nearest>, most: u32, call: Call<'_>) -> Result<Found, Fault> {
        let (wanted, tenant, store) = (nearest.get(), nearest.tenant(), StoreName::Vectors);
        let rows = self.0.query(store, tenant, call, |names| apart::signs(wanted, names), Ok).await?;
        let signs = codes::signs(&wanted.vector);
        let compared = COMPARED.max((most as usize).saturating_mul(TIMES));
        let picked = tokio::task::spawn_blocking(move || codes::candidates(&rows, &signs, compared)).await;
        let internal = |error: &dyn std::fmt::Display| Fault::internal(store.as_str(), error);
        let (mut candidates, complete) = picked.map_err(|error| internal(&error))?.map_err(|error| internal(&error))?;
        let all = complete && candidates.len() <= most as usize;
        if candidates.is_empty() {
            return Ok(Found { hits: Vec::new(), all });
        }
        candidates.truncate(compared);
        let take = |rows: Vec<SqliteRow>| hits(&rows, &wanted.within.of).map_err(|error| error.to_string());
        let write = |names: &_| apart::nearest_of(wanted, &candidates, most, names);
        Ok(Found { hits: self.0.query(store, tenant, call, write, take).await?, all })
    }

    async fn nearest_among(
        &self,
        nearest: &Allowed<Nearest>,
        ids: &[String],
        call: Call<'_>,
    ) -> Result<Vec<Hit>, Fault> {
        let wanted = nearest.get();
        let take = |rows: Vec<SqliteRow>| hits(&rows, &wanted.within.of).map_err(|error| error.to_string());
        let write = |names: &_| apart::nearest_among(wanted, ids, wanted.limit, names);
        self.0.query(StoreName::Vectors, nearest.tenant(), call, write, take).await
    }

    async fn vector(&self, record: &Allowed<VectorOf>, call: Call<'_>) -> Result<Option<Vec<f32>>, Fault> {
        let write = |names: &_| apart::vector(record.get(), names);
        self.0.query(StoreName::Vectors, record.tenant(), call, write, |rows| first_vector(&rows)).await
    }

    async fn apply(&self, tenant: &TenantId, position: u64, changes: &[VectorChange]) -> Result<(), Fault> {
        Vectors::apply(self, tenant, position, changes).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        Vectors::position(self, tenant).await
    }

    async fn coverage(&self, tenant: &TenantId) -> Result<Vec<Coverage>, Fault> {
        Vectors::coverage(self, tenant).await
    }

    async fn cover(&self, tenant: &TenantId, coverage: &Coverage, changes: &[VectorChange]) -> Result<(), Fault> {
        Vectors::cover(self, tenant, coverage, changes).await
    }

    async fn lacking(
        &self,
        tenant: &TenantId,
        of: &str,
        property: &str,
        ids: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        Vectors::lacking(self, tenant, of, property, ids).await
    }

    async fn rewind(&self, tenant: &TenantId, position: u64) -> Result<(), Fault> {
        Vectors::rewind(self, tenant, position).await
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), Fault> {
        Vectors::forget(self, tenant).await
    }

    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, Fault> {
        Vectors::held(self, tenant).await
    }

    async fn uncover(&self, tenant: &TenantId, of: &str, property: &str) -> Result<bool, Fault> {
        Vectors::uncover(self, tenant, of, property).await
    }
}
