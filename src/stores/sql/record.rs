//! Records inside a statement: where they come from and how their fields are written.

use std::fmt;

use quipu_resolvers::read::{Field, Place, Stored, Via};
use quipu_schema::ontology::Direction;

use super::mapped::Form;
use super::names::{NameOf, OwnColumn};
use super::{Writer, sql};

/// A record that is in scope under an alias.
#[derive(Debug, Clone, Copy)]
pub(in crate::stores) struct Record {
    /// Where it is.
    pub place: Place,
    /// Number of its alias.
    pub alias: u32,
    /// Number of the alias of the relationship that led to it.
    pub edge: Option<u32>,
    /// Whether the alias is a sub-select's, which has the columns of the relationship as well.
    pub carried: bool,
    /// Key of its type, where that is known to be one.
    pub kind: Option<i64>,
}

/// What encloses a read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Enclosing<'a> {
    /// Nothing: the read is at the root.
    Nothing,
    /// A list of keys under the alias `wanted`.
    Key,
    /// A record.
    Record(&'a Record),
}

/// A name in the text: the first letter of the place and a number.
#[derive(Debug, Clone, Copy)]
pub(in crate::stores) struct Alias(char, u32);

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

/// A column in the text; those of a relationship that a sub-select carries along have a prefix.
#[derive(Debug, Clone, Copy)]
pub(in crate::stores) struct Column<'a> {
    alias: Alias,
    carried: bool,
    column: &'a str,
}

impl fmt::Display for Column<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.alias, if self.carried { "edge_" } else { "" }, self.column)
    }
}

impl Record {
    /// The alias.
    pub fn name(&self) -> Alias {
        let letter = match self.place {
            Place::Nodes => 'n',
            Place::Rows => 'r',
            Place::Relationships => 'e',
        };
        Alias(letter, self.alias)
    }

    /// A column of the record.
    pub fn column<'a>(&self, column: &'a str) -> Column<'a> {
        Column { alias: self.name(), carried: false, column }
    }

    /// A column of the relationship that `EdgeProperty` speaks of.
    pub fn edge_column<'a>(&self, column: &'a str) -> Column<'a> {
        match self.edge {
            Some(edge) if !self.carried => Column { alias: Alias('e', edge), carried: false, column },
            _ => Column { alias: self.name(), carried: self.carried, column },
        }
    }
}

/// The table of a place.
pub(super) fn table(place: Place) -> &'static str {
    match place {
        Place::Nodes => "node",
        Place::Rows => "record",
        Place::Relationships => "edge",
    }
}

/// What the types of a place are.
pub(super) fn sort_of(place: Place) -> NameOf {
    match place {
        Place::Nodes => NameOf::Node,
        Place::Rows => NameOf::Row,
        Place::Relationships => NameOf::Relationship,
    }
}

/// Whether a field may be absent.
pub(super) fn nullable(field: &Field) -> bool {
    match field {
        Field::Property(stored) | Field::EdgeProperty(stored) => stored.nullable,
        Field::Id | Field::Type | Field::EdgeKey | Field::AllProperties => false,
    }
}

/// Whether looking at a field takes a look into JSON.
pub(super) fn is_read_from_properties(field: &Field) -> bool {
    matches!(field, Field::Property(_) | Field::EdgeProperty(_))
}

