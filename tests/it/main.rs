//! The integration tests: one binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics where it stands"
)]

mod support;
mod upstream;
