//! What a rule asks of one file, and whether the file fits.
//!
//! There are three answers, not two: a file without an upload-time is neither young nor old. What follows
//! is up to the rule (`rule`): a `deny` counts that as a match, an `allow` does not. A condition that
//! certainly fails outweighs one that cannot be judged.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;

use crate::advisory::Advisory;
use crate::model::{
    Faults, File, IndexName, Location, ProjectState, Timestamp, UploadTimeSource, Version,
    VersionMatch, format_bytes,
};
use crate::policy::advisory::{AdvisorySelector, any_case_globs};
use crate::policy::document::{Matchers, Undated};
use crate::policy::verdict::Missing;
use crate::policy::words::asked;

/// Everything a rule may ask about one file; the rule's project is already known to match.
pub(super) struct Facts<'a> {
    pub(super) file: &'a File,
    /// The mirror it comes from and that mirror's setting for undated files; `None` for a stage.
    pub(super) mirror: Option<(&'a IndexName, Undated)>,
    pub(super) status: ProjectState,
    /// The advisories about its project.
    pub(super) advisories: &'a [Advisory],
    /// The instant at which it stops ageing: its upstream has not answered since.
    pub(super) grows_until: Option<Timestamp>,
    version: OnceCell<Version>,
}

/// When a file was published, as far as rules about age may rely on it.
enum Published {
    At(Timestamp),
    BeforeAnything,
    Unknown,
}

impl<'a> Facts<'a> {
    pub(super) fn new(
        file: &'a File,
        mirror: Option<(&'a IndexName, Undated)>,
        status: ProjectState,
        advisories: &'a [Advisory],
    ) -> Self {
        Self {
            file,
            mirror,
            status,
            advisories,
            grows_until: None,
            version: OnceCell::new(),
        }
    }

    /// The same file, considered no older than it was at an instant.
    pub(super) fn grown_until(mut self, instant: Timestamp) -> Self {
        self.grows_until = Some(instant);
        self
    }

    /// The instant at which its age is measured.
    fn aged_at(&self, now: Timestamp) -> Timestamp {
        self.grows_until.map_or(now, |until| until.min(now))
    }

    fn version(&self) -> &Version {
        self.version.get_or_init(|| self.file.filename.version())
    }

    fn published(&self) -> Published {
        let stated = self.file.upload_time;
        let undated = match (stated.map(|time| time.source), self.mirror) {
            // Our own records count as a date, however a private file got it.
            (Some(UploadTimeSource::Index), _) | (_, None) => None,
            (Some(UploadTimeSource::FirstSeen) | None, Some((_, undated))) => Some(undated),
        };
        match undated {
            None | Some(Undated::FirstSeen) => {
                stated.map_or(Published::Unknown, |time| Published::At(time.at))
            }
            Some(Undated::Deny) => Published::Unknown,
            Some(Undated::Old) => Published::BeforeAnything,
        }
    }
}

/// One thing that a rule can ask, in the order of judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Upstream,
    Kind,
    Status,
    Yanked,
    Provenance,
    SizeOver,
    YoungerThan,
    OlderThan,
    Python,
    Platform,
    Versions,
    Sha256,
    Advisory,
}

impl Condition {
    const ALL: [Self; 13] = [
        Self::Upstream,
        Self::Kind,
        Self::Status,
        Self::Yanked,
        Self::Provenance,
        Self::SizeOver,
        Self::YoungerThan,
        Self::OlderThan,
        Self::Python,
        Self::Platform,
        Self::Versions,
        Self::Sha256,
        Self::Advisory,
    ];

    fn is_age(self) -> bool {
        matches!(self, Self::YoungerThan | Self::OlderThan)
    }
}

/// Whether a file fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Every condition holds.
    Yes,
    /// No condition fails, but this fact is missing.
    Unsure(Missing),
    /// This condition fails.
    No(Condition),
}

/// A rule's conditions: as written, and compiled where that saves work for each file.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    pub(super) asked: Matchers,
    /// Whether they depend only on the mirror's name and on nothing else about a file: the rule can then be
    /// judged before any index is asked.
    pub(super) is_name_alone: bool,
    python: Option<GlobSet>,
    platform: Option<GlobSet>,
    advisory: Option<AdvisorySelector>,
}

