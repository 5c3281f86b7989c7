//! The guard of changes: what a rule asks of the records that a change touches, before and after it.

use std::collections::{BTreeMap, BTreeSet};

use quipu_schema::ontology::Ontology;
use quipu_schema::policy::{Operation, Rule, Rules, When};
use serde_json::{Map, Value as Json};

use super::{Allowed, Principal};
use crate::change::{Act, Change, Mode, Op, Ref};
use crate::fault::{Code, Fault};
use crate::read::Predicate;
use crate::rules::{self, Bearer};

/// Something that must hold of a record or a relationship for a change to be allowed, and that only the stores or the change itself can tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The type or field that the rule stands on.
    pub what: String,
    /// Of which record or relationship.
    pub on: On,
    /// Before the change, or after it.
    pub when: When,
    /// What must hold.
    pub predicate: Predicate,
    /// What the change sets on it, all its operations together; looked at when `when` is `After`.
    pub set: Map<String, Json>,
    /// True when it may not exist before: a missing one passes `Before`.
    pub may_be_new: bool,
    /// Asked only when it was there before the change, or only when it was not; `None` is either way. Which of making and changing a relationship
    /// a change does is told by that alone.
    pub only_if: Option<bool>,
}

/// What a check is about.
#[derive(Debug, Clone, PartialEq)]
pub enum On {
    /// A record.
    Record {
        /// Which one.
        record: Ref,
        /// True for a row.
        row: bool,
    },
    /// A relationship.
    Relationship(Link),
}

/// Names a relationship.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Type of the relationship.
    pub relationship_type: String,
    /// Start node.
    pub from: Ref,
    /// End node.
    pub to: Ref,
    /// Which of the parallel ones; all of them when `None`.
    pub key: Option<String>,
}

impl Link {
    /// What an operation makes, changes or removes, when that is a relationship.
    pub fn of(op: &Op) -> Option<Self> {
        let (relationship_type, from, to, key) = match op {
            Op::Link { relationship_type, from, to, key, .. } => (relationship_type, from, to, Some(key)),
            Op::Unlink { relationship_type, from, to, key } => (relationship_type, from, to, key.as_ref()),
            Op::Put { .. } | Op::Delete { .. } | Op::Foreign { .. } => return None,
        };
        let (relationship_type, key) = (relationship_type.clone(), key.cloned());
        Some(Self { relationship_type, from: from.clone(), to: to.clone(), key })
    }

    /// Whether it is, or is among, those that another names.
    pub fn is_among(&self, other: &Link) -> bool {
        let same = self.relationship_type == other.relationship_type && self.from == other.from && self.to == other.to;
        same && (other.key.is_none() || self.key == other.key)
    }
}

/// Binds a change to the caller. `held` says of each of [`checks`], in order, whether it held.
///
/// # Errors
/// `UNAUTHENTICATED` or `FORBIDDEN`.
pub fn change(
    principal: &Principal,
    ontology: &Ontology,
    change: Change,
    held: &[bool],
) -> Result<Allowed<Change>, Fault> {
    let wanted = checks(principal, ontology, &change)?;
    if wanted.len() != held.len() || held.contains(&false) {
        let broken = wanted.iter().zip(held).find(|(_, held)| !**held);
        return Err(refused(broken.map_or("a record", |(check, _)| &check.what)));
    }
    is_written_here(ontology, &change)?;
    fits_indexes(ontology, &change)?;
    Ok(Allowed { tenant: principal.tenant.clone(), inner: change })
}

