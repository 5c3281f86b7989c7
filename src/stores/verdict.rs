//! What may refuse a change, decided over what the registry holds of the records it names. Pure, the same for every metadata store.
//!
//! Operations are judged in their order, each seeing what those before it did. What is left are the operations that have an effect,
//! with only the properties that change: importing the same records again leaves nothing.

use std::collections::{BTreeMap, HashMap};

use quipu_resolvers::change::{Change, Effect, EffectKind, Mode, Op, Ref};
use quipu_resolvers::fault::{Code, Fault};
use serde_json::{Map, Value as Json};

use super::digests::Digests;

/// A type with its store: rows and nodes do not share names, but keys are kept apart all the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// True for a row.
    pub row: bool,
    /// Type and id.
    pub record: Ref,
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkKey {
    /// Type of the relationship.
    pub of: String,
    /// Start node.
    pub from: Ref,
    /// End node.
    pub to: Ref,
    /// Tells parallel ones apart.
    pub key: String,
}

/// What the registry holds of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Version, from 1.
    pub version: u64,
    /// Digests of its properties.
    pub digests: Digests,
}

/// What the registry holds of everything that a change names.
#[derive(Debug, Default)]
pub struct Registry {
    /// Records by type and id.
    pub records: HashMap<RecordKey, Held>,
    /// Who has which unique value.
    pub taken: HashMap<UniqueValue, String>,
    /// Relationships.
    pub links: BTreeMap<LinkKey, Digests>,
}

/// What becomes of a record.
#[derive(Debug, Default)]
pub struct Fate {
    /// Its version before, when it was there.
    pub before: Option<u64>,
    /// It went at some point, so its relationships and old properties are gone.
    pub went: bool,
    /// Its state afterwards; `None` when it is not there.
    pub now: Option<Held>,
    /// Whether anything happened to it.
    pub touched: bool,
}

/// An accepted change, not yet written.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The operations that have an effect.
    pub change: Change,
    /// What happened to which record, in order of first mention.
    pub effects: Vec<Effect>,
    /// What becomes of the records that were touched.
    pub records: BTreeMap<RecordKey, Fate>,
    /// Unique values to be noted (`Some`) or freed.
    pub taken: BTreeMap<UniqueValue, Option<String>>,
    /// Relationships to be noted (`Some`) or forgotten.
    pub links: BTreeMap<LinkKey, Option<Digests>>,
}

/// Decides on a change.
///
/// # Errors
/// `CONFLICT` and `NOT_FOUND`, naming type, id and property.
pub fn decide(change: Change, registry: Registry) -> Result<Verdict, Fault> {
    let mut holds: HashMap<RecordKey, Vec<UniqueValue>> = HashMap::new();
    for (value, id) in &registry.taken {
        let record = Ref { of: value.of.clone(), id: id.clone() };
        holds.entry(RecordKey { row: value.row, record }).or_default().push(value.clone());
    }
    let mut judge = Judge { registry, holds, verdict: Verdict::default(), mentioned: Vec::new() };
    for op in change.ops {
        judge.judge(op)?;
    }
    Ok(judge.done())
}

struct Judge {
    registry: Registry,
    /// Unique values by the record that has them.
    holds: HashMap<RecordKey, Vec<UniqueValue>>,
    verdict: Verdict,
    mentioned: Vec<RecordKey>,
}

impl Judge {
    fn judge(&mut self, op: Op) -> Result<(), Fault> {
        match op {
            Op::Put { record, row, mode, set, unique, embed } => {
                self.put(RecordKey { row, record }, mode, set, unique, embed)
            }
            Op::Delete { record, row } => {
                self.delete(RecordKey { row, record });
                Ok(())
            }
            Op::Link { relationship_type, from, to, key, set } => {
                self.link(LinkKey { of: relationship_type, from, to, key }, set)
            }
            Op::Unlink { relationship_type, from, to, key } => {
                self.unlink(relationship_type, from, to, key);
                Ok(())
            }
        }
    }

    fn put(
        &mut self,
        key: RecordKey,
        mode: Mode,
        mut set: Map<String, Json>,
        unique: Vec<String>,
        embed: Vec<String>,
    ) -> Result<(), Fault> {
        let before = self.registry.records.get(&key).map(|held| held.version);
        let exists = before.is_some();
        match (mode, exists) {
            (Mode::Create, true) => return Err(conflict(format!("{} exists already", name(&key.record)))),
            (Mode::Update, false) => return Err(missing(&key.record)),
            _ => {}
        }
        let held = self
            .registry
            .records
            .entry(key.clone())
            .or_insert_with(|| Held { version: 0, digests: Digests::default() });
        set.retain(|name, value| held.digests.set(name, value));
        self.fate(&key, before);
        if exists && set.is_empty() {
            return Ok(());
        }
        let unique: Vec<String> = unique.into_iter().filter(|name| set.contains_key(name)).collect();
        let embed: Vec<String> = embed.into_iter().filter(|name| set.contains_key(name)).collect();
        for property in &unique {
            self.claim(&key, property, &set[property])?;
        }
        self.touch(&key);
        self.verdict.change.ops.push(Op::Put { record: key.record, row: key.row, mode, set, unique, embed });
        Ok(())
    }

