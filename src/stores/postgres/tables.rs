//! Tables of others: which of them the types of an ontology stand for, and whether they can. Looked at when an ontology is published,
//! which is refused when one does not fit, and again by every instance that begins to serve it.

use std::collections::HashMap;
use std::sync::Arc;

use quipu_resolvers::guard::TenantId;
use quipu_schema::ontology::{EntityType, Mapped as Said, Ontology, Property, Scalar};
use sqlx::postgres::PgConnection;
use sqlx::query;

use super::session::Failure;
use crate::stores::open_tables::{Holds, OpenTable};
use crate::stores::sql::mapped::{Column, Literal, Mapped, Quoted, Sort, Table, Tables, Whose, Writing, unreadable};
use crate::stores::sql::names::{NameOf, Names};

mod catalog;
mod references;
mod writing;

use catalog::{Described, Policed, Relation};

/// What an ontology says of tables of others.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    types: Vec<EntityType>,
    enums: HashMap<String, Vec<String>>,
}

impl Wanted {
    /// The types of an ontology that stand for such tables.
    pub(super) fn by(ontology: &Ontology) -> Self {
        let types: Vec<EntityType> = ontology.types.values().filter(|t| t.mapped().is_some()).cloned().collect();
        let values = |values: &[quipu_schema::ontology::EnumValue]| values.iter().map(|v| v.name.clone()).collect();
        let enums = match types.is_empty() {
            true => HashMap::new(),
            false => ontology.enums.values().map(|e| (e.name.clone(), values(&e.values))).collect(),
        };
        Self { types, enums }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Names of the types.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.types.iter().map(|entity| entity.name.as_str())
    }
}

/// What is open, and which schema is our own.
#[derive(Debug, Clone, Default)]
pub(super) struct Opened {
    pub(super) tables: Vec<OpenTable>,
    pub(super) schema: String,
}

/// Looks at the tables, inside a transaction that shows the tenant. Returns what statements have to know, and what does not fit.
pub(super) async fn look(
    connection: &mut PgConnection,
    names: &Names,
    tenant: &TenantId,
    wanted: &Wanted,
    opened: &Opened,
) -> Result<(Tables, Vec<String>), Failure> {
    let mut tables = Tables::asked_now();
    let mut problems = Vec::new();
    if !wanted.is_empty() {
        let text = "SELECT set_config('quipu.tenant_name', $1, true)";
        query(text).bind(tenant.as_str()).execute(&mut *connection).await?;
    }
    for entity in &wanted.types {
        let Some((table, said)) = entity.mapped() else { continue };
        let (broken, refusals) = (Vec::new(), Vec::new());
        let enums = &wanted.enums;
        let mut look = Look { entity, table, said, tenant, enums, problems: broken, refusals };
        let found = look.at(connection, opened).await?;
        let mapped = match found.filter(|_| look.problems.is_empty()) {
            Some(table) => Mapped::Table(Arc::new(table)),
            None => Mapped::Broken(unreadable(&entity.name)),
        };
        problems.extend(look.problems);
        problems.extend(look.refusals);
        tables.insert(names.key(NameOf::Row, &entity.name), mapped);
    }
    Ok((tables, problems))
}

/// One type and its table.
struct Look<'a> {
    entity: &'a EntityType,
    table: &'a str,
    said: &'a Said,
    tenant: &'a TenantId,
    enums: &'a HashMap<String, Vec<String>>,
    /// Why it cannot be shown.
    problems: Vec<String>,
    /// Why it cannot be written, if it shall be.
    refusals: Vec<String>,
}

