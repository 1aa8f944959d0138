//! Compiled policies: rules that answer yes, no, or "cannot be sure", in the order written.
//!
//! The first rule that matches a file decides. If a rule cannot be sure, because the file does not state
//! what it asks for, a `deny` counts as matching and an `allow` as not matching (fail closed). Before any
//! index is asked about a project, the same list is evaluated with the project's name alone.

use std::sync::Arc;

use crate::language::{
    DEFAULT, Effect, OnBlock, PolicyDocument, PolicyMode, RuleDocument, full_name, rule_names,
    words,
};
use crate::model::{Faults, IndexName, Location, ProjectName, Timestamp};
use crate::policy::condition::{Condition, Conditions, Fit};
use crate::policy::facts::Facts;
use crate::policy::lineage::{Lineage, Opinion};
use crate::policy::names::{HouseNames, Lookalikes, Names};
use crate::policy::verdict::Missing;

/// Most entries of a list that a rule's words spell out; the rest is counted.
const WORDS_ENTRIES_MAX: usize = 4;

/// One entry of `policies:`.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is written.
    pub location: Location,
    /// Whether its denials take effect.
    pub mode: PolicyMode,
    /// What pages do with what it denies.
    pub on_block: OnBlock,
    /// Where `default: deny` is written, if it is.
    pub default_deny: Option<Location>,
    /// What its default is called.
    pub default_name: Arc<str>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
    /// The projects that rules name, for all rules together; positions are those of `rules`.
    names: Names,
    /// Rules that name no project, ascending.
    unnamed: Vec<u32>,
    /// Whether some rule asks which versions are allowed.
    asks_for_lineage: bool,
}

/// One line of a policy.
#[derive(Debug)]
pub struct Rule {
    /// Where it is written.
    pub location: Location,
    /// What it is called: `policy/id`.
    pub name: Arc<str>,
    /// Its `id`, if the operator gave it one.
    id: Option<Arc<str>>,
    /// What it does with a file it matches.
    pub effect: Effect,
    /// The names that it is about, if it compares them with others.
    lookalikes: Option<Lookalikes>,
    pub(super) conditions: Conditions,
    /// The operator's reason.
    pub reason: Option<Arc<str>>,
    /// Why it refuses: the operator's words, or else its conditions. Written once, because a page may
    /// refuse thousands of files by one rule.
    pub(super) why: Arc<str>,
    /// The last instant at which it applies.
    pub until: Option<Timestamp>,
    /// Who is responsible for it.
    pub owner: Option<Arc<str>>,
    /// Where it was agreed.
    pub ticket: Option<Arc<str>>,
}

/// A rule's answer about one file of a project that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleAnswer {
    /// It decides.
    Decides,
    /// It refuses, because the file lacks something and the rule is a `deny`.
    RefusesWithout(Missing),
    /// It passes the file on to the next rule: it is an `allow`, and the file lacks something.
    PassesOverWithout(Missing),
    /// It does not match.
    Fails(Condition),
    /// Its `until` has passed.
    Expired,
}

/// A rule's answer about a project that it names, before any file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameAnswer {
    /// It denies whatever is listed.
    Refuses,
    /// It is an `allow` that some file may match, whatever its conditions.
    MayAllow,
    /// It denies some files.
    DependsOnFile,
    /// It is about other upstreams.
    OtherUpstream,
    /// Its `until` has passed.
    Expired,
}

