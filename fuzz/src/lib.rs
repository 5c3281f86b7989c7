//! What each fuzzer does with an input, and what has to hold then. Each function panics when something does not hold; nothing of them knows a
//! fuzzer, so that the project's tests run them over the kept inputs as well.

pub mod cursors;
pub mod documents;
pub mod imports;
pub mod ontologies;
pub mod settings;
pub mod tokens;

/// What is done with one input.
pub type Run = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Run); 6] = [
    ("cursors", cursors::run),
    ("documents", documents::run),
    ("imports", imports::run),
    ("ontologies", ontologies::run),
    ("settings", settings::run),
    ("tokens", tokens::run),
];
