//! What the database says of a table that others own. Asked as the login role, of catalogs that every role may read.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row, query, query_as};

use super::super::session::Failure;
use crate::stores::sql::mapped::{Column, Quoted, Sort};

/// A table or view.
#[derive(Debug)]
pub(super) struct Relation {
    /// Its key in the database.
    pub(super) oid: i64,
    /// `r`, `p` (partitioned), `v` (view), `m` (materialized view), or something else.
    pub kind: String,
    /// Whether row security binds the login role.
    pub secured: bool,
    /// Whether the role may look into the schema at all.
    pub usable: bool,
    /// Its columns, in order.
    pub columns: Vec<Described>,
    /// Columns that no two rows share the values of.
    pub unique: Vec<Vec<String>>,
}

/// A column as the database describes it.
#[derive(Debug)]
pub(super) struct Described {
    pub name: String,
    /// Whether null is refused.
    pub required: bool,
    /// Whether the role may read it.
    pub readable: bool,
    /// Its type as SQL writes it.
    pub type_name: String,
    /// What it is to a statement, if it can be anything.
    pub column: Option<Column>,
    /// The size of whole numbers in bits, 0 of anything else.
    pub bits: u32,
    /// Most characters of a text, where there is a limit.
    pub longest: Option<usize>,
}

impl Relation {
    /// Whether it is computed, so that the database promises nothing of its columns.
    pub(super) fn is_view(&self) -> bool {
        self.kind == "v" || self.kind == "m"
    }

