//! `diff`: what another configuration would refuse and allow, by what was asked for.
//!
//! Not the difference between two generations that a reload logs (`policy::diff`): that compares what is
//! written, this compares what it does.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::app::{Replay, ReplayOptions, ReplayedRelease, Setup};
use crate::cli::check_locks::read_locks;
use crate::cli::diff_markdown::as_markdown;
use crate::cli::output::{OutputOptions, code, say, say_json};
use crate::cli::sources::{environment, policies_path};
use crate::cli::warm::index;
use crate::config::Overrides;
use crate::language::Lockfile;
use crate::model::{Faults, IndexName, Version, format_duration, parse_duration};
use crate::reader::Turn;

/// Most clients that are named for a release, and most releases of a project that nobody asked for:
/// `--json` has them all.
pub(super) const NAMED_MAX: usize = 5;

/// Most lines for one kind of change: a policy that refuses everything would fill a merge request.
pub(super) const LINES_MAX: usize = 200;

#[derive(Debug, Args)]
pub(super) struct DiffOptions {
    /// The configuration as it is: a YAML file or a folder of them.
    old: PathBuf,
    /// The configuration as it would be.
    new: PathBuf,
    /// The data directory whose journal and pages are replayed (default: that of NEW).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How far back the journal counts.
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = parse_duration)]
    since: Duration,
    /// Lock files to replay besides: uv.lock, pylock.toml, poetry.lock, or requirements (*.txt, *.in).
    #[arg(long = "lock", value_name = "FILE")]
    locks: Vec<PathBuf>,
    /// The index that they are installed from, as user/index (default: default_index, or the first one).
    #[arg(long, value_name = "INDEX", value_parser = index)]
    index: Option<IndexName>,
    /// Exit 1 also when something cannot be judged.
    #[arg(long)]
    strict: bool,
    /// Print a table for a merge request.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(options: &DiffOptions) -> anyhow::Result<ExitCode> {
    let paths: Vec<&PathBuf> = options.locks.iter().collect();
    let mut faults = Faults::default();
    let mut locks: Vec<Lockfile> = Vec::new();
    for lock in read_locks(&paths)? {
        match lock.content {
            Ok(content) => locks.push(content),
            Err(Faults(found)) => faults.0.extend(found),
        }
    }
    faults.or(())?;
    let setup = |path: &PathBuf| Setup {
        policies: policies_path(Some(path)),
        overrides: Overrides {
            data: options.data.clone(),
            ..Overrides::default()
        },
        env: environment,
    };
    if let Some(data) = options.data.as_ref().filter(|data| !data.exists()) {
        anyhow::bail!("{}: not found", data.display());
    }
    let replay = app::replay_requests(&ReplayOptions {
        old: &setup(&options.old),
        new: &setup(&options.new),
        since: options.since,
        locks: &locks,
        index: options.index.as_ref(),
    })?;
    if options.output.json {
        say_json(&as_json(&replay, options))?;
    } else if options.markdown {
        say(&as_markdown(&replay, &replayed(&replay, options)))?;
    } else {
        say(&as_text(&replay, &replayed(&replay, options)))?;
    }
    let is_bad = |release: &ReplayedRelease| match release.turn {
        Turn::NewlyRefused => true,
        Turn::NotJudged => options.strict,
        Turn::NewlyAllowed => false,
    };
    Ok(code(!replay.releases.iter().any(is_bad)))
}

/// What was replayed, in words.
fn replayed(replay: &Replay, options: &DiffOptions) -> String {
    let journal = match replay.rows {
        Some(rows) => format!(
            "{rows} rows of the journal of the last {}",
            format_duration(options.since)
        ),
        None => "no journal, since there is none".to_owned(),
    };
    let locks = match options.locks.len() {
        0 => String::new(),
        1 => ", 1 lock file".to_owned(),
        more => format!(", {more} lock files"),
    };
    let mut words = format!(
        "replayed: {journal}{locks}; {} files of {} projects",
        replay.files, replay.projects
    );
    if replay.unreadable > 0 {
        let unreadable = replay.unreadable;
        words.push_str(&format!(
            "; {unreadable} answers named no file of a project"
        ));
    }
    words
}

