//! `check`: every fault in what a server would read, in one pass.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::check_locks::{CheckedLock, ReadLock, check_locks, is_lockfile, read_locks};
use crate::cli::devpi_configfile;
use crate::cli::output::{OutputOptions, code, say, say_json};
use crate::cli::sources::{environment, policies_path};
use crate::cli::warm::index;
use crate::clock::Clock;
use crate::config::{
    AsksPip, Listen, Loaded, Named, Overrides, PoliciesPath, Undeclared, configuration_files,
    discover, load_what_can_be, loops, names_index,
};
use crate::identity::UserDirectory;
use crate::listen::Certificates;
use crate::model::{DoorName, Fault, Faults, IndexName, Timestamp};
use crate::policy::{Expiring, Exposure, Policies, advice};
use crate::telemetry::DirectoryMetrics;

/// Waivers that end within this time are shown.
const EXPIRING_WITHIN: Duration = Duration::from_hours(14 * 24);

/// Most files that are named one by one.
const NAMED_MAX: usize = 10;

#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// A YAML file or a folder of them.
    #[arg(value_name = "POLICIES")]
    policies: Option<PathBuf>,
    /// Lock files whose entries an index may refuse: uv.lock, pylock.toml, poetry.lock, or requirements
    /// (*.txt, *.in). They may stand alone.
    #[arg(value_name = "LOCKFILE")]
    lockfiles: Vec<PathBuf>,
    /// The index that they are checked against, as user/index (default: default_index, or the first one).
    #[arg(long, value_name = "INDEX", value_parser = index)]
    index: Option<IndexName>,
    /// Warnings count as faults.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    output: OutputOptions,
}

/// What was checked, and the outcome.
#[derive(Debug, Default)]
struct Findings {
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    /// The files of the configuration, in order.
    files: Vec<PathBuf>,
    /// What they name, as far as it is read: certificates, passwords, lock files, advisories.
    named: Vec<PathBuf>,
    /// The lock files.
    locks: Vec<CheckedLock>,
}

pub(super) fn run(options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let (policies, lockfiles) = options.apart();
    let path = policies_path(policies);
    let files = written(&path)?;
    let findings = match files.as_slice() {
        [file] if devpi_configfile::is_one(file) => {
            anyhow::ensure!(
                lockfiles.is_empty(),
                "{} declares no index to check a lock file against",
                file.display()
            );
            options_of_devpi(file)
        }
        _ => examine(
            &path,
            files,
            &read_locks(&lockfiles)?,
            options.index.as_ref(),
        )?,
    };
    if options.output.json {
        say_json(&findings.as_json())?;
    } else {
        findings.print()?;
    }
    Ok(code(!findings.are_bad(options.strict)))
}

impl CheckOptions {
    /// The configuration and the lock files: a lone lock file is not the configuration.
    fn apart(&self) -> (Option<&PathBuf>, Vec<&PathBuf>) {
        let is_lock = |path: &&PathBuf| is_lockfile(path);
        let (lock, policies) = match self.policies.as_ref() {
            Some(path) if is_lock(&path) => (Some(path), None),
            other => (None, other),
        };
        (policies, lock.into_iter().chain(&self.lockfiles).collect())
    }
}

/// The files to check. Having none is not a success: a user who runs `check` means some.
fn written(path: &PoliciesPath) -> anyhow::Result<Vec<PathBuf>> {
    let Some(found) = path.resolve(&environment) else {
        let folder = std::env::current_dir().unwrap_or_default();
        let asked = path.asked(&environment);
        anyhow::bail!(
            "there is no {} in {}: name a file, or a folder of them",
            asked.display(),
            folder.display()
        );
    };
    configuration_files(&found).map_err(|fault| anyhow::anyhow!("{fault}"))
}

fn examine(
    path: &PoliciesPath,
    files: Vec<PathBuf>,
    locks: &[ReadLock],
    index: Option<&IndexName>,
) -> anyhow::Result<Findings> {
    let mut named = Named::default();
    let (loaded, read) = load_what_can_be(path, &Overrides::default(), &environment, &mut named);
    let mut faults = loaded.all_faults(read, &[]);
    faults.0.extend(certificate_faults(&loaded));
    faults.0.extend(directory_fault(&loaded));
    faults.0.extend(upstream_fault(&loaded));
    let asked = std::path::absolute(path.asked(&environment)).unwrap_or_default();
    let named = named.paths().filter(|one| *one != asked).map(shown);
    let mut findings = Findings {
        named: named.collect(),
        files,
        ..Findings::default()
    };
    let unread = locks.iter().filter_map(|lock| lock.content.as_ref().err());
    faults
        .0
        .extend(unread.flat_map(|Faults(faults)| faults.clone()));
    match faults.or(()) {
        Ok(()) => {
            findings.warnings = warnings(&loaded);
            findings.locks = check_locks(&loaded, locks, index)?;
        }
        Err(Faults(faults)) => findings.faults = faults,
    }
    Ok(findings)
}

