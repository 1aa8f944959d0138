//! Short spellings of indexes, policies and files for the tests of this room.

use std::collections::HashSet;
use std::sync::Arc;

use crate::advisory::Advisories;
use crate::model::{
    Fault, File, Filename, Hashes, IndexName, Location, ProjectName, Recall, Sha256, Timestamp,
    UploadTime, UploadTimeSource,
};
use crate::policy::compile::Policies;
use crate::policy::document::{
    Effect, Matchers, NamePattern, Placed, PolicyDocument, RuleDocument, TextFile, Undated,
    WhitelistInheritance, WhitelistName,
};
use crate::policy::documents::{Document, IndexDocument, IndexKindDocument};
use crate::policy::read;
use crate::policy::recalls::Recalls;
use crate::policy::setting::{MirrorDocument, StageDocument};
use crate::policy::sources::SkipReason;
use crate::policy::verdict::Verdict;

/// For documents that name no other file.
pub struct NoFiles;

impl read::Files for NoFiles {
    fn open(
        &mut self,
        _: read::NamedKind,
        location: &Location,
        _: &std::path::Path,
    ) -> Result<Vec<TextFile>, Fault> {
        Err(Fault::at(location, "this house has no files"))
    }
}

/// What OSV documents say.
pub fn osv(text: &str) -> Arc<Advisories> {
    Arc::new(Advisories::of_text(text).unwrap())
}

/// A place in `policies/web.yaml`.
pub(super) fn place(line: u32) -> Location {
    Location {
        file: "policies/web.yaml".into(),
        line,
        column: 5,
    }
}

pub(super) fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}

pub fn index(name: &str) -> IndexName {
    IndexName::parse(name).unwrap()
}

pub fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

pub fn placed<T>(value: T) -> Placed<T> {
    Placed {
        value,
        location: place(1),
    }
}

/// `/…/` is a regular expression, what has a `*` a glob, the rest a name.
pub(super) fn pattern(text: &str) -> NamePattern {
    if let Some(inner) = text.strip_prefix('/') {
        return NamePattern::Regex(inner.trim_end_matches('/').to_owned());
    }
    if text.contains('*') {
        return NamePattern::Glob(text.to_owned());
    }
    NamePattern::Exact(project(text))
}

pub(super) fn stage(name: &str, bases: &[&str]) -> IndexDocument {
    let stage = StageDocument {
        bases: Some(bases.iter().map(|base| placed(index(base))).collect()),
        ..StageDocument::default()
    };
    index_document(name, IndexKindDocument::Stage(stage))
}

pub(super) fn mirror(name: &str) -> IndexDocument {
    index_document(name, IndexKindDocument::Mirror(MirrorDocument::default()))
}

fn index_document(name: &str, kind: IndexKindDocument) -> IndexDocument {
    IndexDocument::bare(placed(index(name)), kind)
}

impl IndexDocument {
    pub(super) fn policy(mut self, name: &str) -> Self {
        self.settings.policy = Some(placed(name.to_owned()));
        self
    }

    pub(super) fn hidden(mut self) -> Self {
        self.settings.public = Some(false);
        self
    }

    pub(super) fn owns(mut self, patterns: &[&str]) -> Self {
        self.settings.owns = Some(patterns.iter().map(|text| placed(pattern(text))).collect());
        self
    }

    pub(super) fn whitelist(mut self, patterns: &[&str]) -> Self {
        let patterns = patterns.iter().map(|text| placed(pattern(text)));
        self.settings.whitelist = Some(patterns.collect());
        self
    }

    pub(super) fn mirror_whitelist(mut self, names: &[&str]) -> Self {
        let entry = |name: &&str| match *name {
            "*" => WhitelistName::All,
            name => WhitelistName::Project(project(name)),
        };
        if let IndexKindDocument::Stage(stage) = &mut self.kind {
            stage.mirror_whitelist = Some(names.iter().map(entry).collect());
        }
        self
    }

    pub(super) fn union(mut self) -> Self {
        if let IndexKindDocument::Stage(stage) = &mut self.kind {
            stage.mirror_whitelist_inheritance = Some(WhitelistInheritance::Union);
        }
        self
    }

    pub(super) fn undated(mut self, undated: Undated) -> Self {
        if let IndexKindDocument::Mirror(mirror) = &mut self.kind {
            mirror.undated = Some(undated);
        }
        self
    }

