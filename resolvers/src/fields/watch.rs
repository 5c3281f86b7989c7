//! Watching fields: `changes`, `xCreated`, `xUpdated`, `xDeleted`, planned up to what is read again for each event.

use std::sync::Arc;

use quipu_schema::api::{Event, Part, Source};
use quipu_schema::ontology::Scalar;
use quipu_schema::policy::Operator;
use serde_json::Value as Json;

use super::record::Taken;
use super::search::by_ids;
use super::{Job, Plan, Planner, bad, filter::Filters};
use crate::change::EffectKind;
use crate::fault::Fault;
use crate::plan::Asked;
use crate::read::{Field, Place, Predicate};
use crate::shape::{Codec, Origin, RecordShape, Shape, What};
use crate::value::Value;
use crate::ways;

/// A planned watch.
pub(crate) struct Watch {
    /// Types whose changes are wanted.
    pub of: Vec<String>,
    /// Sorts of change that are wanted.
    pub events: Vec<EffectKind>,
    /// Position in the log to begin after; the present when `None`.
    pub since: Option<u64>,
    /// Condition on the record, of each type in `of`.
    pub filters: Vec<Predicate>,
    /// How each type's records are read, by id: one plan for nodes and one for rows, each with its types in order.
    pub nodes: Option<(Vec<String>, Plan)>,
    /// The same for rows.
    pub rows: Option<(Vec<String>, Plan)>,
    /// Whether rows are shown; `changes` tells of them without showing them.
    pub shows_rows: bool,
}

/// Positions in the row of a change.
pub(crate) mod change {
    /// Position in the log.
    pub const SEQ: usize = 0;
    /// When.
    pub const AT: usize = 1;
    /// What happened.
    pub const OPERATION: usize = 2;
    /// Type of the record.
    pub const TYPE: usize = 3;
    /// Id of the record.
    pub const ID: usize = 4;
    /// Outcome with the record.
    pub const NODE: usize = 5;
}

impl<'a> Planner<'a> {
    pub(super) fn changes(&mut self, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let args = asked.args.as_ref().map_err(Clone::clone)?;
        let ontology = &self.served.ontology;
        let of: Vec<String> = match args.get("types").and_then(Json::as_array) {
            Some(types) => types.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            None => ontology.types.keys().cloned().collect(),
        };
        let since = match args.get("since").and_then(Json::as_str) {
            Some(text) => Some(text.parse().map_err(|_| bad("since takes the `seq` of a change"))?),
            None => None,
        };
        let filters = vec![Predicate::True; of.len()];
        let events = vec![EffectKind::Created, EffectKind::Updated, EffectKind::Deleted];
        self.watched(of, events, since, filters, asked)
    }

    pub(super) fn watch(&mut self, of: &str, event: Event, asked: &Asked<'a>) -> Result<(Job, What), Fault> {
        let args = asked.args.as_ref().map_err(Clone::clone)?;
        let ontology = &self.served.ontology;
        let entity = ontology.types.get(of).ok_or_else(|| bad(format!("there is no type {of}")))?;
        let filter = match args.get("where") {
            Some(given) => Filters { ontology }.record(entity, given)?,
            None => Predicate::True,
        };
        let event = match event {
            Event::Created => EffectKind::Created,
            Event::Updated => EffectKind::Updated,
            Event::Deleted => EffectKind::Deleted,
        };
        if event == EffectKind::Deleted && by_id(&filter, "").is_none() {
            return Err(bad(
                "nothing but the `id` of a record that was deleted can be compared: `where` takes no other field here",
            ));
        }
        self.watched(vec![of.to_owned()], vec![event], None, vec![filter], asked)
    }

