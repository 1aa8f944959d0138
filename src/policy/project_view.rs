//! The rules of a stack about one project: looked up once, then asked for each of its files.
//!
//! This is the one place where anything is decided. A page, a file and a sidecar all come here, so
//! that what the page hides the file refuses.

use std::sync::Arc;

use crate::model::{File, IndexName, ProjectName, Timestamp};

use super::condition::Facts;
use super::index::Index;
use super::names::pattern_words;
use super::rule::{Policy, Refusal};
use super::sources::{SkipReason, Skipped, Sources, keeper};
use super::stack::{Candidate, Member, Stack};
use super::verdict::{Allowed, Denial, Reason, RuleId, Subject, Verdict};
use super::whitelist::{Admission, Whitelist};
use super::{Mode, OnBlock};

/// What the key `whitelist` is called where a policy's name would stand.
pub(super) const WHITELIST: &str = "whitelist";

/// What the key `owns` is called where a policy's name would stand.
pub(super) const OWNS: &str = "owns";

/// The rules of a stack about one project.
#[derive(Debug)]
pub struct ProjectView<'a> {
    stack: &'a Stack,
    project: ProjectName,
    layers: Vec<Layer<'a>>,
}

/// The rules of one index about the project.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    pub(super) index: &'a Arc<Index>,
    pub(super) policy: Option<(&'a Arc<Policy>, Vec<u32>)>,
    pub(super) whitelist: Option<(&'a Whitelist, Admission<'a>)>,
}

/// What all policies together say of one thing.
#[derive(Default)]
struct Tally {
    denied: Option<Denial>,
    audited: Option<Denial>,
}

impl Tally {
    /// The first refusal is told, unless a later one hides what it would list as yanked: another
    /// policy on top must not show what a base hides.
    fn add(&mut self, mode: Mode, denial: Denial) {
        let kept = match mode {
            Mode::Enforce => &mut self.denied,
            Mode::Audit => &mut self.audited,
        };
        let hides = denial.on_block() == OnBlock::Hide;
        match kept {
            Some(first) if first.on_block() == OnBlock::Yank && hides => *first = denial,
            Some(_) => {}
            None => *kept = Some(denial),
        }
    }

    fn verdict<T>(self, item: T) -> Verdict<T> {
        match self.denied {
            Some(denial) => Verdict::Deny(denial),
            None => Verdict::Allow(Allowed::new(item, self.audited)),
        }
    }
}

impl<'a> ProjectView<'a> {
    pub(super) fn new(stack: &'a Stack, project: &ProjectName) -> Self {
        let layer = |index: &'a Arc<Index>| Layer {
            index,
            policy: index
                .policy()
                .map(|policy| (policy, policy.rules_about(project))),
            whitelist: index
                .whitelist()
                .map(|list| (list, list.admission(project))),
        };
        Self {
            stack,
            project: project.clone(),
            layers: stack.layers().iter().map(layer).collect(),
        }
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// Who may speak for the project. `holds` says whether a stage holds it; a name that is only
    /// registered counts.
    ///
    /// Denied when nobody may speak and somebody was refused: that is a 451 (product.md §13).
    /// Allowed with nobody to ask means that no member knows the project.
    #[must_use]
    pub fn decide_project(
        &self,
        now: Timestamp,
        holds: &dyn Fn(&IndexName) -> bool,
    ) -> Verdict<Sources> {
        let members = self.stack.members();
        let is_held = |member: &Member| !member.index.is_mirror() && holds(&member.index.name);
        let held: Vec<bool> = members.iter().map(is_held).collect();
        let keeper = keeper(members, &self.project, &held);
        let mut audited = None;
        let mut ask = Vec::new();
        let mut skipped = Vec::new();
        for (position, member) in members.iter().enumerate() {
            let mut tally = Tally::default();
            let reason = self.skip_reason(member, keeper, now, &mut tally);
            audited = audited.or(tally.audited);
            match reason {
                Some(reason) => skipped.push(Skipped {
                    member: position,
                    reason,
                }),
                None if member.index.is_mirror() || held[position] => ask.push(position),
                None => {}
            }
        }
        let refused = skipped.iter().find_map(|skipped| skipped.reason.denial());
        match refused {
            Some(denial) if ask.is_empty() => Verdict::Deny(denial.clone()),
            Some(_) | None => Verdict::Allow(Allowed::new(Sources { ask, skipped }, audited)),
        }
    }

