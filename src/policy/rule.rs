//! Policies made ready: rules that answer yes, no, or "cannot be sure", in the order written.
//!
//! The first rule that matches a file decides. When it cannot be sure, because the file does not
//! state what the rule asks for, a `deny` counts as matching and an `allow` as not (fail closed).
//! Before anybody is asked about a project, the same list is walked with its name alone.

use std::sync::Arc;

use crate::model::{Faults, IndexName, Location, ProjectName, Timestamp};
use crate::policy::condition::{Condition, Conditions, Facts, Fit};
use crate::policy::document::{Effect, OnBlock, PolicyDocument, PolicyMode, RuleDocument};
use crate::policy::names::Names;
use crate::policy::words::words;

/// Most entries of a list that a rule's words spell out; the rest is counted.
const WORDS_ENTRIES_MAX: usize = 4;

/// One entry of `policies:`.
#[derive(Debug)]
pub struct Policy {
    name: Arc<str>,
    location: Location,
    mode: PolicyMode,
    on_block: OnBlock,
    default_deny: Option<Location>,
    rules: Vec<Rule>,
    /// The projects that rules name, all rules together; positions are those of `rules`.
    names: Names,
    /// Rules that name no project, ascending.
    unnamed: Vec<u32>,
}

/// One line of a policy.
#[derive(Debug)]
pub struct Rule {
    location: Location,
    effect: Effect,
    conditions: Conditions,
    reason: Option<Arc<str>>,
    /// Written once, because a page may refuse thousands of files by one rule.
    why: Arc<str>,
    until: Option<Timestamp>,
    owner: Option<Arc<str>>,
    ticket: Option<Arc<str>>,
}

/// How a rule answers about one file of a project that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleAnswer {
    /// It decides.
    Decides,
    /// It refuses, because the file lacks something and the rule is a `deny`.
    RefusesWithout(crate::policy::verdict::Missing),
    /// It lets the file go on: it is an `allow`, and the file lacks something.
    PassesOverWithout(crate::policy::verdict::Missing),
    /// It does not match.
    Fails(Condition),
    /// Its `until` is over.
    Expired,
}

/// How a rule answers about a project that it names, before any file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameAnswer {
    /// It denies whatever is listed.
    Refuses,
    /// It allows, and some file may be what it allows, whatever its conditions are.
    MayAllow,
    /// It denies some files.
    DependsOnFile,
    /// It is about other upstreams.
    OtherUpstream,
    /// Its `until` is over.
    Expired,
}