    pub(super) fn column(&self, name: &str) -> Option<&Described> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Reads what there is under a name.
pub(super) async fn relation(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
) -> Result<Option<Relation>, Failure> {
    let text = "SELECT c.oid::bigint, c.relkind::text, row_security_active(c.oid), \
                has_schema_privilege(n.oid, 'USAGE') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE n.nspname = $1 AND c.relname = $2";
    let found: Option<(i64, String, bool, bool)> =
        query_as(text).bind(schema).bind(table).fetch_optional(&mut *connection).await?;
    let Some((oid, kind, secured, usable)) = found else { return Ok(None) };
    let columns = query(COLUMNS).bind(oid).fetch_all(&mut *connection).await?;
    let columns = columns.iter().map(described).collect::<Result<_, sqlx::Error>>()?;
    let text = "SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) \
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts) \
                FROM pg_index i WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid \
                AND i.indpred IS NULL AND i.indexprs IS NULL";
    let unique: Vec<(Vec<String>,)> = query_as(text).bind(oid).fetch_all(connection).await?;
    let unique = unique.into_iter().map(|(columns,)| columns).collect();
    Ok(Some(Relation { oid, kind, secured, usable, columns, unique }))
}

/// Domains are looked through to what they are made of.
const COLUMNS: &str = "\
    WITH RECURSIVE base AS ( \
    SELECT a.attnum, a.attname, a.attnotnull AS required, a.attcollation, a.atttypmod AS modifier, a.atttypid AS type, \
    format_type(a.atttypid, a.atttypmod) AS type_name, has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable \
    FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped \
    UNION ALL SELECT b.attnum, b.attname, b.required OR t.typnotnull, b.attcollation, \
    CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.modifier END, t.typbasetype, b.type_name, b.readable \
    FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd') \
    SELECT b.attname::text, b.required, b.readable, b.type_name, b.modifier, \
    t.typelem <> 0 AND t.typlen = -1 AS array, item.typname::text, item.typtype::text, \
    quote_ident(n.nspname) || '.' || quote_ident(item.typname), n.nspname = 'pg_catalog', \
    CASE WHEN c.collisdeterministic THEN quote_ident(cn.nspname) || '.' || quote_ident(c.collname) END, \
    ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = item.oid ORDER BY e.enumsortorder) \
    FROM base b JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd' \
    JOIN pg_type item ON item.oid = CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN t.typelem ELSE t.oid END \
    JOIN pg_namespace n ON n.oid = item.typnamespace \
    LEFT JOIN pg_collation c ON c.oid = b.attcollation LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace \
    ORDER BY b.attnum";

fn described(row: &PgRow) -> Result<Described, sqlx::Error> {
    let modifier: i32 = row.try_get(4)?;
    let (of, built_in): (String, bool) = (row.try_get(6)?, row.try_get(9)?);
    let is_enum = row.try_get::<String, _>(7)? == "e";
    let (mut bits, collation) = (0, row.try_get(10)?);
    // As `varchar` has it: with the four bytes of a header.
    let longest = (of == "varchar").then(|| usize::try_from(modifier - 4).ok()).flatten();
    let sort = match of.as_str() {
        _ if is_enum => Some(Sort::Label { name: row.try_get(8)?, labels: row.try_get(11)? }),
        _ if !built_in => None,
        "text" | "varchar" => Some(Sort::Text { collation }),
        "uuid" => Some(Sort::Uuid),
        "int2" | "int4" | "int8" => {
            bits = of[3..].parse::<u32>().unwrap_or(8) * 8;
            Some(Sort::Integer)
        }
        "numeric" => Some(match digits(modifier) {
            Some((1..=18, 0)) => {
                bits = 64;
                Sort::Integer
            }
            Some((1..=15, _)) => Sort::Decimal { exact: true },
            _ => Sort::Decimal { exact: false },
        }),
        "float8" => Some(Sort::Double),
        "float4" => Some(Sort::Single),
        "bool" => Some(Sort::Truth),
        "date" => Some(Sort::Day),
        // Without a modifier there are six digits of a second.
        "timestamptz" => Some(Sort::Instant { fine: !(0..=3).contains(&modifier) }),
        "jsonb" | "json" => Some(Sort::Json),
        _ => None,
    };
    let array = row.try_get(5)?;
    Ok(Described {
        name: row.try_get(0)?,
        required: row.try_get(1)?,
        readable: row.try_get(2)?,
        type_name: row.try_get(3)?,
        column: sort.map(|sort| Column { sort, array }),
        bits,
        longest,
    })
}

/// Digits of a `numeric`, all and behind the point, as its modifier has them (`numeric.h` of Postgres).
fn digits(modifier: i32) -> Option<(i32, i32)> {
    let declared = modifier.checked_sub(4).filter(|declared| *declared >= 0)?;
    let scale = ((declared & 0x7ff) ^ 1024) - 1024;
    Some(((declared >> 16) & 0xffff, scale))
}

/// What policies are asked about: which rows something can be done to, or which rows may come of it. With the letter that the catalog has
/// for the command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Policed {
    /// Rows that are there: of `SELECT` (`r`), `UPDATE` (`w`) and `DELETE` (`d`).
    There(&'static str),
    /// Rows as they are afterwards: of `INSERT` (`a`) and `UPDATE` (`w`).
    Afterwards(&'static str),
}

/// The policies by which the role sees or writes rows although none of them looks at the setting; empty when the table keeps tenants
/// apart. Without any policy nobody can do anything, which is of no use either.
pub(super) async fn open_policies(
    connection: &mut PgConnection,
    relation: &Relation,
    policed: Policed,
) -> Result<(bool, Vec<String>), Failure> {
    let (command, afterwards) = match policed {
        Policed::There(command) => (command, false),
        Policed::Afterwards(command) => (command, true),
    };
    let text = "SELECT polname::text, polpermissive, \
                coalesce(pg_get_expr(CASE WHEN $3 THEN coalesce(polwithcheck, polqual) ELSE polqual END, polrelid) \
                LIKE '%quipu.tenant_name%', false) FROM pg_policy \
                WHERE polrelid = $1::oid AND polcmd::text IN ('*', $2) AND (polroles = '{0}' \
                OR EXISTS (SELECT 1 FROM unnest(polroles) AS role WHERE pg_has_role(role, 'MEMBER')))";
    let policies: Vec<(String, bool, bool)> =
        query_as(text).bind(relation.oid).bind(command).bind(afterwards).fetch_all(connection).await?;
    let any = policies.iter().any(|(_, permissive, _)| *permissive);
    // All restrictive ones have to let a row through, so one that looks is enough.
    if policies.iter().any(|(_, permissive, looks)| !permissive && *looks) {
        return Ok((any, Vec::new()));
    }
    let open = policies.into_iter().filter(|(_, permissive, looks)| *permissive && !looks);
    Ok((any, open.map(|(name, ..)| name).collect()))
}

/// Whether something is so of any row of a tenant.
pub(super) async fn any_row(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
    what: &str,
) -> Result<bool, Failure> {
    let text = format!("SELECT EXISTS (SELECT 1 FROM {}.{} AS r1 WHERE {what})", Quoted(schema), Quoted(table));
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(connection).await?)
}
