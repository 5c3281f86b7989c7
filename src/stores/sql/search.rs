//! Searches by words and by vector. The conditions are asked of candidates in the order of their score, until there are enough.

use quipu_resolvers::ports::{Matching, Nearest, VectorOf, Within};
use quipu_resolvers::read::Place;

use super::names::{NameOf, Names, UNKNOWN};
use super::record::table;
use super::{Dialect, Parameter, Statement, Writer, sql};

/// Most words of a query that are searched for.
const MOST_WORDS: usize = 64;

/// Records that are ranked for one search, as long as there are words that fewer have.
const RANKED: u32 = 20_000;

/// The words of a text, each once, in lower case. Whatever is neither letter nor digit only separates them.
pub fn words(text: &str) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).filter(|word| seen.insert(word.clone())).take(MOST_WORDS).collect()
}

/// Rows of position in `within`, id and score, best first, of records that have any of the words.
///
/// Ranking takes time for every record that has one of the words, and common words say little: the rarest words are taken first, and
/// the others as long as no more than some thousands of records are to be ranked. Measured on 100,000 passages: 33 ms instead of 181.
pub fn matching(matching: &Matching, words: &[String], names: &Names) -> Statement {
    let mut writer = Writer::new(Dialect::Sqlite, names);
    let tenant = names.tenant;
    // A tenant without a key has no table either.
    if tenant == UNKNOWN || matching.within.is_empty() {
        return Statement { text: "SELECT 0, '', 0.0 WHERE 0".to_owned(), ..Statement::default() };
    }
    writer.put("SELECT ");
    writer.position(&matching.within, "p");
    sql!(
        writer,
        ", p.id, -text_{tenant}.rank FROM text_{tenant} CROSS JOIN passage AS p ON p.rid = text_{tenant}.rowid"
    );
    sql!(writer, " WHERE text_{tenant} MATCH (WITH counted AS MATERIALIZED (SELECT value AS word, ");
    sql!(writer, "coalesce((SELECT doc FROM word_{tenant} WHERE term = value), 0) AS doc FROM json_each(");
    writer.bind(Parameter::Text(serde_json::Value::from(words).to_string()));
    writer.put(")) SELECT group_concat('\"' || word || '\"', ' OR ') FROM (SELECT word, doc, ");
    writer.put("sum(doc) OVER (ORDER BY doc, word ROWS UNBOUNDED PRECEDING) AS ranked FROM counted)");
    sql!(writer, " WHERE ranked <= {RANKED} OR ranked = doc) AND p.tenant = {tenant} AND ");
    writer.is_within(&matching.within, "p");
    sql!(writer, " ORDER BY text_{tenant}.rank LIMIT 0 + ");
    writer.bind(Parameter::Int(i64::from(matching.limit)));
    writer.finish()
}

/// Candidates that pass the conditions and are compared exactly: at least these.
const COMPARED: u32 = 1_000;

/// Rows of vectors' row ids and signs: all of the space that is searched.
pub fn signs(nearest: &Nearest, names: &Names) -> Statement {
    let mut writer = Writer::new(Dialect::Sqlite, names);
    writer.put("SELECT vectors, signs FROM code WHERE space = ");
    writer.space(&nearest.within, &nearest.property, nearest.vector.len());
    writer.finish()
}

/// Rows of id and score, best first, of the first candidates that pass the conditions, compared exactly.
pub fn nearest_of(nearest: &Nearest, candidates: &[i64], names: &Names) -> Statement {
    let mut writer = Writer::new(Dialect::Sqlite, names);
    writer.put("SELECT id, 1.0 - vec_distance_cosine(data, ");
    writer.bind(Parameter::Bytes(bytes(&nearest.vector)));
    writer.put(") AS score FROM (SELECT v.rid, v.id FROM json_each(");
    writer.bind(Parameter::Text(serde_json::Value::from(candidates).to_string()));
    writer.put(") AS c CROSS JOIN vector AS v ON v.rid = c.value WHERE ");
    writer.is_within(std::slice::from_ref(&nearest.within), "v");
    sql!(
        writer,
        " LIMIT {}) AS passed CROSS JOIN vector_data ON vector_data.rid = passed.rid",
        COMPARED.max(nearest.limit.saturating_mul(4))
    );
    writer.put(" ORDER BY score DESC, id LIMIT 0 + ");
    writer.bind(Parameter::Int(i64::from(nearest.limit)));
    writer.finish()
}

