//! HTTP/1.1 as installers speak it: plain requests are parsed, answered and written here, on our own
//! connection; every other goes to Pingora, byte for byte, and comes back afterwards.
//!
//! Pingora's session costs more than a hot answer (ADR 0012). What is plain is decided in `head`, and
//! in doubt a request is not.

mod connection;
mod head;
mod wire;
mod writer;

pub use connection::serve;
pub use wire::Wire;
