//! Statements over a graph that others wrote, which is to be adopted: what is in it, what stands in the way, and the marks by which the gateway
//! tells whose it is.

use quipu_schema::ontology::{EntityType, Property, Scalar};

use super::apply::{Way, listed, of_tenant, plain};
use super::{Parameter, Scope, Statement, Tenancy, native, quoted};

/// Under this name stands the kind of a value that nothing of an ontology can be.
pub const UNFIT: &str = "what is unfit";

/// Examples of what stands in the way.
const EXAMPLES: u32 = 3;

/// Values of properties that every scalar but dates and instants is made of.
const PLAIN: &str = "STRING | BOOLEAN | INTEGER | FLOAT";

/// Values that dates and instants are made of.
const TEMPORAL: &str =
    "STRING | ZONED DATETIME | LOCAL DATETIME | DATE | LIST<STRING | ZONED DATETIME | LOCAL DATETIME | DATE>";

/// Says that a node or relationship is nobody else's.
fn mine(name: &str, scope: Scope<'_>) -> String {
    match scope.tenancy {
        Tenancy::Property(_) => format!("({name}._tenant IS NULL OR {name}._tenant = $t)"),
        Tenancy::Database => "true".to_owned(),
    }
}

/// Nodes of a type that are nobody else's.
fn nodes_of(of: &str, scope: Scope<'_>) -> String {
    format!("MATCH (n:{}) WHERE {}", scope.labels.expression(of), mine("n", scope))
}

/// Relationships along a way that are nobody else's.
fn along(way: Way<'_>, scope: Scope<'_>) -> String {
    let [from, to] = [way.from, way.to].map(|of| scope.labels.expression(of));
    let of = quoted(way.of);
    let [a, r, b] = ["a", "r", "b"].map(|name| mine(name, scope));
    format!("MATCH (a:{from})-[r:{of}]->(b:{to}) WHERE {r} AND {a} AND {b}")
}

/// Values of properties, in the gateway's form; of what cannot be one, its kind.
fn values<'a>(name: &str, properties: impl Iterator<Item = &'a Property>) -> String {
    let value = |property: &Property| {
        let of = format!("{name}.{}", quoted(&property.stored));
        let fitting = if matches!(property.scalar, Scalar::DateTime | Scalar::Date) { TEMPORAL } else { PLAIN };
        let [one, list] = [false, true].map(|list| native::read(&of, &property.scalar, list));
        // What is a list where one value is expected, or the other way round, is judged by the ontology.
        format!(
            "CASE WHEN {of} IS :: LIST<ANY> NOT NULL AND all(x IN {of} WHERE x IS :: {fitting}) THEN {list} \
             WHEN {of} IS :: {fitting} THEN {one} ELSE {{`{UNFIT}`: valueType({of})}} END"
        )
    };
    format!("[{}]", properties.map(value).collect::<Vec<_>>().join(", "))
}

/// All nodes of a type that have a text for an id: rows of `e`, the database's name for it, `id`, and `p`, values of the properties but the id.
pub fn nodes(entity: &EntityType, scope: Scope<'_>) -> Statement {
    let properties = entity.properties.values().filter(|property| property.stored != "id");
    let text = format!(
        "{} AND n.id IS :: STRING NOT NULL RETURN elementId(n) AS e, n.id AS id, {} AS p",
        nodes_of(&entity.name, scope),
        values("n", properties)
    );
    of_tenant(text, Vec::new(), scope)
}

/// All relationships along a way whose ends have ids: rows of `e`, `a` and `b`, the ids of the ends, `k`, what tells parallel ones apart, and
/// `p`, values of the properties.
pub fn relationships<'a>(way: Way<'_>, properties: impl Iterator<Item = &'a Property>, scope: Scope<'_>) -> Statement {
    let text = format!(
        "{} AND a.id IS :: STRING NOT NULL AND b.id IS :: STRING NOT NULL \
         RETURN elementId(r) AS e, a.id AS a, b.id AS b, coalesce(r._key, '') AS k, {} AS p",
        along(way, scope),
        values("r", properties)
    );
    of_tenant(text, Vec::new(), scope)
}

