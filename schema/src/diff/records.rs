//! Node and row types compared.

use std::time::Duration;

use super::fields::{Owner, properties};
use super::{Diff, Effect, Migration};
use crate::ontology::{Direction, EdgeType, EntityType, Join, Kind, Mapped, Ontology, Property, Relationship, Writes};

/// Compares all types of records.
pub(super) fn compare(old: &Ontology, new: &Ontology, diff: &mut Diff) {
    for (name, was) in &old.types {
        match new.types.get(name) {
            Some(is) => record(old, new, was, is, diff),
            None => {
                diff.note(Effect::Breaking, name, "removed");
                if was.mapped().is_none() {
                    diff.migrate(Migration::Abandon { of: name.clone(), from: home(&was.kind) });
                }
            }
        }
    }
    for (name, is) in new.types.iter().filter(|(name, _)| !old.types.contains_key(*name)) {
        diff.note(Effect::Safe, name, "added");
        if let Kind::Row { table, mapped: None } = &is.kind {
            diff.migrate(Migration::CreateTable { of: name.clone(), table: table.clone() });
        }
    }
}

fn home(kind: &Kind) -> String {
    match kind {
        Kind::Node { labels } => format!(":{}", labels.join(":")),
        Kind::Row { table, mapped: None } => format!("table {table}"),
        Kind::Row { table, mapped: Some(mapped) } => format!("the existing table {}.{table}", mapped.schema),
    }
}

fn record(old: &Ontology, new: &Ontology, was: &EntityType, is: &EntityType, diff: &mut Diff) {
    let name = &is.name;
    if !same_home(&was.kind, &is.kind) {
        let (from, to) = (home(&was.kind), home(&is.kind));
        let across = was.is_node() != is.is_node() || was.mapped().is_some() != is.mapped().is_some();
        diff.judge(across, name, format!("stored as {to}, so far {from}"));
        // Rows of others stay where they are.
        if was.mapped().is_none() {
            diff.migrate(Migration::Move { of: name.clone(), from, to, across });
        }
    }
    writes(was, is, diff);
    if was.plural != is.plural {
        diff.note(Effect::Breaking, name, format!("its roots are called {}, so far {}", is.plural, was.plural));
    }
    diff.words(name, [&was.description, &is.description], [&None, &None]);
    for gone in was.interfaces.iter().filter(|interface| !is.interfaces.contains(interface)) {
        diff.note(Effect::Breaking, name, format!("no longer implements {gone}"));
    }
    for come in is.interfaces.iter().filter(|interface| !was.interfaces.contains(interface)) {
        diff.note(Effect::Risky, name, format!("implements {come}, so that requests for {come} also find it"));
    }
    limits(was, is, diff);
    kept(was, is, diff);
    diff.rules(name, &was.rules, &is.rules);
    properties(&Owner::of(is), &was.properties, &is.properties, diff);
    relationships(old, new, was, is, diff);
    joins(was, is, diff);
}

/// Whether records are in the same place, whatever may be done to them there.
fn same_home(was: &Kind, is: &Kind) -> bool {
    let place = |kind: &Kind| match kind {
        Kind::Row { table, mapped: Some(mapped) } => {
            let mapped = Some(Mapped { writes: Writes::default(), ..mapped.clone() });
            Kind::Row { table: table.clone(), mapped }
        }
        other => other.clone(),
    };
    place(was) == place(is)
}

/// What can be done to rows of others: a mutation that goes breaks whoever sends it.
fn writes(was: &EntityType, is: &EntityType, diff: &mut Diff) {
    let (old, new) = (was.writes(), is.writes());
    if was.mapped().is_none() || is.mapped().is_none() || old == new {
        return;
    }
    let shown = |writes: Writes| match writes.any() {
        true => writes.words().collect::<Vec<_>>().join(", "),
        false => "nothing".to_owned(),
    };
    let fewer = (old.create && !new.create) || (old.update && !new.update) || (old.delete && !new.delete);
    diff.judge(fewer, &is.name, format!("writes {}, so far {}", shown(new), shown(old)));
}

fn limits(was: &EntityType, is: &EntityType, diff: &mut Diff) {
    let shown = |number: Option<u32>| number.map_or_else(|| "the server's".to_owned(), |number| number.to_string());
    let [old, new] = [was.limit, is.limit];
    if old.max != new.max {
        let tighter = new.max.is_some_and(|new| old.max.is_none_or(|old| new < old));
        let what = format!("largest page is {}, so far {}", shown(new.max), shown(old.max));
        diff.judge(tighter, &is.name, what);
    }
    if old.default != new.default {
        let what = format!("page is {} by default, so far {}", shown(new.default), shown(old.default));
        diff.note(Effect::Risky, &is.name, what);
    }
}

