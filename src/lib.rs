//! Quipu, a knowledge-graph query gateway: everything that touches the world.
//!
//! The pure ontology compiler is the crate `quipu-schema`; planning, guarding, batching and answering are `quipu-resolvers`. This
//! crate holds what surrounds them: configuration, tenants, HTTP, authentication, ingestion and the stores.

pub mod app;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod config;
pub mod demo;
pub mod http;
pub mod ingest;
pub mod json;
pub mod ops;
pub mod reload;
pub mod stores;
pub mod tenancy;
pub mod tenants;
pub mod trusted;
