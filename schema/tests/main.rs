//! Tests of the ontology compiler and of the API it derives.

mod api;
mod diff;
mod fixtures;
mod hostile;
mod problems;
mod scale;
mod summary;
