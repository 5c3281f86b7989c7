//! Properties compared, of records, relationships and interfaces.

use indexmap::IndexMap;

use super::{Diff, Effect, Migration};
use crate::ontology::{AbstractType, EdgeType, EntityType, Generated, Property, Scalar};

/// What holds the properties.
pub(super) struct Owner<'o> {
    name: &'o str,
    /// Its values are stored here; an interface only promises them, and a table of others is not ours.
    stored: bool,
    /// Clients make or change them.
    written: bool,
    row: bool,
    /// Properties of relationships are reached through their nodes, and have no indexes.
    edge: bool,
}

impl<'o> Owner<'o> {
    pub(super) fn of(entity: &'o EntityType) -> Self {
        // What a table of others holds is up to them.
        let (stored, writes) = (entity.mapped().is_none(), entity.writes());
        Self {
            name: &entity.name,
            stored,
            written: writes.create || writes.update,
            row: !entity.is_node(),
            edge: false,
        }
    }

    pub(super) fn edge(edge: &'o EdgeType) -> Self {
        Self { name: &edge.name, stored: true, written: true, row: false, edge: true }
    }

    pub(super) fn interface(group: &'o AbstractType) -> Self {
        Self { name: &group.name, stored: false, written: false, row: false, edge: false }
    }
}

/// Compares the properties of one type.
pub(super) fn properties(
    owner: &Owner<'_>,
    old: &IndexMap<String, Property>,
    new: &IndexMap<String, Property>,
    diff: &mut Diff,
) {
    for (name, gone) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
        diff.note(Effect::Breaking, format!("{}.{name}", owner.name), format!("removed, it was {}", signature(gone)));
        let (of, property) = (owner.name.to_owned(), name.clone());
        if gone.embed {
            diff.migrate(Migration::DropEmbedding { of: of.clone(), property: property.clone() });
        }
        if gone.unique && owner.stored {
            diff.migrate(Migration::DropUnique { of, property });
        } else if gone.indexed && owner.stored && !owner.edge {
            diff.migrate(Migration::DropIndex { of, property });
        }
    }
    for (name, is) in new {
        match old.get(name) {
            Some(was) => property(owner, was, is, diff),
            None => added(owner, is, diff),
        }
    }
}

/// The type of a property as the SDL has it.
pub(super) fn signature(of: &Property) -> String {
    let (scalar, mark) = (of.scalar.name(), if of.required { "!" } else { "" });
    match (of.list, of.item_required) {
        (true, true) => format!("[{scalar}!]{mark}"),
        (true, false) => format!("[{scalar}]{mark}"),
        (false, _) => format!("{scalar}{mark}"),
    }
}

fn added(owner: &Owner<'_>, is: &Property, diff: &mut Diff) {
    let (of, property) = (owner.name.to_owned(), is.name.clone());
    let demanded = owner.written && is.is_demanded();
    let what = if demanded { "added, and must be given to new records" } else { "added" };
    diff.judge(demanded, format!("{of}.{property}"), what);
    if !owner.stored {
        return;
    }
    if owner.row {
        diff.migrate(Migration::AddColumn { of: of.clone(), column: is.stored.clone() });
    }
    if is.required {
        diff.migrate(Migration::Fill { of: of.clone(), property: property.clone(), with: is.default.clone() });
    }
    if is.unique {
        diff.migrate(Migration::AddUnique { of, property });
    } else if is.indexed && !owner.edge {
        diff.migrate(Migration::AddIndex { of, property });
    }
}

fn property(owner: &Owner<'_>, was: &Property, is: &Property, diff: &mut Diff) {
    let element = format!("{}.{}", owner.name, is.name);
    if was.stored != is.stored {
        diff.note(Effect::Safe, &element, format!("stored as {}, so far {}", is.stored, was.stored));
        let (from, to) = (was.stored.clone(), is.stored.clone());
        if owner.stored {
            diff.migrate(Migration::Rename { of: owner.name.to_owned(), property: is.name.clone(), from, to });
        }
    }
    sort(owner, &element, was, is, diff);
    defaults(&element, was, is, diff);
    generated(owner, &element, was, is, diff);
    stores(owner, &element, was, is, diff);
    for (before, now, what) in
        [(was.selectable, is.selectable, "be selected"), (was.filterable, is.filterable, "be filtered by")]
    {
        match (before, now) {
            (true, false) => diff.note(Effect::Breaking, &element, format!("can no longer {what}")),
            (false, true) => diff.note(Effect::Safe, &element, format!("can {what}")),
            _ => {}
        }
    }
    diff.rules(&element, &was.rules, &is.rules);
    diff.words(&element, [&was.description, &is.description], [&was.deprecated, &is.deprecated]);
}

