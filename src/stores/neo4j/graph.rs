//! The port `Graph`.

use async_trait::async_trait;
use quipu_resolvers::change::Entry;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Applied, Call, Graph, Held, Hit, Matching, SharedGraph, Standing};
use quipu_schema::ontology::Ontology;

use super::{Neo4j, column};
use crate::stores::cypher::search;
use crate::stores::sql::search::words;

#[async_trait]
impl Graph for Neo4j {
    async fn matching(&self, matching: &Allowed<Matching>, call: Call<'_>) -> Result<Vec<Hit>, Fault> {
        let (tenant, asked) = (matching.tenant(), matching.get());
        let words = words(&asked.text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let mut hits = self.matching_rows(matching, &words, call).await?;
        if asked.within.iter().all(|within| within.row) {
            return Ok(hits);
        }
        let name = self.name(tenant);
        let statement = self.written(tenant, |scope| search::matching(asked, &words, &name, scope));
        let nodes: Vec<Hit> = self
            .query(statement, call, |rows| {
                let hit = |row: &neo4rs::Row| {
                    let place =
                        usize::try_from(column::<i64>(row, "i")?).ok().and_then(|place| asked.within.get(place));
                    let of = place.ok_or("a hit of no type")?.of.clone();
                    Ok(Hit { of, id: column(row, "id")?, score: column(row, "score")? })
                };
                rows.iter().map(hit).collect()
            })
            .await?;
        if hits.is_empty() {
            return Ok(nodes);
        }
        // One index has ranked both.
        hits.extend(nodes);
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(asked.limit as usize);
        Ok(hits)
    }

    async fn apply(&self, tenant: &TenantId, entries: &[Entry]) -> Result<Applied, Fault> {
        self.follow(tenant, entries).await
    }

    async fn position(&self, tenant: &TenantId) -> Result<u64, Fault> {
        self.reached(tenant).await
    }

    async fn standing(&self, tenant: &TenantId) -> Result<Standing, Fault> {
        self.stands(tenant).await
    }

    fn is_shared(&self, _tenant: &TenantId) -> bool {
        self.has_a_database()
    }

    async fn forget(&self, tenant: &TenantId, shared: SharedGraph) -> Result<(), Fault> {
        self.forget_tenant(tenant, shared).await
    }

    async fn held(&self, tenant: &TenantId, shared: SharedGraph) -> Result<Vec<Held>, Fault> {
        self.held_of(tenant, shared).await
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Fault> {
        self.remove(tenant).await
    }

    async fn prepare(&self, tenant: &TenantId, ontology: &Ontology) -> Result<(), Fault> {
        self.fit(tenant, ontology).await
    }

    async fn filling(&self, _tenant: &TenantId) -> Result<Vec<String>, Fault> {
        self.unfilled().await
    }
}
