//! The real binary: exit codes, messages, and what one command does for the next.

mod admin;
mod audit;
mod commands;
mod demo;
mod documents;
mod import;
mod issuers;
mod keeping;
mod keys;
pub mod meaning;
mod migrating;
mod policy;
pub mod quipu;
mod refusals;
mod running;
mod secrets;
mod tenants;
mod tour;
mod users;
