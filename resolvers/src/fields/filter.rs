//! `where` of a query, to a predicate.

use quipu_schema::ontology::{EdgeType, EntityType, FieldOf, Ontology, Property};
use quipu_schema::policy::{Operator, Quantifier};
use serde_json::{Map, Value as Json};

use crate::fault::{Code, Fault};
use crate::read::{Field, Place, Predicate, Related, Scope};
use crate::value::Value;
use crate::ways::{self, Way};

/// Turns `where` arguments of an ontology's API into predicates. The arguments were coerced against the API, so names exist.
#[derive(Clone, Copy)]
pub(crate) struct Filters<'a> {
    pub ontology: &'a Ontology,
}

impl<'a> Filters<'a> {
    /// `TWhere` for records of one concrete type, also when `where` belongs to an interface or union it is a member of.
    pub fn record(&self, entity: &'a EntityType, input: &Json) -> Result<Predicate, Fault> {
        self.fields(input, &|name, value| {
            if name == "typename" && !entity.properties.contains_key(name) {
                return Ok(constant(items(value).iter().any(|wanted| wanted.as_str() == Some(&entity.name))));
            }
            match entity.field(name) {
                Some(FieldOf::Property(property)) => property_filter(ways::field(property), property, value),
                Some(FieldOf::Relationship(relationship)) => {
                    self.records(&ways::relationship(self.ontology, relationship), relationship.list, value)
                }
                Some(FieldOf::Join(join)) => self.records(&ways::join(self.ontology, entity, join), join.list, value),
                None => self.connection(entity, name, value),
            }
        })
    }

    /// `RelationshipWhere`.
    pub fn relationship(&self, input: &Json) -> Result<Predicate, Fault> {
        use quipu_schema::ontology::Direction;
        self.fields(input, &|name, value| {
            let direction = match name {
                "id" => return comparisons(&Field::Id, value),
                "type" => return comparisons(&Field::Type, value),
                "from" => Direction::Out,
                _ => Direction::In,
            };
            let mut related = ways::endpoint(self.ontology, direction);
            for scope in &mut related.targets {
                if let Some(entity) = self.ontology.types.get(&scope.of) {
                    scope.filter = self.record(entity, value)?;
                }
            }
            Ok(Predicate::Related(Box::new(related)))
        })
    }

    /// `TFConnectionWhere`: on the record at the other end and on the relationship's properties.
    pub fn edge(&self, entity: &'a EntityType, edge: Option<&'a EdgeType>, input: &Json) -> Result<Predicate, Fault> {
        self.fields(input, &|name, value| match (name, edge) {
            ("node", _) => self.record(entity, value),
            ("edge", Some(edge)) => self.properties(edge, value),
            _ => Ok(Predicate::True),
        })
    }

    fn properties(&self, edge: &EdgeType, input: &Json) -> Result<Predicate, Fault> {
        self.fields(input, &|name, value| match edge.properties.get(name) {
            Some(property) => property_filter(ways::edge_field(property), property, value),
            None => Ok(Predicate::True),
        })
    }

    fn fields(
        &self,
        input: &Json,
        field: &dyn Fn(&str, &Json) -> Result<Predicate, Fault>,
    ) -> Result<Predicate, Fault> {
        let Json::Object(given) = input else { return Ok(Predicate::True) };
        let mut all = Predicate::True;
        for (name, value) in given {
            if value.is_null() {
                continue;
            }
            let part = match name.as_str() {
                "AND" => {
                    let mut parts = Predicate::True;
                    for item in items(value) {
                        parts = parts.and(self.fields(item, field)?);
                    }
                    parts
                }
                "OR" => Predicate::any(
                    items(value).iter().map(|item| self.fields(item, field)).collect::<Result<Vec<_>, _>>()?,
                ),
                "NOT" => self.fields(value, field)?.negate(),
                name => field(name, value)?,
            };
            all = all.and(part);
        }
        Ok(all)
    }

    /// A filter on related records: with quantifiers for a list, directly for a single one.
    fn records(&self, way: &Way, list: bool, input: &Json) -> Result<Predicate, Fault> {
        self.quantified(way, list, input, &|entity, value| self.record(entity, value))
    }

