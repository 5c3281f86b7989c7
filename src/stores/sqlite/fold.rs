//! What several operations in order come to: what has to go first, and what is there afterwards. Pure.

use std::collections::{BTreeMap, BTreeSet};

use quipu_resolvers::change::{Op, Ref};
use serde_json::{Map, Value as Json};

/// A relationship's type, start and end.
pub(super) type Between = (String, Ref, Ref);

/// The sum of some operations. Everything under `gone` is removed first, then the rest is put.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Folded {
    /// Nodes that went at some point.
    pub(super) nodes_gone: BTreeSet<Ref>,
    /// Rows that went at some point.
    pub(super) rows_gone: BTreeSet<Ref>,
    /// Relationships that went; with `None` all parallel ones.
    pub(super) links_gone: BTreeSet<(Between, Option<String>)>,
    /// Nodes with the properties to set.
    pub(super) nodes: BTreeMap<Ref, Map<String, Json>>,
    /// Relationships with the properties to set.
    pub(super) links: BTreeMap<(Between, String), Map<String, Json>>,
    /// Rows that were put.
    pub(super) rows: BTreeSet<Ref>,
    /// Properties, by type, whose text is indexed.
    pub(super) embedded: BTreeMap<(bool, String), BTreeSet<String>>,
    /// Records with a text to be indexed again: row or node, and which.
    pub(super) texts: BTreeSet<(bool, Ref)>,
}

/// Folds operations in order.
pub(super) fn fold<'a>(ops: impl Iterator<Item = &'a Op>) -> Folded {
    let mut folded = Folded::default();
    for op in ops {
        match op {
            Op::Put { record, row, set, embed, .. } => folded.put(record, *row, set, embed),
            Op::Delete { record, row } => folded.delete(record, *row),
            Op::Link { relationship_type, from, to, key, set } => {
                let between = (relationship_type.clone(), from.clone(), to.clone());
                let link = folded.links.entry((between, key.clone())).or_default();
                // Nulls are kept: what is not known here may be there in the store.
                link.extend(set.clone());
            }
            Op::Unlink { relationship_type, from, to, key } => {
                let between = (relationship_type.clone(), from.clone(), to.clone());
                folded
                    .links
                    .retain(|(link, known), _| *link != between || key.as_ref().is_some_and(|key| key != known));
                folded.links_gone.insert((between, key.clone()));
            }
        }
    }
    folded
}

impl Folded {
    fn put(&mut self, record: &Ref, row: bool, set: &Map<String, Json>, embed: &[String]) {
        if row {
            self.rows.insert(record.clone());
        } else {
            self.nodes.entry(record.clone()).or_default().extend(set.clone());
        }
        if !embed.is_empty() {
            self.embedded.entry((row, record.of.clone())).or_default().extend(embed.iter().cloned());
            self.texts.insert((row, record.clone()));
        }
    }

    fn delete(&mut self, record: &Ref, row: bool) {
        self.texts.remove(&(row, record.clone()));
        if row {
            self.rows.remove(record);
            self.rows_gone.insert(record.clone());
        } else {
            self.nodes.remove(record);
            self.nodes_gone.insert(record.clone());
            self.links.retain(|((_, from, to), _), _| from != record && to != record);
        }
    }
}
