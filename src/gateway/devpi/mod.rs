//! The devpi API's objects and intents, without HTTP: a door brings a principal and a body, and writes the
//! [`Answer`] that comes back.
//!
//! `index_settings` and `user_settings` are what clients send and see; `users`, `indexes` and `login` are
//! one function for each thing that can be asked.

mod answer;
mod declared;
mod index_document;
mod index_keys;
mod index_operations;
mod index_request;
mod index_settings;
mod indexes;
mod login;
mod management;
mod new_names;
mod user_settings;
mod users;

#[cfg(test)]
mod support;

pub use answer::Answer;
pub use index_request::{IndexRequest, ListOperation};
pub use index_settings::{IndexSettings, InvalidSettings};
pub use management::{CheckIndexes, DeclaredIndex, Management, Survey};
pub use user_settings::{NewPassword, UserRequest, user_object};
