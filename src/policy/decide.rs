//! The rules of a stack about one project: looked up once, then asked for each of its files.
//!
//! This is the one place where anything is decided. A page, a file and a sidecar all come here, so that
//! whatever the page hides is refused as a file. Who is asked at all is decided in `sources`.

use std::sync::Arc;

use crate::advisory::Advisory;
use crate::language::{NamePattern, OnBlock, Placed, Undated, full_name};
use crate::model::{File, IndexName, ProjectName, Timestamp};
use crate::policy::facts::Facts;
use crate::policy::index::Index;
use crate::policy::layer::{Layer, OWNS, Tally};
use crate::policy::recalls::RecallsAbout;
use crate::policy::rule::Policy;
use crate::policy::siblings::{ListedFiles, Siblings};
use crate::policy::sources::{SkipReason, Skipped, Sources, keeper};
use crate::policy::stack::{Candidate, Member, Stack};
use crate::policy::verdict::{Allowed, Denial, Reason, RuleId, Subject, Verdict};

/// The rules of a stack about one project.
#[derive(Debug)]
pub struct ProjectView<'a> {
    stack: &'a Stack,
    project: ProjectName,
    layers: Vec<Layer<'a>>,
    /// The recalls that may be about it.
    recalls: RecallsAbout<'a>,
    /// For each member, what reserves the name from it.
    reserved: Vec<Option<Reservation<'a>>>,
    /// Members whose upstream cannot be asked, and since when.
    silent: &'a [(usize, Timestamp)],
    /// What members list of the project, as far as that is known.
    siblings: Vec<(usize, Siblings<'a>)>,
    /// The advisories about the project.
    advisories: Vec<Advisory>,
}

/// An entry of an `owns` that reserves a name, and the index that has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reservation<'a> {
    pub(super) owner: &'a Arc<Index>,
    pub(super) pattern: &'a Placed<NamePattern>,
}

