//! Short spellings of documents for tests, here and in the rooms above.

use std::sync::Arc;

use crate::advisory::Advisories;
use crate::language::document::{
    Effect, Matchers, NamePattern, OnBlock, Placed, PolicyDocument, PolicyMode, RuleDocument,
    TextFile, Undated, WhitelistInheritance, WhitelistName,
};
use crate::language::documents::{Document, IndexDocument, IndexKindDocument};
use crate::language::read::{Files, NamedKind};
use crate::language::setting::{MirrorDocument, StageDocument};
use crate::model::{Fault, IndexName, Location, ProjectName, Timestamp};

/// For documents that name no other file.
pub struct NoFiles;

impl Files for NoFiles {
    fn open(
        &mut self,
        _: NamedKind,
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
pub fn place(line: u32) -> Location {
    Location {
        file: "policies/web.yaml".into(),
        line,
        column: 5,
    }
}

pub fn project(name: &str) -> ProjectName {
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
pub fn pattern(text: &str) -> NamePattern {
    if let Some(inner) = text.strip_prefix('/') {
        return NamePattern::Regex(inner.trim_end_matches('/').to_owned());
    }
    if text.contains('*') {
        return NamePattern::Glob(text.to_owned());
    }
    NamePattern::Exact(project(text))
}

pub fn stage(name: &str, bases: &[&str]) -> IndexDocument {
    let stage = StageDocument {
        bases: Some(bases.iter().map(|base| placed(index(base))).collect()),
        ..StageDocument::default()
    };
    index_document(name, IndexKindDocument::Stage(stage))
}

pub fn mirror(name: &str) -> IndexDocument {
    index_document(name, IndexKindDocument::Mirror(MirrorDocument::default()))
}

fn index_document(name: &str, kind: IndexKindDocument) -> IndexDocument {
    IndexDocument::bare(placed(index(name)), kind)
}

impl IndexDocument {
    pub fn policy(mut self, name: &str) -> Self {
        self.settings.policy = Some(placed(name.to_owned()));
        self
    }

    pub fn hidden(mut self) -> Self {
        self.settings.public = Some(false);
        self
    }

    pub fn owns(mut self, patterns: &[&str]) -> Self {
        self.settings.owns = Some(patterns.iter().map(|text| placed(pattern(text))).collect());
        self
    }

    pub fn whitelist(mut self, patterns: &[&str]) -> Self {
        let patterns = patterns.iter().map(|text| placed(pattern(text)));
        self.settings.whitelist = Some(patterns.collect());
        self
    }

    pub fn mirror_whitelist(mut self, names: &[&str]) -> Self {
        let entry = |name: &&str| match *name {
            "*" => WhitelistName::All,
            name => WhitelistName::Project(project(name)),
        };
        if let IndexKindDocument::Stage(stage) = &mut self.kind {
            stage.mirror_whitelist = Some(names.iter().map(entry).collect());
        }
        self
    }

    pub fn union(mut self) -> Self {
        if let IndexKindDocument::Stage(stage) = &mut self.kind {
            stage.mirror_whitelist_inheritance = Some(WhitelistInheritance::Union);
        }
        self
    }

    pub fn undated(mut self, undated: Undated) -> Self {
        if let IndexKindDocument::Mirror(mirror) = &mut self.kind {
            mirror.undated = Some(undated);
        }
        self
    }

    /// Where the index and its bases are written.
    pub fn line(mut self, line: u32) -> Self {
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
pub fn policy(name: &str, rules: Vec<RuleDocument>) -> PolicyDocument {
    let on_lines = rules.into_iter().zip(10..).map(|(mut rule, line)| {
        rule.location = place(line);
        rule
    });
    PolicyDocument {
        name: placed(name.to_owned()),
        mode: PolicyMode::Enforce,
        on_block: OnBlock::Hide,
        default_deny: None,
        rules: on_lines.collect(),
    }
}

pub fn deny(matchers: Matchers) -> RuleDocument {
    rule(Effect::Deny, matchers)
}

pub fn allow(matchers: Matchers) -> RuleDocument {
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
    pub fn until(mut self, instant: &str) -> Self {
        self.until = Some(at(instant));
        self
    }

    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }
}

/// Conditions on the project alone.
pub fn of(patterns: &[&str]) -> Matchers {
    Matchers {
        project: patterns.iter().map(|text| pattern(text)).collect(),
        ..Matchers::default()
    }
}

pub fn document(indexes: Vec<IndexDocument>, policies: Vec<PolicyDocument>) -> Document {
    Document {
        indexes,
        policies,
        ..Document::default()
    }
}
