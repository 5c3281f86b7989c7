//! Writing fields: `createX`, `upsertX`, `updateX`, `deleteX`, planned up to the records they touch.

use std::sync::Arc;

use quipu_schema::api::{Counter, Part};
use quipu_schema::ontology::Scalar;
use serde_json::{Map, Value as Json};

use super::search::by_ids;
use super::{Job, Plan, Planner, bad, filter::Filters};
use crate::fault::Fault;
use crate::plan::Asked;
use crate::read::Predicate;
use crate::shape::{Codec, Origin, RecordShape, Shape, What};
use crate::ways;

/// A planned write.
pub(crate) struct Write {
    /// Type of the records.
    pub of: String,
    /// What is done.
    pub deed: Deed,
    /// How the written records are read back, by id; `None` when nobody asks for them.
    pub plan: Option<Plan>,
}

/// What a write does.
pub(crate) enum Deed {
    /// Makes records.
    Create(Vec<Map<String, Json>>),
    /// Makes or changes records by id.
    Upsert(Vec<Map<String, Json>>),
    /// Changes the records that match.
    Update {
        /// Which.
        filter: Predicate,
        /// How.
        update: Map<String, Json>,
    },
    /// Removes the records that match.
    Delete {
        /// Which.
        filter: Predicate,
        /// Which related ones go with them.
        nested: Map<String, Json>,
    },
}

/// Positions in the row of a mutation's response.
pub(crate) mod response {
    /// Records made.
    pub const NODES_CREATED: usize = 0;
    /// Records removed.
    pub const NODES_DELETED: usize = 1;
    /// Relationships made.
    pub const RELATIONSHIPS_CREATED: usize = 2;
    /// Relationships removed.
    pub const RELATIONSHIPS_DELETED: usize = 3;
    /// Outcome with the written records.
    pub const WRITTEN: usize = 4;
}

impl<'a> Planner<'a> {
    pub(super) fn create(&mut self, of: &str, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let deed = Deed::Create(self.inputs(asked)?);
        self.write(of, deed, asked)
    }

    pub(super) fn upsert(&mut self, of: &str, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let deed = Deed::Upsert(self.inputs(asked)?);
        self.write(of, deed, asked)
    }

    pub(super) fn update(&mut self, of: &str, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let deed = Deed::Update { filter: self.matching(of, asked)?, update: object(asked, "update")? };
        self.write(of, deed, asked)
    }

    pub(super) fn delete(&mut self, of: &str, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let deed = Deed::Delete { filter: self.matching(of, asked)?, nested: object(asked, "delete")? };
        self.write(of, deed, asked)
    }

    fn inputs(&self, asked: &Asked<'a>) -> Result<Vec<Map<String, Json>>, Fault> {
        let args = asked.args.as_ref().map_err(Clone::clone)?;
        let items = args.get("input").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        if items.len() > self.limits.change_ops {
            return Err(bad(format!(
                "{} records in one call; at most `limits.change_ops`, {}",
                items.len(),
                self.limits.change_ops
            )));
        }
        Ok(items.iter().filter_map(|item| item.as_object().cloned()).collect())
    }

    fn matching(&self, of: &str, asked: &Asked<'a>) -> Result<Predicate, Fault> {
        let args = asked.args.as_ref().map_err(Clone::clone)?;
        match (args.get("where"), self.served.ontology.types.get(of)) {
            (Some(given), Some(entity)) => Filters { ontology: &self.served.ontology }.record(entity, given),
            _ => Ok(Predicate::True),
        }
    }

    fn write(&mut self, of: &str, deed: Deed, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let ontology = &self.served.ontology;
        let place = ontology.types.get(of).map(ways::place).ok_or_else(|| bad(format!("there is no type {of}")))?;
        let members = vec![of.to_owned()];
        let mut plan = None;
        let mut shape = Shape::default();
        for field in asked.fields() {
            let what = match field.part() {
                Some(Part::Info) => What::Object(counters(field)),
                Some(Part::Counter(counter)) => count(*counter),
                Some(Part::Written) => {
                    let (targets, shape, crossings) = self.shown(&members, field)?;
                    let read = by_ids(place, targets, false);
                    // The same records under two aliases are read twice; that is rare enough.
                    if plan.is_some() {
                        What::Refused(bad("select the written records once"))
                    } else {
                        plan = Some(Plan { read, crossings });
                        What::Records { from: Origin::Slot(response::WRITTEN), list: true, shape }
                    }
                }
                _ => What::Typename(Arc::from(asked.typename())),
            };
            shape.fields.push(super::record::out(field, what));
        }
        let shape = RecordShape { targets: vec![shape], widths: vec![response::WRITTEN + 1] };
        let what = What::Records { from: Origin::Root, list: false, shape };
        Ok((Job::Write(Write { of: of.to_owned(), deed, plan }), what))
    }
}

fn object(asked: &Asked<'_>, name: &str) -> Result<Map<String, Json>, Fault> {
    let args = asked.args.as_ref().map_err(Clone::clone)?;
    Ok(args.get(name).and_then(Json::as_object).cloned().unwrap_or_default())
}

fn counters(asked: &Asked<'_>) -> Shape {
    let mut shape = Shape::default();
    let Some(below) = asked.below.first() else { return shape };
    for field in &below.fields {
        let what = match field.part() {
            Some(Part::Counter(counter)) => count(*counter),
            _ => What::Typename(Arc::from(below.of)),
        };
        shape.fields.push(super::record::out(field, what));
    }
    shape
}

fn count(counter: Counter) -> What {
    let slot = match counter {
        Counter::NodesCreated => response::NODES_CREATED,
        Counter::NodesDeleted => response::NODES_DELETED,
        Counter::RelationshipsCreated => response::RELATIONSHIPS_CREATED,
        Counter::RelationshipsDeleted => response::RELATIONSHIPS_DELETED,
    };
    What::Leaf { slot, codec: Codec::single(Scalar::Int) }
}
