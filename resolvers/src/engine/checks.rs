//! What rules ask of the records and relationships that a change touches: before the change by asking the stores, after it by looking at what it
//! sets.

use futures_util::future::{BoxFuture, FutureExt};
use quipu_schema::ontology::Direction;
use quipu_schema::policy::{Operator, Quantifier, When};
use serde_json::{Map, Value as Json};

use super::run::{Run, rows};
use crate::change::{Act, Change, Op, Ref};
use crate::fault::Fault;
use crate::guard::{Check, Link, On, Principal};
use crate::read::{Field, Pick, Place, Predicate, Read, Related, Target, Via};
use crate::value::Value;

/// Whether each check holds, in order. Checks that ask the same of several records share a statement.
pub(super) async fn held(run: &Run<'_>, change: &Change, checks: &[Check]) -> Result<Vec<bool>, Fault> {
    let mut held = vec![false; checks.len()];
    let mut done = vec![false; checks.len()];
    let ties = ties(run, checks).await?;
    for at in 0..checks.len() {
        if done[at] {
            continue;
        }
        let first = &checks[at];
        let told = match &first.on {
            On::Record { .. } => None,
            On::Relationship(_) => of_ties(first, &ties[at]),
        };
        let record = match (told, &first.on) {
            (Some(told), _) => {
                held[at] = told;
                continue;
            }
            (None, On::Record { record, .. }) if first.when == When::Before => record,
            (None, _) => {
                let after = After { run, change, check: first, edge: None };
                held[at] = after.holds(&first.predicate).await?.unwrap_or(false);
                continue;
            }
        };
        let alike: Vec<(usize, &str)> = (at..checks.len())
            .filter_map(|other| match &checks[other] {
                Check { on: On::Record { record: same, .. }, when: When::Before, predicate, .. }
                    if same.of == record.of && *predicate == first.predicate =>
                {
                    Some((other, same.id.as_str()))
                }
                _ => None,
            })
            .collect();
        let ids = alike.iter().map(|(_, id)| *id).collect();
        let found = stored(run, &record.of, place(&first.on), ids, Pick::Holds(first.predicate.clone())).await?;
        for (other, wanted) in alike {
            done[other] = true;
            held[other] = match found.iter().find(|(id, _)| id == wanted) {
                Some((_, value)) => is_true(value),
                // What is not there can only be made; whether it must be there is not the guard's question.
                None => true,
            };
        }
    }
    Ok(held)
}

fn is_true(value: &Value) -> bool {
    matches!(value, Value::Bool(true) | Value::Int(1))
}

fn place(on: &On) -> Place {
    match on {
        On::Record { row: true, .. } => Place::Rows,
        On::Record { row: false, .. } | On::Relationship(_) => Place::Nodes,
    }
}

/// A relationship that was there before the change, and whether what a check asks held of it.
type Tie = (Link, bool);

/// For each check on a relationship those that it names and that are there. Checks that ask the same share a statement.
async fn ties(run: &Run<'_>, checks: &[Check]) -> Result<Vec<Vec<Tie>>, Fault> {
    let mut ties = vec![Vec::new(); checks.len()];
    let mut done = vec![false; checks.len()];
    for at in 0..checks.len() {
        let On::Relationship(first) = &checks[at].on else { continue };
        // What must hold of one that is made, whatever was there, is told by the change alone.
        if done[at] || (checks[at].when == When::After && checks[at].only_if.is_none()) {
            continue;
        }
        let asked = &checks[at].predicate;
        let alike: Vec<(usize, &Link)> = (at..checks.len())
            .filter_map(|other| match &checks[other] {
                Check { on: On::Relationship(link), predicate, .. } if predicate == asked && same_way(link, first) => {
                    Some((other, link))
                }
                _ => None,
            })
            .collect();
        let links: Vec<&Link> = alike.iter().map(|(_, link)| *link).collect();
        let found = stored_ties(run, &links, Pick::Holds(asked.clone())).await?;
        for (other, link) in alike {
            done[other] = true;
            let named = found.iter().filter(|(tie, _)| tie.is_among(link));
            ties[other] = named.map(|(tie, value)| (tie.clone(), is_true(value))).collect();
        }
    }
    Ok(ties)
}

fn same_way(one: &Link, other: &Link) -> bool {
    one.relationship_type == other.relationship_type && one.from.of == other.from.of && one.to.of == other.to.of
}

/// What is known of a check on a relationship from those that it names; `None` when what the change sets has to be looked at.
fn of_ties(check: &Check, ties: &[Tie]) -> Option<bool> {
    if check.only_if.is_some_and(|there| there == ties.is_empty()) {
        return Some(true);
    }
    match check.when {
        // One that is not there can only be made, where a rule that nobody meets refuses that as well.
        When::Before if ties.is_empty() => Some(check.predicate != Predicate::False),
        When::Before => Some(ties.iter().all(|(_, held)| *held)),
        When::After => None,
    }
}

