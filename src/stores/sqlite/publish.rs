//! Publishing an ontology: its text, keys for all its names, and what follows from it for records that are there already: defaults
//! and refusals (`fitting.rs`), indexes, unique values and texts.

use std::collections::{BTreeMap, BTreeSet};

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_schema::ontology::{EntityType, Ontology, Scalar};
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, query, query_as, query_scalar};

use super::accept::parsed;
use super::connections::Failure;
use super::fitting::InFile;
use super::registry::each;
use super::{graph, known, lives, tenants, text};
use crate::stores::fitting::{Fitting, Holders};
use crate::stores::holdings;
use crate::stores::logged::number;
use crate::stores::sql;
use crate::stores::sql::names::{NameOf, Names};

/// What came of it; a refusal is not a failure of the store.
type Published = Result<(u64, Names), Fault>;

/// Publishes.
pub(super) async fn transact(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    sdl: &str,
    ontology: &Ontology,
    at: &str,
    holds_graph: bool,
) -> Result<Published, Failure> {
    if let Some((entity, (table, mapped))) = ontology.types.values().find_map(|t| Some((t, t.mapped()?))) {
        let message = format!(
            "{} is the table {}.{table} of a Postgres database, and rows are kept in a file here: set `metadata.url` to the \
             address of that database, or leave out `schema` to keep rows of its own",
            entity.name, mapped.schema
        );
        return Ok(Err(Fault::client(Code::Conflict, message)));
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut names = tenants::ensure(&mut transaction, tenant).await?;
    if let Err(refusal) = lives::enter(&mut transaction, names.tenant, tenant).await? {
        transaction.rollback().await?;
        return Ok(Err(refusal));
    }
    let before = current(&mut transaction, names.tenant).await?;
    let version = note(&mut transaction, names.tenant, before.as_deref(), (sdl, at)).await?;
    known::intern(&mut transaction, &mut names, &NameOf::all_in(ontology)).await?;
    // What follows looks at the nodes themselves, so they have to be those of the log's head.
    if holds_graph {
        graph::catch_up(&mut transaction, tenant, &mut names).await?;
    }
    // One that does not compile any more says nothing of what was there.
    if let Some(old) = before.filter(|text| text != sdl).and_then(|text| quipu_schema::compile(&text).ok()) {
        let mut held = InFile { connection: &mut transaction, names: &mut names, holds_graph };
        if let Err(refusal) = (Fitting { old: &old, new: ontology, at }).fit(&mut held).await? {
            transaction.rollback().await?;
            return Ok(Err(refusal));
        }
        if holds_graph {
            graph::catch_up(&mut transaction, tenant, &mut names).await?;
        }
    }
    for entity in ontology.types.values() {
        let place = Place::of(&names, entity);
        let mut held = InFile { connection: &mut transaction, names: &mut names, holds_graph };
        if let Err(refusal) = keep_unique(&mut held, entity, &place).await? {
            transaction.rollback().await?;
            return Ok(Err(refusal));
        }
        // A graph that is elsewhere has the texts, of rows as well.
        if holds_graph {
            keep_texts(&mut transaction, &mut names, entity, &place).await?;
        }
    }
    index(&mut transaction, &names, ontology).await?;
    transaction.commit().await?;
    Ok(Ok((number(version), names)))
}

/// What of publishing is left to a graph whose rows and log are elsewhere.
pub(super) async fn prepare(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    ontology: &Ontology,
) -> Result<Names, Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut names = tenants::ensure(&mut transaction, tenant).await?;
    known::intern(&mut transaction, &mut names, &NameOf::all_in(ontology)).await?;
    for entity in ontology.types.values() {
        let place = Place::of(&names, entity);
        keep_texts(&mut transaction, &mut names, entity, &place).await?;
    }
    index(&mut transaction, &names, ontology).await?;
    transaction.commit().await?;
    Ok(names)
}

/// The text that is published.
async fn current(connection: &mut SqliteConnection, tenant: i64) -> Result<Option<String>, Failure> {
    let text = "SELECT ontology.sdl FROM tenant JOIN ontology \
                ON ontology.tenant = tenant.key AND ontology.version = tenant.version WHERE tenant.key = ?";
    Ok(query_scalar(text).bind(tenant).fetch_optional(connection).await?)
}