/// Refuses to write rows of tables that belong to others, whoever asks, unless the ontology says so of the table; and to take rows of
/// ours for theirs, or theirs for ours.
fn is_written_here(ontology: &Ontology, change: &Change) -> Result<(), Fault> {
    for op in &change.ops {
        let (record, act) = match op {
            Op::Put { record, .. } | Op::Delete { record, .. } => (record, None),
            Op::Foreign { record, act, .. } => (record, Some(*act)),
            Op::Link { .. } | Op::Unlink { .. } => continue,
        };
        let Some(entity) = ontology.types.get(&record.of) else { continue };
        let writes = entity.writes();
        let fits = match (entity.mapped().is_some(), act) {
            (of_others, None) => !of_others,
            (true, Some(Act::Create)) => writes.create,
            (true, Some(Act::Make)) => writes.create && entity.id_is_generated(),
            (true, Some(Act::Update)) => writes.update,
            (true, Some(Act::Delete)) => writes.delete,
            (false, Some(_)) => false,
        };
        if !fits {
            let what = if writes.any() { "is not written in this way" } else { "is read and not written" };
            let message = format!("{} {what}: its table belongs to others", record.of);
            return Err(Fault::client(Code::Forbidden, message));
        }
    }
    Ok(())
}

/// Bytes of an id, and of a text that is looked for by an index. What is accepted must be applied by every store, and their indexes
/// hold no more: 2,704 bytes for a whole key in Postgres, about 8,000 in Neo4j.
const LONGEST_ID: usize = 512;
const LONGEST_KEY: usize = 1_536;

/// Refuses ids and indexed texts that some store's index could not hold.
fn fits_indexes(ontology: &Ontology, change: &Change) -> Result<(), Fault> {
    let refused = |message| Err(Fault::client(Code::BadUserInput, message));
    for op in &change.ops {
        let Op::Put { record, set, .. } = op else { continue };
        if record.id.len() > LONGEST_ID {
            let length = record.id.len();
            return refused(format!("an id of {} has {length} bytes; at most {LONGEST_ID} are allowed", record.of));
        }
        // Nearly no change has a text that is long enough for a closer look.
        let long = set.iter().filter_map(|(name, value)| Some((name, value.as_str()?.len())));
        for (name, length) in long.filter(|(_, length)| *length > LONGEST_KEY) {
            if let Some(property) = ontology.types.get(&record.of).and_then(|entity| entity.stored(name))
                && (property.indexed || property.unique || ontology.joined().contains(&(&*record.of, &**name)))
            {
                return refused(format!(
                    "{}.{} has {length} bytes; a text that is indexed, unique or joined by has at most {LONGEST_KEY}",
                    record.of, property.name
                ));
            }
        }
    }
    Ok(())
}

