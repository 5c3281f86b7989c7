//! The port `Reader`: one statement, with one value. Of tables that belong to others it may turn out that they are not what they were.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, Reader, StoreName};
use quipu_resolvers::read::Read;
use quipu_resolvers::value::Value;
use quipu_schema::ontology::Ontology;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row, ValueRef};

use super::session::{Failure, state_of, within};
use super::tables::{self, Wanted};
use super::{PART, Postgres, Store};
use crate::stores::sql::names::{NameOf, Names, UNKNOWN};
use crate::stores::sql::{Dialect, Parameter, Statement};

/// How long a table of others that cannot be read is taken for one without a look.
pub(super) const AGE: Duration = Duration::from_secs(2);

impl Store {
    /// Runs what `write` makes of the tenant's names: one statement with one value.
    async fn query(
        &self,
        tenant: &TenantId,
        call: Call<'_>,
        write: impl Fn(&Names) -> Statement,
    ) -> Result<Value, Fault> {
        let (names, statement) = self.written(tenant, call.deadline, &write).await?;
        let mut row = self.run(tenant, &names, &statement, call).await;
        if let Err(Failure::Store(error)) = &row
            && statement.foreign
            && is_of_the_table(error)
        {
            // Somebody changed the table: once more, with what it is now.
            tracing::warn!(%tenant, %error, "a table of others is not what it was; looking at it again");
            self.look_at_tables(tenant, call.deadline).await.map_err(Failure::fault)?;
            let (names, statement) = self.written(tenant, call.deadline, &write).await?;
            row = self.run(tenant, &names, &statement, call).await;
        }
        outcome(&row.map_err(Failure::fault)?).map_err(|cause| Fault::internal(PART, cause))
    }

    /// The statement, with the names it was written with.
    async fn written(
        &self,
        tenant: &TenantId,
        deadline: Instant,
        write: &impl Fn(&Names) -> Statement,
    ) -> Result<(Arc<Names>, Statement), Fault> {
        let mut names = self.names(tenant, deadline, false).await.map_err(Failure::fault)?;
        let mut statement = write(&names);
        if statement.unknown_names && !self.known.is_fresh(tenant) {
            names = self.names(tenant, deadline, true).await.map_err(Failure::fault)?;
            statement = write(&names);
        }
        if statement.broken.is_some() && names.tables.asked.is_none_or(|asked| asked.elapsed() > AGE) {
            self.look_at_tables(tenant, deadline).await.map_err(Failure::fault)?;
            names = self.names(tenant, deadline, false).await.map_err(Failure::fault)?;
            statement = write(&names);
        }
        match statement.broken.take() {
            Some(why) => Err(Fault::client(Code::StoreUnavailable, why)),
            None => Ok((names, statement)),
        }
    }

    async fn run(
        &self,
        tenant: &TenantId,
        names: &Names,
        statement: &Statement,
        call: Call<'_>,
    ) -> Result<PgRow, Failure> {
        let name = statement.shows_name.then_some(tenant);
        let mut session = self.sessions.begin_named(Some(names.tenant), name, call.deadline).await?;
        let begun = Instant::now();
        let row = within(call.deadline, fetch(session.start(), statement)).await;
        session.done(&row);
        call.trace.ran(StoreName::Rows, begun.elapsed(), || {
            (statement.text.clone(), statement.parameters.iter().map(Parameter::to_string).collect(), 1)
        });
        row
    }

    /// Takes what a served ontology shows of tables of others.
    pub(super) fn keep_wanted(&self, tenant: &TenantId, ontology: &Ontology) {
        let mut all = self.wanted.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(tenant.clone(), Arc::new(Wanted::by(ontology)));
    }

    /// Looks at the tables of others that a tenant's ontology shows. What is wrong with them is told in the log.
    pub(super) async fn look_at_tables(&self, tenant: &TenantId, deadline: Instant) -> Result<(), Failure> {
        let wanted = {
            let all = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
            all.get(tenant).cloned().unwrap_or_default()
        };
        let mut names = self.names(tenant, deadline, false).await?;
        if wanted.is_empty() && names.tables.is_empty() {
            return Ok(());
        }
        if wanted.names().any(|name| names.key(NameOf::Row, name) == UNKNOWN) {
            names = self.names(tenant, deadline, true).await?;
        }
        let mut session = self.sessions.begin(Some(names.tenant), deadline).await?;
        let looked = tables::look(session.start(), &names, tenant, &wanted, &self.opened);
        let looked = within(deadline, looked).await;
        session.done(&looked);
        let (tables, problems) = looked?;
        for problem in problems {
            tracing::error!(%tenant, problem, "a table of others cannot be read");
        }
        self.known.set(tenant, (*names).clone().with_tables(Arc::new(tables)));
        Ok(())
    }
}

/// Whether the server could not make sense of a statement, or would not let the role run it.
/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>, class 42, and plans whose result has changed.
pub(super) fn is_of_the_table(error: &sqlx::Error) -> bool {
    state_of(error).is_some_and(|state| state.starts_with("42") || state == "0A000")
}

/// Runs a statement.
async fn fetch(connection: &mut PgConnection, statement: &Statement) -> Result<PgRow, Failure> {
    let mut query = sqlx::query(AssertSqlSafe(statement.text.clone()));
    for parameter in &statement.parameters {
        query = match parameter {
            Parameter::Null => query.bind(None::<String>),
            Parameter::Int(number) => query.bind(*number),
            Parameter::Text(text) => query.bind(text.clone()),
            Parameter::Bytes(bytes) => query.bind(bytes.clone()),
            Parameter::Texts(texts) => query.bind(texts.clone()),
        };
    }
    Ok(query.fetch_one(connection).await?)
}

/// The JSON of the only column, read from the bytes that came.
fn outcome(row: &PgRow) -> Result<Value, String> {
    let value = row.try_get_raw(0).map_err(|error| error.to_string())?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(value.as_bytes().map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

#[async_trait]
impl Reader for Postgres {
    async fn read(&self, read: &Allowed<Read>, call: Call<'_>) -> Result<Value, Fault> {
        self.0.query(read.tenant(), call, |names| Dialect::Postgres.read(read.get(), names)).await
    }

    async fn read_many(&self, read: &Allowed<Read>, keys: &[Value], call: Call<'_>) -> Result<Vec<Value>, Fault> {
        let write = |names: &Names| Dialect::Postgres.read_many(read.get(), keys, names);
        match self.0.query(read.tenant(), call, write).await? {
            Value::List(outcomes) if outcomes.len() == keys.len() => Ok(outcomes),
            _ => Err(Fault::internal(PART, "not one outcome per key")),
        }
    }
}
