//! A rule of the ontology, resolved against a caller's claims to a predicate.
//!
//! A comparison with an absent claim is unknown, and unknown never lets anything through, also not when it is negated.

use quipu_schema::ontology::{EntityType, FieldOf, Ontology};
use quipu_schema::policy::{Authentication, Condition, Operand, Operation, Operator, Quantifier, Rule};
use serde_json::Value as Json;

use crate::fault::{Code, Fault};
use crate::guard::Principal;
use crate::read::{Field, Place, Predicate, Related, Scope};
use crate::value::Value;
use crate::ways;

/// What the rules that speak of an operation let through together: any of them; everything when none speaks of it.
pub(crate) fn any_of(
    principal: &Principal,
    ontology: &Ontology,
    entity: &EntityType,
    place: Place,
    rules: &[Rule],
    operation: Operation,
) -> Predicate {
    let speaking: Vec<&Rule> = rules.iter().filter(|rule| rule.operations.contains(&operation)).collect();
    if speaking.is_empty() {
        return Predicate::True;
    }
    let scope = Resolver { principal, ontology };
    Predicate::any(speaking.into_iter().map(|rule| scope.rule(entity, place, rule)).collect())
}

/// What one rule lets through.
pub(crate) fn one(principal: &Principal, ontology: &Ontology, entity: &EntityType, rule: &Rule) -> Predicate {
    Resolver { principal, ontology }.rule(entity, ways::place(entity), rule)
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
        Some(condition) if !claims_hold(principal, condition) => {
            Err(Fault::client(Code::Forbidden, format!("{what} asks for other claims than the caller has")))
        }
        _ => Ok(()),
    }
}

/// Whether a condition that speaks of claims only holds.
fn claims_hold(principal: &Principal, condition: &Condition) -> bool {
    match condition {
        Condition::All(parts) => parts.iter().all(|part| claims_hold(principal, part)),
        Condition::Any(parts) => parts.iter().any(|part| claims_hold(principal, part)),
        Condition::Not(part) => !claims_hold(principal, part),
        Condition::Claim { path, operator, operand } => claim(principal, path, *operator, operand).unwrap_or(false),
        Condition::Property { .. } | Condition::Related { .. } => false,
    }
}

struct Resolver<'a> {
    principal: &'a Principal,
    ontology: &'a Ontology,
}

impl Resolver<'_> {
    fn rule(&self, entity: &EntityType, place: Place, rule: &Rule) -> Predicate {
        if rule.require_authentication && self.principal.subject.is_none() {
            return Predicate::False;
        }
        self.condition(Some(entity), place, &rule.condition, None).unwrap_or(Predicate::False)
    }

    /// `None` is unknown: a claim is absent.
    fn condition(
        &self,
        entity: Option<&EntityType>,
        place: Place,
        condition: &Condition,
        edge: Option<&str>,
    ) -> Option<Predicate> {
        match condition {
            Condition::All(parts) => self.all(entity, place, parts, edge),
            Condition::Any(parts) => {
                let known: Vec<_> = parts.iter().filter_map(|part| self.condition(entity, place, part, edge)).collect();
                (!known.is_empty() || parts.is_empty()).then(|| Predicate::any(known))
            }
            Condition::Not(part) => Some(self.condition(entity, place, part, edge)?.negate()),
            Condition::Property { property, operator, operand } => {
                let field = self.field(entity, property, edge)?;
                compare(field, *operator, resolve(self.principal, operand)?)
            }
            Condition::Related { field, quantifier, node, edge } => {
                self.related(entity?, field, *quantifier, node, edge.as_deref())
            }
            Condition::Claim { path, operator, operand } => {
                let holds = claim(self.principal, path, *operator, operand)?;
                Some(if holds { Predicate::True } else { Predicate::False })
            }
        }
    }

    fn all(
        &self,
        entity: Option<&EntityType>,
        place: Place,
        parts: &[Condition],
        edge: Option<&str>,
    ) -> Option<Predicate> {
        let mut together = Some(Predicate::True);
        for part in parts {
            match self.condition(entity, place, part, edge) {
                Some(Predicate::False) => return Some(Predicate::False),
                Some(known) => together = together.map(|sofar| sofar.and(known)),
                None => together = None,
            }
        }
        together
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
    ) -> Option<Predicate> {
        let way = ways::of_field(self.ontology, entity, name)?;
        let edge_type = match entity.field(name)? {
            FieldOf::Relationship(relationship) => relationship.properties.as_deref(),
            _ => None,
        };
        let mut targets = Vec::with_capacity(way.members.len());
        for member in &way.members {
            let other = self.ontology.types.get(member)?;
            let mut filter = self.condition(Some(other), way.place, node, None)?;
            if let Some(edge) = edge {
                filter = filter.and(self.condition(None, way.place, edge, edge_type)?);
            }
            targets.push(Scope { of: member.clone(), filter, visible: Predicate::True });
        }
        Some(Predicate::Related(Box::new(Related { place: way.place, via: way.via, targets, quantifier })))
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