/// What gives ids to all nodes of a type that have none, for whoever does it in the database.
pub fn ids_by_hand(of: &str, scope: Scope<'_>) -> String {
    by_hand(of, "n.id IS NULL", "n.id = randomUUID()", scope)
}

/// What makes texts of all ids of a type that are none, for whoever does it in the database.
pub fn texts_by_hand(of: &str, scope: Scope<'_>) -> String {
    by_hand(of, "NOT n.id IS :: STRING", "n.id = toString(n.id)", scope)
}

fn by_hand(of: &str, condition: &str, set: &str, scope: Scope<'_>) -> String {
    let labels = scope.labels.expression(of);
    format!("MATCH (n:{labels}) WHERE {condition} CALL (n) {{ SET {set} }} IN TRANSACTIONS")
}

/// How many nodes of a type there are: one row of `count`.
pub fn count_nodes(of: &str, scope: Scope<'_>) -> Statement {
    of_tenant(format!("{} RETURN count(n) AS count", nodes_of(of, scope)), Vec::new(), scope)
}

/// How many relationships are along a way: one row of `count`.
pub fn count_relationships(way: Way<'_>, scope: Scope<'_>) -> Statement {
    of_tenant(format!("{} RETURN count(r) AS count", along(way, scope)), Vec::new(), scope)
}

/// A statement that counts what it finds: one row of `count` and `examples`, some of them as texts.
fn counted(found: String, example: &str, scope: Scope<'_>) -> Statement {
    let text = format!("{found} RETURN count(*) AS count, collect({example})[..{EXAMPLES}] AS examples");
    of_tenant(text, Vec::new(), scope)
}

/// Nodes without an id.
pub fn without_id(of: &str, scope: Scope<'_>) -> Statement {
    counted(format!("{} AND n.id IS NULL", nodes_of(of, scope)), "elementId(n)", scope)
}

/// Nodes whose id is no text.
pub fn other_ids(of: &str, scope: Scope<'_>) -> Statement {
    let found = format!("{} AND NOT n.id IS :: STRING", nodes_of(of, scope));
    counted(found, "coalesce(toStringOrNull(n.id), elementId(n))", scope)
}

/// Ids that several nodes of a type have.
pub fn repeated_ids(of: &str, scope: Scope<'_>) -> Statement {
    let found = format!(
        "{} WITH toStringOrNull(n.id) AS id, count(*) AS times WHERE id IS NOT NULL AND times > 1",
        nodes_of(of, scope)
    );
    counted(found, "id + ' (' + times + ' nodes)'", scope)
}

/// Values of a property that must be one record's alone, and are several nodes'.
pub fn repeated_values(of: &str, property: &Property, scope: Scope<'_>) -> Statement {
    let value = native::read(&format!("n.{}", quoted(&property.stored)), &property.scalar, property.list);
    let found = format!(
        "{} WITH {value} AS value, collect(toStringOrNull(n.id))[..2] AS ids, count(*) AS times WHERE value IS NOT NULL AND times > 1",
        nodes_of(of, scope)
    );
    counted(
        found,
        "coalesce(toStringOrNull(value), 'a list') + ' of ' + reduce(all = '', id IN ids | all + id + ' ')",
        scope,
    )
}

/// Nodes of a type that have the labels of another as well.
pub fn of_other_types(of: &str, others: &[&str], scope: Scope<'_>) -> Statement {
    let others = scope.labels.any(others);
    counted(format!("{} AND n:{others}", nodes_of(of, scope)), "coalesce(toStringOrNull(n.id), elementId(n))", scope)
}

/// Names of properties of nodes of a type that an ontology does not name: one row of `count` and `examples`.
pub fn unnamed(of: &str, known: &[&str], scope: Scope<'_>) -> Statement {
    let text = format!(
        "{} UNWIND keys(n) AS name WITH DISTINCT name WHERE NOT name IN $known AND NOT name STARTS WITH '_' \
         WITH name ORDER BY name RETURN count(*) AS count, collect(name) AS examples",
        nodes_of(of, scope)
    );
    of_tenant(text, vec![("known", listed(known))], scope)
}

