//! The integration tests: one binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]

mod bad_uploads;
mod classes;
mod crash;
mod deploy;
mod deployments;
mod devpi_suite;
mod doors;
mod explain;
mod files;
mod front;
mod installers;
mod law;
mod pages;
mod refusals;
mod reload;
mod shipped;
mod support;
mod tidy;
mod uploads;
mod upstream;
