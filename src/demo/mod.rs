//! The demo's tenants, as records of the import format: a library of encyclopaedia passages, a cold chain, insights into articles, a mortgage
//! desk, and marketing figures.
//!
//! Everything is compiled into the binary or made from a seed, so that a demo needs no files. Some ids occur in several tenants on
//! purpose (`p0000` and on, `d1` and on, `f1`, `c1`): what keeps tenants apart has to be more than luck with ids.

use std::io;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ingest::records::{Properties, Record, Reference};

mod alerts;
mod climate;
mod cryox;
mod emma;
mod insights;
mod library;
mod manuals;
mod names;
mod papers;
mod supertrack;
mod trade;

pub use cryox::cryox;
pub use emma::emma;
pub use insights::insights;
pub use library::library;
pub use supertrack::supertrack;

/// The ontology of the tenant `library`.
pub const LIBRARY_ONTOLOGY: &str = include_str!("../../schema/ontologies/library.graphql");
/// The ontology of the tenant `cryox`.
pub const CRYOX_ONTOLOGY: &str = include_str!("../../schema/ontologies/cryox.graphql");
/// The ontology of the tenant `insights`.
pub const INSIGHTS_ONTOLOGY: &str = include_str!("../../schema/ontologies/insights.graphql");
/// The ontology of the tenant `emma`.
pub const EMMA_ONTOLOGY: &str = include_str!("../../schema/ontologies/emma.graphql");
/// The ontology of the tenant `supertrack`.
pub const SUPERTRACK_ONTOLOGY: &str = include_str!("../../schema/ontologies/supertrack.graphql");

/// The seed from which everything is made that is no sample.
pub const SEED: u64 = 7;

/// The properties in a `json!({...})`; none when it is no object.
fn properties(value: Value) -> Properties {
    match value {
        Value::Object(properties) => properties,
        _ => Properties::new(),
    }
}

fn node(of: &str, id: impl Into<String>, values: Value) -> Record {
    Record::Node { node: of.into(), id: id.into(), properties: properties(values) }
}

fn row(of: &str, id: impl Into<String>, values: Value) -> Record {
    Record::Row { row: of.into(), id: id.into(), properties: properties(values) }
}

fn link(relationship: &str, from: (&str, &str), to: (&str, &str), values: Value) -> Record {
    Record::Relationship {
        relationship: relationship.into(),
        from: Reference::new(from.0, from.1),
        to: Reference::new(to.0, to.1),
        key: None,
        properties: properties(values),
    }
}

/// An instant of Unix time in seconds, RFC 3339 in UTC with milliseconds.
fn instant(second: i64) -> String {
    format!("{:.3}", Timestamp::from_second(second).unwrap_or_default())
}

/// The day of an instant, `YYYY-MM-DD`.
fn day(second: i64) -> String {
    let mut text = instant(second);
    text.truncate(10);
    text
}

/// The lines of an embedded JSON Lines file.
fn json_lines<T: DeserializeOwned>(name: &str, text: &str) -> io::Result<Vec<T>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            let because = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{name}:{}: {error}", at + 1));
            serde_json::from_str(line).map_err(because)
        })
        .collect()
}

#[cfg(test)]
mod tests;
