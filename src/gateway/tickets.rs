//! Decisions about files' URLs, remembered until the page they were made from may change.
//!
//! A ticket holds either the permission for the file, which only the policies can grant, or the
//! refusal. It is valid for one generation and until the first source expires or a rule changes its
//! answer.

use std::sync::{Arc, OnceLock};

use crate::cache::InFlight;
use crate::model::{File, Filename, IndexName, Sha256, Timestamp};
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
    /// The permission, or why there is none.
    pub outcome: Result<Grant, Denial>,
    /// The generation that decided.
    pub generation: u64,
    /// Until when that holds.
    pub valid_until: Timestamp,
    /// Until when it may be used while it is decided again.
    pub stale_until: Timestamp,
    /// The upstreams that were being asked when it was decided from what was held.
    pub awaits: Vec<InFlight>,
    /// What is said of the file, once its bytes were at hand.
    pub file_head: KeptHead,
    /// The same for its sidecar.
    pub sidecar_head: KeptHead,
}

impl Ticket {
    /// Whether it counts, for now or while it is decided again.
    #[must_use]
    pub fn holds(&self, generation: u64, now: Timestamp) -> bool {
        self.generation == generation
            && now < self.stale_until
            && !self.awaits.iter().any(InFlight::is_over)
    }
}

/// What of a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilePart {
    /// Its bytes.
    Whole,
    /// Its metadata.
    Sidecar,
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

/// The permission for a file, and who keeps its bytes.
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
    /// The permission for a file that this index lists.
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

    /// What identifies a file without a sha256: where it is, and the digests stated for it. Another
    /// mirror, or the same one later, may state others for that place, which makes it another file.
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

/// Where the metadata of a file listed by this index is kept. Nothing proves what a mirror says about a
/// wheel's metadata, so it is kept as that mirror's statement, and does not count for any other that
/// lists the same wheel; a stage's was read from the wheel's own bytes.
fn metadata_key(owner: &IndexName, is_private: bool, file: &File) -> Option<Key> {
    let wheel = file.hashes.sha256()?;
    Some(if is_private {
        Key::PrivateMetadata(wheel)
    } else {
        mirror_metadata_key(owner, &wheel)
    })
}

/// Where this mirror's metadata of a wheel is kept.
pub fn mirror_metadata_key(mirror: &IndexName, wheel: &Sha256) -> Key {
    let text = format!("{wheel} {}", mirror.as_str());
    Key::MirrorMetadata(Sha256::of(text.as_bytes()))
}

/// Roughly how many bytes a ticket takes.
pub fn weight_bytes(key: &TicketKey, _: &Arc<Ticket>) -> usize {
    TICKET_BYTES + 3 * key.1.len()
}

/// What decisions are forgotten by: the file's name, and each project that it may be of.
pub fn groups((_, path): &TicketKey) -> Vec<String> {
    let filename = path.rsplit('/').next().unwrap_or_default();
    let projects = Filename::projects(filename).into_iter();
    let projects = projects.map(|project| project.as_str().to_owned());
    [filename.to_owned()].into_iter().chain(projects).collect()
}
