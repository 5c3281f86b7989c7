//! Fields that may be read nowhere, or on some records and relationships only.

use quipu_schema::ontology::Property;
use quipu_schema::policy::Operation;

use super::{Guard, both, filters, validates};
use crate::fault::{Code, Fault};
use crate::read::{Field, Predicate, Via};
use crate::rules::Bearer;

impl Guard<'_> {
    /// A field that the caller may not read must not be used in any way. `via` led to its record.
    pub(super) fn field(&self, of: &str, via: &Via, field: &Field) -> Result<(), Fault> {
        match (field, via) {
            (Field::Property(stored), _) => match self.ontology.types.get(of).map(Bearer::Record) {
                Some(bearer) => bearer.stored(&stored.name).map_or(Ok(()), |property| self.property(bearer, property)),
                None => Ok(()),
            },
            (Field::EdgeProperty(_) | Field::AllProperties, _) => match self.picked(of, via, field)? {
                Predicate::True => Ok(()),
                _ => {
                    let what = if let Field::EdgeProperty(stored) = field { &stored.name } else { "properties" };
                    let message = format!("{what} may not be read of every relationship");
                    Err(Fault::client(Code::Forbidden, message))
                }
            },
            (Field::Id | Field::Type | Field::EdgeKey, _) => Ok(()),
        }
    }

    /// Where a field may be selected: rules that ask for an identity, or that refuse whatever the record, refuse the whole question; the
    /// others hide the value.
    pub(super) fn picked(&self, of: &str, via: &Via, field: &Field) -> Result<Predicate, Fault> {
        match (field, via) {
            (Field::Property(stored), _) => match self.ontology.types.get(of).map(Bearer::Record) {
                Some(bearer) => {
                    bearer.stored(&stored.name).map_or(Ok(Predicate::True), |property| self.seen(bearer, property))
                }
                None => Ok(Predicate::True),
            },
            (Field::EdgeProperty(stored), Via::Relationship { relationship_type, .. }) => {
                self.seen_along(relationship_type, |property| property.stored == stored.name)
            }
            (Field::AllProperties, _) => self.of_each_kind(|of| self.seen_along(of, |_| true)),
            _ => Ok(Predicate::True),
        }
    }

    /// On which relationships of a type those properties may be read that are meant.
    pub(super) fn seen_along(
        &self,
        relationship_type: &str,
        meant: impl Fn(&Property) -> bool,
    ) -> Result<Predicate, Fault> {
        let mut seen = Predicate::True;
        for edge in self.ontology.ruling(relationship_type) {
            for property in edge.properties.values().filter(|property| meant(property)) {
                seen = both(seen, self.seen(Bearer::Edge(edge), property)?);
            }
        }
        Ok(seen)
    }

    /// On which records, or relationships, a property may be read.
    pub(super) fn seen(&self, bearer: Bearer<'_>, property: &Property) -> Result<Predicate, Fault> {
        if self.principal.operator || property.rules.is_empty() {
            return Ok(Predicate::True);
        }
        self.authenticated(&property.rules, Operation::Read, &property.name)?;
        let validated = self.rules(bearer, &property.rules, validates, Operation::Read);
        if validated == Predicate::False {
            return Err(hidden(bearer, property));
        }
        Ok(self.rules(bearer, &property.rules, filters, Operation::Read).and(validated))
    }

    /// Refuses a property that may not be read on every record: comparing it would tell what it is.
    pub(super) fn property(&self, bearer: Bearer<'_>, property: &Property) -> Result<(), Fault> {
        match self.seen(bearer, property)? {
            Predicate::True => Ok(()),
            _ => Err(hidden(bearer, property)),
        }
    }
}

fn hidden(bearer: Bearer<'_>, property: &Property) -> Fault {
    Fault::client(Code::Forbidden, format!("the field {}.{} may not be read", bearer.name(), property.name))
}
