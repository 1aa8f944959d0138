//! Which entries of a lock file an index would refuse, as far as the lock file tells.
//!
//! A lock file states names, versions and digests, some also dates and sizes; whether a file is yanked or has
//! provenance none of them states. So an entry is refused if it is whatever those facts are, and may be
//! refused if it depends on them. An entry passes if one of its files does: which of them a client needs
//! is for the client to know.

use std::fmt;
use std::sync::Arc;

use crate::language::{Lockfile, Pin, PinnedFile};
use crate::model::{
    File, Filename, Hashes, IndexName, Kind, Location, ProjectName, ProjectState, Timestamp,
    UploadTime, UploadTimeSource, Yanked,
};
use crate::policy::{Candidate, Denial, OWNS, Policies, Reason, Stack};
use crate::trial::judge::{Judged, judge_file, judge_name};

/// An entry that does not certainly pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFinding {
    /// Where the entry is written.
    pub location: Location,
    /// The project, and its version if one is pinned.
    pub entry: String,
    /// The index that was asked.
    pub index: IndexName,
    /// The rule.
    pub rule: Arc<str>,
    /// Where that stands.
    pub place: Option<Location>,
    /// Why.
    pub reason: String,
    /// Whether it is refused; otherwise that depends on what the lock file does not state.
    pub is_certain: bool,
}

impl fmt::Display for LockFinding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_certain { "is" } else { "may be" };
        let Location { file, line, .. } = &self.location;
        let (entry, index, rule) = (&self.entry, &self.index, &self.rule);
        write!(
            out,
            "{file}:{line}: {entry} {verb} refused through {index} by {rule}"
        )?;
        if let Some(place) = &self.place {
            write!(out, " ({}:{})", place.file, place.line)?;
        }
        write!(out, ": {}", self.reason)
    }
}

/// What becomes of one file, or of an entry, as far as what is stated tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It passes.
    Passes,
    /// That depends on what is not stated.
    Depends(Box<Denial>),
    /// It is refused.
    Refused(Box<Denial>),
}

/// The entries of a lock file that an index would refuse, or may refuse; `None` if there is no such
/// index.
#[must_use]
pub fn refused_entries(
    policies: &Policies,
    index: &IndexName,
    lockfile: &Lockfile,
    now: Timestamp,
) -> Option<Vec<LockFinding>> {
    let stack = policies.stack(index)?;
    let finding = |pin: &Pin| {
        let (denial, is_certain) = match fate(stack, pin, now) {
            Fate::Passes => return None,
            Fate::Depends(denial) => (denial, false),
            Fate::Refused(denial) => (denial, true),
        };
        Some(LockFinding {
            location: pin.location.clone(),
            entry: entry(pin),
            index: index.clone(),
            rule: Arc::clone(&denial.rule.name),
            place: denial.rule.location.clone(),
            reason: denial.reason(),
            is_certain,
        })
    };
    Some(lockfile.pins.iter().filter_map(finding).collect())
}

/// What certainly becomes of an entry, whichever member of the stack lists it and whatever is not stated
/// of it; `None` if there is no such index.
#[must_use]
pub fn certain_fate(
    policies: &Policies,
    index: &IndexName,
    pin: &Pin,
    now: Timestamp,
) -> Option<Fate> {
    let stack = policies.stack(index)?;
    let members = members(stack, &pin.project, now).into_iter();
    let fates = members.flat_map(|(member, keeper)| {
        fates_at(stack, (pin, &ProjectState::ALL), member, keeper, now)
    });
    Some(certain(fates))
}

/// The same of an entry that one member of the stack has, and which is seen through the index; `None` if
/// that is not in its stack.
#[must_use]
pub fn certain_fate_of(
    policies: &Policies,
    (index, member): (&IndexName, &IndexName),
    pin: &Pin,
    now: Timestamp,
) -> Option<Fate> {
    let stack = policies.stack(index)?;
    let position = stack.position(member)?;
    let keeper = Some(member).filter(|_| !stack.members[position].index.is_mirror());
    let fates = fates_at(stack, (pin, &ProjectState::ALL), position, keeper, now);
    Some(certain(fates.into_iter()))
}

