//! What may pass, decided by compiled rules that can say who wrote them.
//!
//! `Document`s become `Policies` by [`Policies::compile`]; a `Stack` of them gives `Verdict`s that explain themselves.
mod advice;
mod advisory;
mod compile;
mod condition;
mod decide;
mod diff;
mod facts;
mod index;
#[cfg(test)]
mod laws;
mod layer;
mod lineage;
mod names;
mod order;
mod orphans;
mod outlook;
mod published;
mod recalls;
mod rule;
#[cfg(test)]
mod sample;
mod siblings;
mod sources;
mod stack;
mod taken;
mod trace;
mod vanishing;
mod verdict;
mod whitelist;
pub use advice::{Exposure, advice};
pub use compile::{Expiring, Policies};
pub use decide::ProjectView;
pub use diff::diff;
pub use index::{Index, IndexKind};
pub use layer::OWNS;
pub use orphans::check_orphans;
pub use outlook::Needs;
pub use recalls::Recalls;
pub use rule::Policy;
#[cfg(test)]
pub use sample::file;
pub use siblings::ListedFiles;
pub use sources::{SkipReason, Sources};
pub use stack::{Candidate, Member, Stack};
pub use taken::taken;
pub use trace::{MIRROR_WHITELIST, TraceLine};
pub use verdict::{Allowed, Denial, Reason, Recourse, Verdict};
