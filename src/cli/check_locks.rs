//! `check LOCKFILE…`: which entries of lock files an index would refuse.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::app;
use crate::cli::output::say;
use crate::cli::warm::first_index;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::feed::give_held;
use crate::language::Lockfile;
use crate::model::{Faults, IndexName};
use crate::policy::Policies;
use crate::trial::{LockFinding, refused_entries};

/// A lock file as read, or all that is wrong with it.
#[derive(Debug)]
pub(super) struct ReadLock {
    path: PathBuf,
    pub(super) content: Result<Lockfile, Faults>,
}

/// What an index makes of a lock file.
#[derive(Debug)]
pub(super) struct CheckedLock {
    path: PathBuf,
    index: IndexName,
    entries: usize,
    findings: Vec<LockFinding>,
}

/// Whether a path looks like a lock file, rather than like a configuration.
pub(super) fn is_lockfile(path: &Path) -> bool {
    let endings = ["txt", "in", "lock", "toml"];
    path.extension()
        .is_some_and(|end| endings.iter().any(|one| end == *one))
}

pub(super) fn read_locks(paths: &[&PathBuf]) -> anyhow::Result<Vec<ReadLock>> {
    let read = |path: &&PathBuf| {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
        Ok(ReadLock {
            path: (*path).clone(),
            content: Lockfile::parse(&shown, &text),
        })
    };
    paths.iter().map(read).collect()
}

/// Has an index decide about every entry.
pub(super) fn check_locks(
    loaded: &Loaded,
    locks: &[ReadLock],
    index: Option<&IndexName>,
) -> anyhow::Result<Vec<CheckedLock>> {
    if locks.is_empty() {
        return Ok(Vec::new());
    }
    let mut documents = loaded.documents.clone();
    // What cannot be read leaves a doubt, which the findings speak of.
    give_held(
        &mut documents,
        &loaded.config.data,
        &loaded.config.limits.feed,
    );
    let policies = Policies::compile(&documents, &[])?;
    let policies = app::under_recalls(policies, &loaded.config)?;
    let index = match index {
        Some(index) => index.clone(),
        None => first_index(loaded)?,
    };
    let now = Clock::system().now();
    let readable = locks
        .iter()
        .filter_map(|lock| Some((lock, lock.content.as_ref().ok()?)));
    let check = |(lock, content): (&ReadLock, &Lockfile)| {
        let findings = refused_entries(&policies, &index, content, now);
        Ok(CheckedLock {
            path: lock.path.clone(),
            index: index.clone(),
            entries: content.pins.len(),
            findings: findings.with_context(|| format!("there is no index {index}"))?,
        })
    };
    readable.map(check).collect()
}

impl CheckedLock {
    pub(super) fn is_bad(&self, strict: bool) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.is_certain || strict)
    }

    pub(super) fn print(&self) -> std::io::Result<()> {
        for finding in &self.findings {
            let warning = if finding.is_certain { "" } else { "warning: " };
            say(&format!("{warning}{finding}"))?;
        }
        let refused = self.findings.iter().filter(|finding| finding.is_certain);
        let refused = refused.count();
        let unsure = self.findings.len() - refused;
        let (path, index) = (self.path.display(), &self.index);
        let depends = match unsure {
            0 => String::new(),
            some => format!(", {some} depend on what the file does not state"),
        };
        say(&format!(
            "{path} through {index}: {refused} of {} entries refused{depends}",
            self.entries
        ))
    }

    pub(super) fn as_json(&self) -> Value {
        let one = |finding: &LockFinding| {
            let place = finding.place.as_ref();
            json!({
                "line": finding.location.line,
                "entry": finding.entry,
                "rule": finding.rule,
                "location": place.map(|place| format!("{}:{}", place.file, place.line)),
                "reason": finding.reason,
                "certain": finding.is_certain,
            })
        };
        json!({
            "file": self.path,
            "index": self.index.as_str(),
            "entries": self.entries,
            "findings": self.findings.iter().map(one).collect::<Vec<_>>(),
        })
    }
}
