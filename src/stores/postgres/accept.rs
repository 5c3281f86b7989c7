//! Deciding on a change: one transaction, which holds the tenant's row from its beginning. So there is one decision at a time in a
//! tenant, on however many instances, and positions in the log have no gaps.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu_resolvers::change::{Accepted, Change, Op, Ref};
use quipu_resolvers::fault::Fault;
use quipu_resolvers::guard::{Allowed, TenantId};
use quipu_resolvers::ports::{Call, StoreName, Terms};
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};

use super::reads::is_of_the_table;
use super::session::{Failure, Session, within};
use super::{Store, foreign, names, registry, rows, unknown_tenant};
use crate::stores::fold::{Folded, fold};
use crate::stores::lives::deleted;
use crate::stores::logged::{Logged, digest_under, number, replayed};
use crate::stores::sql::names::{NameOf, Names};
use crate::stores::verdict::{Verdict, decide};
use crate::stores::wanted::names_of;

/// What came of a change: an answer, or a refusal; either way without a failure of the store.
pub(super) type Decided = Result<(Accepted, Names), Fault>;

/// How often a change is tried again when the store says that trying again may help, and the first pause between.
const RETRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

impl Store {
    pub(super) async fn accept(
        &self,
        change: &Allowed<Change>,
        terms: Terms<'_>,
        call: Call<'_>,
    ) -> Result<Accepted, Fault> {
        let begun = Instant::now();
        let (tenant, deadline) = (change.tenant(), call.deadline);
        let turn = self.turns.take(tenant, deadline).await.map_err(Failure::fault)?;
        let foreign = foreign::types(change.get());
        if !foreign.is_empty() {
            self.know_tables(tenant, &foreign, deadline).await.map_err(Failure::fault)?;
        }
        let mut decided = self.decided(change, terms, deadline).await;
        if let Some(of) = of_others(&decided, &foreign) {
            // Somebody changed the table, and nothing was written: once more, with what it is now.
            tracing::warn!(%tenant, of, "a table of others is not what it was; looking at it again");
            self.look_at_tables(tenant, deadline).await.map_err(Failure::fault)?;
            decided = self.decided(change, terms, deadline).await;
        }
        if let (Some(of), Err(failure)) = (of_others(&decided, &foreign), &decided) {
            tracing::error!(%tenant, of, ?failure, "a table of others cannot be written");
            decided = Ok(Err(foreign::unwritable(of)));
        }
        drop(turn);
        call.trace.ran(StoreName::Rows, begun.elapsed(), || {
            ("accept: a change is decided on in one transaction".to_owned(), Vec::new(), change.get().ops.len())
        });
        let (accepted, names) = decided.map_err(Failure::fault)??;
        self.known.set(change.tenant(), names);
        Ok(accepted)
    }

    /// Decides, and again when the store says that trying again may help.
    async fn decided(&self, change: &Allowed<Change>, terms: Terms<'_>, deadline: Instant) -> Result<Decided, Failure> {
        let mut tried = 0;
        loop {
            match self.decide(change, terms, deadline).await {
                Err(failure) if failure.is_transient() && tried < RETRIES => {
                    tokio::time::sleep(PAUSE * 2_u32.pow(tried)).await;
                    tried += 1;
                }
                decided => return decided,
            }
        }
    }

    async fn decide(&self, change: &Allowed<Change>, terms: Terms<'_>, deadline: Instant) -> Result<Decided, Failure> {
        let known = self.known.get(change.tenant());
        // Policies and defaults of tables of others learn whose rows are written.
        let name = change.get().ops.iter().any(Op::is_foreign).then_some(change.tenant());
        let key = known.as_ref().map(|names| names.tenant);
        let mut session = self.sessions.begin_named(key, name, deadline).await?;
        let decided = within(deadline, transact(session.start(), known, change.tenant(), change.get(), terms)).await;
        session.done(&decided);
        let decided = decided?;
        if let Ok((accepted, _)) = &decided
            && !accepted.replayed
        {
            end(session, deadline).await?;
        }
        Ok(decided)
    }
}

/// The type whose table of others the store could make nothing of.
fn of_others<'a>(decided: &Result<Decided, Failure>, foreign: &[&'a str]) -> Option<&'a str> {
    match decided {
        Err(Failure::Store(error)) if is_of_the_table(error) => foreign.first().copied(),
        _ => None,
    }
}

