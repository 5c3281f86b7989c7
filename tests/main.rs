//! One test binary for all that needs the whole project.

mod contract;
mod http;
mod spec;
