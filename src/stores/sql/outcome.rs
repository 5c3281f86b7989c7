//! The outcome of a read: its rows, and what is counted and computed over all of them.

use quipu_resolvers::read::{Field, Pick, Place, Read, Target, Via};
use quipu_schema::api::Figure;

use super::record::{Enclosing, Record, is_read_from_properties, sort_of, table};
use super::{Writer, sql};

impl Writer<'_> {
    /// Writes a `SELECT` of one row and one column: the outcome.
    pub(super) fn outcome(&mut self, read: &Read, enclosing: Enclosing<'_>) {
        if !read.is_composite() {
            return self.rows(read, enclosing);
        }
        self.put("SELECT json_array(");
        if read.rows {
            self.put("(");
            self.rows(read, enclosing);
            self.put(")");
        } else {
            self.put("NULL");
        }
        self.put(if read.total { ", count(*), " } else { ", NULL, " });
        // The figures are written before the source they speak of: its alias is the next one, plus the relationship's.
        let ahead = self.upcoming(read, enclosing);
        match read.figures.as_slice() {
            [] => self.put("NULL"),
            figures => {
                self.put("json_array(");
                for (index, (figure, field)) in figures.iter().enumerate() {
                    if index > 0 {
                        self.put(", ");
                    }
                    self.figure(*figure, field, &ahead);
                }
                self.put(")");
            }
        }
        self.put(")");
        self.matching(read, enclosing);
    }

    /// The record that the next source will bring into scope.
    fn upcoming(&self, read: &Read, enclosing: Enclosing<'_>) -> Record {
        let alias = self.aliases + 1;
        let edge = match (&read.via, enclosing) {
            (Via::Relationship { .. }, _) if read.place != Place::Relationships => Some(alias + 1),
            (Via::Endpoint(_), Enclosing::Record(parent)) => Some(parent.alias),
            _ => None,
        };
        Record { place: read.place, alias, edge, carried: false }
    }

    /// Writes ` FROM ... WHERE ...` for all visible records that match.
    fn matching(&mut self, read: &Read, enclosing: Enclosing<'_>) -> Record {
        let types: Vec<&str> = read.targets.iter().map(|target| target.of.as_str()).collect();
        let record = self.source(read.place, &read.via, &types, enclosing);
        self.conditions(
            &record,
            &read.targets.iter().map(|t| (t.of.as_str(), [&t.visible, &t.filter])).collect::<Vec<_>>(),
        );
        record
    }

    /// Writes a `SELECT` of the JSON list of rows.
    fn rows(&mut self, read: &Read, enclosing: Enclosing<'_>) {
        if !read.rows {
            return self.put("SELECT NULL");
        }
        if let Some(columns) = Columns::of(read) {
            return self.rows_carried(read, columns, enclosing);
        }
        self.put("SELECT json_group_array(");
        let shown = self.record(read.place);
        // Of what led here only the part is looked up again that a pick speaks of.
        let edge = match (&read.via, enclosing) {
            (Via::Relationship { .. }, _) if read.place != Place::Relationships => {
                uses_edge(read).then(|| (self.alias(), true))
            }
            (Via::Endpoint(_), Enclosing::Record(parent)) => Some((parent.alias, false)),
            _ => None,
        };
        let shown = Record { edge: edge.map(|(alias, _)| alias), ..shown };
        self.row(read, &shown);
        self.put(") FROM (");
        let looked_up = edge.and_then(|(alias, own)| own.then_some(alias));
        self.window(read, enclosing, looked_up.is_some());
        let name = shown.name();
        sql!(self, ") AS w{0} CROSS JOIN {1} AS {name} ON {name}.rid = w{0}.r", shown.alias, table(read.place));
        if let Some(edge) = looked_up {
            sql!(self, " CROSS JOIN edge AS e{edge} ON e{edge}.rid = w{}.e", shown.alias);
        }
    }

    /// Like `rows`, for the few records at the other ends of one node's relationships: what the picks need of them is taken along
    /// while they are put in order, which costs less than to look them up a second time; so are the keys they are put in order by.
    fn rows_carried(&mut self, read: &Read, columns: Columns, enclosing: Enclosing<'_>) {
        self.put("SELECT json_group_array(");
        let shown = Record { carried: true, ..self.record(read.place) };
        for (index, key) in read.sort.iter().enumerate().filter(|(_, key)| is_read_from_properties(&key.field)) {
            self.sorted.push((shown.alias, key.field.clone(), index));
        }
        self.row(read, &shown);
        self.put(") FROM (");
        let ahead = self.upcoming(read, enclosing);
        let name = ahead.name();
        sql!(self, "SELECT {name}.rid AS rid");
        for (column, wanted) in [("id", columns.id), ("kind", columns.kind), ("props", columns.props)] {
            if wanted {
                sql!(self, ", {name}.{column} AS {column}");
            }
        }
        for (column, wanted) in [("key", columns.edge_key), ("props", columns.edge_props)] {
            if wanted {
                sql!(self, ", {} AS edge_{column}", ahead.edge_column(column));
            }
        }
        for (index, key) in read.sort.iter().enumerate().filter(|(_, key)| is_read_from_properties(&key.field)) {
            self.put(", ");
            self.compared(&key.field, &ahead);
            sql!(self, " AS s{index}");
        }
        self.ordered_source(read, enclosing, true);
        sql!(self, ") AS {}", shown.name());
    }

    /// Writes a `SELECT` of the keys of the wanted records in order: `r` of the record, `e` of the relationship.
    fn window(&mut self, read: &Read, enclosing: Enclosing<'_>, edge: bool) {
        let ahead = self.upcoming(read, enclosing);
        sql!(self, "SELECT {}.rid AS r", ahead.name());
        if edge {
            sql!(self, ", {} AS e", ahead.edge_column("rid"));
        }
        self.ordered_source(read, enclosing, false);
    }

    /// Writes ` FROM ... WHERE ... ORDER BY ... LIMIT ...` for the records of the window. With `named`, keys that are read from
    /// properties are selected already.
    fn ordered_source(&mut self, read: &Read, enclosing: Enclosing<'_>, named: bool) {
        let record = self.matching(read, enclosing);
        self.seek(&read.sort, &read.window, &record);
        self.order(&read.sort, read.window.backwards, &record, named);
        self.limit(&read.window);
    }

    /// Writes the row of a record.
    fn row(&mut self, read: &Read, shown: &Record) {
        if read.targets.is_empty() {
            return self.put("NULL");
        }
        if let [target] = read.targets.as_slice() {
            self.put("json_array(");
            self.picks(target, shown);
            return self.put(")");
        }
        sql!(self, "CASE {}.kind", shown.name());
        for (index, target) in read.targets.iter().enumerate() {
            let key = self.key(sort_of(read.place), &target.of);
            sql!(self, " WHEN {key} THEN json_array({index}");
            if !target.picks.is_empty() {
                self.put(", ");
            }
            self.picks(target, shown);
            self.put(")");
        }
        self.put(" END");
    }

    fn picks(&mut self, target: &Target, shown: &Record) {
        for (index, pick) in target.picks.iter().enumerate() {
            if index > 0 {
                self.put(", ");
            }
            match pick {
                Pick::Field(field) => self.picked(field, shown, &target.of),
                Pick::Read(read) => {
                    self.put("(");
                    self.outcome(read, Enclosing::Record(shown));
                    self.put(")");
                }
                Pick::Holds(predicate) => {
                    self.put("json(iif(");
                    self.predicate(predicate, shown);
                    self.put(", 'true', 'false'))");
                }
            }
        }
    }

    /// Writes one figure. Shortest and longest texts are found in one pass by putting the length, padded, before the text; among
    /// several of the same length it is the first one for the shortest and the last one for the longest.
    fn figure(&mut self, figure: Figure, field: &Field, record: &Record) {
        let (before, after) = match figure {
            Figure::Min => ("min(", ")"),
            Figure::Max => ("max(", ")"),
            Figure::Average => ("avg(", ")"),
            Figure::Sum => ("coalesce(sum(", "), 0)"),
            Figure::Shortest | Figure::Longest => {
                let aggregate = if figure == Figure::Shortest { "min" } else { "max" };
                sql!(self, "substr({aggregate}(format('%010d', length(");
                self.compared(field, record);
                self.put(")) || ");
                self.compared(field, record);
                return self.put("), 11)");
            }
        };
        self.put(before);
        self.compared(field, record);
        self.put(after);
    }
}

