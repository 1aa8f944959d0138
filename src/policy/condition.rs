//! What a rule asks of one file, and whether the file fits.
//!
//! There are three answers, not two: a file without an upload-time is neither young nor old. What follows
//! is up to the rule (`rule`): a `deny` counts that as a match, an `allow` does not. A condition that
//! certainly fails outweighs one that cannot be judged.

mod license;

use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;

use crate::advisory::Advisory;
use crate::language::{Effect, Exemption, Matchers, ProvenanceAsked, asked};
use crate::model::{
    Faults, IndexName, License, Location, StartupFiles, Timestamp, VersionMatch, format_bytes,
};
use crate::policy::advisory::{AdvisorySelector, any_case_globs};
use crate::policy::facts::{Facts, Needs};
use crate::policy::published::PublishedAt;
use crate::policy::verdict::Missing;
use license::LicenseSelector;

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
    Late,
    Python,
    Platform,
    Versions,
    Sha256,
    Advisory,
    License,
    StartupFiles,
    Unless,
}

impl Condition {
    const ALL: [Self; 17] = [
        Self::Upstream,
        Self::Kind,
        Self::Status,
        Self::Yanked,
        Self::Provenance,
        Self::SizeOver,
        Self::YoungerThan,
        Self::OlderThan,
        Self::Late,
        Self::Python,
        Self::Platform,
        Self::Versions,
        Self::Sha256,
        Self::Advisory,
        Self::License,
        Self::StartupFiles,
        Self::Unless,
    ];
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
    license: Option<LicenseSelector>,
}