/// One value of relationships of one type between nodes of two types as they are stored, without any rule.
async fn stored_ties(run: &Run<'_>, links: &[&Link], pick: Pick) -> Result<Vec<(Link, Value)>, Fault> {
    let Some(first) = links.first() else { return Ok(Vec::new()) };
    let ids = |end: fn(&Link) -> &Ref| {
        let mut ids: Vec<&str> = links.iter().map(|link| end(link).id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        Predicate::one_of(Field::Id, ids.into_iter().map(Value::from).collect())
    };
    let via = Via::Relationship { relationship_type: first.relationship_type.clone(), direction: Direction::Out };
    let picks = vec![Pick::Field(Field::Id), Pick::Field(Field::EdgeKey), pick];
    let target = |of: &str, filter, picks| Target { of: of.to_owned(), filter, visible: Predicate::True, picks };
    let inner = Read::every(Place::Nodes, via, vec![target(&first.to.of, ids(|link| &link.to), picks)]);
    let picks = vec![Pick::Field(Field::Id), Pick::Read(Box::new(inner.clone()))];
    let read = Read::every(Place::Nodes, Via::Root, vec![target(&first.from.of, ids(|link| &link.from), picks)]);
    let outcome = unbound(run, &read).await?;
    let mut found = Vec::new();
    for row in rows(&read, &outcome).iter().filter_map(Value::as_list) {
        let [Value::Text(from), others] = row else { continue };
        for other in rows(&inner, others).iter().filter_map(Value::as_list) {
            let [Value::Text(to), Value::Text(key), value] = other else { continue };
            let end = |like: &Ref, id: &str| Ref { of: like.of.clone(), id: id.to_owned() };
            let (from, to, key) = (end(&first.from, from), end(&first.to, to), Some(key.clone()));
            let relationship_type = first.relationship_type.clone();
            found.push((Link { relationship_type, from, to, key }, value.clone()));
        }
    }
    Ok(found)
}

/// The outcome of a question without any rule: the rule is what is being checked.
async fn unbound(run: &Run<'_>, read: &Read) -> Result<Value, Fault> {
    let unbound = Principal { operator: true, ..run.principal.clone() };
    Run { principal: &unbound, ..*run }.read(read).await
}

/// One value of records as they are stored, without any rule.
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
    let read = Read::every(place, Via::Root, vec![target]);
    let outcome = unbound(run, &read).await?;
    Ok(rows(&read, &outcome)
        .iter()
        .filter_map(|row| match row.as_list()? {
            [Value::Text(id), value] => Some((id.clone(), value.clone())),
            _ => None,
        })
        .collect())
}

