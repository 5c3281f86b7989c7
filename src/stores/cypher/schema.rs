//! Constraints and indexes of what an ontology describes. What the gateway needs for itself is in `graph-migrations/neo4j`. All are made only where they are not there yet, and while the database is in use.

use std::collections::BTreeSet;

use quipu_schema::ontology::{Ontology, Scalar};

use super::{Labels, quoted};

/// Indexes that do not hold everything yet, and those that never will.
pub const UNFILLED: &str = "SHOW INDEXES YIELD state, labelsOrTypes, properties, failureMessage WHERE state <> 'ONLINE' \
    RETURN labelsOrTypes[0] + '(' + reduce(all = '', p IN properties | all + CASE all WHEN '' THEN '' ELSE ', ' END + p) + ')' AS name, \
    state, coalesce(failureMessage, '') AS failure ORDER BY name";

/// The key of a label: an id once in a tenant.
pub fn key(label: &str) -> String {
    format!("CREATE CONSTRAINT IF NOT EXISTS FOR (n:{}) REQUIRE (n._tenant, n.id) IS UNIQUE", quoted(label))
}

/// The index of a relationship's type, to find all of a tenant.
pub fn of_tenant(relationship_type: &str) -> String {
    format!("CREATE INDEX IF NOT EXISTS FOR ()-[r:{}]-() ON (r._tenant)", quoted(relationship_type))
}

/// What an ontology asks for: keys of its labels, and indexes of properties that ask for one or that joins look for.
pub fn of_ontology(ontology: &Ontology, labels: &Labels) -> Vec<String> {
    let joined = ontology.joined();
    let mut wanted = BTreeSet::new();
    for entity in ontology.types.values().filter(|entity| entity.is_node()) {
        let label = labels.first(&entity.name);
        wanted.insert(key(label));
        for property in entity.properties.values() {
            let asked = property.indexed || property.unique || joined.contains(&(&entity.name, &property.stored));
            if !asked || property.stored == "id" || property.list || property.scalar == Scalar::Json {
                continue;
            }
            let (label, name) = (quoted(label), quoted(&property.stored));
            wanted.insert(format!("CREATE INDEX IF NOT EXISTS FOR (n:{label}) ON (n._tenant, n.{name})"));
        }
    }
    wanted.extend(labels.relationships().map(of_tenant));
    wanted.into_iter().collect()
}