/// The releases of one kind of change: those that somebody asked for, and the others by project.
pub(super) struct Kind<'a> {
    pub(super) turn: Turn,
    pub(super) asked: Vec<&'a ReplayedRelease>,
    pub(super) others: Vec<Vec<&'a ReplayedRelease>>,
}

pub(super) fn kinds(replay: &Replay) -> [Kind<'_>; 3] {
    [Turn::NewlyRefused, Turn::NewlyAllowed, Turn::NotJudged].map(|turn| {
        let releases = replay.releases.iter();
        let (asked, others): (Vec<_>, Vec<_>) = releases
            .filter(|release| release.turn == turn)
            .partition(|release| release.askers.times > 0 || !release.locks.is_empty());
        let mut by_project: Vec<Vec<&ReplayedRelease>> = Vec::new();
        for release in others {
            match by_project.last_mut() {
                Some(known)
                    if (&known[0].index, &known[0].project)
                        == (&release.index, &release.project) =>
                {
                    known.push(release);
                }
                Some(_) | None => by_project.push(vec![release]),
            }
        }
        Kind {
            turn,
            asked,
            others: by_project,
        }
    })
}

/// What a kind of change is called.
pub(super) fn title(turn: Turn) -> &'static str {
    match turn {
        Turn::NewlyRefused => "newly refused",
        Turn::NewlyAllowed => "newly allowed",
        Turn::NotJudged => "cannot be judged",
    }
}

fn as_text(replay: &Replay, replayed: &str) -> String {
    let mut lines = Vec::new();
    for kind in kinds(replay) {
        if kind.asked.is_empty() && kind.others.is_empty() {
            continue;
        }
        lines.push(format!("{}:", title(kind.turn)));
        let asked = kind.asked.iter().map(|release| told(release));
        let others = kind.others.iter().map(|releases| told_together(releases));
        let all: Vec<Vec<String>> = asked.chain(others).collect();
        let left = all.len().saturating_sub(LINES_MAX);
        lines.extend(all.into_iter().take(LINES_MAX).flatten());
        if left > 0 {
            lines.push(format!("  and {left} more; --json has them all"));
        }
    }
    lines.push(sum(replay));
    lines.push(replayed.to_owned());
    lines.join("\n")
}

/// How many of each.
pub(super) fn sum(replay: &Replay) -> String {
    let count = |turn| {
        let releases = replay.releases.iter();
        releases.filter(|release| release.turn == turn).count()
    };
    let refused = match count(Turn::NewlyRefused) {
        1 => "1 release is newly refused".to_owned(),
        more => format!("{more} releases are newly refused"),
    };
    format!(
        "{refused}, {} newly allowed, {} cannot be judged",
        count(Turn::NewlyAllowed),
        count(Turn::NotJudged)
    )
}

/// The project, and its version if it is about one.
pub(super) fn release_name(release: &ReplayedRelease) -> String {
    match &release.version {
        Some(version) => format!("{} {version}", release.project),
        None => release.project.to_string(),
    }
}

fn told(release: &ReplayedRelease) -> Vec<String> {
    let name = release_name(release);
    let mut lines = vec![format!("  {}: {name}: {}", release.index, why(release))];
    lines.push(format!("    {}", asked_by(release)));
    if !release.files.is_empty() && release.files != [name] {
        lines.push(format!("    {}", some(&release.files)));
    }
    if let Some(then) = then(release) {
        lines.push(format!("    {then}"));
    }
    lines
}

fn told_together(releases: &[&ReplayedRelease]) -> Vec<String> {
    let [first, ..] = releases else {
        return Vec::new();
    };
    let what = match releases.len() {
        1 => release_name(first),
        more => format!(
            "{}, {more} releases ({})",
            first.project,
            versions(releases)
        ),
    };
    let (index, why) = (&first.index, why(first));
    let mut lines = vec![format!("  {index}: {what}, which nobody asked for: {why}")];
    lines.extend(then(first).map(|then| format!("    {then}")));
    lines
}

/// The versions of several releases, shortened.
pub(super) fn versions(releases: &[&ReplayedRelease]) -> String {
    let versions = releases
        .iter()
        .filter_map(|release| release.version.as_ref());
    some(&versions.map(Version::to_string).collect::<Vec<_>>())
}

