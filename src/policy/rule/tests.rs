//! Rules answer in the order written; what cannot be determined is refused.

use std::time::Duration;

use crate::language::{Matchers, Undated};
use crate::model::{File, Kind, ProjectState};
use crate::policy::rule::*;
use crate::policy::sample::{allow, at, deny, file, index, of, place, policy, project};

const NOW: &str = "2026-01-05T00:00:00Z";

fn compile(rules: Vec<RuleDocument>, default_deny: bool) -> Policy {
    let mut document = policy("corporate", rules);
    document.default_deny = default_deny.then(|| place(3));
    let mut faults = Faults::default();
    let policy = Policy::compile(&document, &Arc::default(), &mut faults);
    faults.or(policy).unwrap()
}

/// Line of the refusal, or nothing.
fn line(refusal: Option<RuleRefusal<'_>>) -> Option<u32> {
    refusal.map(|refusal| match refusal {
        RuleRefusal::Rule(rule) | RuleRefusal::Lacks(rule, _) => rule.location.line,
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
    let ends = policy.rules[0].ends_after(at(NOW)).unwrap();
    assert_eq!(decide(&policy, &six, &ends.to_string()), Some(3));
    assert_eq!(policy.rules[0].ends_after(ends), None);
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
        policy.rules[0].whole(),
        @"deny: { project: [six, acme-*, /x/], younger_than: 7d }, reason: cool-down"
    );
    insta::assert_snapshot!(
        policy.rules[1].words(),
        @"allow: { until: 2026-01-31T00:00:00Z }"
    );
}
