//! The engine against the GraphQL specification (October 2021) and the conventions of its API, over the embedded store.

mod connections;
mod filters;
mod language;
mod reading;
mod world;
