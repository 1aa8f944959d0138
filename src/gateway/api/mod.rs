//! The read-only half of devpi's JSON API: what `devpi use`, `devpi index`, `devpi list` and
//! `devpi getjson` ask for (devpi-protocol.md §3, §6, §7, §12.1).
//!
//! Every function answers one route with a status and a body; `envelope` makes the reply of it, with
//! the headers that devpi's clients look for. Policy holds here too: what a simple page hides, these
//! objects hide.

mod asker;
mod bootstrap;
mod envelope;
mod indexes;
mod outside;
mod pip_search;
mod releases;
#[cfg(test)]
mod sample;
mod version_data;

pub use asker::Asker;
pub use pip_search::{FAULT_CONTENT_TYPE, search_fault};

pub(super) use indexes::has_parameter;
pub(super) use outside::Outside;
pub(super) use outside::encode;
pub use outside::inside_path;
#[cfg(test)]
pub(super) use sample::{House, in_lines, text_of};
