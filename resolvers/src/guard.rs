//! Who asks, and the only way from a question to a question that may be asked.

use quipu_schema::ontology::{Ontology, RELATIONSHIP};
use quipu_schema::policy::{Authentication, Operation, Policy, Rule, Rules};

use crate::fault::Fault;
use crate::ports::{Matching, Nearest, VectorOf, Within};
use crate::read::{Field, Pick, Place, Predicate, Read, Related, Target, Via, Window};
use crate::rules::{self, Bearer};
use crate::value::Value;

mod fields;
mod mask;
mod principal;
mod relationships;
mod write;

pub(crate) use mask::unmask;
pub use principal::{Principal, TenantId};
pub use write::{Check, Link, On, change, checks};

/// A question that may be asked: bound to a tenant, with the caller's visibility in it. Ports take nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed<T> {
    tenant: TenantId,
    inner: T,
}

impl<T> Allowed<T> {
    /// The tenant it is bound to.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The question.
    pub fn get(&self) -> &T {
        &self.inner
    }
}

/// Binds a question to the caller: puts what they may see into every target, condition, count and figure.
///
/// # Errors
/// `UNAUTHENTICATED` or `FORBIDDEN` when a type or field must not be touched at all.
pub fn read(principal: &Principal, ontology: &Ontology, read: Read) -> Result<Allowed<Read>, Fault> {
    read_for(principal, ontology, read, Operation::Read)
}

/// Like [`read`], for finding the records that another operation is about to touch: its rules apply to the outermost targets.
///
/// # Errors
/// As [`read`].
pub fn read_for(
    principal: &Principal,
    ontology: &Ontology,
    mut read: Read,
    operation: Operation,
) -> Result<Allowed<Read>, Fault> {
    Guard { principal, ontology }.read(&mut read, operation)?;
    Ok(Allowed { tenant: principal.tenant.clone(), inner: read })
}

/// Binds a search by vector to the caller.
///
/// # Errors
/// As [`read`].
pub fn nearest(principal: &Principal, ontology: &Ontology, mut nearest: Nearest) -> Result<Allowed<Nearest>, Fault> {
    Guard { principal, ontology }.within(&mut nearest.within, &[&nearest.property])?;
    Ok(Allowed { tenant: principal.tenant.clone(), inner: nearest })
}