/// A record or relationship as a change leaves it. Unknown is `None`, and unknown is refused.
struct After<'s, 'r> {
    run: &'s Run<'r>,
    change: &'s Change,
    check: &'s Check,
    /// Of a record that is looked at as one at the other end of a relationship: that relationship.
    edge: Option<&'s Check>,
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
        let record = match (&self.check.on, self.edge) {
            (On::Relationship(link), _) => return self.of_edge(link, field).await,
            (On::Record { .. }, Some(edge)) if matches!(field, Field::EdgeProperty(_) | Field::EdgeKey) => {
                let of_edge = After { check: edge, edge: None, ..*self };
                return Box::pin(of_edge.value(field)).await;
            }
            (On::Record { record, .. }, _) => record,
        };
        let stored_name = match field {
            Field::Id => return Ok(Some(Value::Text(record.id.clone()))),
            Field::Property(stored) => &stored.name,
            _ => return Ok(None),
        };
        if let Some(set) = self.check.set.get(stored_name) {
            return Ok(Some(Value::from(set.clone())));
        }
        if self.is_deleted(record) {
            return Ok(Some(Value::Null));
        }
        // What is left to the database of others is known when the row is there.
        let ontology = &self.run.bound.served().ontology;
        let foreign = ontology.types.get(&record.of).is_some_and(|entity| entity.mapped().is_some());
        if foreign && self.check.may_be_new {
            return Ok(None);
        }
        let ids = vec![record.id.as_str()];
        let found = stored(self.run, &record.of, place(&self.check.on), ids, Pick::Field(field.clone())).await?;
        Ok(Some(found.into_iter().next().map_or(Value::Null, |(_, value)| value)))
    }

    /// The same of a relationship.
    async fn of_edge(&self, link: &Link, field: &Field) -> Result<Option<Value>, Fault> {
        let stored = match field {
            Field::EdgeProperty(stored) => stored,
            Field::EdgeKey => return Ok(link.key.clone().map(Value::Text)),
            _ => return Ok(None),
        };
        if let Some(set) = self.check.set.get(&stored.name) {
            return Ok(Some(Value::from(set.clone())));
        }
        // One that is made anew has nothing of the one before.
        let goes = self.unlinked().any(|gone| link.is_among(&gone));
        if goes || self.is_deleted(&link.from) || self.is_deleted(&link.to) {
            return Ok(Some(Value::Null));
        }
        let found = stored_ties(self.run, &[link], Pick::Field(field.clone())).await?;
        Ok(Some(found.into_iter().find(|(tie, _)| tie.is_among(link)).map_or(Value::Null, |(_, value)| value)))
    }

    /// Whether the change removes a record; one that it sets something on is made anew then.
    fn is_deleted(&self, wanted: &Ref) -> bool {
        self.change.ops.iter().any(|op| matches!(op, Op::Delete { record, .. } if record == wanted))
    }

    /// The relationships that the change removes by name.
    fn unlinked(&self) -> impl Iterator<Item = Link> + '_ {
        self.change.ops.iter().filter(|op| matches!(op, Op::Unlink { .. })).filter_map(Link::of)
    }

    /// Related records: those the change links, and those that are linked already unless the change unlinks some.
    async fn related(&self, related: &Related) -> Result<Option<bool>, Fault> {
        let (Quantifier::Some, On::Record { record, .. }) = (related.quantifier, &self.check.on) else {
            return Ok(None);
        };
        match &related.via {
            Via::Relationship { relationship_type, direction } => {
                let mut looked_at = Vec::new();
                for (other, link, set) in self.linked(record, relationship_type, *direction) {
                    let on = On::Relationship(link);
                    let edge = Check { on, set, predicate: Predicate::True, ..self.check.clone() };
                    if self.meets(&other, related, Some(&edge)).await? {
                        return Ok(Some(true));
                    }
                    looked_at.push(other);
                }
                if self.unlinks(record, relationship_type) {
                    return Ok(None);
                }
                // Where the condition speaks of relationships, those that are set otherwise are not what is stored any more.
                let mut related = related.clone();
                for scope in related.targets.iter_mut().filter(|scope| speaks_of_edges(&scope.filter)) {
                    let here = looked_at.iter().filter(|other| other.of == scope.of);
                    let ids: Vec<Value> = here.map(|other| Value::from(other.id.as_str())).collect();
                    if !ids.is_empty() {
                        let others = Predicate::one_of(Field::Id, ids).negate();
                        scope.filter = std::mem::take(&mut scope.filter).and(others);
                    }
                }
                let pick = Pick::Holds(Predicate::Related(Box::new(related)));
                let ids = vec![record.id.as_str()];
                let found = stored(self.run, &record.of, place(&self.check.on), ids, pick).await?;
                Ok(Some(found.first().is_some_and(|(_, held)| is_true(held))))
            }
            Via::Key { local, remote: Field::Id } => match self.value(local).await? {
                Some(Value::Text(id)) => {
                    for scope in &related.targets {
                        if self.meets(&Ref { of: scope.of.clone(), id: id.clone() }, related, None).await? {
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

    /// Records that the change links to the checked one, with the relationships and what it sets on them.
    fn linked(&self, record: &Ref, wanted: &str, direction: Direction) -> Vec<(Ref, Link, Map<String, Json>)> {
        let ends = self.change.ops.iter().filter_map(|op| match op {
            Op::Link { relationship_type, from, to, set, .. } if relationship_type == wanted => {
                let (own, other) = if direction == Direction::Out { (from, to) } else { (to, from) };
                let link = Link::of(op).filter(|_| own == record)?;
                Some((other.clone(), link, set.clone()))
            }
            _ => None,
        });
        ends.collect()
    }

    fn unlinks(&self, record: &Ref, wanted: &str) -> bool {
        self.unlinked().any(|gone| gone.relationship_type == wanted && (gone.from == *record || gone.to == *record))
    }

    /// Whether another record meets the condition on related ones, with what the change sets on it and on the relationship to it.
    async fn meets(&self, other: &Ref, related: &Related, edge: Option<&Check>) -> Result<bool, Fault> {
        let Some(scope) = related.targets.iter().find(|scope| scope.of == other.of) else { return Ok(false) };
        let mut set = Map::new();
        for (_, given) in self.change.ops.iter().filter_map(Op::sets).filter(|(record, _)| *record == other) {
            set.extend(given.clone());
        }
        let on = On::Record { record: other.clone(), row: related.place == Place::Rows };
        let makes = |op: &Op| matches!(op, Op::Foreign { record, act: Act::Create | Act::Make, .. } if record == other);
        let may_be_new = self.change.ops.iter().any(makes);
        let check = Check { on, set, may_be_new, predicate: Predicate::True, ..self.check.clone() };
        let after = After { run: self.run, change: self.change, check: &check, edge };
        Ok(after.holds(&scope.filter).await? == Some(true))
    }
}

/// Whether a condition on related records speaks of the relationships that lead to them.
fn speaks_of_edges(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::True | Predicate::False | Predicate::Related(_) => false,
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter().any(speaks_of_edges),
        Predicate::Not(part) => speaks_of_edges(part),
        Predicate::Compare { field, .. } | Predicate::Absent(field) => {
            matches!(field, Field::EdgeProperty(_) | Field::EdgeKey)
        }
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
