//! Searches by words: one full-text index over all tenants, whose texts carry the tenant and the type as words of their own.

use quipu_resolvers::ports::Matching;
use quipu_resolvers::read::Place;
use sha2::{Digest, Sha256};

use super::record::{Conditions, Record};
use super::{Parameter, Scope, Statement, Writer, cypher, texts};

/// Name of the full-text index.
pub const INDEX: &str = "_quipu_text";

/// Rows of `i`, position in `within`, `id` and `score`, best first, of nodes that have any of the words. The index answers in the order of
/// the score, and conditions are asked of the best first, until there are enough.
pub fn matching(matching: &Matching, words: &[String], tenant: &str, scope: Scope<'_>) -> Statement {
    let mut writer = Writer::new(scope);
    let nodes: Vec<_> = matching.within.iter().enumerate().filter(|(_, within)| !within.row).collect();
    let types = nodes.iter().map(|(_, within)| within.of.as_str()).collect();
    let record = Record { place: Place::Nodes, alias: writer.alias(), edge: None, types };
    let name = record.name();
    let (marked, marks) = marks();
    writer.statement.parameters.push((marked.to_owned(), marks));
    writer.statement.parameters.push(("query".to_owned(), Parameter::Text(query(words, tenant, &record.types))));
    let (query, node) = (folded("$query"), if writer.by_property() { name.to_string() } else { "t".to_owned() });
    cypher!(writer, "CALL db.index.fulltext.queryNodes('{INDEX}', {query}) YIELD node AS {node}, score");
    let mut conditions = Conditions::default();
    if writer.by_property() {
        conditions.next(&mut writer);
        cypher!(writer, "{name}._tenant = $t");
    } else {
        // The numbers of nodes are given again when they are gone, so the id is looked at as well.
        cypher!(writer, " WHERE t:{} MATCH ({name})", texts::LABEL);
        conditions.next(&mut writer);
        cypher!(writer, "elementId({name}) = t._node AND toString({name}.id) = t.id AND {name}:");
        writer.put(&scope.labels.any(&record.types));
    }
    let parts: Vec<_> =
        nodes.iter().map(|(_, within)| (within.of.as_str(), [&within.visible, &within.filter])).collect();
    writer.conditions(&record, &parts, &mut conditions);
    writer.put(" RETURN CASE");
    for (index, within) in &nodes {
        cypher!(writer, " WHEN {name}:{} THEN {index}", scope.labels.expression(&within.of));
    }
    writer.put(" END AS i, ");
    writer.id_of(name);
    writer.put(" AS id, score LIMIT ");
    writer.bind(Parameter::Int(i64::from(matching.limit)));
    writer.finish()
}

/// An expression for a text without accents, in which both texts and questions are compared. The analyzer that folds them drops
/// English words like `the` as well, of which some questions consist.
pub(super) fn folded(text: &str) -> String {
    format!("normalize(reduce(plain = normalize({text}, NFD), mark IN $marks | replace(plain, mark, '')), NFC)")
}

/// The combining marks that accents are made of, as a parameter.
pub(super) fn marks() -> (&'static str, Parameter) {
    let marks = ('\u{300}'..='\u{36f}').map(|mark| Parameter::Text(mark.to_string()));
    ("marks", Parameter::List(marks.collect()))
}

/// The words by which a text says whose it is.
pub(super) fn scope_of(tenant: &str, of: &str) -> String {
    format!("{} {}", word('t', tenant), word('k', of))
}

/// A question in Lucene's language. Words are letters and digits only, in quotes; nothing else of them reaches it. Tenant and types
/// count nothing for the score.
pub(super) fn query(words: &[String], tenant: &str, types: &[&str]) -> String {
    let types: Vec<String> = types.iter().map(|of| format!("_scope:{}", word('k', of))).collect();
    let words: Vec<String> = words.iter().map(|word| format!("_text:\"{word}\"")).collect();
    format!("+_scope:{}^0 +({})^0 +({})", word('t', tenant), types.join(" "), words.join(" "))
}

/// A name as one word of letters and digits, whatever it is made of.
fn word(sort: char, name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let hex: Vec<String> = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{sort}{}", hex.concat())
}
