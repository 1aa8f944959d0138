//! Everything that writes: one file for each thing that somebody may want.
//!
//! [`Writer`] holds what they share. An upload is taken in piece by piece ([`Upload`]); all else is one
//! call. Whatever changes something runs as a task of its own: a client that leaves does not decide
//! how far it comes.

mod accounts;
mod caller;
mod delete;
pub(super) mod facts;
mod push;
mod push_mirror;
mod push_outside;
mod push_request;
mod reading;
mod refresh;
mod refusal;
mod stages;
mod subject;
mod tox_result;
mod turns;
mod upload;
mod writer;

pub use caller::Caller;
pub use refusal::Refusal;
pub use subject::Subject;
pub use upload::Upload;
pub use writer::{HouseLimits, Writer, WriterParts};
