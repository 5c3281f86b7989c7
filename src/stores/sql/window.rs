//! Order, limits and the positions that cursors point to.

use quipu_resolvers::read::{Sort, Window};
use quipu_resolvers::value::Value;

use super::record::{Record, is_read_from_properties, nullable};
use super::{Parameter, Writer, sql};

/// One key of an order with the value to be passed.
struct Step<'a> {
    sort: &'a Sort,
    value: &'a Value,
    /// True when larger values are beyond.
    rising: bool,
}

impl Writer<'_> {
    /// Writes the conditions that records are strictly after and before the window's positions.
    pub(super) fn seek(&mut self, sort: &[Sort], window: &Window, record: &Record) {
        for (values, forwards) in [(&window.after, true), (&window.before, false)] {
            let Some(values) = values else { continue };
            let steps: Vec<Step<'_>> = sort
                .iter()
                .zip(values)
                .map(|(sort, value)| Step { sort, value, rising: sort.descending != forwards })
                .collect();
            if steps.is_empty() {
                continue;
            }
            self.lead(&steps[0], record);
            self.put(" AND ");
            match comparable(&steps) {
                Some(rising) => self.beyond_as_row(&steps, rising, record),
                None => self.beyond(&steps, record),
            }
        }
    }

    /// What the whole condition says of the first key alone: an index begins there, which it does not for a row of expressions.
    fn lead(&mut self, step: &Step<'_>, record: &Record) {
        if step.value.is_null() || (step.rising && nullable(&step.sort.field)) {
            return;
        }
        self.put(" AND ");
        self.compared(&step.sort.field, record);
        self.put(if step.rising { " >= " } else { " <= " });
        self.value(step.value, &step.sort.field, record);
    }

    /// `(a, b) > (?, ?)`, for keys that all go one way and are never absent.
    fn beyond_as_row(&mut self, steps: &[Step<'_>], rising: bool, record: &Record) {
        self.put("(");
        for (index, step) in steps.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            self.compared(&step.sort.field, record);
        }
        self.put(if rising { ") > (" } else { ") < (" });
        for (index, step) in steps.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            self.value(step.value, &step.sort.field, record);
        }
        self.put(")");
    }

    /// `(a > ? OR (a = ? AND (b > ? ...)))` where absent values count as larger than all others.
    fn beyond(&mut self, steps: &[Step<'_>], record: &Record) {
        let Some((step, rest)) = steps.split_first() else { return self.put(self.dialect.no()) };
        self.put("(");
        self.passed(step, record);
        if !rest.is_empty() {
            self.put(" OR (");
            self.compared(&step.sort.field, record);
            sql!(self, " {} ", self.dialect.is());
            self.value(step.value, &step.sort.field, record);
            self.put(" AND ");
            self.beyond(rest, record);
            self.put(")");
        }
        self.put(")");
    }

    fn passed(&mut self, step: &Step<'_>, record: &Record) {
        match (step.rising, step.value.is_null()) {
            (true, true) => self.put(self.dialect.no()),
            (true, false) => {
                self.compared(&step.sort.field, record);
                self.put(" > ");
                self.value(step.value, &step.sort.field, record);
                if nullable(&step.sort.field) {
                    self.put(" OR ");
                    self.compared(&step.sort.field, record);
                    self.put(" IS NULL");
                }
            }
            (false, true) => {
                self.compared(&step.sort.field, record);
                self.put(" IS NOT NULL");
            }
            (false, false) => {
                self.compared(&step.sort.field, record);
                self.put(" < ");
                self.value(step.value, &step.sort.field, record);
            }
        }
    }

    /// Writes ` ORDER BY ...`. With `named`, a key that is read from properties is the column `s` with the key's place.
    pub(super) fn order(&mut self, sort: &[Sort], backwards: bool, record: &Record, named: bool) {
        for (index, key) in sort.iter().enumerate() {
            self.put(if index > 0 { ", " } else { " ORDER BY " });
            match named && is_read_from_properties(&key.field) {
                true => sql!(self, "s{index}"),
                false => self.compared(&key.field, record),
            }
            let descending = key.descending != backwards;
            self.put(if descending { " DESC" } else { "" });
            if nullable(&key.field) {
                self.put(if descending { " NULLS FIRST" } else { " NULLS LAST" });
            }
        }
    }

    /// Writes ` LIMIT ? OFFSET ?` as far as it is needed.
    pub(super) fn limit(&mut self, window: &Window) {
        match (window.limit, window.offset) {
            (None, 0) => return,
            (Some(limit), _) => {
                sql!(self, " LIMIT {}", self.dialect.count());
                self.bind(Parameter::Int(i64::from(limit)));
            }
            (None, _) => self.put(self.dialect.unlimited()),
        }
        if window.offset > 0 {
            sql!(self, " OFFSET {}", self.dialect.count());
            self.bind(Parameter::Int(i64::from(window.offset)));
        }
    }
}

/// The common direction of steps that can be compared as one row: all the same way, and none absent.
fn comparable(steps: &[Step<'_>]) -> Option<bool> {
    let rising = steps.first()?.rising;
    let fits = |step: &Step<'_>| step.rising == rising && !nullable(&step.sort.field) && !step.value.is_null();
    steps.iter().all(fits).then_some(rising)
}
