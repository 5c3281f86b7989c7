//! Statements that apply the log. Each works on many records of one sort at once; what they mean together is the adapter's business.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::labels::Temporal;
use super::search::{folded, marks, scope_of};
use super::stored::property;
use super::{Parameter, Scope, Statement, Tenancy, native, quoted, texts};

/// The name of the label of the nodes that say where a tenant's graph stands in the log.
pub const POSITION: &str = "_Quipu";

/// Takes the tenant's turn at its graph, until the end of the transaction: one row of `position` and `texts`, the indexed texts by type as
/// JSON.
pub fn begin(tenant: &str) -> Statement {
    let text = "MERGE (q:_Quipu {_tenant: $tenant}) ON CREATE SET q.position = 0, q.texts = '{}' \
                SET q.turn = true REMOVE q.turn RETURN q.position AS position, q.texts AS texts";
    plain(text.to_owned(), vec![("tenant", tenant.into())])
}

/// Notes how far the log was followed.
pub fn set_position(tenant: &str, position: u64) -> Statement {
    let position = Parameter::Int(i64::try_from(position).unwrap_or(i64::MAX));
    let text = "MATCH (q:_Quipu {_tenant: $tenant}) SET q.position = $position";
    plain(text.to_owned(), vec![("tenant", tenant.into()), ("position", position)])
}

/// The labels of all nodes: rows of `label`.
pub fn labels() -> Statement {
    plain("CALL db.labels() YIELD label RETURN label".to_owned(), Vec::new())
}

/// Removes a portion of a tenant's nodes of a label, with their relationships: one row with their number, `count`.
pub fn clear(label: &str, tenant: &str, limit: u32) -> Statement {
    // The condition on `id` lets the label's constraint find them.
    let text = format!(
        "MATCH (n:{}) WHERE n._tenant = $tenant AND n.id IS NOT NULL WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS count",
        quoted(label)
    );
    plain(text, vec![("tenant", tenant.into()), ("limit", Parameter::Int(i64::from(limit)))])
}

/// Labels of what the gateway keeps for itself: notes, words of rows, and words of nodes of a database that others write.
pub const OWN_LABELS: [&str; 3] = [POSITION, "_Row", super::texts::LABEL];

/// Removes a portion of everything of a tenant under a label, with its relationships: one row with the number of nodes, `count`.
pub fn forget(label: &str, tenant: &str, limit: u32) -> Statement {
    let text = format!(
        "MATCH (n:{}) WHERE n._tenant = $tenant WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS count",
        quoted(label)
    );
    plain(text, vec![("tenant", tenant.into()), ("limit", Parameter::Int(i64::from(limit)))])
}

/// Removes a portion of all nodes of a database: one row with their number, `count`.
pub fn forget_everything(limit: u32) -> Statement {
    let text = "MATCH (n) WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS count".to_owned();
    plain(text, vec![("limit", Parameter::Int(i64::from(limit)))])
}

/// How many nodes of a tenant have a label: one row of `count`.
pub fn count_of(label: &str, tenant: &str) -> Statement {
    let text = format!("MATCH (n:{}) WHERE n._tenant = $tenant RETURN count(n) AS count", quoted(label));
    plain(text, vec![("tenant", tenant.into())])
}

/// How many nodes a database has: one row of `count`.
pub fn count_everything() -> Statement {
    plain("MATCH (n) RETURN count(n) AS count".to_owned(), Vec::new())
}

/// Another tenant that has its graph in the database: one row of `tenant`, or none.
pub fn other_tenant(tenant: &str) -> Statement {
    let text = "MATCH (q:_Quipu) WHERE q._tenant <> $tenant RETURN q._tenant AS tenant LIMIT 1";
    plain(text.to_owned(), vec![("tenant", tenant.into())])
}

/// Notes which texts are indexed.
pub fn set_texts(tenant: &str, texts: &str) -> Statement {
    let text = "MATCH (q:_Quipu {_tenant: $tenant}) SET q.texts = $texts";
    plain(text.to_owned(), vec![("tenant", tenant.into()), ("texts", texts.into())])
}

/// Begins to remove a tenant's graph: another making of it follows, and until it is gone less is there than its position says.
pub fn leave(tenant: &str) -> Statement {
    let text = "MATCH (q:_Quipu {_tenant: $tenant}) SET q.making = coalesce(q.making, 0) + 1, q.leaving = true";
    plain(text.to_owned(), vec![("tenant", tenant.into())])
}

/// A tenant's graph is gone, and its log is to be followed from the beginning.
pub fn left(tenant: &str) -> Statement {
    let text = "MATCH (q:_Quipu {_tenant: $tenant}) SET q.position = 0 REMOVE q.leaving";
    plain(text.to_owned(), vec![("tenant", tenant.into())])
}

