//! What the file says of the records that are there, while an ontology is published over them. Nodes that are in another store are those of
//! the log.

use quipu_resolvers::change::Change;
use quipu_resolvers::ports::Terms;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, query_as, query_scalar};

use super::accept::{self, json, parsed};
use super::connections::Failure;
use crate::stores::fitting::{Fits, Held, Holder, Holders, Meeting};
use crate::stores::holdings::{self, ENTRIES, Portions};
use crate::stores::sql;
use crate::stores::sql::names::{NameOf, Names};

/// The transaction that publishes.
pub(super) struct InFile<'a> {
    pub(super) connection: &'a mut SqliteConnection,
    pub(super) names: &'a mut Names,
    /// Whether nodes and relationships are here.
    pub(super) holds_graph: bool,
}

impl InFile<'_> {
    fn holds(&self, holders: &Holders) -> bool {
        self.holds_graph || matches!(holders, Holders::Records { row: true, .. })
    }
}

impl Portions for InFile<'_> {
    type Failure = Failure;

    async fn portion(&mut self, after: i64, names: &[String]) -> Result<Vec<(i64, Change)>, Failure> {
        let text = "SELECT seq, change FROM log WHERE tenant = ? AND seq > ? \
                    AND EXISTS (SELECT 1 FROM json_each(?) AS name WHERE instr(log.change, name.value) > 0) ORDER BY seq LIMIT ?";
        let query = query_as(text).bind(self.names.tenant).bind(after).bind(json(names)?).bind(ENTRIES);
        let entries: Vec<(i64, String)> = query.fetch_all(&mut *self.connection).await?;
        entries.into_iter().map(|(seq, change)| Ok((seq, parsed(&change)?))).collect()
    }
}

impl Held for InFile<'_> {
    type Failure = Failure;

    async fn count(&mut self, holders: &Holders, meeting: Meeting<'_>) -> Result<i64, Failure> {
        if !self.holds(holders) {
            return holdings::count(self, holders, meeting).await;
        }
        let text = format!("SELECT count(*) FROM {} AND {}", from(self.names, holders), condition(meeting));
        Ok(query_scalar(AssertSqlSafe(text)).bind(self.names.tenant).fetch_one(&mut *self.connection).await?)
    }

    async fn lacking(&mut self, holders: &Holders, stored: &str) -> Result<Vec<Holder>, Failure> {
        if !self.holds(holders) {
            return holdings::lacking(self, holders, stored).await;
        }
        let (from, lacking) = (from(self.names, holders), condition(Meeting::Lacks(stored)));
        if let Holders::Records { .. } = holders {
            let text = format!("SELECT held.id FROM {from} AND {lacking} ORDER BY held.id");
            let ids: Vec<String> =
                query_scalar(AssertSqlSafe(text)).bind(self.names.tenant).fetch_all(&mut *self.connection).await?;
            return Ok(ids.into_iter().map(Holder::Record).collect());
        }
        let text = format!("SELECT a.id, b.id, held.key FROM {from} AND {lacking}");
        let found: Vec<(String, String, String)> =
            query_as(AssertSqlSafe(text)).bind(self.names.tenant).fetch_all(&mut *self.connection).await?;
        Ok(found.into_iter().map(|(start, end, key)| Holder::Link(start, end, key)).collect())
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

/// A table and a condition; `held` is the holder.
fn from(names: &Names, holders: &Holders) -> String {
    match holders {
        Holders::Records { of, row } => {
            let (table, kind) = (if *row { "record" } else { "node" }, names.key(NameOf::record(*row), of));
            format!("{table} AS held WHERE held.tenant = ? AND held.kind = {kind}")
        }
        Holders::Links { of, from, to } => {
            let node = |of| names.key(NameOf::Node, of);
            format!(
                "edge AS held CROSS JOIN node AS a ON a.rid = held.src AND a.kind = {} CROSS JOIN node AS b ON b.rid = held.dst \
                 AND b.kind = {} WHERE held.tenant = ? AND held.kind = {}",
                node(from),
                node(to),
                names.key(NameOf::Relationship, of)
            )
        }
    }
}

fn condition(meeting: Meeting<'_>) -> String {
    match meeting {
        Meeting::Any => "true".to_owned(),
        Meeting::Has(stored) => format!("(held.props -> {}) IS NOT NULL", sql::path(stored)),
        Meeting::Lacks(stored) => format!("(held.props -> {}) IS NULL", sql::path(stored)),
        Meeting::Holds { stored, list, text } => {
            let (path, literal) = (sql::path(stored), format!("'{}'", text.replace('\'', "''")));
            match list {
                true => {
                    format!("EXISTS (SELECT 1 FROM json_each(held.props, {path}) AS item WHERE item.value = {literal})")
                }
                false => format!("(held.props ->> {path}) = {literal}"),
            }
        }
    }
}
