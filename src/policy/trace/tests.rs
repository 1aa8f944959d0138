//! What `explain` shows is what was decided.

use std::time::Duration;

use crate::language::{Matchers, PolicyDocument};
use crate::model::{File, ProjectState};
use crate::policy::compile::Policies;
use crate::policy::sample::{
    allow, at, compiled, deny, file, index, mirror, of, place, policy, project, recalls, stage,
};
use crate::policy::trace::*;
use crate::policy::verdict::{Denial, Verdict};

const NOW: &str = "2026-01-05T00:00:00Z";

fn world() -> Policies {
    let week = Matchers {
        younger_than: Some(Duration::from_hours(7 * 24)),
        ..Matchers::default()
    };
    let large = Matchers {
        size_over: Some(1 << 20),
        ..Matchers::default()
    };
    let corporate = PolicyDocument {
        default_deny: Some(place(3)),
        ..policy(
            "corporate",
            vec![
                allow(of(&["numpy"])).until("2026-01-01T00:00:00Z"),
                deny(of(&["seven"])),
                deny(large),
                deny(week),
                allow(Matchers::default()),
            ],
        )
    };
    let watch = PolicyDocument {
        mode: PolicyMode::Audit,
        ..policy("watch", vec![deny(of(&["six"]))])
    };
    compiled(
        vec![
            stage("a/top", &["a/base"])
                .policy("corporate")
                .owns(&["acme-*"]),
            stage("a/base", &["m/one"])
                .policy("watch")
                .whitelist(&["six", "numpy"]),
            mirror("m/one"),
        ],
        vec![corporate, watch],
    )
}

