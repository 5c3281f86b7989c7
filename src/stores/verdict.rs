//! What may refuse a change, decided over what the registry holds of the records it names. Pure, the same for every metadata store.
//!
//! Operations are judged in their order, each seeing what those before it did. What is left are the operations that have an effect,
//! with only the properties that change: importing the same records again leaves nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use quipu_resolvers::change::{Change, Effect, EffectKind, Mode, Op, Ref};
use quipu_resolvers::fault::{Code, Fault};
use serde_json::{Map, Value as Json};

use super::digests::Digests;

/// A record with its store: rows and nodes do not share names, but are kept apart all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKey<'a> {
    /// True for a row.
    pub row: bool,
    /// Type and id.
    pub record: &'a Ref,
}

/// A value of a `@unique` property.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueValue {
    /// True for a row.
    pub row: bool,
    /// Type.
    pub of: String,
    /// Stored name of the property.
    pub property: String,
    /// The value as JSON.
    pub value: String,
}

/// A relationship's identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkKey<'a> {
    /// Type of the relationship.
    pub of: &'a str,
    /// Start node.
    pub from: &'a Ref,
    /// End node.
    pub to: &'a Ref,
    /// Tells parallel ones apart.
    pub key: Cow<'a, str>,
}

/// What the registry holds of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// Version, from 1.
    pub version: u64,
    /// Digests of its properties.
    pub digests: Digests,
}

/// What the registry holds of everything that a change names.
#[derive(Debug, Default)]
pub struct Registry<'a> {
    /// Records by type and id.
    pub records: HashMap<RecordKey<'a>, Held>,
    /// Which record, by its id, has which unique value.
    pub taken: HashMap<UniqueValue, String>,
    /// Relationships.
    pub links: BTreeMap<LinkKey<'a>, Digests>,
}

/// What becomes of a record.
#[derive(Debug)]
pub struct Fate<'a> {
    /// Which record.
    pub key: RecordKey<'a>,
    /// Its version before, when it was there.
    pub before: Option<u64>,
    /// It went at some point, so its relationships and old properties are gone.
    pub went: bool,
    /// Its state afterwards; `None` when it is not there.
    pub now: Option<Held>,
    /// Whether anything happened to it.
    touched: bool,
}

/// An accepted change, not yet written.
#[derive(Debug, Default)]
pub struct Verdict<'a> {
    /// The operations that have an effect.
    pub ops: Vec<Cow<'a, Op>>,
    /// What happened to which record, in order of first mention.
    pub effects: Vec<Effect>,
    /// What becomes of the records that were touched.
    pub records: Vec<Fate<'a>>,
    /// Unique values to be noted (`Some`, with the record's id) or freed.
    pub taken: BTreeMap<UniqueValue, Option<String>>,
    /// Relationships to be noted (`Some`) or forgotten.
    pub links: BTreeMap<LinkKey<'a>, Option<Digests>>,
}

/// Decides on a change. With `only_new`, what is there already is left as it is.
///
/// # Errors
/// `CONFLICT` and `NOT_FOUND`, naming type, id and property.
pub fn decide<'a>(change: &'a Change, registry: Registry<'a>, only_new: bool) -> Result<Verdict<'a>, Fault> {
    let mut holds: HashMap<(bool, Ref), Vec<UniqueValue>> = HashMap::new();
    for (value, id) in &registry.taken {
        let record = Ref { of: value.of.clone(), id: id.clone() };
        holds.entry((value.row, record)).or_default().push(value.clone());
    }
    let mut judge = Judge { registry, only_new, holds, verdict: Verdict::default(), mentioned: HashMap::new() };
    for op in &change.ops {
        judge.judge(op)?;
    }
    Ok(judge.done())
}

struct Judge<'a> {
    registry: Registry<'a>,
    only_new: bool,
    /// Unique values by the record that has them.
    holds: HashMap<(bool, Ref), Vec<UniqueValue>>,
    verdict: Verdict<'a>,
    /// Positions in the verdict's records.
    mentioned: HashMap<RecordKey<'a>, usize>,
}

