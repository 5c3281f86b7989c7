//! Rules on relationships: what the caller may see of them, wherever they are followed.

use quipu_schema::ontology::Direction;
use quipu_schema::policy::Operation;

use super::{Guard, both, filters, validates};
use crate::fault::Fault;
use crate::read::{Field, Predicate, Via};
use crate::rules::Bearer;
use crate::value::Value;
use crate::ways;

impl Guard<'_> {
    /// What the caller may see of records that are reached in some way: of them, and of the relationships that lead to them.
    pub(super) fn reached(&self, of: &str, via: &Via, operation: Operation) -> Result<Predicate, Fault> {
        let seen = self.visible(of, operation)?;
        match via {
            Via::Relationship { relationship_type, .. } => {
                Ok(seen.and(self.visible_along(relationship_type, operation)?))
            }
            Via::Root | Via::Key { .. } | Via::Endpoint(_) => Ok(seen),
        }
    }

    /// What must hold of records that are reached in some way, or else the operation is refused.
    pub(super) fn asked(&self, of: &str, via: &Via, operation: Operation) -> Predicate {
        let demanded = self.demanded(of, operation);
        match via {
            Via::Relationship { relationship_type, .. } => {
                demanded.and(self.demanded_along(relationship_type, operation))
            }
            Via::Root | Via::Key { .. } | Via::Endpoint(_) => demanded,
        }
    }

    /// What the caller may see of relationships of a type.
    pub(super) fn visible_along(&self, relationship_type: &str, operation: Operation) -> Result<Predicate, Fault> {
        let mut seen = Predicate::True;
        if self.principal.operator {
            return Ok(seen);
        }
        for edge in self.ontology.ruling(relationship_type) {
            self.authenticated(&edge.rules, operation, &edge.name)?;
            seen = both(seen, self.rules(Bearer::Edge(edge), &edge.rules, filters, operation));
        }
        Ok(seen)
    }

    /// What must hold of relationships of a type, or else the operation is refused.
    pub(super) fn demanded_along(&self, relationship_type: &str, operation: Operation) -> Predicate {
        if self.principal.operator {
            return Predicate::True;
        }
        let edges = self.ontology.ruling(relationship_type);
        let each = edges.map(|edge| self.rules(Bearer::Edge(edge), &edge.rules, validates, operation));
        each.fold(Predicate::True, both)
    }

    /// A condition on relationships of any type, from one for each type that rules speak of.
    pub(super) fn of_each_kind(
        &self,
        condition: impl Fn(&str) -> Result<Predicate, Fault>,
    ) -> Result<Predicate, Fault> {
        let mut all = Predicate::True;
        for of in self.ontology.ruled.keys() {
            let said = condition(of)?;
            if said != Predicate::True {
                let another = Predicate::equals(Field::Type, Value::from(of.as_str())).negate();
                all = all.and(Predicate::any(vec![another, said]));
            }
        }
        Ok(all)
    }

    /// That both ends of a relationship are visible.
    pub(super) fn visible_ends(&self) -> Result<Predicate, Fault> {
        let mut both = Predicate::True;
        for direction in [Direction::Out, Direction::In] {
            let mut related = ways::endpoint(self.ontology, direction);
            self.related(&mut related)?;
            both = both.and(Predicate::Related(Box::new(related)));
        }
        Ok(both)
    }
}
