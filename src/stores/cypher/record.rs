//! Records inside a statement: where they come from and how their fields are written.

use std::fmt;

use quipu_resolvers::read::{Field, Place, Via};
use quipu_schema::ontology::Direction;

use super::{Writer, cypher, quoted};

/// A record that is in scope under an alias.
#[derive(Debug, Clone)]
pub(super) struct Record<'a> {
    /// Where it is.
    pub(super) place: Place,
    /// Number of its alias.
    pub(super) alias: u32,
    /// Number of the alias of the relationship that led to it.
    pub(super) edge: Option<u32>,
    /// Types that it may be of.
    pub(super) types: Vec<&'a str>,
}

/// What encloses a read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Enclosing<'a> {
    /// Nothing: the read is at the root.
    Nothing,
    /// A key under the alias `wanted`.
    Key,
    /// A record.
    Record(&'a Record<'a>),
}

/// A variable in the text: `n` for nodes, `r` for relationships, and a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alias(char, u32);

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

impl Record<'_> {
    /// The variable.
    pub(super) fn name(&self) -> Alias {
        Alias(if self.place == Place::Relationships { 'r' } else { 'n' }, self.alias)
    }

    /// The variable of the relationship that `EdgeProperty` and `EdgeKey` speak of.
    pub(super) fn edge_name(&self) -> Alias {
        match self.edge {
            Some(edge) => Alias('r', edge),
            None => self.name(),
        }
    }
}

/// Whether the conditions of a source have begun.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    begun: bool,
}

impl Conditions {
    /// Writes what has to stand before one more condition.
    pub(super) fn next(&mut self, writer: &mut Writer<'_>) {
        writer.put(if self.begun { " AND " } else { " WHERE " });
        self.begun = true;
    }
}

/// Whether a field may be absent.
pub(super) fn nullable(field: &Field) -> bool {
    match field {
        Field::Property(stored) | Field::EdgeProperty(stored) => stored.nullable,
        Field::Id | Field::Type | Field::EdgeKey | Field::AllProperties => false,
    }
}

