//! Signs of vectors, one bit per dimension: a first look at all vectors of a space that picks the candidates of a search.
//!
//! For vectors of a language model the share of equal signs follows the cosine closely (random hyperplanes, Charikar 2002). Measured
//! on 100,000 clustered vectors of 384 dimensions: the ten nearest are all among the first thousand by signs. The signs of many
//! vectors are one row, so that a search reads few rows.

use std::collections::HashMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query, query_as, query_scalar};

use super::connections::Failure;

/// Vectors in one row.
const ROOM: usize = 1_024;
/// Candidates of a search: at least these, or a part of all.
const CANDIDATES: usize = 4_096;
/// The part: one in so many.
const PART: usize = 16;

/// The signs of a vector, eight to a byte.
pub(super) fn signs(vector: &[f32]) -> Vec<u8> {
    let byte =
        |part: &[f32]| part.iter().enumerate().fold(0, |byte, (at, number)| byte | u8::from(*number > 0.0) << at);
    vector.chunks(8).map(byte).collect()
}

/// Row ids of the vectors with the most signs in common, at least so many, best first, and whether those are all vectors there are.
pub(super) fn candidates(rows: &[SqliteRow], wanted: &[u8], least: usize) -> Result<(Vec<i64>, bool), sqlx::Error> {
    let mut found: Vec<(u32, i64)> = Vec::new();
    for row in rows {
        let (vectors, signs): (&[u8], &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        let vectors = vectors.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
        let distances = signs.chunks_exact(wanted.len().max(1)).map(|signs| distance(signs, wanted));
        found.extend(distances.zip(vectors));
    }
    let most = CANDIDATES.max(found.len() / PART).max(least);
    let complete = found.len() <= most;
    if !complete {
        found.select_nth_unstable(most);
        found.truncate(most);
    }
    found.sort_unstable();
    Ok((found.into_iter().map(|(_, vector)| vector).collect(), complete))
}

/// How many signs differ.
fn distance(one: &[u8], other: &[u8]) -> u32 {
    let ((one, rest), (other, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let words = one.iter().zip(other).map(|(a, b)| (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones());
    let bytes = rest.iter().zip(other_rest).map(|(a, b)| (a ^ b).count_ones());
    words.sum::<u32>() + bytes.sum::<u32>()
}

/// Rows of signs that are being changed; written when all changes are in.
#[derive(Debug, Default)]
pub(super) struct Codes {
    rows: HashMap<i64, Code>,
    /// Rows with room, by space.
    open: HashMap<i64, i64>,
}

#[derive(Debug)]
struct Code {
    vectors: Vec<[u8; 8]>,
    signs: Vec<Vec<u8>>,
}

impl Codes {
    /// A row of a space with room for one more.
    pub(super) async fn room(&mut self, connection: &mut SqliteConnection, space: i64) -> Result<i64, Failure> {
        if let Some(row) = self.open.get(&space)
            && self.rows.get(row).is_some_and(|code| code.vectors.len() < ROOM)
        {
            return Ok(*row);
        }
        // Rows that were changed here may have less room than the file says.
        let open: Vec<i64> = query_scalar("SELECT rid FROM code WHERE space = ? AND size < ? ORDER BY size LIMIT 8")
            .bind(space)
            .bind(ROOM as i64)
            .fetch_all(&mut *connection)
            .await?;
        for row in open {
            self.load(connection, row).await?;
            if self.rows.get(&row).is_some_and(|code| code.vectors.len() < ROOM) {
                self.open.insert(space, row);
                return Ok(row);
            }
        }
        let text = "INSERT INTO code (space, size, vectors, signs) VALUES (?, 0, x'', x'') RETURNING rid";
        let row: i64 = query_scalar(text).bind(space).fetch_one(connection).await?;
        self.rows.insert(row, Code { vectors: Vec::new(), signs: Vec::new() });
        self.open.insert(space, row);
        Ok(row)
    }

    /// Adds a vector to a row that was asked for by `room`.
    pub(super) fn add(&mut self, row: i64, vector: i64, signs: Vec<u8>) {
        if let Some(code) = self.rows.get_mut(&row) {
            code.vectors.push(vector.to_le_bytes());
            code.signs.push(signs);
        }
    }

    /// Removes a vector from its row.
    pub(super) async fn remove(
        &mut self,
        connection: &mut SqliteConnection,
        row: i64,
        vector: i64,
    ) -> Result<(), Failure> {
        self.load(connection, row).await?;
        if let Some(code) = self.rows.get_mut(&row)
            && let Some(at) = code.vectors.iter().position(|known| *known == vector.to_le_bytes())
        {
            code.vectors.swap_remove(at);
            code.signs.swap_remove(at);
        }
        Ok(())
    }

    async fn load(&mut self, connection: &mut SqliteConnection, row: i64) -> Result<(), Failure> {
        if self.rows.contains_key(&row) {
            return Ok(());
        }
        let found: Option<(Vec<u8>, Vec<u8>)> =
            query_as("SELECT vectors, signs FROM code WHERE rid = ?").bind(row).fetch_optional(connection).await?;
        if let Some((vectors, signs)) = found {
            let vectors = vectors.as_chunks::<8>().0.to_vec();
            let width = signs.len() / vectors.len().max(1);
            let signs = signs.chunks_exact(width.max(1)).map(<[u8]>::to_vec).collect();
            self.rows.insert(row, Code { vectors, signs });
        }
        Ok(())
    }

    /// Writes the rows back.
    pub(super) async fn store(self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        for (row, code) in self.rows {
            if code.vectors.is_empty() {
                query("DELETE FROM code WHERE rid = ?").bind(row).execute(&mut *connection).await?;
                continue;
            }
            query("UPDATE code SET size = ?, vectors = ?, signs = ? WHERE rid = ?")
                .bind(code.vectors.len() as i64)
                .bind(code.vectors.concat())
                .bind(code.signs.concat())
                .bind(row)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}
