//! Every rule that was evaluated, and what it said: the answer to "why?" for `explain`.
//!
//! The lines come from the same functions that decide, in the same order, so they cannot disagree with
//! them; a test compares the two.

use std::fmt;
use std::sync::Arc;

use crate::language::PolicyMode;
use crate::model::{IndexName, Location, ProjectName, Recall, Timestamp};
use crate::policy::condition::Conditions;
use crate::policy::decide::{ProjectView, Reservation};
use crate::policy::facts::Facts;
use crate::policy::layer::{Layer, OWNS, WHITELIST};
use crate::policy::recalls::{CalledBack, RECALL};
use crate::policy::rule::{NameAnswer, Rule, RuleAnswer};
use crate::policy::sources::keeper;
use crate::policy::stack::{Candidate, Member, Stack};
use crate::policy::verdict::Missing;
use crate::policy::whitelist::Admission;

/// Stands in place of a policy's name for devpi's rule about private names.
pub const MIRROR_WHITELIST: &str = "mirror_whitelist";

/// One rule, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceLine {
    /// Whose content is judged.
    pub member: IndexName,
    /// The index that applies the rule.
    pub layer: IndexName,
    /// The policy's name, or the key of the index: `whitelist`, `owns`, `mirror_whitelist`.
    pub policy: Arc<str>,
    /// What the rule is called.
    pub name: Arc<str>,
    /// Where the rule stands.
    pub location: Option<Location>,
    /// The rule as one line.
    pub words: String,
    /// What it says.
    pub outcome: Outcome,
    /// Why, if that is not obvious from the rule.
    pub why: Option<String>,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It lets the file pass, as far as its policy is concerned.
    Allows,
    /// It refuses.
    Denies,
    /// It would refuse, but its policy only audits.
    WouldDeny,
    /// It does not match, or cannot tell before a file is known.
    PassesOver,
    /// A rule above it in the same policy decided.
    NotReached,
}

impl TraceLine {
    /// Whether the rule lets the file pass, as far as its policy is concerned.
    #[must_use]
    pub fn allows(&self) -> bool {
        self.outcome == Outcome::Allows
    }
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allows => "allows",
            Self::Denies => "denies",
            Self::WouldDeny => "would deny",
            Self::PassesOver => "passes over",
            Self::NotReached => "not reached",
        }
    }

    fn denying(mode: PolicyMode) -> Self {
        match mode {
            PolicyMode::Enforce => Self::Denies,
            PolicyMode::Audit => Self::WouldDeny,
        }
    }
}

impl fmt::Display for TraceLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {} of {}",
            self.member, self.name, self.layer
        )?;
        if let Some(location) = &self.location {
            write!(formatter, " ({}:{})", location.file, location.line)?;
        }
        write!(formatter, ": {}: {}", self.words, self.outcome.as_str())?;
        match &self.why {
            Some(why) => write!(formatter, ", {why}"),
            None => Ok(()),
        }
    }
}

impl Stack {
    /// Why the members of the stack may or may not speak for a project.
    #[must_use]
    pub fn explain_project(
        &self,
        project: &ProjectName,
        now: Timestamp,
        holds: &dyn Fn(&IndexName) -> bool,
    ) -> Vec<TraceLine> {
        let view = self.view(project);
        let members = &self.members;
        let is_held = |member: &Member| !member.index.is_mirror() && holds(&member.index.name);
        let held: Vec<bool> = members.iter().map(is_held).collect();
        let keeper = keeper(members, project, &held);
        let mut lines = Vec::new();
        for (position, member) in members.iter().enumerate() {
            lines.extend(recalled(&view, member));
            lines.extend(reserved(&view, position, member));
            let mirror = member.index.is_mirror().then_some(&member.index.name);
            for layer in view.layers_of(member) {
                if let Some((_, admission)) = layer.whitelist.filter(|_| mirror.is_some()) {
                    let (outcome, why) = match admission {
                        Admission::Any => (Outcome::Allows, None),
                        Admission::Nothing => (Outcome::Denies, Some("the name is not listed")),
                        Admission::Files(_) => (Outcome::PassesOver, Some("some files are pinned")),
                    };
                    lines.push(whitelist(member, layer, outcome, why));
                }
                lines.extend(rules(member, layer, |rule| by_name(rule, mirror, now)));
            }
            if let Some(keeper) = keeper.filter(|_| mirror.is_some()) {
                let words = "a name that a stage holds is not taken from mirrors";
                lines.push(TraceLine {
                    outcome: Outcome::Denies,
                    why: Some(format!("{keeper} holds {project}")),
                    ..line(member, (keeper, MIRROR_WHITELIST.into()), None, words)
                });
            }
        }
        lines
    }
}

