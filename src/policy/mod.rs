//! What may pass, decided by compiled rules that can say who wrote them.
//!
//! `Document`s become `Policies` by [`Policies::compile`]; a `Stack` of them gives `Verdict`s that explain themselves.
mod advice;
mod advisory;
mod compile;
mod condition;
mod decide;
mod diff;
mod document;
mod documents;
mod facts;
mod feed;
mod index;
#[cfg(test)]
mod laws;
mod layer;
mod lineage;
mod lockfile;
mod mirror_whitelist;
mod names;
mod naming;
mod order;
mod orphans;
mod outlook;
mod published;
mod read;
mod recalls;
mod rule;
#[cfg(test)]
mod sample;
mod setting;
mod siblings;
mod sources;
mod stack;
mod taken;
mod trace;
mod vanishing;
mod verdict;
mod whitelist;
mod words;
pub use advice::{Exposure, advice};
pub use compile::{Expiring, Policies};
pub use decide::ProjectView;
pub use diff::diff;
pub use document::{
    KeepLastGoodDocument, OnBlock, Placed, PolicyMode, Quarantined, SecretSource, TextFile,
    Undated, Verify, WhitelistName,
};
pub use documents::{Document, IndexDocument, IndexKindDocument};
pub use feed::{Feed, HeldFeed, WhenStale};
pub use index::{Index, IndexKind};
pub use layer::OWNS;
pub use lockfile::{Lockfile, Pin, PinnedFile};
pub use orphans::check_orphans;
pub use outlook::Needs;
pub use read::{
    Bytes, Choice, Fields, Files, HttpUrl, KEYS, Misread, Moment, NamedKind, Node, Notes, Shape,
    Table, Value, Word, YamlKey, key, keys, kind, many, one, read, read_osv, read_text, schema_of,
};
#[cfg(test)]
pub use read::{MATCHES, POLICY};
pub use recalls::Recalls;
pub use rule::Policy;
#[cfg(test)]
pub use sample::{NoFiles, at, file, index, osv, placed};
pub use setting::{
    ApiKey, ApiValue, COMMON_API, CommonDocument, MIRROR_API, Mirror, MirrorDocument, STAGE_API,
    StageDocument,
};
pub use siblings::ListedFiles;
pub use sources::{SkipReason, Sources};
pub use stack::{Candidate, Member, Stack};
pub use taken::taken;
pub use trace::{MIRROR_WHITELIST, TraceLine};
pub use verdict::{Allowed, Denial, Reason, Recourse, Verdict};
