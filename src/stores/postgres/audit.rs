//! The port `Trail` in Postgres: chains by the key of their tenant, below row security.

use async_trait::async_trait;
use quipu_resolvers::fault::Fault;
use sqlx::postgres::PgConnection;
use sqlx::{query, query_as};

use super::session::Failure;
use super::{BACKGROUND, Postgres, names};
use crate::audit::{Anchor, Kept, Trail, Whose, chain};
use crate::stores::logged::{hash, number, signed};

/// The key of the chain that is no tenant's.
const GATEWAY: i64 = 0;

/// Shows the chain for the rest of the transaction; its key, if there is such a tenant.
async fn show(connection: &mut PgConnection, whose: &Whose) -> Result<Option<i64>, Failure> {
    let key = match whose {
        Whose::Gateway => Some(GATEWAY),
        Whose::Tenant(tenant) => names::trail_key(connection, tenant).await?,
    };
    if let Some(key) = key {
        names::show(connection, key).await?;
    }
    Ok(key)
}

#[async_trait]
impl Trail for Postgres {
    async fn append(&self, whose: &Whose, texts: &[String]) -> Result<u64, Fault> {
        self.0.write(BACKGROUND, async |connection| append(connection, whose, texts).await).await
    }

    async fn kept(&self, whose: &Whose, after: u64, limit: u32) -> Result<Vec<Kept>, Fault> {
        let text = "SELECT seq, record, hash FROM audit WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let work = async |connection: &mut PgConnection| {
            let Some(key) = show(connection, whose).await? else { return Ok(Vec::new()) };
            let limit = i64::from(limit);
            Ok(query_as(text).bind(key).bind(signed(after)).bind(limit).fetch_all(connection).await?)
        };
        let rows: Vec<(i64, String, Vec<u8>)> = self.0.look(None, work).await?;
        Ok(rows.into_iter().map(|(seq, text, bytes)| Kept { seq: number(seq), text, hash: hash(&bytes) }).collect())
    }

    async fn anchor(&self, whose: &Whose) -> Result<Anchor, Fault> {
        let work = async |connection: &mut PgConnection| match show(connection, whose).await? {
            Some(key) => anchor(connection, key).await,
            None => Ok(Anchor::NONE),
        };
        self.0.look(None, work).await
    }

    async fn prune(&self, whose: &Whose, upto: u64) -> Result<u64, Fault> {
        self.0.write(BACKGROUND, async |connection| prune(connection, whose, upto).await).await
    }

    async fn forget(&self, whose: &Whose) -> Result<(), Fault> {
        self.prune(whose, i64::MAX as u64).await?;
        let work = async |connection: &mut PgConnection| {
            let Some(key) = show(connection, whose).await? else { return Ok(()) };
            query("DELETE FROM audit_anchor WHERE tenant = $1").bind(key).execute(connection).await?;
            Ok(())
        };
        self.0.write(BACKGROUND, work).await
    }
}

async fn anchor(connection: &mut PgConnection, key: i64) -> Result<Anchor, Failure> {
    let text = "SELECT seq, hash FROM audit_anchor WHERE tenant = $1";
    let found: Option<(i64, Vec<u8>)> = query_as(text).bind(key).fetch_optional(connection).await?;
    Ok(found.map_or(Anchor::NONE, |(seq, bytes)| Anchor { seq: number(seq), hash: hash(&bytes) }))
}

/// One instance after another appends to a chain.
async fn turn(connection: &mut PgConnection, key: i64) -> Result<(), Failure> {
    query("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' audit ' || $1, 0))")
        .bind(key.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

async fn append(connection: &mut PgConnection, whose: &Whose, texts: &[String]) -> Result<u64, Failure> {
    // What concerns a tenant that went is the gateway's: nobody is left to whom it belongs.
    let (whose, key) = match show(connection, whose).await? {
        Some(key) => (whose, key),
        None => {
            names::show(connection, GATEWAY).await?;
            (&Whose::Gateway, GATEWAY)
        }
    };
    turn(connection, key).await?;
    let text = "SELECT seq, hash FROM audit WHERE tenant = $1 ORDER BY seq DESC LIMIT 1";
    let last: Option<(i64, Vec<u8>)> = query_as(text).bind(key).fetch_optional(&mut *connection).await?;
    let mut last = match last {
        Some((seq, bytes)) => Anchor { seq: number(seq), hash: hash(&bytes) },
        None => anchor(connection, key).await?,
    };
    let (mut seqs, mut hashes) = (Vec::with_capacity(texts.len()), Vec::with_capacity(texts.len()));
    for text in texts {
        last = Anchor { seq: last.seq + 1, hash: chain::next(&last.hash, whose, last.seq + 1, text) };
        seqs.push(signed(last.seq));
        hashes.push(last.hash.to_vec());
    }
    let text = "INSERT INTO audit (tenant, seq, record, hash) \
                SELECT $1, seq, record, hash FROM unnest($2::bigint[], $3::text[], $4::bytea[]) AS new (seq, record, hash)";
    query(text).bind(key).bind(seqs).bind(texts).bind(hashes).execute(connection).await?;
    Ok(last.seq)
}

async fn prune(connection: &mut PgConnection, whose: &Whose, upto: u64) -> Result<u64, Failure> {
    let Some(key) = show(connection, whose).await? else { return Ok(0) };
    turn(connection, key).await?;
    let text = "INSERT INTO audit_anchor (tenant, seq, hash) SELECT tenant, seq, hash FROM audit WHERE tenant = $1 AND seq <= $2 \
                ORDER BY seq DESC LIMIT 1 ON CONFLICT (tenant) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
    query(text).bind(key).bind(signed(upto)).execute(&mut *connection).await?;
    let gone = query("DELETE FROM audit WHERE tenant = $1 AND seq <= $2")
        .bind(key)
        .bind(signed(upto))
        .execute(connection)
        .await?;
    Ok(gone.rows_affected())
}
