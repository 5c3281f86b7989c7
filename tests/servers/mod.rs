//! Against real servers, which `make test` starts: `scripts/servers` has one script for each. Where a server cannot be had, its tests say that they
//! were skipped.

use std::io::Write as _;

pub mod abandoned;
mod adopt;
mod away;
mod cache;
mod crash;
pub mod foreign;
mod own;
mod positions;
pub mod proxy;
mod redis;
mod rotation;
mod standing;
mod together;
mod walk;
pub mod whole;

/// The address of a server, from the variable that the set-up exports; without it, says that the test was skipped.
pub fn address(variable: &str, test: &str) -> Option<String> {
    let address = std::env::var(variable).ok().filter(|address| !address.is_empty());
    if address.is_none() {
        // Past the capture of tests' output: nobody should take it for passed.
        let _ = writeln!(std::io::stderr(), "skipped, {variable} is not set: {test}");
    }
    address
}
