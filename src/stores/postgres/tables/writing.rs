//! Whether the rows of a table of others can be written as an ontology says: whoever runs the gateway allows it, the login role may, and
//! every column gets a value from somebody.

use std::collections::HashMap;

use quipu_schema::ontology::{Generated, Property};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query, query_as, query_scalar};

use super::catalog::{self, Policed, Relation};
use super::{Failure, Look, OpenTable, Quoted, Whose, Writing};
use crate::stores::sql::mapped::Settable;

/// What the database does about a column when a row is written.
#[derive(Debug)]
struct Filled {
    name: String,
    insertable: bool,
    updatable: bool,
    /// Nobody else may set it.
    always: bool,
    /// It has a default, or numbers its rows.
    fills: bool,
    /// A sequence that its default takes numbers from, and that the role may not use.
    denied: Option<String>,
}

const FILLED: &str = "\
    SELECT a.attname::text, has_column_privilege(a.attrelid, a.attnum, 'INSERT'), \
    has_column_privilege(a.attrelid, a.attnum, 'UPDATE'), \
    a.attgenerated <> '' OR a.attidentity = 'a', \
    a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL, \
    (SELECT quote_ident(n.nspname) || '.' || quote_ident(s.relname) FROM pg_attrdef d \
    JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass \
    JOIN pg_class s ON s.oid = p.refobjid JOIN pg_namespace n ON n.oid = s.relnamespace \
    WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum \
    AND CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') END LIMIT 1) \
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
    WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// Triggers that can give a new row what nobody else did (`trigger.h` of Postgres: for each row 1, before 2, insert 4).
const TRIGGERS: &str = "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = $1::oid AND NOT tgisinternal \
    AND tgenabled IN ('O', 'A') AND tgtype & 7 = 7)";

/// Constraints and unique indexes with their columns.
const CONSTRAINTS: &str = "\
    SELECT k.name::text, ARRAY(SELECT a.attname::text FROM unnest(k.columns) AS c(number) \
    JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attnum = c.number) FROM ( \
    SELECT conname AS name, conkey::int2[] AS columns FROM pg_constraint WHERE conrelid = $1::oid \
    UNION ALL SELECT c.relname, i.indkey::int2[] FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
    WHERE i.indrelid = $1::oid AND i.indisunique) AS k";

impl Filled {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get(0)?,
            insertable: row.try_get(1)?,
            updatable: row.try_get(2)?,
            always: row.try_get(3)?,
            fills: row.try_get(4)?,
            denied: row.try_get(5)?,
        })
    }
}

