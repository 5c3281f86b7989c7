//! What several operations in order come to: what has to go first, and what is there afterwards. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use quipu_resolvers::change::{Op, Ref};
use serde_json::{Map, Value as Json};

/// Properties to set; null removes one.
pub(super) type Set<'a> = Cow<'a, Map<String, Json>>;

/// A relationship's type, start and end.
pub(super) type Ends<'a> = (&'a str, &'a Ref, &'a Ref);

/// The sum of some operations. Everything that is gone is removed first, then the rest is put.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Folded<'a> {
    /// Nodes that went at some point.
    pub(super) nodes_gone: BTreeSet<&'a Ref>,
    /// Rows that went at some point.
    pub(super) rows_gone: BTreeSet<&'a Ref>,
    /// Relationships that went; with `None` all parallel ones.
    pub(super) links_gone: BTreeSet<(Ends<'a>, Option<&'a str>)>,
    /// Nodes with the properties to set.
    pub(super) nodes: BTreeMap<&'a Ref, Set<'a>>,
    /// Rows with the properties to set.
    pub(super) rows: BTreeMap<&'a Ref, Set<'a>>,
    /// Relationships with the properties to set.
    pub(super) links: BTreeMap<(Ends<'a>, &'a str), Set<'a>>,
    /// Properties, by type, whose text is indexed.
    pub(super) embedded: BTreeMap<(bool, &'a str), BTreeSet<&'a str>>,
    /// Records with a text to be indexed again: row or node, and which.
    pub(super) texts: BTreeSet<(bool, &'a Ref)>,
}

/// Folds operations in order.
pub(super) fn fold<'a>(ops: impl Iterator<Item = &'a Op>) -> Folded<'a> {
    let mut folded = Folded::default();
    for op in ops {
        match op {
            Op::Put { record, row, set, embed, .. } => folded.put(record, *row, set, embed),
            Op::Delete { record, row } => folded.delete(record, *row),
            Op::Link { relationship_type, from, to, key, set } => {
                join(&mut folded.links, ((relationship_type.as_str(), from, to), key.as_str()), set);
            }
            Op::Unlink { relationship_type, from, to, key } => {
                let (ends, key) = ((relationship_type.as_str(), from, to), key.as_deref());
                folded.links.retain(|(link, known), _| *link != ends || key.is_some_and(|key| key != *known));
                folded.links_gone.insert((ends, key));
            }
            // Of others, and not in the log.
            Op::Foreign { .. } => {}
        }
    }
    folded
}

/// Adds to the properties to set. Nulls are kept: what is not known here may be there in the store.
fn join<'a, K: Ord>(sets: &mut BTreeMap<K, Set<'a>>, key: K, set: &'a Map<String, Json>) {
    match sets.entry(key) {
        std::collections::btree_map::Entry::Vacant(free) => {
            free.insert(Cow::Borrowed(set));
        }
        std::collections::btree_map::Entry::Occupied(mut held) => held.get_mut().to_mut().extend(set.clone()),
    }
}

impl<'a> Folded<'a> {
    fn put(&mut self, record: &'a Ref, row: bool, set: &'a Map<String, Json>, embed: &'a [String]) {
        join(if row { &mut self.rows } else { &mut self.nodes }, record, set);
        if !embed.is_empty() {
            self.embedded.entry((row, &record.of)).or_default().extend(embed.iter().map(String::as_str));
            self.texts.insert((row, record));
        }
    }

    fn delete(&mut self, record: &'a Ref, row: bool) {
        self.texts.remove(&(row, record));
        if row {
            self.rows.remove(record);
            self.rows_gone.insert(record);
        } else {
            self.nodes.remove(record);
            self.nodes_gone.insert(record);
            self.links.retain(|((_, from, to), _), _| *from != record && *to != record);
        }
    }
}
