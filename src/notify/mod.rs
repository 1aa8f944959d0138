//! Tells webhooks of refusals, recalls and feeds of advisories in trouble.
//!
//! What is told is what the audit log writes, heard on the threads that write it (`telemetry::Hearing`), so no
//! request waits. `notice` makes rows of events, `waiting` keeps few of them and counts what repeats, `line`
//! takes them to one webhook, by `post`, signed as `signature` says. All of it runs on a thread of its own.

mod line;
mod notice;
mod notifier;
mod post;
mod signature;
mod waiting;

pub use notifier::{Notifier, NotifierParts};
