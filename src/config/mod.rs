//! Turns files, flags and environment into one valid `Config`, or the full list of faults.
//!
//! `load` is the way in. `server` gathers the server's own keys from all files, `settings` puts flags,
//! environment, files and defaults together; `doors`, `address` and `limits` know their part of it.
//! `files` and `secret` read what keys name, `named` knows which files that are and whether they have changed,
//! `pip` finds the index that this machine's pip uses, `built_in` says what asks it, and `schema` describes
//! every key to editors.

mod address;
mod built_in;
mod door_document;
mod doors;
mod files;
mod limits;
mod load;
mod logins;
mod manage;
mod named;
mod network;
mod ourselves;
mod pip;
mod schema;
mod secret;
mod server;
mod settings;

pub use built_in::{AsksPip, is_default};
pub use doors::{Door, Doors, Listen};
pub use files::configuration_files;
pub use limits::Limits;
pub use load::{Loaded, PoliciesPath, load, load_noting, load_what_can_be};
pub use manage::CreateUsers;
pub use named::{Named, Watched};
pub use ourselves::loops;
pub use pip::{FoundIndex, discover, names_index};
pub use schema::schema;
pub use secret::{Login, Secret};
pub use server::{LogStyle, Undeclared};
pub use settings::{Config, Overrides};
