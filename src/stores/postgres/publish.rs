//! Publishing an ontology: its text, keys for all its names, and what follows from it for records that are there already: defaults
//! and refusals (`fitting.rs`), unique values, and columns of their own for properties that are looked for or sorted by.

use std::sync::Arc;

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use quipu_schema::ontology::{EntityType, Ontology, Property, Scalar};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, query, query_as, query_scalar};

use super::holdings::InLog;
use super::rows::{NUMBERS, TEXTS, number_in, text_in};
use super::session::Failure;
use super::tables::{self, Opened, Wanted};
use super::{accept, lives, names, registry};
use crate::stores::fitting::{Fitting, Holders};
use crate::stores::holdings;
use crate::stores::logged::number;
use crate::stores::sql::names::{NameOf, Names};

/// What came of it; a refusal is not a failure of the store.
type Published = Result<(u64, Names), Fault>;

/// What is published.
pub(super) struct Publishing<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) sdl: &'a str,
    pub(super) ontology: &'a Ontology,
    /// Now, RFC 3339.
    pub(super) at: &'a str,
    /// Tables of others that may be shown.
    pub(super) opened: &'a Opened,
}

/// Publishes, inside a transaction that its caller commits, or takes back after a refusal.
pub(super) async fn transact(connection: &mut PgConnection, published: Publishing<'_>) -> Result<Published, Failure> {
    let Publishing { tenant, sdl, ontology, at, opened } = published;
    let key: i64 = query_scalar("SELECT ensure_tenant($1)").bind(tenant.as_str()).fetch_one(&mut *connection).await?;
    names::show(connection, key).await?;
    if let Err(refusal) = lives::enter(connection, key, tenant).await? {
        return Ok(Err(refusal));
    }
    let version = accept::lock(connection, key).await?.unwrap_or_default();
    let mut names = names::of_tenant(connection, key).await?;
    let before = current(connection, key).await?;
    let version = note(connection, key, version, before.as_deref(), (sdl, at)).await?;
    names::intern(connection, &mut names, &NameOf::all_in(ontology)).await?;
    // One that does not compile any more says nothing of what was there.
    if let Some(old) = before.filter(|text| text != sdl).and_then(|text| quipu_schema::compile(&text).ok()) {
        let mut held = InLog { connection: &mut *connection, names: &mut names };
        if let Err(refusal) = (Fitting { old: &old, new: ontology, at }).fit(&mut held).await? {
            return Ok(Err(refusal));
        }
    }
    let (tables, problems) = tables::look(connection, &names, tenant, &Wanted::by(ontology), opened).await?;
    if !problems.is_empty() {
        return Ok(Err(Fault::client(Code::Conflict, problems.join("\n"))));
    }
    names.tables = Arc::new(tables);
    for entity in ontology.types.values().filter(|entity| entity.mapped().is_none()) {
        if let Err(refusal) = keep_unique(connection, &mut names, entity).await? {
            return Ok(Err(refusal));
        }
    }
    give_columns(connection, &mut names, ontology).await?;
    Ok(Ok((number(version), names)))
}

/// The text that is published.
async fn current(connection: &mut PgConnection, tenant: i64) -> Result<Option<String>, Failure> {
    let text = "SELECT ontology.sdl FROM tenant JOIN ontology \
                ON ontology.tenant = tenant.key AND ontology.version = tenant.version WHERE tenant.key = $1";
    Ok(query_scalar(text).bind(tenant).fetch_optional(connection).await?)
}

/// Keeps the text, unless it is the current one.
async fn note(
    connection: &mut PgConnection,
    tenant: i64,
    version: i64,
    current: Option<&str>,
    (sdl, at): (&str, &str),
) -> Result<i64, Failure> {
    if current == Some(sdl) {
        return Ok(version);
    }
    let version = version + 1;
    query("INSERT INTO ontology (tenant, version, sdl, at) VALUES ($1, $2, $3, $4)")
        .bind(tenant)
        .bind(version)
        .bind(sdl)
        .bind(at)
        .execute(&mut *connection)
        .await?;
    query("UPDATE tenant SET version = $2 WHERE key = $1").bind(tenant).bind(version).execute(connection).await?;
    Ok(version)
}