/// Keeps the text, unless it is the current one.
async fn note(
    connection: &mut SqliteConnection,
    tenant: i64,
    current: Option<&str>,
    (sdl, at): (&str, &str),
) -> Result<i64, Failure> {
    let version: i64 =
        query_scalar("SELECT version FROM tenant WHERE key = ?").bind(tenant).fetch_one(&mut *connection).await?;
    if current == Some(sdl) {
        return Ok(version);
    }
    let version = version + 1;
    query("INSERT INTO ontology (tenant, version, sdl, at) VALUES (?, ?, ?, ?)")
        .bind(tenant)
        .bind(version)
        .bind(sdl)
        .bind(at)
        .execute(&mut *connection)
        .await?;
    query("UPDATE tenant SET version = ? WHERE key = ?").bind(version).bind(tenant).execute(connection).await?;
    Ok(version)
}

/// Where the records of a type are.
struct Place {
    table: &'static str,
    sort: NameOf,
    key: i64,
}

impl Place {
    fn of(names: &Names, entity: &EntityType) -> Self {
        let sort = NameOf::record(!entity.is_node());
        let table = if entity.is_node() { "node" } else { "record" };
        Self { table, sort, key: names.key(sort, &entity.name) }
    }
}

/// Takes the values of properties that have become unique into the registry, and forgets those that are unique no more.
async fn keep_unique(
    held_here: &mut InFile<'_>,
    entity: &EntityType,
    place: &Place,
) -> Result<Result<(), Fault>, Failure> {
    let tenant = held_here.names.tenant;
    let in_log = entity.is_node() && !held_here.holds_graph;
    let wanted = entity.properties.values().filter(|property| property.unique && property.stored != "id");
    let wanted: Vec<&str> = wanted.map(|property| property.stored.as_str()).collect();
    let held: String = query_scalar("SELECT distinct_values FROM kind WHERE key = ?")
        .bind(place.key)
        .fetch_one(&mut *held_here.connection)
        .await?;
    let held: Vec<String> = parsed(&held)?;
    for property in held.iter().filter(|property| !wanted.contains(&property.as_str())) {
        query("DELETE FROM taken WHERE tenant = ? AND kind = ? AND property = ?")
            .bind(tenant)
            .bind(place.key)
            .bind(property)
            .execute(&mut *held_here.connection)
            .await?;
    }
    for property in wanted.iter().filter(|property| !held.iter().any(|held| held == *property)) {
        if in_log {
            if let Err(value) = take_of_log(held_here, entity, place, property).await? {
                return Ok(Err(there_twice(entity, property, &value)));
            }
            continue;
        }
        let path = sql::path(property);
        let values =
            format!("FROM {} WHERE tenant = ? AND kind = {} AND (props -> {path}) IS NOT NULL", place.table, place.key);
        let twice = format!("SELECT props -> {path} AS value {values} GROUP BY value HAVING count(*) > 1 LIMIT 1");
        let twice: Option<String> =
            query_scalar(AssertSqlSafe(twice)).bind(tenant).fetch_optional(&mut *held_here.connection).await?;
        if let Some(value) = twice {
            return Ok(Err(there_twice(entity, property, &value)));
        }
        let take = format!(
            "INSERT INTO taken (tenant, kind, property, value, id) SELECT tenant, kind, ?, props -> {path}, id {values}"
        );
        query(AssertSqlSafe(take)).bind(*property).bind(tenant).execute(&mut *held_here.connection).await?;
    }
    query("UPDATE kind SET distinct_values = ? WHERE key = ?")
        .bind(json!(wanted).to_string())
        .bind(place.key)
        .execute(&mut *held_here.connection)
        .await?;
    Ok(Ok(()))
}

/// Takes the values of a property that nodes have which are in another store, or says which value two of them have.
async fn take_of_log(
    held: &mut InFile<'_>,
    entity: &EntityType,
    place: &Place,
    property: &str,
) -> Result<Result<(), String>, Failure> {
    let holders = Holders::Records { of: entity.name.clone(), row: false };
    let owners = match holdings::owners(holdings::values(held, &holders, property).await?) {
        Ok(owners) => owners,
        Err(twice) => return Ok(Err(twice)),
    };
    let taken: Vec<_> = owners.iter().map(|(value, id)| (place.key, property, value, id)).collect();
    let text = "INSERT INTO taken (tenant, kind, property, value, id) \
                SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2)";
    each(held.connection, held.names.tenant, &taken, text).await?;
    Ok(Ok(()))
}

