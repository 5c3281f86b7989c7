//! Search: `xSimilar` by meaning in one type, `search` by meaning and words over several.

use std::sync::Arc;

use quipu_schema::api::Part;
use quipu_schema::ontology::{EntityType, Scalar};
use serde_json::{Map, Value as Json};

use super::filter::Filters;
use super::listing::{read, ties};
use super::record::{Taken, out};
use super::window::Pages;
use super::{Job, Plan, Planner, bad};
use crate::fault::Fault;
use crate::plan::Asked;
use crate::ports::Within;
use crate::read::{Field, Place, Predicate, Via, Window};
use crate::shape::{Codec, Origin, RecordShape, Shape, What};
use crate::ways;

/// A planned search by meaning in one property of one type.
pub(crate) struct Similar {
    /// Among which records.
    pub within: Within,
    /// Stored name of the property.
    pub property: String,
    /// To what they are to be similar.
    pub to: Likeness,
    /// Most hits.
    pub first: u32,
    /// How the hits are read, by id.
    pub plan: Plan,
}

/// To what records are to be similar.
pub(crate) enum Likeness {
    /// A text, to be embedded.
    Text(String),
    /// A vector.
    Vector(Vec<f32>),
    /// The vector of another record, by id.
    Record(String),
}

/// A planned search by meaning and words.
pub(crate) struct Search {
    /// Among which records, with the stored names of their embedded properties.
    pub within: Vec<(Within, Vec<String>)>,
    /// The question.
    pub text: String,
    /// Most hits.
    pub first: u32,
    /// How the hits are read, by id; its targets are those of `within`, in order.
    pub plan: Plan,
}

/// Positions in the row of a hit.
pub(crate) mod hit {
    /// Score.
    pub const SCORE: usize = 0;
    /// Legs of a search.
    pub const LEGS: usize = 1;
    /// Outcome with the record.
    pub const NODE: usize = 2;
}

impl<'a> Planner<'a> {
    pub(super) fn similar(&mut self, of: &str, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let args = asked.args.as_ref().map_err(Clone::clone)?;
        let Some(entity) = self.served.ontology.types.get(of) else {
            return Err(bad(format!("there is no type {of}")));
        };
        let property = match args.get("property").and_then(Json::as_str) {
            Some(name) => entity.properties.get(name),
            None => entity.embedded().next(),
        };
        let property = property.ok_or_else(|| bad(format!("{of} has no embedded property")))?.stored.clone();
        let first = Pages::new(self.limits, entity.limit).size(args.get("first"), "first")?;
        let within = self.within(entity, args.get("where"))?;
        let members = vec![entity.name.clone()];
        let (plan, what) = self.hits(&members, ways::place(entity), asked)?;
        let job = Similar { within, property, to: likeness(args)?, first, plan };
        Ok((Job::Similar(job), what))
    }

    pub(super) fn search(&mut self, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let args = asked.args.as_ref().map_err(Clone::clone)?;
        let wanted = args.get("types").and_then(Json::as_array);
        let chosen = |entity: &&EntityType| {
            let named = wanted.is_none_or(|names| names.iter().any(|name| name.as_str() == Some(&entity.name)));
            named && entity.is_node() && entity.embedded().next().is_some()
        };
        let entities: Vec<&EntityType> = self.served.ontology.types.values().filter(chosen).collect();
        let first = Pages::new(self.limits, Default::default()).size(args.get("first"), "first")?;
        let filters = args.get("where").and_then(Json::as_object);
        let mut within = Vec::with_capacity(entities.len());
        for entity in &entities {
            let given = filters.and_then(|filters| filters.get(&entity.singular));
            let embedded = entity.embedded().map(|property| property.stored.clone()).collect();
            within.push((self.within(entity, given)?, embedded));
        }
        let members: Vec<String> = entities.iter().map(|entity| entity.name.clone()).collect();
        let (plan, what) = self.hits(&members, Place::Nodes, asked)?;
        let text = args.get("query").and_then(Json::as_str).unwrap_or_default().to_owned();
        Ok((Job::Search(Search { within, text, first, plan }), what))
    }