/// The sort of value and whether it may be absent. Where it is an output, stricter is safe; where it is an input, looser is.
fn sort(owner: &Owner<'_>, element: &str, was: &Property, is: &Property, diff: &mut Diff) {
    let (from, to) = (signature(was), signature(is));
    if from == to {
        return;
    }
    let what = format!("is {to}, so far {from}");
    if was.scalar != is.scalar || was.list != is.list {
        diff.note(Effect::Breaking, element, what);
        if owner.stored && !fits(was, is) {
            let (of, property) = (owner.name.to_owned(), is.name.clone());
            diff.migrate(Migration::Convert { of, property, from, to });
        }
        return;
    }
    let looser = (was.required && !is.required) || (was.item_required && !is.item_required);
    let demanded = !was.required && is.is_demanded();
    let narrower = !was.item_required && is.item_required;
    diff.judge((looser && is.selectable) || (owner.written && (demanded || narrower)), element, what);
    if owner.stored && !was.required && is.required {
        let (of, property) = (owner.name.to_owned(), is.name.clone());
        diff.migrate(Migration::Fill { of, property, with: is.default.clone() });
    }
}

/// Whether values of the one property are values of the other as they are stored.
fn fits(was: &Property, is: &Property) -> bool {
    let text = |scalar: &Scalar| matches!(scalar, Scalar::Id | Scalar::String);
    let texts = |scalar: &Scalar| text(scalar) || matches!(scalar, Scalar::Enum(_) | Scalar::DateTime | Scalar::Date);
    match (&was.scalar, &is.scalar) {
        (_, Scalar::Json) => !is.list,
        _ if was.list != is.list => false,
        (from, to) if from == to => true,
        (Scalar::Int, Scalar::BigInt | Scalar::Float) => true,
        (from, to) => texts(from) && text(to),
    }
}

fn defaults(element: &str, was: &Property, is: &Property, diff: &mut Diff) {
    match (&was.default, &is.default) {
        (Some(was), Some(is)) if was != is => {
            diff.note(Effect::Risky, element, format!("is {is} by default, so far {was}"));
        }
        (None, Some(is)) => diff.note(Effect::Risky, element, format!("is {is} by default")),
        (Some(_), None) if is.required => {
            diff.note(Effect::Breaking, element, "has no default any more, and must be given to new records");
        }
        (Some(_), None) => diff.note(Effect::Risky, element, "has no default any more"),
        _ => {}
    }
}

/// What is left to the database of others: an input that goes, or has to be given, breaks whoever writes.
fn generated(owner: &Owner<'_>, element: &str, was: &Property, is: &Property, diff: &mut Diff) {
    if was.generated == is.generated || !owner.written {
        return;
    }
    let what = match is.generated {
        Some(Generated::Always) => "is set by the database alone",
        Some(Generated::ByDefault) => "is set by the database when it is left out",
        None => "is not set by the database",
    };
    diff.judge(is.generated == Some(Generated::Always) || is.is_demanded(), element, what);
}

fn stores(owner: &Owner<'_>, element: &str, was: &Property, is: &Property, diff: &mut Diff) {
    let (of, property) = (owner.name.to_owned(), is.name.clone());
    match (was.unique, is.unique) {
        (false, true) => {
            diff.note(Effect::Risky, element, "is unique: values that repeat are refused");
            diff.migrate(Migration::AddUnique { of: of.clone(), property: property.clone() });
        }
        (true, false) => {
            diff.note(Effect::Safe, element, "is no longer unique");
            diff.migrate(Migration::DropUnique { of: of.clone(), property: property.clone() });
        }
        _ => {}
    }
    // Being unique brings an index of its own.
    match (was.indexed && !was.unique, is.indexed && !is.unique) {
        _ if owner.edge || !owner.stored => {}
        (false, true) => {
            diff.note(Effect::Safe, element, "is indexed");
            diff.migrate(Migration::AddIndex { of: of.clone(), property: property.clone() });
        }
        (true, false) => {
            if !is.unique {
                diff.note(Effect::Safe, element, "is no longer indexed");
            }
            diff.migrate(Migration::DropIndex { of: of.clone(), property: property.clone() });
        }
        _ => {}
    }
    match (was.embed, is.embed) {
        (false, true) => {
            diff.note(Effect::Safe, element, "can be found by meaning");
            diff.migrate(Migration::Embed { of, property });
        }
        (true, false) => {
            diff.note(Effect::Breaking, element, "can no longer be found by meaning");
            diff.migrate(Migration::DropEmbedding { of, property });
        }
        _ => {}
    }
}