/// Why a policy refuses.
#[derive(Debug, Clone, Copy)]
pub(super) enum RuleRefusal<'a> {
    /// A rule matched.
    Rule(&'a Rule),
    /// A rule could not be sure.
    Lacks(&'a Rule, crate::policy::verdict::Missing),
    /// No rule matched, and the default is to deny; with where that is written.
    Default(&'a Location),
}

impl Policy {
    pub(super) fn compile(document: &PolicyDocument, faults: &mut Faults) -> Self {
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
        let rules = document.rules.iter();
        Self {
            name: document.name.value.as_str().into(),
            location: document.name.location.clone(),
            mode: document.mode,
            on_block: document.on_block,
            default_deny: document.default_deny.clone(),
            rules: rules.map(|rule| Rule::compile(rule, faults)).collect(),
            names,
            unnamed,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it is written.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Whether its denials take effect.
    #[must_use]
    pub fn mode(&self) -> PolicyMode {
        self.mode
    }

    /// What pages do with what it denies.
    #[must_use]
    pub fn on_block(&self) -> OnBlock {
        self.on_block
    }

    /// Where `default: deny` is written, if it is.
    #[must_use]
    pub fn default_deny(&self) -> Option<&Location> {
        self.default_deny.as_ref()
    }

    /// Its rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules that name this project or none, ascending: all that can decide about it.
    pub(super) fn rules_about(&self, project: &ProjectName) -> Vec<u32> {
        let mut about = self.names.matching(project);
        about.extend(&self.unnamed);
        about.sort_unstable();
        about
    }

    /// What the rules say of a file; `about` comes from [`Policy::rules_about`].
    pub(super) fn decide(
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

    /// What the rules say of every file that a mirror (nothing: a stage) may list for a project, on
    /// the name alone. Nothing refused here means that files have to be looked at one by one.
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
        self.select(about)
            .filter(|rule| rule.applies_at(now))
            .filter_map(|rule| rule.conditions.next_change(facts, now))
            .min()
    }

    fn select(&self, about: &[u32]) -> impl Iterator<Item = &Rule> {
        about.iter().map(|position| &self.rules[*position as usize])
    }
}

impl Rule {
    fn compile(document: &RuleDocument, faults: &mut Faults) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Into::into);
        Self {
            location: document.location.clone(),
            effect: document.effect,
            conditions: Conditions::compile(&document.matchers, &document.location, faults),
            reason: text(&document.reason),
            why: why(document),
            until: document.until,
            owner: text(&document.owner),
            ticket: text(&document.ticket),
        }
    }

    /// Where it is written.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// What it does with a file it matches.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The operator's reason.
    #[must_use]
    pub fn reason(&self) -> Option<&Arc<str>> {
        self.reason.as_ref()
    }

    /// The last instant at which it applies.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Who answers for it.
    #[must_use]
    pub fn owner(&self) -> Option<&Arc<str>> {
        self.owner.as_ref()
    }

    /// Where it was agreed.
    #[must_use]
    pub fn ticket(&self) -> Option<&Arc<str>> {
        self.ticket.as_ref()
    }

    /// The rule as one line: `deny: { project: requests, versions: <2.31 }`; long lists are cut.
    #[must_use]
    pub fn words(&self) -> String {
        self.line(WORDS_ENTRIES_MAX)
    }

    /// The rule as one line with everything in it, so that two rules can be compared.
    pub(super) fn whole(&self) -> String {
        let mut line = self.line(usize::MAX);
        for (key, value) in [
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

    /// Why it refuses: the operator's words, else its conditions.
    pub(super) fn why(&self) -> &Arc<str> {
        &self.why
    }

    /// The instant from which it applies no longer, if that is still to come.
    pub(super) fn ends_after(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.until.filter(|until| *until >= now)?;
        until.checked_add(jiff::SignedDuration::from_nanos(1)).ok()
    }

    pub(super) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// How it answers about a file whose project it names.
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

    /// How it answers about a project that it names, as far as that can be said of all files that a
    /// mirror (nothing: a stage) may list.
    pub(super) fn answer_name(&self, mirror: Option<&IndexName>, now: Timestamp) -> NameAnswer {
        if !self.applies_at(now) {
            return NameAnswer::Expired;
        }
        if !self.conditions.concerns(mirror) {
            return NameAnswer::OtherUpstream;
        }
        match self.effect {
            Effect::Allow => NameAnswer::MayAllow,
            Effect::Deny if self.conditions.is_name_alone() => NameAnswer::Refuses,
            Effect::Deny => NameAnswer::DependsOnFile,
        }
    }

    pub(super) fn refuses(&self) -> bool {
        match self.effect {
            Effect::Deny => true,
            Effect::Allow => false,
        }
    }

    fn applies_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now <= until)
    }

    fn line(&self, entries_max: usize) -> String {
        let effect = match self.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let mut inner = words(self.conditions.asked(), entries_max);
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{File, Kind, ProjectState};
    use crate::policy::document::{Matchers, Undated};
    use crate::policy::sample::{allow, at, deny, file, index, of, place, policy, project};
    use crate::policy::verdict::Missing;

    const NOW: &str = "2026-01-05T00:00:00Z";

    fn compile(rules: Vec<RuleDocument>, default_deny: bool) -> Policy {
        let mut document = policy("corporate", rules);
        document.default_deny = default_deny.then(|| place(3));
        let mut faults = Faults::default();
        let policy = Policy::compile(&document, &mut faults);
        faults.or(policy).unwrap()
    }

    /// Line of the refusal, or nothing.
    fn line(refusal: Option<RuleRefusal<'_>>) -> Option<u32> {
        refusal.map(|refusal| match refusal {
            RuleRefusal::Rule(rule) | RuleRefusal::Lacks(rule, _) => rule.location().line,
            RuleRefusal::Default(location) => location.line,
        })
    }

    fn decide(policy: &Policy, file: &File, now: &str) -> Option<u32> {
        let mirror = index("root/pypi");
        let facts = Facts::new(
            file,
            Some((&mirror, Undated::Deny)),
            ProjectState::Active,
            &[],
        );
        let about = policy.rules_about(file.filename.project());
        line(policy.decide(&about, &facts, at(now)))
    }

    fn week(projects: &[&str]) -> Matchers {
        Matchers {
            younger_than: Some(Duration::from_hours(7 * 24)),
            ..of(projects)
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = compile(
            vec![
                allow(of(&["six", "django-*"])).until("2026-01-31T00:00:00Z"),
                deny(of(&["/^py-?thon/"])),
                deny(week(&[])),
                allow(of(&["late"])),
            ],
            false,
        );
        let table = [
            ("six-1.tar.gz", "six", NOW, None),
            ("django-x-1.tar.gz", "django-x", NOW, None),
            ("python-1.tar.gz", "python", NOW, Some(11)),
            ("late-1.tar.gz", "late", NOW, Some(12)),
            ("late-1.tar.gz", "late", "2026-01-08T00:00:00Z", None),
        ];
        for (name, project, now, expected) in table {
            assert_eq!(
                decide(&policy, &file(name, project), now),
                expected,
                "{name} at {now}"
            );
        }
    }

    #[test]
    fn an_expired_rule_stops_applying_at_its_instant() {
        let until = "2026-01-31T12:00:00Z";
        let policy = compile(vec![allow(of(&["six"])).until(until)], true);
        let six = file("six-1.tar.gz", "six");
        assert_eq!(decide(&policy, &six, until), None);
        let ends = policy.rules()[0].ends_after(at(NOW)).unwrap();
        assert_eq!(decide(&policy, &six, &ends.to_string()), Some(3));
        assert_eq!(policy.rules()[0].ends_after(ends), None);
    }

    #[test]
    fn default_deny_refuses_what_no_rule_allows() {
        let policy = compile(vec![allow(of(&["six"])), deny(of(&["seven"]))], true);
        assert_eq!(decide(&policy, &file("six-1.zip", "six"), NOW), None);
        assert_eq!(
            decide(&policy, &file("seven-1.zip", "seven"), NOW),
            Some(11)
        );
        assert_eq!(decide(&policy, &file("eight-1.zip", "eight"), NOW), Some(3));
    }

    #[test]
    fn without_a_date_a_deny_refuses_and_an_allow_does_not_match() {
        let mut undated = file("six-1.zip", "six");
        undated.upload_time = None;
        let refusing = compile(vec![deny(week(&[]))], false);
        assert_eq!(decide(&refusing, &undated, NOW), Some(10));
        let old = Matchers {
            older_than: Some(Duration::from_hours(24)),
            ..Matchers::default()
        };
        let allowing = compile(vec![allow(old)], true);
        assert_eq!(decide(&allowing, &undated, NOW), Some(3));
        assert_eq!(decide(&allowing, &file("six-1.zip", "six"), NOW), None);
        let named = compile(vec![deny(week(&["seven"]))], false);
        assert_eq!(decide(&named, &undated, NOW), None);
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let mut unsized_file = file("six-1.zip", "six");
        unsized_file.size = None;
        let large = Matchers {
            size_over: Some(1),
            ..Matchers::default()
        };
        let policy = compile(vec![deny(large)], false);
        let facts = Facts::new(&unsized_file, None, ProjectState::Active, &[]);
        let refusal = policy.decide(&[0], &facts, at(NOW)).unwrap();
        assert!(
            matches!(refusal, RuleRefusal::Lacks(_, Missing::Size)),
            "{refusal:?}"
        );
    }

    #[test]
    fn a_name_alone_is_refused_only_when_no_file_could_pass() {
        let wheels = Matchers {
            kind: vec![Kind::Sdist],
            ..of(&["six"])
        };
        let upstream = Matchers {
            upstream: vec![index("root/pypi")],
            ..of(&["six"])
        };
        let over = "2026-01-01T00:00:00Z";
        let six = || of(&["six"]);
        let table: Vec<(Vec<RuleDocument>, bool, Option<u32>)> = vec![
            (vec![], false, None),
            (vec![], true, Some(3)),
            (vec![deny(six())], false, Some(10)),
            (vec![deny(Matchers::default())], false, Some(10)),
            (vec![deny(of(&["seven"])), deny(six())], false, Some(11)),
            (vec![deny(six()).until(NOW)], false, Some(10)),
            (vec![deny(six()).until(over)], false, None),
            (vec![deny(wheels.clone())], false, None),
            (vec![deny(wheels.clone()), deny(six())], false, Some(11)),
            (vec![deny(wheels.clone())], true, Some(3)),
            (vec![allow(wheels.clone()), deny(six())], true, None),
            (
                vec![allow(wheels).until(over), deny(six())],
                false,
                Some(11),
            ),
            (vec![allow(of(&["seven"])), deny(six())], false, Some(11)),
            (vec![deny(upstream)], false, Some(10)),
        ];
        let pypi = index("root/pypi");
        for (rules, default_deny, expected) in table {
            let policy = compile(rules.clone(), default_deny);
            let about = policy.rules_about(&project("six"));
            let refusal = policy.decide_name(&about, Some(&pypi), at(NOW));
            assert_eq!(line(refusal), expected, "{rules:?}");
        }
    }

    #[test]
    fn a_rule_about_an_upstream_leaves_others_alone() {
        let upstream = |effect: fn(Matchers) -> RuleDocument| {
            effect(Matchers {
                upstream: vec![index("root/pypi")],
                ..Matchers::default()
            })
        };
        let (pypi, other) = (index("root/pypi"), index("corp/mirror"));
        let denying = compile(vec![upstream(deny)], false);
        let allowing = compile(vec![upstream(allow)], true);
        let table = [
            (Some(&pypi), Some(10), None),
            (Some(&other), None, Some(3)),
            (None, None, Some(3)),
        ];
        for (mirror, denied, not_allowed) in table {
            assert_eq!(line(denying.decide_name(&[0], mirror, at(NOW))), denied);
            assert_eq!(
                line(allowing.decide_name(&[0], mirror, at(NOW))),
                not_allowed
            );
        }
    }

    #[test]
    fn a_rule_reads_as_written() {
        let policy = compile(
            vec![
                deny(week(&["six", "acme-*", "/x/"])).reason("cool-down"),
                allow(Matchers::default()).until("2026-01-31T00:00:00Z"),
            ],
            false,
        );
        insta::assert_snapshot!(
            policy.rules()[0].whole(),
            @"deny: { project: [six, acme-*, /x/], younger_than: 7d }, reason: cool-down"
        );
        insta::assert_snapshot!(
            policy.rules()[1].words(),
            @"allow: { until: 2026-01-31T00:00:00Z }"
        );
    }
}
