//! What operators wrote, as values: every name parsed, every place kept, nothing resolved.
//!
//! `read` makes a `Document` of YAML text; `compile` makes `Policies` of all documents together.
//! Between the two lies everything that needs more than one line to judge: unknown bases, cycles,
//! policies nobody defined, the same index in two files.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    IndexName, Kind, Location, ProjectName, ProjectState, Sha256, Timestamp, VersionSpecifiers,
};

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub location: Location,
}

impl<T> Placed<T> {
    /// A value that stands there.
    pub fn at(location: &Location, value: T) -> Self {
        let location = location.clone();
        Self { value, location }
    }

    /// Something else in its place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Placed<U> {
        Placed {
            value: change(self.value),
            location: self.location,
        }
    }
}

/// A file that a key names, read by `config`.
#[derive(Debug, Clone)]
pub struct TextFile {
    /// Where the key names it.
    pub location: Location,
    /// Its path, resolved against the file that names it.
    pub path: PathBuf,
    /// Its content.
    pub text: Arc<str>,
}

/// An entry of devpi's `mirror_whitelist`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WhitelistName {
    /// `*`
    All,
    /// One project.
    Project(ProjectName),
}

/// devpi's `mirror_whitelist_inheritance`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhitelistInheritance {
    /// The default.
    #[default]
    Intersection,
    /// As before devpi 3.
    Union,
}

/// `keep_last_good`; a missing part has its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepLastGoodDocument {
    /// `for`: how long; 7 days by default.
    pub period: Option<Duration>,
    /// `older_than`: the least age of a file; 14 days by default.
    pub older_than: Option<Duration>,
}

/// Which files a project that vanished upstream keeps, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepLastGood {
    /// How long after upstream last listed them; zero is off.
    pub period: Duration,
    /// Files that were younger than this when they vanished are not kept.
    pub older_than: Duration,
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Environment(String),
    /// A file.
    File(PathBuf),
}

/// `undated`: how rules about age treat a file without an upload-time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Undated {
    /// Such a rule denies it.
    #[default]
    Deny,
    /// Its age counts from when this gateway first saw it.
    FirstSeen,
    /// It counts as older than anything.
    Old,
}

/// `quarantined`: what to list of a project that upstream has quarantined (PEP 792).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quarantined {
    /// Nothing.
    #[default]
    Empty,
    /// What upstream still lists, or listed last.
    Keep,
}

/// `verify`: whether the first client has to wait until a file's digest is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verify {
    /// Its last bytes wait.
    #[default]
    WhileServing,
    /// All of them wait.
    BeforeServing,
}

/// One entry of `policies:`.
#[derive(Debug, Clone)]
pub struct PolicyDocument {
    /// Its name.
    pub name: Placed<String>,
    /// `mode`.
    pub mode: PolicyMode,
    /// `on_block`.
    pub on_block: OnBlock,
    /// `default: deny`, and where that is written.
    pub default_deny: Option<Location>,
    /// `rules`, in order.
    pub rules: Vec<RuleDocument>,
}

/// Whether a policy's denials take effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PolicyMode {
    /// They do.
    #[default]
    Enforce,
    /// They are recorded, and the file passes.
    Audit,
}

/// What a page does with a denied file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnBlock {
    /// It is not listed.
    #[default]
    Hide,
    /// It is listed as yanked, with the rule's words (docs/protocol/simple-api.md §8).
    Yank,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct RuleDocument {
    /// Where it stands.
    pub location: Location,
    /// `id`: what it is called, within its policy.
    pub id: Option<Placed<String>>,
    /// `deny:` or `allow:`.
    pub effect: Effect,
    /// What a file must be for the rule to decide; all present ones must hold.
    pub matchers: Matchers,
    /// `until`: the last instant at which the rule applies.
    pub until: Option<Timestamp>,
    /// `reason`.
    pub reason: Option<String>,
    /// `owner` of a waiver.
    pub owner: Option<String>,
    /// `ticket` of a waiver.
    pub ticket: Option<String>,
}

/// What a rule does with the file it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It passes.
    Allow,
    /// It is refused.
    Deny,
}

/// A rule's conditions. `None` and an empty list mean: not asked for.
#[derive(Debug, Clone, Default)]
pub struct Matchers {
    /// `project`: any of these patterns.
    pub project: Vec<NamePattern>,
    /// `new_name: { similar_to }`: names that could be taken for any of these.
    pub similar_to: Vec<SimilarTo>,
    /// `versions`: a PEP 440 specifier.
    pub versions: Option<VersionSpecifiers>,
    /// `kind`: any of these.
    pub kind: Vec<Kind>,
    /// `python`: any glob against any of the wheel's python tags.
    pub python: Vec<String>,
    /// `platform`: any glob against any of the wheel's platform tags.
    pub platform: Vec<String>,
    /// `size_over`, in bytes.
    pub size_over: Option<u64>,
    /// `younger_than`.
    pub younger_than: Option<Duration>,
    /// `older_than`.
    pub older_than: Option<Duration>,
    /// `late`: the time after a release's first file.
    pub late: Option<Duration>,
    /// `yanked: true` or `false`.
    pub yanked: Option<bool>,
    /// `upstream`: any of these mirrors.
    pub upstream: Vec<IndexName>,
    /// `advisory`: `malware`, `vulnerability`, or globs of ids.
    pub advisory: Vec<String>,
    /// `status`: any of these (PEP 792).
    pub status: Vec<ProjectState>,
    /// `provenance`.
    pub provenance: Option<ProvenanceAsked>,
    /// `unless`.
    pub unless: Option<Exemption>,
    /// `license`: `unknown`, ids of SPDX, or globs of them.
    pub license: Vec<String>,
    /// `startup_files: true` or `false`.
    pub startup_files: Option<bool>,
    /// `sha256`: any of these digests.
    pub sha256: Vec<Sha256>,
}

/// `similar_to`: what names are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimilarTo {
    /// Every name that some index `owns`.
    Owned,
    /// A project.
    Project(ProjectName),
}

/// `provenance`: which files without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvenanceAsked {
    /// All.
    Missing,
    /// Those whose predecessor had it.
    Lost,
}

/// `unless`: what a rule lets alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// What is free of an advisory that the newest allowed version has.
    FixesAdvisory,
}

/// A pattern for project names; names and globs are matched against the normalised name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// One project.
    Exact(ProjectName),
    /// A glob such as `acme-*`, lower-cased, with `_` and `.` written as `-`.
    Glob(String),
    /// A regular expression, written `/…/`, already known to compile.
    Regex(String),
}

/// A pattern as operators write it.
impl fmt::Display for NamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(project) => project.fmt(formatter),
            Self::Glob(text) => text.fmt(formatter),
            Self::Regex(text) => write!(formatter, "/{text}/"),
        }
    }
}
