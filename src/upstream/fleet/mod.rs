//! Existing devpi-servers to stand in front of: one primary and its replicas (docs/protocol/devpi.md §18).
//!
//! A [`Fleet`] answers each read from one healthy server, and from another when that one does not
//! answer; each write it sends to the primary, once. It learns who is healthy twice over: by asking every server for `+status` at a fixed pace,
//! and from how the requests it passes on end.

mod load;
mod order;
mod send;
mod servers;
mod shown;
mod status;
#[cfg(test)]
mod tests;
mod write;

pub use send::{FleetAnswer, FleetError, FleetRead};
pub use servers::Fleet;
pub use write::{FleetBody, FleetWrite};
