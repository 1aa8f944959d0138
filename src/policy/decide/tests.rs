//! Who may speak and what passes, through whole stacks.

use std::sync::Arc;
use std::time::Duration;

use crate::language::{
    Feed, HeldFeed, IndexDocument, Matchers, OnBlock, PolicyDocument, PolicyMode, RuleDocument,
    TextFile, Undated, WhenStale,
};
use crate::model::{Hashes, Kind, ProjectState, Sha256};
use crate::policy::compile::Policies;
use crate::policy::decide::*;
use crate::policy::sample::{
    allow, at, compiled, deny, document, file, index, mirror, of, osv, place, placed, policy,
    project, recalls, sources, stage,
};

const NOW: &str = "2026-01-05T00:00:00Z";

fn audit(name: &str, rules: Vec<RuleDocument>) -> PolicyDocument {
    let mode = PolicyMode::Audit;
    PolicyDocument {
        mode,
        ..policy(name, rules)
    }
}

/// The verdict on a file that `member` lists, asked through `asked`.
fn decide<'f>(policies: &Policies, asked: &str, member: &str, file: &'f File) -> Verdict<&'f File> {
    let stack = policies.stack(&index(asked)).unwrap();
    let candidate = Candidate {
        file,
        member: stack.position(&index(member)).unwrap(),
        status: ProjectState::Active,
    };
    let view = stack.view(file.filename.project());
    view.decide_file(&candidate, at(NOW))
}

fn denied(policies: &Policies, asked: &str, member: &str, file: &File) -> String {
    let verdict = decide(policies, asked, member, file);
    verdict.denial().map_or("passes".to_owned(), Denial::short)
}

#[test]
fn a_policy_on_a_base_holds_for_all_who_inherit_and_only_for_what_it_inherits() {
    let policies = compiled(
        vec![
            stage("a/top", &["a/left", "a/right"]).policy("top"),
            stage("a/left", &["m/one"]).policy("left"),
            stage("a/right", &["m/two"]),
            mirror("m/one"),
            mirror("m/two"),
        ],
        vec![
            policy("top", vec![allow(of(&["six"])), deny(of(&["seven"]))]),
            policy("left", vec![deny(of(&["six"]))]),
        ],
    );
    let (six, seven) = (file("six-1.zip", "six"), file("seven-1.zip", "seven"));
    let left = "six 1 is refused by policy left: project: six";
    let top = "seven 1 is refused by policy top: project: seven";
    let table = [
        ("a/top", "m/one", &six, left),
        ("a/top", "a/left", &six, left),
        ("a/left", "m/one", &six, left),
        ("a/top", "m/two", &six, "passes"),
        ("a/top", "a/top", &six, "passes"),
        ("m/one", "m/one", &six, "passes"),
        ("a/top", "m/two", &seven, top),
        ("a/top", "a/top", &seven, top),
        ("a/left", "m/one", &seven, "passes"),
    ];
    for (asked, member, file, expected) in table {
        let found = denied(&policies, asked, member, file);
        assert_eq!(found, expected, "{file:?} of {member} through {asked}");
    }
}

#[test]
fn a_whitelist_restricts_mirrors_and_leaves_private_files_alone() {
    let policies = compiled(
        vec![
            stage("a/top", &["a/base"]),
            stage("a/base", &["m/one"]).whitelist(&["six"]),
            mirror("m/one"),
        ],
        vec![],
    );
    let refused = "seven 1 is refused by whitelist of a/base: the name is not listed";
    let (six, seven) = (file("six-1.zip", "six"), file("seven-1.zip", "seven"));
    assert_eq!(denied(&policies, "a/top", "m/one", &six), "passes");
    assert_eq!(denied(&policies, "a/top", "m/one", &seven), refused);
    assert_eq!(denied(&policies, "a/top", "a/base", &seven), "passes");
    assert_eq!(denied(&policies, "m/one", "m/one", &seven), "passes");
    assert_eq!(sources(&policies, "a/top", "six", &[]), "ask m/one; skip ");
    let held = sources(&policies, "a/top", "seven", &["a/base"]);
    assert_eq!(held, "ask a/base; skip m/one denied");
    let nobody = sources(&policies, "a/top", "seven", &[]);
    assert_eq!(
        nobody,
        "denied: seven is refused by whitelist of a/base: the name is not listed"
    );
}

