//! Conditions on records, with the three-valued logic of the database itself.

use quipu_resolvers::read::{Field, Place, Predicate, Related, Via};
use quipu_resolvers::value::Value;
use quipu_schema::policy::{Operator, Quantifier};

use super::record::{Conditions, Enclosing, Record};
use super::stored::{marked_item, parameter};
use super::{Parameter, Writer, cypher};
use crate::stores::relationship_id::RelationshipId;

impl Writer<'_> {
    /// Writes the conditions of each type. A condition that all types share is written once.
    pub(super) fn conditions<const N: usize>(
        &mut self,
        record: &Record<'_>,
        types: &[(&str, [&Predicate; N])],
        conditions: &mut Conditions,
    ) {
        let Some((_, first)) = types.first() else {
            conditions.next(self);
            return self.put("false");
        };
        for part in 0..N {
            if types.iter().all(|(_, parts)| parts[part] == first[part]) {
                if first[part] != &Predicate::True {
                    conditions.next(self);
                    self.predicate(first[part], record);
                }
                continue;
            }
            conditions.next(self);
            self.put("CASE");
            for (of, parts) in types {
                let labels = self.scope.labels.expression(of);
                cypher!(self, " WHEN {}:{labels} THEN ", record.name());
                self.predicate(parts[part], record);
            }
            self.put(" ELSE false END");
        }
    }

    /// Writes a condition; in brackets where it needs them.
    pub(super) fn predicate(&mut self, predicate: &Predicate, record: &Record<'_>) {
        match predicate {
            Predicate::True => self.put("true"),
            Predicate::False => self.put("false"),
            Predicate::All(parts) if parts.is_empty() => self.put("true"),
            Predicate::Any(parts) if parts.is_empty() => self.put("false"),
            Predicate::All(parts) => self.joined(parts, " AND ", &mut |w, part| w.predicate(part, record)),
            Predicate::Any(parts) => self.any(parts, record),
            Predicate::Not(part) => {
                self.put("(NOT ");
                self.predicate(part, record);
                self.put(")");
            }
            Predicate::Compare { field, operator, value } => self.compare(field, *operator, value, record),
            Predicate::Absent(field) => {
                self.put("(");
                self.compared(field, record);
                self.put(" IS NULL)");
            }
            Predicate::Related(related) => self.related(related, record),
        }
    }

    /// Alternatives. Values that one field may have are one list: a planner takes long over thousands of alternatives.
    fn any(&mut self, parts: &[Predicate], record: &Record<'_>) {
        let mut alternatives: Vec<Predicate> = Vec::with_capacity(parts.len());
        for part in parts {
            let Predicate::Compare { field, operator: Operator::Eq, value } = part else {
                alternatives.push(part.clone());
                continue;
            };
            let same = alternatives.iter_mut().find_map(|known| match known {
                Predicate::Compare { field: known, operator: Operator::In, value: Value::List(values) }
                    if known == field =>
                {
                    Some(values)
                }
                _ => None,
            });
            match same {
                Some(values) => values.push(value.clone()),
                None => alternatives.push(Predicate::one_of(field.clone(), vec![value.clone()])),
            }
        }
        self.joined(&alternatives, " OR ", &mut |w, part| w.predicate(part, record));
    }

    fn compare(&mut self, field: &Field, operator: Operator, value: &Value, record: &Record<'_>) {
        if self.compare_names(field, operator, value, record) {
            return;
        }
        let sign = match operator {
            Operator::Eq => " = ",
            Operator::Lt => " < ",
            Operator::Lte => " <= ",
            Operator::Gt => " > ",
            Operator::Gte => " >= ",
            Operator::In => " IN ",
            Operator::Contains => " CONTAINS ",
            Operator::StartsWith => " STARTS WITH ",
            Operator::EndsWith => " ENDS WITH ",
            Operator::Includes => return self.includes(field, value, record),
        };
        self.put("(");
        self.compared(field, record);
        self.put(sign);
        self.bind(match (operator, value) {
            (Operator::In, Value::List(values)) => Parameter::List(values.iter().map(parameter).collect()),
            (Operator::In, one) => Parameter::List(vec![parameter(one)]),
            (_, value) => parameter(value),
        });
        self.put(")");
    }

    /// An item is held as it is, or as JSON when its neighbours are of other sorts.
    fn includes(&mut self, field: &Field, value: &Value, record: &Record<'_>) {
        self.put("(");
        for (index, item) in [parameter(value), marked_item(value)].into_iter().enumerate() {
            self.put(if index > 0 { " OR " } else { "" });
            self.bind(item);
            self.put(" IN ");
            self.compared(field, record);
        }
        self.put(")");
    }

    /// Comparisons with a type's name are written as questions for labels, and with a relationship's id as questions for its parts.
    fn compare_names(&mut self, field: &Field, operator: Operator, value: &Value, record: &Record<'_>) -> bool {
        let values = match (operator, value) {
            (Operator::Eq, value) => std::slice::from_ref(value),
            (Operator::In, Value::List(values)) => values.as_slice(),
            _ => return false,
        };
        let names = values.iter().filter_map(Value::as_text);
        match field {
            Field::Type if record.place != Place::Relationships => {
                let known: Vec<&str> = names.filter(|name| record.types.contains(name)).collect();
                match known.as_slice() {
                    [] => self.put("false"),
                    some => cypher!(self, "{}:{}", record.name(), self.scope.labels.any(some)),
                }
                true
            }
            Field::Id if record.place == Place::Relationships => {
                let ids: Vec<RelationshipId> = names.filter_map(RelationshipId::parse).collect();
                if ids.is_empty() {
                    self.put("false");
                }
                self.joined(&ids, " OR ", &mut |w, id| w.is_relationship(id, record));
                true
            }
            // An index on ids serves these, but none on texts of ids.
            Field::Id if !self.by_property() => {
                let ids: Vec<&str> = names.collect();
                self.put("(");
                self.has_id(record.name(), &ids);
                self.put(")");
                true
            }
            _ => false,
        }
    }

    fn is_relationship(&mut self, id: &RelationshipId, record: &Record<'_>) {
        let edge = record.name();
        cypher!(self, "(type({edge}) = ");
        self.bind(Parameter::Text(id.of.clone()));
        for (end, (of, node)) in [("startNode", &id.from), ("endNode", &id.to)] {
            let labels = self.scope.labels.expression(of);
            cypher!(self, " AND {end}({edge}):{labels} AND ");
            self.has_id(format_args!("{end}({edge})"), &[node]);
        }
        cypher!(self, " AND coalesce({edge}._key, '') = ");
        self.bind(Parameter::Text(id.key.clone()));
        self.put(")");
    }

    /// Writes a condition on related records. `All` is: a visible one meets it, and no visible one does not.
    fn related(&mut self, related: &Related, record: &Record<'_>) {
        match related.quantifier {
            Quantifier::Some => self.among("EXISTS { ", related, false, record, " }"),
            Quantifier::None => self.among("(NOT EXISTS { ", related, false, record, " })"),
            Quantifier::All => {
                self.among("(EXISTS { ", related, false, record, " }");
                self.among(" AND NOT EXISTS { ", related, true, record, " })");
            }
            Quantifier::Single => {
                self.among("(COUNT { ", related, false, record, " WITH 1 AS one LIMIT 2 RETURN one } = 1)");
            }
        }
    }

    fn among(&mut self, before: &str, related: &Related, negated: bool, record: &Record<'_>, after: &str) {
        self.put(before);
        let types: Vec<&str> = related.targets.iter().map(|scope| scope.of.as_str()).collect();
        let (inner, mut conditions) = self.source(related.place, &related.via, types, Enclosing::Record(record), None);
        let negations: Vec<Predicate> = match negated {
            true => related.targets.iter().map(|scope| scope.filter.clone().negate()).collect(),
            false => Vec::new(),
        };
        let filters: Vec<&Predicate> = match negated {
            true => negations.iter().collect(),
            false => related.targets.iter().map(|scope| &scope.filter).collect(),
        };
        let scopes = related.targets.iter().zip(filters);
        let scopes: Vec<_> = scopes.map(|(s, filter)| (s.of.as_str(), [&s.visible, filter])).collect();
        self.conditions(&inner, &scopes, &mut conditions);
        // Only a plain pattern does without.
        if matches!(related.via, Via::Endpoint(_)) && related.quantifier != Quantifier::Single {
            self.put(" RETURN 1");
        }
        self.put(after);
    }
}
