//! devpi's words: its documents, settings and messages (docs/protocol/devpi.md).

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
mod refusal;
#[cfg(test)]
mod support;
mod tox_result;
mod user_settings;
mod users;
mod words;

pub use answer::ApiAnswer;
pub use index_settings::IndexSettings;
pub use login::login_credentials;
pub use management::{AskedBy, CheckIndexes, DeclaredIndex, Management, Survey};
pub use refusal::{Refusal, RefusalStyle};
pub use tox_result::{TestOutcome, TestRun};
pub use user_settings::{UserRequest, user_object};
pub use words::DevpiWords;