impl Look<'_> {
    /// What writing has to know, when the ontology has rows written and everything allows it.
    pub(super) async fn writing(
        &mut self,
        connection: &mut PgConnection,
        open: &OpenTable,
        relation: &Relation,
        whose: &Whose,
    ) -> Result<Option<Writing>, Failure> {
        let (of, named, writes) = (&self.entity.name, self.named(), self.said.writes);
        if !writes.any() {
            return Ok(None);
        }
        if !open.writable {
            self.refusals.push(format!(
                "{of}: the table {named} is open to be read and not written; whoever runs the gateway writes `, writable` behind its entry \
                 in `metadata.tables`"
            ));
            return Ok(None);
        }
        if relation.is_view() {
            let help = "leave out `writes`, or name the table behind it";
            self.refusals.push(format!("{of}: {named} is a view, and views are read and not written; {help}"));
            return Ok(None);
        }
        let filled = query(FILLED).bind(relation.oid).fetch_all(&mut *connection).await?;
        let filled: Vec<Filled> = filled.iter().map(Filled::read).collect::<Result<_, sqlx::Error>>()?;
        let triggers: bool = query_scalar(TRIGGERS).bind(relation.oid).fetch_one(&mut *connection).await?;
        self.fields(&filled, triggers, whose);
        self.rights(connection, relation, &filled, whose).await?;
        if writes.create {
            self.new_rows(relation, &filled, triggers, whose);
        }
        if relation.secured {
            self.policies(connection, relation, *whose == Whose::Shown).await?;
        }
        if let Whose::Named { column, .. } = whose {
            self.references(connection, relation, column).await?;
        }
        if !self.refusals.is_empty() {
            return Ok(None);
        }
        let constraints: Vec<(String, Vec<String>)> =
            query_as(CONSTRAINTS).bind(relation.oid).fetch_all(connection).await?;
        Ok(Some(self.known(relation, constraints)))
    }

    /// The column of a property.
    fn column_of<'a>(&'a self, property: &'a Property) -> &'a str {
        if property.stored == "id" { &self.said.id } else { &property.stored }
    }

    /// Properties that inputs have, each with its column.
    pub(super) fn given(&self) -> impl Iterator<Item = (&Property, &str)> {
        let writes = self.said.writes;
        let given = self.entity.properties.values().filter(|property| property.is_given());
        // An id is given to new rows alone.
        let given = given.filter(move |property| writes.create || (writes.update && property.name != "id"));
        given.map(|property| (property, self.column_of(property)))
    }

    /// What fields say of who sets their columns.
    fn fields(&mut self, filled: &[Filled], triggers: bool, whose: &Whose) {
        let (of, named, table, writes) = (&self.entity.name, self.named(), self.sql_name(), self.said.writes);
        let mut refusals = Vec::new();
        for (property, column) in self.given() {
            let (field, place) = (format!("{of}.{}", property.name), format!("{named}.{column}"));
            if matches!(whose, Whose::Named { column: tenant, .. } if tenant == column) {
                refusals.push(format!(
                    "{field}: the column {place} says whose row it is, and nobody sets that; write @column(generated: ALWAYS)"
                ));
                continue;
            }
            let Some(known) = filled.iter().find(|known| known.name == column) else { continue };
            if known.always {
                refusals.push(format!(
                    "{field}: the database alone sets the column {place}; write @column(generated: ALWAYS)"
                ));
            } else if property.generated == Some(Generated::ByDefault) && writes.create && !known.fills && !triggers {
                refusals.push(format!(
                    "{field}: the column {place} has no default; leave out `generated`, or ALTER TABLE {table} ALTER COLUMN {} SET DEFAULT ...",
                    Quoted(column)
                ));
            }
        }
        self.refusals.append(&mut refusals);
    }

    /// What the login role may do.
    async fn rights(
        &mut self,
        connection: &mut PgConnection,
        relation: &Relation,
        filled: &[Filled],
        whose: &Whose,
    ) -> Result<(), Failure> {
        let (of, named, table, writes) = (self.entity.name.clone(), self.named(), self.sql_name(), self.said.writes);
        let tenant = match whose {
            Whose::Named { column, .. } => Some(column.as_str()),
            Whose::All | Whose::Shown => None,
        };
        let lacking = |columns: Vec<&str>, may: fn(&Filled) -> bool| -> Option<String> {
            let denied = filled.iter().filter(|known| columns.contains(&known.name.as_str()) && !may(known));
            let denied: Vec<&str> = denied.map(|known| known.name.as_str()).collect();
            (!denied.is_empty()).then(|| denied.join(", "))
        };
        let given: Vec<&str> = self.given().map(|(_, column)| column).collect();
        let changed = given.iter().copied().filter(|column| *column != self.said.id).collect();
        let made = given.iter().copied().chain(tenant).collect();
        let inserts = writes.create.then(|| lacking(made, |known| known.insertable)).flatten();
        let updates = writes.update.then(|| lacking(changed, |known| known.updatable)).flatten();
        if let Some(columns) = inserts {
            self.refusals.push(format!(
                "{of}: the login role may not insert into {named} ({columns}); GRANT INSERT ON {table} to it"
            ));
        }
        if let Some(columns) = updates {
            self.refusals.push(format!(
                "{of}: the login role may not update {named} ({columns}); GRANT UPDATE ON {table} to it"
            ));
        }
        let text = "SELECT has_table_privilege($1::oid, 'DELETE')";
        if writes.delete && !query_scalar(text).bind(relation.oid).fetch_one(connection).await? {
            self.refusals
                .push(format!("{of}: the login role may not delete from {named}; GRANT DELETE ON {table} to it"));
        }
        Ok(())
    }

    /// Whether every column of a new row gets what it needs.
    fn new_rows(&mut self, relation: &Relation, filled: &[Filled], triggers: bool, whose: &Whose) {
        let (of, named, table) = (self.entity.name.clone(), self.named(), self.sql_name());
        let mut refusals = Vec::new();
        for known in filled {
            let column = &known.name;
            let given = self.given().find(|(_, name)| name == column).map(|(property, _)| property);
            if let Some(sequence) = known.denied.as_ref().filter(|_| !given.is_some_and(Property::is_demanded)) {
                refusals.push(format!(
                    "{of}: the login role may not use the sequence {sequence} of {named}.{column}; GRANT USAGE ON SEQUENCE {sequence} to it"
                ));
            }
            let tenant = matches!(whose, Whose::Named { column: tenant, .. } if tenant == column);
            let required = relation.column(column).is_some_and(|described| described.required);
            if !required || tenant || triggers || known.fills || known.always || given.is_some() {
                continue;
            }
            let shown = self.entity.properties.values().find(|property| self.column_of(property) == column);
            refusals.push(match shown {
                Some(property) => format!(
                    "{of}.{}: nothing sets the column {named}.{column} of a new row, and it is never null; leave out `generated: ALWAYS`, or \
                     ALTER TABLE {table} ALTER COLUMN {} SET DEFAULT ...",
                    property.name,
                    Quoted(column)
                ),
                None => format!(
                    "{of}: a new row needs a value in the column {named}.{column}, which no field has and which has no default; add a field \
                     with @column(name: ...), leave CREATE out of `writes`, or ALTER TABLE {table} ALTER COLUMN {} SET DEFAULT ...",
                    Quoted(column)
                ),
            });
        }
        self.refusals.append(&mut refusals);
    }

    /// Whether policies of the table let the role write; with `apart` it is they that keep tenants apart.
    async fn policies(
        &mut self,
        connection: &mut PgConnection,
        relation: &Relation,
        apart: bool,
    ) -> Result<(), Failure> {
        let (of, named, writes) = (self.entity.name.clone(), self.named(), self.said.writes);
        let asked = [
            (writes.create, Policed::Afterwards("a"), "insert into"),
            (writes.update, Policed::There("w"), "update"),
            (writes.update, Policed::Afterwards("w"), "update"),
            (writes.delete, Policed::There("d"), "delete from"),
        ];
        for (_, policed, what) in asked.into_iter().filter(|(wanted, ..)| *wanted) {
            let message = match catalog::open_policies(connection, relation, policed).await? {
                (false, _) => format!("{of}: no policy of {named} lets the login role {what} it"),
                (true, open) if open.is_empty() || !apart => continue,
                (true, open) => format!(
                    "{of}: the policy {} lets the login role {what} {named} whatever the tenant; \
                     let it look at current_setting('quipu.tenant_name', true)",
                    open.join(", ")
                ),
            };
            if !self.refusals.contains(&message) {
                self.refusals.push(message);
            }
        }
        Ok(())
    }

    fn known(&self, relation: &Relation, constraints: Vec<(String, Vec<String>)>) -> Writing {
        let described = |column: &str| relation.column(column);
        let settable = |(_, column): (&Property, &str)| {
            let known = described(column)?;
            let settable = Settable { type_name: known.type_name.clone(), longest: known.longest, bits: known.bits };
            Some((column.to_owned(), settable))
        };
        let fields = self.entity.properties.values();
        Writing {
            of: self.entity.name.clone(),
            id_type: described(&self.said.id).map(|known| known.type_name.clone()).unwrap_or_default(),
            columns: self.given().filter_map(settable).collect(),
            constraints: constraints.into_iter().collect::<HashMap<_, _>>(),
            partitioned: relation.kind == "p",
            fields: fields.map(|property| (self.column_of(property).to_owned(), property.name.clone())).collect(),
        }
    }
}
