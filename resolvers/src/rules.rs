//! A rule of the ontology, resolved against a caller's claims to a predicate.
//!
//! A comparison with an absent claim is unknown, and unknown never lets anything through, also not when it is negated.

use indexmap::IndexMap;
use quipu_schema::ontology::{EdgeType, EntityType, FieldOf, Ontology, Property};
use quipu_schema::policy::{
    Authentication, Condition, Operand, Operation, Operator, Quantifier, Reach, Rule, Rules, Scoped,
};
use serde_json::Value as Json;

use crate::fault::{Code, Fault};
use crate::guard::Principal;
use crate::read::{Field, Predicate, Related, Scope, Via};
use crate::scopes::Scopes;
use crate::value::Value;
use crate::ways;

/// What rules stand on, with its properties.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bearer<'a> {
    /// Records.
    Record(&'a EntityType),
    /// Relationships.
    Edge(&'a EdgeType),
}

impl<'a> Bearer<'a> {
    /// Name of the type.
    pub fn name(self) -> &'a str {
        match self {
            Self::Record(entity) => &entity.name,
            Self::Edge(edge) => &edge.name,
        }
    }

    /// The rules on the whole.
    pub fn rules(self) -> &'a Rules {
        match self {
            Self::Record(entity) => &entity.rules,
            Self::Edge(edge) => &edge.rules,
        }
    }

    /// The property that is stored under that name.
    pub fn stored(self, stored: &str) -> Option<&'a Property> {
        let properties: &IndexMap<String, Property> = match self {
            Self::Record(entity) => &entity.properties,
            Self::Edge(edge) => &edge.properties,
        };
        properties.values().find(|property| property.stored == stored)
    }
}

/// What the rules that speak of an operation let through together: any of them; everything when none speaks of it.
pub(crate) fn any_of(
    principal: &Principal,
    ontology: &Ontology,
    bearer: Bearer<'_>,
    rules: &[Rule],
    operation: Operation,
) -> Predicate {
    let speaking: Vec<&Rule> = rules.iter().filter(|rule| rule.operations.contains(&operation)).collect();
    if speaking.is_empty() {
        return Predicate::True;
    }
    let scope = Resolver { principal, ontology };
    Predicate::any(speaking.into_iter().map(|rule| scope.rule(bearer, rule)).collect())
}

/// What one rule lets through.
pub(crate) fn one(principal: &Principal, ontology: &Ontology, bearer: Bearer<'_>, rule: &Rule) -> Predicate {
    Resolver { principal, ontology }.rule(bearer, rule)
}

/// Checks `@authentication`.
pub(crate) fn authenticated(principal: &Principal, wanted: &Authentication, what: &str) -> Result<(), Fault> {
    if principal.operator {
        return Ok(());
    }
    if principal.subject.is_none() {
        return Err(Fault::client(Code::Unauthenticated, format!("{what} asks for a caller with an identity")));
    }
    match &wanted.claims {
        Some(condition) if claims_hold(principal, condition) != Some(true) => {
            Err(Fault::client(Code::Forbidden, format!("{what} asks for other claims than the caller has")))
        }
        _ => Ok(()),
    }
}

/// Whether a condition that speaks of claims only holds; `None` is unknown.
fn claims_hold(principal: &Principal, condition: &Condition) -> Option<bool> {
    let each = |parts: &[Condition], decided: bool| {
        let held: Vec<_> = parts.iter().map(|part| claims_hold(principal, part)).collect();
        let open = held.contains(&None);
        if held.contains(&Some(decided)) { Some(decided) } else { (!open).then_some(!decided) }
    };
    match condition {
        Condition::All(parts) => each(parts, false),
        Condition::Any(parts) => each(parts, true),
        Condition::Not(part) => claims_hold(principal, part).map(|held| !held),
        Condition::Claim { path, operator, operand } => claim(principal, path, *operator, operand),
        Condition::Property { .. } | Condition::Related { .. } | Condition::Scoped { .. } => Some(false),
    }
}

/// What a condition comes to for a caller.
enum Resolved {
    /// It says the same as a predicate.
    Known(Predicate),
    /// It is true where the predicate holds, and unknown elsewhere.
    AtLeast(Predicate),
    /// A claim is absent.
    Unknown,
}

impl Resolved {
    fn known(predicate: Option<Predicate>) -> Self {
        predicate.map_or(Self::Unknown, Self::Known)
    }

    /// What surely holds.
    fn surely(self) -> Predicate {
        match self {
            Self::Known(predicate) | Self::AtLeast(predicate) => predicate,
            Self::Unknown => Predicate::False,
        }
    }

    fn all(parts: impl Iterator<Item = Self>) -> Self {
        let (mut together, mut exact, mut unknown) = (Predicate::True, true, false);
        for part in parts {
            match part {
                Self::Known(Predicate::False) => return Self::Known(Predicate::False),
                Self::Known(predicate) => together = together.and(predicate),
                Self::AtLeast(predicate) => (together, exact) = (together.and(predicate), false),
                Self::Unknown => unknown = true,
            }
        }
        match (unknown, exact) {
            (true, _) => Self::Unknown,
            (false, true) => Self::Known(together),
            (false, false) => Self::AtLeast(together),
        }
    }