    fn watched(
        &mut self,
        of: Vec<String>,
        events: Vec<EffectKind>,
        since: Option<u64>,
        filters: Vec<Predicate>,
        asked: &Asked<'a>,
    ) -> Result<(Job, What), Fault> {
        let fields = asked.fields();
        let shown: Vec<&[_]> =
            fields.iter().filter(|f| f.part() == Some(&Part::Node)).map(|f| f.below.as_slice()).collect();
        let (nodes, node_shapes) = self.by_place(&of, Place::Nodes, &shown)?;
        let (rows, row_shapes) = self.by_place(&of, Place::Rows, &shown)?;
        let shows_rows = nodes.is_none() && !matches!(asked.def.map(|def| &def.source), Some(Source::Changes));
        let mut shapes = if shows_rows { row_shapes } else { node_shapes }.into_iter();
        let mut shape = Shape::default();
        for field in fields {
            let what = match field.part() {
                Some(Part::Seq) => text(change::SEQ),
                Some(Part::At) => text(change::AT),
                Some(Part::ChangeOperation) => text(change::OPERATION),
                Some(Part::ChangeType) => text(change::TYPE),
                Some(Part::ChangeId) => text(change::ID),
                Some(Part::Node) => match shapes.next() {
                    Some(shape) => What::Records { from: Origin::Slot(change::NODE), list: false, shape },
                    None => return Err(Fault::internal("plan", "a change has no shape")),
                },
                _ => What::Typename(Arc::from(asked.typename())),
            };
            shape.fields.push(super::record::out(field, what));
        }
        let shape = RecordShape { targets: vec![shape], widths: vec![change::NODE + 1] };
        let what = What::Records { from: Origin::Root, list: false, shape };
        Ok((Job::Watch(Watch { of, events, since, filters, nodes, rows, shows_rows }), what))
    }

    #[allow(clippy::type_complexity)] // the pair is taken apart at once
    fn by_place(
        &mut self,
        of: &[String],
        place: Place,
        shown: &[&[crate::plan::Below<'a>]],
    ) -> Result<(Option<(Vec<String>, Plan)>, Vec<RecordShape>), Fault> {
        let types = &self.served.ontology.types;
        let members: Vec<String> =
            of.iter().filter(|name| types.get(*name).is_some_and(|t| ways::place(t) == place)).cloned().collect();
        if members.is_empty() {
            let empty = RecordShape { targets: Vec::new(), widths: Vec::new() };
            return Ok((None, vec![empty; shown.len()]));
        }
        let Taken { targets, shapes, crossings } = self.targets(&members, &[], shown)?;
        let plan = Plan { read: by_ids(place, targets, members.len() > 1), crossings };
        Ok((Some((members, plan)), shapes))
    }
}

/// Whether a condition holds for a record of which only the id is known; `None` when that does not tell.
pub(crate) fn by_id(condition: &Predicate, id: &str) -> Option<bool> {
    let each = |parts: &[Predicate]| parts.iter().map(|part| by_id(part, id)).collect::<Option<Vec<bool>>>();
    match condition {
        Predicate::True => Some(true),
        Predicate::False => Some(false),
        Predicate::All(parts) => each(parts).map(|held| held.into_iter().all(|held| held)),
        Predicate::Any(parts) => each(parts).map(|held| held.into_iter().any(|held| held)),
        Predicate::Not(part) => by_id(part, id).map(|held| !held),
        Predicate::Absent(Field::Id) => Some(false),
        Predicate::Compare { field: Field::Id, operator, value } => compared(id, *operator, value),
        Predicate::Compare { .. } | Predicate::Absent(_) | Predicate::Related(_) => None,
    }
}

fn compared(id: &str, operator: Operator, value: &Value) -> Option<bool> {
    if operator == Operator::In {
        return Some(value.as_list()?.iter().any(|value| value.as_text() == Some(id)));
    }
    let text = value.as_text()?;
    Some(match operator {
        Operator::Eq => id == text,
        Operator::Lt => id < text,
        Operator::Lte => id <= text,
        Operator::Gt => id > text,
        Operator::Gte => id >= text,
        Operator::Contains => id.contains(text),
        Operator::StartsWith => id.starts_with(text),
        Operator::EndsWith => id.ends_with(text),
        Operator::In | Operator::Includes => return None,
    })
}

fn text(slot: usize) -> What {
    What::Leaf { slot, codec: Codec::single(Scalar::String) }
}