impl<'a> ProjectView<'a> {
    pub(super) fn new(stack: &'a Stack, project: &ProjectName) -> Self {
        let layers = stack.layers.iter();
        let reserved = |member: &'a Member| {
            member.owners.iter().find_map(|owner| {
                let pattern = owner.owns.reserving(project)?;
                Some(Reservation { owner, pattern })
            })
        };
        Self {
            stack,
            project: project.clone(),
            layers: layers.map(|index| Layer::new(index, project)).collect(),
            recalls: stack.recalls.about(project),
            reserved: stack.members.iter().map(reserved).collect(),
            silent: &[],
            siblings: Vec::new(),
            advisories: stack.advisories.about(project),
        }
    }

    /// The same, knowing what members list of the project: some rules ask how a file stands to others.
    #[must_use]
    pub fn among(mut self, listings: impl IntoIterator<Item = ListedFiles<'a>>) -> Self {
        let siblings = listings.into_iter().filter_map(|listing| {
            let member = self.stack.members.get(listing.member)?;
            Some((
                listing.member,
                Siblings::new(listing.files, undated(member)),
            ))
        });
        self.siblings = siblings.collect();
        self
    }

    /// Whether some rule of the stack asks how a file of the project stands to others.
    #[must_use]
    pub fn asks_for_siblings(&self) -> bool {
        self.policies()
            .any(|(policy, about)| policy.asks_for_siblings(about))
    }

    /// The policies of the stack, each with its rules about the project.
    pub(super) fn policies(&self) -> impl Iterator<Item = &(&'a Arc<Policy>, Vec<u32>)> {
        self.layers.iter().filter_map(|layer| layer.policy.as_ref())
    }

    /// The same while some upstreams cannot be asked. What such a member lists may have been taken down
    /// since, so none of its files grows old enough to pass meanwhile
    /// (docs/adr/0032-nothing-matures-unconfirmed.md).
    #[must_use]
    pub fn while_silent(mut self, silent: &'a [(usize, Timestamp)]) -> Self {
        self.silent = silent;
        self
    }

    /// The stack it was made of.
    #[must_use]
    pub fn stack(&self) -> &'a Stack {
        self.stack
    }

    /// Who may speak for the project. `holds` says whether a stage holds it, including names that are only
    /// registered; it is called once for each stage.
    ///
    /// Denied if nobody may speak and a member was refused: that is a 451. Allowed with nobody to ask means
    /// that no member knows the project.
    #[must_use]
    pub fn decide_project(
        &self,
        now: Timestamp,
        holds: &dyn Fn(&IndexName) -> bool,
    ) -> Verdict<Sources> {
        let members = &self.stack.members;
        let is_held = |member: &Member| !member.index.is_mirror() && holds(&member.index.name);
        let held: Vec<bool> = members.iter().map(is_held).collect();
        let keeper = keeper(members, &self.project, &held);
        let mut audited = None;
        let (mut ask, mut skipped) = (Vec::new(), Vec::new());
        for (position, member) in members.iter().enumerate() {
            let tally = self.judge_name(position, member, now);
            audited = audited.or(tally.audited);
            let denied = tally.denied.map(|denial| self.asking(denial));
            let keeper = keeper.filter(|_| member.index.is_mirror()).cloned();
            let reserved = self.reserved[position].is_some();
            let reason = match denied {
                Some(denial) if reserved => Some(SkipReason::Owned(denial)),
                Some(denial) => Some(SkipReason::Denied(denial)),
                None => keeper.map(SkipReason::Private),
            };
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
    /// What was recalled does not, whatever the rules say. In each policy that applies the first matching
    /// rule decides; one denial is enough.
    #[must_use]
    pub fn decide_file<'f>(&self, candidate: &Candidate<'f>, now: Timestamp) -> Verdict<&'f File> {
        match self.judge_file(candidate, now) {
            Verdict::Deny(denial) => Verdict::Deny(self.asking(denial)),
            Verdict::Allow(allowed) => Verdict::Allow(allowed),
        }
    }

    /// A refusal that says where to ask for an exception.
    fn asking(&self, denial: Denial) -> Denial {
        denial.asking(self.stack.ask.as_ref(), &self.stack.asked.name)
    }

    fn judge_file<'f>(&self, candidate: &Candidate<'f>, now: Timestamp) -> Verdict<&'f File> {
        let file = candidate.file;
        if *file.filename.project() != self.project {
            let other = self.stack.view(file.filename.project());
            return other.while_silent(self.silent).decide_file(candidate, now);
        }
        let subject = || Subject::File(file.filename.clone());
        let Some(member) = self.stack.members.get(candidate.member) else {
            let rule = RuleId {
                name: "stack".into(),
                location: None,
                policy: "stack".into(),
                index: self.stack.asked.name.clone(),
            };
            return Verdict::Deny(Denial::new(subject(), Reason::Outside, rule));
        };
        if let Some(recalled) = self.recalls.of_file(file) {
            return Verdict::Deny(Denial {
                on_block: self.on_recall(member),
                ..recalled.denial(subject(), &self.stack.asked.name)
            });
        }
        if let Some(reservation) = self.reserved[candidate.member] {
            return Verdict::Deny(reservation.denial(subject()));
        }
        let mut tally = Tally::default();
        let facts = self.facts(member, candidate);
        for layer in self.layers_of(member) {
            layer.judge_file(&facts, now, &mut tally);
        }
        if tally.denied.is_none()
            && let Some(since) = self.silent_since(candidate.member)
        {
            let facts = facts.grown_until(since);
            for layer in self.layers_of(member) {
                layer.judge_file(&facts, now, &mut tally);
            }
        }
        tally.verdict(file)
    }

    /// What pages do with a recalled file of a member: list it as yanked, since that brings the reason to
    /// whoever asks for it, unless a policy would hide what it refuses.
    fn on_recall(&self, member: &Member) -> OnBlock {
        let policies = self
            .layers_of(member)
            .filter_map(|layer| layer.policy.as_ref());
        let hides = |on_block: &OnBlock| *on_block == OnBlock::Hide;
        let hiding = policies.map(|(policy, _)| policy.on_block).find(hides);
        hiding.unwrap_or(OnBlock::Yank)
    }

    fn silent_since(&self, member: usize) -> Option<Timestamp> {
        let mut silent = self.silent.iter();
        let (_, since) = silent.find(|(silent, _)| *silent == member)?;
        Some(*since)
    }

    /// The earliest instant after `now` at which age may change what [`Self::decide_file`] answers.
    #[must_use]
    pub fn next_change(&self, candidate: &Candidate<'_>, now: Timestamp) -> Option<Timestamp> {
        if *candidate.file.filename.project() != self.project {
            return self.stack.next_change(candidate, now);
        }
        let member = self.stack.members.get(candidate.member)?;
        let facts = self.facts(member, candidate);
        let policies = self
            .layers_of(member)
            .filter_map(|layer| layer.policy.as_ref());
        let changes = policies.filter_map(|(policy, about)| policy.next_change(about, &facts, now));
        changes.min()
    }

    /// Whether a member must not be asked because of the name alone.
    #[cfg(test)]
    pub(super) fn refuses_name(&self, position: usize, now: Timestamp) -> bool {
        let member = &self.stack.members[position];
        self.judge_name(position, member, now).denied.is_some()
    }

    /// What the rules say about everything that a member may list for the project.
    fn judge_name(&self, position: usize, member: &Member, now: Timestamp) -> Tally {
        let mut tally = Tally::default();
        if let Some(recalled) = self.recalls.of_project() {
            let subject = Subject::Project(self.project.clone());
            tally.denied = Some(recalled.denial(subject, &self.stack.asked.name));
            return tally;
        }
        if let Some(reservation) = self.reserved[position] {
            let subject = Subject::Project(self.project.clone());
            tally.denied = Some(reservation.denial(subject));
            return tally;
        }
        let mirror = member.index.is_mirror().then_some(&member.index.name);
        for layer in self.layers_of(member) {
            layer.judge_name(&self.project, mirror, now, &mut tally);
        }
        tally
    }

    /// The layers whose rules apply to a member's content.
    pub(super) fn layers_of(&self, member: &Member) -> impl Iterator<Item = &Layer<'a>> {
        member.layers.iter().map(|position| &self.layers[*position])
    }

    /// What reserves the name from a member.
    pub(super) fn reservation(&self, position: usize) -> Option<Reservation<'a>> {
        self.reserved.get(position).copied().flatten()
    }

    /// The recalls that may be about the project, and what of it each covers.
    pub(super) fn recalls(&self) -> &RecallsAbout<'a> {
        &self.recalls
    }

    /// What rules may ask about a file of a member.
    pub(super) fn facts<'f>(&'f self, member: &'f Member, candidate: &Candidate<'f>) -> Facts<'f>
    where
        'a: 'f,
    {
        let mut siblings = self.siblings.iter();
        let siblings = siblings.find(|(at, _)| *at == candidate.member);
        let facts = Facts::new(
            candidate.file,
            undated(member),
            candidate.status,
            &self.advisories,
        );
        let facts = facts.relying_on(&self.stack.advisories);
        facts.among(siblings.map(|(_, siblings)| siblings))
    }
}

/// The mirror that a member is, and what it says of undated files.
fn undated(member: &Member) -> Option<(&IndexName, Undated)> {
    let index = &member.index;
    let mirror = index.mirror()?;
    Some((&index.name, mirror.undated()))
}

impl Reservation<'_> {
    /// What the entry is called.
    pub(super) fn name(self) -> Arc<str> {
        full_name(OWNS, &self.pattern.value.to_string())
    }

    fn denial(self, subject: Subject) -> Denial {
        let pattern: Arc<str> = self.pattern.value.to_string().into();
        let rule = RuleId {
            name: self.name(),
            location: Some(self.pattern.location.clone()),
            policy: OWNS.into(),
            index: self.owner.name.clone(),
        };
        Denial::new(subject, Reason::Owned { pattern }, rule)
    }
}

#[cfg(test)]
mod tests;
