//! Which entries of a lock file an index would refuse, as far as the lock file tells.
//!
//! A lock file states names, versions and digests, some also dates and sizes; whether a file is yanked or has
//! provenance none of them states. So an entry is refused if it is whatever those facts are, and may be
//! refused if it depends on them. An entry passes if one of its files does: which of them a client needs
//! is for the client to know.

use std::fmt;
use std::sync::Arc;

use crate::model::{
    File, Filename, Hashes, IndexName, Kind, Location, ProjectName, ProjectState, Timestamp,
    UploadTime, UploadTimeSource, Yanked,
};
use crate::policy::compile::Policies;
use crate::policy::judge::{Judged, judge_file, judge_name};
use crate::policy::layer::OWNS;
use crate::policy::lockfile::{Lockfile, Pin, PinnedFile};
use crate::policy::stack::{Candidate, Stack};
use crate::policy::verdict::{Denial, Reason};

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

/// What becomes of one file, or of an entry.
enum Fate {
    Passes,
    Depends(Box<Denial>),
    Refused(Box<Denial>),
}

impl Policies {
    /// The entries of a lock file that an index would refuse, or may refuse; `None` if there is no such
    /// index.
    #[must_use]
    pub fn refused_entries(
        &self,
        index: &IndexName,
        lockfile: &Lockfile,
        now: Timestamp,
    ) -> Option<Vec<LockFinding>> {
        let stack = self.stack(index)?;
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
        let holds = |index: &IndexName| Some(index) == keeper;
        let name = judge_name(stack, &pin.project, Some(member), now, &holds);
        let mut fates = vec![of_judged(name)];
        if matches!(fates[0], Fate::Passes) {
            let files = files(pin);
            let at = |file| fate_of(stack, file, member, now, &holds);
            if !files.is_empty() {
                fates = files.iter().map(at).collect();
            }
        }
        for fate in fates {
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

/// What becomes of a file, whether it is yanked or not, and has provenance or not.
fn fate_of(
    stack: &Stack,
    file: &File,
    member: usize,
    now: Timestamp,
    holds: &dyn Fn(&IndexName) -> bool,
) -> Fate {
    let (mut passes, mut depends, mut refused) = (false, None, None);
    for yanked in [Yanked::No, Yanked::Yes(None)] {
        for provenance in [None, Some("unknown".into())] {
            let file = File {
                yanked: yanked.clone(),
                provenance,
                ..file.clone()
            };
            let candidate = Candidate {
                file: &file,
                member,
                status: ProjectState::Active,
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
mod tests {
    use super::*;
    use crate::model::Sha256;
    use crate::policy::read::read_text;
    use crate::policy::sample::{NoFiles, at, index};

    const LEAK: &str = "deny: { id: leak, project: requests, versions: '<2.31', reason: 'leaks' }";

    /// What an index with one more rule says about a lock file.
    fn said(rule: &str, path: &str, text: &str) -> String {
        let policies = format!(
            "indexes: {{ m/one: {{ type: mirror }}, a/top: {{ bases: m/one, policy: house, owns: 'acme-*' }} }}\n\
             policies: {{ house: {{ rules: [\n{LEAK},\n{rule} ] }} }}\n"
        );
        let (document, _) = read_text("p.yaml", &policies, &mut NoFiles).unwrap();
        let policies = Policies::compile(&[document], &[]).unwrap();
        let text = text.replace("HEX", &Sha256::of(b"x").to_hex());
        let lockfile = Lockfile::parse(path, &text).unwrap();
        let now = at("2026-01-20T00:00:00Z");
        let found = policies.refused_entries(&index("a/top"), &lockfile, now);
        let found = found.unwrap().into_iter().map(|found| found.to_string());
        found.collect::<Vec<_>>().join("\n")
    }

    const PLAIN: &str = "requests==2.30.0\nsix==1.17.0\nacme-tools==1\nrequests\n";

    const HASHED: &str = "six==1.17.0 --hash=sha256:HEX\nrequests==2.30.0 --hash=sha256:HEX\n";

    const UV: &str = r#"
version = 1
[[package]]
name = "requests"
version = "2.30.0"
source = { registry = "https://upstream.example/simple" }
wheels = [{ url = "https://upstream.example/requests-2.30.0-py3-none-any.whl", hash = "sha256:HEX" }]
[[package]]
name = "six"
version = "1.17.0"
source = { registry = "https://upstream.example/simple" }
sdist = { url = "https://upstream.example/six-1.17.0.tar.gz", hash = "sha256:HEX", size = 12, upload-time = "2026-01-01T00:00:00Z" }
"#;

    const PYLOCK: &str = r#"
lock-version = "1.0"
[[packages]]
name = "requests"
version = "2.30.0"
sdist = { name = "requests-2.30.0.tar.gz", hashes = { sha256 = "HEX" } }
[[packages]]
name = "six"
version = "1.17.0"
wheels = [{ name = "six-1.17.0-py3-none-any.whl", upload-time = 2026-01-19T00:00:00Z, hashes = { sha256 = "HEX" } }]
"#;

    const POETRY: &str = r#"
[[package]]
name = "requests"
version = "2.30.0"
files = [{ file = "requests-2.30.0.tar.gz", hash = "sha256:HEX" }]
[[package]]
name = "six"
version = "1.17.0"
files = [{ file = "six-1.17.0.tar.gz", hash = "sha256:HEX" }, { file = "six-1.17.0-py3-none-any.whl", hash = "sha256:HEX" }]
[metadata]
lock-version = "2.1"
"#;

    #[test]
    fn every_kind_of_lock_file_is_checked_entry_by_entry() {
        let rule = " is refused through a/top by house/leak (p.yaml:3): leaks";
        for (path, text, line) in [
            ("requirements.txt", PLAIN, 1),
            ("hashed.txt", HASHED, 2),
            ("uv.lock", UV, 4),
            ("pylock.toml", PYLOCK, 4),
            ("poetry.lock", POETRY, 3),
        ] {
            let expected = format!("{path}:{line}: requests 2.30.0{rule}");
            assert_eq!(said("", path, text), expected);
        }
    }

    #[test]
    fn what_the_file_does_not_state_is_no_certain_refusal() {
        // Rules, a lock file, and whether six is refused for certain, perhaps, or not at all.
        let table = [
            ("deny: { younger_than: 7d }", ("r.txt", PLAIN), Some(false)),
            ("deny: { younger_than: 7d }", ("uv.lock", UV), None),
            (
                "deny: { younger_than: 7d }",
                ("pylock.toml", PYLOCK),
                Some(true),
            ),
            ("deny: { size_over: 1KiB }", ("uv.lock", UV), None),
            ("deny: { size_over: 1B }", ("uv.lock", UV), Some(true)),
            (
                "deny: { size_over: 1KiB }",
                ("pylock.toml", PYLOCK),
                Some(false),
            ),
            ("deny: { yanked: true }", ("uv.lock", UV), Some(false)),
            (
                "deny: { provenance: missing }",
                ("uv.lock", UV),
                Some(false),
            ),
            ("deny: { kind: sdist }", ("uv.lock", UV), Some(true)),
            ("deny: { kind: sdist }", ("poetry.lock", POETRY), None),
            ("deny: { kind: sdist }", ("r.txt", PLAIN), None),
            (
                "deny: { kind: [wheel, sdist] }",
                ("hashed.txt", HASHED),
                Some(true),
            ),
        ];
        for (rule, (path, text), expected) in table {
            let said = said(rule, path, text);
            let mut lines = said.lines().filter(|line| line.contains(": six "));
            let found = lines.next().map(|line| line.contains(" is refused "));
            assert_eq!(found, expected, "{rule} {path}: {said}");
        }
    }

    #[test]
    fn a_name_alone_is_refused_by_rules_on_names_and_reserved_ones_are_ours() {
        let rule = "deny: { id: gone, project: [six, 'evil-*'] }";
        insta::assert_snapshot!(
            said(rule, "r.txt", "six>1\nevil-x\nacme-tools==1\nwhey\n"),
            @"
        r.txt:1: six is refused through a/top by house/gone (p.yaml:4): project: [six, evil-*]
        r.txt:2: evil-x is refused through a/top by house/gone (p.yaml:4): project: [six, evil-*]
        "
        );
    }

    #[test]
    fn the_digests_that_a_whitelist_pins_bind_lock_files_too() {
        let stack =
            "indexes: { m/one: { type: mirror }, a/top: { bases: m/one, whitelist: [six] } }";
        let (document, _) = read_text("p.yaml", stack, &mut NoFiles).unwrap();
        let policies = Policies::compile(&[document], &[]).unwrap();
        let lockfile = Lockfile::parse("r.txt", PLAIN).unwrap();
        let now = at("2026-01-20T00:00:00Z");
        let found = policies
            .refused_entries(&index("a/top"), &lockfile, now)
            .unwrap();
        let entries: Vec<&str> = found.iter().map(|found| found.entry.as_str()).collect();
        assert_eq!(entries, ["requests 2.30.0", "acme-tools 1", "requests"]);
        assert!(
            found
                .iter()
                .all(|found| found.is_certain && &*found.rule == "whitelist")
        );
        assert_eq!(
            policies.refused_entries(&index("a/no"), &lockfile, now),
            None
        );
    }
}