#[test]
fn pinned_files_pass_by_their_digest() {
    let pinned = file("six-1.zip", "six");
    let mut top = stage("a/top", &["m/one"]);
    top.settings.whitelist_files = Some(vec![TextFile {
        location: place(4),
        path: "requirements.txt".into(),
        text: format!("six==1 --hash=sha256:{}", pinned.hashes.sha256().unwrap()).into(),
    }]);
    let policies = compiled(vec![top, mirror("m/one")], vec![]);
    let mut other = pinned.clone();
    other.hashes = Hashes::sha256_only(Sha256::of(b"other"));
    let mut bare = pinned.clone();
    bare.hashes = Hashes::default();
    let table = [
        (&pinned, "passes"),
        (
            &other,
            "six 1 is refused by whitelist of a/top: its sha256 is not pinned",
        ),
        (
            &bare,
            "six 1 is refused by whitelist of a/top: it has no sha256 to compare with the pinned ones",
        ),
    ];
    for (file, expected) in table {
        assert_eq!(denied(&policies, "a/top", "m/one", file), expected);
    }
    assert_eq!(sources(&policies, "a/top", "six", &[]), "ask m/one; skip ");
}

#[test]
fn a_file_of_an_owned_name_is_refused_even_when_its_url_is_known() {
    let policies = compiled(
        vec![
            stage("a/top", &["m/below"]).owns(&["acme-*"]),
            mirror("m/below"),
        ],
        vec![],
    );
    let acme = file("acme-x-1.zip", "acme-x");
    let refused =
        "acme-x 1 is refused by owns of a/top: acme-* is reserved and never from a mirror";
    for asked in ["a/top", "m/below"] {
        assert_eq!(denied(&policies, asked, "m/below", &acme), refused);
    }
    assert_eq!(denied(&policies, "a/top", "a/top", &acme), "passes");
}

#[test]
fn audit_records_and_lets_pass() {
    let policies = compiled(
        vec![stage("a/top", &["m/one"]).policy("watch"), mirror("m/one")],
        vec![audit("watch", vec![deny(of(&["six"])).reason("trial")])],
    );
    let six = file("six-1.zip", "six");
    let Verdict::Allow(allowed) = decide(&policies, "a/top", "m/one", &six) else {
        panic!("{six:?} is refused");
    };
    let words = "refused by policy watch: trial (policies/web.yaml:10)";
    assert_eq!(allowed.audited().unwrap().words(), words);
    assert_eq!(*allowed.item(), &six);

    let stack = policies.stack(&index("a/top")).unwrap();
    let verdict = stack.decide_project(&project("six"), at(NOW), &|_| false);
    let Verdict::Allow(allowed) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(allowed.audited().unwrap().words(), words);
    assert_eq!(allowed.item().ask, [1]);
}

#[test]
fn what_one_policy_hides_no_other_lists_as_yanked() {
    let yanking = PolicyDocument {
        on_block: OnBlock::Yank,
        ..policy("top", vec![deny(of(&["six"])), deny(of(&["seven"]))])
    };
    let hiding = policy("base", vec![deny(of(&["six"]))]);
    let policies = compiled(
        vec![
            stage("a/top", &["a/base"]).policy("top"),
            stage("a/base", &[]).policy("base"),
        ],
        vec![yanking, hiding],
    );
    for (name, expected) in [("six", OnBlock::Hide), ("seven", OnBlock::Yank)] {
        let file = file(&format!("{name}-1.zip"), name);
        let verdict = decide(&policies, "a/top", "a/base", &file);
        assert_eq!(verdict.denial().unwrap().on_block, expected, "{name}");
    }
}

#[test]
fn a_cool_down_says_when_it_ends_and_the_page_when_to_look_again() {
    let week = Matchers {
        younger_than: Some(Duration::from_hours(7 * 24)),
        ..Matchers::default()
    };
    let policies = compiled(
        vec![
            stage("a/top", &["m/one", "m/old"]).policy("cool"),
            mirror("m/one"),
            mirror("m/old").undated(Undated::Old),
        ],
        vec![policy("cool", vec![deny(week).reason("cool-down")])],
    );
    let dated = file("six-1.zip", "six");
    let mut undated = dated.clone();
    undated.upload_time = None;
    let until = "six 1 is refused by policy cool: cool-down (until 2026-01-08T00:00:00Z)";
    let lacks =
        "six 1 is refused by policy cool: it has no upload-time, which this rule needs: cool-down";
    let matures = Some(at("2026-01-08T00:00:00Z"));
    let table = [
        ("m/one", &dated, until, matures),
        ("m/one", &undated, lacks, None),
        ("m/old", &undated, "passes", None),
    ];
    let stack = policies.stack(&index("a/top")).unwrap();
    for (member, file, expected, change) in table {
        assert_eq!(denied(&policies, "a/top", member, file), expected);
        let candidate = Candidate {
            file,
            member: stack.position(&index(member)).unwrap(),
            status: ProjectState::Active,
        };
        assert_eq!(stack.next_change(&candidate, at(NOW)), change, "{expected}");
    }
}

