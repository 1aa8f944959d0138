//! Existing devpi-servers behind the gateway: one primary and its replicas (docs/protocol/devpi.md §18).
//!
//! A [`Fleet`] sends each read to one healthy server, and to another if that one does not answer; each
//! write goes to the primary, once. It learns which servers are healthy in two ways: by asking every
//! server for `+status` at a fixed interval, and from the outcome of the requests that it passes on.

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