impl Conditions {
    pub(super) fn compile(matchers: &Matchers, location: &Location, faults: &mut Faults) -> Self {
        let mut tags = |texts: &Vec<String>| {
            (!texts.is_empty()).then(|| any_case_globs(texts, location, faults))
        };
        let mut others = asked(matchers).into_iter();
        Self {
            is_name_alone: others
                .all(|(key, values)| values.is_empty() || matches!(key, "project" | "upstream")),
            asked: matchers.clone(),
            python: tags(&matchers.python),
            platform: tags(&matchers.platform),
            advisory: AdvisorySelector::compile(&matchers.advisory, location, faults),
        }
    }

    /// Whether a file fits.
    pub(super) fn fit(&self, facts: &Facts<'_>, now: Timestamp) -> Fit {
        let mut missing = None;
        for condition in Condition::ALL {
            match self.holds(condition, facts, now) {
                Holds::Yes => {}
                Holds::Unknown(what) => missing = missing.or(Some(what)),
                Holds::No => return Fit::No(condition),
            }
        }
        missing.map_or(Fit::Yes, Fit::Unsure)
    }

    /// Whether the rule concerns files from this mirror, or with `None` from a stage.
    pub(super) fn concerns(&self, mirror: Option<&IndexName>) -> bool {
        self.asked.upstream.is_empty()
            || mirror.is_some_and(|name| self.asked.upstream.contains(name))
    }

    /// The instant at which `younger_than` stops holding, if the date is known.
    pub(super) fn matures(&self, facts: &Facts<'_>) -> Option<Timestamp> {
        boundary(facts, self.asked.younger_than?)
    }

    /// The earliest instant after `now` at which age may change this rule's answer.
    pub(super) fn next_change(&self, facts: &Facts<'_>, now: Timestamp) -> Option<Timestamp> {
        let ages = [self.asked.younger_than, self.asked.older_than]
            .into_iter()
            .flatten();
        let next = ages
            .filter_map(|age| boundary(facts, age))
            .filter(|instant| *instant > now)
            .min()?;
        let fails = |condition: Condition| {
            !condition.is_age() && self.holds(condition, facts, now) == Holds::No
        };
        (!Condition::ALL.into_iter().any(fails)).then_some(next)
    }

