//! Tests of the ontology compiler.

mod fixtures;
mod hostile;
mod scale;
mod summary;