/// Where the graph stands: one row of `position`, `making` and `leaving`, or none.
pub fn standing(tenant: &str) -> Statement {
    let text = "MATCH (q:_Quipu {_tenant: $tenant}) \
                RETURN q.position AS position, coalesce(q.making, 0) AS making, coalesce(q.leaving, false) AS leaving";
    plain(text.to_owned(), vec![("tenant", tenant.into())])
}

/// How far the log was followed: one row of `position`, or none.
pub fn position(tenant: &str) -> Statement {
    let text = "MATCH (q:_Quipu {_tenant: $tenant}) RETURN q.position AS position";
    plain(text.to_owned(), vec![("tenant", tenant.into())])
}

/// Types of a relationship and of its start and end node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way<'a> {
    /// Type of the relationship.
    pub of: &'a str,
    /// Type of its start.
    pub from: &'a str,
    /// Type of its end.
    pub to: &'a str,
}

/// Identity of a relationship along a way: id of the start, id of the end, key; without a key all parallel ones.
pub type Ends<'a> = (&'a str, &'a str, Option<&'a str>);

/// Removes relationships: one row with their number, `count`.
pub fn unlink(way: Way<'_>, gone: &[Ends<'_>], scope: Scope<'_>) -> Statement {
    let (a, b) = (node("a", way.from, "row[0]", scope), node("b", way.to, "row[1]", scope));
    let text = format!(
        "UNWIND $rows AS row MATCH {a}-[r:{}]->{b} WHERE row[2] IS NULL OR coalesce(r._key, '') = row[2] \
         WITH DISTINCT r DELETE r RETURN count(*) AS count",
        quoted(way.of)
    );
    let rows = gone.iter().map(|(from, to, key)| {
        Parameter::List(vec![(*from).into(), (*to).into(), key.map_or(Parameter::Null, Parameter::from)])
    });
    of_tenant(text, vec![("rows", Parameter::List(rows.collect()))], scope)
}

/// Removes the relationships of nodes: one row with their number, `count`.
pub fn cut(of: &str, ids: &[&str], scope: Scope<'_>) -> Statement {
    let text = format!(
        "UNWIND $ids AS id MATCH {}-[r]-() WITH DISTINCT r DELETE r RETURN count(*) AS count",
        node("n", of, "id", scope)
    );
    of_tenant(text, vec![("ids", listed(ids))], scope)
}

/// Removes nodes.
pub fn delete(of: &str, ids: &[&str], scope: Scope<'_>) -> Statement {
    let text = format!("UNWIND $ids AS id MATCH {} DETACH DELETE n", node("n", of, "id", scope));
    of_tenant(text, vec![("ids", listed(ids))], scope)
}

/// Makes nodes, or changes those that are there.
pub fn put(of: &str, nodes: &[(&str, &Map<String, Json>)], scope: Scope<'_>) -> Statement {
    let further: Vec<String> = scope.labels.further(of).iter().map(|label| format!(":{}", quoted(label))).collect();
    let further = if further.is_empty() { String::new() } else { format!(" SET n{}", further.concat()) };
    let node = identified("n", scope.labels.first(of), "row[0]", scope);
    let rows = nodes.iter().map(|(id, set)| Parameter::List(vec![(*id).into(), properties(set)]));
    let rows = ("rows", Parameter::List(rows.collect()));
    if by_property(scope) {
        let text = format!("UNWIND $rows AS row MERGE {node} SET n += row[1]{further}");
        return of_tenant(text, vec![rows], scope);
    }
    let text = format!("UNWIND $rows AS row MERGE {node}{further} WITH n, row {}", native::set("n", "row[1]"));
    let [instants, days] = temporal(scope.labels.temporal(of));
    of_tenant(text, vec![rows, instants, days], scope)
}

/// Makes relationships, or changes those that are there: one row with the number of those that were not, `count`.
pub fn link(way: Way<'_>, links: &[(&str, &str, &str, &Map<String, Json>)], scope: Scope<'_>) -> Statement {
    let (a, b) = (node("a", way.from, "row[0]", scope), node("b", way.to, "row[1]", scope));
    let of = quoted(way.of);
    let found = format!(
        "UNWIND $rows AS row MATCH {a} MATCH {b} OPTIONAL MATCH (a)-[r:{of}]->(b) WHERE coalesce(r._key, '') = row[2]"
    );
    let missing = "FOREACH (x IN CASE WHEN r IS NULL THEN [1] ELSE [] END |";
    let count = "RETURN count(CASE WHEN r IS NULL THEN 1 END) AS count";
    let rows = links.iter().map(|(from, to, key, set)| {
        Parameter::List(vec![(*from).into(), (*to).into(), (*key).into(), properties(set)])
    });
    let rows = ("rows", Parameter::List(rows.collect()));
    if by_property(scope) {
        let text = format!(
            "{found} {missing} CREATE (a)-[made:{of}]->(b) SET made = row[3], made._key = row[2], made._tenant = $t) SET r += row[3] {count}"
        );
        return of_tenant(text, vec![rows], scope);
    }
    let text = format!(
        "{found} {missing} CREATE (a)-[made:{of}]->(b) SET made._key = CASE row[2] WHEN '' THEN NULL ELSE row[2] END \
         FOREACH (k IN keys(row[3]) | SET made[k] = {})) \
         FOREACH (k IN CASE WHEN r IS NULL THEN [] ELSE {} END | SET r[k] = {}) {count}",
        native::held("made", "row[3]"),
        native::differing("r", "row[3]"),
        native::held("r", "row[3]")
    );
    let [instants, days] = temporal(scope.labels.temporal_of_relationships(way.of));
    of_tenant(text, vec![rows, instants, days], scope)
}

