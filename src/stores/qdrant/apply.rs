//! Storing and removing vectors.

use std::collections::BTreeSet;
use std::time::Instant;

use qdrant_client::qdrant::points_update_operation::{DeletePoints, Operation, PointStructList};
use qdrant_client::qdrant::{
    Condition, PointId, PointStruct, PointsUpdateOperation, ScrollPoints, UpdateBatchPoints, Vectors,
};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Coverage, Reached, VectorChange};

use super::Inner;
use super::failure::Failure;
use super::scope::{ID, PROPERTY, Scope, TYPE};
use super::session::points;

/// Bytes of vectors in one request, about; a server takes some tens of megabytes.
const REQUEST: usize = 4 << 20;
/// What a point has beside its vector, about.
const BESIDE: usize = 256;
/// Vectors of a property that are removed at once.
const PORTION: u32 = 8_192;
/// Ids that are asked about at once.
const ASKED: usize = 5_000;

/// What is done to points one after another; neighbours of a kind are one.
enum Step {
    Put(Vec<PointStruct>),
    Remove(Vec<PointId>),
}

impl Inner {
    /// Stores and removes vectors, in order. Doing it again changes nothing.
    pub(super) async fn change(
        &self,
        tenant: &TenantId,
        changes: &[VectorChange],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let put = |change: &'_ VectorChange| change.vector.is_some();
        let spaces: BTreeSet<(&str, &str)> = changes
            .iter()
            .filter(|change| put(change))
            .filter_map(|change| Some((change.record.of.as_str(), change.property.as_deref()?)))
            .collect();
        self.note_held(tenant, spaces, deadline).await?;
        // A record that goes may have vectors of all properties that have any.
        let whole = changes.iter().any(|change| change.property.is_none());
        let held = if whole { self.noted_coverage(tenant, deadline).await? } else { Vec::new() };
        for steps in self.requests(self.steps(tenant, changes, &held)?) {
            let operations = steps.into_iter().map(|step| operation(tenant, step)).collect();
            let batch = UpdateBatchPoints {
                collection_name: self.names.vectors.clone(),
                wait: Some(true),
                operations,
                ..UpdateBatchPoints::default()
            };
            let update = |channel, request| async move { points(channel).update_batch(request).await };
            self.session.ask(deadline, batch, update).await?;
        }
        Ok(())
    }

    /// What is to be done to points.
    fn steps(&self, tenant: &TenantId, changes: &[VectorChange], held: &[Coverage]) -> Result<Vec<Step>, Failure> {
        let scope = Scope(tenant);
        let mut steps = Vec::new();
        for change in changes {
            let (of, id) = (change.record.of.as_str(), change.record.id.as_str());
            match (&change.property, &change.vector) {
                (Some(property), Some(vector)) if vector.len() == self.dimension => {
                    let fields = [(TYPE, of.into()), (PROPERTY, property.as_str().into()), (ID, id.into())];
                    let point = PointStruct {
                        id: Some(scope.vector_id(of, property, id)),
                        payload: scope.payload(fields),
                        vectors: Some(Vectors::from(vector.clone())),
                    };
                    match steps.last_mut() {
                        Some(Step::Put(points)) => points.push(point),
                        _ => steps.push(Step::Put(vec![point])),
                    }
                }
                (Some(_), Some(vector)) => {
                    let (found, wanted) = (vector.len(), self.dimension);
                    let cause = format!("a vector of {found} numbers, and the collection's have {wanted}");
                    return Err(Failure::Answer(cause));
                }
                (Some(property), None) => remove(&mut steps, [scope.vector_id(of, property, id)]),
                (None, _) => {
                    let properties = held.iter().filter(|held| held.of == of).map(|held| held.property.as_str());
                    remove(&mut steps, properties.map(|property| scope.vector_id(of, property, id)));
                }
            }
        }
        Ok(steps)
    }

