//! What an ontology that is about to be published asks of the records that are there: defaults are filled in, by changes in the log
//! like any others; what would have to be converted, renamed or moved is refused.

use quipu_resolvers::change::{Change, Mode, Op, Ref};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::ports::Terms;
use quipu_schema::diff::Migration;
use quipu_schema::ontology::{Direction, EntityType, Ontology, Property, Scalar};
use serde_json::{Map, Value as Json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, query_as, query_scalar};

use super::accept;
use super::connections::Failure;
use crate::stores::sql;
use crate::stores::sql::names::{NameOf, Names};

/// Operations of one entry of the log.
const OPS: usize = 10_000;
/// Who fills in defaults, in the log.
const ACTOR: &str = "quipu ontology publish";

/// A refusal is not a failure of the store.
type Fits = Result<(), Fault>;

/// What is published over what.
pub(super) struct Fitting<'a> {
    pub(super) old: &'a Ontology,
    pub(super) new: &'a Ontology,
    /// Now, RFC 3339.
    pub(super) at: &'a str,
}

/// Records that may hold a property: of a type, or relationships between two types.
struct Holders {
    /// A table and a condition; `held` is the record.
    from: String,
    /// How to put one.
    sort: Sort,
}

enum Sort {
    Record { of: String, row: bool },
    Link { of: String, from: String, to: String },
}

