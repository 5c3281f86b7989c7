//! Notes of what ran on a database, in nodes of a label of their own, and whose turn it is to run more: the node with the number 0.

use super::apply::plain;
use super::{Parameter, Statement};

/// What has to be there before anything is noted.
pub const NOTES: &str = "CREATE CONSTRAINT IF NOT EXISTS FOR (m:_QuipuMigration) REQUIRE m.number IS UNIQUE";

/// What ran, in order: rows of `number`, `name` and `checksum`.
pub fn ran() -> Statement {
    let text = "MATCH (m:_QuipuMigration) WHERE m.number > 0 \
                RETURN m.number AS number, m.name AS name, m.checksum AS checksum ORDER BY number";
    plain(text.to_owned(), Vec::new())
}

/// Takes the turn for a time in milliseconds, unless it is another's: one row, `mine`.
pub fn take(me: &str, lease: i64) -> Statement {
    // Setting something first waits for whoever else is at the node; what is read after that is what they left.
    let text = "MERGE (m:_QuipuMigration {number: 0}) SET m.asked = timestamp() \
                WITH m, coalesce(m.until, 0) < timestamp() OR m.holder = $me AS mine \
                FOREACH (x IN CASE WHEN mine THEN [1] ELSE [] END | SET m.holder = $me, m.until = timestamp() + $lease) \
                RETURN mine";
    plain(text.to_owned(), vec![("me", me.into()), ("lease", Parameter::Int(lease))])
}

/// Gives the turn back.
pub fn leave(me: &str) -> Statement {
    let text = "MATCH (m:_QuipuMigration {number: 0}) WHERE m.holder = $me SET m.until = 0";
    plain(text.to_owned(), vec![("me", me.into())])
}

/// Notes that something ran.
pub fn note(number: i64, name: &str, checksum: &str) -> Statement {
    let text = "MERGE (m:_QuipuMigration {number: $number}) SET m.name = $name, m.checksum = $checksum";
    let named = vec![("number", Parameter::Int(number)), ("name", name.into()), ("checksum", checksum.into())];
    plain(text.to_owned(), named)
}