impl Conditions {
    /// Of a rule that does this with what fits.
    pub(super) fn compile(
        matchers: &Matchers,
        effect: Effect,
        location: &Location,
        faults: &mut Faults,
    ) -> Self {
        let mut tags = |texts: &Vec<String>| {
            (!texts.is_empty()).then(|| any_case_globs(texts, location, faults))
        };
        let mut others = asked(matchers).into_iter();
        Self {
            is_name_alone: others.all(|(key, values)| {
                values.is_empty() || matches!(key, "project" | "new_name" | "upstream")
            }),
            asked: matchers.clone(),
            python: tags(&matchers.python),
            platform: tags(&matchers.platform),
            advisory: AdvisorySelector::compile(&matchers.advisory, location, faults),
            license: LicenseSelector::compile(&matchers.license, effect, location, faults),
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
        let asked = &self.asked;
        // What a stage holds is the house's own, whatever it looks like.
        (asked.similar_to.is_empty() || mirror.is_some())
            && (asked.upstream.is_empty()
                || mirror.is_some_and(|name| asked.upstream.contains(name)))
    }

    /// Whether they depend on other files of the project.
    pub(super) fn asks_for_siblings(&self) -> bool {
        self.asked.late.is_some() || self.asks_for_lineage()
    }

    /// Whether they depend on which other versions are allowed.
    pub(super) fn asks_for_lineage(&self) -> bool {
        self.asked.unless.is_some() || self.asked.provenance == Some(ProvenanceAsked::Lost)
    }

    pub(super) fn asks_for_advisories(&self) -> bool {
        self.advisory.is_some()
    }

    /// Whether they depend on what stands inside files.
    pub(super) fn asks_inside(&self) -> bool {
        self.license.is_some() || self.asked.startup_files.is_some()
    }

    /// What they need of the inside of a file and nobody has looked for yet.
    pub(super) fn needs(&self, facts: &Facts<'_>) -> Needs {
        let inside = &facts.file.inside;
        // What was found is kept by digest.
        let may_look = facts.file.hashes.sha256().is_some();
        let asks_startup = self.asked.startup_files.is_some() && facts.is_wheel();
        let unread = inside.startup_files == StartupFiles::Unread;
        Needs {
            license: may_look && self.license.is_some() && *facts.license() == License::Unread,
            startup_files: may_look && asks_startup && unread,
        }
    }

    /// The instant at which `younger_than` stops holding, if the date is known.
    pub(super) fn matures(&self, facts: &Facts<'_>) -> Option<Timestamp> {
        boundary(facts, self.asked.younger_than?)
    }

    /// The earliest instant after `now` at which age, or that of a feed, may change this rule's answer.
    pub(super) fn next_change(&self, facts: &Facts<'_>, now: Timestamp) -> Option<Timestamp> {
        let ages = [self.asked.younger_than, self.asked.older_than]
            .into_iter()
            .flatten();
        let ages = ages.filter_map(|age| boundary(facts, age));
        let lineage = facts.lineage.filter(|_| self.asks_for_lineage());
        let asks = self.advisory.is_some() || self.asked.unless.is_some();
        let doubt = facts.next_doubt(now).filter(|_| asks);
        let next = ages
            .chain(lineage.and_then(|lineage| lineage.next_change))
            .chain(doubt)
            .filter(|instant| *instant > now)
            .min()?;
        let may_turn = |condition: Condition| {
            self.may_change(condition) || (condition == Condition::Advisory && doubt.is_some())
        };
        let fails = |condition: Condition| {
            !may_turn(condition) && self.holds(condition, facts, now) == Holds::No
        };
        (!Condition::ALL.into_iter().any(fails)).then_some(next)
    }

    /// Whether the answer to a condition changes with time; that a file is too old for it does not.
    fn may_change(&self, condition: Condition) -> bool {
        match condition {
            Condition::OlderThan | Condition::Unless => true,
            Condition::Provenance => self.asks_for_lineage(),
            Condition::YoungerThan
            | Condition::Upstream
            | Condition::Kind
            | Condition::Status
            | Condition::Yanked
            | Condition::SizeOver
            | Condition::Late
            | Condition::Python
            | Condition::Platform
            | Condition::Versions
            | Condition::Sha256
            | Condition::License
            | Condition::StartupFiles
            | Condition::Advisory => false,
        }
    }

    /// The advisory that the rule asks for and that certainly affects the file.
    pub(super) fn advisory<'a>(&self, facts: &Facts<'a>) -> Option<&'a Arc<str>> {
        let selector = self.advisory.as_ref()?;
        let found = |advisory: &&Advisory| {
            selector.selects(advisory) && advisory.affects(facts.version()) == VersionMatch::Yes
        };
        facts.advisories.iter().find(found).map(Advisory::id)
    }

    fn holds_advisory(&self, facts: &Facts<'_>, now: Timestamp) -> Holds {
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
        match holds {
            // Perhaps it is named by what was published since.
            Holds::No if facts.doubt(now).is_some() => Holds::Unknown(Missing::Advisories),
            other => other,
        }
    }

    fn holds_provenance(&self, facts: &Facts<'_>) -> Holds {
        let file = facts.file;
        match (self.asked.provenance, facts.lineage) {
            (None, _) => Holds::Yes,
            (Some(_), _) if file.provenance.is_some() => Holds::No,
            (Some(ProvenanceAsked::Missing), _) => Holds::Yes,
            (Some(ProvenanceAsked::Lost), None) => Holds::Unknown(Missing::OtherVersions),
            (Some(ProvenanceAsked::Lost), Some(_)) if facts.version().is_legacy() => {
                Holds::Unknown(Missing::Version)
            }
            (Some(ProvenanceAsked::Lost), Some(lineage)) => {
                let kind = file.filename.kind();
                lineage.had_provenance(facts.version(), kind).into()
            }
        }
    }

    fn holds_late(&self, facts: &Facts<'_>) -> Holds {
        let Some(late) = self.asked.late else {
            return Holds::Yes;
        };
        match facts.published() {
            PublishedAt::Time(at) => facts
                .siblings
                .and_then(|siblings| siblings.is_late(facts.version(), at, late))
                .map_or(Holds::Unknown(Missing::ReleaseTime), Holds::from),
            PublishedAt::BeforeAnything => Holds::No,
            PublishedAt::Unknown => Holds::Unknown(Missing::UploadTime),
        }
    }

    fn holds_license(&self, facts: &Facts<'_>) -> Holds {
        let Some(selector) = &self.license else {
            return Holds::Yes;
        };
        match (selector.selects(facts.license()), facts.license()) {
            (Some(selects), _) => selects.into(),
            (None, License::Unread) => Holds::Unknown(Missing::UnreadLicense),
            (None, License::Unknown | License::Stated(_)) => Holds::Unknown(Missing::License),
        }
    }

    fn holds_startup_files(&self, facts: &Facts<'_>) -> Holds {
        let Some(wanted) = self.asked.startup_files else {
            return Holds::Yes;
        };
        match facts.file.inside.startup_files {
            // Anything else runs code when it is built, and puts what it likes where it likes.
            _ if !facts.is_wheel() => (!wanted).into(),
            StartupFiles::Unread => Holds::Unknown(Missing::UnreadContent),
            StartupFiles::Unreadable => Holds::Unknown(Missing::Content),
            StartupFiles::Absent => (!wanted).into(),
            StartupFiles::Present => wanted.into(),
        }
    }

    /// What a rule that decides has found out, for `explain`.
    pub(super) fn found(&self, facts: &Facts<'_>) -> Option<String> {
        if let Some(id) = self.advisory(facts) {
            return Some(format!("{id} concerns it"));
        }
        if self.license.is_some() {
            return Some(facts.license_words());
        }
        self.asked.late?;
        facts
            .began()
            .map(|began| format!("its release began at {began}"))
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
            Condition::Provenance => self.holds_provenance(facts),
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
            Condition::Late => self.holds_late(facts),
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
            Condition::Advisory => self.holds_advisory(facts, now),
            Condition::License => self.holds_license(facts),
            Condition::StartupFiles => self.holds_startup_files(facts),
            Condition::Unless => match (self.asked.unless, facts.lineage) {
                (None, _) => Holds::Yes,
                (Some(_), None) => Holds::Unknown(Missing::OtherVersions),
                (Some(Exemption::FixesAdvisory), Some(_)) => match facts.fixed() {
                    // Perhaps it has what was published since.
                    Some(_) if facts.doubt(now).is_some() => Holds::Unknown(Missing::Advisories),
                    fixed => fixed.is_none().into(),
                },
            },
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
            Condition::Provenance if file.provenance.is_some() => "it has provenance".to_owned(),
            Condition::Provenance => "its predecessor had no provenance".to_owned(),
            Condition::SizeOver => {
                let size = file.size.map_or("no size".to_owned(), format_bytes);
                format!("it has {size}")
            }
            Condition::YoungerThan | Condition::OlderThan => match facts.published() {
                PublishedAt::Time(instant) => format!("it is from {instant}"),
                PublishedAt::BeforeAnything => "it has no date and counts as old".to_owned(),
                PublishedAt::Unknown => "it has no date".to_owned(),
            },
            Condition::Late => match facts.began() {
                Some(began) => format!("its release began at {began}"),
                None => "its release has no date".to_owned(),
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
            Condition::License => facts.license_words(),
            Condition::StartupFiles if !facts.is_wheel() => "it is no wheel".to_owned(),
            Condition::StartupFiles => match file.inside.startup_files {
                StartupFiles::Present => "it has startup files".to_owned(),
                StartupFiles::Unread | StartupFiles::Unreadable | StartupFiles::Absent => {
                    "it has no startup files".to_owned()
                }
            },
            Condition::Unless => {
                let fixed = facts.fixed().map_or("an advisory", |id| &**id);
                format!("it fixes {fixed}, which the newest allowed version has")
            }
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
        PublishedAt::Time(instant) => {
            holds(instant.checked_add(age).unwrap_or(Timestamp::MAX)).into()
        }
        PublishedAt::BeforeAnything => if_old.into(),
        PublishedAt::Unknown => Holds::Unknown(Missing::UploadTime),
    }
}

/// The instant at which a file reaches an age.
fn boundary(facts: &Facts<'_>, age: Duration) -> Option<Timestamp> {
    match facts.published() {
        PublishedAt::Time(instant) => instant.checked_add(age).ok(),
        PublishedAt::BeforeAnything | PublishedAt::Unknown => None,
    }
}

#[cfg(test)]
mod tests;
