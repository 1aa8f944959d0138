//! The integration tests: one binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]

mod deploy;
mod doors;
mod installers;
mod refusals;
mod shipped;
mod support;
mod tidy;
mod upstream;
