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
            let led = self.lead(&steps, record, conditions);
            if !led || steps.len() > 1 {
                conditions.next(self);
                self.beyond(&steps, record);
            }
        }
    }

    /// What the whole condition says of the first key alone: an index begins there. False when that is nothing.
    fn lead(&mut self, steps: &[Step<'_>], record: &Record<'_>, conditions: &mut Conditions) -> bool {
        let Some(step) = steps.first() else { return false };
        if step.value.is_null() || (step.rising && nullable(&step.sort.field)) {
            return false;
        }
        conditions.next(self);
        self.compared(&step.sort.field, record);
        self.put(match (step.rising, steps.len()) {
            (true, 1) => " > ",
            (true, _) => " >= ",
            (false, 1) => " < ",
            (false, _) => " <= ",
        });
        self.bind(parameter(step.value));
        true
    }

    /// Whether a record is beyond the position, key by key; absent values count as larger than all others. As alternatives with `OR` it
    /// would be two walks through an index, joined and sorted again.
    fn beyond(&mut self, steps: &[Step<'_>], record: &Record<'_>) {
        let Some((step, rest)) = steps.split_first() else { return self.put("false") };
        self.put("CASE WHEN ");
        self.compared(&step.sort.field, record);
        match step.value.is_null() {
            true => self.put(" IS NULL"),
            false => {
                self.put(" = ");
                self.bind(parameter(step.value));
            }
        }
        self.put(" THEN ");
        self.beyond(rest, record);
        if step.value.is_null() {
            return self.put(if step.rising { " ELSE false END" } else { " ELSE true END" });
        }
        self.put(" WHEN ");
        self.compared(&step.sort.field, record);
        self.put(" < ");
        self.bind(parameter(step.value));
        self.put(if step.rising { " THEN false ELSE true END" } else { " THEN true ELSE false END" });
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
            self.bind_fixed(Parameter::Int(i64::from(window.offset)));
        }
        if let Some(limit) = window.limit {
            self.put(" LIMIT ");
            self.bind_fixed(Parameter::Int(i64::from(limit)));
        }
    }
}