    /// Whether one file passes.
    ///
    /// In each policy that applies the first matching rule decides; one denial is enough.
    #[must_use]
    pub fn decide_file<'f>(&self, candidate: &Candidate<'f>, now: Timestamp) -> Verdict<&'f File> {
        let file = candidate.file;
        if *file.filename.project() != self.project {
            return self.stack.decide_file(candidate, now);
        }
        let subject = || Subject::File(file.filename.clone());
        let Some(member) = self.stack.members().get(candidate.member) else {
            let rule = key(&self.stack.asked().name, None, "stack");
            return Verdict::Deny(Denial::new(subject(), Reason::Outside, rule));
        };
        if let Some(denial) = self.owned(member, subject) {
            return Verdict::Deny(denial);
        }
        let mut tally = Tally::default();
        let facts = self.facts(member, candidate);
        for layer in self.layers_of(member) {
            if let Some(denial) = layer.pinned(member, file) {
                tally.add(Mode::Enforce, denial);
            }
            if let Some((policy, about)) = &layer.policy
                && let Some(refusal) = policy.decide(about, &facts, now)
            {
                let denial = layer.denial(subject(), policy, refusal, Some(&facts));
                tally.add(policy.mode(), denial);
            }
        }
        tally.verdict(file)
    }

    /// The earliest instant after `now` at which age may change what [`Self::decide_file`] answers.
    #[must_use]
    pub fn next_change(&self, candidate: &Candidate<'_>, now: Timestamp) -> Option<Timestamp> {
        if candidate.file.filename.project() != &self.project {
            return self.stack.next_change(candidate, now);
        }
        let member = self.stack.members().get(candidate.member)?;
        let facts = self.facts(member, candidate);
        let policies = self
            .layers_of(member)
            .filter_map(|layer| layer.policy.as_ref());
        policies
            .filter_map(|(policy, about)| policy.next_change(about, &facts, now))
            .min()
    }

    pub(super) fn stack(&self) -> &'a Stack {
        self.stack
    }

    /// The layers whose rules apply to a member's content.
    pub(super) fn layers_of(&self, member: &Member) -> impl Iterator<Item = &Layer<'a>> {
        member.layers.iter().map(|position| &self.layers[*position])
    }

    pub(super) fn facts<'f>(&self, member: &'f Member, candidate: &Candidate<'f>) -> Facts<'f>
    where
        'a: 'f,
    {
        let index = &member.index;
        Facts::new(
            candidate.file,
            index.mirror().map(|mirror| (&index.name, mirror.undated)),
            candidate.status,
            self.stack.advisories().about(&self.project),
        )
    }

    /// Why a member must not be asked; refusals of audited policies go to the tally.
    fn skip_reason(
        &self,
        member: &Member,
        keeper: Option<&IndexName>,
        now: Timestamp,
        tally: &mut Tally,
    ) -> Option<SkipReason> {
        let subject = || Subject::Project(self.project.clone());
        if let Some(denial) = self.owned(member, subject) {
            return Some(SkipReason::Owned(denial));
        }
        let mirror = member.index.is_mirror().then_some(&member.index.name);
        for layer in self.layers_of(member) {
            if let Some((list, Admission::Nothing)) = layer.whitelist.filter(|_| mirror.is_some()) {
                let rule = key(&layer.index.name, Some(list.location()), WHITELIST);
                tally.add(
                    Mode::Enforce,
                    Denial::new(subject(), Reason::NotListed, rule),
                );
            }
            if let Some((policy, about)) = &layer.policy
                && let Some(refusal) = policy.decide_name(about, mirror, now)
            {
                let denial = layer.denial(subject(), policy, refusal, None);
                tally.add(policy.mode(), denial);
            }
        }
        if let Some(denial) = tally.denied.take() {
            return Some(SkipReason::Denied(denial));
        }
        let keeper = keeper.filter(|_| mirror.is_some())?;
        Some(SkipReason::Private(keeper.clone()))
    }

    /// The refusal of a name that is reserved from this member.
    pub(super) fn owned(&self, member: &Member, subject: impl Fn() -> Subject) -> Option<Denial> {
        member.owners.iter().find_map(|owner| {
            let pattern = owner.owns().reserving(&self.project)?;
            let words = pattern_words(&pattern.value).into();
            let rule = key(&owner.name, Some(&pattern.location), OWNS);
            Some(Denial::new(
                subject(),
                Reason::Owned { pattern: words },
                rule,
            ))
        })
    }
}

impl Layer<'_> {
    /// The refusal of a mirror's file by the whitelist, if it refuses.
    fn pinned(&self, member: &Member, file: &File) -> Option<Denial> {
        let (list, admission) = self
            .whitelist
            .as_ref()
            .filter(|_| member.index.is_mirror())?;
        let reason = match (admission, file.hashes.sha256()) {
            (Admission::Any, _) => return None,
            (Admission::Nothing, _) => Reason::NotListed,
            (Admission::Files(_), None) => Reason::NoDigest,
            (Admission::Files(pinned), Some(digest)) if pinned.contains(&digest) => return None,
            (Admission::Files(_), Some(_)) => Reason::NotPinned,
        };
        let subject = Subject::File(file.filename.clone());
        let rule = key(&self.index.name, Some(list.location()), WHITELIST);
        Some(Denial::new(subject, reason, rule))
    }

    /// The refusal of a policy in words; `facts` are there when it is about a file.
    fn denial(
        &self,
        subject: Subject,
        policy: &Policy,
        refusal: Refusal<'_>,
        facts: Option<&Facts<'_>>,
    ) -> Denial {
        let (reason, location, matures) = match refusal {
            Refusal::Rule(rule) => {
                let conditions = rule.conditions();
                let advisory = facts.and_then(|facts| conditions.advisory(facts)).cloned();
                let words = rule.why();
                let matures = facts.and_then(|facts| conditions.matures(facts));
                (Reason::Rule { words, advisory }, rule.location(), matures)
            }
            Refusal::Lacks(rule, missing) => {
                let words = rule.why();
                (Reason::Lacks { missing, words }, rule.location(), None)
            }
            Refusal::Default(location) => (Reason::Default, location, None),
        };
        let rule = RuleId {
            location: Some(location.clone()),
            policy: Arc::clone(policy.name()),
            index: self.index.name.clone(),
        };
        Denial::new(subject, reason, rule)
            .on_block_is(policy.on_block())
            .maturing(matures)
    }
}

/// The id of what a key of an index says.
fn key(index: &IndexName, location: Option<&crate::model::Location>, name: &str) -> RuleId {
    RuleId {
        location: location.cloned(),
        policy: name.into(),
        index: index.clone(),
    }
}
