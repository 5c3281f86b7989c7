//! What the log says of the records that are there. The graph may be in another store and may lag behind; the log has all of it, nodes,
//! rows and relationships alike. It is gone through once for each question, in portions, and only the property in question is kept.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use quipu_resolvers::change::{Change, Op};
use serde_json::Value as Json;

use super::fitting::{Holder, Holders, Meeting};

/// Entries of a portion.
pub(super) const ENTRIES: i64 = 100;

/// Holders that are there, with the value of a property that they have.
pub(super) type Values = BTreeMap<Holder, Option<Json>>;

/// A tenant's log, inside the transaction that publishes.
pub(super) trait Portions {
    /// How a store fails.
    type Failure;

    /// The next entries, at most [`ENTRIES`], of those whose text has one of the names in it; nothing after the last.
    async fn portion(&mut self, after: i64, names: &[String]) -> Result<Vec<(i64, Change)>, Self::Failure>;
}

/// The holders that are there and their values of a property.
pub(super) async fn values<P: Portions>(log: &mut P, holders: &Holders, stored: &str) -> Result<Values, P::Failure> {
    // Entries that do not name any of the types are left where they are.
    let names: Vec<String> = match holders {
        Holders::Records { of, .. } => vec![Json::from(of.as_str()).to_string()],
        Holders::Links { of, from, to } => [of, from, to].map(|name| Json::from(name.as_str()).to_string()).to_vec(),
    };
    let (mut values, mut after) = (Values::new(), 0);
    loop {
        let entries = log.portion(after, &names).await?;
        let Some((last, _)) = entries.last() else { return Ok(values) };
        after = *last;
        for (_, change) in &entries {
            change.ops.iter().for_each(|op| follow(&mut values, op, holders, stored));
        }
    }
}

/// How many holders meet something.
pub(super) async fn count<P: Portions>(
    log: &mut P,
    holders: &Holders,
    meeting: Meeting<'_>,
) -> Result<i64, P::Failure> {
    let stored = match meeting {
        Meeting::Any => "",
        Meeting::Has(stored) | Meeting::Lacks(stored) | Meeting::Holds { stored, .. } => stored,
    };
    let values = values(log, holders, stored).await?;
    let met = values.values().filter(|value| meets(value.as_ref(), meeting)).count();
    Ok(i64::try_from(met).unwrap_or(i64::MAX))
}

/// The holders without a value of a property, in order.
pub(super) async fn lacking<P: Portions>(
    log: &mut P,
    holders: &Holders,
    stored: &str,
) -> Result<Vec<Holder>, P::Failure> {
    let values = values(log, holders, stored).await?;
    Ok(values.into_iter().filter(|(_, value)| value.is_none()).map(|(holder, _)| holder).collect())
}

/// Who has each value, as JSON text, of a property of records; or the least value that two have.
pub(super) fn owners(values: Values) -> Result<BTreeMap<String, String>, String> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut twice: Option<String> = None;
    for (holder, value) in values {
        let (Holder::Record(id), Some(value)) = (holder, value) else { continue };
        let value = value.to_string();
        match owners.entry(value) {
            Entry::Vacant(free) => drop(free.insert(id)),
            Entry::Occupied(taken) => {
                let value = taken.key().clone();
                twice = Some(twice.map_or(value.clone(), |least| least.min(value)));
            }
        }
    }
    twice.map_or(Ok(owners), Err)
}

fn meets(value: Option<&Json>, meeting: Meeting<'_>) -> bool {
    match meeting {
        Meeting::Any => true,
        Meeting::Has(_) => value.is_some(),
        Meeting::Lacks(_) => value.is_none(),
        Meeting::Holds { list: false, text, .. } => value.and_then(Json::as_str) == Some(text),
        Meeting::Holds { list: true, text, .. } => {
            value.and_then(Json::as_array).is_some_and(|items| items.iter().any(|item| item.as_str() == Some(text)))
        }
    }
}

/// Does to the holders what an operation did.
fn follow(values: &mut Values, op: &Op, holders: &Holders, stored: &str) {
    match (holders, op) {
        (Holders::Records { of, row }, Op::Put { record, row: of_row, set, .. })
            if record.of == *of && row == of_row =>
        {
            note(values.entry(Holder::Record(record.id.clone())).or_default(), set.get(stored));
        }
        (Holders::Records { of, row }, Op::Delete { record, row: of_row }) if record.of == *of && row == of_row => {
            values.remove(&Holder::Record(record.id.clone()));
        }
        (Holders::Links { of, from, to }, Op::Link { relationship_type, from: start, to: end, key, set })
            if relationship_type == of && start.of == *from && end.of == *to =>
        {
            let holder = Holder::Link(start.id.clone(), end.id.clone(), key.clone());
            note(values.entry(holder).or_default(), set.get(stored));
        }
        (Holders::Links { of, from, to }, Op::Unlink { relationship_type, from: start, to: end, key })
            if relationship_type == of && start.of == *from && end.of == *to =>
        {
            values.retain(|holder, _| {
                let Holder::Link(a, b, known) = holder else { return true };
                *a != start.id || *b != end.id || key.as_ref().is_some_and(|key| key != known)
            });
        }
        (Holders::Links { from, to, .. }, Op::Delete { record, row: false }) => values.retain(|holder, _| {
            let Holder::Link(start, end, _) = holder else { return true };
            !(record.of == *from && record.id == *start || record.of == *to && record.id == *end)
        }),
        _ => {}
    }
}

fn note(held: &mut Option<Json>, set: Option<&Json>) {
    match set {
        None => {}
        Some(Json::Null) => *held = None,
        Some(value) => *held = Some(value.clone()),
    }
}
