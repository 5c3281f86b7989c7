//! What a table of others says no to, in the gateway's own words: type and fields where they are known, and nothing of the database.
//! States: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.

use quipu_resolvers::change::Act;
use quipu_resolvers::fault::{Code, Fault};
use sqlx::postgres::PgDatabaseError;

use super::{Batch, Failure, Table, Writing};
use crate::stores::sql::mapped::Whose;

/// What came of a statement, where a table that refuses is no failure of the store.
pub(super) fn or<T>(
    outcome: Result<T, Failure>,
    table: &Table,
    writing: &Writing,
    batch: &Batch<'_>,
) -> Result<Result<T, Fault>, Failure> {
    let failure = match outcome {
        Ok(written) => return Ok(Ok(written)),
        Err(failure) => failure,
    };
    let Failure::Store(error) = &failure else { return Err(failure) };
    let Some(told) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return Err(failure);
    };
    match (Refusal { told, table, writing, batch }).fault() {
        Some(fault) => {
            tracing::info!(of = writing.of, %error, "a table of others refuses a change");
            Ok(Err(fault))
        }
        None => Err(failure),
    }
}

struct Refusal<'a> {
    told: &'a PgDatabaseError,
    table: &'a Table,
    writing: &'a Writing,
    batch: &'a Batch<'a>,
}

impl Refusal<'_> {
    fn fault(&self) -> Option<Fault> {
        let of = &self.writing.of;
        let (code, message) = match self.told.code() {
            "23505" | "23P01" => (Code::Conflict, self.taken()),
            "23503" | "23001" => self.referred(),
            "23502" => (Code::BadUserInput, format!("{}: a value is required", self.column())),
            "23514" => (Code::BadUserInput, format!("{}: the table does not take this value", self.constrained())),
            // The store says what it is about: characters that no text of it can have.
            "22021" | "22P05" => return None,
            state if state.starts_with("22") => {
                (Code::BadUserInput, format!("{of}: a value is outside of what its column can hold{}", self.set()))
            }
            // The same state as of a right that is lacking, which is not the client's to mend.
            "42501" if self.told.routine() == Some("ExecWithCheckOptions") => {
                (Code::Forbidden, format!("row security of the table of {of} refuses the change"))
            }
            // What a trigger or function raises by itself.
            "P0001" => (Code::BadUserInput, format!("the table of {of} refuses the change")),
            _ => return None,
        };
        Some(Fault::client(code, message))
    }

    /// Whether the refusal is about the table that was written, and not about one that has to do with it. A partition has the constraints
    /// of its table under the same names, but for indexes.
    fn is_own(&self) -> bool {
        let named = self.told.schema() == Some(&self.table.schema) && self.told.table() == Some(&self.table.name);
        let of_partition = || match self.told.constraint() {
            Some(constraint) => self.writing.constraints.contains_key(constraint),
            None => self.told.column().is_some(),
        };
        named || (self.writing.partitioned && of_partition())
    }

    /// Names of the fields of the columns of the constraint, as far as there are any.
    fn fields(&self) -> Option<Vec<&str>> {
        let constraint = self.told.constraint().filter(|_| self.is_own())?;
        let columns = self.writing.constraints.get(constraint)?;
        let fields = columns.iter().filter(|column| !self.is_tenant(column));
        Some(fields.filter_map(|column| self.writing.fields.get(column).map(String::as_str)).collect())
    }

    fn is_tenant(&self, column: &str) -> bool {
        matches!(&self.table.whose, Whose::Named { column: tenant, .. } if tenant == column)
    }

    fn taken(&self) -> String {
        let of = &self.writing.of;
        match self.fields().as_deref() {
            Some(["id"]) => match self.batch.rows.as_slice() {
                [(record, _)] if self.batch.act == Act::Create => format!("{of} \"{}\" exists already", record.id),
                _ => format!("{of}: one of the records exists already"),
            },
            Some([field]) => format!("{of}.{field}: the value is taken"),
            Some(fields) if !fields.is_empty() => {
                format!("{of}: the values of {} are taken together", fields.join(", "))
            }
            _ => format!("{of}: a value is taken that may be there only once"),
        }
    }

    /// A reference that leads nowhere, or would.
    fn referred(&self) -> (Code, String) {
        let of = &self.writing.of;
        let leads =
            matches!(self.batch.act, Act::Create | Act::Make) || (self.batch.act == Act::Update && self.is_own());
        if !leads || self.told.code() == "23001" {
            return (Code::Conflict, format!("{of}: other records refer to it"));
        }
        (Code::NotFound, format!("{}: what it refers to does not exist", self.constrained()))
    }

    /// The type with the fields that a constraint speaks of.
    fn constrained(&self) -> String {
        match self.fields() {
            Some(fields) if !fields.is_empty() => format!("{}.{}", self.writing.of, fields.join(", ")),
            _ => self.writing.of.clone(),
        }
    }

    /// The type with the field of the column that is told.
    fn column(&self) -> String {
        let of = &self.writing.of;
        let Some(column) = self.told.column().filter(|_| self.is_own()) else { return of.clone() };
        match self.writing.fields.get(column) {
            Some(field) => format!("{of}.{field}"),
            None => format!("{of}, in a column that no field shows"),
        }
    }

    /// The fields that were set, one of which it is about.
    fn set(&self) -> String {
        let columns = self.batch.rows.iter().flat_map(|(_, set)| set.keys());
        let mut fields: Vec<&str> =
            columns.filter_map(|column| self.writing.fields.get(column)).map(String::as_str).collect();
        fields.sort_unstable();
        fields.dedup();
        if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) }
    }
}
