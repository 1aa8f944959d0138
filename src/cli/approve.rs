//! `approve`: a reviewed list of what an index would refuse of lock files, pinned to name, version and digest.
//!
//! Only what does not pass today is written: an approval of what passes anyway would outlast the next rule
//! against it. Each rule stands before all others of the index's policy, and can match no other file than
//! those whose digests it lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::app::{Setup, judge_pins, replace_text};
use crate::cli::check_locks::read_locks;
use crate::cli::output::{OutputOptions, code, say, say_error, say_json};
use crate::cli::sources::{Sources, environment};
use crate::cli::warm::index;
use crate::clock::Clock;
use crate::config::{PoliciesPath, RuleText, Waiver, configuration_files, put_rules, rules_above};
use crate::language::{Pin, PinnedFile};
use crate::model::{Fault, Faults, IndexName, Location, ProjectName, Sha256, Timestamp, Version};
use crate::reader::Why;

#[derive(Debug, Args)]
pub(super) struct ApproveOptions {
    #[command(flatten)]
    sources: Sources,
    /// uv.lock, pylock.toml, poetry.lock, or requirements with hashes (*.txt, *.in).
    #[arg(required = true, value_name = "LOCKFILE")]
    lockfiles: Vec<PathBuf>,
    /// The index, as user/index.
    #[arg(long, value_name = "INDEX", value_parser = index)]
    index: IndexName,
    /// Who answers for it.
    #[arg(long, value_parser = words)]
    owner: String,
    /// Where it was decided.
    #[arg(long, value_parser = words)]
    ticket: String,
    /// The last day, or instant, on which it holds: 2027-01-31.
    #[arg(long, value_name = "DATE")]
    until: String,
    /// The file of the configuration that has the index's policy; without it, the YAML is printed.
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// Ask no upstream about what is not held.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    output: OutputOptions,
}

/// A text that says something, in one line.
fn words(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("give it a text of one line".to_owned());
    }
    Ok(text.to_owned())
}

/// What becomes of the entries.
struct Approval {
    /// Those that do not pass today, and why.
    refused: Vec<(Pin, Why)>,
    /// Those of them that would still be refused, and why.
    remaining: Vec<(Pin, Why)>,
    /// All of them.
    entries: usize,
    policy: Option<(String, Location)>,
    written: Option<PathBuf>,
}

pub(super) fn run(options: &ApproveOptions) -> anyhow::Result<ExitCode> {
    check_end(&options.until)?;
    let pins = pinned(options)?;
    let setup = options.setup();
    let judged = judge_pins(&setup, &options.index, &pins)?;
    let refused = pins.iter().zip(judged.refused);
    let refused = refused.filter_map(|(pin, why)| Some((pin.clone(), why?)));
    let mut approval = Approval {
        refused: refused.collect(),
        remaining: Vec::new(),
        entries: pins.len(),
        policy: judged.policy,
        written: None,
    };
    if !approval.refused.is_empty() {
        match &options.into {
            Some(into) => approval.write(options, &setup, into)?,
            // What is only printed is tried as well, where that can be done.
            None => drop(approval.tried_where_it_stands(options, &setup)),
        }
    }
    approval.tell(options)?;
    Ok(code(approval.remaining.is_empty()))
}

impl ApproveOptions {
    /// The configuration: the one that is named; else the usual one, if the file is part of it; else the
    /// file alone.
    fn setup(&self) -> Setup {
        let mut setup = self.sources.setup();
        setup.overrides.offline = self.offline;
        if let (None, Some(into)) = (&self.sources.policies, &self.into) {
            let usual = setup.policies.resolve(&environment);
            let files = usual.and_then(|path| configuration_files(&path).ok());
            let is_part = files.is_some_and(|files| files.iter().any(|file| is_same(file, into)));
            if !is_part {
                setup.policies = PoliciesPath::Named(into.clone());
            }
        }
        setup
    }

    fn rule(&self, pin: &Pin) -> RuleText {
        let version = pin.version.as_ref().map_or("", Version::as_str);
        let operator = match pin.version.as_ref().is_some_and(Version::is_legacy) {
            true => "===",
            false => "==",
        };
        let waiver = Waiver {
            project: &pin.project,
            versions: Some(&format!("{operator}{version}")),
            digests: &digests(pin),
            owner: &self.owner,
            ticket: &self.ticket,
            until: &self.until,
        };
        waiver.rule()
    }
}

