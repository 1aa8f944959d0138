//! Existing devpi-servers to stand in front of: one primary and its replicas (devpi-protocol.md §18).
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
mod write;

#[cfg(test)]
mod tests;

pub use send::{FleetAnswer, FleetError};
pub use servers::{Fleet, FleetOptions, InvalidFleet};
pub use status::{InvalidStatus, Role, Status};
pub use write::{FleetBody, FleetWrite};
