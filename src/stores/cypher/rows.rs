//! Statements over the texts of rows, which are in another store: here a node of the label `_Row` stands for a row and holds nothing of it but
//! its texts. Which of them may be found is for the store to say that has the rows.

use serde_json::{Map, Value as Json};

use super::search::{INDEX, folded, marks, query};
use super::{Parameter, Statement, apply};

/// Notes texts of rows; null removes one.
pub fn put(tenant: &str, of: &str, rows: &[(&str, Map<String, Json>)]) -> Statement {
    let text = "UNWIND $rows AS row MERGE (n:_Row {_tenant: $tenant, _of: $of, id: row[0]}) SET n += row[1]".to_owned();
    let rows = rows.iter().map(|(id, set)| Parameter::List(vec![(*id).into(), apply::properties(set)]));
    apply::plain(text, vec![("tenant", tenant.into()), ("of", of.into()), ("rows", Parameter::List(rows.collect()))])
}

/// Indexes the texts of rows again: all those of the properties `names` together.
pub fn index(tenant: &str, of: &str, ids: &[&str], names: &[String]) -> Statement {
    let (text, mut named) = apply::indexed("(n:_Row {_tenant: $tenant, _of: $of, id: id})", tenant, of, ids, names);
    named.extend([("tenant", tenant.into()), ("of", of.into())]);
    apply::plain(text, named)
}

/// Removes the texts of rows.
pub fn delete(tenant: &str, of: &str, ids: &[&str]) -> Statement {
    let text = "UNWIND $ids AS id MATCH (n:_Row {_tenant: $tenant, _of: $of, id: id}) DELETE n".to_owned();
    apply::plain(text, vec![("tenant", tenant.into()), ("of", of.into()), ("ids", apply::listed(ids))])
}

/// Rows of `of`, `id` and `score`, best first, of rows of some types that have any of the words, whoever may see them.
pub fn matching(tenant: &str, types: &[&str], words: &[String], limit: u32) -> Statement {
    let text = format!(
        "CALL db.index.fulltext.queryNodes('{INDEX}', {}) YIELD node AS n, score WHERE n:_Row AND n._tenant = $tenant \
         RETURN n._of AS of, n.id AS id, score LIMIT $limit",
        folded("$query")
    );
    let query = Parameter::Text(query(words, tenant, types));
    let limit = Parameter::Int(i64::from(limit));
    apply::plain(text, vec![("tenant", tenant.into()), ("query", query), ("limit", limit), marks()])
}
