//! Decisions about files' URLs, remembered until the page they were made from may change.
//!
//! A ticket holds either the permission for the file, which only the policies can grant, or the
//! refusal. It is valid for one generation, and until the first source expires or a rule changes
//! its answer.

mod undecided;

use std::sync::{Arc, OnceLock};

use crate::cache::InFlight;
use crate::model::{AskedPart, File, Filename, IndexName, Sha256, Timestamp};
use crate::policy::{Allowed, Denial};
use crate::protocol::{ETag, Head};
use crate::store::Key;

pub use undecided::{Inquiry, next_inquiries};

/// Rough memory cost of a ticket with its key and heads; the lengths of texts are added.
const TICKET_BYTES: usize = 3_000;

/// A file's URL: the index it is requested from, and the rest of the path without a sidecar's
/// suffix.
pub type TicketKey = (IndexName, Arc<str>);

/// A decision about one URL.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The permission, or why there is none.
    pub outcome: Result<Grant, Denial>,
    /// The generation in which it was decided.
    pub generation: u64,
    /// Until when the decision is valid.
    pub valid_until: Timestamp,
    /// Until when it may still be used while it is decided again.
    pub stale_until: Timestamp,
    /// Requests to upstreams that were in flight when this was decided from the copies at hand.
    pub awaits: Vec<InFlight>,
    /// What has to be looked for inside the file before the decision is final.
    pub inquiry: Option<Inquiry>,
    /// Whether some rule asks what stands inside.
    pub asks_inside: bool,
    /// The head for the file, once its bytes have been at hand.
    pub file_head: KeptHead,
    /// The same for the sidecar.
    pub sidecar_head: KeptHead,
}

impl Ticket {
    /// Whether it may be used: still valid, or while it is decided again.
    #[must_use]
    pub fn holds(&self, generation: u64, now: Timestamp) -> bool {
        self.generation == generation
            && now < self.stale_until
            && !self.awaits.iter().any(InFlight::is_over)
    }

    /// Where the head for this part is kept, of those that are asked for again and again.
    pub fn head_of(&self, part: AskedPart) -> Option<&KeptHead> {
        match part {
            AskedPart::Whole => Some(&self.file_head),
            AskedPart::Metadata => Some(&self.sidecar_head),
            AskedPart::Provenance => None,
        }
    }
}

/// The head for content whose bytes have been at hand under this ticket.
pub type KeptHead = OnceLock<Told>;

/// The heads that were written for some content.
#[derive(Debug, Clone)]
pub struct Told {
    /// The length that the head states.
    pub length: u64,
    /// The head of the whole content.
    pub head: Arc<Head>,
    /// What a 304 needs; `None` for bytes whose digest no page states.
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

    /// Where its bytes are kept, if its digest is known.
    pub fn key(&self) -> Option<Key> {
        let kept: fn(Sha256) -> Key = if self.is_private {
            Key::PrivateFile
        } else {
            Key::MirrorFile
        };
        self.file.item().hashes.sha256().map(kept)
    }

    /// Identifies a file without a sha256: its URL and the digests stated for it. Another mirror,
    /// or the same one later, may state other digests for that URL, which makes it another file.
    pub fn place_and_digests(&self) -> Arc<str> {
        let file = self.file.item();
        let mut text = file.url.as_deref().unwrap_or_default().to_owned();
        for (algorithm, hex) in file.hashes.iter() {
            text.push_str(&format!(" {algorithm}={hex}"));
        }
        text.into()
    }

    /// Where the metadata of this wheel is kept, if the wheel's digest is known.
    pub fn metadata_key(&self) -> Option<&Key> {
        self.metadata_key.as_ref()
    }

    /// Where the provenance of a mirror's file is kept: as what stands at the URL that this mirror states,
    /// since nothing proves that it is the same elsewhere.
    pub fn provenance_key(&self) -> Option<Key> {
        let url = self.file.item().provenance.as_deref();
        let url = url.filter(|_| !self.is_private)?;
        let text = format!("{} provenance {url}", self.owner);
        Some(Key::MirrorMetadata(Sha256::of(text.as_bytes())))
    }
}

/// Where the metadata of a file listed by this index is kept. Nothing proves what a mirror says
/// about a wheel's metadata, so it is kept as that mirror's statement and not used for any other
/// mirror that lists the same wheel; a stage's metadata was read from the wheel itself.
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

/// Rough memory cost of a ticket.
pub fn weight_bytes(key: &TicketKey, _: &Arc<Ticket>) -> usize {
    TICKET_BYTES + 3 * key.1.len()
}

/// The groups by which decisions are forgotten: the file's name, and each project it may belong to.
pub fn groups((_, path): &TicketKey) -> Vec<String> {
    let filename = path.rsplit('/').next().unwrap_or_default();
    let projects = Filename::projects(filename).into_iter();
    let projects = projects.map(|project| project.as_str().to_owned());
    [filename.to_owned()].into_iter().chain(projects).collect()
}