impl<'a> Judge<'a> {
    fn judge(&mut self, op: &'a Op) -> Result<(), Fault> {
        match op {
            Op::Put { record, row, mode, .. } => self.put(op, RecordKey { row: *row, record }, *mode),
            Op::Delete { record, row } => {
                self.delete(op, RecordKey { row: *row, record });
                Ok(())
            }
            Op::Link { relationship_type, from, to, key, set } => {
                let key = Cow::Borrowed(key.as_str());
                self.link(op, LinkKey { of: relationship_type, from, to, key }, set)
            }
            Op::Unlink { relationship_type, from, to, key } => {
                self.unlink(op, relationship_type, from, to, key.as_deref());
                Ok(())
            }
            // A store that can write them has done so before it asks about the rest.
            Op::Foreign { record, .. } => {
                let message = format!("{} is a table of others, which this store cannot write", record.of);
                Err(conflict(message))
            }
        }
    }

    fn put(&mut self, op: &'a Op, key: RecordKey<'a>, mode: Mode) -> Result<(), Fault> {
        let Op::Put { set, unique, embed, .. } = op else { return Ok(()) };
        let before = self.registry.records.get(&key).map(|held| held.version);
        match (mode, before) {
            (Mode::Create, Some(_)) => return Err(conflict(format!("{} exists already", name(key.record)))),
            (Mode::Update, None) => return Err(missing(key.record)),
            (_, Some(_)) if self.only_new => return Ok(()),
            _ => {}
        }
        let held = self.registry.records.entry(key).or_default();
        let changed = changed(&mut held.digests, set);
        let fate = self.fate(key, before);
        if before.is_some() && changed.is_empty() {
            return Ok(());
        }
        self.verdict.records[fate].touched = true;
        for property in unique.iter().filter(|name| changed.contains(name)) {
            self.claim(key, property, &set[property.as_str()])?;
        }
        if changed.len() == set.len() {
            self.verdict.ops.push(Cow::Borrowed(op));
            return Ok(());
        }
        let kept = |names: &[String]| names.iter().filter(|name| changed.contains(name)).cloned().collect();
        self.verdict.ops.push(Cow::Owned(Op::Put {
            record: key.record.clone(),
            row: key.row,
            mode,
            set: part(set, &changed),
            unique: kept(unique),
            embed: kept(embed),
        }));
        Ok(())
    }

    /// Takes a unique value for a record and frees the one it had.
    fn claim(&mut self, key: RecordKey<'a>, property: &str, value: &Json) -> Result<(), Fault> {
        self.free(key, Some(property));
        if value.is_null() {
            return Ok(());
        }
        let (of, property, text) = (key.record.of.clone(), property.to_owned(), value.to_string());
        let wanted = UniqueValue { row: key.row, of, property, value: text };
        if self.registry.taken.contains_key(&wanted) {
            let UniqueValue { property, value, .. } = wanted;
            return Err(conflict(format!("{}: {property} {value} is taken", name(key.record))));
        }
        let id = &key.record.id;
        self.verdict.taken.insert(wanted.clone(), Some(id.clone()));
        self.registry.taken.insert(wanted.clone(), id.clone());
        self.holds.entry((key.row, key.record.clone())).or_default().push(wanted);
        Ok(())
    }

    /// Frees the unique values of a record, or of one of its properties.
    fn free(&mut self, key: RecordKey<'a>, property: Option<&str>) {
        if self.holds.is_empty() {
            return;
        }
        let Some(held) = self.holds.get_mut(&(key.row, key.record.clone())) else { return };
        let freed = held.extract_if(.., |value| property.is_none_or(|property| value.property == property));
        for value in freed {
            self.registry.taken.remove(&value);
            self.verdict.taken.insert(value, None);
        }
    }

    fn delete(&mut self, op: &'a Op, key: RecordKey<'a>) {
        let Some(held) = self.registry.records.remove(&key) else { return };
        // What this change itself has made has no version before.
        let fate = self.fate(key, Some(held.version));
        (self.verdict.records[fate].touched, self.verdict.records[fate].went) = (true, true);
        self.free(key, None);
        if !key.row {
            // The registry forgets a node's links with the node; those made before by this change must not be noted either.
            self.registry.links.retain(|link, _| link.from != key.record && link.to != key.record);
            self.verdict.links.retain(|link, _| link.from != key.record && link.to != key.record);
        }
        self.verdict.ops.push(Cow::Borrowed(op));
    }

