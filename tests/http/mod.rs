//! The HTTP layer in front of an engine's double: a real server on a random port, real clients.

mod double;
mod events;
mod hostile;
mod house;
mod load;
mod server;
mod status;
mod websocket;
