//! Devpi's words: its documents, settings and messages (docs/protocol/devpi.md).

mod answer;
mod index_document;
mod index_keys;
mod index_operations;
mod index_request;
mod index_settings;
mod indexes;
mod login;
mod management;
mod new_names;
#[cfg(test)]
mod support;
mod user_settings;
mod users;

pub use answer::ApiAnswer;
pub use index_settings::IndexSettings;
pub use management::{CheckIndexes, DeclaredIndex, Management, Survey};
pub use user_settings::{UserRequest, user_object};
