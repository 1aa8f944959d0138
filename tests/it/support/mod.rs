//! What the tests stand on: the program, its clients, and the indexes they meet.

mod ask;
pub(crate) mod client;
pub(crate) mod program;
pub(crate) mod tools;
