//! Adapters of the engine's ports, one file per technology. Query text is written only in `sql` and `cypher`, which are pure.

pub mod apart;
pub mod bus;
pub mod cache;
pub mod clock;
pub mod counters;
pub mod cypher;
pub mod migrations;
pub mod neo4j;
pub mod open_tables;
pub mod postgres;
pub mod qdrant;
pub mod redis;
pub mod routed;
pub mod sql;
pub mod sqlite;

mod budget;
mod credentials;
mod digests;
mod fitting;
mod fold;
mod holdings;
mod known;
mod lives;
mod logged;
mod publishing;
mod relationship_id;
mod verdict;
mod wanted;
