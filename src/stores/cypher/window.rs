//! Order, limits and the positions that cursors point to.

use quipu_resolvers::read::{Sort, Window};
use quipu_resolvers::value::Value;

use super::record::{Conditions, Record, nullable};
use super::stored::parameter;
use super::{Parameter, Writer, cypher};

/// One key of an order with the value to be passed.
struct Step<'a> {
    sort: &'a Sort,
    value: &'a Value,
    /// True when larger values are beyond.
    rising: bool,
}

impl Writer<'_> {
    /// Writes the conditions that records are strictly after and before the window's positions.
    pub(super) fn seek(&mut self, sort: &[Sort], window: &Window, record: &Record<'_>, conditions: &mut Conditions) {
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
            self.lead(&steps[0], record, conditions);
            conditions.next(self);
            self.beyond(&steps, record);
        }
    }

    /// What the whole condition says of the first key alone: an index begins there.
    fn lead(&mut self, step: &Step<'_>, record: &Record<'_>, conditions: &mut Conditions) {
        if step.value.is_null() || (step.rising && nullable(&step.sort.field)) {
            return;
        }
        conditions.next(self);
        self.compared(&step.sort.field, record);
        self.put(if step.rising { " >= " } else { " <= " });
        self.bind(parameter(step.value));
    }

    /// `(a > $ OR (a = $ AND (b > $ ...)))` where absent values count as larger than all others.
    fn beyond(&mut self, steps: &[Step<'_>], record: &Record<'_>) {
        let Some((step, rest)) = steps.split_first() else { return self.put("false") };
        self.put("(");
        self.passed(step, record);
        if !rest.is_empty() {
            self.put(" OR (");
            self.compared(&step.sort.field, record);
            match step.value.is_null() {
                true => self.put(" IS NULL"),
                false => {
                    self.put(" = ");
                    self.bind(parameter(step.value));
                }
            }
            self.put(" AND ");
            self.beyond(rest, record);
            self.put(")");
        }
        self.put(")");
    }

    fn passed(&mut self, step: &Step<'_>, record: &Record<'_>) {
        if step.rising && step.value.is_null() {
            return self.put("false");
        }
        self.compared(&step.sort.field, record);
        if step.value.is_null() {
            return self.put(" IS NOT NULL");
        }
        self.put(if step.rising { " > " } else { " < " });
        self.bind(parameter(step.value));
        if step.rising && nullable(&step.sort.field) {
            self.put(" OR ");
            self.compared(&step.sort.field, record);
            self.put(" IS NULL");
        }
    }

    /// Writes ` ORDER BY ...`. Absent values are the largest in Cypher, as wanted. With `walked`, an index of tenant and first key
    /// serves, which the planner sees only when the tenant stands in the order too.
    pub(super) fn order(&mut self, sort: &[Sort], backwards: bool, record: &Record<'_>, walked: bool) {
        for (index, key) in sort.iter().enumerate() {
            let falling = if key.descending != backwards { " DESC" } else { "" };
            self.put(if index > 0 { ", " } else { " ORDER BY " });
            if index == 0 && walked {
                cypher!(self, "{}._tenant{falling}, ", record.name());
            }
            self.compared(&key.field, record);
            self.put(falling);
        }
    }

    /// Writes ` SKIP $ LIMIT $` as far as it is needed.
    pub(super) fn limit(&mut self, window: &Window) {
        if window.offset > 0 {
            self.put(" SKIP ");
            self.bind(Parameter::Int(i64::from(window.offset)));
        }
        if let Some(limit) = window.limit {
            self.put(" LIMIT ");
            self.bind(Parameter::Int(i64::from(limit)));
        }
    }
}