    fn connection(&self, entity: &'a EntityType, name: &str, input: &Json) -> Result<Predicate, Fault> {
        let base = name.strip_suffix("Connection").unwrap_or(name);
        match entity.field(base) {
            Some(FieldOf::Relationship(relationship)) => {
                let way = ways::relationship(self.ontology, relationship);
                let edge = relationship.properties.as_ref().and_then(|name| self.ontology.edge_types.get(name));
                self.quantified(&way, relationship.list, input, &|other, value| self.edge(other, edge, value))
            }
            Some(FieldOf::Join(join)) => {
                let way = ways::join(self.ontology, entity, join);
                self.quantified(&way, join.list, input, &|other, value| self.edge(other, None, value))
            }
            _ => Ok(Predicate::True),
        }
    }

    fn quantified(
        &self,
        way: &Way,
        list: bool,
        input: &Json,
        filter: &dyn Fn(&'a EntityType, &Json) -> Result<Predicate, Fault>,
    ) -> Result<Predicate, Fault> {
        let related = |quantifier, value: &Json| -> Result<Predicate, Fault> {
            let mut targets = Vec::with_capacity(way.members.len());
            for member in &way.members {
                let Some(entity) = self.ontology.types.get(member) else { continue };
                let filter = filter(entity, value)?;
                targets.push(Scope { of: member.clone(), filter, visible: Predicate::True });
            }
            let (place, via) = (way.place, way.via.clone());
            Ok(Predicate::Related(Box::new(Related { place, via, targets, quantifier })))
        };
        if !list {
            return related(Quantifier::Some, input);
        }
        let mut all = Predicate::True;
        for (word, value) in input.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let quantifier = match word.as_str() {
                "some" => Quantifier::Some,
                "all" => Quantifier::All,
                "none" => Quantifier::None,
                "single" => Quantifier::Single,
                _ => continue,
            };
            all = all.and(related(quantifier, value)?);
        }
        Ok(all)
    }
}

fn constant(holds: bool) -> Predicate {
    if holds { Predicate::True } else { Predicate::False }
}

fn items(value: &Json) -> &[Json] {
    match value {
        Json::Array(items) => items,
        single => std::slice::from_ref(single),
    }
}

fn property_filter(field: Field, property: &Property, input: &Json) -> Result<Predicate, Fault> {
    if !property.filterable {
        return Err(Fault::client(Code::BadUserInput, format!("{} cannot be filtered by", property.name)));
    }
    comparisons(&field, input)
}

/// `{eq, in, lt, ...}` on one field.
fn comparisons(field: &Field, input: &Json) -> Result<Predicate, Fault> {
    let empty = Map::new();
    let mut all = Predicate::True;
    for (word, value) in input.as_object().unwrap_or(&empty) {
        let operator = match word.as_str() {
            "eq" => Operator::Eq,
            "in" => Operator::In,
            "lt" => Operator::Lt,
            "lte" => Operator::Lte,
            "gt" => Operator::Gt,
            "gte" => Operator::Gte,
            "contains" => Operator::Contains,
            "startsWith" => Operator::StartsWith,
            "endsWith" => Operator::EndsWith,
            "includes" => Operator::Includes,
            other => return Err(Fault::client(Code::BadUserInput, format!("there is no filter {other:?}"))),
        };
        let part = match (operator, value) {
            (Operator::Eq, Json::Null) => Predicate::Absent(field.clone()),
            // `{lt: null}` compares with nothing, which is never true, as in the databases.
            (_, Json::Null) => Predicate::False,
            (Operator::In, Json::Array(given)) => {
                let known = given.iter().filter(|item| !item.is_null()).cloned().map(Value::from).collect();
                let listed = Predicate::one_of(field.clone(), known);
                if given.iter().any(Json::is_null) {
                    Predicate::any(vec![listed, Predicate::Absent(field.clone())])
                } else {
                    listed
                }
            }
            (_, value) => Predicate::Compare { field: field.clone(), operator, value: Value::from(value.clone()) },
        };
        all = all.and(part);
    }
    Ok(all)
}

/// Where a type's records are, by name; relationships as records have a place of their own.
pub(crate) fn place_of(ontology: &Ontology, of: &str) -> Place {
    ontology.types.get(of).map_or(Place::Nodes, ways::place)
}