    /// Where the index and its bases are written.
    pub(super) fn line(mut self, line: u32) -> Self {
        self.name.location = place(line);
        if let IndexKindDocument::Stage(stage) = &mut self.kind {
            for base in stage.bases.iter_mut().flatten() {
                base.location = place(line + 1);
            }
        }
        self
    }
}

/// A policy whose rules stand at lines 10, 11, …
pub(super) fn policy(name: &str, rules: Vec<RuleDocument>) -> PolicyDocument {
    let on_lines = rules.into_iter().zip(10..).map(|(mut rule, line)| {
        rule.location = place(line);
        rule
    });
    PolicyDocument {
        name: placed(name.to_owned()),
        mode: crate::policy::document::PolicyMode::Enforce,
        on_block: crate::policy::document::OnBlock::Hide,
        default_deny: None,
        rules: on_lines.collect(),
    }
}

pub(super) fn deny(matchers: Matchers) -> RuleDocument {
    rule(Effect::Deny, matchers)
}

pub(super) fn allow(matchers: Matchers) -> RuleDocument {
    rule(Effect::Allow, matchers)
}

fn rule(effect: Effect, matchers: Matchers) -> RuleDocument {
    RuleDocument {
        location: place(1),
        id: None,
        effect,
        matchers,
        until: None,
        reason: None,
        owner: None,
        ticket: None,
    }
}

impl RuleDocument {
    pub(super) fn until(mut self, instant: &str) -> Self {
        self.until = Some(at(instant));
        self
    }

    pub(super) fn reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }
}

/// Conditions on the project alone.
pub(super) fn of(patterns: &[&str]) -> Matchers {
    Matchers {
        project: patterns.iter().map(|text| pattern(text)).collect(),
        ..Matchers::default()
    }
}

pub(super) fn document(indexes: Vec<IndexDocument>, policies: Vec<PolicyDocument>) -> Document {
    Document {
        indexes,
        policies,
        ..Document::default()
    }
}

pub(super) fn compiled(indexes: Vec<IndexDocument>, policies: Vec<PolicyDocument>) -> Policies {
    Policies::compile(&[document(indexes, policies)], &[]).unwrap()
}

/// These recalls, each for the reason "stolen token".
pub(super) fn recalls(subjects: &[&str]) -> Recalls {
    let recall = |(id, subject): (u64, &&str)| Recall {
        id,
        subject: subject.parse().unwrap(),
        reason: "stolen token".into(),
        who: None,
        at: at("2026-01-04T00:00:00Z"),
        is_kept: false,
    };
    Recalls::of((1..).zip(subjects).map(recall).collect())
}

/// A file uploaded at the start of 2026, 1000 bytes, with the digest of its own name.
pub fn file(name: &str, of: &str) -> File {
    let mut file = File::named(Filename::parse(name, &project(of)).unwrap());
    file.size = Some(1000);
    file.hashes = Hashes::sha256_only(Sha256::of(name.as_bytes()));
    file.upload_time = Some(UploadTime {
        at: at("2026-01-01T00:00:00Z"),
        source: UploadTimeSource::Index,
    });
    file
}

/// Who is asked for a project and what the others are skipped for, or the refusal.
pub(super) fn sources(policies: &Policies, asked: &str, name: &str, held: &[&str]) -> String {
    let stack = policies.stack(&index(asked)).unwrap();
    let held: HashSet<IndexName> = held.iter().map(|name| index(name)).collect();
    let verdict = stack.decide_project(&project(name), at("2026-01-05T00:00:00Z"), &|name| {
        held.contains(name)
    });
    let name = |position: usize| stack.members[position].index.name.to_string();
    match verdict {
        Verdict::Deny(denial) => format!("denied: {}", denial.short()),
        Verdict::Allow(allowed) => {
            let sources = allowed.item();
            let asked: Vec<_> = sources.ask.iter().map(|one| name(*one)).collect();
            let skipped = sources.skipped.iter().map(|one| {
                let reason = match &one.reason {
                    SkipReason::Private(_) => "private",
                    SkipReason::Denied(_) => "denied",
                    SkipReason::Owned(_) => "owned",
                };
                format!("{} {reason}", name(one.member))
            });
            let skipped: Vec<_> = skipped.collect();
            format!("ask {}; skip {}", asked.join(" "), skipped.join(" "))
        }
    }
}