impl<'a> Writer<'a> {
    /// Writes `MATCH ... WHERE ...` for the records of some types that are reached in some way. A read at the root begins with an
    /// index: of the property `anchor`, which the records are sorted by, or else of the id.
    pub(super) fn source<'r>(
        &mut self,
        place: Place,
        via: &Via,
        types: Vec<&'r str>,
        enclosing: Enclosing<'_>,
        anchor: Option<&str>,
    ) -> (Record<'r>, Conditions) {
        let mut record = Record { place, alias: self.alias(), edge: None, types };
        let mut conditions = Conditions::default();
        match via {
            Via::Root => {
                self.matched(&record);
                self.of_tenant(&record, &mut conditions);
                self.identified(&record, &mut conditions);
                if place != Place::Relationships && self.by_property() {
                    conditions.next(self);
                    cypher!(self, "{}.{} IS NOT NULL", record.name(), quoted(anchor.unwrap_or("id")));
                }
            }
            Via::Relationship { relationship_type, direction } => {
                self.along(&mut record, relationship_type, *direction, enclosing);
                self.of_tenant(&record, &mut conditions);
                self.identified(&record, &mut conditions);
            }
            Via::Key { local, remote } => {
                self.matched(&record);
                self.of_tenant(&record, &mut conditions);
                conditions.next(self);
                self.is_key(remote, &record, |writer| match enclosing {
                    Enclosing::Record(parent) => writer.compared(local, parent),
                    Enclosing::Key => writer.put("wanted"),
                    Enclosing::Nothing => writer.put("NULL"),
                });
            }
            Via::Endpoint(direction) => self.endpoint(&mut record, *direction, enclosing, &mut conditions),
        }
        (record, conditions)
    }

    fn matched(&mut self, record: &Record<'_>) {
        let name = record.name();
        if record.place == Place::Relationships {
            let types: Vec<String> = self.scope.labels.relationships().map(|of| quoted(of).to_string()).collect();
            let colon = if types.is_empty() { "" } else { ":" };
            return cypher!(self, "MATCH ()-[{name}{colon}{}]->()", types.join("|"));
        }
        let labels = self.scope.labels.any(&record.types);
        cypher!(self, "MATCH ({name}:{labels})");
    }

    fn of_tenant(&mut self, record: &Record<'_>, conditions: &mut Conditions) {
        if self.by_property() {
            conditions.next(self);
            cypher!(self, "{}._tenant = $t", record.name());
        }
    }

    /// Writes that a node has an id, where others may have written some without: those are no records.
    fn identified(&mut self, record: &Record<'_>, conditions: &mut Conditions) {
        if record.place == Place::Nodes && !self.by_property() {
            conditions.next(self);
            cypher!(self, "{}.id IS NOT NULL", record.name());
        }
    }

    /// Writes the way along relationships of a type, from the enclosing node.
    fn along(
        &mut self,
        record: &mut Record<'_>,
        relationship_type: &str,
        direction: Direction,
        enclosing: Enclosing<'_>,
    ) {
        let (before, after) = if direction == Direction::Out { ("-", "->") } else { ("<-", "-") };
        self.put("MATCH (");
        match enclosing {
            Enclosing::Record(parent) => cypher!(self, "{}", parent.name()),
            // Nothing has this label.
            Enclosing::Key | Enclosing::Nothing => self.put(":_Nothing"),
        }
        let edge = if record.place == Place::Relationships { record.alias } else { self.alias() };
        cypher!(self, "){before}[r{edge}:{}]{after}(", quoted(relationship_type));
        if record.place != Place::Relationships {
            record.edge = Some(edge);
            let labels = self.scope.labels.any(&record.types);
            cypher!(self, "{}:{labels}", record.name());
        }
        self.put(")");
    }

    /// Writes the way from the enclosing relationship to one of its ends.
    fn endpoint(
        &mut self,
        record: &mut Record<'_>,
        direction: Direction,
        enclosing: Enclosing<'_>,
        conditions: &mut Conditions,
    ) {
        let end = if direction == Direction::Out { "startNode" } else { "endNode" };
        match enclosing {
            Enclosing::Record(parent) if parent.place == Place::Relationships => {
                cypher!(self, "WITH {end}({}) AS {}", parent.name(), record.name());
                record.edge = Some(parent.alias);
            }
            _ => cypher!(self, "MATCH ({}:_Nothing)", record.name()),
        }
        conditions.next(self);
        let labels = self.scope.labels.any(&record.types);
        cypher!(self, "{}:{labels}", record.name());
        self.of_tenant(record, conditions);
        self.identified(record, conditions);
    }

    /// Writes a field as a value to compare and to sort by.
    pub(super) fn compared(&mut self, field: &Field, record: &Record<'_>) {
        let name = record.name();
        match field {
            Field::Id if record.place == Place::Relationships => self.relationship_id(record),
            Field::Id => self.id_of(name),
            Field::Type if record.place == Place::Relationships => cypher!(self, "type({name})"),
            Field::Type => self.type_name(record),
            Field::Property(stored) => self.property(&format!("{name}.{}", quoted(&stored.name)), stored),
            Field::EdgeKey => cypher!(self, "coalesce({}._key, '')", record.edge_name()),
            Field::EdgeProperty(stored) => {
                self.property(&format!("{}.{}", record.edge_name(), quoted(&stored.name)), stored);
            }
            Field::AllProperties => cypher!(self, "properties({name})"),
        }
    }

    /// Writes the name of a node's type.
    fn type_name(&mut self, record: &Record<'_>) {
        self.put("CASE");
        for of in &record.types {
            let labels = self.scope.labels.expression(of);
            cypher!(self, " WHEN {}:{labels} THEN ", record.name());
            self.bind((*of).into());
        }
        self.put(" END");
    }

    /// Writes the id of a relationship record: type, start, end and key, separated by colons.
    fn relationship_id(&mut self, record: &Record<'_>) {
        let edge = record.name();
        cypher!(self, "(type({edge}) + ':'");
        for end in ["startNode", "endNode"] {
            let node = format!("{end}({edge})");
            self.put(" + ");
            self.any_type_name(&node);
            self.put(" + ':' + replace(replace(");
            self.id_of(&node);
            self.put(", '%', '%25'), ':', '%3A') + ':'");
        }
        cypher!(self, " + coalesce({edge}._key, ''))");
    }

    /// Writes the name of the type of any node: its label, where labels are not named otherwise. What others wrote may have further labels.
    fn any_type_name(&mut self, node: &str) {
        let labels = self.scope.labels;
        let told: Vec<&str> = if self.by_property() { labels.renamed().collect() } else { labels.types().collect() };
        if !told.is_empty() {
            self.put("CASE");
            for of in &told {
                cypher!(self, " WHEN {node}:{} THEN ", labels.expression(of));
                self.bind((*of).into());
            }
            self.put(" ELSE ");
        }
        cypher!(self, "head([l IN labels({node}) WHERE NOT l STARTS WITH '_'])");
        if !told.is_empty() {
            self.put(" END");
        }
    }

    /// Writes a field as a value of a row.
    pub(super) fn picked(&mut self, field: &Field, record: &Record<'_>, of: &str) {
        match field {
            Field::Type if record.place != Place::Relationships => self.bind(of.into()),
            _ => self.compared(field, record),
        }
    }
}
