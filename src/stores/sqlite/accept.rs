//! Deciding on a change: one transaction of the only writer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use quipu_resolvers::change::{Accepted, Change, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::Allowed;
use quipu_resolvers::ports::{Call, StoreName, Terms};
use serde::Serialize;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row, query};

use super::connections::{Failure, within};
use super::{Embedded, known, records, registry, unknown_tenant};
use crate::stores::fold::{Folded, fold};
use crate::stores::lives::deleted;
use crate::stores::logged::{Logged, digest_under, number, replayed};
use crate::stores::sql::names::{NameOf, Names};
use crate::stores::verdict::{Verdict, decide};
use crate::stores::wanted::names_of;

/// What came of a change: an answer, or a refusal; either way without a failure of the store.
pub(super) type Decided = Result<(Accepted, Names), Fault>;

impl Embedded {
    pub(super) async fn accept(
        &self,
        change: &Allowed<Change>,
        terms: Terms<'_>,
        call: Call<'_>,
    ) -> Result<Accepted, Fault> {
        let part = StoreName::Rows.as_str();
        let begun = Instant::now();
        let mut lease = self.writer.lease(call.deadline, part).await?;
        let connection = lease.start(call.deadline).map_err(|failure| failure.fault(part))?;
        let known = self.known.get(change.tenant());
        let decided = within(call.deadline, transact(connection, known, change, terms)).await;
        if let Ok(Ok((_, names))) = &decided {
            self.known.set(change.tenant(), names.clone());
        }
        lease.ended(&decided);
        drop(lease);
        call.trace.ran(StoreName::Rows, begun.elapsed(), || {
            ("accept: a change is decided on in one transaction".to_owned(), Vec::new(), change.get().ops.len())
        });
        Ok(decided.map_err(|failure| failure.fault(part))??.0)
    }
}

async fn transact(
    connection: &mut SqliteConnection,
    known: Option<Arc<Names>>,
    change: &Allowed<Change>,
    terms: Terms<'_>,
) -> Result<Decided, Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Keys of names never change, and names without one get theirs below: those kept in memory will do.
    let names = match known {
        Some(names) => (*names).clone(),
        None => match known::load(&mut transaction, change.tenant()).await? {
            Some(names) => names,
            None => {
                transaction.rollback().await?;
                return Ok(Err(unknown_tenant(change.tenant())));
            }
        },
    };
    let decided = write(&mut transaction, names, change.get(), terms).await?;
    match &decided {
        Ok((accepted, _)) if !accepted.replayed => transaction.commit().await?,
        _ => transaction.rollback().await?,
    }
    Ok(decided)
}

/// Decides and writes, inside a transaction that its caller commits, or takes back after a refusal.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    mut names: Names,
    change: &Change,
    terms: Terms<'_>,
) -> Result<Decided, Failure> {
    let digest = digest_under(terms, change);
    if let (Some(key), Some(digest)) = (terms.idempotency_key, &digest)
        && let Some(earlier) = replay(connection, names.tenant, key, digest).await?
    {
        return Ok(earlier.map(|accepted| (accepted, names)));
    }
    known::intern(connection, &mut names, &names_of(&change.ops)).await?;
    let held = registry::load(connection, &names, &change.ops).await?;
    let verdict = match decide(change, held, terms.only_new) {
        Ok(verdict) => verdict,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let text = "SELECT head FROM tenant WHERE key = ? AND leaving IS NULL AND gone IS NULL";
    let head: Option<i64> = sqlx::query_scalar(text).bind(names.tenant).fetch_optional(&mut *connection).await?;
    let Some(head) = head else { return Ok(Err(deleted())) };
    let seq = if verdict.ops.is_empty() { head } else { head + 1 };
    let effects = json(&verdict.effects)?;
    if seq > head {
        registry::store(connection, &names, &verdict).await?;
        store_rows(connection, &names, &verdict).await?;
        append(connection, names.tenant, seq, terms, &json(&Logged { ops: &verdict.ops })?, &effects).await?;
    }
    if let (Some(key), Some(digest)) = (terms.idempotency_key, &digest) {
        query("INSERT INTO idempotency (tenant, key, digest, seq, effects, at) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(names.tenant)
            .bind(key)
            .bind(digest)
            .bind(seq)
            .bind(&effects)
            .bind(terms.at)
            .execute(&mut *connection)
            .await?;
    }
    let accepted = Accepted { seq: number(seq), effects: verdict.effects, appended: seq > head, replayed: false };
    Ok(Ok((accepted, names)))
}

/// What an idempotency key was answered with before, if it was used.
async fn replay(
    connection: &mut SqliteConnection,
    tenant: i64,
    key: &str,
    digest: &[u8],
) -> Result<Option<Result<Accepted, Fault>>, Failure> {
    let row = query("SELECT digest, seq, effects FROM idempotency WHERE tenant = ? AND key = ?")
        .bind(tenant)
        .bind(key)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let same = row.try_get::<&[u8], _>(0)? == digest;
    Ok(Some(replayed(key, same, row.try_get(1)?, parsed(row.try_get(2)?)?)))
}

/// Writes the rows of the relational tables that a verdict speaks of.
async fn store_rows(connection: &mut SqliteConnection, names: &Names, verdict: &Verdict<'_>) -> Result<(), Failure> {
    let Folded { rows, rows_gone, .. } = fold(verdict.ops.iter().map(Cow::as_ref));
    let key = |record: &Ref| names.key(NameOf::Row, &record.of);
    let gone: Vec<(i64, &str)> = rows_gone.iter().map(|record| (key(record), record.id.as_str())).collect();
    records::remove(connection, names.tenant, &gone).await?;
    let puts = rows.into_iter().map(|(record, set)| ((key(record), record.id.as_str()), set));
    records::put(connection, "record", names.tenant, puts.collect()).await?;
    Ok(())
}

async fn append(
    connection: &mut SqliteConnection,
    tenant: i64,
    seq: i64,
    terms: Terms<'_>,
    change: &str,
    effects: &str,
) -> Result<(), Failure> {
    query("INSERT INTO log (tenant, seq, at, actor, change, effects) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(tenant)
        .bind(seq)
        .bind(terms.at)
        .bind(terms.actor)
        .bind(change)
        .bind(effects)
        .execute(&mut *connection)
        .await?;
    query("UPDATE tenant SET head = ? WHERE key = ?").bind(seq).bind(tenant).execute(connection).await?;
    Ok(())
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Store(sqlx::Error::Encode(error.into())))
}

pub(super) fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Store(sqlx::Error::Decode(error.into())))
}