/// Answers that are kept longer are older than those that clients had so far.
fn kept(was: &EntityType, is: &EntityType, diff: &mut Diff) {
    let shown =
        |kept: Option<Duration>| kept.map_or_else(|| "not kept".to_owned(), |kept| format!("kept for {kept:?}"));
    if was.cache != is.cache {
        let effect = if is.cache > was.cache { Effect::Risky } else { Effect::Safe };
        diff.note(effect, &is.name, format!("answers are {}, so far {}", shown(is.cache), shown(was.cache)));
    }
}

fn relationships(old: &Ontology, new: &Ontology, was: &EntityType, is: &EntityType, diff: &mut Diff) {
    for (field, gone) in was.relationships.iter().filter(|(field, _)| !is.relationships.contains_key(*field)) {
        diff.note(Effect::Breaking, format!("{}.{field}", is.name), format!("removed, it led to {}", gone.target));
    }
    for (field, is_now) in &is.relationships {
        let element = format!("{}.{field}", is.name);
        match was.relationships.get(field) {
            Some(was) => relationship(old, new, &element, was, is_now, diff),
            None if is_now.required => diff.note(Effect::Breaking, element, "added, and must be given to new records"),
            None => diff.note(Effect::Safe, element, "added"),
        }
        if let Some(was_before) = was.relationships.get(field) {
            let (from, to) = (arrow(was_before), arrow(is_now));
            if from != to {
                diff.note(Effect::Risky, format!("{}.{field}", is.name), format!("walks {to}, so far {from}"));
                diff.migrate(Migration::Relink { of: is.name.clone(), field: field.clone(), from, to });
            }
        }
    }
}

fn arrow(of: &Relationship) -> String {
    match of.direction {
        Direction::Out => format!("-[{}]->", of.relationship_type),
        Direction::In => format!("<-[{}]-", of.relationship_type),
    }
}

/// The end of a relationship or join as the SDL has it.
fn end(target: &str, list: bool, required: bool) -> String {
    match (list, required) {
        (true, _) => format!("[{target}!]!"),
        (false, true) => format!("{target}!"),
        (false, false) => target.to_owned(),
    }
}

fn relationship(old: &Ontology, new: &Ontology, element: &str, was: &Relationship, is: &Relationship, diff: &mut Diff) {
    let (from, to) = (end(&was.target, was.list, was.required), end(&is.target, is.list, is.required));
    if from != to {
        diff.note(Effect::Breaking, element, format!("is {to}, so far {from}"));
    }
    if was.properties != is.properties {
        let demanding = |edge: &EdgeType| edge.properties.values().any(Property::is_demanded);
        let edge = |ontology: &Ontology, name: &str| ontology.edge_types.get(name).is_some_and(demanding);
        match (&was.properties, &is.properties) {
            (None, Some(name)) => diff.judge(edge(new, name), element, format!("has the properties {name}")),
            (Some(name), None) => diff.note(Effect::Breaking, element, format!("no longer has the properties {name}")),
            (Some(from), Some(to)) => {
                let same = old.edge_types.get(from).map(|edge| &edge.properties)
                    == new.edge_types.get(to).map(|edge| &edge.properties);
                let effect = if same { "of the same fields" } else { "of other fields" };
                diff.note(Effect::Breaking, element, format!("has the properties {to} {effect}, so far {from}"));
            }
            (None, None) => {}
        }
    }
    diff.words(element, [&was.description, &is.description], [&was.deprecated, &is.deprecated]);
}

fn joins(was: &EntityType, is: &EntityType, diff: &mut Diff) {
    for (field, gone) in was.joins.iter().filter(|(field, _)| !is.joins.contains_key(*field)) {
        diff.note(Effect::Breaking, format!("{}.{field}", is.name), format!("removed, it led to {}", gone.target));
    }
    for (field, is_now) in &is.joins {
        let element = format!("{}.{field}", is.name);
        match was.joins.get(field) {
            Some(was) => join(&element, was, is_now, diff),
            None => diff.note(Effect::Safe, element, "added"),
        }
    }
}

fn join(element: &str, was: &Join, is: &Join, diff: &mut Diff) {
    let (from, to) = (end(&was.target, was.list, was.required), end(&is.target, is.list, is.required));
    if from != to {
        // What was perhaps null and is never null now breaks no request: nobody writes through a join.
        let stricter = was.target == is.target && was.list == is.list && is.required;
        diff.judge(!stricter, element, format!("is {to}, so far {from}"));
    }
    if (&was.local, &was.remote) != (&is.local, &is.remote) {
        let what = format!("joins {} = its {}, so far {} = its {}", is.local, is.remote, was.local, was.remote);
        diff.note(Effect::Risky, element, what);
    }
    diff.words(element, [&was.description, &is.description], [&was.deprecated, &is.deprecated]);
}
