//! The flows: the only room that combines others.

pub mod account;
pub mod devpi;
