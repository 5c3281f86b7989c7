//! What rules ask of the records that a change touches: before the change by asking the stores, after it by looking at what it sets.

use futures_util::future::{BoxFuture, FutureExt};
use quipu_schema::ontology::Direction;
use quipu_schema::policy::{Operator, Quantifier, When};
use serde_json::{Map, Value as Json};

use super::run::{Run, rows};
use crate::change::{Act, Change, Op, Ref};
use crate::fault::Fault;
use crate::guard::{Check, Principal};
use crate::read::{Field, Pick, Place, Predicate, Read, Related, Target, Via, Window};
use crate::value::Value;

/// Whether each check holds, in order. Checks that ask the same of several records share a statement.
pub(super) async fn held(run: &Run<'_>, change: &Change, checks: &[Check]) -> Result<Vec<bool>, Fault> {
    let mut held = vec![false; checks.len()];
    let mut done = vec![false; checks.len()];
    for at in 0..checks.len() {
        if done[at] {
            continue;
        }
        let first = &checks[at];
        if first.when == When::After {
            held[at] = After { run, change, check: first }.holds(&first.predicate).await?.unwrap_or(false);
            continue;
        }
        let alike: Vec<usize> = (at..checks.len())
            .filter(|other| {
                let other = &checks[*other];
                other.when == When::Before && other.record.of == first.record.of && other.predicate == first.predicate
            })
            .collect();
        let ids = alike.iter().map(|other| checks[*other].record.id.as_str()).collect();
        let found = stored(run, &first.record.of, place(first), ids, Pick::Holds(first.predicate.clone())).await?;
        for other in alike {
            done[other] = true;
            let check = &checks[other];
            held[other] = match found.iter().find(|(id, _)| *id == check.record.id) {
                Some((_, value)) => matches!(value, Value::Bool(true) | Value::Int(1)),
                // What is not there can only be made; whether it must be there is not the guard's question.
                None => true,
            };
        }
    }
    Ok(held)
}

fn place(check: &Check) -> Place {
    if check.row { Place::Rows } else { Place::Nodes }
}

/// One value of records as they are stored, without any rule: the rule is what is being checked.
async fn stored(
    run: &Run<'_>,
    of: &str,
    place: Place,
    ids: Vec<&str>,
    pick: Pick,
) -> Result<Vec<(String, Value)>, Fault> {
    let filter = Predicate::one_of(Field::Id, ids.into_iter().map(Value::from).collect());
    let target =
        Target { of: of.to_owned(), filter, visible: Predicate::True, picks: vec![Pick::Field(Field::Id), pick] };
    let read = Read {
        place,
        via: Via::Root,
        targets: vec![target],
        sort: Vec::new(),
        window: Window::default(),
        rows: true,
        total: false,
        figures: Vec::new(),
    };
    let unbound = Principal { operator: true, ..run.principal.clone() };
    let outcome = Run { principal: &unbound, ..*run }.read(&read).await?;
    Ok(rows(&read, &outcome)
        .iter()
        .filter_map(|row| match row.as_list()? {
            [Value::Text(id), value] => Some((id.clone(), value.clone())),
            _ => None,
        })
        .collect())
}

/// A record as a change leaves it. Unknown is `None`, and unknown is refused.
struct After<'s, 'r> {
    run: &'s Run<'r>,
    change: &'s Change,
    check: &'s Check,
}

impl After<'_, '_> {
    fn holds<'f>(&'f self, predicate: &'f Predicate) -> BoxFuture<'f, Result<Option<bool>, Fault>> {
        async move {
            Ok(match predicate {
                Predicate::True => Some(true),
                Predicate::False => Some(false),
                Predicate::Not(part) => self.holds(part).await?.map(|held| !held),
                Predicate::All(parts) => {
                    let mut all = Some(true);
                    for part in parts {
                        match self.holds(part).await? {
                            Some(true) => {}
                            Some(false) => return Ok(Some(false)),
                            None => all = None,
                        }
                    }
                    all
                }
                Predicate::Any(parts) => {
                    let mut any = Some(false);
                    for part in parts {
                        match self.holds(part).await? {
                            Some(true) => return Ok(Some(true)),
                            Some(false) => {}
                            None => any = None,
                        }
                    }
                    any
                }
                Predicate::Absent(field) => self.value(field).await?.map(|value| value.is_null()),
                Predicate::Compare { field, operator, value } => match self.value(field).await? {
                    Some(left) => compare(&left, *operator, value),
                    None => None,
                },
                Predicate::Related(related) => self.related(related).await?,
            })
        }
        .boxed()
    }

    /// The value of a field: what the change sets, or else what is stored.
    async fn value(&self, field: &Field) -> Result<Option<Value>, Fault> {
        let stored_name = match field {
            Field::Id => return Ok(Some(Value::Text(self.check.record.id.clone()))),
            Field::Property(stored) => &stored.name,
            _ => return Ok(None),
        };
        if let Some(set) = self.check.set.get(stored_name) {
            return Ok(Some(Value::from(set.clone())));
        }
        // What is left to the database of others is known when the row is there.
        let ontology = &self.run.bound.served().ontology;
        let foreign = ontology.types.get(&self.check.record.of).is_some_and(|entity| entity.mapped().is_some());
        if foreign && self.check.may_be_new {
            return Ok(None);
        }
        let ids = vec![self.check.record.id.as_str()];
        let found = stored(self.run, &self.check.record.of, place(self.check), ids, Pick::Field(field.clone())).await?;
        Ok(Some(found.into_iter().next().map_or(Value::Null, |(_, value)| value)))
    }