/// What must hold for a change to be allowed. Rules that claims alone decide are decided here.
///
/// # Errors
/// `UNAUTHENTICATED` or `FORBIDDEN` when claims alone refuse it.
pub fn checks(principal: &Principal, ontology: &Ontology, change: &Change) -> Result<Vec<Check>, Fault> {
    if principal.operator {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (record, touch) in touched(change) {
        let Some(entity) = ontology.types.get(&record.of) else {
            return Err(Fault::client(Code::BadUserInput, format!("the ontology has no type {}", record.of)));
        };
        let on = On::Record { record: record.clone(), row: touch.row };
        let Touch { operations, set, may_be_new, .. } = touch;
        let bearer = Bearer::Record(entity);
        let mut demands =
            Demands { principal, ontology, bearer, on, set, may_be_new, only_if: None, found: &mut found };
        for operation in operations {
            demands.of(operation)?;
        }
    }
    for (link, touch) in linked(ontology, change) {
        for edge in ontology.ruling(&link.relationship_type) {
            let (bearer, on, set) = (Bearer::Edge(edge), On::Relationship(link.clone()), touch.set.clone());
            let found = &mut found;
            let mut demands = Demands { principal, ontology, bearer, on, set, may_be_new: true, only_if: None, found };
            demands.of_relationship(&touch)?;
        }
    }
    Ok(found)
}

/// What a change does to one record, all its operations together.
#[derive(Default)]
struct Touch {
    operations: Vec<Operation>,
    set: Map<String, Json>,
    row: bool,
    may_be_new: bool,
}

impl Touch {
    fn note(&mut self, operation: Operation) {
        if !self.operations.contains(&operation) {
            self.operations.push(operation);
        }
    }
}

fn touched(change: &Change) -> BTreeMap<&Ref, Touch> {
    let mut all: BTreeMap<&Ref, Touch> = BTreeMap::new();
    for op in &change.ops {
        match op {
            Op::Put { record, row, mode, set, .. } => {
                let touch = all.entry(record).or_default();
                touch.row = *row;
                touch.set.extend(set.clone());
                match mode {
                    Mode::Create => touch.note(Operation::Create),
                    Mode::Update => touch.note(Operation::Update),
                    Mode::Upsert => {
                        touch.note(Operation::Create);
                        touch.note(Operation::Update);
                    }
                }
                touch.may_be_new |= *mode != Mode::Update;
            }
            Op::Delete { record, row } => {
                let touch = all.entry(record).or_default();
                touch.row = *row;
                touch.note(Operation::Delete);
            }
            Op::Foreign { record, act, set } => {
                let touch = all.entry(record).or_default();
                touch.row = true;
                touch.set.extend(set.clone());
                touch.note(match act {
                    Act::Create | Act::Make => Operation::Create,
                    Act::Update => Operation::Update,
                    Act::Delete => Operation::Delete,
                });
                touch.may_be_new |= matches!(act, Act::Create | Act::Make);
            }
            Op::Link { from, to, .. } => {
                for end in [from, to] {
                    all.entry(end).or_default().note(Operation::CreateRelationship);
                }
            }
            Op::Unlink { from, to, .. } => {
                for end in [from, to] {
                    all.entry(end).or_default().note(Operation::DeleteRelationship);
                }
            }
        }
    }
    all
}

/// What a change does to one relationship, all its operations together.
#[derive(Default)]
struct Tie {
    /// It is made, or changed.
    linked: bool,
    /// It is removed; when it is linked as well, it is removed first.
    unlinked: bool,
    /// It goes before it is linked, by itself or with one of its ends: whatever it was does not matter any more.
    anew: bool,
    set: Map<String, Json>,
}

/// The relationships that a change touches and that rules speak of.
fn linked(ontology: &Ontology, change: &Change) -> BTreeMap<Link, Tie> {
    let mut all: BTreeMap<Link, Tie> = BTreeMap::new();
    let mut gone: BTreeSet<&Ref> = BTreeSet::new();
    for op in &change.ops {
        if let Op::Delete { record, row: false } = op {
            gone.insert(record);
        }
        let Some(link) = Link::of(op).filter(|link| ontology.ruled.contains_key(&link.relationship_type)) else {
            continue;
        };
        let Op::Link { from, to, set, .. } = op else {
            all.entry(link).or_default().unlinked = true;
            continue;
        };
        let goes = |link: &Link| all.get(link).is_some_and(|tie| tie.unlinked);
        let unlinked = goes(&link) || goes(&Link { key: None, ..link.clone() });
        let anew = unlinked || gone.contains(from) || gone.contains(to);
        let tie = all.entry(link).or_default();
        tie.linked = true;
        tie.anew |= anew;
        tie.set.extend(set.clone());
    }
    all
}

/// What the rules on one record or relationship ask, gathered.
struct Demands<'a> {
    principal: &'a Principal,
    ontology: &'a Ontology,
    bearer: Bearer<'a>,
    on: On,
    set: Map<String, Json>,
    may_be_new: bool,
    only_if: Option<bool>,
    found: &'a mut Vec<Check>,
}

