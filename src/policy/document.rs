//! What operators wrote, as values: every name parsed, every place remembered, nothing resolved.
//!
//! `read` makes a `Document` of YAML text; `compile` makes `Policies` of all documents together.
//! Between the two lies everything that needs more than one line to judge: unknown bases, cycles,
//! policies nobody defined, the same index in two files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    IndexName, Kind, Location, ProjectName, ProjectState, Timestamp, VersionSpecifiers,
};

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub location: Location,
}

/// The keys of all files that concern indexes and policies.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// `indexes:`
    pub indexes: Vec<IndexDocument>,
    /// `policies:`
    pub policies: Vec<PolicyDocument>,
    /// `default_index:`
    pub default_index: Option<Placed<IndexName>>,
    /// `advisories:`, OSV files with their texts.
    pub advisories: Vec<TextFile>,
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

/// One entry of `indexes:`, or one index made through the devpi API.
#[derive(Debug, Clone)]
pub struct IndexDocument {
    /// `user/index`.
    pub name: Placed<IndexName>,
    /// `type`.
    pub kind: IndexKindDocument,
    /// `title`.
    pub title: Option<String>,
    /// `volatile`; the default depends on the kind.
    pub volatile: Option<bool>,
    /// `public`: whether public doors show it.
    pub is_public: bool,
    /// `policy`.
    pub policy: Option<Placed<String>>,
    /// `owns`: name patterns.
    pub owns: Vec<Placed<NamePattern>>,
    /// `whitelist`: present means that only these pass from mirrors.
    pub whitelist: Option<Vec<Placed<NamePattern>>>,
    /// `whitelist_files`.
    pub whitelist_files: Vec<TextFile>,
}

/// What is particular to a stage or a mirror.
#[derive(Debug, Clone)]
pub enum IndexKindDocument {
    /// Takes uploads and inherits.
    Stage(StageDocument),
    /// Has an upstream.
    Mirror(MirrorDocument),
}

/// Keys of a stage, devpi's names (docs/protocol/devpi.md §7.1).
#[derive(Debug, Clone, Default)]
pub struct StageDocument {
    /// `bases`, in order.
    pub bases: Vec<Placed<IndexName>>,
    /// `acl_upload`; nothing: the index's user.
    pub acl_upload: Option<Vec<String>>,
    /// `acl_toxresult_upload`; nothing: everyone.
    pub acl_toxresult_upload: Option<Vec<String>>,
    /// `mirror_whitelist` (or `pypi_whitelist`): names or `*`.
    pub mirror_whitelist: Vec<WhitelistName>,
    /// `mirror_whitelist_inheritance`.
    pub mirror_whitelist_inheritance: WhitelistInheritance,
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

/// Keys of a mirror (docs/protocol/devpi.md §7.2).
#[derive(Debug, Clone, Default)]
pub struct MirrorDocument {
    /// `mirror_url`; nothing: the index that pip on this machine uses.
    pub mirror_url: Option<Placed<String>>,
    /// `mirror_cache_expiry`; nothing: 30 minutes, as devpi.
    pub mirror_cache_expiry: Option<Duration>,
    /// `mirror_no_project_list`.
    pub mirror_no_project_list: bool,
    /// `mirror_use_external_urls`.
    pub mirror_use_external_urls: bool,
    /// `mirror_web_url_fmt`, kept and shown.
    pub mirror_web_url_fmt: Option<String>,
    /// `undated`.
    pub undated: Undated,
    /// `optional: true`: left out of a stack when it cannot be asked.
    pub optional: bool,
    /// `absent_statuses`: refusals that mean "no such project".
    pub absent_statuses: Vec<u16>,
    /// `keep_last_good`.
    pub keep_last_good: KeepLastGoodDocument,
    /// Made through devpi's API, and so as devpi has mirrors: an empty body is a page without files.
    pub is_made_by_api: bool,
    /// `quarantined`.
    pub quarantined: Quarantined,
    /// `verify: before-serving`: no byte before the digest holds.
    pub verify_before_serving: bool,
    /// `username` and `password_env`/`password_file`, kept apart from the URL.
    pub username: Option<String>,
    /// The secret's source, read by `config`.
    pub password: Option<Placed<SecretSource>>,
}

/// `keep_last_good`; what is absent has its default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepLastGoodDocument {
    /// `for`: how long; nothing: 7 days.
    pub period: Option<Duration>,
    /// `older_than`: the least age of a file; nothing: 14 days.
    pub older_than: Option<Duration>,
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Environment(String),
    /// A file.
    File(PathBuf),
}

/// `undated`: what a rule about age makes of a file without an upload-time.
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
    /// `yanked: true` or `false`.
    pub yanked: Option<bool>,
    /// `upstream`: any of these mirrors.
    pub upstream: Vec<IndexName>,
    /// `advisory`: `malware`, `vulnerability`, or globs of ids.
    pub advisory: Vec<String>,
    /// `status`: any of these (PEP 792).
    pub status: Vec<ProjectState>,
    /// `provenance: missing`.
    pub provenance_missing: bool,
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
