//! What operators write, read into values: policies, the settings of indexes, feeds, lists and lock files.
//!
//! YAML text becomes a [`Document`] of which every name is parsed and every place kept, with all faults found on the way;
//! [`schema_of`] describes the same tables to editors. Nothing is resolved or decided here: `policy` compiles documents.

mod ask_link;
mod document;
mod documents;
mod feed;
mod lockfile;
mod mirror_whitelist;
mod naming;
mod read;
#[cfg(test)]
mod sample;
mod setting;
mod words;
#[cfg(test)]
pub use ask_link::BLANKS;
pub use ask_link::{AskLink, Blank};
pub use document::{
    Effect, Exemption, KeepLastGood, KeepLastGoodDocument, Matchers, NamePattern, OnBlock, Placed,
    PolicyDocument, PolicyMode, ProvenanceAsked, Quarantined, RuleDocument, SecretSource,
    SimilarTo, TextFile, Undated, Verify, WhitelistInheritance, WhitelistName,
};
pub use documents::{Document, IndexDocument, IndexKindDocument};
pub use feed::{Feed, HeldFeed, WhenStale};
pub use lockfile::{Lockfile, Pin, PinnedFile};
pub use naming::{DEFAULT, full_name, rule_names};
pub use read::{
    Bytes, Choice, Fields, Files, Grantee, HttpUrl, KEYS, Misread, Moment, NamedKind, Node, Notes,
    Shape, Table, Value, Word, YamlKey, key, keys, kind, many, meant_for_everybody, one, read,
    read_osv, read_text, schema_of,
};
#[cfg(test)]
pub use read::{MATCHES, POLICY};
#[cfg(test)]
pub use sample::{
    NoFiles, allow, at, deny, document, index, mirror, of, osv, pattern, place, placed, policy,
    project, stage,
};
pub use setting::{
    ApiKey, ApiValue, COMMON_API, Common, CommonDocument, MIRROR_API, Mirror, MirrorDocument,
    STAGE_API, Stage, StageDocument,
};
pub use words::{asked, words};