/// Binds a search by words to the caller.
///
/// # Errors
/// As [`read`].
pub fn matching(
    principal: &Principal,
    ontology: &Ontology,
    mut matching: Matching,
) -> Result<Allowed<Matching>, Fault> {
    let guard = Guard { principal, ontology };
    for within in &mut matching.within {
        let embedded: Vec<String> = match ontology.types.get(&within.of) {
            Some(entity) => entity.embedded().map(|p| p.stored.clone()).collect(),
            None => Vec::new(),
        };
        guard.within(within, &embedded.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(Allowed { tenant: principal.tenant.clone(), inner: matching })
}

/// Binds the reading of a record's vector to the caller.
///
/// # Errors
/// As [`read`].
pub fn vector_of(principal: &Principal, ontology: &Ontology, mut wanted: VectorOf) -> Result<Allowed<VectorOf>, Fault> {
    Guard { principal, ontology }.within(&mut wanted.within, &[&wanted.property])?;
    Ok(Allowed { tenant: principal.tenant.clone(), inner: wanted })
}

/// Whether the caller sees every record of a type, whatever is in it.
pub(crate) fn sees_all(principal: &Principal, ontology: &Ontology, of: &str, operation: Operation) -> bool {
    let guard = Guard { principal, ontology };
    matches!(guard.visible(of, operation), Ok(Predicate::True)) && guard.demanded(of, operation) == Predicate::True
}

/// Whether the caller sees every relationship between records that they see, whatever is in it.
pub(crate) fn sees_all_between(principal: &Principal, ontology: &Ontology, operation: Operation) -> bool {
    let guard = Guard { principal, ontology };
    ontology.ruled.keys().all(|of| {
        let seen = guard.visible_along(of, operation);
        matches!(seen, Ok(Predicate::True)) && guard.demanded_along(of, operation) == Predicate::True
    })
}

/// Whether the caller may ask for records of a type at all.
pub(crate) fn may_see(principal: &Principal, ontology: &Ontology, of: &str) -> bool {
    Guard { principal, ontology }.visible(of, Operation::Read).is_ok()
}

/// What the rules on subscribing let a caller see of a type, beside the rules on reading.
///
/// # Errors
/// As [`read`].
pub(crate) fn subscribing(principal: &Principal, ontology: &Ontology, of: &str) -> Result<Predicate, Fault> {
    let guard = Guard { principal, ontology };
    Ok(guard.visible(of, Operation::Subscribe)?.and(guard.demanded(of, Operation::Subscribe)))
}

impl Allowed<Read> {
    /// Whether values may be hidden in what is answered, which [`unmask`] then goes through.
    pub(crate) fn masks(&self) -> bool {
        mask::masks(&self.inner)
    }

    /// The same question with its conditions across stores resolved, which only the engine does.
    pub(crate) fn with_resolved(&self, resolved: Read) -> Self {
        Self { tenant: self.tenant.clone(), inner: resolved }
    }

    /// A question that is derived from this one's own, already guarded, conditions.
    pub(crate) fn derived(&self, read: Read) -> Self {
        Self { tenant: self.tenant.clone(), inner: read }
    }
}

impl Allowed<Nearest> {
    /// The same search with its conditions across stores resolved.
    pub(crate) fn with_resolved(&self, resolved: Nearest) -> Self {
        Self { tenant: self.tenant.clone(), inner: resolved }
    }

    /// A question for the ids of the records that this search may find, for stores of vectors that know no records: at most `limit`, in no
    /// order, and only `among` those when they are given. It asks for nothing that the search does not.
    pub fn records(&self, among: Option<&[String]>, limit: u32) -> Allowed<Read> {
        Allowed { tenant: self.tenant.clone(), inner: ids_within(&self.inner.within, among, limit) }
    }
}

impl Allowed<VectorOf> {
    /// A question for the id of the record whose vector is asked for, for stores of vectors that know no records. It asks for nothing that
    /// this does not.
    pub fn record(&self) -> Allowed<Read> {
        let among = std::slice::from_ref(&self.inner.id);
        Allowed { tenant: self.tenant.clone(), inner: ids_within(&self.inner.within, Some(among), 1) }
    }
}

impl Allowed<Matching> {
    /// As [`Allowed<Nearest>::records`], for texts of records that are elsewhere: of the search's type at `index`, those of the ids that the
    /// search may find. Nothing beyond its types.
    pub fn records(&self, index: usize, ids: &[String]) -> Option<Allowed<Read>> {
        let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let inner = ids_within(self.inner.within.get(index)?, Some(ids), limit);
        Some(Allowed { tenant: self.tenant.clone(), inner })
    }
}

/// A question for the ids of records under conditions that are guarded already.
fn ids_within(within: &Within, among: Option<&[String]>, limit: u32) -> Read {
    let among = match among {
        Some(ids) => Predicate::one_of(Field::Id, ids.iter().map(|id| Value::Text(id.clone())).collect()),
        None => Predicate::True,
    };
    let target = Target {
        of: within.of.clone(),
        filter: among.and(within.filter.clone()),
        visible: within.visible.clone(),
        picks: vec![Pick::Field(Field::Id)],
    };
    let place = if within.row { Place::Rows } else { Place::Nodes };
    let window = Window { limit: Some(limit), ..Window::default() };
    Read { window, ..Read::every(place, Via::Root, vec![target]) }
}

impl Allowed<Matching> {
    /// The same search with its conditions across stores resolved.
    pub(crate) fn with_resolved(&self, resolved: Matching) -> Self {
        Self { tenant: self.tenant.clone(), inner: resolved }
    }
}

impl<T> Allowed<T> {
    /// A question about records, derived from the already guarded conditions of this one.
    pub(crate) fn deriving(&self, read: Read) -> Allowed<Read> {
        Allowed { tenant: self.tenant.clone(), inner: read }
    }
}

/// The field of the records at the other end of a join by which they are found.
fn remote(via: &Via) -> Option<&Field> {
    match via {
        Via::Key { remote, .. } => Some(remote),
        Via::Root | Via::Relationship { .. } | Via::Endpoint(_) => None,
    }
}

/// Walks a question and puts the rules in.
struct Guard<'a> {
    principal: &'a Principal,
    ontology: &'a Ontology,
}

impl Guard<'_> {
    fn read(&self, read: &mut Read, operation: Operation) -> Result<(), Fault> {
        let composite = read.is_composite();
        let used = read.sort.iter().map(|s| &s.field).chain(read.figures.iter().map(|(_, f)| f));
        let used: Vec<Field> = used.chain(remote(&read.via)).cloned().collect();
        let via = &read.via;
        for target in &mut read.targets {
            self.target(target, via, operation, composite)?;
            for field in &used {
                self.field(&target.of, via, field)?;
            }
        }
        Ok(())
    }

    fn target(&self, target: &mut Target, via: &Via, operation: Operation, composite: bool) -> Result<(), Fault> {
        self.predicate(&target.of, via, &mut target.filter)?;
        for pick in &mut target.picks {
            match pick {
                Pick::Field(field) => {
                    let seen = self.picked(&target.of, via, field)?;
                    if seen != Predicate::True {
                        *pick = Pick::Masked { field: field.clone(), seen };
                    }
                }
                // Only the guard makes them; it does not meet its own work.
                Pick::Masked { .. } => {}
                Pick::Read(read) => {
                    self.joins(&target.of, &read.via)?;
                    self.read(read, Operation::Read)?;
                }
                Pick::Holds(predicate) => self.predicate(&target.of, via, predicate)?,
            }
        }
        target.visible = self.reached(&target.of, via, operation)?;
        if operation != Operation::Read {
            // What the caller may not see is not there to be touched either.
            let seen = self.reached(&target.of, via, Operation::Read)?;
            target.visible = both(std::mem::take(&mut target.visible), seen);
        }
        if composite {
            let aggregated = self.reached(&target.of, via, Operation::Aggregate)?;
            target.visible = both(std::mem::take(&mut target.visible), aggregated);
        }
        let mut demanded = self.asked(&target.of, via, operation);
        if composite {
            demanded = both(demanded, self.asked(&target.of, via, Operation::Aggregate));
        }
        if demanded != Predicate::True {
            if composite {
                target.visible = std::mem::take(&mut target.visible).and(demanded);
            } else {
                target.picks.push(Pick::Holds(demanded));
            }
        }
        Ok(())
    }

    fn within(&self, within: &mut Within, properties: &[&str]) -> Result<(), Fault> {
        self.predicate(&within.of, &Via::Root, &mut within.filter)?;
        if let Some(entity) = self.ontology.types.get(&within.of) {
            for property in properties.iter().filter_map(|name| entity.stored(name)) {
                self.property(Bearer::Record(entity), property)?;
            }
        }
        within.visible = self.visible(&within.of, Operation::Read)?.and(self.demanded(&within.of, Operation::Read));
        Ok(())
    }

    fn predicate(&self, of: &str, via: &Via, predicate: &mut Predicate) -> Result<(), Fault> {
        match predicate {
            Predicate::True | Predicate::False => Ok(()),
            Predicate::All(parts) | Predicate::Any(parts) => {
                parts.iter_mut().try_for_each(|part| self.predicate(of, via, part))
            }
            Predicate::Not(part) => self.predicate(of, via, part),
            Predicate::Compare { field, .. } | Predicate::Absent(field) => self.field(of, via, field),
            Predicate::Related(related) => {
                self.joins(of, &related.via)?;
                self.related(related)
            }
        }
    }

    fn related(&self, related: &mut Related) -> Result<(), Fault> {
        let via = &related.via;
        for scope in &mut related.targets {
            self.predicate(&scope.of, via, &mut scope.filter)?;
            if let Some(field) = remote(via) {
                self.field(&scope.of, via, field)?;
            }
            let seen = self.reached(&scope.of, via, Operation::Read)?;
            scope.visible = seen.and(self.asked(&scope.of, via, Operation::Read));
        }
        Ok(())
    }

    /// Who follows a join learns what is in the field that it begins at.
    fn joins(&self, of: &str, via: &Via) -> Result<(), Fault> {
        match via {
            Via::Key { local, .. } => self.field(of, &Via::Root, local),
            Via::Root | Via::Relationship { .. } | Via::Endpoint(_) => Ok(()),
        }
    }

    /// What the caller may see of a type.
    fn visible(&self, of: &str, operation: Operation) -> Result<Predicate, Fault> {
        if of == RELATIONSHIP {
            let between = self.of_each_kind(|of| self.visible_along(of, operation))?;
            return Ok(self.visible_ends()?.and(between));
        }
        let Some(entity) = self.ontology.types.get(of) else { return Ok(Predicate::False) };
        if self.principal.operator {
            return Ok(Predicate::True);
        }
        self.authenticated(&entity.rules, operation, &entity.name)?;
        Ok(self.rules(Bearer::Record(entity), &entity.rules, filters, operation))
    }

    /// What must hold of a record of the type, or else the operation is refused.
    fn demanded(&self, of: &str, operation: Operation) -> Predicate {
        match self.ontology.types.get(of) {
            Some(entity) if !self.principal.operator => {
                self.rules(Bearer::Record(entity), &entity.rules, validates, operation)
            }
            None if of == RELATIONSHIP => {
                let each = self.of_each_kind(|of| Ok(self.demanded_along(of, operation)));
                each.unwrap_or(Predicate::False)
            }
            _ => Predicate::True,
        }
    }

    /// What the rules of one sort let through: those of every directive.
    fn rules(&self, bearer: Bearer<'_>, said: &Rules, sort: fn(&Policy) -> &[Rule], operation: Operation) -> Predicate {
        let each = said.policies.iter();
        let each = each.map(|policy| rules::any_of(self.principal, self.ontology, bearer, sort(policy), operation));
        each.fold(Predicate::True, Predicate::and)
    }

    fn authenticated(&self, said: &Rules, operation: Operation, what: &str) -> Result<(), Fault> {
        authenticated(self.principal, &said.authentication, operation, what)
    }
}

/// Both hold. A rule that speaks of several operations is the same condition for each, and asked once.
fn both(one: Predicate, other: Predicate) -> Predicate {
    if one == other { one } else { one.and(other) }
}

fn filters(policy: &Policy) -> &[Rule] {
    &policy.filter
}

fn validates(policy: &Policy) -> &[Rule] {
    &policy.validate
}

/// Checks each `@authentication` that speaks of the operation.
fn authenticated(
    principal: &Principal,
    wanted: &[Authentication],
    operation: Operation,
    what: &str,
) -> Result<(), Fault> {
    let speaking = wanted.iter().filter(|wanted| wanted.operations.contains(&operation));
    speaking.into_iter().try_for_each(|wanted| rules::authenticated(principal, wanted, what))
}