fn certain(fates: impl Iterator<Item = Fate>) -> Fate {
    let all = fates.reduce(|all, fate| match (all, fate) {
        (Fate::Passes, Fate::Passes) => Fate::Passes,
        (before @ Fate::Refused(_), Fate::Refused(_)) => before,
        (Fate::Refused(denial) | Fate::Depends(denial), _)
        | (Fate::Passes, Fate::Refused(denial) | Fate::Depends(denial)) => Fate::Depends(denial),
    });
    all.unwrap_or(Fate::Passes)
}

fn entry(pin: &Pin) -> String {
    match &pin.version {
        Some(version) => format!("{} {version}", pin.project),
        None => pin.project.to_string(),
    }
}

/// The best fate of the entry at any member of the stack that may have it.
fn fate(stack: &Stack, pin: &Pin, now: Timestamp) -> Fate {
    let mut worst = None;
    for (member, keeper) in members(stack, &pin.project, now) {
        // Nearly all projects are: what holds for the others is not said of each entry.
        let states = [ProjectState::Active];
        for fate in fates_at(stack, (pin, &states), member, keeper, now) {
            match (fate, &worst) {
                (Fate::Passes, _) => return Fate::Passes,
                (fate @ Fate::Depends(_), None | Some(Fate::Refused(_))) => worst = Some(fate),
                (fate @ Fate::Refused(_), None) => worst = Some(fate),
                (Fate::Depends(_) | Fate::Refused(_), Some(_)) => {}
            }
        }
    }
    worst.unwrap_or(Fate::Passes)
}

/// What becomes of the files of an entry at a member, or of its name.
fn fates_at(
    stack: &Stack,
    (pin, states): (&Pin, &[ProjectState]),
    member: usize,
    keeper: Option<&IndexName>,
    now: Timestamp,
) -> Vec<Fate> {
    let holds = |index: &IndexName| Some(index) == keeper;
    let name = of_judged(judge_name(stack, &pin.project, Some(member), now, &holds));
    let files = match name {
        Fate::Passes => files(pin),
        Fate::Depends(_) | Fate::Refused(_) => Vec::new(),
    };
    if files.is_empty() {
        return vec![name];
    }
    let at = |file| fate_of(stack, (file, states), member, now, &holds);
    files.iter().map(at).collect()
}

/// The members that may have a project, each with the stage that holds it. Whether a stage holds it is not
/// known here: a name that `owns` reserves is one of that stage, others are the mirrors'.
fn members<'a>(
    stack: &'a Stack,
    project: &ProjectName,
    now: Timestamp,
) -> Vec<(usize, Option<&'a IndexName>)> {
    let all = || stack.members.iter().enumerate();
    let mirrors = || all().filter(|(_, member)| member.index.is_mirror());
    let owner = mirrors().find_map(|(position, _)| {
        let judged = judge_name(stack, project, Some(position), now, &|_| false);
        match judged {
            Judged::Refused(denial) if &*denial.rule.policy == OWNS => Some(denial.rule.index),
            Judged::Refused(_) | Judged::Passes(_) | Judged::Private(_) | Judged::Nowhere => None,
        }
    });
    let owned = owner.and_then(|owner| {
        all().find(|(_, member)| member.index.name == owner && !member.index.is_mirror())
    });
    let alone = all().next().filter(|_| mirrors().next().is_none());
    match owned.or(alone) {
        Some((position, member)) => vec![(position, Some(&member.index.name))],
        None => mirrors().map(|(position, _)| (position, None)).collect(),
    }
}