/// Nodes with several relationships along a way to the same node, which nothing tells apart.
pub fn parallel(way: Way<'_>, scope: Scope<'_>) -> Statement {
    let found =
        format!("{} WITH a, b, coalesce(r._key, '') AS key, count(*) AS times WHERE times > 1", along(way, scope));
    counted(found, "coalesce(toStringOrNull(a.id), '?') + ' to ' + coalesce(toStringOrNull(b.id), '?')", scope)
}

/// Relationships of a type that lead along none of its ways.
pub fn astray(of: &str, ways: &[Way<'_>], scope: Scope<'_>) -> Statement {
    let [a, r, b] = ["a", "r", "b"].map(|name| mine(name, scope));
    let known = ways.iter().map(|way| {
        let [from, to] = [way.from, way.to].map(|of| scope.labels.expression(of));
        format!("(a:{from} AND b:{to})")
    });
    let known = known.collect::<Vec<_>>().join(" OR ");
    let of = quoted(of);
    let found = format!("MATCH (a)-[r:{of}]->(b) WHERE {r} AND ({a} OR {b}) AND NOT (({known}) AND {a} AND {b})");
    let end = |name: &str| format!("reduce(all = '', l IN labels({name}) | all + ':' + l)");
    counted(found, &format!("{} + ' to ' + {}", end("a"), end("b")), scope)
}

/// Gives ids to a portion of the nodes that have none: one row of `count`.
pub fn assign_ids(of: &str, limit: u32, scope: Scope<'_>) -> Statement {
    portion(
        format!("{} AND n.id IS NULL WITH n LIMIT $limit SET n.id = randomUUID()", nodes_of(of, scope)),
        limit,
        scope,
    )
}

/// Makes texts of a portion of the ids that are none: one row of `count`.
pub fn assign_texts(of: &str, limit: u32, scope: Scope<'_>) -> Statement {
    let found = format!("{} AND n.id IS NOT NULL AND n.id IS :: INTEGER | FLOAT | BOOLEAN", nodes_of(of, scope));
    portion(format!("{found} WITH n LIMIT $limit SET n.id = toString(n.id)"), limit, scope)
}

/// Tells a portion of parallel relationships apart: one row of `count`.
pub fn assign_keys(way: Way<'_>, limit: u32, scope: Scope<'_>) -> Statement {
    let text = format!(
        "{} WITH a, b, coalesce(r._key, '') AS key, collect(r) AS several WHERE size(several) > 1 \
         UNWIND several[1..] AS r WITH r LIMIT $limit SET r._key = randomUUID()",
        along(way, scope)
    );
    portion(text, limit, scope)
}

fn portion(text: String, limit: u32, scope: Scope<'_>) -> Statement {
    let limit = Parameter::Int(i64::from(limit));
    of_tenant(format!("{text} RETURN count(*) AS count"), vec![("limit", limit)], scope)
}

/// Says of nodes whose they are.
pub fn mark_nodes(elements: &[&str], scope: Scope<'_>) -> Statement {
    let text = "UNWIND $elements AS e MATCH (n) WHERE elementId(n) = e SET n._tenant = $t";
    of_tenant(text.to_owned(), vec![("elements", listed(elements))], scope)
}

/// Says of relationships whose they are.
pub fn mark_relationships(elements: &[&str], scope: Scope<'_>) -> Statement {
    let text = "UNWIND $elements AS e MATCH ()-[r]->() WHERE elementId(r) = e SET r._tenant = $t";
    of_tenant(text.to_owned(), vec![("elements", listed(elements))], scope)
}

/// An index by which nodes of a label are found by their id, where the database has one tenant.
pub fn findable(label: &str) -> Statement {
    plain(format!("CREATE INDEX IF NOT EXISTS FOR (n:{}) ON (n.id)", quoted(label)), Vec::new())
}

/// Waits until indexes can be used.
pub fn ready(seconds: u32) -> Statement {
    plain("CALL db.awaitIndexes($seconds)".to_owned(), vec![("seconds", Parameter::Int(i64::from(seconds)))])
}