    fn any(parts: impl Iterator<Item = Self>) -> Self {
        let (mut alternatives, mut exact) = (Vec::new(), true);
        for part in parts {
            match part {
                Self::Known(predicate) => alternatives.push(predicate),
                Self::AtLeast(predicate) => {
                    alternatives.push(predicate);
                    exact = false;
                }
                Self::Unknown => exact = false,
            }
        }
        match (Predicate::any(alternatives), exact) {
            (Predicate::False, false) => Self::Unknown,
            (any, false) if any != Predicate::True => Self::AtLeast(any),
            (any, _) => Self::Known(any),
        }
    }

    /// Where something is unknown, it stays so when it is negated.
    fn negate(self) -> Self {
        match self {
            Self::Known(predicate) => Self::Known(predicate.negate()),
            Self::AtLeast(_) | Self::Unknown => Self::Unknown,
        }
    }
}

struct Resolver<'a> {
    principal: &'a Principal,
    ontology: &'a Ontology,
}

impl Resolver<'_> {
    fn rule(&self, bearer: Bearer<'_>, rule: &Rule) -> Predicate {
        if rule.require_authentication && self.principal.subject.is_none() {
            return Predicate::False;
        }
        let resolved = match bearer {
            Bearer::Record(entity) => self.condition(Some(entity), &rule.condition, None),
            Bearer::Edge(edge) => self.condition(None, &rule.condition, Some(&edge.name)),
        };
        resolved.surely()
    }

    fn condition(&self, entity: Option<&EntityType>, condition: &Condition, edge: Option<&str>) -> Resolved {
        let each = |parts: &[Condition]| -> Vec<Resolved> {
            parts.iter().map(|part| self.condition(entity, part, edge)).collect()
        };
        match condition {
            Condition::All(parts) => Resolved::all(each(parts).into_iter()),
            Condition::Any(parts) => Resolved::any(each(parts).into_iter()),
            Condition::Not(part) => self.condition(entity, part, edge).negate(),
            Condition::Property { property, operator, operand } => {
                let right = resolve(self.principal, operand);
                let field = self.field(entity, property, edge);
                Resolved::known(field.zip(right).and_then(|(field, right)| compare(field, *operator, right)))
            }
            Condition::Related { field, quantifier, node, edge } => entity
                .and_then(|entity| self.related(entity, field, *quantifier, node, edge.as_deref()))
                .unwrap_or(Resolved::Unknown),
            Condition::Claim { path, operator, operand } => {
                let held = claim(self.principal, path, *operator, operand);
                Resolved::known(held.map(|held| if held { Predicate::True } else { Predicate::False }))
            }
            Condition::Scoped { scoped, reach } => {
                Resolved::known(entity.and_then(|entity| self.scoped(entity, scoped, *reach)))
            }
        }
    }

    /// Records in the caller's scopes. `None` when no claim names any.
    fn scoped(&self, entity: &EntityType, scoped: &Scoped, reach: Reach) -> Option<Predicate> {
        let scopes = Scopes::of(self.principal.claim(&scoped.claim)?)?;
        let scope = ways::field(entity.properties.get(&scoped.property)?);
        let among = |paths: &[&str]| {
            let values: Vec<Value> = paths.iter().copied().map(Value::from).collect();
            if values.is_empty() { Predicate::False } else { Predicate::one_of(scope.clone(), values) }
        };
        let Some(key) = scoped.key.as_ref().filter(|_| reach == Reach::Seen) else {
            return Some(among(if reach == Reach::Own { scopes.own() } else { scopes.seen() }));
        };
        let key = ways::field(entity.properties.get(key)?);
        let nearer = |below: &[&str]| Related {
            place: ways::place(entity),
            via: Via::Key { local: key.clone(), remote: key.clone() },
            targets: vec![Scope {
                of: entity.name.clone(),
                filter: among(below).and(self.beside_scopes(entity)),
                visible: Predicate::True,
            }],
            quantifier: Quantifier::Some,
        };
        let (above, lowest): (Vec<&str>, Vec<&str>) =
            scopes.seen().iter().partition(|path| !scopes.below(path).is_empty());
        let overridden = above.iter().map(|path| {
            let nearer = Predicate::Related(Box::new(nearer(&scopes.below(path))));
            Predicate::equals(scope.clone(), Value::from(*path)).and(nearer.negate())
        });
        Some(Predicate::any(overridden.chain([among(&lowest)]).collect()))
    }

    /// What all other rules let the caller read of a type: what they hide overrides nothing, or its being there would show.
    fn beside_scopes(&self, entity: &EntityType) -> Predicate {
        let is_scope = |rule: &Rule| matches!(rule.condition, Condition::Scoped { .. });
        let others = entity.rules.policies.iter().filter(|policy| !policy.filter.iter().any(is_scope));
        let bearer = Bearer::Record(entity);
        let read = |rules: &[Rule]| any_of(self.principal, self.ontology, bearer, rules, Operation::Read);
        others.fold(Predicate::True, |seen, policy| seen.and(read(&policy.filter)).and(read(&policy.validate)))
    }

    fn field(&self, entity: Option<&EntityType>, name: &str, edge: Option<&str>) -> Option<Field> {
        match edge {
            Some(edge) => self.ontology.edge_types.get(edge)?.properties.get(name).map(ways::edge_field),
            None => entity?.properties.get(name).map(ways::field),
        }
    }

    fn related(
        &self,
        entity: &EntityType,
        name: &str,
        quantifier: Quantifier,
        node: &Condition,
        edge: Option<&Condition>,
    ) -> Option<Resolved> {
        let way = ways::of_field(self.ontology, entity, name)?;
        let edge_type = match entity.field(name)? {
            FieldOf::Relationship(relationship) => relationship.properties.as_deref(),
            _ => None,
        };
        let mut targets = Vec::with_capacity(way.members.len());
        let mut exact = true;
        for member in &way.members {
            let other = self.ontology.types.get(member)?;
            let node = self.condition(Some(other), node, None);
            let edge = edge.map(|edge| self.condition(None, edge, edge_type));
            let filter = match Resolved::all(std::iter::once(node).chain(edge)) {
                Resolved::Known(filter) => filter,
                Resolved::AtLeast(filter) => {
                    exact = false;
                    filter
                }
                Resolved::Unknown => return None,
            };
            targets.push(Scope { of: member.clone(), filter, visible: Predicate::True });
        }
        let related = Predicate::Related(Box::new(Related { place: way.place, via: way.via, targets, quantifier }));
        match quantifier {
            _ if exact => Some(Resolved::Known(related)),
            Quantifier::Some | Quantifier::All => Some(Resolved::AtLeast(related)),
            // Among those of which it is unknown there may be one that meets the condition.
            Quantifier::None | Quantifier::Single => None,
        }
    }
}

