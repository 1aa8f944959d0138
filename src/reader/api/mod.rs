//! The read-only half of devpi's JSON API: what `devpi use`, `devpi index`, `devpi list` and
//! `devpi getjson` ask for (docs/protocol/devpi.md §3, §6, §7, §12.1).
//!
//! Every function answers one route with a status and a body; `envelope` turns that into a reply, with the
//! headers that devpi's clients look for. Policies apply here too: what a simple page hides, these objects
//! hide.

mod asker;
mod bootstrap;
mod doctor;
mod envelope;
mod indexes;
mod pip_search;
mod releases;
#[cfg(test)]
mod sample;
mod search;
mod version_data;

pub use asker::Asker;
pub use bootstrap::{api_config, status};
pub use doctor::api_doctor;
pub use envelope::api_reply;
pub use indexes::{api_index, api_user, api_users};
pub use pip_search::{FAULT_CONTENT_TYPE, pip_search, search_fault, too_large_fault};
pub use releases::{api_project, api_release};
#[cfg(test)]
pub use sample::{House, in_lines, release_file, text_of};
pub use search::api_search;