#[test]
fn an_advisory_refuses_the_versions_it_concerns() {
    let rule = deny(Matchers {
        advisory: vec!["malware".into()],
        ..Matchers::default()
    });
    let mut yaml = document(
        vec![stage("a/top", &["m/one"]).policy("safe"), mirror("m/one")],
        vec![policy("safe", vec![rule.reason("known malware")])],
    );
    let text = r#"{"id": "MAL-2024-1", "affected": [{"versions": ["1.1"],
        "package": {"ecosystem": "PyPI", "name": "six"}}]}"#;
    yaml.advisories = vec![placed(osv(text))];
    let policies = Policies::compile(&[yaml], &[]).unwrap();
    let refused = "six 1.1 is refused by policy safe: known malware (MAL-2024-1)";
    for (name, expected) in [("six-1.1.zip", refused), ("six-1.2.zip", "passes")] {
        assert_eq!(
            denied(&policies, "a/top", "m/one", &file(name, "six")),
            expected
        );
    }
    assert_eq!(sources(&policies, "a/top", "six", &[]), "ask m/one; skip ");
}

#[test]
fn a_view_refuses_strangers_and_judges_files_of_other_projects_by_their_own_rules() {
    let documents: Vec<IndexDocument> = vec![stage("a/top", &[]).policy("top")];
    let policies = compiled(documents, vec![policy("top", vec![deny(of(&["six"]))])]);
    let stack = policies.stack(&index("a/top")).unwrap();
    let (six, seven) = (file("six-1.zip", "six"), file("seven-1.zip", "seven"));
    let candidate = |file, member| Candidate {
        file,
        member,
        status: ProjectState::Active,
    };
    let view = stack.view(&project("seven"));
    assert!(
        view.decide_file(&candidate(&six, 0), at(NOW))
            .denial()
            .is_some()
    );
    assert!(
        view.decide_file(&candidate(&seven, 0), at(NOW))
            .denial()
            .is_none()
    );
    let stranger = view.decide_file(&candidate(&seven, 1), at(NOW));
    assert!(stranger.denial().is_some());
}

#[test]
fn a_long_whitelist_and_many_rules_cost_little_for_each_file() {
    let names: Vec<String> = (0..100_000)
        .map(|number| format!("project-{number}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rule = |number: usize| {
        deny(Matchers {
            kind: vec![Kind::Egg],
            ..of(&[&format!("x{number}-*"), &format!("/^y{number}-[a-z]+$/")])
        })
    };
    let policies = compiled(
        vec![
            stage("a/top", &["m/one"]).whitelist(&names).policy("many"),
            mirror("m/one"),
        ],
        vec![policy("many", (0..50).map(rule).collect())],
    );
    let stack = policies.stack(&index("a/top")).unwrap();
    let view = stack.view(&project("project-99999"));
    // What a page asks for each file is only the rules that name its project.
    let considered: usize = view
        .layers
        .iter()
        .filter_map(|layer| layer.policy.as_ref())
        .map(|(_, about)| about.len())
        .sum();
    assert_eq!(considered, 0);
    let refused = sources(&policies, "a/top", "project-100000", &[]);
    assert!(refused.starts_with("denied: project-100000"), "{refused}");
    assert_eq!(
        sources(&policies, "a/top", "project-99999", &[]),
        "ask m/one; skip "
    );
    assert_eq!(
        stack.view(&project("x7-a")).layers[0]
            .policy
            .as_ref()
            .unwrap()
            .1,
        [7]
    );
}

#[test]
fn rules_about_advisories_refuse_while_a_feed_cannot_be_relied_on() {
    let rule = deny(Matchers {
        advisory: vec!["malware".into()],
        ..Matchers::default()
    });
    let text = r#"{"id": "MAL-1", "affected": [{"versions": ["1.1"],
        "package": {"ecosystem": "PyPI", "name": "six"}}]}"#;
    let policies = |checked: Option<&str>, stale: WhenStale| {
        let mut yaml = document(
            vec![stage("a/top", &["m/one"]).policy("safe"), mirror("m/one")],
            vec![policy("safe", vec![rule.clone().reason("known malware")])],
        );
        yaml.feeds = vec![Feed {
            name: placed("pypi".into()),
            url: "https://advisories.example/PyPI/all.zip".parse().unwrap(),
            every: Duration::from_hours(1),
            max_age: Duration::from_hours(72),
            stale,
            may_shrink: false,
            held: checked.map(|checked| HeldFeed {
                advisories: osv(text),
                checked: at(checked),
            }),
        }];
        Policies::compile(&[yaml], &[]).unwrap()
    };
    let (bad, good) = (file("six-1.1.zip", "six"), file("six-1.2.zip", "six"));
    let told = |policies: &Policies, file| denied(policies, "a/top", "m/one", file);
    let known = "six 1.1 is refused by policy safe: known malware (MAL-1)";
    let fresh = policies(Some(NOW), WhenStale::Deny);
    assert_eq!(
        (told(&fresh, &bad), told(&fresh, &good)),
        (known.into(), "passes".into())
    );
    let old = policies(Some("2025-01-01T00:00:00Z"), WhenStale::Deny);
    assert_eq!(told(&old, &bad), known);
    let refused = told(&old, &good);
    assert!(
        refused.contains("the advisories of feed pypi are ") && refused.contains(" days old"),
        "{refused}"
    );
    let none = policies(None, WhenStale::Deny);
    let refused = told(&none, &good);
    assert!(refused.contains("have not been loaded yet"), "{refused}");
    let careless = policies(None, WhenStale::Allow);
    assert_eq!(told(&careless, &bad), "passes");
    // A page knows when that begins.
    let top = index("a/top");
    let stack = fresh.stack(&top).unwrap();
    let candidate = Candidate {
        file: &good,
        member: stack.position(&index("m/one")).unwrap(),
        status: ProjectState::Active,
    };
    let end = at(NOW).checked_add(Duration::from_hours(72)).unwrap();
    assert_eq!(stack.next_change(&candidate, at(NOW)), Some(end));
    let view = stack.view(good.filename.project());
    assert!(view.decide_file(&candidate, end).denial().is_some());
}

