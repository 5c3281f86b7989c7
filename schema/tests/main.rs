//! Tests of the ontology compiler.