/// Why a policy refuses.
#[derive(Debug, Clone, Copy)]
pub(super) enum RuleRefusal<'a> {
    /// A rule matched.
    Rule(&'a Rule),
    /// A rule could not be sure.
    Lacks(&'a Rule, Missing),
    /// No rule matched, and the default, which is written here, is to deny.
    Default(&'a Location),
}

impl Policy {
    /// Of a house that has these names.
    pub(super) fn compile(
        document: &PolicyDocument,
        house: &Arc<HouseNames>,
        faults: &mut Faults,
    ) -> Self {
        let numbered = || (0_u32..).zip(&document.rules);
        let patterns = numbered().flat_map(|(position, rule)| {
            let project = rule.matchers.project.iter();
            project.map(move |pattern| (position, pattern, &rule.location))
        });
        let names = Names::compile(patterns, faults);
        let unnamed = numbered()
            .filter(|(_, rule)| rule.matchers.project.is_empty())
            .map(|(position, _)| position)
            .collect();
        let rules = document.rules.iter().zip(rule_names(document, faults));
        let rules: Vec<Rule> = rules
            .map(|(rule, name)| Rule::compile(rule, name, house, faults))
            .collect();
        let asks_for_lineage = rules.iter().any(|rule| rule.conditions.asks_for_lineage());
        Self {
            name: document.name.value.as_str().into(),
            location: document.name.location.clone(),
            mode: document.mode,
            on_block: document.on_block,
            default_deny: document.default_deny.clone(),
            default_name: full_name(&document.name.value, DEFAULT),
            rules,
            names,
            unnamed,
            asks_for_lineage,
        }
    }

    /// The rules that name this project or none, ascending: all that can apply to it.
    pub(super) fn rules_about(&self, project: &ProjectName) -> Vec<u32> {
        let mut about = self.names.matching(project);
        about.extend(&self.unnamed);
        about.retain(|position| {
            let lookalikes = self.rules[*position as usize].lookalikes.as_ref();
            lookalikes.is_none_or(|lookalikes| lookalikes.contains(project))
        });
        about.sort_unstable();
        about
    }

    /// What the rules say about a file; `about` comes from [`Policy::rules_about`].
    pub(super) fn decide(
        &self,
        about: &[u32],
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> Option<RuleRefusal<'_>> {
        self.with_lineage(about, facts, now, |facts| {
            self.first_refusal(about, facts, now)
        })
    }

    /// Has something done with what is known of a file, to which the versions that the policy allows are
    /// added if a rule asks for them.
    pub(super) fn with_lineage<T>(
        &self,
        about: &[u32],
        facts: &Facts<'_>,
        now: Timestamp,
        work: impl FnOnce(&Facts<'_>) -> T,
    ) -> T {
        match facts.siblings.filter(|_| self.asks_for_lineage) {
            None => work(facts),
            Some(siblings) => {
                let key = (Arc::clone(&self.name), now, facts.grows_until);
                let lineage = siblings.lineage(key, |files| {
                    Lineage::of(files, |file, before| {
                        let facts = facts.of_sibling(file);
                        self.opinion(about, &facts.beside(before), now)
                    })
                });
                work(&facts.clone().beside(&lineage))
            }
        }
    }

    /// What the rules say about a file beside earlier versions only, and when that may change.
    fn opinion(
        &self,
        about: &[u32],
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> (Opinion, Option<Timestamp>) {
        let opinion = match self.first_refusal(about, facts, now) {
            None => Opinion::Allowed,
            Some(RuleRefusal::Rule(rule)) if rule.conditions.asks_for_advisories() => {
                Opinion::Warned
            }
            Some(RuleRefusal::Rule(_) | RuleRefusal::Lacks(..) | RuleRefusal::Default(_)) => {
                Opinion::Refused
            }
        };
        (opinion, self.next_of_rules(about, facts, now))
    }

    /// The same without looking for the versions that are allowed.
    pub(super) fn first_refusal(
        &self,
        about: &[u32],
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> Option<RuleRefusal<'_>> {
        for rule in self.select(about) {
            match rule.answer(facts, now) {
                RuleAnswer::Decides => return rule.refuses().then_some(RuleRefusal::Rule(rule)),
                RuleAnswer::RefusesWithout(missing) => {
                    return Some(RuleRefusal::Lacks(rule, missing));
                }
                RuleAnswer::PassesOverWithout(_) | RuleAnswer::Fails(_) | RuleAnswer::Expired => {}
            }
        }
        self.default_deny.as_ref().map(RuleRefusal::Default)
    }

    /// What the rules say, by name alone, about every file that a mirror (with `None` a stage) may list
    /// for a project. If nothing is refused here, files have to be judged one by one.
    pub(super) fn decide_name(
        &self,
        about: &[u32],
        mirror: Option<&IndexName>,
        now: Timestamp,
    ) -> Option<RuleRefusal<'_>> {
        for rule in self.select(about) {
            match rule.answer_name(mirror, now) {
                NameAnswer::Refuses => return Some(RuleRefusal::Rule(rule)),
                NameAnswer::MayAllow => return None,
                NameAnswer::DependsOnFile | NameAnswer::OtherUpstream | NameAnswer::Expired => {}
            }
        }
        self.default_deny.as_ref().map(RuleRefusal::Default)
    }

    /// The earliest instant after `now` at which age can change what a rule answers.
    pub(super) fn next_change(
        &self,
        about: &[u32],
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.with_lineage(about, facts, now, |facts| {
            self.next_of_rules(about, facts, now)
        })
    }

    /// The same without looking for the versions that are allowed.
    pub(super) fn next_of_rules(
        &self,
        about: &[u32],
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.select(about)
            .filter(|rule| rule.applies_at(now))
            .filter_map(|rule| rule.conditions.next_change(facts, now))
            .min()
    }

    /// Whether a rule among these asks how a file stands to others.
    pub(super) fn asks_for_siblings(&self, about: &[u32]) -> bool {
        let mut rules = self.select(about);
        rules.any(|rule| rule.conditions.asks_for_siblings())
    }

    /// The rules at these positions, in order.
    pub(super) fn select(&self, about: &[u32]) -> impl Iterator<Item = &Rule> {
        about.iter().map(|position| &self.rules[*position as usize])
    }
}

impl Rule {
    fn compile(
        document: &RuleDocument,
        name: Arc<str>,
        house: &Arc<HouseNames>,
        faults: &mut Faults,
    ) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Into::into);
        Self {
            location: document.location.clone(),
            name,
            id: document.id.as_ref().map(|id| id.value.as_str().into()),
            effect: document.effect,
            lookalikes: Lookalikes::compile(&document.matchers.similar_to, house),
            conditions: Conditions::compile(
                &document.matchers,
                document.effect,
                &document.location,
                faults,
            ),
            reason: text(&document.reason),
            why: why(document),
            until: document.until,
            owner: text(&document.owner),
            ticket: text(&document.ticket),
        }
    }

    /// The rule as one line: `deny: { project: requests, versions: <2.31 }`; long lists are shortened.
    #[must_use]
    pub fn words(&self) -> String {
        self.line(WORDS_ENTRIES_MAX)
    }

    /// The rule as one line with everything in it, so that two rules can be compared.
    pub(super) fn whole(&self) -> String {
        let mut line = self.line(usize::MAX);
        for (key, value) in [
            ("id", &self.id),
            ("reason", &self.reason),
            ("owner", &self.owner),
            ("ticket", &self.ticket),
        ] {
            if let Some(value) = value {
                line.push_str(&format!(", {key}: {value}"));
            }
        }
        line
    }

    /// The instant from which it no longer applies, if that lies ahead.
    pub(super) fn ends_after(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.until.filter(|until| *until >= now)?;
        until.checked_add(jiff::SignedDuration::from_nanos(1)).ok()
    }

    /// Its answer about a file whose project it names.
    pub(super) fn answer(&self, facts: &Facts<'_>, now: Timestamp) -> RuleAnswer {
        if !self.applies_at(now) {
            return RuleAnswer::Expired;
        }
        match (self.conditions.fit(facts, now), self.effect) {
            (Fit::Yes, _) => RuleAnswer::Decides,
            (Fit::Unsure(missing), Effect::Deny) => RuleAnswer::RefusesWithout(missing),
            (Fit::Unsure(missing), Effect::Allow) => RuleAnswer::PassesOverWithout(missing),
            (Fit::No(condition), _) => RuleAnswer::Fails(condition),
        }
    }

    /// Its answer about a project that it names, as far as one answer holds for all files that a mirror
    /// (with `None` a stage) may list.
    pub(super) fn answer_name(&self, mirror: Option<&IndexName>, now: Timestamp) -> NameAnswer {
        if !self.applies_at(now) {
            return NameAnswer::Expired;
        }
        if !self.conditions.concerns(mirror) {
            return NameAnswer::OtherUpstream;
        }
        match self.effect {
            Effect::Allow => NameAnswer::MayAllow,
            Effect::Deny if self.conditions.is_name_alone => NameAnswer::Refuses,
            Effect::Deny => NameAnswer::DependsOnFile,
        }
    }

    pub(super) fn refuses(&self) -> bool {
        self.effect == Effect::Deny
    }

    fn applies_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now <= until)
    }

    fn line(&self, entries_max: usize) -> String {
        let effect = match self.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let mut inner = words(&self.conditions.asked, entries_max);
        if let Some(until) = self.until {
            let comma = if inner.is_empty() { "" } else { ", " };
            inner.push_str(&format!("{comma}until: {until}"));
        }
        if inner.is_empty() {
            return format!("{effect}: {{}}");
        }
        format!("{effect}: {{ {inner} }}")
    }
}

fn why(document: &RuleDocument) -> Arc<str> {
    let conditions = words(&document.matchers, WORDS_ENTRIES_MAX);
    match &document.reason {
        Some(reason) => reason.as_str().into(),
        None if conditions.is_empty() => "the rule refuses everything".into(),
        None => conditions.into(),
    }
}

#[cfg(test)]
mod tests;