fn there_twice(entity: &EntityType, property: &str, value: &str) -> Fault {
    Fault::client(Code::Conflict, format!("{}.{property} cannot be unique: {value} is there twice", entity.name))
}

/// Indexes the texts of a type again when other properties than before are embedded.
async fn keep_texts(
    connection: &mut SqliteConnection,
    names: &mut Names,
    entity: &EntityType,
    place: &Place,
) -> Result<(), Failure> {
    let wanted: Vec<String> = entity.embedded().map(|property| property.stored.clone()).collect();
    if names.embedded(place.key) == wanted {
        return Ok(());
    }
    query("UPDATE kind SET embedded = ? WHERE key = ?")
        .bind(json!(wanted).to_string())
        .bind(place.key)
        .execute(&mut *connection)
        .await?;
    text::index_type(connection, names.tenant, place.table, place.key, &wanted).await?;
    names.insert(place.sort, &entity.name, place.key, wanted);
    Ok(())
}

/// Makes the wanted indexes and drops those that are not wanted any more.
async fn index(connection: &mut SqliteConnection, names: &Names, ontology: &Ontology) -> Result<(), Failure> {
    let wanted = wanted_indexes(names, ontology);
    let held = held_indexes(connection, names.tenant).await?;
    for name in held.iter().filter(|name| !wanted.contains_key(*name)) {
        drop_index(connection, name).await?;
    }
    let missing: Vec<_> = wanted.iter().filter(|(name, _)| !held.contains(*name)).collect();
    for (name, (table, text)) in &missing {
        query(AssertSqlSafe(text.clone())).execute(&mut *connection).await?;
        // Fixed statistics, as in the first migration: few records share a value.
        query("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, '100000 100000 10 1')")
            .bind(*table)
            .bind(*name)
            .execute(&mut *connection)
            .await?;
    }
    if !missing.is_empty() {
        query("ANALYZE sqlite_schema").execute(connection).await?;
    }
    Ok(())
}

/// Names of the indexes that were made for a tenant.
async fn held_indexes(connection: &mut SqliteConnection, tenant: i64) -> Result<BTreeSet<String>, Failure> {
    let held: Vec<(String,)> = query_as("SELECT name FROM sqlite_schema WHERE type = 'index' AND name GLOB ?")
        .bind(format!("ix_{tenant}_*"))
        .fetch_all(connection)
        .await?;
    Ok(held.into_iter().map(|(name,)| name).collect())
}

async fn drop_index(connection: &mut SqliteConnection, name: &str) -> Result<(), Failure> {
    query("DELETE FROM sqlite_stat1 WHERE idx = ?").bind(name).execute(&mut *connection).await?;
    query(AssertSqlSafe(format!("DROP INDEX {}", quoted(name)))).execute(connection).await?;
    Ok(())
}

/// Drops all indexes that were made for a tenant.
pub(super) async fn drop_indexes(connection: &mut SqliteConnection, tenant: i64) -> Result<(), Failure> {
    for name in held_indexes(connection, tenant).await? {
        drop_index(connection, &name).await?;
    }
    Ok(())
}

/// Indexes by name: of properties that ask for one, and of those that joins look for.
fn wanted_indexes(names: &Names, ontology: &Ontology) -> BTreeMap<String, (&'static str, String)> {
    let mut wanted = BTreeMap::new();
    let joined = ontology.joined();
    for entity in ontology.types.values() {
        let place = Place::of(names, entity);
        for property in entity.properties.values() {
            let asked = property.indexed || property.unique || joined.contains(&(&entity.name, &property.stored));
            if !asked || property.stored == "id" || property.list || property.scalar == Scalar::Json {
                continue;
            }
            let name = format!("ix_{}_{}_{}", names.tenant, place.key, property.stored);
            let value = format!("(props ->> {})", sql::path(&property.stored));
            let text = format!(
                "CREATE INDEX {} ON {} (tenant, {value}, id) WHERE kind = {}",
                quoted(&name),
                place.table,
                place.key
            );
            wanted.insert(name, (place.table, text));
        }
    }
    wanted
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