/// Through stages and a mirror, with a waiver for everything and without any policy.
fn recalling(subjects: &[&str]) -> Policies {
    let hides = PolicyDocument {
        on_block: OnBlock::Hide,
        ..policy("hides", vec![allow(of(&["six", "seven"]))])
    };
    let indexes = vec![
        stage("a/top", &["a/base"]).policy("hides"),
        stage("a/base", &["m/one"]),
        mirror("m/one"),
    ];
    compiled(indexes, vec![hides]).under(Arc::new(recalls(subjects)))
}

#[test]
fn what_was_recalled_is_refused_at_every_index_above_every_waiver() {
    let file = file("six-1.0.tar.gz", "six");
    let digest = file.hashes.sha256().unwrap().to_string();
    let by_digest = format!("sha256:{digest}");
    for subject in ["six", "six==1", "six<2", "SIX-1.0.tar.gz", &by_digest] {
        let policies = recalling(&["seven", "six==3", subject]);
        for (asked, member) in [
            ("a/top", "a/top"),
            ("a/top", "a/base"),
            ("a/top", "m/one"),
            ("a/base", "a/base"),
            ("m/one", "m/one"),
        ] {
            assert_eq!(
                denied(&policies, asked, member, &file),
                "six 1.0 is refused by recall 3: stolen token",
                "{subject} through {asked}"
            );
            let verdict = decide(&policies, asked, member, &file);
            let denial = verdict.denial().unwrap();
            assert_eq!(&*denial.rule.name, "recall/3");
            // As the policies that apply would do with what they refuse.
            let expected = if asked == "a/top" {
                OnBlock::Hide
            } else {
                OnBlock::Yank
            };
            assert_eq!(denial.on_block, expected, "{asked} {member}");
        }
    }
}

#[test]
fn what_cannot_be_told_from_what_was_recalled_is_refused_and_says_why() {
    let digest = Sha256::of(b"other");
    let policies = recalling(&[&format!("sha256:{digest}"), "six<2"]);
    let mut nameless = file("six-2.0.tar.gz", "six");
    assert_eq!(denied(&policies, "m/one", "m/one", &nameless), "passes");
    nameless.hashes = Hashes::default();
    let legacy = file("six-2004d.tar.gz", "six");
    for (file, expected) in [
        (
            &nameless,
            "six 2.0 is refused by recall 1: it has no sha256, which this recall needs: stolen token",
        ),
        (
            &legacy,
            "six 2004d is refused by recall 2: it has no version that can be read, which this recall needs: \
             ...",
        ),
    ] {
        let said = denied(&policies, "m/one", "m/one", file);
        assert!(said.starts_with(expected.trim_end_matches("...")), "{said}");
    }
}

#[test]
fn a_recalled_project_is_asked_of_nobody_and_held_by_nobody() {
    let policies = recalling(&["six"]);
    let nobody = "denied: six is refused by recall 1: stolen token";
    for (asked, held) in [
        ("a/top", vec![]),
        ("a/top", vec!["a/top", "a/base"]),
        ("m/one", vec![]),
    ] {
        assert_eq!(sources(&policies, asked, "six", &held), nobody, "{asked}");
        let others = sources(&policies, asked, "seven", &held);
        assert!(others.starts_with("ask "), "{others}");
    }
    let stack = policies.stack(&index("m/one")).unwrap();
    assert!(stack.is_ruled() && stack.may_refuse_name("six") && !stack.may_refuse_name("seven"));
    let undone = policies.under(Arc::default());
    assert_eq!(sources(&undone, "m/one", "six", &[]), "ask m/one; skip ");
}