impl ProjectView<'_> {
    /// Why a file of the project passes or not; empty for a member outside the stack.
    #[must_use]
    pub fn explain_file(&self, candidate: &Candidate<'_>, now: Timestamp) -> Vec<TraceLine> {
        let Some(member) = self.stack().members.get(candidate.member) else {
            return Vec::new();
        };
        let facts = self.facts(member, candidate);
        let mut lines = Vec::new();
        if let Some(CalledBack { recall, missing }) = self.recalls().of_file(candidate.file) {
            let why = match missing {
                Some(missing) => format!("it has {}: {}", missing.words(), recall.reason),
                None => recall.reason.to_string(),
            };
            lines.push(of_recall(self, member, recall, (Outcome::Denies, why)));
        }
        lines.extend(reserved(self, candidate.member, member));
        for layer in self.layers_of(member) {
            if layer.whitelist.is_some() && facts.mirror.is_some() {
                let (outcome, why) = match layer.unlisted(&facts) {
                    Some((_, reason)) => (Outcome::Denies, Some(reason.words())),
                    None => (Outcome::Allows, None),
                };
                lines.push(whitelist(member, layer, outcome, why.as_deref()));
            }
            if let Some((policy, about)) = &layer.policy {
                lines.extend(policy.with_lineage(about, &facts, now, |facts| {
                    rules(member, layer, |rule| by_file(rule, facts, now))
                }));
            }
        }
        lines
    }
}

/// What one rule says: whether that decides, and why.
struct Said {
    decides: bool,
    refuses: bool,
    why: Option<String>,
}

impl Said {
    fn decides(refuses: bool, why: Option<String>) -> Self {
        Self {
            decides: true,
            refuses,
            why,
        }
    }

    fn passes_over(why: String) -> Self {
        Self {
            decides: false,
            refuses: false,
            why: Some(why),
        }
    }
}

fn by_file(rule: &Rule, facts: &Facts<'_>, now: Timestamp) -> Said {
    let lacks = |missing: Missing| match facts.doubt(now).filter(|_| missing == Missing::Advisories)
    {
        Some(feed) => feed.words(now),
        None => format!("it has {}", missing.words()),
    };
    match rule.answer(facts, now) {
        RuleAnswer::Decides => {
            Said::decides(rule.refuses(), reasoned(rule, rule.conditions.found(facts)))
        }
        RuleAnswer::RefusesWithout(missing) => {
            Said::decides(true, reasoned(rule, Some(lacks(missing))))
        }
        RuleAnswer::PassesOverWithout(missing) => Said::passes_over(lacks(missing)),
        RuleAnswer::Fails(condition) => Said::passes_over(Conditions::why_not(condition, facts)),
        RuleAnswer::Expired => Said::passes_over("it is over".to_owned()),
    }
}

/// Why a rule decides: what it found, and the operator's reason.
fn reasoned(rule: &Rule, found: Option<String>) -> Option<String> {
    match (found, &rule.reason) {
        (Some(found), Some(reason)) => Some(format!("{found}: {reason}")),
        (found, reason) => found.or(reason.as_ref().map(ToString::to_string)),
    }
}

fn by_name(rule: &Rule, mirror: Option<&IndexName>, now: Timestamp) -> Said {
    match rule.answer_name(mirror, now) {
        NameAnswer::Refuses => Said::decides(true, reasoned(rule, None)),
        NameAnswer::MayAllow => Said::decides(false, Some("some files may pass".to_owned())),
        NameAnswer::DependsOnFile => Said::passes_over("it depends on the file".to_owned()),
        NameAnswer::OtherUpstream => Said::passes_over("it is about another upstream".to_owned()),
        NameAnswer::Expired => Said::passes_over("it is over".to_owned()),
    }
}

