//! The integration tests: one binary.

mod installers;
mod support;
