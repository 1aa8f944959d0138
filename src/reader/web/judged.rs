//! A project's releases with what the policies say about each of its files: everything that its page needs
//! to know of the listing, in one pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::candidate;
use crate::gateway::Grant;
use crate::model::{File, IndexName, Timestamp, UploadTime, Version, Yanked};
use crate::page::{Entry, Merged, has_sidecar};
use crate::policy::{Denial, ProjectView, Verdict, taken};
use crate::reader::explain::{Question, outcome};

/// What the policies say about a project as of one instant.
#[derive(Debug)]
pub struct Judged {
    /// Its releases, newest first.
    pub releases: Vec<Release>,
    /// The release that the page is about: the asked one, else what an installer takes, else the newest.
    pub shown: Option<ShownRelease>,
    /// What an installer takes today, in a line, with the reason where it is not the newest.
    pub outcome: String,
}

/// One release in the list.
#[derive(Debug)]
pub struct Release {
    pub version: Version,
    /// When the first of its files was uploaded.
    pub uploaded: Option<UploadTime>,
    pub state: ReleaseState,
    /// What a policy that only audits would have refused.
    pub audited: Option<String>,
}

/// Whether installers get a release.
#[derive(Debug)]
pub enum ReleaseState {
    /// At least some of its files; so many of them are refused.
    Served { refused: usize, files: usize },
    /// Only who asks for it: all that passes is yanked.
    Yanked(Option<Arc<str>>),
    /// None of its files passes.
    Refused(Refused),
}

/// Why something is refused, and until when.
#[derive(Debug, Clone)]
pub struct Refused {
    pub words: String,
    /// When it passes by age alone.
    pub matures: Option<Timestamp>,
    /// Where to ask for an exception.
    pub ask: Option<String>,
}

/// A release with its files.
#[derive(Debug)]
pub struct ShownRelease {
    pub version: Version,
    pub files: Vec<JudgedFile>,
    /// The member of the stack that has its first file that passes, or its first file.
    pub member: usize,
    /// The wheel whose metadata describes it, if a mirror has it.
    pub wheel: Option<Grant>,
}

/// A file and what the policies say about it.
#[derive(Debug)]
pub struct JudgedFile {
    pub file: File,
    pub owner: IndexName,
    pub refused: Option<Refused>,
    pub audited: Option<String>,
}

impl Refused {
    pub fn by(denial: &Denial) -> Self {
        Self {
            words: denial.words(),
            matures: denial.matures(),
            ask: denial.ask(),
        }
    }
}

impl ShownRelease {
    /// Whether an installer may have any of it.
    pub fn passes(&self) -> bool {
        self.files.iter().any(|one| one.refused.is_none())
    }
}

/// Entries of one release, with their verdicts.
type Verdicts<'a> = Vec<(Entry<'a>, Verdict<&'a File>)>;

impl Judged {
    /// Judges a project's files; `None` if there is no release `only`.
    pub fn of(
        view: &ProjectView<'_>,
        merged: &Merged,
        now: Timestamp,
        only: Option<&Version>,
    ) -> Option<Self> {
        let mut versions: BTreeMap<Version, Verdicts<'_>> = BTreeMap::new();
        let entries: Vec<Entry<'_>> = merged.entries().collect();
        for entry in &entries {
            let verdict = view.decide_file(&candidate(entry), now);
            let version = entry.file.filename.version();
            versions.entry(version).or_default().push((*entry, verdict));
        }
        let all = versions.values().flatten();
        let passing = all.filter(|(_, verdict)| verdict.denial().is_none());
        let taken = taken(passing.map(|(entry, _)| entry.file), None);
        let question = Question::of(merged.project());
        let outcome = outcome(view, &entries, taken.as_ref(), &question, now);
        let newest = versions.keys().next_back();
        let shown = match only {
            // As a file spells it.
            Some(only) => Some(versions.get_key_value(only)?.0),
            None => taken.as_ref().or(newest),
        };
        let shown = shown.map(|version| shown_release(view, version, &versions, only.is_some()));
        let releases = versions.iter().rev();
        let releases = releases.map(|(version, verdicts)| release(version, verdicts));
        Some(Self {
            releases: releases.collect(),
            shown,
            outcome,
        })
    }
}

fn release(version: &Version, verdicts: &Verdicts<'_>) -> Release {
    let times = verdicts
        .iter()
        .filter_map(|(entry, _)| entry.file.upload_time);
    let denials = verdicts.iter().filter_map(|(_, verdict)| verdict.denial());
    let denials: Vec<&Denial> = denials.collect();
    let passing = verdicts
        .iter()
        .filter(|(_, verdict)| verdict.denial().is_none());
    let passing: Vec<&File> = passing.map(|(entry, _)| entry.file).collect();
    let state = match (passing.first(), denials.first()) {
        (Some(first), _) if passing.iter().all(|file| file.yanked.is_yanked()) => {
            ReleaseState::Yanked(match &first.yanked {
                Yanked::Yes(reason) => reason.clone(),
                Yanked::No => None,
            })
        }
        (None, Some(denial)) => ReleaseState::Refused(Refused::by(denial)),
        (Some(_), _) | (None, None) => ReleaseState::Served {
            refused: denials.len(),
            files: verdicts.len(),
        },
    };
    Release {
        version: version.clone(),
        uploaded: times.min_by_key(|time| time.at),
        state,
        audited: verdicts.iter().find_map(|(_, verdict)| audited(verdict)),
    }
}

fn audited(verdict: &Verdict<&File>) -> Option<String> {
    match verdict {
        Verdict::Allow(allowed) => allowed.audited().map(Denial::words),
        Verdict::Deny(_) => None,
    }
}

/// The release with its files. It is described by a wheel of its own that passes; on the page of the whole
/// project also by the newest other one, which is better than nothing.
fn shown_release(
    view: &ProjectView<'_>,
    version: &Version,
    versions: &BTreeMap<Version, Verdicts<'_>>,
    is_asked: bool,
) -> ShownRelease {
    let members = &view.stack().members;
    let own: &[_] = versions.get(version).map_or(&[], Vec::as_slice);
    let first = own.iter().find(|(_, verdict)| verdict.denial().is_none());
    let member = first.or(own.first()).map(|(entry, _)| entry.member);
    let others = versions.values().rev().flatten().filter(|_| !is_asked);
    let mut candidates = own.iter().chain(others);
    let wheel = candidates.find_map(|(entry, verdict)| {
        let index = &members[entry.member].index;
        let Verdict::Allow(allowed) = verdict else {
            return None;
        };
        let is_described = index.is_mirror() && has_sidecar(entry.file);
        is_described.then(|| Grant::new(allowed.to_shared(), index.name.clone(), false))
    });
    let files = own.iter().map(|(entry, verdict)| JudgedFile {
        file: entry.file.clone(),
        owner: members[entry.member].index.name.clone(),
        refused: verdict.denial().map(Refused::by),
        audited: audited(verdict),
    });
    ShownRelease {
        version: version.clone(),
        files: files.collect(),
        member: member.unwrap_or_default(),
        wheel,
    }
}