impl Demands<'_> {
    /// What the rules on the type ask, and those on each field that is set.
    fn of(&mut self, operation: Operation) -> Result<(), Fault> {
        let bearer = self.bearer;
        self.rules(bearer.rules(), bearer.name(), operation)?;
        if operation != Operation::Update && operation != self.making() {
            return Ok(());
        }
        let ruled = self.set.iter().filter_map(|(name, value)| {
            let property = bearer.stored(name).filter(|property| !property.rules.is_empty())?;
            // What is new has its defaults and its gaps whoever makes it.
            let given = property.default.as_ref().unwrap_or(&Json::Null) != value;
            (given || operation == Operation::Update).then_some(property)
        });
        for property in ruled.collect::<Vec<_>>() {
            self.rules(&property.rules, &format!("{}.{}", bearer.name(), property.name), operation)?;
        }
        Ok(())
    }

    /// The operation that makes what this is about.
    fn making(&self) -> Operation {
        match self.on {
            On::Record { .. } => Operation::Create,
            On::Relationship(_) => Operation::CreateRelationship,
        }
    }

    /// As [`Self::of`], for a relationship, which one may find there already when it is linked: then linking it is changing it.
    fn of_relationship(&mut self, tie: &Tie) -> Result<(), Fault> {
        if tie.unlinked {
            self.seen()?;
            self.of(Operation::DeleteRelationship)?;
        }
        if tie.linked && tie.anew {
            self.of(Operation::CreateRelationship)?;
        } else if tie.linked {
            let bearer = self.bearer;
            let who = |operation| {
                super::authenticated(self.principal, &bearer.rules().authentication, operation, bearer.name())
            };
            if let (Err(fault), Err(_)) = (who(Operation::CreateRelationship), who(Operation::Update)) {
                return Err(fault);
            }
            self.seen()?;
            self.only_if = Some(true);
            self.of(Operation::Update)?;
            self.only_if = Some(false);
            self.of(Operation::CreateRelationship)?;
            self.only_if = None;
        }
        Ok(())
    }

    /// What is there and hidden can be neither changed nor removed. Nothing looked for it among what is seen, when a change names its ends.
    fn seen(&mut self) -> Result<(), Fault> {
        let bearer = self.bearer;
        let only_if = self.only_if.replace(true);
        for policy in &bearer.rules().policies {
            self.rule(&policy.filter, bearer.name(), Operation::Read, When::Before)?;
        }
        self.only_if = only_if;
        Ok(())
    }

    fn rules(&mut self, said: &Rules, what: &str, operation: Operation) -> Result<(), Fault> {
        match super::authenticated(self.principal, &said.authentication, operation, what) {
            Err(Fault::Client(_)) if self.only_if.is_some() => {
                self.check(what, When::Before, Predicate::False);
                return Ok(());
            }
            checked => checked?,
        }
        let removing = match self.on {
            On::Record { .. } => Operation::Delete,
            On::Relationship(_) => Operation::DeleteRelationship,
        };
        for policy in &said.policies {
            if operation != self.making() {
                self.rule(&policy.validate, what, operation, When::Before)?;
                // What a filter rule hides can be neither changed nor linked to; it must stay in sight afterwards only where validate asks
                // for it.
                self.rule(&policy.filter, what, operation, When::Before)?;
            }
            if operation != removing {
                self.rule(&policy.validate, what, operation, When::After)?;
            }
        }
        Ok(())
    }

    /// One of the rules that speak of the operation must hold, at that moment. Rules of `filter` name no moment.
    fn rule(&mut self, rules: &[Rule], what: &str, operation: Operation, when: When) -> Result<(), Fault> {
        let speaking =
            |rule: &&Rule| rule.operations.contains(&operation) && (rule.when.is_empty() || rule.when.contains(&when));
        let mut speaking = rules.iter().filter(speaking).peekable();
        if speaking.peek().is_none() {
            return Ok(());
        }
        let one = |rule| rules::one(self.principal, self.ontology, self.bearer, rule);
        match Predicate::any(speaking.map(one).collect()) {
            Predicate::True => {}
            Predicate::False if self.only_if.is_none() => return Err(refused(what)),
            predicate => self.check(what, when, predicate),
        }
        Ok(())
    }

    fn check(&mut self, what: &str, when: When, predicate: Predicate) {
        self.found.push(Check {
            what: what.to_owned(),
            on: self.on.clone(),
            when,
            predicate,
            set: self.set.clone(),
            may_be_new: self.may_be_new,
            only_if: self.only_if,
        });
    }
}

fn refused(what: &str) -> Fault {
    Fault::client(Code::Forbidden, format!("a rule of {what} refuses the change"))
}