/// What picks need of a record and of the relationship that led to it.
#[derive(Debug, Clone, Copy, Default)]
struct Columns {
    id: bool,
    kind: bool,
    props: bool,
    edge_key: bool,
    edge_props: bool,
}

impl Columns {
    /// The columns for a page of nodes along relationships; `None` for other reads, which may have to pass over many records.
    fn of(read: &Read) -> Option<Self> {
        let along = matches!(read.via, Via::Relationship { .. }) && read.place != Place::Relationships;
        if !along || read.window.limit.is_none() {
            return None;
        }
        let mut columns = Self { kind: read.targets.len() > 1, ..Self::default() };
        for pick in read.targets.iter().flat_map(|target| &target.picks) {
            match pick {
                Pick::Field(field) => columns.add(field),
                Pick::Holds(_) => {
                    columns = Self { id: true, kind: true, props: true, edge_key: true, edge_props: true }
                }
                Pick::Read(inner) => {
                    if let Via::Key { local, .. } = &inner.via {
                        columns.add(local);
                    }
                }
            }
        }
        Some(columns)
    }

    fn add(&mut self, field: &Field) {
        match field {
            Field::Id => self.id = true,
            Field::Type => self.kind = true,
            Field::Property(_) | Field::AllProperties => self.props = true,
            Field::EdgeKey => self.edge_key = true,
            Field::EdgeProperty(_) => self.edge_props = true,
        }
    }
}

/// Whether any pick of the read speaks of the relationship that leads to the record.
fn uses_edge(read: &Read) -> bool {
    read.targets.iter().flat_map(|target| &target.picks).any(|pick| match pick {
        Pick::Field(field) => matches!(field, Field::EdgeKey | Field::EdgeProperty(_)),
        Pick::Holds(_) => true,
        Pick::Read(inner) => matches!(&inner.via, Via::Key { local: Field::EdgeKey | Field::EdgeProperty(_), .. }),
    })
}
