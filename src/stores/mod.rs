//! Adapters of the engine's ports, one file per technology.

pub mod bus;
pub mod clock;