/// A devpi file: its options as `devpi-server --configfile` takes them.
fn options_of_devpi(file: &Path) -> Findings {
    let faults = devpi_configfile::faults(file);
    Findings {
        faults,
        files: vec![file.to_owned()],
        ..Findings::default()
    }
}

/// Why a door could not be opened with its certificate.
fn certificate_faults(loaded: &Loaded) -> Vec<Fault> {
    let mut faults = Vec::new();
    for door in DoorName::ALL {
        let Some(files) = loaded.config.listen.at(door).place.tls() else {
            continue;
        };
        if let Err(error) = Certificates::load(&files.cert, &files.key) {
            let (name, error) = (door.as_str(), anyhow::Error::from(error));
            faults.push(Fault::nowhere(format!("listen.{name}.tls: {error:#}")));
        }
    }
    faults
}

/// Why the directory of users could not be asked with the certificates that it names.
fn directory_fault(loaded: &Loaded) -> Option<Fault> {
    let settings = loaded.config.manage.ldap.clone()?;
    let error = UserDirectory::open(settings, DirectoryMetrics::default()).err()?;
    let what = format!("manage.ldap: {error}");
    let place = loaded.config.manage.ldap_location.as_ref();
    Some(match place {
        Some(place) => Fault::at(place, what),
        None => Fault::nowhere(what),
    })
}

/// What is wrong with the index that the environment names for mirrors without one. pip is not asked:
/// the pip on the serving machine may say something else.
fn upstream_fault(loaded: &Loaded) -> Option<Fault> {
    if loaded.asks_pip(&[]) != AsksPip::Must || !names_index(&environment) {
        return None;
    }
    discover(&loaded.config, &environment).err()
}

/// What is not a fault but deserves a second look.
fn warnings(loaded: &Loaded) -> Vec<Fault> {
    let mut found = loaded.warnings.clone();
    // Documents without a fault compile.
    if let Ok(policies) = Policies::compile(&loaded.documents, &[]) {
        found.extend(advice_on(loaded, &policies, Clock::system().now()));
    }
    found
}

fn advice_on(loaded: &Loaded, policies: &Policies, now: Timestamp) -> Vec<Fault> {
    let config = &loaded.config;
    let exposure = Exposure {
        has_public_door: config.listen.public.place != Listen::Off,
        passes_undeclared: config
            .devpi
            .as_ref()
            .is_some_and(|devpi| devpi.undeclared == Undeclared::Pass),
    };
    let mut found = advice(&loaded.documents, policies, now, exposure);
    found.extend(loops(loaded));
    let expiring = policies.expiring(now, EXPIRING_WITHIN);
    found.extend(expiring.iter().map(warning));
    found.sort();
    found
}

fn warning(expiring: &Expiring<'_>) -> Fault {
    let (whose, words) = (expiring.whose(), expiring.rule.words());
    let (policy, until) = (&expiring.policy.name, expiring.until);
    let what = format!("{words} of policy {policy} ends at {until}{whose}");
    Fault::at(&expiring.rule.location, what)
}

impl Findings {
    fn are_bad(&self, strict: bool) -> bool {
        let mut locks = self.locks.iter();
        let are_refused = locks.any(|lock| lock.is_bad(strict));
        !self.faults.is_empty() || are_refused || (strict && !self.warnings.is_empty())
    }

    fn print(&self) -> std::io::Result<()> {
        for fault in &self.faults {
            say(&fault.to_string())?;
        }
        for warning in &self.warnings {
            say(&format!("warning: {warning}"))?;
        }
        let found = match (self.faults.len(), self.warnings.len()) {
            (0, 0) => "no faults".to_owned(),
            (0, warnings) => format!("no faults, {}", counted(warnings, "warning")),
            (faults, _) => counted(faults, "fault"),
        };
        say(&format!("{found} in {}", listed(&self.files)))?;
        if !self.named.is_empty() {
            say(&format!(
                "with what is named there: {}",
                listed(&self.named)
            ))?;
        }
        self.locks.iter().try_for_each(CheckedLock::print)
    }

    fn as_json(&self) -> Value {
        let one = |fault: &Fault| {
            json!({
                "file": fault.location.as_ref().map(|location| location.file.to_string()),
                "line": fault.location.as_ref().map(|location| location.line),
                "column": fault.location.as_ref().map(|location| location.column),
                "what": fault.what,
                "hint": fault.hint,
            })
        };
        let all = |faults: &[Fault]| faults.iter().map(one).collect::<Vec<_>>();
        json!({
            "faults": all(&self.faults),
            "warnings": all(&self.warnings),
            "files": self.files,
            "named": self.named,
            "lockfiles": self.locks.iter().map(CheckedLock::as_json).collect::<Vec<_>>(),
        })
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        more => format!("{more} {what}s"),
    }
}

fn listed(files: &[PathBuf]) -> String {
    let named = files.iter().take(NAMED_MAX).map(|file| file.display());
    let mut text = named
        .map(|file| file.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = files.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// A path as somebody in this folder would write it.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).to_owned()
}
