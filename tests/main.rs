//! One test binary for all that needs the whole project.

#![allow(clippy::disallowed_methods, reason = "tests may read the environment and the time of day")]

mod access;
mod boundary;
pub mod cli;
mod containers;
mod contract;
mod documents;
mod fuzzing;
mod http;
mod mapped;
mod pack;
mod servers;
mod spec;