    fn link(&mut self, op: &'a Op, link: LinkKey<'a>, set: &Map<String, Json>) -> Result<(), Fault> {
        for end in [link.from, link.to] {
            if !self.registry.records.contains_key(&RecordKey { row: false, record: end }) {
                let message = format!("{} needs {}, which does not exist", link.of, name(end));
                return Err(Fault::client(Code::NotFound, message));
            }
        }
        let known = self.registry.links.contains_key(&link);
        if known && self.only_new {
            return Ok(());
        }
        let digests = self.registry.links.entry(link.clone()).or_default();
        let changed = changed(digests, set);
        if known && changed.is_empty() {
            return Ok(());
        }
        self.verdict.links.insert(link.clone(), Some(digests.clone()));
        self.verdict.ops.push(if changed.len() == set.len() {
            Cow::Borrowed(op)
        } else {
            Cow::Owned(Op::Link {
                relationship_type: link.of.to_owned(),
                from: link.from.clone(),
                to: link.to.clone(),
                key: link.key.into_owned(),
                set: part(set, &changed),
            })
        });
        Ok(())
    }

    fn unlink(&mut self, op: &'a Op, of: &'a str, from: &'a Ref, to: &'a Ref, key: Option<&'a str>) {
        let first = LinkKey { of, from, to, key: Cow::Borrowed(key.unwrap_or_default()) };
        let same = |link: &LinkKey<'_>| link.of == of && link.from == from && link.to == to;
        let after = self.registry.links.range(first.clone()..).map(|(link, _)| link);
        let gone = after.take_while(|link| same(link) && (key.is_none() || **link == first));
        let gone: Vec<LinkKey<'a>> = gone.cloned().collect();
        if gone.is_empty() {
            return;
        }
        for link in gone {
            self.registry.links.remove(&link);
            self.verdict.links.insert(link, None);
        }
        self.verdict.ops.push(Cow::Borrowed(op));
    }

    /// The position of a record's fate, which begins at its first mention.
    fn fate(&mut self, key: RecordKey<'a>, before: Option<u64>) -> usize {
        *self.mentioned.entry(key).or_insert_with(|| {
            self.verdict.records.push(Fate { key, before, went: false, now: None, touched: false });
            self.verdict.records.len() - 1
        })
    }

    fn done(mut self) -> Verdict<'a> {
        self.verdict.records.retain(|fate| fate.touched);
        for fate in &mut self.verdict.records {
            fate.now = self.registry.records.remove(&fate.key);
            let event = match (fate.before, &fate.now) {
                (None, None) => continue,
                (None, Some(_)) => EffectKind::Created,
                (Some(_), Some(_)) => EffectKind::Updated,
                (Some(_), None) => EffectKind::Deleted,
            };
            let version = fate.before.unwrap_or(0) + 1;
            if let Some(now) = &mut fate.now {
                now.version = version;
            }
            self.verdict.effects.push(Effect { record: fate.key.record.clone(), event, version });
        }
        self.verdict
    }
}

/// Notes properties and says which of them change anything.
fn changed<'s>(digests: &mut Digests, set: &'s Map<String, Json>) -> Vec<&'s String> {
    set.iter().filter(|(name, value)| digests.set(name, value)).map(|(name, _)| name).collect()
}

fn part(set: &Map<String, Json>, names: &[&String]) -> Map<String, Json> {
    names.iter().map(|name| ((*name).clone(), set[name.as_str()].clone())).collect()
}

fn name(record: &Ref) -> String {
    format!("{} \"{}\"", record.of, record.id)
}

fn conflict(message: String) -> Fault {
    Fault::client(Code::Conflict, message)
}

fn missing(record: &Ref) -> Fault {
    Fault::client(Code::NotFound, format!("{} does not exist", name(record)))
}
