//! Which versions an advisory concerns, by OSV's own algorithm in version order.
//!
//! An entry that names neither versions nor a range in version order concerns every version: refusing too
//! much is noticed immediately, refusing too little is not. Whether a range contains a version that cannot
//! be parsed is undecided.

use crate::advisory::osv::{EventEntry, RangeEntry};
use crate::model::{Version, VersionMatch};

/// The versions an advisory concerns.
#[derive(Debug)]
pub(super) enum Affects {
    Every,
    These {
        ranges: Vec<Vec<Event>>,
        /// Versions that OSV lists individually, sorted.
        versions: Vec<Version>,
    },
}

/// A point in version order where something changes; `None` is before every version.
#[derive(Debug)]
pub(super) struct Event {
    version: Option<Version>,
    change: Change,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Introduced,
    Fixed,
    LastAffected,
}

impl Affects {
    pub(super) fn of(versions: Option<Vec<String>>, ranges: Option<Vec<RangeEntry>>) -> Self {
        let ranges: Vec<Vec<Event>> = ranges
            .unwrap_or_default()
            .into_iter()
            .filter(|range| range.kind == "ECOSYSTEM")
            .map(|range| events(&range.events))
            .collect();
        let mut versions: Vec<Version> = versions
            .unwrap_or_default()
            .iter()
            .map(|text| Version::parse(text))
            .collect();
        if ranges.is_empty() && versions.is_empty() {
            return Self::Every;
        }
        // The list mostly repeats what the ranges say, and is by far the larger part.
        let is_said = |version: &Version| ranges.iter().any(|range| is_within(range, version));
        versions.retain(|version| version.is_legacy() || !is_said(version));
        versions.sort();
        versions.shrink_to_fit();
        Self::These { ranges, versions }
    }

    /// Whether it concerns this version.
    pub(super) fn contains(&self, version: &Version) -> VersionMatch {
        let Self::These { ranges, versions } = self else {
            return VersionMatch::Yes;
        };
        if version.is_legacy() {
            // These sort below all others, in order of their text.
            let mut legacy = versions.iter().take_while(|listed| listed.is_legacy());
            return match legacy.any(|listed| version.is_spelled_like(listed.as_str())) {
                true => VersionMatch::Yes,
                false if ranges.is_empty() => VersionMatch::No,
                false => VersionMatch::Unreadable,
            };
        }
        let is_listed = || versions.binary_search(version).is_ok();
        if ranges.iter().any(|range| is_within(range, version)) || is_listed() {
            VersionMatch::Yes
        } else {
            VersionMatch::No
        }
    }
}

fn events(entries: &[EventEntry]) -> Vec<Event> {
    let mut events = Vec::new();
    for entry in entries {
        let changes = [
            (&entry.introduced, Change::Introduced),
            (&entry.fixed, Change::Fixed),
            (&entry.last_affected, Change::LastAffected),
        ];
        for (text, change) in changes {
            if let Some(text) = text {
                let version = (text != "0").then(|| Version::parse(text));
                events.push(Event { version, change });
            }
        }
    }
    events.sort_by(|left, right| left.version.cmp(&right.version));
    events
}

/// OSV's own algorithm: walk through the events in order and remember the last one that has happened.
fn is_within(range: &[Event], version: &Version) -> bool {
    let mut affected = false;
    for event in range {
        let reached = event.version.as_ref().is_none_or(|at| version >= at);
        let passed = event.version.as_ref().is_none_or(|at| version > at);
        match event.change {
            Change::Introduced if reached => affected = true,
            Change::Fixed if reached => affected = false,
            Change::LastAffected if passed => affected = false,
            Change::Introduced | Change::Fixed | Change::LastAffected => {}
        }
    }
    affected
}
