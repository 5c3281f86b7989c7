//! What a change names, and what a verdict makes of the registry, as lists that a store's statements run over: a fixed number of
//! statements, whatever the size of the change. Pure, the same for every metadata store.

use std::collections::{BTreeSet, HashSet};

use quipu_resolvers::change::{Op, Ref};

use super::digests::Digests;
use super::sql::names::{NameOf, Names};
use super::verdict::{LinkKey, RecordKey, UniqueValue, Verdict};

/// Key of a type and id of a record.
pub(super) type Named<'a> = (i64, &'a str);

/// A relationship as key of its type, and key and id of both ends.
pub(super) type Between<'a> = (i64, i64, &'a str, i64, &'a str);

/// A relationship with the key that tells parallel ones apart.
pub(super) type Parallel<'a> = (i64, i64, &'a str, i64, &'a str, &'a str);

/// A unique value: key of its type, property, JSON, and the id of the record that has it.
pub(super) type Unique<'a> = (i64, &'a str, &'a str, &'a Option<String>);

/// The names that a change speaks of.
pub(super) fn names_of(ops: &[Op]) -> BTreeSet<(NameOf, &str)> {
    let mut names = BTreeSet::new();
    for op in ops {
        match op {
            Op::Put { record, row, .. } | Op::Delete { record, row } => {
                names.insert((NameOf::record(*row), record.of.as_str()));
            }
            Op::Link { relationship_type, from, to, .. } | Op::Unlink { relationship_type, from, to, .. } => {
                names.insert((NameOf::Relationship, relationship_type.as_str()));
                names.insert((NameOf::Node, from.of.as_str()));
                names.insert((NameOf::Node, to.of.as_str()));
            }
            Op::Foreign { record, .. } => {
                names.insert((NameOf::Row, record.of.as_str()));
            }
        }
    }
    names
}

/// Key of a record's type.
fn kind(names: &Names, key: &RecordKey<'_>) -> i64 {
    names.key(NameOf::record(key.row), &key.record.of)
}

/// The keys of a relationship.
pub(super) fn between<'a>(names: &Names, of: &str, from: &'a Ref, to: &'a Ref) -> Between<'a> {
    let node = |record: &Ref| names.key(NameOf::Node, &record.of);
    (names.key(NameOf::Relationship, of), node(from), &from.id, node(to), &to.id)
}

fn parallel<'a>(names: &Names, link: &'a LinkKey<'_>) -> Parallel<'a> {
    let (of, from, start, to, end) = between(names, link.of, link.from, link.to);
    (of, from, start, to, end, &link.key)
}

/// What has to be looked up in the registry for a change.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// Records that it names, each once.
    pub(super) keys: Vec<RecordKey<'a>>,
    /// The same, as a store names them.
    pub(super) records: Vec<Named<'a>>,
    /// Unique values that it wants: key of the type, property, JSON.
    pub(super) values: Vec<(i64, &'a str, String)>,
    /// Records whose unique values may change.
    pub(super) owners: Vec<Named<'a>>,
    /// Types and ends of the relationships that it names, each once.
    pub(super) ends: Vec<(&'a str, &'a Ref, &'a Ref)>,
    /// The same, as a store names them.
    pub(super) links: Vec<Between<'a>>,
}

impl<'a> Wanted<'a> {
    /// Goes through a change.
    pub(super) fn by(names: &Names, ops: &'a [Op]) -> Self {
        let mut wanted = Self::default();
        let mut seen: HashSet<RecordKey<'a>> = HashSet::with_capacity(ops.len());
        let mut ends: BTreeSet<(&str, &Ref, &Ref)> = BTreeSet::new();
        let mut want = |keys: &mut Vec<RecordKey<'a>>, row, record| {
            let key = RecordKey { row, record };
            if seen.insert(key) {
                keys.push(key);
            }
        };
        for op in ops {
            match op {
                Op::Put { record, row, .. } | Op::Delete { record, row } => {
                    want(&mut wanted.keys, *row, record);
                    wanted.unique(names, op, RecordKey { row: *row, record });
                }
                Op::Link { relationship_type, from, to, .. } | Op::Unlink { relationship_type, from, to, .. } => {
                    want(&mut wanted.keys, false, from);
                    want(&mut wanted.keys, false, to);
                    ends.insert((relationship_type, from, to));
                }
                // Their table knows what is there, and the registry does not.
                Op::Foreign { .. } => {}
            }
        }
        wanted.records = wanted.keys.iter().map(|key| (kind(names, key), key.record.id.as_str())).collect();
        wanted.ends = ends.into_iter().collect();
        wanted.links = wanted.ends.iter().map(|(of, from, to)| between(names, of, from, to)).collect();
        wanted
    }

    /// Unique values come in twice: those that the change wants, and those that its records have.
    fn unique(&mut self, names: &Names, op: &'a Op, key: RecordKey<'a>) {
        let kind = kind(names, &key);
        match op {
            Op::Put { set, unique, .. } if !unique.is_empty() => {
                let values = unique.iter().filter_map(|property| Some((property, set.get(property)?)));
                self.values.extend(values.map(|(property, value)| (kind, property.as_str(), value.to_string())));
                self.owners.push((kind, &key.record.id));
            }
            Op::Delete { .. } => self.owners.push((kind, &key.record.id)),
            _ => {}
        }
    }
}

/// What a verdict makes of the registry, in the order in which it has to be written.
#[derive(Debug)]
pub(super) struct Written<'a> {
    /// Relationships to be forgotten.
    pub(super) unlinked: Vec<Parallel<'a>>,
    /// Records that went, with the relationships that start at them.
    pub(super) gone: Vec<Named<'a>>,
    /// Records that are there, with version and digests.
    pub(super) kept: Vec<(i64, &'a str, u64, &'a Digests)>,
    /// Unique values that are free.
    pub(super) freed: Vec<Unique<'a>>,
    /// Unique values that are taken.
    pub(super) taken: Vec<Unique<'a>>,
    /// Relationships that are there.
    pub(super) linked: Vec<(Parallel<'a>, &'a Digests)>,
}

impl<'a> Written<'a> {
    /// Goes through a verdict.
    pub(super) fn by(names: &Names, verdict: &'a Verdict<'_>) -> Self {
        let unlinked = verdict.links.iter().filter(|(_, digests)| digests.is_none());
        let linked = verdict.links.iter().filter_map(|(link, digests)| Some((link, digests.as_ref()?)));
        let gone = verdict.records.iter().filter(|fate| fate.before.is_some() && fate.went);
        let kept = verdict.records.iter().filter_map(|fate| {
            let now = fate.now.as_ref()?;
            Some((kind(names, &fate.key), fate.key.record.id.as_str(), now.version, &now.digests))
        });
        let values = |taken: bool| {
            let chosen = verdict.taken.iter().filter(move |(_, id)| id.is_some() == taken);
            let kind = |value: &UniqueValue| names.key(NameOf::record(value.row), &value.of);
            chosen.map(move |(value, id)| (kind(value), value.property.as_str(), value.value.as_str(), id)).collect()
        };
        Self {
            unlinked: unlinked.map(|(link, _)| parallel(names, link)).collect(),
            gone: gone.map(|fate| (kind(names, &fate.key), fate.key.record.id.as_str())).collect(),
            kept: kept.collect(),
            freed: values(false),
            taken: values(true),
            linked: linked.map(|(link, digests)| (parallel(names, link), digests)).collect(),
        }
    }
}
