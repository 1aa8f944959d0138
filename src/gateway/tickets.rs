//! What was decided about a file's URL, remembered until the page it was decided from may change.
//!
//! A ticket holds either the right to the file, which only the policies can hand out, or the refusal.
//! It is good for one generation and until the first source grows stale or a rule changes its mind.

use std::sync::Arc;

use crate::cache::Weighed;
use crate::model::File;
use crate::model::IndexName;
use crate::model::Timestamp;
use crate::page::FilePath;
use crate::policy::Allowed;
use crate::policy::Denial;

/// Roughly what a ticket takes in memory, with its key; texts are added.
const TICKET_BYTES: usize = 600;

/// A file's URL below an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TicketKey {
    /// The asked index.
    pub(super) index: IndexName,
    /// The rest of the path.
    pub(super) path: FilePath,
}

/// What was decided.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    /// The right to it, or why there is none.
    pub(super) outcome: Result<Grant, Denial>,
    /// The generation that decided.
    pub(super) generation: u64,
    /// Until when that holds.
    pub(super) valid_until: Timestamp,
}

/// The right to a file, and who keeps its bytes.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// The file; only a verdict makes one of these.
    pub(super) file: Allowed<Arc<File>>,
    /// The index that lists it.
    pub(super) owner: IndexName,
    /// Whether its bytes are ours (a stage's) or an upstream's.
    pub(super) is_private: bool,
}

/// The tickets, by URL.
pub(super) type Tickets = Weighed<TicketKey, Arc<Ticket>>;

/// Roughly how many bytes a ticket takes.
pub(super) fn weight_bytes(key: &TicketKey, _: &Arc<Ticket>) -> usize {
    TICKET_BYTES + key.index.as_str().len() + 2 * key.path.filename.len()
}