/// Takes the values of properties that have become unique into the registry, and forgets those that are unique no more.
async fn keep_unique(
    connection: &mut PgConnection,
    names: &mut Names,
    entity: &EntityType,
) -> Result<Result<(), Fault>, Failure> {
    let row = !entity.is_node();
    let kind = names.key(NameOf::record(row), &entity.name);
    let wanted = entity.properties.values().filter(|property| property.unique && property.stored != "id");
    let wanted: Vec<&str> = wanted.map(|property| property.stored.as_str()).collect();
    let text = "SELECT distinct_values FROM kind WHERE tenant = $1 AND key = $2";
    let held: Vec<String> = query_scalar(text).bind(names.tenant).bind(kind).fetch_one(&mut *connection).await?;
    if held == wanted {
        return Ok(Ok(()));
    }
    query("DELETE FROM taken WHERE tenant = $1 AND kind = $2 AND property <> ALL($3)")
        .bind(names.tenant)
        .bind(kind)
        .bind(&wanted)
        .execute(&mut *connection)
        .await?;
    for property in wanted.iter().filter(|property| !held.iter().any(|held| held == *property)) {
        let holders = Holders::Records { of: entity.name.clone(), row };
        let mut log = InLog { connection: &mut *connection, names: &mut *names };
        let owners = match holdings::owners(holdings::values(&mut log, &holders, property).await?) {
            Ok(owners) => owners,
            Err(value) => {
                let message = format!("{}.{property} cannot be unique: {value} is there twice", entity.name);
                return Ok(Err(Fault::client(Code::Conflict, message)));
            }
        };
        let owners: Vec<(String, Option<String>)> = owners.into_iter().map(|(value, id)| (value, Some(id))).collect();
        let taken: Vec<_> = owners.iter().map(|(value, id)| (kind, *property, value.as_str(), id)).collect();
        registry::take(connection, names.tenant, &taken).await?;
    }
    query("UPDATE kind SET distinct_values = $3 WHERE tenant = $1 AND key = $2")
        .bind(names.tenant)
        .bind(kind)
        .bind(&wanted)
        .execute(connection)
        .await?;
    Ok(Ok(()))
}

/// Gives columns of their own to properties of rows that ask for an index, and to those that joins look for, as long as there are
/// columns. The rest is looked for in all rows of the type. A column that was given once stays with its property: other instances may
/// not have heard of a new ontology yet.
async fn give_columns(connection: &mut PgConnection, names: &mut Names, ontology: &Ontology) -> Result<(), Failure> {
    let joined = ontology.joined();
    for entity in ontology.types.values().filter(|entity| !entity.is_node() && entity.mapped().is_none()) {
        let kind = names.key(NameOf::Row, &entity.name);
        let text = "SELECT texts, numbers FROM kind WHERE tenant = $1 AND key = $2";
        let (mut texts, mut numbers): (Vec<String>, Vec<String>) =
            query_as(text).bind(names.tenant).bind(kind).fetch_one(&mut *connection).await?;
        for property in entity.properties.values() {
            let asked = property.indexed || property.unique || joined.contains(&(&entity.name, &property.stored));
            let Some(sort) = sort_of(property).filter(|_| asked) else { continue };
            let (columns, most, letter) = match sort {
                Sort::Text => (&mut texts, TEXTS, 't'),
                Sort::Number => (&mut numbers, NUMBERS, 'n'),
            };
            if columns.contains(&property.stored) || columns.len() >= most {
                continue;
            }
            columns.push(property.stored.clone());
            let column = format!("{letter}{}", columns.len());
            let value = match sort {
                Sort::Text => text_in("props", "$3"),
                Sort::Number => number_in("props", "$3"),
            };
            let text = format!("UPDATE record SET {column} = {value} WHERE tenant = $1 AND kind = $2");
            query(AssertSqlSafe(text))
                .bind(names.tenant)
                .bind(kind)
                .bind(&property.stored)
                .execute(&mut *connection)
                .await?;
        }
        query("UPDATE kind SET texts = $3, numbers = $4 WHERE tenant = $1 AND key = $2")
            .bind(names.tenant)
            .bind(kind)
            .bind(&texts)
            .bind(&numbers)
            .execute(&mut *connection)
            .await?;
        names.set_columns(kind, &texts, &numbers);
    }
    Ok(())
}

enum Sort {
    Text,
    Number,
}

/// The sort of column that serves a property. Doubles hold all 32-bit integers, and not all of 64 bits.
fn sort_of(property: &Property) -> Option<Sort> {
    match &property.scalar {
        _ if property.list || property.stored == "id" => None,
        Scalar::Int | Scalar::Float => Some(Sort::Number),
        Scalar::Id | Scalar::String | Scalar::DateTime | Scalar::Date | Scalar::Enum(_) => Some(Sort::Text),
        Scalar::BigInt | Scalar::Boolean | Scalar::Json => None,
    }
}
