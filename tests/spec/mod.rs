//! The engine against the GraphQL specification (October 2021) and the conventions of its API, over the embedded store.

mod access;
pub mod cached;
mod connections;
mod field_rules;
mod filters;
pub mod follower;
pub mod gate;
mod integration;
mod interference;
mod language;
mod live;
mod positions;
mod reading;
mod relationship_rules;
mod rules;
mod scopes;
mod searching;
pub mod skew;
mod together;
mod validation;
pub mod world;
mod writing;
