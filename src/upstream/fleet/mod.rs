//! Existing devpi-servers to stand in front of: one primary and its replicas (devpi-protocol.md §18).
//!
//! A [`Fleet`] answers each read from one healthy server, and from another when that one does not
//! answer. It learns who is healthy twice over: by asking every server for `+status` at a fixed pace,
//! and from how the requests it passes on end.

mod order;
mod send;
mod servers;
mod status;

#[cfg(test)]
mod tests;

pub use send::{FleetAnswer, FleetError};
pub use servers::{Fleet, InvalidFleet};
pub use status::{InvalidStatus, Role, Status};
