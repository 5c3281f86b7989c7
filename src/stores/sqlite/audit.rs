//! The port `Trail` in the file: chains by the name of their tenant.

use async_trait::async_trait;
use quipu_resolvers::fault::Fault;
use quipu_resolvers::ports::StoreName;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, query, query_as};

use super::connections::Failure;
use super::{BACKGROUND, EmbeddedMetadata};
use crate::audit::{Anchor, Kept, Trail, Whose, chain};
use crate::stores::logged::{hash, number, signed};

#[async_trait]
impl Trail for EmbeddedMetadata {
    async fn append(&self, whose: &Whose, texts: &[String]) -> Result<u64, Fault> {
        self.0.write(BACKGROUND, async |connection| append(connection, whose, texts).await).await
    }

    async fn kept(&self, whose: &Whose, after: u64, limit: u32) -> Result<Vec<Kept>, Fault> {
        let text = "SELECT seq, record, hash FROM audit WHERE whose = ? AND seq > ? ORDER BY seq LIMIT ?";
        let work = async |connection: &mut SqliteConnection| {
            Ok(query_as(text).bind(whose.as_str()).bind(signed(after)).bind(limit).fetch_all(connection).await?)
        };
        let rows: Vec<(i64, String, Vec<u8>)> = self.0.look(StoreName::Rows, work).await?;
        Ok(rows.into_iter().map(|(seq, text, bytes)| Kept { seq: number(seq), text, hash: hash(&bytes) }).collect())
    }

    async fn anchor(&self, whose: &Whose) -> Result<Anchor, Fault> {
        self.0.look(StoreName::Rows, async |connection| anchor(connection, whose).await).await
    }

    async fn prune(&self, whose: &Whose, upto: u64) -> Result<u64, Fault> {
        self.0.write(BACKGROUND, async |connection| prune(connection, whose, upto).await).await
    }

    async fn forget(&self, whose: &Whose) -> Result<(), Fault> {
        self.prune(whose, i64::MAX as u64).await?;
        let text = "DELETE FROM audit_anchor WHERE whose = ?";
        let work = async |connection: &mut SqliteConnection| {
            Ok(query(text).bind(whose.as_str()).execute(connection).await.map(drop)?)
        };
        self.0.write(BACKGROUND, work).await
    }
}

async fn anchor(connection: &mut SqliteConnection, whose: &Whose) -> Result<Anchor, Failure> {
    let text = "SELECT seq, hash FROM audit_anchor WHERE whose = ?";
    let found: Option<(i64, Vec<u8>)> = query_as(text).bind(whose.as_str()).fetch_optional(connection).await?;
    Ok(found.map_or(Anchor::NONE, |(seq, bytes)| Anchor { seq: number(seq), hash: hash(&bytes) }))
}

async fn append(connection: &mut SqliteConnection, whose: &Whose, texts: &[String]) -> Result<u64, Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let text = "SELECT seq, hash FROM audit WHERE whose = ? ORDER BY seq DESC LIMIT 1";
    let last: Option<(i64, Vec<u8>)> = query_as(text).bind(whose.as_str()).fetch_optional(&mut *transaction).await?;
    let mut last = match last {
        Some((seq, bytes)) => Anchor { seq: number(seq), hash: hash(&bytes) },
        None => anchor(&mut transaction, whose).await?,
    };
    for text in texts {
        last = Anchor { seq: last.seq + 1, hash: chain::next(&last.hash, whose, last.seq + 1, text) };
        query("INSERT INTO audit (whose, seq, record, hash) VALUES (?, ?, ?, ?)")
            .bind(whose.as_str())
            .bind(signed(last.seq))
            .bind(text)
            .bind(last.hash.as_slice())
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(last.seq)
}

async fn prune(connection: &mut SqliteConnection, whose: &Whose, upto: u64) -> Result<u64, Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let text = "INSERT INTO audit_anchor (whose, seq, hash) SELECT whose, seq, hash FROM audit WHERE whose = ? AND seq <= ? \
                ORDER BY seq DESC LIMIT 1 ON CONFLICT (whose) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
    query(text).bind(whose.as_str()).bind(signed(upto)).execute(&mut *transaction).await?;
    let gone = query("DELETE FROM audit WHERE whose = ? AND seq <= ?")
        .bind(whose.as_str())
        .bind(signed(upto))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(gone.rows_affected())
}
