//! `journal:`: what is kept of deliveries and refusals.
//!
//! It is read at the start; a change needs a restart.

use std::time::Duration;

use crate::config::slots::Section;
use crate::language::{Bytes, Choice, Placed, YamlKey, key, one};

/// The keys of `journal:`.
#[rustfmt::skip] // a table reads by rows
pub(super) const JOURNAL: &[YamlKey] = &[
    key("keep", one::<Duration>(), "90d",
        "how long rows are kept: a release that turns out to be malicious is usually found within days, some within months"),
    key("disk", one::<Bytes>(), "2GiB",
        "what the journal may take of the disk: some fifty million rows; beyond it the oldest go"),
    key("clients", one::<JournalClients>(), "full",
        "full: with the addresses of clients; none: without, and those kept before are removed at the start"),
    key("required", one::<bool>(), "false",
        "true: what cannot be journalled is not delivered, but answered with 503; false: it is delivered and counted as lost"),
];

/// What is kept of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JournalClients {
    /// Its address.
    #[default]
    Full,
    /// No address.
    None,
}

impl Choice for JournalClients {
    const WORDS: &'static [(&'static str, Self)] = &[("full", Self::Full), ("none", Self::None)];
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// How long rows are kept.
    pub keep: Duration,
    /// What they may take of the disk, in bytes.
    pub disk: u64,
    /// What is kept of clients.
    pub clients: JournalClients,
    /// Whether nothing may be delivered that cannot be journalled.
    pub required: bool,
}

/// The keys as they were written.
#[derive(Debug, Default)]
pub(super) struct JournalSources {
    pub(super) keep: Option<Placed<Duration>>,
    pub(super) disk: Option<Placed<Bytes>>,
    pub(super) clients: Option<Placed<JournalClients>>,
    pub(super) required: Option<Placed<bool>>,
}

impl JournalSources {
    /// Adds those of one more file.
    pub(super) fn add(&mut self, mut section: Section<'_, '_>) {
        section.one(&mut self.keep, "keep");
        section.one(&mut self.disk, "disk");
        section.one(&mut self.clients, "clients");
        section.one(&mut self.required, "required");
    }
}
