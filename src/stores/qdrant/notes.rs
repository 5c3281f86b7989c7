//! How far logs and records were followed: points without meaning in a small collection beside the vectors.
//!
//! Qdrant has no transactions. So a note is written after the vectors that it speaks of: what a crash cuts off is not noted, and done
//! again, which changes nothing. Only that a property has vectors at all is noted before they come, so that none is ever without.

use std::collections::BTreeMap;
use std::time::Instant;

use qdrant_client::qdrant::{
    Condition, DeletePoints, PointId, PointStruct, RetrievedPoint, ScrollPoints, UpsertPoints, Value, Vectors,
};
use quipu_resolvers::guard::TenantId;
use quipu_resolvers::ports::{Coverage, Reached};

use super::Inner;
use super::failure::Failure;
use super::scope::{ID, KIND, PROPERTY, Scope, TYPE};
use super::session::points;

/// What a note is of.
const POSITION: &str = "position";
const HELD: &str = "held";
const COVERAGE: &str = "coverage";
/// Names of what it says.
const AT: &str = "at";
const REACHED: &str = "reached";
/// Notes that are read at once.
const PAGE: u32 = 1_000;

/// The vector of a note: a collection has to have some.
pub(super) const NOTE: [f32; 1] = [1.0];

impl Inner {
    /// The position up to which a tenant's log was followed.
    pub(super) async fn noted_position(&self, tenant: &TenantId, deadline: Instant) -> Result<u64, Failure> {
        let scope = Scope(tenant);
        let notes = self.notes(tenant, [Condition::has_id([scope.point_id(&[POSITION])])], deadline).await?;
        let at = notes.first().and_then(|note| note.get(AT).as_integer());
        Ok(at.and_then(|at| u64::try_from(at).ok()).unwrap_or(0))
    }

    /// Notes a position, unless a later one is noted. Of two who do so at once the smaller may win; then some work is done twice.
    pub(super) async fn note_position(
        &self,
        tenant: &TenantId,
        position: u64,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if self.noted_position(tenant, deadline).await? >= position {
            return Ok(());
        }
        self.set_position(tenant, position, deadline).await
    }

    /// Notes a position, whatever is noted.
    pub(super) async fn set_position(
        &self,
        tenant: &TenantId,
        position: u64,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let at = i64::try_from(position).map_err(|error| Failure::Answer(error.to_string()))?;
        let note = note(tenant, &[POSITION], [(KIND, POSITION.into()), (AT, at.into())]);
        self.write_notes(vec![note], deadline).await
    }

    /// Notes that properties of types have vectors.
    pub(super) async fn note_held<'a>(
        &self,
        tenant: &TenantId,
        spaces: impl IntoIterator<Item = (&'a str, &'a str)>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let held = |(of, property): (&str, &str)| {
            let fields = [(KIND, HELD.into()), (TYPE, of.into()), (PROPERTY, property.into())];
            note(tenant, &[HELD, of, property], fields)
        };
        self.write_notes(spaces.into_iter().map(held).collect(), deadline).await
    }

    /// Notes how far a property's records were gone through.
    pub(super) async fn note_coverage(
        &self,
        tenant: &TenantId,
        coverage: &Coverage,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let (of, property) = (coverage.of.as_str(), coverage.property.as_str());
        let (reached, upto) = match &coverage.reached {
            Reached::Upto(id) => ("upto", id.as_str()),
            Reached::All => ("all", ""),
            Reached::Leaving => ("leaving", ""),
        };
        let fields = [
            (KIND, COVERAGE.into()),
            (TYPE, of.into()),
            (PROPERTY, property.into()),
            (REACHED, reached.into()),
            (ID, upto.into()),
        ];
        self.write_notes(vec![note(tenant, &[COVERAGE, of, property], fields)], deadline).await
    }

    /// What is noted of a tenant's properties, in the order of their names; those that only have vectors were not gone through.
    pub(super) async fn noted_coverage(&self, tenant: &TenantId, deadline: Instant) -> Result<Vec<Coverage>, Failure> {
        let mut found: BTreeMap<(String, String), Reached> = BTreeMap::new();
        for note in self.notes(tenant, [], deadline).await? {
            let text = |name| note.get(name).as_str().map(String::as_str);
            let (Some(of), Some(property)) = (text(TYPE), text(PROPERTY)) else { continue };
            let space = (of.to_owned(), property.to_owned());
            match (text(KIND), text(REACHED)) {
                (Some(HELD), _) => {
                    found.entry(space).or_insert_with(|| Reached::Upto(String::new()));
                }
                (Some(COVERAGE), Some("all")) => drop(found.insert(space, Reached::All)),
                (Some(COVERAGE), Some("leaving")) => drop(found.insert(space, Reached::Leaving)),
                (Some(COVERAGE), Some("upto")) => {
                    drop(found.insert(space, Reached::Upto(text(ID).unwrap_or_default().to_owned())));
                }
                _ => return Err(Failure::Answer("a note that makes no sense".to_owned())),
            }
        }
        Ok(found.into_iter().map(|((of, property), reached)| Coverage { of, property, reached }).collect())
    }

    /// Forgets a property.
    pub(super) async fn forget(
        &self,
        tenant: &TenantId,
        of: &str,
        property: &str,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let scope = Scope(tenant);
        let ids = [HELD, COVERAGE].map(|kind| scope.point_id(&[kind, of, property]));
        let removal = DeletePoints {
            collection_name: self.names.notes.clone(),
            wait: Some(true),
            points: Some(scope.filter([Condition::has_id(ids)]).into()),
            ..DeletePoints::default()
        };
        self.session
            .ask(deadline, removal, |channel, request| async move { points(channel).delete(request).await })
            .await?;
        Ok(())
    }

    /// A tenant's notes that meet some conditions.
    async fn notes(
        &self,
        tenant: &TenantId,
        conditions: impl IntoIterator<Item = Condition>,
        deadline: Instant,
    ) -> Result<Vec<RetrievedPoint>, Failure> {
        let filter = Scope(tenant).filter(conditions);
        let mut found = Vec::new();
        let mut offset: Option<PointId> = None;
        loop {
            let page = ScrollPoints {
                collection_name: self.names.notes.clone(),
                filter: Some(filter.clone()),
                offset,
                limit: Some(PAGE),
                with_payload: Some(true.into()),
                with_vectors: Some(false.into()),
                ..ScrollPoints::default()
            };
            let scroll = |channel, request| async move { points(channel).scroll(request).await };
            let answer = self.session.ask(deadline, page, scroll).await?;
            found.extend(answer.result);
            offset = answer.next_page_offset;
            if offset.is_none() {
                return Ok(found);
            }
        }
    }

    async fn write_notes(&self, notes: Vec<PointStruct>, deadline: Instant) -> Result<(), Failure> {
        if notes.is_empty() {
            return Ok(());
        }
        let upsert = UpsertPoints {
            collection_name: self.names.notes.clone(),
            wait: Some(true),
            points: notes,
            ..UpsertPoints::default()
        };
        self.session
            .ask(deadline, upsert, |channel, request| async move { points(channel).upsert(request).await })
            .await?;
        Ok(())
    }
}

fn note<'f>(tenant: &TenantId, words: &[&str], fields: impl IntoIterator<Item = (&'f str, Value)>) -> PointStruct {
    let scope = Scope(tenant);
    PointStruct {
        id: Some(scope.point_id(words)),
        payload: scope.payload(fields),
        vectors: Some(Vectors::from(NOTE.to_vec())),
    }
}