/// The end must be a date or an instant, and ahead.
fn check_end(until: &str) -> anyhow::Result<()> {
    let day = |date: Date| {
        TimeZone::UTC
            .to_timestamp(date.at(23, 59, 59, 999_999_999))
            .ok()
    };
    let end = match until.parse::<Date>() {
        Ok(date) if until.len() <= "2027-01-31".len() => day(date),
        Ok(_) | Err(_) => until.parse::<Timestamp>().ok(),
    };
    let end = end.with_context(|| {
        format!("--until {until}: not a date such as 2027-01-31, or an instant such as 2027-01-31T12:00:00Z")
    })?;
    anyhow::ensure!(
        end > Clock::system().now(),
        "--until {until} is over: an approval holds until a day that is still to come"
    );
    Ok(())
}

/// The entries of all lock files, each release once; all that cannot be pinned is a fault.
fn pinned(options: &ApproveOptions) -> anyhow::Result<Vec<Pin>> {
    let paths: Vec<&PathBuf> = options.lockfiles.iter().collect();
    let mut faults = Faults::default();
    let mut pins: BTreeMap<(ProjectName, String), Pin> = BTreeMap::new();
    for lock in read_locks(&paths)? {
        let content = match lock.content {
            Ok(content) => content,
            Err(Faults(found)) => {
                faults.0.extend(found);
                continue;
            }
        };
        for pin in content.pins {
            let hint = "lock it with hashes, as uv lock or uv pip compile --generate-hashes do";
            let Some(version) = &pin.version else {
                let what = format!("{} is not pinned to a version", pin.project);
                faults.push(Fault::at(&pin.location, what).hint(hint));
                continue;
            };
            if digests(&pin).is_empty() {
                let what = format!("{} {version} is not pinned to a sha256", pin.project);
                faults.push(Fault::at(&pin.location, what).hint(hint));
                continue;
            }
            let key = (pin.project.clone(), version.to_string());
            match pins.get_mut(&key) {
                Some(known) => {
                    let more = |file: &PinnedFile| !known.files.contains(file);
                    let more: Vec<PinnedFile> = pin.files.into_iter().filter(more).collect();
                    known.files.extend(more);
                }
                None => {
                    pins.insert(key, pin);
                }
            }
        }
    }
    faults.or(())?;
    Ok(pins.into_values().collect())
}

/// The digests of an entry, each once.
fn digests(pin: &Pin) -> Vec<Sha256> {
    let mut digests: Vec<Sha256> = pin.files.iter().filter_map(|file| file.sha256).collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| fs::canonicalize(path).ok();
    one == other || whole(one).is_some_and(|one| whole(other) == Some(one))
}

impl Approval {
    /// Puts rules into the file, has the whole configuration read with them, and keeps those that help.
    fn write(
        &mut self,
        options: &ApproveOptions,
        setup: &Setup,
        into: &Path,
    ) -> anyhow::Result<()> {
        let index = &options.index;
        let (policy, place) = self.policy.clone().with_context(|| {
            format!(
                "{index} has no policy that could allow anything: {}",
                self.refused
                    .first()
                    .map_or_else(String::new, |(pin, why)| told(pin, why))
            )
        })?;
        let loaded = setup.load()?;
        let file = loaded.files.iter().find(|file| is_same(file, into));
        let file =
            file.with_context(|| format!("{} is no file of this configuration", into.display()))?;
        anyhow::ensure!(
            Path::new(&*place.file) == file,
            "policy {policy} of {index} stands at {}:{}; name that file with --into",
            place.file,
            place.line
        );
        let (text, edited) = self.tried(options, setup, file, &policy)?;
        if self.refused.is_empty() {
            return Ok(());
        }
        // Read back as a server would, before the file is replaced.
        let read = with(setup, file, &edited).load()?;
        read.all_faults(Faults::default(), &[]).or(())?;
        replace_text(file, &text, &edited)?;
        self.written = Some(file.clone());
        Ok(())
    }

    fn tried_where_it_stands(
        &mut self,
        options: &ApproveOptions,
        setup: &Setup,
    ) -> anyhow::Result<()> {
        let (policy, place) = self.policy.clone().context("no policy")?;
        self.tried(options, setup, Path::new(&*place.file), &policy)?;
        Ok(())
    }