/// A line for each rule of a layer's policy, and for its default.
fn rules(member: &Member, layer: &Layer<'_>, say: impl Fn(&Rule) -> Said) -> Vec<TraceLine> {
    let Some((policy, about)) = &layer.policy else {
        return Vec::new();
    };
    let whose = || (&layer.index.name, Arc::clone(&policy.name));
    let mut lines = Vec::new();
    let mut is_decided = false;
    for (position, rule) in (0_u32..).zip(&policy.rules) {
        let (outcome, why) = if is_decided {
            (Outcome::NotReached, None)
        } else if about.binary_search(&position).is_err() {
            (
                Outcome::PassesOver,
                Some("it names other projects".to_owned()),
            )
        } else {
            let said = say(rule);
            is_decided = said.decides;
            let outcome = match (said.decides, said.refuses) {
                (true, true) => Outcome::denying(policy.mode),
                (true, false) => Outcome::Allows,
                (false, _) => Outcome::PassesOver,
            };
            (outcome, said.why)
        };
        let words = rule.words();
        lines.push(TraceLine {
            outcome,
            why,
            name: Arc::clone(&rule.name),
            ..line(member, whose(), Some(&rule.location), words)
        });
    }
    let (words, otherwise) = match &policy.default_deny {
        Some(_) => ("default: deny", Outcome::denying(policy.mode)),
        None => ("default: allow", Outcome::Allows),
    };
    let outcome = match is_decided {
        true => Outcome::NotReached,
        false => otherwise,
    };
    lines.push(TraceLine {
        outcome,
        name: Arc::clone(&policy.default_name),
        ..line(member, whose(), policy.default_deny.as_ref(), words)
    });
    lines
}

/// A rule about a member's content: which index applies it, and by which policy or key.
fn line(
    member: &Member,
    (layer, policy): (&IndexName, Arc<str>),
    location: Option<&Location>,
    words: impl Into<String>,
) -> TraceLine {
    TraceLine {
        member: member.index.name.clone(),
        layer: layer.clone(),
        name: Arc::clone(&policy),
        policy,
        location: location.cloned(),
        words: words.into(),
        outcome: Outcome::PassesOver,
        why: None,
    }
}

fn whitelist(member: &Member, layer: &Layer<'_>, outcome: Outcome, why: Option<&str>) -> TraceLine {
    let list = layer.whitelist.map(|(list, _)| list);
    let entries = list.map_or(0, |list| list.entries());
    let (whose, words) = (
        (&layer.index.name, WHITELIST.into()),
        format!("{entries} entries"),
    );
    TraceLine {
        outcome,
        why: why.map(str::to_owned),
        ..line(member, whose, list.map(|list| &list.location), words)
    }
}

/// What recalls say of everything that a member may list.
fn recalled(view: &ProjectView<'_>, member: &Member) -> Vec<TraceLine> {
    let whole = view.recalls().of_project().map(|whole| {
        let why = whole.recall.reason.to_string();
        of_recall(view, member, whole.recall, (Outcome::Denies, why))
    });
    let releases = view.recalls().of_releases().map(|recall| {
        let why = "it depends on the file".to_owned();
        of_recall(view, member, recall, (Outcome::PassesOver, why))
    });
    whole.into_iter().chain(releases).collect()
}

fn of_recall(
    view: &ProjectView<'_>,
    member: &Member,
    recall: &Recall,
    (outcome, why): (Outcome, String),
) -> TraceLine {
    let whose = (&view.stack().asked.name, RECALL.into());
    TraceLine {
        name: recall.name(),
        outcome,
        why: Some(why),
        ..line(member, whose, None, format!("recalled: {}", recall.subject))
    }
}

/// The line of the reservation that keeps the name from a member, if there is one.
fn reserved(view: &ProjectView<'_>, position: usize, member: &Member) -> Vec<TraceLine> {
    let line = view.reservation(position).map(|reservation| {
        let Reservation { owner, pattern } = reservation;
        let (whose, words) = ((&owner.name, OWNS.into()), pattern.value.to_string());
        TraceLine {
            name: reservation.name(),
            outcome: Outcome::Denies,
            why: Some("reserved names never come from a mirror".to_owned()),
            ..line(member, whose, Some(&pattern.location), words)
        }
    });
    line.into_iter().collect()
}

#[cfg(test)]
mod tests;
