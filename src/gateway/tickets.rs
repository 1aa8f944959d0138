//! What was decided about a file's URL, remembered until the page it was decided from may change.
//!
//! A ticket holds either the right to the file, which only the policies can hand out, or the refusal.
//! It is good for one generation and until the first source grows stale or a rule changes its mind.

use std::sync::{Arc, OnceLock};

use crate::model::{File, IndexName, Sha256, Timestamp};
use crate::policy::{Allowed, Denial};
use crate::protocol::{ETag, Head};
use crate::store::Key;

/// Roughly what a ticket takes in memory, with its key and its heads; texts are added.
const TICKET_BYTES: usize = 3_000;

/// A file's URL: the asked index, and the rest of the path without a sidecar's ending.
pub type TicketKey = (IndexName, Arc<str>);

/// What was decided.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The right to it, or why there is none.
    pub outcome: Result<Grant, Denial>,
    /// The generation that decided.
    pub generation: u64,
    /// Until when that holds.
    pub valid_until: Timestamp,
    /// Until when it may be used while it is decided anew.
    pub stale_until: Timestamp,
    /// What is said of the file, once its bytes were at hand.
    pub file_head: KeptHead,
    /// The same of its sidecar.
    pub sidecar_head: KeptHead,
}

/// What is said of content whose bytes were at hand under this ticket.
pub type KeptHead = OnceLock<Told>;

/// What is said of content.
#[derive(Debug, Clone)]
pub struct Told {
    /// The length of the content that the head tells of.
    pub length: u64,
    /// The head of the whole.
    pub head: Arc<Head>,
    /// What tells that a client has it already; nothing of bytes that no stated digest names.
    pub unchanged: Option<Unchanged>,
}

/// What a 304 needs.
#[derive(Debug, Clone)]
pub struct Unchanged {
    /// The file's sha256 as a tag.
    pub etag: ETag,
    /// When it was uploaded.
    pub last_modified: Option<Timestamp>,
    /// The head of the 304.
    pub head: Arc<Head>,
}

/// The right to a file, and who keeps its bytes.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The file; only a verdict makes one of these.
    pub file: Allowed<Arc<File>>,
    /// The index that lists it.
    pub owner: IndexName,
    /// Whether its bytes are ours (a stage's) or an upstream's.
    pub is_private: bool,
    /// Where the metadata of this wheel is kept.
    metadata_key: Option<Key>,
}

impl Grant {
    /// The right to a file that this index lists.
    pub fn new(file: Allowed<Arc<File>>, owner: IndexName, is_private: bool) -> Self {
        let metadata_key = metadata_key(&owner, is_private, file.item());
        Self {
            file,
            owner,
            is_private,
            metadata_key,
        }
    }

    /// Where its bytes are kept, once their digest is known.
    pub fn key(&self) -> Option<Key> {
        let kept: fn(Sha256) -> Key = if self.is_private {
            Key::PrivateFile
        } else {
            Key::MirrorFile
        };
        self.file.item().hashes.sha256().map(kept)
    }

    /// What a file without a sha256 is known by: where it is, and the digests stated of it. One place
    /// may be stated with others by another mirror, or later, and is then another file.
    pub fn place_and_digests(&self) -> Arc<str> {
        let file = self.file.item();
        let mut text = file.url.as_deref().unwrap_or_default().to_owned();
        for (algorithm, hex) in file.hashes.iter() {
            text.push_str(&format!(" {algorithm}={hex}"));
        }
        text.into()
    }

    /// Where the metadata of this wheel is kept, once its digest is known.
    pub fn metadata_key(&self) -> Option<&Key> {
        self.metadata_key.as_ref()
    }
}

/// Where the metadata of a file is kept that this index lists. What a mirror says of a wheel's metadata
/// is proved by nothing, so it is kept as what that mirror says, and counts for no other that lists the
/// same wheel; of a stage's wheel it was read out of the bytes.
fn metadata_key(owner: &IndexName, is_private: bool, file: &File) -> Option<Key> {
    let wheel = file.hashes.sha256()?;
    Some(if is_private {
        Key::PrivateMetadata(wheel)
    } else {
        mirror_metadata_key(owner, &wheel)
    })
}

/// Where the metadata of a wheel is kept as this mirror has it.
pub fn mirror_metadata_key(mirror: &IndexName, wheel: &Sha256) -> Key {
    let text = format!("{wheel} {}", mirror.as_str());
    Key::MirrorMetadata(Sha256::of(text.as_bytes()))
}

/// Roughly how many bytes a ticket takes.
pub fn weight_bytes(key: &TicketKey, _: &Arc<Ticket>) -> usize {
    TICKET_BYTES + 3 * key.1.len()
}
