//! The guard of changes: what a rule asks of the records that a change touches, before and after it.

use std::collections::BTreeMap;

use quipu_schema::ontology::{EntityType, Ontology};
use quipu_schema::policy::{Operation, Rule, Rules, When};
use serde_json::{Map, Value as Json};

use super::{Allowed, Principal};
use crate::change::{Act, Change, Mode, Op, Ref};
use crate::fault::{Code, Fault};
use crate::read::Predicate;
use crate::rules;

/// Something that must hold of a record for a change to be allowed, and that only the stores or the change itself can tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The type or field that the rule stands on.
    pub what: String,
    /// Which record.
    pub record: Ref,
    /// True for a row.
    pub row: bool,
    /// Before the change, or after it.
    pub when: When,
    /// What must hold.
    pub predicate: Predicate,
    /// What the change sets on the record, all its operations together; looked at when `when` is `After`.
    pub set: Map<String, Json>,
    /// True when the record may not exist before: a missing one passes `Before`.
    pub may_be_new: bool,
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
        for operation in &touch.operations {
            Demands { principal, ontology, entity, record, touch: &touch, found: &mut found }.of(*operation)?;
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

/// What the rules on one record ask, gathered.
struct Demands<'a> {
    principal: &'a Principal,
    ontology: &'a Ontology,
    entity: &'a EntityType,
    record: &'a Ref,
    touch: &'a Touch,
    found: &'a mut Vec<Check>,
}

impl Demands<'_> {
    /// What the rules on the type ask, and those on each field that is set.
    fn of(&mut self, operation: Operation) -> Result<(), Fault> {
        let (entity, touch) = (self.entity, self.touch);
        self.rules(&entity.rules, &entity.name, operation)?;
        if !matches!(operation, Operation::Create | Operation::Update) {
            return Ok(());
        }
        for (name, value) in &touch.set {
            let Some(property) = entity.stored(name).filter(|property| !property.rules.is_empty()) else { continue };
            // A new record has its defaults and its gaps whoever makes it.
            let given = property.default.as_ref().unwrap_or(&Json::Null) != value;
            if given || operation == Operation::Update {
                self.rules(&property.rules, &format!("{}.{}", entity.name, property.name), operation)?;
            }
        }
        Ok(())
    }

    fn rules(&mut self, said: &Rules, what: &str, operation: Operation) -> Result<(), Fault> {
        super::authenticated(self.principal, &said.authentication, operation, what)?;
        for policy in &said.policies {
            if operation != Operation::Create {
                self.rule(&policy.validate, what, operation, When::Before)?;
                // What a filter rule hides can be neither changed nor linked to; it must stay in sight afterwards only where validate asks
                // for it.
                self.rule(&policy.filter, what, operation, When::Before)?;
            }
            if operation != Operation::Delete {
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
        let one = |rule| rules::one(self.principal, self.ontology, self.entity, rule);
        match Predicate::any(speaking.map(one).collect()) {
            Predicate::True => {}
            Predicate::False => return Err(refused(what)),
            predicate => self.found.push(Check {
                what: what.to_owned(),
                record: self.record.clone(),
                row: self.touch.row,
                when,
                predicate,
                set: self.touch.set.clone(),
                may_be_new: self.touch.may_be_new,
            }),
        }
        Ok(())
    }
}

fn refused(what: &str) -> Fault {
    Fault::client(Code::Forbidden, format!("a rule of {what} refuses the change"))
}
