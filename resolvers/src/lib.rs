//! The query engine: plans, guards, batches and answers; reaches the world only through its ports.

pub mod change;
pub mod fault;
pub mod guard;
pub mod ports;
pub mod read;
pub mod value;