impl Look<'_> {
    /// The table's name for messages.
    fn named(&self) -> String {
        format!("{}.{}", self.said.schema, self.table)
    }

    fn sql_name(&self) -> String {
        format!("{}.{}", Quoted(&self.said.schema), Quoted(self.table))
    }

    fn problem(&mut self, message: String) {
        self.problems.push(message);
    }

    async fn at(&mut self, connection: &mut PgConnection, opened: &Opened) -> Result<Option<Table>, Failure> {
        let (of, named, tenant) = (&self.entity.name, self.named(), self.tenant);
        let own = self.said.schema == opened.schema;
        let open = OpenTable::find(&opened.tables, tenant, &self.said.schema, self.table).filter(|_| !own);
        // Whether it is there is told to those alone to whom it is open.
        let Some(open) = open else {
            self.problem(format!(
                "{of}: the table {named} is not open to {tenant}; whoever runs the gateway opens tables with `metadata.tables`"
            ));
            return Ok(None);
        };
        let Some(relation) = catalog::relation(connection, &self.said.schema, self.table).await? else {
            self.problem(format!("{of}: there is no table {named}; names are taken as they are written, capitals too"));
            return Ok(None);
        };
        if !["r", "p", "v", "m"].contains(&relation.kind.as_str()) {
            self.problem(format!("{of}: {named} is neither a table nor a view"));
            return Ok(None);
        }
        if !relation.usable {
            self.problem(format!(
                "{of}: the login role may not look into the schema; GRANT USAGE ON SCHEMA {} to it",
                Quoted(&self.said.schema)
            ));
        }
        let whose = self.whose(connection, &open.holds, &relation).await?;
        for property in self.entity.properties.values() {
            let column = if property.stored == "id" { self.said.id.as_str() } else { property.stored.as_str() };
            self.property(property, column, &relation);
        }
        let Some(whose) = whose.filter(|_| self.problems.is_empty()) else { return Ok(None) };
        if relation.is_view() {
            self.rows(connection, &relation, &whose).await?;
        } else {
            self.identity(&relation, &whose);
        }
        let writing = self.writing(connection, open, &relation, &whose).await?;
        let readable = |column: Described| Some((column.name, column.column.filter(|_| column.readable)?));
        Ok(Some(Table {
            schema: self.said.schema.clone(),
            name: self.table.to_owned(),
            id: self.said.id.clone(),
            whose,
            columns: relation.columns.into_iter().filter_map(readable).collect(),
            enums: self.enums.clone(),
            writing,
        }))
    }

    /// What keeps tenants apart, if it can.
    async fn whose(
        &mut self,
        connection: &mut PgConnection,
        holds: &Holds,
        relation: &Relation,
    ) -> Result<Option<Whose>, Failure> {
        let (of, named, tenant) = (&self.entity.name, self.named(), self.tenant);
        let column = match holds {
            Holds::Of(_) => return Ok(Some(Whose::All)),
            Holds::Policies => {
                let message = match catalog::open_policies(connection, relation, Policed::There("r")).await? {
                    _ if !relation.secured => format!(
                        "{of}: row security does not bind the login role on {named}, and is what shall keep tenants apart; \
                         ALTER TABLE {} ENABLE ROW LEVEL SECURITY, and let another role own it",
                        self.sql_name()
                    ),
                    (false, _) => format!("{of}: no policy of {named} shows rows to the login role"),
                    (true, open) if open.is_empty() => return Ok(Some(Whose::Shown)),
                    (true, open) => format!(
                        "{of}: the policy {} of {named} shows rows whatever the tenant; \
                         let it look at current_setting('quipu.tenant_name', true)",
                        open.join(", ")
                    ),
                };
                self.problem(message);
                return Ok(None);
            }
            Holds::Named(column) => column,
        };
        let Some(known) = relation.column(column) else {
            self.problem(format!(
                "{of}: the table {named} has no column {column}, which shall hold the tenant's name; see `metadata.tables`"
            ));
            return Ok(None);
        };
        let sort = known.column.as_ref().filter(|known| !known.array).map(|known| &known.sort);
        let literal = match sort {
            Some(Sort::Text { collation: Some(_) }) => Some(Literal(tenant.as_str()).to_string()),
            // By a comparison that takes no other name for the tenant's.
            Some(Sort::Text { collation: None }) => Some(format!("{} COLLATE \"C\"", Literal(tenant.as_str()))),
            Some(sort @ (Sort::Uuid | Sort::Integer)) => {
                sort.exactly(tenant.as_str()).map(|exact| Literal(&exact).to_string())
            }
            _ => None,
        };
        if literal.is_none() {
            self.problem(format!(
                "{of}: the column {named}.{column} is {}, which cannot hold the tenant's name {tenant}; \
                 it has to be text, or uuid or a whole number where tenants are called so",
                known.type_name
            ));
        }
        if !known.readable {
            self.problem(format!("{of}: the login role may not read {named}.{column}; GRANT SELECT on it"));
        }
        Ok(literal.map(|literal| Whose::Named { column: column.clone(), literal }))
    }

    /// Whether a column holds what a field shows.
    fn property(&mut self, property: &Property, name: &str, relation: &Relation) {
        let (field, place) = (format!("{}.{}", self.entity.name, property.name), format!("{}.{name}", self.named()));
        let Some(known) = relation.column(name) else {
            let help = if property.implicit { "name another in @join" } else { "name it with @column(name: \"...\")" };
            return self.problem(format!("{field}: the table {} has no column {name}; {help}", self.named()));
        };
        if !known.readable {
            self.problem(format!("{field}: the login role may not read {place}; GRANT SELECT on it"));
        }
        let is = written(property);
        let fits = known
            .column
            .as_ref()
            .is_some_and(|column| column.array == property.list && holds(&column.sort, known.bits, &property.scalar));
        if !fits {
            let help =
                match known.column.as_ref().and_then(|column| Some((column, scalar_of(&column.sort, known.bits)?))) {
                    Some((column, scalar)) if column.array => format!("write [{scalar}]"),
                    Some((_, scalar)) => format!("write {scalar}"),
                    None => "show it by a view that casts it to another type".to_owned(),
                };
            return self
                .problem(format!("{field}: {is} is not what the column {place} holds, {}; {help}", known.type_name));
        }
        if let (Some(Column { sort: Sort::Label { labels, .. }, .. }), Scalar::Enum(of)) =
            (&known.column, &property.scalar)
        {
            let values = self.enums.get(of).map(Vec::as_slice).unwrap_or_default();
            let unknown: Vec<&str> =
                labels.iter().filter(|label| !values.contains(label)).map(String::as_str).collect();
            if !unknown.is_empty() {
                let unknown = unknown.join(", ");
                self.problem(format!(
                    "{field}: the column {place} can be {unknown}, which the enum {of} has not; add them"
                ));
            }
        }
        if property.required && !known.required && !relation.is_view() {
            let table = self.sql_name();
            self.problem(format!(
                "{field}: {is} is never null, and the column {place} may be; leave out the last `!`, or \
                 ALTER TABLE {table} ALTER COLUMN {} SET NOT NULL",
                Quoted(name)
            ));
        }
    }

    /// Whether ids tell rows apart, by an index.
    fn identity(&mut self, relation: &Relation, whose: &Whose) {
        let id = &self.said.id;
        let tells_apart = |columns: &Vec<String>| {
            columns.contains(id)
                && columns.iter().all(|column| {
                    column == id || matches!(whose, Whose::Named { column: tenant, .. } if tenant == column)
                })
        };
        if !relation.unique.iter().any(tells_apart) {
            let (named, id) = (self.named(), Quoted(id));
            let columns = match whose {
                Whose::Named { column, .. } => format!("{}, {id}", Quoted(column)),
                Whose::All | Whose::Shown => id.to_string(),
            };
            self.problem(format!(
                "{}.id: two rows of {named} could have the same {}; CREATE UNIQUE INDEX ON {} ({columns})",
                self.entity.name,
                self.said.id,
                self.sql_name(),
            ));
        }
    }

    /// The same of a view, and whether its columns are never null: nothing but its rows can tell.
    async fn rows(&mut self, connection: &mut PgConnection, relation: &Relation, whose: &Whose) -> Result<(), Failure> {
        let (schema, id) = (&self.said.schema, Quoted(&self.said.id).to_string());
        let theirs = match whose {
            Whose::Named { column, literal } => format!("r1.{} = {literal}", Quoted(column)),
            Whose::All | Whose::Shown => "TRUE".to_owned(),
        };
        let mut problems = Vec::new();
        for property in self.entity.properties.values().filter(|property| property.required) {
            let column = if property.stored == "id" { &self.said.id } else { &property.stored };
            let absent = format!("{theirs} AND r1.{} IS NULL", Quoted(column));
            if catalog::any_row(connection, schema, self.table, &absent).await? {
                problems.push(format!(
                    "{}.{}: {} is never null, and rows of the view {} have no {column}; leave out the last `!`",
                    self.entity.name,
                    property.name,
                    written(property),
                    self.named()
                ));
            }
        }
        let twice = format!("{theirs} GROUP BY r1.{id} HAVING count(*) > 1");
        if catalog::any_row(connection, schema, self.table, &twice).await? {
            let of = &self.entity.name;
            problems.push(format!("{of}.id: two rows of the view {} have the same {}", self.named(), self.said.id));
        }
        debug_assert!(relation.is_view());
        self.problems.extend(problems);
        Ok(())
    }
}