/// The first of several things.
fn some(things: &[String]) -> String {
    let first = things.iter().take(NAMED_MAX);
    let first: Vec<&str> = first.map(String::as_str).collect();
    match things.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", first.join(", ")),
        None => first.join(", "),
    }
}

/// Why, with "was" where the words are those of the side that is no more.
pub(super) fn why(release: &ReplayedRelease) -> String {
    match release.turn {
        Turn::NewlyAllowed => format!("was {}", release.why.words),
        Turn::NewlyRefused | Turn::NotJudged => release.why.words.clone(),
    }
}

/// Who asked for it, and which lock files name it.
pub(super) fn asked_by(release: &ReplayedRelease) -> String {
    let askers = &release.askers;
    let mut parts = Vec::new();
    if askers.times > 0 {
        let names = askers.clients.iter().filter_map(|(address, user)| {
            let user = user.as_ref().map(|user| user.escape_debug().to_string());
            match (address, user) {
                (Some(address), Some(user)) => Some(format!("{address} ({user})")),
                (Some(address), None) => Some(address.to_string()),
                (None, Some(user)) => Some(user),
                (None, None) => None,
            }
        });
        let names: Vec<String> = names.collect();
        let clients = match names.len() {
            0 => "by clients whose addresses are not kept".to_owned(),
            1 => format!("by {}", names[0]),
            more => format!("by {more} clients: {}", some(&names)),
        };
        let times = match askers.times {
            1 => "once".to_owned(),
            more => format!("{more} times"),
        };
        let refused = match askers.refused {
            0 => String::new(),
            more if more == askers.times => " and refused".to_owned(),
            more => format!(" and refused {more} times"),
        };
        parts.push(format!("asked for {times}{refused} {clients}"));
    }
    let locks = release.locks.iter();
    let locks: Vec<String> = locks.map(|at| format!("{}:{}", at.file, at.line)).collect();
    if !locks.is_empty() {
        parts.push(format!("pinned at {}", some(&locks)));
    }
    parts.join("; ")
}

/// What an installer takes then, if that is another version.
pub(super) fn then(release: &ReplayedRelease) -> Option<String> {
    if release.turn == Turn::NotJudged {
        return None;
    }
    Some(match &release.taken {
        [Some(before), Some(after)] if before == after => {
            format!("an installer takes {after}, as before")
        }
        [Some(before), Some(after)] => format!("an installer takes {after} then, not {before}"),
        [None, Some(after)] => format!("an installer takes {after} then, and had nothing"),
        [Some(before), None] => format!("an installer takes nothing then, not {before}"),
        [None, None] => "an installer takes nothing, as before".to_owned(),
    })
}

fn as_json(replay: &Replay, options: &DiffOptions) -> Value {
    let one = |release: &&ReplayedRelease| {
        let version = |version: &Option<Version>| version.as_ref().map(Version::to_string);
        let [before, after] = &release.taken;
        let askers = &release.askers;
        let clients = askers.clients.iter();
        let clients = clients.map(|(address, user)| json!({ "client": address, "user": user }));
        let locks = release.locks.iter();
        let locks = locks.map(|at| json!({ "file": &*at.file, "line": at.line }));
        json!({
            "index": release.index.as_str(),
            "project": release.project.as_str(),
            "version": version(&release.version),
            "files": release.files,
            "reason": release.why.words,
            "rule": release.why.rule,
            "location": release.why.place,
            "taken_before": version(before),
            "taken_after": version(after),
            "times": askers.times,
            "times_refused": askers.refused,
            "last": askers.last.map(|last| format!("{last:.3}")),
            "clients": clients.collect::<Vec<_>>(),
            "lockfiles": locks.collect::<Vec<_>>(),
        })
    };
    let of = |turn| {
        let releases = replay.releases.iter();
        let releases: Vec<_> = releases.filter(|release| release.turn == turn).collect();
        releases.iter().map(one).collect::<Vec<_>>()
    };
    json!({
        "newly_refused": of(Turn::NewlyRefused),
        "newly_allowed": of(Turn::NewlyAllowed),
        "not_judged": of(Turn::NotJudged),
        "replayed": {
            "journal_rows": replay.rows,
            "since": replay.since.map(|since| format!("{since:.0}")),
            "lockfiles": options.locks,
            "projects": replay.projects,
            "files": replay.files,
            "unreadable": replay.unreadable,
        },
    })
}
