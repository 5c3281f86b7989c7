//! Conditions on records, with the three-valued logic of the database itself.

use quipu_resolvers::read::{Field, Place, Predicate, Related};
use quipu_resolvers::value::Value;
use quipu_schema::policy::{Operator, Quantifier};

use super::mapped::Form;
use super::record::{Enclosing, Record, sort_of};
use super::{Parameter, Writer, sql};
use crate::stores::relationship_id::RelationshipId;

impl Writer<'_> {
    /// Writes ` AND ...` for the conditions of each type. A condition that all types share is written once.
    pub(in crate::stores) fn conditions<const N: usize>(&mut self, record: &Record, types: &[(&str, [&Predicate; N])]) {
        let Some((_, first)) = types.first() else {
            let no = self.dialect.no();
            return sql!(self, " AND {no}");
        };
        for part in 0..N {
            if types.iter().all(|(_, parts)| parts[part] == first[part]) {
                if first[part] != &Predicate::True {
                    self.put(" AND ");
                    self.predicate(first[part], record);
                }
                continue;
            }
            sql!(self, " AND CASE {}.kind", record.name());
            for (of, parts) in types {
                let key = self.key(sort_of(record.place), of);
                sql!(self, " WHEN {key} THEN ");
                self.predicate(parts[part], record);
            }
            sql!(self, " ELSE {} END", self.dialect.no());
        }
    }

    /// Writes a condition; in brackets where it needs them.
    pub(in crate::stores) fn predicate(&mut self, predicate: &Predicate, record: &Record) {
        match predicate {
            Predicate::True => self.put(self.dialect.yes()),
            Predicate::False => self.put(self.dialect.no()),
            Predicate::All(parts) if parts.is_empty() => self.put(self.dialect.yes()),
            Predicate::Any(parts) if parts.is_empty() => self.put(self.dialect.no()),
            Predicate::All(parts) => self.joined(parts, " AND ", &mut |w, part| w.predicate(part, record)),
            Predicate::Any(parts) => self.joined(parts, " OR ", &mut |w, part| w.predicate(part, record)),
            Predicate::Not(part) => {
                self.put("(NOT ");
                self.predicate(part, record);
                self.put(")");
            }
            Predicate::Compare { field, operator, value } => self.compare(field, *operator, value, record),
            Predicate::Absent(field) => {
                self.put("(");
                self.compared_as(field, record, Form::Equal);
                self.put(" IS NULL)");
            }
            Predicate::Related(related) => self.related(related, record),
        }
    }

    fn compare(&mut self, field: &Field, operator: Operator, value: &Value, record: &Record) {
        if self.compare_names(field, operator, value, record) {
            return;
        }
        match operator {
            Operator::Eq => self.equal(field, value, record),
            Operator::Lt => self.ordered(field, " < ", value, record),
            Operator::Lte => self.ordered(field, " <= ", value, record),
            Operator::Gt => self.ordered(field, " > ", value, record),
            Operator::Gte => self.ordered(field, " >= ", value, record),
            Operator::In if self.mapped_among(value, field, record) => {}
            Operator::In => {
                self.put("(");
                self.compared(field, record);
                self.among(value, field, record);
                self.put(")");
            }
            Operator::Contains => {
                sql!(self, "({}(", self.dialect.position());
                self.compared_as(field, record, Form::Text);
                self.put(", ");
                self.value_as(value, field, record, Form::Text);
                self.put(") > 0)");
            }
            Operator::StartsWith => self.starts_with(field, value.as_text().unwrap_or_default(), record),
            Operator::EndsWith => self.ends_with(field, value.as_text().unwrap_or_default(), record),
            Operator::Includes => self.includes(field, value, record),
        }
    }

    fn ordered(&mut self, field: &Field, operator: &str, value: &Value, record: &Record) {
        self.put("(");
        self.compared_as(field, record, Form::Range);
        self.put(operator);
        self.value_as(value, field, record, Form::Range);
        self.put(")");
    }

    fn equal(&mut self, field: &Field, value: &Value, record: &Record) {
        if self.mapped_equal(value, field, record) {
            return;
        }
        let (Value::List(_) | Value::Json(_), Field::Property(stored) | Field::EdgeProperty(stored)) = (value, field)
        else {
            return self.ordered(field, " = ", value, record);
        };
        let edge = matches!(field, Field::EdgeProperty(_));
        let props = if edge { record.edge_column("props") } else { record.column("props") };
        sql!(self, "(({props} -> {}) = {}", self.dialect.path(&stored.name), self.dialect.json_begin());
        self.bind(Parameter::Text(value.to_json().to_string()));
        sql!(self, "{})", self.dialect.json_end());
    }

    /// All texts from the prefix up to, and without, the next text that does not begin with it: an index can serve that.
    fn starts_with(&mut self, field: &Field, prefix: &str, record: &Record) {
        self.put("(");
        self.compared_as(field, record, Form::Text);
        self.put(" >= ");
        self.bind(Parameter::Text(prefix.to_owned()));
        if let Some(end) = after_prefix(prefix) {
            self.put(" AND ");
            self.compared_as(field, record, Form::Text);
            self.put(" < ");
            self.bind(Parameter::Text(end));
        }
        self.put(")");
    }

    fn ends_with(&mut self, field: &Field, suffix: &str, record: &Record) {
        let characters = i64::try_from(suffix.chars().count()).unwrap_or(i64::MAX);
        self.put("(");
        self.last_characters(characters, |writer| writer.compared_as(field, record, Form::Text));
        self.put(" = ");
        self.bind(Parameter::Text(suffix.to_owned()));
        self.put(")");
    }

    fn includes(&mut self, field: &Field, value: &Value, record: &Record) {
        if self.mapped_includes(value, field, record) {
            return;
        }
        let (Field::Property(stored) | Field::EdgeProperty(stored)) = field else { return self.put("NULL") };
        let edge = matches!(field, Field::EdgeProperty(_));
        let props = if edge { record.edge_column("props") } else { record.column("props") };
        self.list_includes(props, &stored.name, value);
    }

    /// Comparisons with a type's name, and with a relationship's id, are written as comparisons with the store's own keys.
    fn compare_names(&mut self, field: &Field, operator: Operator, value: &Value, record: &Record) -> bool {
        let values = match (operator, value) {
            (Operator::Eq, value) => std::slice::from_ref(value),
            (Operator::In, Value::List(values)) => values.as_slice(),
            _ => return false,
        };
        match field {
            Field::Type => {
                let names = values.iter().filter_map(Value::as_text);
                let keys: Vec<i64> = names.map(|name| self.key(sort_of(record.place), name)).collect();
                if self.table_of(record).is_some() {
                    let among = record.kind.is_some_and(|kind| keys.contains(&kind));
                    self.put(if among { self.dialect.yes() } else { self.dialect.no() });
                    return true;
                }
                sql!(self, "({}.kind", record.name());
                self.keys(&keys);
                self.put(")");
                true
            }
            Field::Id if record.place == Place::Relationships => {
                let ids: Vec<RelationshipId> =
                    values.iter().filter_map(Value::as_text).filter_map(RelationshipId::parse).collect();
                if ids.is_empty() {
                    self.put(self.dialect.no());
                }
                self.joined(&ids, " OR ", &mut |w, id| w.is_relationship(id, record));
                true
            }
            _ => false,
        }
    }

    fn is_relationship(&mut self, id: &RelationshipId, record: &Record) {
        use super::names::NameOf::{Node, Relationship};
        let edge = record.name();
        let tenant = self.names.tenant;
        let kind = self.key(Relationship, &id.of);
        sql!(self, "({edge}.kind = {kind}");
        for (column, (of, node)) in [("src", &id.from), ("dst", &id.to)] {
            let kind = self.key(Node, of);
            sql!(
                self,
                " AND {edge}.{column} = (SELECT rid FROM node WHERE tenant = {tenant} AND kind = {kind} AND id = "
            );
            self.bind(Parameter::Text(node.clone()));
            self.put(")");
        }
        sql!(self, " AND {edge}.key = ");
        self.bind(Parameter::Text(id.key.clone()));
        self.put(")");
    }

    /// Writes a condition on related records. `All` is: a visible one meets it, and no visible one does not.
    fn related(&mut self, related: &Related, record: &Record) {
        match related.quantifier {
            Quantifier::Some => self.exists("EXISTS (SELECT 1", related, false, record, ")"),
            Quantifier::None => self.exists("(NOT EXISTS (SELECT 1", related, false, record, "))"),
            Quantifier::All => {
                self.exists("(EXISTS (SELECT 1", related, false, record, ")");
                self.exists(" AND NOT EXISTS (SELECT 1", related, true, record, "))");
            }
            Quantifier::Single => {
                let after = " LIMIT 2) AS few) = 1)";
                self.exists("((SELECT count(*) FROM (SELECT 1", related, false, record, after);
            }
        }
    }

    fn exists(&mut self, before: &str, related: &Related, negated: bool, record: &Record, after: &str) {
        self.put(before);
        let types: Vec<&str> = related.targets.iter().map(|scope| scope.of.as_str()).collect();
        let inner = self.source(related.place, &related.via, &types, Enclosing::Record(record));
        let negations: Vec<Predicate> = match negated {
            true => related.targets.iter().map(|scope| scope.filter.clone().negate()).collect(),
            false => Vec::new(),
        };
        let filters: Vec<&Predicate> = match negated {
            true => negations.iter().collect(),
            false => related.targets.iter().map(|scope| &scope.filter).collect(),
        };
        let scopes = related.targets.iter().zip(filters);
        self.conditions(&inner, &scopes.map(|(s, filter)| (s.of.as_str(), [&s.visible, filter])).collect::<Vec<_>>());
        self.put(after);
    }
}

/// The smallest text that is larger than all texts with that prefix; `None` when there is none.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}
