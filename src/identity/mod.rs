//! Directories of people, asked over LDAP: is this their password, are they still there, and what
//! groups are they in.
//!
//! `directory` chooses a server and limits how many questions are under way; `question` says in what
//! steps one is answered; `connection` speaks with a server, over what `tls` makes of the settings;
//! `wording` puts names into filters and distinguished names; `health` says when it stops to answer and
//! when it goes on. What it says of users is not remembered here.

mod connection;
mod directory;
mod error;
mod health;
mod question;
mod tls;
mod wording;

pub use directory::UserDirectory;
pub use error::DirectoryError;
