//! Searches: the best records by words. The conditions are asked of the candidates in the order of their score, until there are enough.

use quipu_resolvers::ports::{Matching, Within};
use quipu_resolvers::read::Place;

use super::names::{NameOf, Names, UNKNOWN};
use super::record::table;
use super::{Parameter, Statement, Writer, sql};

/// Most words of a query that are searched for.
const MOST_WORDS: usize = 64;

/// The words of a text as an FTS5 query: each quoted, any of them. `None` when there is none.
pub fn words(text: &str) -> Option<String> {
    let mut seen = std::collections::BTreeSet::new();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let quoted: Vec<String> = words
        .map(str::to_lowercase)
        .filter(|word| seen.insert(word.clone()))
        .take(MOST_WORDS)
        .map(|word| format!("\"{word}\""))
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

/// Rows of position in `within`, id and score, best first.
pub fn matching(matching: &Matching, words: &str, names: &Names) -> Statement {
    let mut writer = Writer::new(names);
    let text = format!("text_{}", names.tenant);
    // A tenant without a key has no table either.
    if names.tenant == UNKNOWN || matching.within.is_empty() {
        return Statement { text: "SELECT 0, '', 0.0 WHERE 0".to_owned(), ..Statement::default() };
    }
    writer.put("SELECT ");
    writer.position(&matching.within, "p");
    sql!(
        writer,
        ", p.id, -{text}.rank FROM {text} CROSS JOIN passage AS p ON p.rid = {text}.rowid WHERE {text} MATCH "
    );
    writer.bind(Parameter::Text(words.to_owned()));
    sql!(writer, " AND p.tenant = {} AND ", names.tenant);
    writer.is_within(&matching.within, "p");
    sql!(writer, " ORDER BY {text}.rank LIMIT ");
    writer.bind(Parameter::Int(i64::from(matching.limit)));
    writer.finish()
}

impl Writer<'_> {
    /// Writes the position of a record's type among those searched.
    fn position(&mut self, within: &[Within], alias: &str) {
        sql!(self, "CASE {alias}.kind");
        for (index, within) in within.iter().enumerate() {
            let key = self.key(NameOf::record(within.row), &within.of);
            sql!(self, " WHEN {key} THEN {index}");
        }
        self.put(" ELSE -1 END");
    }

    /// Writes the condition that a search record (with `kind` and `id`) stands for a visible record that matches.
    pub(in crate::stores) fn is_within(&mut self, within: &[Within], alias: &str) {
        sql!(self, "CASE {alias}.kind");
        let tenant = self.names.tenant;
        for within in within {
            let key = self.key(NameOf::record(within.row), &within.of);
            let record = self.record(if within.row { Place::Rows } else { Place::Nodes });
            let name = record.name();
            sql!(self, " WHEN {key} THEN EXISTS (SELECT 1 FROM {} AS {name}", table(record.place));
            sql!(self, " WHERE {name}.tenant = {tenant} AND {name}.kind = {key} AND {name}.id = {alias}.id");
            self.conditions(&record, &[(within.of.as_str(), [&within.visible, &within.filter])]);
            self.put(")");
        }
        self.put(" ELSE 0 END");
    }
}
