//! What the log says of the records that are there, while an ontology is published over them.

use quipu_resolvers::change::Change;
use quipu_resolvers::ports::Terms;
use sqlx::postgres::PgConnection;
use sqlx::query_as;

use super::accept::{self, parsed};
use super::session::Failure;
use crate::stores::fitting::{Fits, Held, Holder, Holders, Meeting};
use crate::stores::holdings::{self, ENTRIES, Portions};
use crate::stores::sql::names::Names;

/// The transaction that publishes.
pub(super) struct InLog<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) names: &'a mut Names,
}

impl Portions for InLog<'_> {
    type Failure = Failure;

    async fn portion(&mut self, after: i64, names: &[String]) -> Result<Vec<(i64, Change)>, Failure> {
        let text = "SELECT seq, change FROM log WHERE tenant = $1 AND seq > $2 \
                    AND EXISTS (SELECT 1 FROM unnest($3::text[]) AS name WHERE strpos(change, name) > 0) ORDER BY seq LIMIT $4";
        let query = query_as(text).bind(self.names.tenant).bind(after).bind(names).bind(ENTRIES);
        let entries: Vec<(i64, String)> = query.fetch_all(&mut *self.connection).await?;
        entries.into_iter().map(|(seq, change)| Ok((seq, parsed(&change)?))).collect()
    }
}

impl Held for InLog<'_> {
    type Failure = Failure;

    async fn count(&mut self, holders: &Holders, meeting: Meeting<'_>) -> Result<i64, Failure> {
        holdings::count(self, holders, meeting).await
    }

    async fn lacking(&mut self, holders: &Holders, stored: &str) -> Result<Vec<Holder>, Failure> {
        holdings::lacking(self, holders, stored).await
    }

    async fn accept(&mut self, change: Change, terms: Terms<'_>) -> Result<Fits, Failure> {
        match accept::write(self.connection, self.names.clone(), &change, terms).await? {
            Ok((_, known)) => {
                *self.names = known;
                Ok(Ok(()))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}
