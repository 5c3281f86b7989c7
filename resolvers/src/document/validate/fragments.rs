//! Rules that follow fragments: all of them are used (5.5.1.4), and a subscription has one field at its root (5.2.3.1).

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    ExecutableDocument, Field, FragmentDefinition, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};

use super::report::Report;
use super::variables::Use;

/// What one operation or fragment holds itself, without what its fragments hold.
#[derive(Default)]
pub(super) struct Part<'a> {
    /// Fragments that it spreads.
    pub(super) spreads: Vec<&'a str>,
    /// Variables that it uses.
    pub(super) uses: Vec<Use<'a>>,
}

/// The parts of all fragments, by name.
pub(super) type Parts<'a> = HashMap<&'a str, Part<'a>>;

/// The names of all fragments that these parts lead to.
pub(super) fn reached<'a>(roots: &[&Part<'a>], parts: &Parts<'a>) -> HashSet<&'a str> {
    let mut seen = HashSet::new();
    let mut next: Vec<&str> = roots.iter().flat_map(|part| part.spreads.iter().copied()).collect();
    while let Some(name) = next.pop() {
        if seen.insert(name)
            && let Some(part) = parts.get(name)
        {
            next.extend(part.spreads.iter().copied());
        }
    }
    seen
}

/// Reports fragments that no operation leads to.
pub(super) fn unused(
    all: &[(&Name, &Positioned<FragmentDefinition>)],
    roots: &[Part<'_>],
    parts: &Parts<'_>,
    report: &mut Report,
) {
    let used = reached(&roots.iter().collect::<Vec<_>>(), parts);
    for (name, fragment) in all.iter().filter(|(name, _)| !used.contains(name.as_str())) {
        report.add(fragment.pos, format!("the fragment `{name}` is never used"));
    }
}

/// Reports a subscription that has not exactly one field at its root, or one of introspection.
pub(super) fn single_root(document: &ExecutableDocument, operation: &OperationDefinition, report: &mut Report) {
    if operation.ty != OperationType::Subscription {
        return;
    }
    let (mut fields, mut seen) = (Vec::new(), HashSet::new());
    collect(document, &operation.selection_set.node, &mut fields, &mut seen);
    let Some(first) = fields.first() else { return };
    let key = |field: &Field| field.response_key().node.clone();
    if let Some(other) = fields.iter().find(|field| key(&field.node) != key(&first.node)) {
        report.at(&[first.pos, other.pos], "a subscription has one field at its root");
    } else if first.node.name.node.starts_with("__") {
        report.add(first.pos, "a subscription has a field of `Subscription` at its root");
    }
}

fn collect<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    fields: &mut Vec<&'a Positioned<Field>>,
    seen: &mut HashSet<&'a str>,
) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => fields.push(field),
            Selection::InlineFragment(inline) => collect(document, &inline.node.selection_set.node, fields, seen),
            Selection::FragmentSpread(spread) => {
                let name = spread.node.fragment_name.node.as_str();
                if seen.insert(name)
                    && let Some(fragment) = document.fragments.get(name)
                {
                    collect(document, &fragment.node.selection_set.node, fields, seen);
                }
            }
        }
    }
}