/// The names of dates and instants, as parameters.
fn temporal(of: Option<&Temporal>) -> [(&'static str, Parameter); 2] {
    let names = |names: Option<&BTreeSet<String>>| {
        Parameter::List(names.into_iter().flatten().map(|name| name.as_str().into()).collect())
    };
    [("instants", names(of.map(|of| &of.instants))), ("days", names(of.map(|of| &of.days)))]
}

/// Indexes the texts of nodes again: all the texts of a node's properties `names` together.
pub fn index(tenant: &str, of: &str, ids: &[&str], names: &[String], scope: Scope<'_>) -> Statement {
    if !by_property(scope) {
        return texts::index(tenant, of, ids, names, scope);
    }
    let (text, named) = indexed(&node("n", of, "id", scope), tenant, of, ids, names);
    of_tenant(text, named, scope)
}

/// Text and parameters that index the texts of what `pattern` finds as `n` for each `id`.
pub(super) fn indexed(
    pattern: &str,
    tenant: &str,
    of: &str,
    ids: &[&str],
    names: &[String],
) -> (String, Vec<(&'static str, Parameter)>) {
    let text = format!(
        "UNWIND $ids AS id MATCH {pattern} WITH n, [name IN $names WHERE n[name] IS :: STRING NOT NULL | n[name]] AS texts \
         FOREACH (x IN CASE size(texts) WHEN 0 THEN [1] ELSE [] END | REMOVE n:_Text REMOVE n._text REMOVE n._scope) \
         FOREACH (x IN CASE size(texts) WHEN 0 THEN [] ELSE [1] END | \
         SET n:_Text SET n._text = {} SET n._scope = $scope)",
        folded("reduce(all = '', text IN texts | all + text + '\\n')")
    );
    let names = Parameter::List(names.iter().map(|name| name.as_str().into()).collect());
    (text, vec![("ids", listed(ids)), ("names", names), ("scope", Parameter::Text(scope_of(tenant, of))), marks()])
}

/// Ids of a type after one, in order, at most `limit`: rows of `id`.
pub fn ids_after(of: &str, after: &str, limit: u32, scope: Scope<'_>) -> Statement {
    let labels = scope.labels.expression(of);
    let text = match by_property(scope) {
        true => format!(
            "MATCH (n:{labels}) WHERE n._tenant = $t AND n.id > $after RETURN n.id AS id ORDER BY n._tenant, n.id LIMIT $limit"
        ),
        false => {
            format!("MATCH (n:{labels}) WITH toString(n.id) AS id WHERE id > $after RETURN id ORDER BY id LIMIT $limit")
        }
    };
    of_tenant(text, vec![("after", after.into()), ("limit", Parameter::Int(i64::from(limit)))], scope)
}

/// A node by id, as a pattern. Further labels of the type are looked at as well.
fn node(name: &str, of: &str, id: &str, scope: Scope<'_>) -> String {
    let tenant = if by_property(scope) { "_tenant: $t, " } else { "" };
    format!("({name}:{} {{{tenant}id: {id}}})", scope.labels.expression(of))
}

/// A node by the label and properties that its constraint is on.
fn identified(name: &str, label: &str, id: &str, scope: Scope<'_>) -> String {
    let tenant = if by_property(scope) { "_tenant: $t, " } else { "" };
    format!("({name}:{} {{{tenant}id: {id}}})", quoted(label))
}

fn by_property(scope: Scope<'_>) -> bool {
    matches!(scope.tenancy, Tenancy::Property(_))
}

pub(super) fn properties(set: &Map<String, Json>) -> Parameter {
    Parameter::Map(set.iter().map(|(name, value)| (name.clone(), property(value))).collect())
}

pub(super) fn listed(ids: &[&str]) -> Parameter {
    Parameter::List(ids.iter().map(|id| Parameter::from(*id)).collect())
}

pub(super) fn plain(text: String, named: Vec<(&str, Parameter)>) -> Statement {
    let parameters = named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Statement { text, parameters }
}

pub(super) fn of_tenant(text: String, mut named: Vec<(&str, Parameter)>, scope: Scope<'_>) -> Statement {
    if let Tenancy::Property(tenant) = scope.tenancy {
        named.push(("t", Parameter::Text(tenant.clone())));
    }
    plain(text, named)
}

/// Names of the properties by type whose text is indexed, as they are kept.
pub type Texts = BTreeMap<String, Vec<String>>;