impl Writer<'_> {
    /// A new record in scope.
    pub(in crate::stores) fn record(&mut self, place: Place) -> Record {
        Record { place, alias: self.alias(), edge: None, carried: false, kind: None }
    }

    /// Writes ` FROM ... WHERE ...` for the records of some types that are reached in some way.
    pub(super) fn source(&mut self, place: Place, via: &Via, types: &[&str], enclosing: Enclosing<'_>) -> Record {
        let record = self.record(place);
        self.source_as(record, via, types, enclosing)
    }

    /// The same for a record that has its alias already.
    pub(super) fn source_as(
        &mut self,
        mut record: Record,
        via: &Via,
        types: &[&str],
        enclosing: Enclosing<'_>,
    ) -> Record {
        let place = record.place;
        record.kind = self.only_kind(place, types);
        let name = record.name();
        let tenant = self.names.tenant;
        match via {
            Via::Root => self.all_of(&record),
            Via::Relationship { relationship_type, direction } => {
                self.along(&mut record, relationship_type, *direction, enclosing);
            }
            Via::Key { local, remote } => {
                self.all_of(&record);
                self.put(" AND ");
                self.compared_as(remote, &record, Form::Join);
                self.joins(local, remote, &record, enclosing);
            }
            Via::Endpoint(direction) => {
                let end = if *direction == Direction::Out { "src" } else { "dst" };
                sql!(self, " FROM {} AS {name} WHERE {name}.tenant = {tenant} AND {name}.rid = ", table(place));
                match enclosing {
                    Enclosing::Record(parent) if parent.place == Place::Relationships => {
                        sql!(self, "{}.{end}", parent.name());
                        record.edge = Some(parent.alias);
                    }
                    _ => self.put("NULL"),
                }
            }
        }
        if place != Place::Relationships && self.table_of(&record).is_none() {
            self.of_types(&record, types);
        }
        record
    }

    /// Writes ` FROM ... WHERE ...` with the tenant's records of a place, or of the table of others that the type stands for.
    fn all_of(&mut self, record: &Record) {
        if let Some(table) = self.table_of(record) {
            return self.rows_of_table(table, record);
        }
        let (name, tenant) = (record.name(), self.names.tenant);
        sql!(self, " FROM {} AS {name} WHERE {name}.tenant = {tenant}", table(record.place));
    }

    /// Writes the way along relationships of a type, from the enclosing node.
    fn along(&mut self, record: &mut Record, relationship_type: &str, direction: Direction, enclosing: Enclosing<'_>) {
        let (near, far) = if direction == Direction::Out { ("src", "dst") } else { ("dst", "src") };
        let kind = self.key(NameOf::Relationship, relationship_type);
        let tenant = self.names.tenant;
        let edge = if record.place == Place::Relationships { record.alias } else { self.alias() };
        sql!(self, " FROM edge AS e{edge}");
        if record.place != Place::Relationships {
            // The order is given: from the few relationships of one node to their other ends.
            let name = record.name();
            sql!(self, " CROSS JOIN {} AS {name} ON {name}.rid = e{edge}.{far}", table(record.place));
            sql!(self, " AND {name}.tenant = {tenant}");
            record.edge = Some(edge);
        }
        sql!(self, " WHERE e{edge}.tenant = {tenant} AND e{edge}.kind = {kind} AND e{edge}.{near} = ");
        match enclosing {
            Enclosing::Record(parent) => sql!(self, "{}.rid", parent.name()),
            Enclosing::Key | Enclosing::Nothing => self.put("NULL"),
        }
    }

    /// The key of the type, if there is one type.
    pub(super) fn only_kind(&mut self, place: Place, types: &[&str]) -> Option<i64> {
        match types {
            [one] => Some(self.key(sort_of(place), one)),
            _ => None,
        }
    }

    fn of_types(&mut self, record: &Record, types: &[&str]) {
        let keys: Vec<i64> = types.iter().map(|name| self.key(sort_of(record.place), name)).collect();
        sql!(self, " AND {}.kind", record.name());
        self.keys(&keys);
    }

    /// Writes ` = key` or ` IN (keys)`.
    pub(super) fn keys(&mut self, keys: &[i64]) {
        match keys {
            [one] => sql!(self, " = {one}"),
            many => {
                let many: Vec<String> = many.iter().map(i64::to_string).collect();
                sql!(self, " IN ({})", many.join(", "));
            }
        }
    }

    /// Writes a field as a value to put in order.
    pub(super) fn compared(&mut self, field: &Field, record: &Record) {
        self.compared_as(field, record, Form::Order);
    }

    /// Writes a field as a value to compare and to sort by. Only fields of tables of others make a difference by what for.
    pub(super) fn compared_as(&mut self, field: &Field, record: &Record, form: Form) {
        if self.mapped(field, record, form) {
            return;
        }
        match field {
            Field::Id if record.place == Place::Relationships => self.relationship_id(record),
            Field::Id => sql!(self, "{}.id", record.name()),
            Field::Type => sql!(self, "(SELECT name FROM kind WHERE key = {}.kind)", record.name()),
            Field::Property(stored) => self.property(record.column("props"), stored, record),
            Field::EdgeKey => sql!(self, "{}", record.edge_column("key")),
            Field::EdgeProperty(stored) => self.property(record.edge_column("props"), stored, record),
            Field::AllProperties => sql!(self, "json({}.props)", record.name()),
        }
    }

    /// Writes a field as a typed value of a row. Numbers keep the digits they were stored with.
    pub(super) fn picked(&mut self, field: &Field, record: &Record, of: &str) {
        if self.mapped(field, record, Form::Shown) {
            return;
        }
        if let Some(index) = self.sorted_column(field, record) {
            return sql!(self, "{}.s{index}", record.name());
        }
        match field {
            Field::Type if record.place != Place::Relationships => {
                sql!(self, "'{}'{}", of.replace('\'', "''"), self.dialect.of_text());
            }
            Field::Property(stored) => match self.own_column(field, record) {
                Some(own @ OwnColumn::Text(_)) => sql!(self, "{}.{own}", record.name()),
                _ => self.typed(record.column("props"), stored),
            },
            Field::EdgeProperty(stored) => self.typed(record.edge_column("props"), stored),
            Field::AllProperties => sql!(self, "json(coalesce({}.props, '{{}}'))", record.name()),
            Field::Id | Field::Type | Field::EdgeKey => self.compared(field, record),
        }
    }

    /// The column of a carried record that holds what a property is picked as: a key that the records were put in order by.
    fn sorted_column(&self, field: &Field, record: &Record) -> Option<usize> {
        let (Field::Property(stored) | Field::EdgeProperty(stored)) = field else { return None };
        if !record.carried || self.dialect.is_json(stored) {
            return None;
        }
        let found = self.sorted.iter().find(|(alias, key, _)| *alias == record.alias && key == field);
        found.map(|(_, _, index)| *index)
    }

    fn typed(&mut self, props: Column<'_>, stored: &Stored) {
        let arrow = if self.dialect.is_json(stored) { "->" } else { "->>" };
        sql!(self, "{props} {arrow} {}", self.dialect.path(&stored.name));
    }

    /// Writes the id of a relationship record: type, start, end and key, separated by colons.
    fn relationship_id(&mut self, record: &Record) {
        let edge = record.name();
        sql!(self, "((SELECT name FROM kind WHERE key = {edge}.kind) || ':' || ");
        for end in ["src", "dst"] {
            self.put("(SELECT (SELECT name FROM kind WHERE key = node.kind) || ':' || ");
            self.put("replace(replace(node.id, '%', '%25'), ':', '%3A')");
            sql!(self, " FROM node WHERE node.rid = {edge}.{end}) || ':' || ");
        }
        sql!(self, "{edge}.key)");
    }
}