    /// Related records: those the change links, and those that are linked already unless the change unlinks some.
    async fn related(&self, related: &Related) -> Result<Option<bool>, Fault> {
        if related.quantifier != Quantifier::Some {
            return Ok(None);
        }
        match &related.via {
            Via::Relationship { relationship_type, direction } => {
                for other in self.linked(relationship_type, *direction) {
                    if self.meets(&other, related).await? {
                        return Ok(Some(true));
                    }
                }
                if self.unlinks(relationship_type) {
                    return Ok(None);
                }
                let pick = Pick::Holds(Predicate::Related(Box::new(related.clone())));
                let ids = vec![self.check.record.id.as_str()];
                let found = stored(self.run, &self.check.record.of, place(self.check), ids, pick).await?;
                Ok(Some(found.first().is_some_and(|(_, held)| matches!(held, Value::Bool(true) | Value::Int(1)))))
            }
            Via::Key { local, remote: Field::Id } => match self.value(local).await? {
                Some(Value::Text(id)) => {
                    for scope in &related.targets {
                        if self.meets(&Ref { of: scope.of.clone(), id: id.clone() }, related).await? {
                            return Ok(Some(true));
                        }
                    }
                    Ok(Some(false))
                }
                _ => Ok(Some(false)),
            },
            _ => Ok(None),
        }
    }

    /// Records that the change links to the checked one.
    fn linked(&self, wanted: &str, direction: Direction) -> Vec<Ref> {
        let ends = self.change.ops.iter().filter_map(|op| match op {
            Op::Link { relationship_type, from, to, .. } if relationship_type == wanted => {
                let (own, other) = if direction == Direction::Out { (from, to) } else { (to, from) };
                (*own == self.check.record).then(|| other.clone())
            }
            _ => None,
        });
        ends.collect()
    }

    fn unlinks(&self, wanted: &str) -> bool {
        self.change.ops.iter().any(|op| match op {
            Op::Unlink { relationship_type, from, to, .. } => {
                relationship_type == wanted && (*from == self.check.record || *to == self.check.record)
            }
            _ => false,
        })
    }

    /// Whether another record meets the condition on related ones, with what the change sets on it.
    async fn meets(&self, other: &Ref, related: &Related) -> Result<bool, Fault> {
        let Some(scope) = related.targets.iter().find(|scope| scope.of == other.of) else { return Ok(false) };
        let mut set = Map::new();
        for (_, given) in self.change.ops.iter().filter_map(Op::sets).filter(|(record, _)| *record == other) {
            set.extend(given.clone());
        }
        let row = related.place == Place::Rows;
        let makes = |op: &Op| matches!(op, Op::Foreign { record, act: Act::Create | Act::Make, .. } if record == other);
        let may_be_new = self.change.ops.iter().any(makes);
        let check =
            Check { record: other.clone(), row, set, may_be_new, predicate: Predicate::True, ..self.check.clone() };
        let after = After { run: self.run, change: self.change, check: &check };
        Ok(after.holds(&scope.filter).await? == Some(true))
    }
}

/// A comparison in memory; `None` with an absent value.
fn compare(left: &Value, operator: Operator, right: &Value) -> Option<bool> {
    if left.is_null() {
        return None;
    }
    let ordering = || match (left, right) {
        (Value::Text(l), Value::Text(r)) => Some(l.cmp(r)),
        (l, r) => number(l)?.partial_cmp(&number(r)?),
    };
    let texts = |f: fn(&str, &str) -> bool| match (left, right) {
        (Value::Text(l), Value::Text(r)) => Some(f(l, r)),
        _ => None,
    };
    match operator {
        Operator::Eq => Some(equal(left, right)),
        Operator::In => right.as_list().map(|items| items.iter().any(|item| equal(left, item))),
        Operator::Includes => left.as_list().map(|items| items.iter().any(|item| equal(item, right))),
        Operator::Lt => ordering().map(std::cmp::Ordering::is_lt),
        Operator::Lte => ordering().map(std::cmp::Ordering::is_le),
        Operator::Gt => ordering().map(std::cmp::Ordering::is_gt),
        Operator::Gte => ordering().map(std::cmp::Ordering::is_ge),
        Operator::Contains => texts(|l, r| l.contains(r)),
        Operator::StartsWith => texts(|l, r| l.starts_with(r)),
        Operator::EndsWith => texts(|l, r| l.ends_with(r)),
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    match (number(left), number(right)) {
        (Some(l), Some(r)) => l == r,
        _ => left == right,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Json(Json::Number(number)) => number.as_f64(),
        _ => None,
    }
}
