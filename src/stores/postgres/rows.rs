//! Writing rows: properties are merged into what is there, set by set, and those with a column of their own go there as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::Value as Json;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, query};

use super::accept::json;
use super::session::Failure;
use crate::stores::fold::Set;

/// Columns of `record` for texts, `t1` and so on.
pub(super) const TEXTS: usize = 8;
/// Columns of `record` for numbers, `n1` and so on.
pub(super) const NUMBERS: usize = 4;

/// A row to be written: key of its type, its id, and the properties to set.
pub(super) type Put<'a> = ((i64, &'a str), Set<'a>);

/// Removes rows.
pub(super) async fn remove(connection: &mut PgConnection, tenant: i64, gone: &[(i64, &str)]) -> Result<(), Failure> {
    if gone.is_empty() {
        return Ok(());
    }
    let text = "DELETE FROM record USING unnest($2::bigint[], $3::text[]) AS gone(kind, id) \
                WHERE record.tenant = $1 AND record.kind = gone.kind AND record.id = gone.id";
    let (kinds, ids): (Vec<i64>, Vec<&str>) = gone.iter().copied().unzip();
    query(text).bind(tenant).bind(kinds).bind(ids).execute(connection).await?;
    Ok(())
}

/// Writes rows, in one statement. Null removes a property.
pub(super) async fn put(connection: &mut PgConnection, tenant: i64, puts: &[Put<'_>]) -> Result<(), Failure> {
    if puts.is_empty() {
        return Ok(());
    }
    let (mut kinds, mut ids) = (Vec::with_capacity(puts.len()), Vec::with_capacity(puts.len()));
    let (mut sets, mut removed) = (Vec::with_capacity(puts.len()), Vec::with_capacity(puts.len()));
    for ((kind, id), set) in puts {
        kinds.push(*kind);
        ids.push(*id);
        let kept: BTreeMap<&String, &Json> = set.iter().filter(|(_, value)| !value.is_null()).collect();
        sets.push(json(&kept)?);
        let nulls: Vec<&String> = set.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name).collect();
        removed.push(json(&nulls)?);
    }
    query(AssertSqlSafe(PUT.as_str()))
        .bind(tenant)
        .bind(kinds)
        .bind(ids)
        .bind(sets)
        .bind(removed)
        .execute(connection)
        .await?;
    Ok(())
}

/// What a column of texts holds, out of the properties and the name of the property that has the column.
pub(super) fn text_in(props: &str, name: &str) -> String {
    format!("{props} ->> {name}")
}

/// What a column of numbers holds.
pub(super) fn number_in(props: &str, name: &str) -> String {
    format!("CASE jsonb_typeof({props} -> {name}) WHEN 'number' THEN CAST({props} -> {name} AS double precision) END")
}

static PUT: LazyLock<String> = LazyLock::new(|| {
    let (mut columns, mut values, mut updates) = (String::new(), String::new(), String::new());
    let texts = (1..=TEXTS).map(|n| (format!("t{n}"), text_in("made.props", &format!("kind.texts[{n}]"))));
    let numbers = (1..=NUMBERS).map(|n| (format!("n{n}"), number_in("made.props", &format!("kind.numbers[{n}]"))));
    for (column, value) in texts.chain(numbers) {
        // Writing to a string cannot fail.
        let _ = write!(columns, ", {column}");
        let _ = write!(values, ", {value}");
        let _ = write!(updates, ", {column} = excluded.{column}");
    }
    format!(
        "INSERT INTO record (tenant, kind, id, props{columns}) SELECT $1, made.kind, made.id, made.props{values} FROM ( \
         SELECT wanted.kind, wanted.id, (coalesce(held.props, '{{}}') || wanted.props::jsonb) \
         - ARRAY(SELECT jsonb_array_elements_text(wanted.removed::jsonb)) AS props \
         FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) AS wanted(kind, id, props, removed) \
         LEFT JOIN record AS held ON held.tenant = $1 AND held.kind = wanted.kind AND held.id = wanted.id) AS made \
         JOIN kind ON kind.tenant = $1 AND kind.key = made.kind \
         ON CONFLICT (tenant, kind, id) DO UPDATE SET props = excluded.props{updates}"
    )
});