/// The type of a field as the SDL has it.
fn written(property: &Property) -> String {
    let mark = |required: bool| if required { "!" } else { "" };
    match property.list {
        true => format!("[{}{}]{}", property.scalar.name(), mark(property.item_required), mark(property.required)),
        false => format!("{}{}", property.scalar.name(), mark(property.required)),
    }
}

/// Whether values of a sort of column are values of a scalar.
fn holds(sort: &Sort, bits: u32, scalar: &Scalar) -> bool {
    match sort {
        Sort::Text { .. } => matches!(scalar, Scalar::Id | Scalar::String | Scalar::Enum(_)),
        Sort::Label { .. } => matches!(scalar, Scalar::String | Scalar::Enum(_)),
        Sort::Uuid => matches!(scalar, Scalar::Id | Scalar::String),
        Sort::Integer => match scalar {
            Scalar::Int | Scalar::Float => bits <= 32,
            Scalar::Id | Scalar::BigInt => true,
            _ => false,
        },
        Sort::Decimal { .. } | Sort::Double | Sort::Single => *scalar == Scalar::Float,
        Sort::Truth => *scalar == Scalar::Boolean,
        Sort::Day => *scalar == Scalar::Date,
        Sort::Instant { .. } => *scalar == Scalar::DateTime,
        Sort::Json => *scalar == Scalar::Json,
    }
}

/// The scalar that shows a sort of column best.
fn scalar_of(sort: &Sort, bits: u32) -> Option<&'static str> {
    Some(match sort {
        Sort::Text { .. } | Sort::Label { .. } => "String",
        Sort::Uuid => "ID",
        Sort::Integer if bits <= 32 => "Int",
        Sort::Integer => "BigInt",
        Sort::Decimal { .. } | Sort::Double | Sort::Single => "Float",
        Sort::Truth => "Boolean",
        Sort::Day => "Date",
        Sort::Instant { .. } => "DateTime",
        Sort::Json => "JSON",
    })
}
