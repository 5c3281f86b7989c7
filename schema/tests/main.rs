//! Tests of the ontology compiler.

mod api;