    /// Has the configuration judge again with rules in a file, and keeps those that help; returns the text of
    /// the file, and how it reads with them.
    fn tried(
        &mut self,
        options: &ApproveOptions,
        setup: &Setup,
        file: &Path,
        policy: &str,
    ) -> anyhow::Result<(String, String)> {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let name: Arc<str> = file.display().to_string().into();
        let edited = |refused: &[(Pin, Why)]| {
            // What stands above the rule that refuses them goes on refusing, malware that becomes known for one.
            let places = refused.iter().filter_map(|(_, why)| {
                let (file, line) = why.place.as_deref()?.rsplit_once(':')?;
                Some((file, line.parse().ok()?))
            });
            let places: Vec<(&str, u32)> = places.collect();
            let rules = refused.iter().map(|(pin, _)| options.rule(pin));
            let put = rules_above(&name, &text, policy, &places).and_then(|above| {
                put_rules(&name, &text, policy, above, &rules.collect::<Vec<_>>())
            });
            put.map_err(|fault| anyhow::anyhow!("{fault}"))
        };
        let all = edited(&self.refused)?;
        let pins: Vec<Pin> = self.refused.iter().map(|(pin, _)| pin.clone()).collect();
        let judged = judge_pins(&with(setup, file, &all), &options.index, &pins)?;
        let fates = std::mem::take(&mut self.refused).into_iter();
        let fates = fates.zip(judged.refused);
        let (helped, remaining): (Vec<_>, Vec<_>) = fates.partition(|(_, why)| why.is_none());
        self.refused = helped.into_iter().map(|(refused, _)| refused).collect();
        let remaining = remaining.into_iter();
        self.remaining = remaining
            .filter_map(|((pin, _), why)| Some((pin, why?)))
            .collect();
        let kept = match self.refused.is_empty() {
            true => text.clone(),
            false => edited(&self.refused)?,
        };
        Ok((text, kept))
    }

    fn tell(&self, options: &ApproveOptions) -> anyhow::Result<()> {
        if options.output.json {
            return say_json(&self.as_json(options));
        }
        let (all, index) = (self.entries, &options.index);
        let is_done = self.refused.is_empty() && self.remaining.is_empty();
        match (&self.written, &self.policy) {
            _ if is_done => say(&format!(
                "nothing to approve: all {all} entries pass {index}"
            ))?,
            (Some(path), _) => {
                for (pin, why) in &self.refused {
                    say(&told(pin, why))?;
                }
                let (count, path) = (self.refused.len(), path.display());
                say(&format!(
                    "{count} of {all} entries approved for {index} in {path}"
                ))?;
            }
            (None, policy) if !self.refused.is_empty() => {
                let policy = policy.as_ref().map_or_else(
                    || format!("a policy of {index}, which has none"),
                    |(name, place)| format!("policy {name} ({}:{})", place.file, place.line),
                );
                say(&format!(
                    "# To stand above the rule that refuses, in {policy}."
                ))?;
                for (pin, why) in &self.refused {
                    say(&format!("# {}", told(pin, why)))?;
                    options
                        .rule(pin)
                        .block
                        .iter()
                        .try_for_each(|line| say(line))?;
                }
            }
            (None, _) => {}
        }
        for (pin, why) in &self.remaining {
            say_error(&format!(
                "not approved, since no rule there could: {}",
                told(pin, why)
            ));
        }
        Ok(())
    }

    fn as_json(&self, options: &ApproveOptions) -> Value {
        let one = |(pin, why): &(Pin, Why)| {
            json!({
                "project": pin.project.as_str(),
                "version": pin.version.as_ref().map(Version::as_str),
                "sha256": digests(pin).iter().map(Sha256::to_hex).collect::<Vec<_>>(),
                "reason": why.words,
                "rule": why.rule,
                "location": why.place,
            })
        };
        json!({
            "index": options.index.as_str(),
            "policy": self.policy.as_ref().map(|(name, _)| name),
            "entries": self.entries,
            "approved": self.refused.iter().map(one).collect::<Vec<_>>(),
            "not_approved": self.remaining.iter().map(one).collect::<Vec<_>>(),
            "written": self.written,
        })
    }
}

/// The configuration as it would be with another text of a file.
fn with(setup: &Setup, file: &Path, text: &str) -> Setup {
    let mut setup = setup.clone();
    setup.overrides.instead = Some((file.to_owned(), text.into()));
    setup
}

fn told(pin: &Pin, why: &Why) -> String {
    let version = pin.version.as_ref().map_or("", Version::as_str);
    format!("{} {version}: {}", pin.project, why.words)
}