/// The files of an entry; of a version without any a wheel and an sdist, with each of the digests.
fn files(pin: &Pin) -> Vec<File> {
    let named = pin.files.iter().filter_map(|pinned| {
        let filename = Filename::parse(pinned.filename.as_deref()?, &pin.project).ok()?;
        Some(file(filename, pinned))
    });
    let named: Vec<File> = named.collect();
    let Some(version) = pin.version.as_ref().filter(|_| named.is_empty()) else {
        return named;
    };
    let bare = [PinnedFile::default()];
    let pinned = if pin.files.is_empty() {
        &bare[..]
    } else {
        &pin.files
    };
    let kinds = [Kind::Wheel, Kind::Sdist].into_iter();
    let names = kinds.map(|kind| Filename::plain(&pin.project, version.as_str(), kind));
    names
        .flatten()
        .flat_map(|name| pinned.iter().map(move |pinned| file(name.clone(), pinned)))
        .collect()
}

fn file(filename: Filename, pinned: &PinnedFile) -> File {
    let mut file = File::named(filename);
    file.hashes = pinned.sha256.map(Hashes::sha256_only).unwrap_or_default();
    file.size = pinned.size;
    let source = UploadTimeSource::Index;
    file.upload_time = pinned.upload_time.map(|at| UploadTime { at, source });
    file
}

/// What becomes of a file whatever it is that nothing states of it.
fn fate_of(
    stack: &Stack,
    (file, states): (&File, &[ProjectState]),
    member: usize,
    now: Timestamp,
    holds: &dyn Fn(&IndexName) -> bool,
) -> Fate {
    let (mut passes, mut depends, mut refused) = (false, None, None);
    for file in possible(file) {
        for status in states.iter().copied() {
            let candidate = Candidate {
                file: &file,
                member,
                status,
            };
            match of_judged(judge_file(
                &stack.view(file.filename.project()),
                &candidate,
                now,
                holds,
            )) {
                Fate::Passes => passes = true,
                Fate::Depends(denial) => depends = depends.or(Some(denial)),
                Fate::Refused(denial) => refused = refused.or(Some(denial)),
            }
        }
    }
    match (passes, depends, refused) {
        (true, None, None) | (false, None, None) => Fate::Passes,
        (false, None, Some(denial)) => Fate::Refused(denial),
        (_, Some(denial), _) | (true, None, Some(denial)) => Fate::Depends(denial),
    }
}

/// What a file may be: yanked or not, with provenance or without, and where its date or size is not stated,
/// without one, or with either extreme.
fn possible(file: &File) -> Vec<File> {
    let at = |at| {
        let source = UploadTimeSource::Index;
        Some(UploadTime { at, source })
    };
    let times = match file.upload_time {
        Some(time) => vec![Some(time)],
        None => vec![None, at(Timestamp::MIN), at(Timestamp::MAX)],
    };
    let sizes = match file.size {
        Some(size) => vec![Some(size)],
        None => vec![None, Some(0), Some(u64::MAX)],
    };
    let mut all = Vec::new();
    for yanked in [Yanked::No, Yanked::Yes(None)] {
        for provenance in [None, Some("unknown".into())] {
            for upload_time in &times {
                all.extend(sizes.iter().map(|size| File {
                    yanked: yanked.clone(),
                    provenance: provenance.clone(),
                    upload_time: *upload_time,
                    size: *size,
                    ..file.clone()
                }));
            }
        }
    }
    all
}

fn of_judged(judged: Judged) -> Fate {
    match judged {
        Judged::Passes(_) | Judged::Private(_) | Judged::Nowhere => Fate::Passes,
        Judged::Refused(denial) => match denial.reason {
            Reason::Lacks { .. }
            | Reason::NoDigest
            | Reason::Recalled {
                missing: Some(_), ..
            } => Fate::Depends(denial),
            Reason::Rule { .. }
            | Reason::Doubt { .. }
            | Reason::Default
            | Reason::NotListed
            | Reason::NotPinned
            | Reason::Owned { .. }
            | Reason::Recalled { missing: None, .. }
            | Reason::Outside => Fate::Refused(denial),
        },
    }
}

#[cfg(test)]
mod tests;