    /// Takes a unique value for a record and frees the one it had.
    fn claim(&mut self, key: &RecordKey, property: &str, value: &Json) -> Result<(), Fault> {
        self.free(key, Some(property));
        if value.is_null() {
            return Ok(());
        }
        let (of, property, text) = (key.record.of.clone(), property.to_owned(), value.to_string());
        let wanted = UniqueValue { row: key.row, of, property, value: text };
        if self.registry.taken.contains_key(&wanted) {
            let UniqueValue { property, value, .. } = wanted;
            return Err(conflict(format!("{}: {property} {value} is taken", name(&key.record))));
        }
        let id = &key.record.id;
        self.verdict.taken.insert(wanted.clone(), Some(id.clone()));
        self.registry.taken.insert(wanted.clone(), id.clone());
        self.holds.entry(key.clone()).or_default().push(wanted);
        Ok(())
    }

    /// Frees the unique values of a record, or of one of its properties.
    fn free(&mut self, key: &RecordKey, property: Option<&str>) {
        let Some(held) = self.holds.get_mut(key) else { return };
        let freed = held.extract_if(.., |value| property.is_none_or(|property| value.property == property));
        for value in freed {
            self.registry.taken.remove(&value);
            self.verdict.taken.insert(value, None);
        }
    }

    fn delete(&mut self, key: RecordKey) {
        let Some(held) = self.registry.records.remove(&key) else { return };
        self.fate(&key, Some(held.version));
        self.touch(&key);
        self.free(&key, None);
        if let Some(fate) = self.verdict.records.get_mut(&key) {
            fate.went = true;
        }
        let RecordKey { row, record } = key;
        if !row {
            // The registry forgets a node's links with the node; those made before by this change must not be noted either.
            self.registry.links.retain(|link, _| link.from != record && link.to != record);
            self.verdict.links.retain(|link, _| link.from != record && link.to != record);
        }
        self.verdict.change.ops.push(Op::Delete { record, row });
    }

    fn link(&mut self, link: LinkKey, mut set: Map<String, Json>) -> Result<(), Fault> {
        for end in [&link.from, &link.to] {
            if !self.registry.records.contains_key(&RecordKey { row: false, record: end.clone() }) {
                return Err(Fault::client(
                    Code::NotFound,
                    format!("{} needs {}, which does not exist", link.of, name(end)),
                ));
            }
        }
        let known = self.registry.links.contains_key(&link);
        let digests = self.registry.links.entry(link.clone()).or_default();
        set.retain(|name, value| digests.set(name, value));
        if known && set.is_empty() {
            return Ok(());
        }
        self.verdict.links.insert(link.clone(), Some(digests.clone()));
        let LinkKey { of, from, to, key } = link;
        self.verdict.change.ops.push(Op::Link { relationship_type: of, from, to, key, set });
        Ok(())
    }

    fn unlink(&mut self, of: String, from: Ref, to: Ref, key: Option<String>) {
        let first =
            LinkKey { of: of.clone(), from: from.clone(), to: to.clone(), key: key.clone().unwrap_or_default() };
        let same = |link: &LinkKey| link.of == of && link.from == from && link.to == to;
        let gone: Vec<LinkKey> = self
            .registry
            .links
            .range(first.clone()..)
            .map(|(link, _)| link)
            .take_while(|link| same(link) && (key.is_none() || **link == first))
            .cloned()
            .collect();
        if gone.is_empty() {
            return;
        }
        for link in gone {
            self.registry.links.remove(&link);
            self.verdict.links.insert(link, None);
        }
        self.verdict.change.ops.push(Op::Unlink { relationship_type: of, from, to, key });
    }

    /// Remembers a record at its first mention.
    fn fate(&mut self, key: &RecordKey, before: Option<u64>) {
        if !self.verdict.records.contains_key(key) {
            self.mentioned.push(key.clone());
            self.verdict.records.insert(key.clone(), Fate { before, ..Fate::default() });
        }
    }

    fn touch(&mut self, key: &RecordKey) {
        if let Some(fate) = self.verdict.records.get_mut(key) {
            fate.touched = true;
        }
    }

    fn done(mut self) -> Verdict {
        for key in self.mentioned {
            let Some(fate) = self.verdict.records.get_mut(&key) else { continue };
            fate.now = self.registry.records.remove(&key);
            if !fate.touched {
                continue;
            }
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
            self.verdict.effects.push(Effect { record: key.record, event, version });
        }
        self.verdict.records.retain(|_, fate| fate.touched);
        self.verdict
    }
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
