//! Outcomes as Postgres makes them: a sub-select with the rows as one column, in order and limited.

use quipu_resolvers::read::{Field, Read, Target};
use quipu_schema::api::Figure;

use super::mapped::Form;
use super::record::{Enclosing, Record, nullable};
use super::{Writer, sql};

impl Writer<'_> {
    /// Writes a `SELECT` of the JSON list of rows. Below a limit Postgres computes costly columns last, for the rows that are left.
    pub(super) fn rows_at_once(&mut self, read: &Read, enclosing: Enclosing<'_>) {
        self.put("SELECT coalesce(json_agg(w.j), '[]'::json) FROM (SELECT ");
        let mut record = self.record(read.place);
        let types: Vec<&str> = read.targets.iter().map(|target| target.of.as_str()).collect();
        record.kind = self.only_kind(read.place, &types);
        self.row(read, &record);
        self.put(" AS j");
        let record = self.matching_as(record, read, enclosing);
        // Columns of their own are indexed where they are not null, which a property that is never absent is not.
        if let Some(first) = read.sort.first()
            && let Some(place) = self.own_column(&first.field, &record)
            && !nullable(&first.field)
        {
            sql!(self, " AND {}.{place} IS NOT NULL", record.name());
        }
        self.placed(read, &record, false);
        self.put(") AS w");
    }

    /// Writes a list of more items than a function takes: several lists, joined.
    pub(super) fn long_list_of_picks(&mut self, target: &Target, index: Option<usize>, shown: &Record, most: usize) {
        self.put("CAST(");
        match index {
            Some(index) => sql!(self, "jsonb_build_array({index})"),
            None => self.put("'[]'::jsonb"),
        }
        for part in target.picks.chunks(most) {
            self.put(" || jsonb_build_array(");
            self.picks(part, &target.of, shown);
            self.put(")");
        }
        self.put(" AS json)");
    }

    /// Writes one figure, see `figure`. Numbers are added up as decimals, so their order makes no difference.
    pub(super) fn figure_of_postgres(&mut self, figure: Figure, field: &Field, record: &Record) {
        let (before, after) = match figure {
            Figure::Min => ("min(", ")"),
            Figure::Max => ("max(", ")"),
            // With so many places that the nearest double is the right one.
            Figure::Average => ("avg(", " + 0.00000000000000000000)"),
            Figure::Sum => ("coalesce(sum(", "), 0)"),
            Figure::Shortest | Figure::Longest => {
                let aggregate = if figure == Figure::Shortest { "min" } else { "max" };
                sql!(self, "substr({aggregate}(lpad(CAST(char_length(");
                self.compared_as(field, record, Form::Text);
                self.put(") AS text), 10, '0') || ");
                self.compared_as(field, record, Form::Text);
                return self.put("), 11)");
            }
        };
        self.put(before);
        self.compared_as(field, record, Form::Figure);
        self.put(after);
    }
}