/// The same over all records that meet the conditions, for conditions that so few meet that the candidates are not enough.
pub fn nearest_of_few(nearest: &Nearest, names: &Names) -> Statement {
    let mut writer = Writer::new(Dialect::Sqlite, names);
    let within = &nearest.within;
    let record = writer.record(place(within));
    let name = record.name();
    sql!(writer, "SELECT {name}.id, 1.0 - vec_distance_cosine(data, ");
    writer.bind(Parameter::Bytes(bytes(&nearest.vector)));
    let (tenant, key) = (writer.names.tenant, writer.key(NameOf::record(within.row), &within.of));
    sql!(writer, ") AS score FROM {} AS {name} CROSS JOIN vector AS v ", table(record.place));
    sql!(writer, "ON v.tenant = {tenant} AND v.kind = {key} AND v.id = {name}.id AND v.space = ");
    writer.space(within, &nearest.property, nearest.vector.len());
    writer.put(" CROSS JOIN vector_data ON vector_data.rid = v.rid");
    sql!(writer, " WHERE {name}.tenant = {tenant} AND {name}.kind = {key}");
    writer.conditions(&record, &[(within.of.as_str(), [&within.visible, &within.filter])]);
    sql!(writer, " ORDER BY score DESC, {name}.id LIMIT 0 + ");
    writer.bind(Parameter::Int(i64::from(nearest.limit)));
    writer.finish()
}

/// The bytes of a record's vector, if the record is visible.
pub fn vector(wanted: &VectorOf, names: &Names) -> Statement {
    let mut writer = Writer::new(Dialect::Sqlite, names);
    let (tenant, key) = (names.tenant, writer.key(NameOf::record(wanted.within.row), &wanted.within.of));
    writer.put("SELECT data FROM vector AS v CROSS JOIN space ON space.key = v.space ");
    writer.put("CROSS JOIN vector_data ON vector_data.rid = v.rid ");
    sql!(writer, "WHERE v.tenant = {tenant} AND v.kind = {key} AND v.id = ");
    writer.bind(Parameter::Text(wanted.id.clone()));
    writer.put(" AND space.property = ");
    writer.bind(Parameter::Text(wanted.property.clone()));
    writer.put(" AND ");
    writer.is_within(std::slice::from_ref(&wanted.within), "v");
    writer.finish()
}

/// A vector as stored: 32-bit floats, little endian.
pub fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn place(within: &Within) -> Place {
    if within.row { Place::Rows } else { Place::Nodes }
}

impl Writer<'_> {
    /// Writes the key of the space of a property's vectors.
    fn space(&mut self, within: &Within, property: &str, dimensions: usize) {
        let (tenant, key) = (self.names.tenant, self.key(NameOf::record(within.row), &within.of));
        sql!(self, "(SELECT key FROM space WHERE tenant = {tenant} AND kind = {key} AND property = ");
        self.bind(Parameter::Text(property.to_owned()));
        sql!(self, " AND dimensions = {dimensions})");
    }

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
            let record = self.record(place(within));
            let name = record.name();
            sql!(self, " WHEN {key} THEN EXISTS (SELECT 1 FROM {} AS {name}", table(record.place));
            sql!(self, " WHERE {name}.tenant = {tenant} AND {name}.kind = {key} AND {name}.id = {alias}.id");
            self.conditions(&record, &[(within.of.as_str(), [&within.visible, &within.filter])]);
            self.put(")");
        }
        self.put(" ELSE 0 END");
    }
}