    /// The advisory that the rule asks for and that certainly affects the file.
    pub(super) fn advisory<'a>(&self, facts: &Facts<'a>) -> Option<&'a Arc<str>> {
        let selector = self.advisory.as_ref()?;
        let found = |advisory: &&Advisory| {
            selector.selects(advisory) && advisory.affects(facts.version()) == VersionMatch::Yes
        };
        facts.advisories.iter().find(found).map(Advisory::id)
    }

    fn holds_advisory(&self, facts: &Facts<'_>) -> Holds {
        let Some(selector) = &self.advisory else {
            return Holds::Yes;
        };
        let mut holds = Holds::No;
        let asked_for = |advisory: &&Advisory| selector.selects(advisory);
        for advisory in facts.advisories.iter().filter(asked_for) {
            match Holds::from(advisory.affects(facts.version())) {
                Holds::Yes => return Holds::Yes,
                unsure @ Holds::Unknown(_) => holds = unsure,
                Holds::No => {}
            }
        }
        holds
    }

    fn holds(&self, condition: Condition, facts: &Facts<'_>, now: Timestamp) -> Holds {
        let file = facts.file;
        match condition {
            Condition::Upstream => self.concerns(facts.mirror.map(|(name, _)| name)).into(),
            Condition::Kind => listed(&self.asked.kind, &file.filename.kind()),
            Condition::Status => listed(&self.asked.status, &facts.status),
            Condition::Yanked => if_asked(self.asked.yanked, |wanted| {
                file.yanked.is_yanked() == wanted
            }),
            Condition::Provenance => {
                (!self.asked.provenance_missing || file.provenance.is_none()).into()
            }
            Condition::SizeOver => match (self.asked.size_over, file.size) {
                (None, _) => Holds::Yes,
                (Some(_), None) => Holds::Unknown(Missing::Size),
                (Some(limit), Some(size)) => (size > limit).into(),
            },
            Condition::YoungerThan => {
                let at = facts.aged_at(now);
                holds_age(self.asked.younger_than, facts, false, |end| at < end)
            }
            Condition::OlderThan => {
                let at = facts.aged_at(now);
                holds_age(self.asked.older_than, facts, true, |end| at >= end)
            }
            Condition::Python => if_asked(self.python.as_ref(), |globs| {
                let tags = file.filename.tags();
                tags.is_some_and(|tags| tags.python().any(|tag| globs.is_match(tag)))
            }),
            Condition::Platform => if_asked(self.platform.as_ref(), |globs| {
                let tags = file.filename.tags();
                tags.is_some_and(|tags| tags.platform().any(|tag| globs.is_match(tag)))
            }),
            Condition::Versions => match &self.asked.versions {
                None => Holds::Yes,
                Some(specifiers) => specifiers.contains(facts.version()).into(),
            },
            Condition::Sha256 => match (self.asked.sha256.as_slice(), file.hashes.sha256()) {
                ([], _) => Holds::Yes,
                (_, None) => Holds::Unknown(Missing::Digest),
                (listed, Some(digest)) => listed.contains(&digest).into(),
            },
            Condition::Advisory => self.holds_advisory(facts),
        }
    }

    /// The property of the file that fails this condition, for `explain`.
    pub(super) fn why_not(condition: Condition, facts: &Facts<'_>) -> String {
        let file = facts.file;
        match condition {
            Condition::Upstream => match facts.mirror {
                Some((name, _)) => format!("it comes from {name}"),
                None => "it comes from a stage".to_owned(),
            },
            Condition::Kind => format!("it is a file of kind {}", file.filename.kind().as_str()),
            Condition::Status => format!("the project is {}", facts.status),
            Condition::Yanked if file.yanked.is_yanked() => "it is yanked".to_owned(),
            Condition::Yanked => "it is not yanked".to_owned(),
            Condition::Provenance => "it has provenance".to_owned(),
            Condition::SizeOver => {
                let size = file.size.map_or("no size".to_owned(), format_bytes);
                format!("it has {size}")
            }
            Condition::YoungerThan | Condition::OlderThan => match facts.published() {
                Published::At(instant) => format!("it is from {instant}"),
                Published::BeforeAnything => "it has no date and counts as old".to_owned(),
                Published::Unknown => "it has no date".to_owned(),
            },
            Condition::Python | Condition::Platform => match file.filename.tags() {
                Some(_) => format!("no tag of {} fits", file.filename),
                None => "only wheels have tags".to_owned(),
            },
            Condition::Versions => format!("its version is {}", facts.version()),
            Condition::Sha256 => match file.hashes.sha256() {
                Some(digest) => format!("its sha256 is {digest}"),
                None => "it has no sha256".to_owned(),
            },
            Condition::Advisory => "no such advisory concerns it".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Unknown(Missing),
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl From<VersionMatch> for Holds {
    fn from(found: VersionMatch) -> Self {
        match found {
            VersionMatch::Yes => Self::Yes,
            VersionMatch::No => Self::No,
            VersionMatch::Unreadable => Self::Unknown(Missing::Version),
            VersionMatch::Respelled => Self::Unknown(Missing::Spelling),
        }
    }
}

/// Holds when nothing is asked for.
fn if_asked<T>(wanted: Option<T>, holds: impl FnOnce(T) -> bool) -> Holds {
    wanted.is_none_or(holds).into()
}

/// Holds when nothing is asked for, or the value is in the list.
fn listed<T: PartialEq>(wanted: &[T], value: &T) -> Holds {
    (wanted.is_empty() || wanted.contains(value)).into()
}

fn holds_age(
    age: Option<Duration>,
    facts: &Facts<'_>,
    if_old: bool,
    holds: impl FnOnce(Timestamp) -> bool,
) -> Holds {
    let Some(age) = age else {
        return Holds::Yes;
    };
    match facts.published() {
        // An age beyond the calendar is never reached.
        Published::At(instant) => holds(instant.checked_add(age).unwrap_or(Timestamp::MAX)).into(),
        Published::BeforeAnything => if_old.into(),
        Published::Unknown => Holds::Unknown(Missing::UploadTime),
    }
}

/// The instant at which a file reaches an age.
fn boundary(facts: &Facts<'_>, age: Duration) -> Option<Timestamp> {
    match facts.published() {
        Published::At(instant) => instant.checked_add(age).ok(),
        Published::BeforeAnything | Published::Unknown => None,
    }
}

#[cfg(test)]
mod tests;
