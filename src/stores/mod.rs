//! Adapters of the engine's ports, one file per technology. Query text is written only in `sql`, which is pure.

pub mod bus;
pub mod clock;
pub mod redis;
pub mod sql;
pub mod sqlite;

mod digests;
mod verdict;
