//! The ontology compiler: SDL in, an immutable [`ontology::Ontology`] and its [`api::Api`] out. No async, no drivers.

pub mod api;
pub mod ontology;
pub mod policy;