    /// Steps in portions that a server takes in one request.
    fn requests(&self, steps: Vec<Step>) -> Vec<Vec<Step>> {
        let most = (REQUEST / (self.dimension * size_of::<f32>() + BESIDE)).max(16);
        let (mut requests, mut request, mut room) = (Vec::new(), Vec::new(), most);
        for step in steps {
            let parts: Vec<Step> = match step {
                Step::Put(points) => points.chunks(most).map(|part| Step::Put(part.to_vec())).collect(),
                Step::Remove(ids) => ids.chunks(most).map(|part| Step::Remove(part.to_vec())).collect(),
            };
            for part in parts {
                let size = match &part {
                    Step::Put(points) => points.len(),
                    Step::Remove(ids) => ids.len(),
                };
                if size > room {
                    requests.push(std::mem::take(&mut request));
                    room = most;
                }
                room -= size;
                request.push(part);
            }
        }
        requests.push(request);
        requests.retain(|request| !request.is_empty());
        requests
    }

    /// Those of the records that have no vector for the property.
    pub(super) async fn without(
        &self,
        tenant: &TenantId,
        (of, property): (&str, &str),
        ids: Vec<String>,
        deadline: Instant,
    ) -> Result<Vec<String>, Failure> {
        let scope = Scope(tenant);
        let mut lacking = Vec::new();
        for ids in ids.chunks(ASKED) {
            let named: Vec<PointId> = ids.iter().map(|id| scope.vector_id(of, property, id)).collect();
            let most = u32::try_from(named.len()).unwrap_or(u32::MAX);
            let found = self.point_ids(tenant, [Condition::has_id(named.clone())], most, deadline).await?;
            let found: std::collections::HashSet<PointId> = found.into_iter().collect();
            let missing = ids.iter().zip(&named).filter(|(_, point)| !found.contains(*point));
            lacking.extend(missing.map(|(id, _)| id.clone()));
        }
        Ok(lacking)
    }

    /// Removes a portion of a property's vectors; true when all are gone. That they are going is noted first: whoever is cut off leaves no
    /// property that seems to be covered and is not.
    pub(super) async fn remove_some(
        &self,
        tenant: &TenantId,
        (of, property): (&str, &str),
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let some = self.point_ids(tenant, Scope(tenant).space(of, property), PORTION, deadline).await?;
        let done = some.len() < PORTION as usize;
        if !some.is_empty() {
            let leaving = Coverage { of: of.to_owned(), property: property.to_owned(), reached: Reached::Leaving };
            self.note_coverage(tenant, &leaving, deadline).await?;
            let batch = UpdateBatchPoints {
                collection_name: self.names.vectors.clone(),
                wait: Some(true),
                operations: vec![operation(tenant, Step::Remove(some))],
                ..UpdateBatchPoints::default()
            };
            let update = |channel, request| async move { points(channel).update_batch(request).await };
            self.session.ask(deadline, batch, update).await?;
        }
        if done {
            self.forget(tenant, of, property, deadline).await?;
        }
        Ok(done)
    }

    /// Ids of points of a tenant, at most so many.
    async fn point_ids(
        &self,
        tenant: &TenantId,
        conditions: impl IntoIterator<Item = Condition>,
        most: u32,
        deadline: Instant,
    ) -> Result<Vec<PointId>, Failure> {
        let scroll = ScrollPoints {
            collection_name: self.names.vectors.clone(),
            filter: Some(Scope(tenant).filter(conditions)),
            limit: Some(most.max(1)),
            with_payload: Some(false.into()),
            with_vectors: Some(false.into()),
            ..ScrollPoints::default()
        };
        let send = |channel, request| async move { points(channel).scroll(request).await };
        let answer = self.session.ask(deadline, scroll, send).await?;
        Ok(answer.result.into_iter().filter_map(|point| point.id).collect())
    }
}

fn remove(steps: &mut Vec<Step>, ids: impl IntoIterator<Item = PointId>) {
    let ids: Vec<PointId> = ids.into_iter().collect();
    match steps.last_mut() {
        Some(Step::Remove(known)) => known.extend(ids),
        _ if ids.is_empty() => {}
        _ => steps.push(Step::Remove(ids)),
    }
}

fn operation(tenant: &TenantId, step: Step) -> PointsUpdateOperation {
    let operation = match step {
        Step::Put(points) => Operation::Upsert(PointStructList { points, ..PointStructList::default() }),
        Step::Remove(ids) => {
            let filter = Scope(tenant).filter([Condition::has_id(ids)]);
            Operation::DeletePoints(DeletePoints { points: Some(filter.into()), ..DeletePoints::default() })
        }
    };
    PointsUpdateOperation { operation: Some(operation) }
}
