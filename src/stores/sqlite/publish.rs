//! Publishing an ontology: its text, keys for all its names, and the indexes that it asks for.

use std::collections::{BTreeMap, BTreeSet};

use quipu_resolvers::guard::TenantId;
use quipu_schema::ontology::{EntityType, Ontology, Scalar};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, query, query_scalar};

use super::accept::number;
use super::connections::Failure;
use super::{known, tenants};
use crate::stores::sql;
use crate::stores::sql::names::{NameOf, Names};

/// Publishes; a refusal is not a failure of the store.
pub(super) async fn transact(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    sdl: &str,
    ontology: &Ontology,
) -> Result<(u64, Names), Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut names = tenants::ensure(&mut transaction, tenant).await?;
    let version = note(&mut transaction, names.tenant, sdl).await?;
    known::intern(&mut transaction, &mut names, &names_of(ontology)).await?;
    index(&mut transaction, &names, ontology).await?;
    transaction.commit().await?;
    Ok((number(version), names))
}

/// Keeps the text, unless it is the current one.
async fn note(connection: &mut SqliteConnection, tenant: i64, sdl: &str) -> Result<i64, Failure> {
    let version: i64 =
        query_scalar("SELECT version FROM tenant WHERE key = ?").bind(tenant).fetch_one(&mut *connection).await?;
    let current: Option<String> = query_scalar("SELECT sdl FROM ontology WHERE tenant = ? AND version = ?")
        .bind(tenant)
        .bind(version)
        .fetch_optional(&mut *connection)
        .await?;
    if current.as_deref() == Some(sdl) {
        return Ok(version);
    }
    let version = version + 1;
    query("INSERT INTO ontology (tenant, version, sdl) VALUES (?, ?, ?)")
        .bind(tenant)
        .bind(version)
        .bind(sdl)
        .execute(&mut *connection)
        .await?;
    query("UPDATE tenant SET version = ? WHERE key = ?").bind(version).bind(tenant).execute(connection).await?;
    Ok(version)
}

fn names_of(ontology: &Ontology) -> BTreeSet<(NameOf, &str)> {
    let types = ontology.types.values().map(|entity| (NameOf::record(!entity.is_node()), entity.name.as_str()));
    let relationships = ontology.types.values().flat_map(|entity| entity.relationships.values());
    types.chain(relationships.map(|r| (NameOf::Relationship, r.relationship_type.as_str()))).collect()
}

/// Makes the wanted indexes and drops those that are not wanted any more.
async fn index(connection: &mut SqliteConnection, names: &Names, ontology: &Ontology) -> Result<(), Failure> {
    let wanted = wanted_indexes(names, ontology);
    let prefix = format!("ix_{}_*", names.tenant);
    let held: Vec<String> = query_scalar("SELECT name FROM sqlite_schema WHERE type = 'index' AND name GLOB ?")
        .bind(prefix)
        .fetch_all(&mut *connection)
        .await?;
    for name in held.iter().filter(|name| !wanted.contains_key(*name)) {
        query("DELETE FROM sqlite_stat1 WHERE idx = ?").bind(name).execute(&mut *connection).await?;
        query(AssertSqlSafe(format!("DROP INDEX {}", quoted(name)))).execute(&mut *connection).await?;
    }
    for (name, (table, text)) in wanted.iter().filter(|(name, _)| !held.contains(name)) {
        query(AssertSqlSafe(text.clone())).execute(&mut *connection).await?;
        // Fixed statistics, as in the first migration: few records share a value.
        query("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, '100000 100000 10 1')")
            .bind(*table)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    if wanted.keys().any(|name| !held.contains(name)) {
        query("ANALYZE sqlite_schema").execute(connection).await?;
    }
    Ok(())
}

/// Indexes by name: of properties that ask for one, and of those that joins look for.
fn wanted_indexes(names: &Names, ontology: &Ontology) -> BTreeMap<String, (&'static str, String)> {
    let mut wanted = BTreeMap::new();
    let joined: BTreeSet<(&str, &str)> = ontology
        .types
        .values()
        .flat_map(|entity| entity.joins.values())
        .flat_map(|join| ontology.members(&join.target).into_iter().map(|t| (t.name.as_str(), join.remote.as_str())))
        .collect();
    for entity in ontology.types.values() {
        let of_entity = entity.properties.values().filter(|property| {
            let asked = property.indexed || property.unique || joined.contains(&(&entity.name, &property.stored));
            asked && property.stored != "id" && !property.list && property.scalar != Scalar::Json
        });
        for property in of_entity {
            let (table, key) = place_of(names, entity);
            let name = format!("ix_{}_{key}_{}", names.tenant, property.stored);
            let value = format!("(props ->> {})", sql::path(&property.stored));
            let text = format!("CREATE INDEX {} ON {table} (tenant, {value}, id) WHERE kind = {key}", quoted(&name));
            wanted.insert(name, (table, text));
        }
    }
    wanted
}

fn place_of(names: &Names, entity: &EntityType) -> (&'static str, i64) {
    let table = if entity.is_node() { "node" } else { "record" };
    (table, names.key(NameOf::record(!entity.is_node()), &entity.name))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
