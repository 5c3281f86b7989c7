//! The outcome of a read: its rows, and what is counted and computed over all of them.

use quipu_resolvers::read::{Field, Pick, Place, Read, Target, Via};
use quipu_schema::api::Figure;

use super::record::{Enclosing, Record, is_read_from_properties, sort_of, table};
use super::{Dialect, Writer, sql};

impl Writer<'_> {
    /// Writes a `SELECT` of one row and one column: the outcome.
    pub(super) fn outcome(&mut self, read: &Read, enclosing: Enclosing<'_>) {
        if !read.is_composite() {
            return self.rows(read, enclosing);
        }
        sql!(self, "SELECT {}", self.dialect.list());
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
                self.put(self.dialect.list());
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
        // Only of tables of others it is of any use to know the type this early.
        let kind = match read.targets.as_slice() {
            [target] => Some(self.names.key(sort_of(read.place), &target.of)),
            _ => None,
        };
        let kind = kind.filter(|kind| self.names.tables.get(*kind).is_some());
        Record { place: read.place, alias, edge, carried: false, kind }
    }

    /// Writes ` FROM ... WHERE ...` for all visible records that match.
    fn matching(&mut self, read: &Read, enclosing: Enclosing<'_>) -> Record {
        let record = self.record(read.place);
        self.matching_as(record, read, enclosing)
    }

    /// The same for a record that has its alias already.
    pub(super) fn matching_as(&mut self, record: Record, read: &Read, enclosing: Enclosing<'_>) -> Record {
        let types: Vec<&str> = read.targets.iter().map(|target| target.of.as_str()).collect();
        let record = self.source_as(record, &read.via, &types, enclosing);
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
        if self.dialect == Dialect::Postgres {
            return self.rows_at_once(read, enclosing);
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
        self.placed(read, &record, named);
    }

    /// Writes ` AND ... ORDER BY ... LIMIT ...`: what puts the records of a window in their places.
    pub(super) fn placed(&mut self, read: &Read, record: &Record, named: bool) {
        self.seek(&read.sort, &read.window, record);
        self.order(&read.sort, read.window.backwards, record, named);
        self.limit(&read.window);
    }

    /// Writes the row of a record.
    pub(super) fn row(&mut self, read: &Read, shown: &Record) {
        if read.targets.is_empty() {
            return self.put("NULL");
        }
        if let [target] = read.targets.as_slice() {
            return self.list_of_picks(target, None, shown);
        }
        sql!(self, "CASE {}.kind", shown.name());
        for (index, target) in read.targets.iter().enumerate() {
            let key = self.key(sort_of(read.place), &target.of);
            sql!(self, " WHEN {key} THEN ");
            self.list_of_picks(target, Some(index), shown);
        }
        self.put(" END");
    }

    /// Writes the list of a row's values, after the index of its target where there are several.
    fn list_of_picks(&mut self, target: &Target, index: Option<usize>, shown: &Record) {
        let most = self.dialect.most_items();
        if target.picks.len() >= most {
            return self.long_list_of_picks(target, index, shown, most);
        }
        self.put(self.dialect.list());
        if let Some(index) = index {
            sql!(self, "{index}{}", if target.picks.is_empty() { "" } else { ", " });
        }
        self.picks(&target.picks, &target.of, shown);
        self.put(")");
    }

    pub(super) fn picks(&mut self, picks: &[Pick], of: &str, shown: &Record) {
        for (index, pick) in picks.iter().enumerate() {
            if index > 0 {
                self.put(", ");
            }
            match pick {
                Pick::Field(field) => self.picked(field, shown, of),
                Pick::Read(read) => {
                    self.put("(");
                    self.outcome(read, Enclosing::Record(shown));
                    self.put(")");
                }
                Pick::Holds(predicate) => {
                    self.put(self.dialect.truth_begin());
                    self.predicate(predicate, shown);
                    self.put(self.dialect.truth_end());
                }
                Pick::Masked { field, seen } => {
                    self.put("CASE WHEN ");
                    self.predicate(seen, shown);
                    self.put(self.dialect.masked_begin());
                    self.picked(field, shown, of);
                    self.put(self.dialect.masked_end());
                }
            }
        }
    }

    /// Writes one figure. Shortest and longest texts are found in one pass by putting the length, padded, before the text; among
    /// several of the same length it is the first one for the shortest and the last one for the longest.
    fn figure(&mut self, figure: Figure, field: &Field, record: &Record) {
        if self.dialect == Dialect::Postgres {
            return self.figure_of_postgres(figure, field, record);
        }
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
                Pick::Holds(_) | Pick::Masked { .. } => {
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
        Pick::Holds(_) | Pick::Masked { .. } => true,
        Pick::Read(inner) => matches!(&inner.via, Via::Key { local: Field::EdgeKey | Field::EdgeProperty(_), .. }),
    })
}
