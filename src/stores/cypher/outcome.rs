//! The outcome of a read: its rows, and what is counted and computed over all of them. Each is an expression.

use std::collections::HashMap;

use quipu_resolvers::read::{Field, Pick, Place, Read, Target, Via};
use quipu_schema::api::Figure;

use super::record::{Conditions, Enclosing, Record, nullable};
use super::{Writer, cypher};

impl Writer<'_> {
    /// Writes the outcome.
    pub(super) fn outcome(&mut self, read: &Read, enclosing: Enclosing<'_>) {
        if !read.is_composite() {
            return self.rows(read, enclosing);
        }
        self.put("[");
        self.rows(read, enclosing);
        self.put(", ");
        match read.total {
            true => self.total(read, enclosing),
            false => self.put("NULL"),
        }
        self.put(", ");
        match read.figures.is_empty() {
            true => self.put("NULL"),
            false => self.figures(read, enclosing),
        }
        self.put("]");
    }

    /// Writes the list of rows.
    fn rows(&mut self, read: &Read, enclosing: Enclosing<'_>) {
        if !read.rows {
            return self.put("NULL");
        }
        self.put("COLLECT { ");
        let anchor = self.anchor(read);
        let (record, mut conditions) = self.matching(read, enclosing, anchor.as_deref());
        self.seek(&read.sort, &read.window, &record, &mut conditions);
        if !read.sort.is_empty() || read.window.limit.is_some() || read.window.offset > 0 {
            cypher!(self, " WITH {}", record.name());
            self.edge_along(read, &record);
            self.order(&read.sort, read.window.backwards, &record, anchor.is_some());
            self.limit(&read.window);
        }
        let ahead = self.figured(read, &record);
        self.put(" RETURN ");
        self.row(read, &record, &ahead);
        self.put(" }");
    }

    /// Writes ` WITH ...` with the outcomes below that have figures, under names of their own, which it gives by target and pick. Within a
    /// list, the planner takes an aggregate of a level below for one of the list's level.
    fn figured(&mut self, read: &Read, record: &Record<'_>) -> HashMap<(usize, usize), u32> {
        let mut ahead = HashMap::new();
        for (target, picks) in read.targets.iter().map(|target| &target.picks).enumerate() {
            for (pick, inner) in picks.iter().enumerate() {
                let Pick::Read(inner) = inner else { continue };
                if !has_figures(inner) {
                    continue;
                }
                if ahead.is_empty() {
                    cypher!(self, " WITH {}", record.name());
                    self.edge_along(read, record);
                }
                self.put(", ");
                self.outcome(inner, Enclosing::Record(record));
                let alias = self.alias();
                cypher!(self, " AS c{alias}");
                ahead.insert((target, pick), alias);
            }
        }
        ahead
    }

    /// Writes what led to a record, which stays in sight; unless it is in sight anyway.
    fn edge_along(&mut self, read: &Read, record: &Record<'_>) {
        if let (Some(edge), Via::Relationship { .. }) = (record.edge, &read.via) {
            cypher!(self, ", r{edge}");
        }
    }

    /// The stored name of the property by whose index a read at the root walks its records in order.
    fn anchor(&self, read: &Read) -> Option<String> {
        let root = read.via == Via::Root && read.place == Place::Nodes && read.targets.len() == 1 && self.by_property();
        match &read.sort.first()?.field {
            Field::Id if root => Some("id".to_owned()),
            Field::Property(stored) if root && stored.indexed && !nullable(&read.sort[0].field) => {
                Some(stored.name.clone())
            }
            _ => None,
        }
    }

    /// Writes `MATCH ... WHERE ...` for all visible records that match.
    fn matching<'r>(
        &mut self,
        read: &'r Read,
        enclosing: Enclosing<'_>,
        anchor: Option<&str>,
    ) -> (Record<'r>, Conditions) {
        let types: Vec<&str> = read.targets.iter().map(|target| target.of.as_str()).collect();
        let (record, mut conditions) = self.source(read.place, &read.via, types, enclosing, anchor);
        let parts: Vec<_> = read.targets.iter().map(|t| (t.of.as_str(), [&t.visible, &t.filter])).collect();
        self.conditions(&record, &parts, &mut conditions);
        (record, conditions)
    }

    fn total(&mut self, read: &Read, enclosing: Enclosing<'_>) {
        self.put("COUNT { ");
        self.matching(read, enclosing, None);
        // Only a plain pattern does without.
        self.put(if matches!(read.via, Via::Endpoint(_)) { " RETURN 1 }" } else { " }" });
    }

    fn figures(&mut self, read: &Read, enclosing: Enclosing<'_>) {
        self.put("COLLECT { ");
        let (record, _) = self.matching(read, enclosing, None);
        self.put(" RETURN [");
        for (index, (figure, field)) in read.figures.iter().enumerate() {
            if index > 0 {
                self.put(", ");
            }
            self.figure(*figure, field, &record);
        }
        self.put("] }[0]");
    }

    /// Writes one figure. Shortest and longest texts are found as the least and largest pair of length and text; so among several of
    /// the same length it is the first one for the shortest and the last one for the longest.
    fn figure(&mut self, figure: Figure, field: &Field, record: &Record<'_>) {
        match figure {
            Figure::Min => self.aggregate("min(", field, record, ")"),
            Figure::Max => self.aggregate("max(", field, record, ")"),
            Figure::Sum => self.aggregate("sum(", field, record, ")"),
            Figure::Average => {
                // The sum divided once: `avg` moves a mean along, and loses the last digits.
                self.aggregate("CASE count(", field, record, ") WHEN 0 THEN NULL");
                self.aggregate(" ELSE toFloat(sum(", field, record, "))");
                self.aggregate(" / count(", field, record, ") END");
            }
            Figure::Shortest | Figure::Longest => {
                let pair = if figure == Figure::Shortest { "min(CASE WHEN " } else { "max(CASE WHEN " };
                self.aggregate(pair, field, record, " IS NULL THEN NULL");
                self.aggregate(" ELSE [size(", field, record, "), ");
                self.aggregate("", field, record, "] END)[1]");
            }
        }
    }

    fn aggregate(&mut self, before: &str, field: &Field, record: &Record<'_>, after: &str) {
        self.put(before);
        self.compared(field, record);
        self.put(after);
    }

    /// Writes the row of a record.
    fn row(&mut self, read: &Read, record: &Record<'_>, ahead: &HashMap<(usize, usize), u32>) {
        match read.targets.as_slice() {
            [] => self.put("NULL"),
            [target] => {
                self.put("[");
                self.picks(target, record, |pick| ahead.get(&(0, pick)).copied());
                self.put("]");
            }
            several => {
                self.put("CASE");
                for (index, target) in several.iter().enumerate() {
                    let labels = self.scope.labels.expression(&target.of);
                    let comma = if target.picks.is_empty() { "" } else { ", " };
                    cypher!(self, " WHEN {}:{labels} THEN [{index}{comma}", record.name());
                    self.picks(target, record, |pick| ahead.get(&(index, pick)).copied());
                    self.put("]");
                }
                self.put(" END");
            }
        }
    }

    fn picks(&mut self, target: &Target, record: &Record<'_>, ahead: impl Fn(usize) -> Option<u32>) {
        for (index, pick) in target.picks.iter().enumerate() {
            if index > 0 {
                self.put(", ");
            }
            match pick {
                Pick::Field(field) => self.picked(field, record, &target.of),
                Pick::Read(read) => match ahead(index) {
                    Some(alias) => cypher!(self, "c{alias}"),
                    None => self.outcome(read, Enclosing::Record(record)),
                },
                Pick::Holds(predicate) => {
                    self.put("coalesce(");
                    self.predicate(predicate, record);
                    self.put(", false)");
                }
                Pick::Masked { field, seen } => {
                    self.put("CASE WHEN ");
                    self.predicate(seen, record);
                    self.put(" THEN [");
                    self.picked(field, record, &target.of);
                    self.put("] ELSE false END");
                }
            }
        }
    }
}

/// Whether anything is computed over records, here or below.
pub(super) fn has_figures(read: &Read) -> bool {
    let inner = read.targets.iter().flat_map(|target| &target.picks);
    !read.figures.is_empty() || inner.into_iter().any(|pick| matches!(pick, Pick::Read(inner) if has_figures(inner)))
}
