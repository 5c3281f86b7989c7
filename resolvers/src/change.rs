//! `Change`: what is to be written, resolved to concrete ids. It knows no GraphQL and no store; the log keeps it as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// A set of operations that are accepted together or not at all, in this order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Change {
    /// What is to be done.
    pub ops: Vec<Op>,
}

/// Names a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ref {
    /// Name of its type.
    pub of: String,
    /// Its id, unique in the tenant and type.
    pub id: String,
}

/// What must be true of a record before it is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It must not exist.
    Create,
    /// It must exist.
    Update,
    /// Either; a missing one is made.
    Upsert,
}

/// What is done to a row of a table that belongs to others. What is there is known to the table alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// It is made, under the id of the operation.
    Create,
    /// It is made, and the database gives it its id: the one of the operation only stands for it inside the change.
    Make,
    /// It is changed, and must be there.
    Update,
    /// It is removed. One that is not there is no error.
    Delete,
}

/// One operation. Property names are stored names; values are normalised JSON; null removes a property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "op")]
pub enum Op {
    /// Makes or changes a record; properties that are not named stay as they are.
    Put {
        /// Which record.
        record: Ref,
        /// True for a row of the relational store, false for a node.
        row: bool,
        /// Whether it may, must or must not exist.
        mode: Mode,
        /// Properties to set, without `id`.
        set: Map<String, Json>,
        /// Stored names of `@unique` properties among `set`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unique: Vec<String>,
        /// Stored names of `@embed` properties among `set`: their text is indexed and embedded.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        embed: Vec<String>,
    },
    /// Removes a record, with the relationships of a node. A record that is not there is no error.
    Delete {
        /// Which record.
        record: Ref,
        /// True for a row.
        row: bool,
    },
    /// Makes or changes a relationship. Its identity is type, ends and key.
    Link {
        /// Type of the relationship.
        relationship_type: String,
        /// Start node; must exist.
        from: Ref,
        /// End node; must exist.
        to: Ref,
        /// Tells parallel relationships apart; mostly empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        key: String,
        /// Properties to set.
        set: Map<String, Json>,
    },
    /// Removes a relationship. One that is not there is no error.
    Unlink {
        /// Type of the relationship.
        relationship_type: String,
        /// Start node.
        from: Ref,
        /// End node.
        to: Ref,
        /// Which of the parallel ones; all of them when `None`.
        key: Option<String>,
    },
    /// Writes a row of a table that belongs to others. It is never in the log, which tells by its effects alone that it was written: such
    /// rows are read where they are, and what they hold is not ours to keep.
    Foreign {
        /// Which row.
        record: Ref,
        /// What is done to it.
        act: Act,
        /// Properties to set, by name of the column, without `id`.
        set: Map<String, Json>,
    },
}

impl Op {
    /// The record that it makes or changes, and what it sets.
    pub fn sets(&self) -> Option<(&Ref, &Map<String, Json>)> {
        match self {
            Self::Put { record, set, .. } => Some((record, set)),
            Self::Foreign { record, set, act } if *act != Act::Delete => Some((record, set)),
            _ => None,
        }
    }

    /// Whether it is written to a table that belongs to others, and to nothing of ours.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign { .. })
    }
}

/// An accepted change in a tenant's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the tenant's log, from 1, without gaps.
    pub seq: u64,
    /// When it was accepted, RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Subject of the principal, if it had one.
    pub actor: Option<String>,
    /// What was accepted.
    pub change: Change,
    /// For each record of a `Put`, in order of first mention, whether it came to be by this change; for each `Delete`, whether it was there.
    pub effects: Vec<Effect>,
}

/// What a change did to one record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Which record.
    pub record: Ref,
    /// What happened.
    pub event: EffectKind,
    /// Version of the record afterwards, from 1; 0 of a row of others, whose changes nobody counts.
    pub version: u64,
}

/// Sorts of effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectKind {
    /// The record came to be.
    Created,
    /// The record was changed.
    Updated,
    /// The record was removed.
    Deleted,
}

/// What the metadata store answers to an accepted change.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The entry's position in the log. A change without any effect has the position of the log's head.
    pub seq: u64,
    /// What happened to which record.
    pub effects: Vec<Effect>,
    /// True when an entry was appended to the log; false when nothing changes.
    pub appended: bool,
    /// True when the idempotency key had been used for this very change before: nothing was written again.
    pub replayed: bool,
}
