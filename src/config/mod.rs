//! Turns files, flags and environment into one valid `Config`, or the full list of faults.
//!
//! `load` is the way in. `server` gathers the server's own keys from all files; `settings` combines flags,
//! environment, files and defaults; `doors`, `address` and `limits` know their part of that.
//! `files` and `secret` read what keys name, `named` knows which files those are and whether they have
//! changed, `discover` finds the index that this machine's pip uses, `loaded` knows what asks it, and
//! `schema` describes every key to editors. `put_rules` and `waiver` go the other way, and write rules.

mod address;
mod built_in;
mod depot;
mod devpi_file;
mod discover;
mod door_document;
mod door_sources;
mod doors;
mod environment;
mod files;
mod found;
mod groups;
mod installers;
mod journal;
mod ldap;
mod limits;
mod load;
mod loaded;
mod logins;
mod manage;
mod named;
mod network;
mod notify;
mod ourselves;
mod pip;
mod put_rules;
mod records;
mod schema;
mod secret;
mod server;
mod settings;
mod slots;
mod source;
mod waiver;

pub use built_in::is_default;
pub use devpi_file::{DEVPI_OPTIONS, devpi_file_faults};
pub use discover::{discover, names_index};
pub use doors::{DoorConfig, Doors, Listen};
pub use files::configuration_files;
pub use found::FoundIndex;
pub use installers::{
    Installer, Machine, Setting, SettingKind, installer_settings, is_used, redacted,
};
pub use journal::JournalClients;
pub use load::{load, load_noting, load_what_can_be};
pub use loaded::{AsksPip, Loaded};
pub use manage::CreateUsers;
pub use named::{Named, Watched};
pub use ourselves::loops;
pub use put_rules::{RuleText, put_rules, rules_above};
pub use schema::{schema, tests_schema};
pub use server::{LogStyle, Undeclared};
pub use settings::{CacheConfig, Config, Overrides};
pub use source::PoliciesPath;
pub use waiver::Waiver;