/// An operand's value; `None` when it is an absent claim.
fn resolve(principal: &Principal, operand: &Operand) -> Option<Json> {
    match operand {
        Operand::Value(value) => Some(value.clone()),
        Operand::Claim(path) => principal.claim(path).cloned(),
        Operand::List(items) => {
            items.iter().map(|item| resolve(principal, item)).collect::<Option<Vec<_>>>().map(Json::Array)
        }
    }
}

/// A comparison as a predicate. `None` when the right side cannot be compared with.
fn compare(field: Field, operator: Operator, right: Json) -> Option<Predicate> {
    match (operator, right) {
        (Operator::Eq, Json::Null) => Some(Predicate::Absent(field)),
        (_, Json::Null | Json::Object(_)) => None,
        (Operator::In, right @ Json::Array(_)) => {
            Some(Predicate::Compare { field, operator, value: Value::from(right) })
        }
        (Operator::In, single) => Some(Predicate::one_of(field, vec![Value::from(single)])),
        (Operator::Eq, Json::Array(_)) if !is_list(&field) => None,
        (_, right) => Some(Predicate::Compare { field, operator, value: Value::from(right) }),
    }
}

fn is_list(field: &Field) -> bool {
    matches!(field, Field::Property(stored) | Field::EdgeProperty(stored) if stored.list)
}

/// A comparison with a claim on the left. `None` when a claim is absent.
fn claim(principal: &Principal, path: &[String], operator: Operator, operand: &Operand) -> Option<bool> {
    let left = principal.claim(path)?;
    let right = resolve(principal, operand)?;
    Some(match operator {
        Operator::Eq => *left == right,
        Operator::In => right.as_array().is_some_and(|items| items.contains(left)),
        Operator::Includes => left.as_array().is_some_and(|items| items.contains(&right)),
        Operator::Contains => texts(left, &right).is_some_and(|(l, r)| l.contains(r)),
        Operator::StartsWith => texts(left, &right).is_some_and(|(l, r)| l.starts_with(r)),
        Operator::EndsWith => texts(left, &right).is_some_and(|(l, r)| l.ends_with(r)),
        Operator::Lt => order(left, &right).is_some_and(std::cmp::Ordering::is_lt),
        Operator::Lte => order(left, &right).is_some_and(std::cmp::Ordering::is_le),
        Operator::Gt => order(left, &right).is_some_and(std::cmp::Ordering::is_gt),
        Operator::Gte => order(left, &right).is_some_and(std::cmp::Ordering::is_ge),
    })
}

fn texts<'a>(left: &'a Json, right: &'a Json) -> Option<(&'a str, &'a str)> {
    Some((left.as_str()?, right.as_str()?))
}

fn order(left: &Json, right: &Json) -> Option<std::cmp::Ordering> {
    match texts(left, right) {
        Some((left, right)) => Some(left.cmp(right)),
        None => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
