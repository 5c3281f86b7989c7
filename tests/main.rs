//! One test binary for all that needs the whole project.

mod boundary;
mod contract;
mod http;
mod spec;