impl Fitting<'_> {
    /// Does what has to be done, in order, or refuses.
    pub(super) async fn fit(&self, connection: &mut SqliteConnection, names: &mut Names) -> Result<Fits, Failure> {
        for migration in quipu_schema::diff::diff(self.old, self.new).migrations {
            if let Err(refusal) = self.one(connection, names, &migration).await? {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(()))
    }

    async fn one(
        &self,
        connection: &mut SqliteConnection,
        names: &mut Names,
        migration: &Migration,
    ) -> Result<Fits, Failure> {
        match migration {
            Migration::Fill { of, property, with } => {
                let Some(stored) = self.stored(of, property) else { return Ok(Ok(())) };
                let lacking = format!("(held.props -> {}) IS NULL", sql::path(&stored.stored));
                if let Some(value) = with {
                    return self.fill(connection, names, of, stored, &lacking, value).await;
                }
                let count = self.count(connection, names, of, &lacking).await?;
                Ok(refuse(count, || {
                    format!(
                        "{of}.{property} must be there, and {} without: give it a @default, or publish it without `!` and fill it first",
                        are(count)
                    )
                }))
            }
            Migration::Convert { of, property, from, to } => {
                let stored = self.stored(of, property).map_or(property, |property| &property.stored);
                let count = self.count(connection, names, of, &has(stored)).await?;
                Ok(refuse(count, || {
                    format!(
                        "{of}.{property} is {to}, so far {from}, and {} with a value: add a property of another name \
                         instead, or remove the values first",
                        are(count)
                    )
                }))
            }
            Migration::Rename { of, property, from, to } => {
                let count = self.count(connection, names, of, &has(from)).await?;
                Ok(refuse(count, || {
                    format!(
                        "{of}.{property} is stored as {to}, so far as {from}, and {} with a value there: keep it with \
                         @alias(property: \"{from}\")",
                        are(count)
                    )
                }))
            }
            Migration::Replace { of, value } => self.replaced(connection, names, of, value).await,
            Migration::Move { of, from, to, across: true } => {
                let was = self.old.types.get(of).is_some_and(EntityType::is_node);
                let count = count(connection, names, &records(names, of, !was).from, "true").await?;
                Ok(refuse(count, || {
                    format!(
                        "{of} is {to}, so far {from}, and {} there: remove them first, or give the new type another name",
                        are(count)
                    )
                }))
            }
            // Records are kept by the name of their type, with all properties: there are neither tables nor columns to be made.
            Migration::CreateTable { .. } | Migration::Move { .. } | Migration::AddColumn { .. } => Ok(Ok(())),
            // Seen to for all types, whatever they were before.
            Migration::AddUnique { .. }
            | Migration::DropUnique { .. }
            | Migration::AddIndex { .. }
            | Migration::DropIndex { .. }
            | Migration::Embed { .. }
            | Migration::DropEmbedding { .. } => Ok(Ok(())),
            // Left to whoever publishes.
            Migration::Abandon { .. } | Migration::Relink { .. } => Ok(Ok(())),
        }
    }

    fn stored(&self, of: &str, property: &str) -> Option<&Property> {
        let record = self.new.types.get(of).map(|entity| &entity.properties);
        record.or_else(|| self.new.edge_types.get(of).map(|edge| &edge.properties))?.get(property)
    }

    /// What may hold properties of a type of records or of relationship properties.
    fn holders(&self, names: &Names, of: &str) -> Vec<Holders> {
        if let Some(entity) = self.new.types.get(of) {
            return vec![records(names, of, !entity.is_node())];
        }
        let mut ends: Vec<(&str, &str, &str)> = Vec::new();
        for entity in self.new.types.values() {
            for field in entity.relationships.values().filter(|field| field.properties.as_deref() == Some(of)) {
                for other in self.new.members(&field.target) {
                    let (from, to) = match field.direction {
                        Direction::Out => (&entity.name, &other.name),
                        Direction::In => (&other.name, &entity.name),
                    };
                    ends.push((&field.relationship_type, from, to));
                }
            }
        }
        ends.sort_unstable();
        ends.dedup();
        ends.into_iter().map(|(of, from, to)| links(names, of, from, to)).collect()
    }

    async fn count(
        &self,
        connection: &mut SqliteConnection,
        names: &Names,
        of: &str,
        condition: &str,
    ) -> Result<i64, Failure> {
        let mut sum = 0;
        for holders in self.holders(names, of) {
            sum += count(connection, names, &holders.from, condition).await?;
        }
        Ok(sum)
    }

    /// Refuses while a value of an enum that is gone is stored.
    async fn replaced(
        &self,
        connection: &mut SqliteConnection,
        names: &Names,
        of: &str,
        value: &str,
    ) -> Result<Fits, Failure> {
        let records = self.new.types.values().map(|entity| (&entity.name, &entity.properties));
        let edges = self.new.edge_types.values().map(|edge| (&edge.name, &edge.properties));
        let literal = format!("'{}'", value.replace('\'', "''"));
        for (holder, properties) in records.chain(edges) {
            for property in properties.values().filter(|p| matches!(&p.scalar, Scalar::Enum(name) if name == of)) {
                let path = sql::path(&property.stored);
                let condition = if property.list {
                    format!("EXISTS (SELECT 1 FROM json_each(held.props, {path}) AS item WHERE item.value = {literal})")
                } else {
                    format!("(held.props ->> {path}) = {literal}")
                };
                let count = self.count(connection, names, holder, &condition).await?;
                let message = || {
                    format!(
                        "{of}.{value} is removed, and {} with it in {holder}.{}: change them first",
                        are(count),
                        property.name
                    )
                };
                if let Err(refusal) = refuse(count, message) {
                    return Ok(Err(refusal));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Gives the default to records without a value.
    async fn fill(
        &self,
        connection: &mut SqliteConnection,
        names: &mut Names,
        of: &str,
        property: &Property,
        lacking: &str,
        value: &Json,
    ) -> Result<Fits, Failure> {
        let set: Map<String, Json> = [(property.stored.clone(), value.clone())].into_iter().collect();
        let named = |wanted: bool| if wanted { vec![property.stored.clone()] } else { Vec::new() };
        for holders in self.holders(names, of) {
            let ops: Vec<Op> = match holders.sort {
                Sort::Record { of, row } => {
                    let text = format!("SELECT held.id FROM {} AND {lacking} ORDER BY held.id", holders.from);
                    let ids: Vec<String> =
                        query_scalar(AssertSqlSafe(text)).bind(names.tenant).fetch_all(&mut *connection).await?;
                    let put = |id| Op::Put {
                        record: Ref { of: of.clone(), id },
                        row,
                        mode: Mode::Update,
                        set: set.clone(),
                        unique: named(property.unique),
                        embed: named(property.embed),
                    };
                    ids.into_iter().map(put).collect()
                }
                Sort::Link { of, from, to } => {
                    let text = format!("SELECT a.id, b.id, held.key FROM {} AND {lacking}", holders.from);
                    let found: Vec<(String, String, String)> =
                        query_as(AssertSqlSafe(text)).bind(names.tenant).fetch_all(&mut *connection).await?;
                    let link = |(start, end, key)| Op::Link {
                        relationship_type: of.clone(),
                        from: Ref { of: from.clone(), id: start },
                        to: Ref { of: to.clone(), id: end },
                        key,
                        set: set.clone(),
                    };
                    found.into_iter().map(link).collect()
                }
            };
            for portion in ops.chunks(OPS) {
                let terms = Terms { actor: Some(ACTOR), at: self.at, ..Terms::default() };
                let change = Change { ops: portion.to_vec() };
                match accept::write(connection, names.clone(), &change, terms).await? {
                    Ok((_, known)) => *names = known,
                    Err(refusal) => return Ok(Err(refusal)),
                }
            }
        }
        Ok(Ok(()))
    }
}

fn records(names: &Names, of: &str, row: bool) -> Holders {
    let (table, kind) = (if row { "record" } else { "node" }, names.key(NameOf::record(row), of));
    Holders {
        from: format!("{table} AS held WHERE held.tenant = ? AND held.kind = {kind}"),
        sort: Sort::Record { of: of.to_owned(), row },
    }
}

fn links(names: &Names, of: &str, from: &str, to: &str) -> Holders {
    let node = |of| names.key(NameOf::Node, of);
    let from_text = format!(
        "edge AS held CROSS JOIN node AS a ON a.rid = held.src AND a.kind = {} CROSS JOIN node AS b ON b.rid = held.dst \
         AND b.kind = {} WHERE held.tenant = ? AND held.kind = {}",
        node(from),
        node(to),
        names.key(NameOf::Relationship, of)
    );
    Holders { from: from_text, sort: Sort::Link { of: of.to_owned(), from: from.to_owned(), to: to.to_owned() } }
}

async fn count(connection: &mut SqliteConnection, names: &Names, from: &str, condition: &str) -> Result<i64, Failure> {
    let text = format!("SELECT count(*) FROM {from} AND {condition}");
    Ok(query_scalar(AssertSqlSafe(text)).bind(names.tenant).fetch_one(connection).await?)
}

fn has(stored: &str) -> String {
    format!("(held.props -> {}) IS NOT NULL", sql::path(stored))
}

fn are(count: i64) -> String {
    if count == 1 { "there is 1 record".to_owned() } else { format!("there are {count} records") }
}

fn refuse(count: i64, message: impl FnOnce() -> String) -> Fits {
    if count == 0 { Ok(()) } else { Err(Fault::client(Code::Conflict, message())) }
}
