//! What one index of a stack says about a project, and how several such opinions are combined.

use std::sync::Arc;

use crate::advisory::Freshness;
use crate::language::{OnBlock, PolicyMode};
use crate::model::{IndexName, Location, ProjectName, Timestamp};
use crate::policy::facts::Facts;
use crate::policy::index::Index;
use crate::policy::rule::{Policy, RuleRefusal};
use crate::policy::verdict::{Allowed, Denial, Missing, Reason, RuleId, Subject, Verdict};
use crate::policy::whitelist::{Admission, Whitelist};

/// Stands in place of a policy's name for the key `whitelist`.
pub(super) const WHITELIST: &str = "whitelist";

/// Stands in place of a policy's name for the key `owns`.
pub const OWNS: &str = "owns";

/// The rules of one index about one project, which are looked up once for all its files.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    pub(super) index: &'a Arc<Index>,
    /// Its policy, and which of the rules name the project.
    pub(super) policy: Option<(&'a Arc<Policy>, Vec<u32>)>,
    /// Its whitelist, and what that lets through of the project.
    pub(super) whitelist: Option<(&'a Whitelist, Admission<'a>)>,
}

impl<'a> Layer<'a> {
    pub(super) fn new(index: &'a Arc<Index>, project: &ProjectName) -> Self {
        let policy = index.policy.as_ref();
        let whitelist = index.whitelist.as_ref();
        Self {
            index,
            policy: policy.map(|policy| (policy, policy.rules_about(project))),
            whitelist: whitelist.map(|list| (list, list.admission(project))),
        }
    }

    /// Judges, by name alone, what a mirror (with `None` a stage) may list for the project.
    pub(super) fn judge_name(
        &self,
        project: &ProjectName,
        mirror: Option<&IndexName>,
        now: Timestamp,
        tally: &mut Tally,
    ) {
        let subject = || Subject::Project(project.clone());
        if let Some((list, Admission::Nothing)) = self.whitelist.filter(|_| mirror.is_some()) {
            let rule = self.key(&list.location);
            tally.add(
                PolicyMode::Enforce,
                Denial::new(subject(), Reason::NotListed, rule),
            );
        }
        if let Some((policy, about)) = &self.policy
            && let Some(refusal) = policy.decide_name(about, mirror, now)
        {
            let denial = self.denial(subject(), policy, refusal, None, now);
            tally.add(policy.mode, denial);
        }
    }

    /// Judges one file.
    pub(super) fn judge_file(&self, facts: &Facts<'_>, now: Timestamp, tally: &mut Tally) {
        let subject = || Subject::File(facts.file.filename.clone());
        if let Some((list, reason)) = self.unlisted(facts) {
            let rule = self.key(&list.location);
            tally.add(PolicyMode::Enforce, Denial::new(subject(), reason, rule));
        }
        if let Some((policy, about)) = &self.policy
            && let Some(refusal) = policy.decide(about, facts, now)
        {
            let denial = self.denial(subject(), policy, refusal, Some(facts), now);
            tally.add(policy.mode, denial);
        }
    }

    /// Why the whitelist refuses a file; it does not apply to what a stage holds.
    pub(super) fn unlisted(&self, facts: &Facts<'_>) -> Option<(&'a Whitelist, Reason)> {
        let (list, admission) = self.whitelist.filter(|_| facts.mirror.is_some())?;
        let reason = match (admission, facts.file.hashes.sha256()) {
            (Admission::Any, _) => return None,
            (Admission::Nothing, _) => Reason::NotListed,
            (Admission::Files(_), None) => Reason::NoDigest,
            (Admission::Files(pinned), Some(digest)) if pinned.contains(&digest) => return None,
            (Admission::Files(_), Some(_)) => Reason::NotPinned,
        };
        Some((list, reason))
    }

    fn key(&self, location: &Location) -> RuleId {
        let policy: Arc<str> = WHITELIST.into();
        RuleId {
            name: Arc::clone(&policy),
            location: Some(location.clone()),
            policy,
            index: self.index.name.clone(),
        }
    }

    /// A policy's refusal in words; `facts` are given if it is about a file.
    fn denial(
        &self,
        subject: Subject,
        policy: &Policy,
        refusal: RuleRefusal<'_>,
        facts: Option<&Facts<'_>>,
        now: Timestamp,
    ) -> Denial {
        let (reason, (name, location), matures) = match refusal {
            RuleRefusal::Rule(rule) => {
                let conditions = &rule.conditions;
                let advisory = facts.and_then(|facts| conditions.advisory(facts)).cloned();
                let words = Arc::clone(&rule.why);
                let matures = facts.and_then(|facts| conditions.matures(facts));
                let reason = Reason::Rule { words, advisory };
                (reason, (&rule.name, &rule.location), matures)
            }
            RuleRefusal::Lacks(rule, missing) => {
                let words = Arc::clone(&rule.why);
                let doubt = facts.filter(|_| missing == Missing::Advisories);
                let doubt = doubt.and_then(|facts| facts.doubt(now));
                let reason = match doubt {
                    Some(feed) => Reason::Doubt(doubtful(feed, &words, now)),
                    None => Reason::Lacks { missing, words },
                };
                (reason, (&rule.name, &rule.location), None)
            }
            RuleRefusal::Default(location) => {
                (Reason::Default, (&policy.default_name, location), None)
            }
        };
        let rule = RuleId {
            name: Arc::clone(name),
            location: Some(location.clone()),
            policy: Arc::clone(&policy.name),
            index: self.index.name.clone(),
        };
        Denial {
            on_block: policy.on_block,
            matures,
            unconfirmed: facts.and_then(|facts| facts.grows_until),
            ..Denial::new(subject, reason, rule)
        }
    }
}

/// Why a rule refuses that cannot rely on its advisories, and where to look.
fn doubtful(feed: &Freshness, rule: &str, now: Timestamp) -> Arc<str> {
    let what = feed.words(now);
    let words = format!(
        "{what}, and a rule needs them: {rule}; the gateway's log says why, and its metric \
         cheesecloth_advisory_feed_age_seconds since when"
    );
    words.into()
}

/// What all policies together say about one thing.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// A refusal that takes effect.
    pub(super) denied: Option<Denial>,
    /// A refusal that is only recorded.
    pub(super) audited: Option<Denial>,
}

impl Tally {
    /// The first refusal is reported, unless a later one hides what it would list as yanked: a policy
    /// on top must not show what a base hides.
    pub(super) fn add(&mut self, mode: PolicyMode, denial: Denial) {
        let kept = match mode {
            PolicyMode::Enforce => &mut self.denied,
            PolicyMode::Audit => &mut self.audited,
        };
        let hides = denial.on_block == OnBlock::Hide;
        match kept {
            Some(first) if first.on_block == OnBlock::Yank && hides => *first = denial,
            Some(_) => {}
            None => *kept = Some(denial),
        }
    }

    pub(super) fn verdict<T>(self, item: T) -> Verdict<T> {
        match self.denied {
            Some(denial) => Verdict::Deny(denial),
            None => Verdict::Allow(Allowed::new(item, self.audited)),
        }
    }
}
