//! What may pass, decided by compiled rules that can say who wrote them.
//!
//! `Document`s (what operators wrote) become `Policies` (what the server runs on) by
//! [`Policies::compile`]; a `Stack` of them answers who may speak for a project and whether a file
//! passes; every answer is a `Verdict` that can explain itself.

mod advice;
mod advisory;
mod compile;
mod condition;
mod diff;
mod document;
mod index;
#[cfg(test)]
mod laws;
mod layer;
mod lockfile;
mod names;
mod order;
mod orphans;
mod project_view;
pub mod read;
mod rule;
#[cfg(test)]
mod sample;
mod sources;
mod stack;
mod trace;
mod vanishing;
mod verdict;
mod whitelist;
mod words;

pub use advice::{Exposure, advice};
pub use compile::{Expiring, Policies};
pub use diff::{Change, ChangedThing, How, diff};
pub use document::{
    Document, Effect, IndexDocument, IndexKindDocument, KeepLastGoodDocument, Matchers,
    MirrorDocument, Mode, NamePattern, OnBlock, Placed, PolicyDocument, Quarantined, RuleDocument,
    SecretSource, StageDocument, TextFile, Undated, WhitelistInheritance, WhitelistName,
};
pub use index::{Index, IndexKind, KeepLastGood, Mirror, MirrorWhitelist, Stage};
pub use lockfile::{Lockfile, LockfileFormat, Pin, PinnedFile};
pub use orphans::check_orphans;
pub use project_view::ProjectView;
pub use rule::{Policy, Rule};
#[cfg(test)]
pub use sample::NoFiles;
pub use sources::{SkipReason, Skipped, Sources};
pub use stack::{Candidate, Member, Stack};
pub use trace::{Outcome, TraceLine};
pub use vanishing::Unanimity;
pub use verdict::{Allowed, Denial, Missing, Reason, RuleId, Subject, Verdict};
