//! Which versions of a listing a policy allows: what a file succeeds, and what a fix would replace.
//!
//! A version is allowed if the policy itself lets one of its files pass that is not yanked; what other
//! policies say does not matter, or a layer on top could loosen a base. Versions are judged from the
//! oldest to the newest, so a rule may ask for the one before, and nobody is let through as a fix: what a
//! fix is depends on what is allowed without it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::advisory::Advisory;
use crate::model::{File, Kind, Timestamp, Version, VersionMatch};
use crate::policy::taken::taken;

/// The versions of a listing, as a policy judges them.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    /// The allowed ones, ascending.
    allowed: Vec<AllowedVersion>,
    /// What an installer takes of them; `None` until all are judged.
    newest: Option<Version>,
    /// When age may change any of this.
    pub(super) next_change: Option<Timestamp>,
}

/// A version that is allowed.
#[derive(Debug)]
struct AllowedVersion {
    version: Version,
    /// Its kinds of file, and whether one of each has provenance.
    provenance: BTreeMap<Kind, bool>,
}

/// What a policy says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opinion {
    Allowed,
    /// Refused because of an advisory.
    Warned,
    Refused,
}

impl Lineage {
    /// Has every file of a listing judged, each knowing which earlier versions are allowed; `judge` also
    /// says when its opinion may change.
    pub(super) fn of<'f>(
        files: &'f [File],
        judge: impl Fn(&'f File, &Self) -> (Opinion, Option<Timestamp>),
    ) -> Self {
        let mut versions: BTreeMap<Version, Vec<&File>> = BTreeMap::new();
        for file in files {
            let of_version = versions.entry(file.filename.version()).or_default();
            of_version.push(file);
        }
        let mut lineage = Self::default();
        let mut changes = Vec::new();
        let (mut allowed, mut warned) = (Vec::new(), Vec::new());
        for (version, files) in versions {
            let mut provenance = BTreeMap::new();
            for file in files {
                let (opinion, change) = judge(file, &lineage);
                changes.extend(change);
                match opinion {
                    _ if file.yanked.is_yanked() => {}
                    Opinion::Allowed => {
                        let has_any: &mut bool =
                            provenance.entry(file.filename.kind()).or_default();
                        *has_any |= file.provenance.is_some();
                        allowed.push(file);
                    }
                    Opinion::Warned => warned.push(file),
                    Opinion::Refused => {}
                }
            }
            if !provenance.is_empty() {
                lineage.allowed.push(AllowedVersion {
                    version,
                    provenance,
                });
            }
        }
        // Where advisories leave nothing, a fix replaces what would be taken without them.
        lineage.newest = taken(allowed, None).or_else(|| taken(warned, None));
        lineage.next_change = changes.into_iter().min();
        lineage
    }

    /// Whether the newest allowed version before this one had provenance, for files of this kind if it has
    /// any; no if there is none.
    pub(super) fn had_provenance(&self, version: &Version, kind: Kind) -> bool {
        let is_earlier = |standing: &AllowedVersion| standing.version < *version;
        let before = self.allowed.partition_point(is_earlier);
        let predecessor = before.checked_sub(1).map(|at| &self.allowed[at]);
        predecessor.is_some_and(|standing| {
            let alike = standing.provenance.get(&kind).copied();
            alike.unwrap_or_else(|| standing.provenance.values().any(|has| *has))
        })
    }

    /// The vulnerability of the newest allowed version that a later one certainly does not have.
    ///
    /// Malware does not count: who could upload it may upload again, and what no advisory names yet is not
    /// fixed by that.
    pub(super) fn fixed<'a>(
        &self,
        version: &Version,
        advisories: &'a [Advisory],
    ) -> Option<&'a Arc<str>> {
        let newest = self.newest.as_ref().filter(|newest| version > newest)?;
        let is_free = |of: &Advisory| of.affects(version) == VersionMatch::No;
        let fixed = advisories.iter().find(|advisory| {
            let mut alike = advisories.iter().filter(|other| is_same(other, advisory));
            !advisory.is_malware()
                && advisory.affects(newest) == VersionMatch::Yes
                && alike.all(is_free)
        });
        fixed.map(Advisory::id)
    }
}

/// Whether both are about one thing: they share a name.
fn is_same(one: &Advisory, other: &Advisory) -> bool {
    let mut names = one.names();
    names.any(|name| other.names().any(|known| known == name))
}