    fn within(&self, entity: &'a EntityType, filter: Option<&Json>) -> Result<Within, Fault> {
        let filter = match filter {
            Some(given) => Filters { ontology: &self.served.ontology }.record(entity, given)?,
            None => Predicate::True,
        };
        Ok(Within { of: entity.name.clone(), row: !entity.is_node(), filter, visible: Predicate::True })
    }

    /// How hits are read by id and shown.
    fn hits(&mut self, members: &[String], place: Place, asked: &Asked<'a>) -> Result<(Plan, What), Fault> {
        let fields = asked.fields();
        let nodes: Vec<&[_]> = fields
            .iter()
            .filter(|field| field.part() == Some(&Part::Node))
            .map(|field| field.below.as_slice())
            .collect();
        let Taken { targets, shapes, crossings } = self.targets(members, &[], &nodes)?;
        let plan = Plan { read: by_ids(place, targets, members.len() > 1), crossings };
        let mut shapes = shapes.into_iter();
        let mut shape = Shape::default();
        for field in fields {
            let what = match field.part() {
                Some(Part::Score) => float(hit::SCORE),
                Some(Part::Legs) => legs(field),
                Some(Part::Node) => match shapes.next() {
                    Some(shape) => What::Records { from: Origin::Slot(hit::NODE), list: false, shape },
                    None => return Err(Fault::internal("plan", "a hit has no shape")),
                },
                _ => What::Typename(Arc::from(asked.typename())),
            };
            shape.fields.push(out(field, what));
        }
        Ok((plan, rows(shape, hit::NODE + 1)))
    }
}

/// A read of records by their ids.
pub(super) fn by_ids(place: Place, targets: Vec<crate::read::Target>, several: bool) -> crate::read::Read {
    let via = Via::Key { local: Field::Id, remote: Field::Id };
    read(place, via, targets, ties(several, false), Window::default())
}

/// A list of rows that the engine makes itself.
pub(super) fn rows(shape: Shape, width: usize) -> What {
    What::Records { from: Origin::Root, list: true, shape: RecordShape { targets: vec![shape], widths: vec![width] } }
}

fn float(slot: usize) -> What {
    What::Leaf { slot, codec: Codec::single(Scalar::Float) }
}

fn legs(asked: &Asked<'_>) -> What {
    let Some(below) = asked.below.first() else { return What::Typename(Arc::from("")) };
    let mut shape = Shape::default();
    for field in &below.fields {
        let what = match field.part() {
            Some(Part::Leg) => What::Leaf { slot: 0, codec: Codec::single(Scalar::String) },
            Some(Part::LegRank) => What::Leaf { slot: 1, codec: Codec::single(Scalar::Int) },
            Some(Part::LegScore) => float(2),
            _ => What::Typename(Arc::from(below.of)),
        };
        shape.fields.push(out(field, what));
    }
    let shape = RecordShape { targets: vec![shape], widths: vec![3] };
    What::Records { from: Origin::Slot(hit::LEGS), list: true, shape }
}

fn likeness(args: &Map<String, Json>) -> Result<Likeness, Fault> {
    let given = |name: &str| args.get(name).filter(|value| !value.is_null());
    match (given("query"), given("vector"), given("id")) {
        (Some(Json::String(text)), None, None) => Ok(Likeness::Text(text.clone())),
        (None, Some(Json::Array(items)), None) => {
            Ok(Likeness::Vector(items.iter().filter_map(Json::as_f64).map(|x| x as f32).collect()))
        }
        (None, None, Some(Json::String(id))) => Ok(Likeness::Record(id.clone())),
        _ => Err(bad("give one of query, vector and id")),
    }
}
