//! Rows of tables that belong to others, written inside the transaction that accepts a change. What is there, and what may be there, is
//! known to the tables alone: their constraints, triggers and policies decide, and one refusal takes back the whole change.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use quipu_resolvers::change::{Act, Change, Effect, EffectKind, Op, Ref};
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row, query, raw_sql};

use super::Store;
use super::reads::AGE;
use super::session::Failure;
use crate::stores::sql::mapped::writes::Batch;
use crate::stores::sql::mapped::{Mapped, Quoted, Table, Writing};
use crate::stores::sql::names::{NameOf, Names};
use crate::stores::sql::{Parameter, Statement};

mod refused;

/// What a client learns of a table that cannot be written any more.
pub(super) fn unwritable(of: &str) -> Fault {
    let message = format!(
        "{of} cannot be written: its table does not fit the ontology any more; whoever runs the gateway finds the reason in its log"
    );
    Fault::client(Code::StoreUnavailable, message)
}

/// The types whose rows of others a change writes.
pub(super) fn types(change: &Change) -> Vec<&str> {
    let mut types: Vec<&str> = change
        .ops
        .iter()
        .filter_map(|op| match op {
            Op::Foreign { record, .. } => Some(record.of.as_str()),
            _ => None,
        })
        .collect();
    types.dedup();
    types
}

/// The table behind a type, if it is known to be written.
fn table<'n>(names: &'n Names, of: &str) -> Option<(&'n Table, &'n Writing)> {
    match names.tables.get(names.key(NameOf::Row, of))? {
        Mapped::Table(table) => Some((table, table.writing.as_ref()?)),
        Mapped::Broken(_) => None,
    }
}

impl Store {
    /// Looks at tables again that could not be written a while ago.
    pub(super) async fn know_tables(
        &self,
        tenant: &TenantId,
        types: &[&str],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let names = self.names(tenant, deadline, false).await?;
        let known = types.iter().all(|of| table(&names, of).is_some());
        if !known && names.tables.asked.is_none_or(|asked| asked.elapsed() > AGE) {
            self.look_at_tables(tenant, deadline).await?;
        }
        Ok(())
    }
}

/// Writes the rows of others that a change names, in their order. Tells what happened to which, or why the whole change is refused.
pub(super) async fn write(
    connection: &mut PgConnection,
    names: &Names,
    change: &Change,
) -> Result<Result<Vec<Effect>, Fault>, Failure> {
    let batches = Batch::of_all(change.ops.iter());
    let mut happened = Happened::default();
    for batch in &batches {
        let Some((table, writing)) = table(names, batch.of) else { return Ok(Err(unwritable(batch.of))) };
        let statement = match batch.statement(table, writing) {
            Ok(statement) => statement,
            Err(why) => return Ok(Err(Fault::client(Code::BadUserInput, why))),
        };
        let written = match statement {
            Some(statement) => run(connection, table, &statement).await,
            None => Ok(Vec::new()),
        };
        let written = match refused::or(written, table, writing, batch)? {
            Ok(written) => written,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = happened.take(batch, written) {
            return Ok(Err(refusal));
        }
    }
    let Some(last) = batches.last() else { return Ok(Ok(Vec::new())) };
    // What is deferred to the end is decided here, while it can still be told what it is about.
    let checked = raw_sql("SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL search_path TO DEFAULT").execute(&mut *connection);
    let checked = checked.await.map(|_| ()).map_err(Failure::from);
    let Some((table, writing)) = table(names, last.of) else { return Ok(Err(unwritable(last.of))) };
    match refused::or(checked, table, writing, last)? {
        Ok(_) => Ok(Ok(happened.effects)),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Runs a statement; the ids that it answers with. Triggers find what they name without a schema as they would for others, and never our
/// tables.
async fn run(connection: &mut PgConnection, table: &Table, statement: &Statement) -> Result<Vec<String>, Failure> {
    let path = format!("SET LOCAL search_path TO {}, public", Quoted(&table.schema));
    raw_sql(AssertSqlSafe(path)).execute(&mut *connection).await?;
    let mut query = query(AssertSqlSafe(statement.text.clone()));
    for parameter in &statement.parameters {
        if let Parameter::Text(text) = parameter {
            query = query.bind(text.clone());
        }
    }
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| Ok(row.try_get::<String, _>(0)?)).collect()
}

/// What came of the batches so far.
#[derive(Default)]
struct Happened {
    effects: Vec<Effect>,
    /// Places among the effects.
    places: HashMap<Ref, usize>,
}

impl Happened {
    /// Takes the ids of the rows that a batch wrote. A row to be changed that is not among them is not there.
    fn take(&mut self, batch: &Batch<'_>, written: Vec<String>) -> Result<(), Fault> {
        let of = || batch.of.to_owned();
        match batch.act {
            Act::Create | Act::Make => {
                if written.len() != batch.rows.len() {
                    // A trigger of the table has passed over a row without a word.
                    let message = format!("the table of {} does not take the new record", batch.of);
                    return Err(Fault::client(Code::BadUserInput, message));
                }
                for id in written {
                    self.note(Ref { of: of(), id }, EffectKind::Created);
                }
            }
            Act::Update | Act::Delete => {
                let written: HashSet<String> = written.into_iter().collect();
                let kind = if batch.act == Act::Update { EffectKind::Updated } else { EffectKind::Deleted };
                for (record, set) in &batch.rows {
                    let there = written.contains(&record.id);
                    if there {
                        self.note((*record).clone(), kind);
                    } else if kind == EffectKind::Updated && !set.is_empty() {
                        let message = format!("{} \"{}\" does not exist", record.of, record.id);
                        return Err(Fault::client(Code::NotFound, message));
                    }
                }
            }
        }
        Ok(())
    }

    /// Of what happened to one record, the most is told.
    fn note(&mut self, record: Ref, event: EffectKind) {
        match self.places.get(&record) {
            Some(place) if event == EffectKind::Deleted => self.effects[*place].event = event,
            Some(_) => {}
            None => {
                self.places.insert(record.clone(), self.effects.len());
                self.effects.push(Effect { record, event, version: 0 });
            }
        }
    }
}