fn text(lines: &[TraceLine]) -> String {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn explain(policies: &Policies, file: &File) -> Vec<TraceLine> {
    let stack = policies.stack(&index("a/top")).unwrap();
    let status = ProjectState::Active;
    stack.view(file.filename.project()).explain_file(
        &Candidate {
            file,
            member: 2,
            status,
        },
        at(NOW),
    )
}

#[test]
fn a_file_is_explained_rule_by_rule() {
    let policies = world();
    let mut numpy = file("numpy-1.zip", "numpy");
    insta::assert_snapshot!(text(&explain(&policies, &numpy)), @"
    m/one: corporate/allow-project-fcd00bf0 of a/top (policies/web.yaml:10): allow: { project: numpy, until: 2026-01-01T00:00:00Z }: passes over, it is over
    m/one: corporate/deny-project-ad28e3e0 of a/top (policies/web.yaml:11): deny: { project: seven }: passes over, it names other projects
    m/one: corporate/deny-size_over-8b62a537 of a/top (policies/web.yaml:12): deny: { size_over: 1MiB }: passes over, it has 1000B
    m/one: corporate/deny-younger_than-3538c8d7 of a/top (policies/web.yaml:13): deny: { younger_than: 7d }: denies
    m/one: corporate/allow-41008373 of a/top (policies/web.yaml:14): allow: {}: not reached
    m/one: corporate/default of a/top (policies/web.yaml:3): default: deny: not reached
    m/one: whitelist of a/base (policies/web.yaml:1): 2 entries: allows
    m/one: watch/deny-project-12cdb3ab of a/base (policies/web.yaml:10): deny: { project: six }: passes over, it names other projects
    m/one: watch/default of a/base: default: allow: allows
    ");
    numpy.size = None;
    let lines = explain(&policies, &numpy);
    insta::assert_snapshot!(lines[2], @"m/one: corporate/deny-size_over-8b62a537 of a/top (policies/web.yaml:12): deny: { size_over: 1MiB }: denies, it has no size");
}

#[test]
fn a_project_is_explained_member_by_member() {
    let policies = world();
    let stack = policies.stack(&index("a/top")).unwrap();
    let holds = |name: &IndexName| name.as_str() == "a/base";
    let mut lines = stack.explain_project(&project("acme-x"), at(NOW), &holds);
    let of_stages = lines
        .iter()
        .take_while(|line| line.member != index("m/one"));
    assert_eq!(of_stages.count(), 14);
    insta::assert_snapshot!(text(&lines.split_off(14)), @"
    m/one: owns/acme-* of a/top (policies/web.yaml:1): acme-*: denies, reserved names never come from a mirror
    m/one: corporate/allow-project-fcd00bf0 of a/top (policies/web.yaml:10): allow: { project: numpy, until: 2026-01-01T00:00:00Z }: passes over, it names other projects
    m/one: corporate/deny-project-ad28e3e0 of a/top (policies/web.yaml:11): deny: { project: seven }: passes over, it names other projects
    m/one: corporate/deny-size_over-8b62a537 of a/top (policies/web.yaml:12): deny: { size_over: 1MiB }: passes over, it depends on the file
    m/one: corporate/deny-younger_than-3538c8d7 of a/top (policies/web.yaml:13): deny: { younger_than: 7d }: passes over, it depends on the file
    m/one: corporate/allow-41008373 of a/top (policies/web.yaml:14): allow: {}: allows, some files may pass
    m/one: corporate/default of a/top (policies/web.yaml:3): default: deny: not reached
    m/one: whitelist of a/base (policies/web.yaml:1): 2 entries: denies, the name is not listed
    m/one: watch/deny-project-12cdb3ab of a/base (policies/web.yaml:10): deny: { project: six }: passes over, it names other projects
    m/one: watch/default of a/base: default: allow: allows
    m/one: mirror_whitelist of a/base: a name that a stage holds is not taken from mirrors: denies, a/base holds acme-x
    ");
    let lines = stack.explain_project(&project("six"), at(NOW), &holds);
    let audited = lines
        .iter()
        .find(|line| line.outcome == Outcome::WouldDeny)
        .unwrap();
    insta::assert_snapshot!(audited, @"a/base: watch/deny-project-12cdb3ab of a/base (policies/web.yaml:10): deny: { project: six }: would deny");
}

fn named(line: &TraceLine) -> (Arc<str>, Option<Location>) {
    (Arc::clone(&line.name), line.location.clone())
}

fn of_denial(denial: &Denial) -> (Arc<str>, Option<Location>) {
    (Arc::clone(&denial.rule.name), denial.rule.location.clone())
}

#[test]
fn a_recall_stands_above_everything() {
    let policies = world().under(Arc::new(recalls(&["seven==2", "numpy<1", "six"])));
    let stack = policies.stack(&index("a/top")).unwrap();
    let first = |name: &str| {
        let lines = stack.explain_project(&project(name), at(NOW), &|_| false);
        lines[0].to_string()
    };
    insta::assert_snapshot!(first("six"), @"a/top: recall/3 of a/top: recalled: six: denies, stolen token");
    insta::assert_snapshot!(first("numpy"), @"a/top: recall/2 of a/top: recalled: numpy<1: passes over, it depends on the file");
    let lines = explain(&policies, &file("seven-2.zip", "seven"));
    insta::assert_snapshot!(lines[0], @"m/one: recall/1 of a/top: recalled: seven==2: denies, stolen token");
    assert!(!text(&explain(&policies, &file("numpy-1.zip", "numpy"))).contains("recall"));
}

#[test]
fn the_trace_and_the_decision_tell_the_same_story() {
    let policies = world().under(Arc::new(recalls(&["other"])));
    let stack = policies.stack(&index("a/top")).unwrap();
    let mut refused = 0;
    for name in ["six", "seven", "numpy", "acme-x", "other"] {
        let mut old = file(&format!("{name}-1.zip"), name);
        let young = old.clone();
        old.upload_time = old.upload_time.map(|mut time| {
            time.at = at("2020-01-01T00:00:00Z");
            time
        });
        for (file, member) in [(&old, 0), (&old, 1), (&old, 2), (&young, 1), (&young, 2)] {
            let status = ProjectState::Active;
            let candidate = Candidate {
                file,
                member,
                status,
            };
            let view = stack.view(file.filename.project());
            let lines = view.explain_file(&candidate, at(NOW));
            let denies = lines.iter().find(|line| line.outcome == Outcome::Denies);
            let audits = lines.iter().find(|line| line.outcome == Outcome::WouldDeny);
            let verdict = view.decide_file(&candidate, at(NOW));
            let place = |line: Option<&TraceLine>| line.map(named);
            let denial = verdict.denial().map(of_denial);
            assert_eq!(denial, place(denies), "{name} {member}");
            refused += usize::from(denial.is_some());
            if let Verdict::Allow(allowed) = verdict {
                let audited = allowed.audited().map(of_denial);
                assert_eq!(audited, place(audits), "{name} {member}");
            }
        }
    }
    assert_eq!(refused, 17);
}
