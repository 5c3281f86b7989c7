//! Foreign keys between tables in which a column keeps tenants apart. One that leaves the column out leads from one tenant's rows to
//! another's: then who writes their own rows could refer to, hold on to or remove what is not theirs.

use sqlx::postgres::PgConnection;
use sqlx::query_as;

use super::Look;
use super::catalog::Relation;
use crate::stores::postgres::session::Failure;

/// Foreign keys of a table to tables that have a column of that name as well, and that do not compare it: their columns.
const LEADING: &str = "\
    SELECT ARRAY(SELECT a.attname::text FROM unnest(k.conkey) AS c(number) \
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.number) FROM pg_constraint k \
    JOIN pg_attribute t ON t.attrelid = k.confrelid AND t.attname = $2 AND t.attnum > 0 AND NOT t.attisdropped \
    WHERE k.conrelid = $1::oid AND k.contype = 'f' AND NOT EXISTS ( \
    SELECT 1 FROM unnest(k.conkey, k.confkey) AS pair(near, far) \
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.near AND a.attname = $2 WHERE pair.far = t.attnum)";

/// The same of foreign keys that lead to a table, as far as what is done to its rows is done to those that refer to them: columns that are
/// referred to, whether that is so of rows that are removed, and whether of columns that are changed.
const FOLLOWING: &str = "\
    SELECT ARRAY(SELECT a.attname::text FROM unnest(k.confkey) AS c(number) \
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.number), \
    k.confdeltype IN ('c', 'n', 'd'), k.confupdtype IN ('c', 'n', 'd') FROM pg_constraint k \
    JOIN pg_attribute t ON t.attrelid = k.conrelid AND t.attname = $2 AND t.attnum > 0 AND NOT t.attisdropped \
    WHERE k.confrelid = $1::oid AND k.contype = 'f' AND NOT EXISTS ( \
    SELECT 1 FROM unnest(k.conkey, k.confkey) AS pair(near, far) \
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = pair.far AND a.attname = $2 WHERE pair.near = t.attnum)";

impl Look<'_> {
    /// Refuses to write where a foreign key leads past the column that keeps tenants apart.
    pub(super) async fn references(
        &mut self,
        connection: &mut PgConnection,
        relation: &Relation,
        tenant: &str,
    ) -> Result<(), Failure> {
        let (of, named, writes) = (self.entity.name.clone(), self.named(), self.said.writes);
        let given: Vec<String> = self.given().map(|(_, column)| column.to_owned()).collect();
        let set = |columns: &[String]| columns.iter().any(|column| given.contains(column));
        let leading: Vec<(Vec<String>,)> =
            query_as(LEADING).bind(relation.oid).bind(tenant).fetch_all(&mut *connection).await?;
        for (columns,) in leading.iter().filter(|(columns,)| set(columns)) {
            self.refusals.push(format!(
                "{of}: the foreign key of {named} ({}) leads to rows of any tenant; let it contain {tenant} on both sides, or take its field \
                 out of inputs with @column(generated: ALWAYS)",
                columns.join(", ")
            ));
        }
        let following: Vec<(Vec<String>, bool, bool)> =
            query_as(FOLLOWING).bind(relation.oid).bind(tenant).fetch_all(connection).await?;
        for (columns, removed, changed) in &following {
            if (writes.delete && *removed) || (writes.update && *changed && set(columns)) {
                self.refusals.push(format!(
                    "{of}: rows of any tenant can refer to {named} ({}), and are removed or changed with what they refer to; let that foreign \
                     key contain {tenant} on both sides, or without ON DELETE and ON UPDATE",
                    columns.join(", ")
                ));
            }
        }
        Ok(())
    }
}
