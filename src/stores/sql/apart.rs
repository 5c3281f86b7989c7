//! Searches by vector in a file that does not hold the records: nothing but vectors is asked.

use quipu_resolvers::ports::{Nearest, VectorOf};

use super::names::{NameOf, Names, UNKNOWN};
use super::search::bytes;
use super::{Dialect, Parameter, Statement, Writer, sql};

/// Rows of vectors' row ids and signs: all of the space that is searched.
pub fn signs(nearest: &Nearest, names: &Names) -> Statement {
    let mut writer = Writer::new(Dialect::Sqlite, names);
    writer.put("SELECT vectors, signs FROM code WHERE space IN ");
    writer.spaces(nearest);
    writer.finish()
}

/// Rows of id and score, best first, at most `most`, of candidates by their row ids.
pub fn nearest_of(nearest: &Nearest, candidates: &[i64], most: u32, names: &Names) -> Statement {
    let mut writer = Writer::new(Dialect::Sqlite, names);
    writer.scores(nearest);
    writer.bind(Parameter::Text(serde_json::Value::from(candidates).to_string()));
    writer.put(") AS c CROSS JOIN vector AS v ON v.rid = c.value");
    writer.best(most)
}

/// The same among records by their ids.
pub fn nearest_among(nearest: &Nearest, ids: &[String], most: u32, names: &Names) -> Statement {
    let mut writer = Writer::new(Dialect::Sqlite, names);
    writer.scores(nearest);
    writer.bind(Parameter::Text(serde_json::Value::from(ids).to_string()));
    let tenant = names.tenant;
    sql!(writer, ") AS i CROSS JOIN vector AS v ON v.tenant = {tenant} AND v.id = i.value AND v.kind IN ");
    writer.kinds(&nearest.within.of);
    writer.put(" AND v.space IN ");
    writer.spaces(nearest);
    writer.best(most)
}

/// The bytes of a record's vector.
pub fn vector(wanted: &VectorOf, names: &Names) -> Statement {
    let mut writer = Writer::new(Dialect::Sqlite, names);
    writer.put("SELECT data FROM vector AS v CROSS JOIN space ON space.key = v.space ");
    writer.put("CROSS JOIN vector_data ON vector_data.rid = v.rid ");
    sql!(writer, "WHERE v.tenant = {} AND v.kind IN ", names.tenant);
    writer.kinds(&wanted.within.of);
    writer.put(" AND v.id = ");
    writer.bind(Parameter::Text(wanted.id.clone()));
    writer.put(" AND space.property = ");
    writer.bind(Parameter::Text(wanted.property.clone()));
    writer.finish()
}

impl Writer<'_> {
    /// Writes the keys of a type: whoever noted its vectors need not have known whether it is of nodes or of rows.
    fn kinds(&mut self, of: &str) {
        let keys = [NameOf::Node, NameOf::Row].map(|sort| self.names.key(sort, of));
        self.statement.unknown_names |= keys == [UNKNOWN; 2];
        sql!(self, "({}, {})", keys[0], keys[1]);
    }

    /// Writes the keys of the spaces of a property's vectors.
    fn spaces(&mut self, nearest: &Nearest) {
        sql!(self, "(SELECT key FROM space WHERE tenant = {} AND kind IN ", self.names.tenant);
        self.kinds(&nearest.within.of);
        self.put(" AND property = ");
        self.bind(Parameter::Text(nearest.property.clone()));
        sql!(self, " AND dimensions = {})", nearest.vector.len());
    }

    /// Begins a search; what it goes through is bound next.
    fn scores(&mut self, nearest: &Nearest) {
        self.put("SELECT v.id, 1.0 - vec_distance_cosine(data, ");
        self.bind(Parameter::Bytes(bytes(&nearest.vector)));
        self.put(") AS score FROM json_each(");
    }

    /// Ends a search.
    fn best(mut self, most: u32) -> Statement {
        self.put(" CROSS JOIN vector_data ON vector_data.rid = v.rid");
        sql!(self, " WHERE v.tenant = {} ORDER BY score DESC, v.id LIMIT 0 + ", self.names.tenant);
        self.bind(Parameter::Int(i64::from(most)));
        self.finish()
    }
}
