//! The rig of the larger benches: servers on a core of their own, an origin, load, and what it counts.
//!
//! Each bench takes what it needs; what only one needs stands with that one.

pub(crate) mod arguments;
pub(crate) mod asking;
pub(crate) mod content;
pub(crate) mod gateway;
pub(crate) mod load;
pub(crate) mod numbers;
pub(crate) mod origin;
pub(crate) mod plain;
pub(crate) mod process;
pub(crate) mod tools;
pub(crate) mod turns;
pub(crate) mod uploader;
pub(crate) mod wheel;
