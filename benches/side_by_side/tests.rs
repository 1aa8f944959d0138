//! The tests of the benchmark's own parts: a bench without the test harness cannot run them itself.

#![expect(dead_code, reason = "the benchmark's main and what only it calls")]

#[path = "main.rs"]
mod side_by_side;