/// Commits within the time. What is not heard of in time may have been committed.
pub(super) async fn end(session: Session, deadline: Instant) -> Result<(), Failure> {
    match within(deadline, session.commit()).await {
        Err(Failure::Late) => Err(Failure::Unsure(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
        ended => ended,
    }
}

async fn transact(
    connection: &mut PgConnection,
    known: Option<Arc<Names>>,
    tenant: &TenantId,
    change: &Change,
    terms: Terms<'_>,
) -> Result<Decided, Failure> {
    // Keys of names never change, and names without one get theirs below: those kept in memory will do.
    let names = match known {
        Some(names) => (*names).clone(),
        None => match names::load(connection, tenant).await? {
            Some(names) => names,
            None => return Ok(Err(unknown_tenant(tenant))),
        },
    };
    match lock(connection, names.tenant).await? {
        Some(_) => write(connection, names, change, terms).await,
        None => Ok(Err(deleted())),
    }
}

/// Waits until nobody else decides on a change of the tenant; returns its version, unless the tenant is being deleted, or was.
pub(super) async fn lock(connection: &mut PgConnection, tenant: i64) -> Result<Option<i64>, Failure> {
    let text = "SELECT version FROM tenant WHERE key = $1 AND leaving IS NULL AND gone IS NULL FOR UPDATE";
    Ok(query_scalar(text).bind(tenant).fetch_optional(connection).await?)
}

/// Decides and writes, inside a transaction that has locked the tenant, and that its caller commits, or takes back after a refusal.
pub(super) async fn write(
    connection: &mut PgConnection,
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
    names::intern(connection, &mut names, &names_of(&change.ops)).await?;
    let own = own(change);
    let held = registry::load(connection, &names, &own.ops).await?;
    let mut verdict = match decide(&own, held, terms.only_new) {
        Ok(verdict) => verdict,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let written = match foreign::write(connection, &names, change).await? {
        Ok(written) => written,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let head: i64 =
        query_scalar("SELECT head FROM tenant WHERE key = $1").bind(names.tenant).fetch_one(&mut *connection).await?;
    let seq = if verdict.ops.is_empty() && written.is_empty() { head } else { head + 1 };
    verdict.effects.extend(written);
    let effects = json(&verdict.effects)?;
    if seq > head {
        registry::store(connection, &names, &verdict).await?;
        store_rows(connection, &names, &verdict).await?;
        append(connection, names.tenant, seq, terms, &json(&Logged { ops: &verdict.ops })?, &effects).await?;
    }
    if let (Some(key), Some(digest)) = (terms.idempotency_key, &digest) {
        query("INSERT INTO idempotency (tenant, key, digest, seq, effects, at) VALUES ($1, $2, $3, $4, $5, $6)")
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

/// What a change does to records of ours.
fn own(change: &Change) -> Cow<'_, Change> {
    if !change.ops.iter().any(Op::is_foreign) {
        return Cow::Borrowed(change);
    }
    Cow::Owned(Change { ops: change.ops.iter().filter(|op| !op.is_foreign()).cloned().collect() })
}

/// What an idempotency key was answered with before, if it was used.
async fn replay(
    connection: &mut PgConnection,
    tenant: i64,
    key: &str,
    digest: &[u8],
) -> Result<Option<Result<Accepted, Fault>>, Failure> {
    let row = query("SELECT digest, seq, effects FROM idempotency WHERE tenant = $1 AND key = $2")
        .bind(tenant)
        .bind(key)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let same = row.try_get::<&[u8], _>(0)? == digest;
    Ok(Some(replayed(key, same, row.try_get(1)?, parsed(row.try_get(2)?)?)))
}

/// Writes the rows of the relational tables that a verdict speaks of.
async fn store_rows(connection: &mut PgConnection, names: &Names, verdict: &Verdict<'_>) -> Result<(), Failure> {
    let Folded { rows, rows_gone, .. } = fold(verdict.ops.iter().map(Cow::as_ref));
    let key = |record: &Ref| names.key(NameOf::Row, &record.of);
    let gone: Vec<(i64, &str)> = rows_gone.iter().map(|record| (key(record), record.id.as_str())).collect();
    rows::remove(connection, names.tenant, &gone).await?;
    let puts: Vec<rows::Put<'_>> =
        rows.into_iter().map(|(record, set)| ((key(record), record.id.as_str()), set)).collect();
    rows::put(connection, names.tenant, &puts).await
}

async fn append(
    connection: &mut PgConnection,
    tenant: i64,
    seq: i64,
    terms: Terms<'_>,
    change: &str,
    effects: &str,
) -> Result<(), Failure> {
    let text = "WITH entry AS (INSERT INTO log (tenant, seq, at, actor, change, effects) VALUES ($1, $2, $3, $4, $5, $6)) \
                UPDATE tenant SET head = $2 WHERE key = $1";
    query(text)
        .bind(tenant)
        .bind(seq)
        .bind(terms.at)
        .bind(terms.actor)
        .bind(change)
        .bind(effects)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Store(sqlx::Error::Encode(error.into())))
}

pub(super) fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Store(sqlx::Error::Decode(error.into())))
}
