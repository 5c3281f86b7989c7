//! The HTTP layer: a real server on a random port and real clients, before an engine's double or the engine itself.

pub mod attacks;
mod checks;
mod double;
mod events;
mod hardening;
mod hostile;
mod house;
mod issuer;
mod issuers;
mod keys;
mod limits;
mod load;
mod page;
mod position;
mod real;
mod rotation;
mod server;
mod sessions;
mod sign_in;
pub mod signing;
mod skew;
pub mod socket;
mod status;
mod tls;
mod transports;
pub mod vault;
mod websocket;
