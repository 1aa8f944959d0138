//! Which versions an advisory concerns, by OSV's own algorithm in version order.
//!
//! An entry that names neither versions nor a range in version order concerns every version: refusing too
//! much is noticed immediately, refusing too little is not. Whether a range contains a version that cannot
//! be parsed is undecided.
//!
//! What is kept of it is a text, parsed again when somebody asks about the project: parsed versions of some
//! hundred thousand advisories would take several times as much memory, and few are ever asked for.

use crate::advisory::osv::{EventEntry, RangeEntry};
use crate::model::{Version, VersionMatch};

/// Ends a line of the text that is kept.
const LINE: char = '\n';

/// Begins a line that is a range.
const RANGE: char = '\u{4}';

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

impl Change {
    const ALL: [Self; 3] = [Self::Introduced, Self::Fixed, Self::LastAffected];

    /// Stands before its version; no version contains a control character.
    fn mark(self) -> char {
        match self {
            Self::Introduced => '\u{1}',
            Self::Fixed => '\u{2}',
            Self::LastAffected => '\u{3}',
        }
    }
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

    /// A short text for keeping; empty if every version is concerned.
    pub(super) fn to_text(&self) -> String {
        let Self::These { ranges, versions } = self else {
            return String::new();
        };
        let mut text = String::new();
        for range in ranges {
            text.push(RANGE);
            for event in range {
                let version = event.version.as_ref().map_or("0", Version::as_str);
                text.push(event.change.mark());
                push_word(version, &mut text);
            }
            text.push(LINE);
        }
        for version in versions {
            push_word(version.as_str(), &mut text);
            text.push(LINE);
        }
        text
    }

    /// Reads what [`Affects::to_text`] wrote.
    pub(super) fn from_text(text: &str) -> Self {
        if text.is_empty() {
            return Self::Every;
        }
        let (mut ranges, mut versions) = (Vec::new(), Vec::new());
        for line in text.split_terminator(LINE) {
            match line.strip_prefix(RANGE) {
                Some(events) => ranges.push(read_events(events)),
                None => versions.push(Version::parse(line)),
            }
        }
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

/// Appends a version as written, without what marks its end.
fn push_word(version: &str, text: &mut String) {
    text.extend(version.chars().map(|character| match character {
        control if control.is_control() => ' ',
        other => other,
    }));
}

fn read_events(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut rest = text;
    while let Some(mark) = rest.chars().next() {
        let Some(change) = Change::ALL.into_iter().find(|one| one.mark() == mark) else {
            break;
        };
        let word = &rest[mark.len_utf8()..];
        let end = word.find(char::is_control).unwrap_or(word.len());
        let version = &word[..end];
        events.push(Event {
            version: (version != "0").then(|| Version::parse(version)),
            change,
        });
        rest = &word[end..];
    }
    events
}
