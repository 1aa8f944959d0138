//! What must hold for any set of indexes and policies, tried on many random ones.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::language::{
    CommonDocument, Document, Exemption, IndexDocument, Matchers, OnBlock, PolicyDocument,
    PolicyMode, ProvenanceAsked, RuleDocument, Stage, Undated, WhitelistInheritance, WhitelistName,
};
use crate::model::{File, IndexName, Kind, ProjectState, Timestamp, UploadTime, UploadTimeSource};
use crate::policy::compile::Policies;
use crate::policy::decide::ProjectView;
use crate::policy::recalls::Recalls;
use crate::policy::sample::{
    allow, at, deny, document, file, index, mirror, of, osv, place, placed, policy, project,
    recalls, stage,
};
use crate::policy::siblings::ListedFiles;
use crate::policy::sources::Sources;
use crate::policy::stack::{Candidate, Stack};
use crate::policy::verdict::Verdict;

const NOW: &str = "2026-01-05T00:00:00Z";
const DAY: Duration = Duration::from_hours(24);
const STAGES: [&str; 4] = ["s/top", "s/one", "s/two", "s/three"];
const MIRRORS: [&str; 2] = ["m/one", "m/two"];
const POLICIES: [&str; 3] = ["p0", "p1", "p2"];
const PROJECTS: [&str; 2] = ["six", "acme-x"];

fn matchers() -> impl Strategy<Value = Matchers> {
    let names = subsequence(vec!["six", "acme-*", "/x$/"], 0..=2);
    let condition = select(vec![
        Matchers::default(),
        Matchers {
            younger_than: Some(DAY * 7),
            ..Matchers::default()
        },
        Matchers {
            older_than: Some(DAY * 6),
            ..Matchers::default()
        },
        Matchers {
            younger_than: Some(DAY * 7),
            unless: Some(Exemption::FixesAdvisory),
            ..Matchers::default()
        },
        Matchers {
            provenance: Some(ProvenanceAsked::Lost),
            ..Matchers::default()
        },
        Matchers {
            advisory: vec!["vulnerability".into()],
            ..Matchers::default()
        },
        Matchers {
            late: Some(DAY * 3),
            ..Matchers::default()
        },
        Matchers {
            size_over: Some(500),
            ..Matchers::default()
        },
        Matchers {
            kind: vec![Kind::Sdist],
            ..Matchers::default()
        },
        Matchers {
            upstream: vec![index("m/one")],
            ..Matchers::default()
        },
        Matchers {
            versions: Some(">=2".parse().unwrap()),
            ..Matchers::default()
        },
        Matchers {
            status: vec![ProjectState::Archived],
            ..Matchers::default()
        },
    ]);
    (names, condition).prop_map(|(names, condition)| Matchers {
        project: of(&names).project,
        ..condition
    })
}

fn rule() -> impl Strategy<Value = RuleDocument> {
    let until = select(vec![
        None,
        Some("2026-01-04T00:00:00Z"),
        Some("2026-01-06T00:00:00Z"),
    ]);
    (matchers(), any::<bool>(), until).prop_map(|(matchers, denies, until)| {
        let rule = if denies {
            deny(matchers)
        } else {
            allow(matchers)
        };
        match until {
            Some(instant) => rule.until(instant),
            None => rule,
        }
    })
}

fn policy_named(name: &'static str) -> impl Strategy<Value = PolicyDocument> {
    let rules = prop::collection::vec(rule(), 0..4);
    let on_block = select(vec![OnBlock::Hide, OnBlock::Yank]);
    (rules, on_block, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        move |(rules, on_block, denies, audits)| PolicyDocument {
            on_block,
            mode: if audits {
                PolicyMode::Audit
            } else {
                PolicyMode::Enforce
            },
            default_deny: denies.then(|| place(3)),
            ..policy(name, rules)
        },
    )
}

/// The keys that a stage and a mirror share.
fn restricted(document: IndexDocument) -> impl Strategy<Value = IndexDocument> {
    let policy = prop::option::weighted(0.4, select(POLICIES.to_vec()));
    let owns = subsequence(vec!["acme-*"], 0..=1);
    let whitelist = prop::option::weighted(0.3, subsequence(vec!["six", "acme-*"], 0..=2));
    (policy, owns, whitelist).prop_map(move |(policy, owns, whitelist)| {
        let mut document = document.clone().owns(&owns);
        if let Some(name) = policy {
            document = document.policy(name);
        }
        match whitelist {
            Some(patterns) => document.whitelist(&patterns),
            None => document,
        }
    })
}

/// Stages inherit only from those after them, so there are no cycles.
fn indexes() -> impl Strategy<Value = Vec<IndexDocument>> {
    let stages: Vec<_> = (0..STAGES.len())
        .map(|position| {
            let below: Vec<&str> = STAGES[position + 1..]
                .iter()
                .chain(&MIRRORS)
                .copied()
                .collect();
            let most = below.len();
            let bases = subsequence(below, 0..=most);
            let listed = subsequence(vec!["six", "acme-x", "*"], 0..=2);
            (bases, listed, any::<bool>())
                .prop_flat_map(move |(bases, listed, union)| {
                    let stage = stage(STAGES[position], &bases).mirror_whitelist(&listed);
                    restricted(if union { stage.union() } else { stage })
                })
                .boxed()
        })
        .collect();
    let undated = || select(vec![Undated::Deny, Undated::FirstSeen, Undated::Old]);
    let mirrors = MIRRORS.map(|name| {
        undated().prop_flat_map(move |undated| restricted(mirror(name).undated(undated)))
    });
    (stages, mirrors).prop_map(|(stages, mirrors)| [stages, mirrors.to_vec()].concat())
}

/// What was recalled, mostly nothing.
fn recalled() -> impl Strategy<Value = Recalls> {
    let subjects = vec![
        "six",
        "six==2.5",
        "acme-x<2",
        "acme_x-1.0.tar.gz",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ];
    let some = subsequence(subjects, 1..=2).prop_map(|subjects| recalls(&subjects));
    prop::option::weighted(0.3, some).prop_map(Option::unwrap_or_default)
}

fn policies() -> impl Strategy<Value = Policies> {
    let rules = POLICIES.map(policy_named);
    (indexes(), rules, recalled()).prop_map(|(indexes, rules, recalls)| {
        let document = with_advisories(document(indexes, rules.to_vec()));
        let compiled = Policies::compile(&[document], &[]);
        compiled.unwrap().under(Arc::new(recalls))
    })
}

/// Knowing of something that was mended in 2.0.
fn with_advisories(mut document: Document) -> Document {
    let advisory = r#"{"id": "GHSA-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "six"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0.7"}, {"fixed": "2.0"}]}]}]}"#;
    document.advisories = vec![placed(osv(advisory))];
    document
}

fn any_file() -> impl Strategy<Value = File> {
    let ending = select(vec!["-1.0.tar.gz", "-2.5.tar.gz", "-2.5-py3-none-any.whl"]);
    let time = select(vec![
        None,
        Some("2025-12-01T00:00:00Z"),
        Some("2026-01-01T00:00:00Z"),
    ]);
    (
        select(PROJECTS.to_vec()),
        ending,
        time,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(name, ending, time, is_seen, has_size)| {
            let stem = name.replace('-', "_");
            let mut file = file(&format!("{stem}{ending}"), name);
            let source = if is_seen {
                UploadTimeSource::FirstSeen
            } else {
                UploadTimeSource::Index
            };
            file.upload_time = time.map(|instant| UploadTime {
                at: at(instant),
                source,
            });
            file.size = file.size.filter(|_| has_size);
            file
        })
}

fn held() -> impl Strategy<Value = HashSet<IndexName>> {
    subsequence(STAGES.to_vec(), 0..=STAGES.len())
        .prop_map(|names| names.into_iter().map(index).collect())
}

fn stacks(policies: &Policies) -> impl Iterator<Item = &Stack> {
    policies
        .indexes()
        .map(|index| &**policies.stack(&index.name).unwrap())
}

fn decide<'f>(stack: &Stack, member: usize, file: &'f File, now: Timestamp) -> Verdict<&'f File> {
    let status = ProjectState::Active;
    let candidate = Candidate {
        file,
        member,
        status,
    };
    view(stack, &beside(file)).decide_file(&candidate, now)
}

/// All that every member lists of a file's project: itself, and others on which rules may depend.
fn beside(one: &File) -> Vec<File> {
    let project = one.filename.project().as_str();
    let stem = project.replace('-', "_");
    let other = |ending: &str, day: &str, has_provenance: bool| {
        let mut file = file(&format!("{stem}{ending}"), project);
        file.upload_time = file.upload_time.map(|time| UploadTime {
            at: at(&format!("{day}T00:00:00Z")),
            ..time
        });
        file.provenance = has_provenance.then(|| "https://upstream.example/p".into());
        file
    };
    vec![
        other("-0.5.tar.gz", "2025-06-01", false),
        other("-0.9.tar.gz", "2025-12-31", true),
        other("-2.0.tar.gz", "2026-01-03", false),
        other("-2.5.zip", "2025-12-20", false),
        one.clone(),
    ]
}

fn view<'a>(stack: &'a Stack, files: &'a [File]) -> ProjectView<'a> {
    let listing = |member| ListedFiles {
        member,
        status: ProjectState::Active,
        files,
    };
    let view = stack.view(files[0].filename.project());
    view.among((0..stack.members.len()).map(listing))
}

fn is_denied(stack: &Stack, member: usize, file: &File) -> bool {
    decide(stack, member, file, at(NOW)).denial().is_some()
}

fn refuses_name(stack: &Stack, member: usize, file: &File) -> bool {
    stack
        .view(file.filename.project())
        .refuses_name(member, at(NOW))
}

fn sources(stack: &Stack, name: &str, held: &HashSet<IndexName>) -> Option<Sources> {
    let verdict = stack.decide_project(&project(name), at(NOW), &|stage| held.contains(stage));
    match verdict {
        Verdict::Allow(allowed) => Some(allowed.into_item()),
        Verdict::Deny(_) => None,
    }
}

/// docs/protocol/devpi.md §8.2 written down literally, with sets of names.
fn asked_by_devpi(stack: &Stack, name: &str, held: &HashSet<IndexName>) -> Vec<usize> {
    let mut asked = Vec::new();
    let (mut private_hit, mut whitelisted) = (false, false);
    let mut whitelist: Option<HashSet<WhitelistName>> = None;
    let inheritance = stack.asked.stage().map(Stage::mirror_whitelist_inheritance);
    for (position, member) in stack.members.iter().enumerate() {
        let Some(stage) = member.index.stage() else {
            if !private_hit || whitelisted {
                asked.push(position);
            }
            continue;
        };
        let own: HashSet<_> = stage.mirror_whitelist().entries.iter().cloned().collect();
        let joined: HashSet<_> = match (&whitelist, inheritance) {
            (None, _) => own,
            (Some(list), Some(WhitelistInheritance::Union)) => list.union(&own).cloned().collect(),
            (Some(list), _) => list.intersection(&own).cloned().collect(),
        };
        let project = WhitelistName::Project(project(name));
        if joined.contains(&WhitelistName::All) || joined.contains(&project) {
            whitelisted = true;
        } else if held.contains(&member.index.name) {
            private_hit = true;
        }
        whitelist = Some(joined);
        if held.contains(&member.index.name) {
            asked.push(position);
        }
    }
    asked
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn adding_a_layer_on_top_never_allows_what_a_base_denies(
        policies in policies(),
        file in any_file(),
    ) {
        for above in stacks(&policies) {
            for base in above.asked.bases() {
                let below = policies.stack(base).unwrap();
                for (position, member) in below.members.iter().enumerate() {
                    let same = above.position(&member.index.name).unwrap();
                    let stricter = !is_denied(below, position, &file) || is_denied(above, same, &file);
                    prop_assert!(stricter, "{} through {}", member.index.name, above.asked.name);
                    let stricter = !refuses_name(below, position, &file)
                        || refuses_name(above, same, &file);
                    prop_assert!(stricter, "{} through {}", member.index.name, above.asked.name);
                }
            }
        }
    }

    #[test]
    fn without_policies_the_members_asked_are_those_devpi_asks(
        indexes in indexes(),
        held in held(),
    ) {
        let plain = indexes.into_iter().map(|index| IndexDocument {
            settings: CommonDocument {
                policy: None,
                owns: None,
                whitelist: None,
                ..index.settings
            },
            ..index
        });
        let plain = document(plain.collect(), vec![]);
        let policies = Policies::compile(&[plain], &[]).unwrap();
        for stack in stacks(&policies) {
            for name in PROJECTS {
                let found = sources(stack, name, &held).unwrap();
                prop_assert_eq!(found.ask, asked_by_devpi(stack, name, &held));
            }
        }
    }

    #[test]
    fn a_mirror_never_speaks_for_a_held_name_unless_whitelisted(
        policies in policies(),
        held in held(),
    ) {
        for stack in stacks(&policies) {
            for name in PROJECTS {
                let devpi = asked_by_devpi(stack, name, &held);
                let asked = sources(stack, name, &held).map_or(Vec::new(), |sources| sources.ask);
                prop_assert!(asked.iter().all(|member| devpi.contains(member)));
            }
        }
    }

    #[test]
    fn owned_names_never_reach_a_mirror(policies in policies(), held in held(), file in any_file()) {
        let inherits = |owner: &IndexName, base: &IndexName| {
            policies.stack(owner).unwrap().position(base).is_some()
        };
        let name = project("acme-x");
        for stack in stacks(&policies) {
            let asked = sources(stack, "acme-x", &held).map_or(Vec::new(), |sources| sources.ask);
            for (position, member) in stack.members.iter().enumerate() {
                let is_owned = policies.indexes().any(|owner| {
                    let near = inherits(&stack.asked.name, &owner.name)
                        || inherits(&owner.name, &member.index.name);
                    near && owner.owns.reserving(&name).is_some()
                });
                if is_owned && member.index.is_mirror() {
                    prop_assert!(!asked.contains(&position));
                    let of_name = *file.filename.project() == name;
                    prop_assert!(!of_name || is_denied(stack, position, &file));
                }
            }
        }
    }

    #[test]
    fn what_is_refused_by_name_is_refused_file_by_file(
        policies in policies(),
        held in held(),
        file in any_file(),
    ) {
        let name = file.filename.project().as_str();
        for stack in stacks(&policies) {
            let devpi = asked_by_devpi(stack, name, &held);
            let nobody = sources(stack, name, &held).is_none();
            for position in 0..stack.members.len() {
                let refused = refuses_name(stack, position, &file);
                prop_assert!(!refused || is_denied(stack, position, &file));
                prop_assert!(!nobody || refused || !devpi.contains(&position));
            }
        }
    }

    #[test]
    fn nothing_lets_pass_what_was_recalled_and_a_recall_of_other_things_changes_nothing(
        policies in policies(),
        held in held(),
        file in any_file(),
    ) {
        let free = policies.under(Arc::default());
        for (stack, freed) in stacks(&policies).zip(stacks(&free)) {
            let name = file.filename.project();
            let about = stack.view(name);
            let (whole, of_file) = (about.recalls().of_project(), about.recalls().of_file(&file));
            if whole.is_some() {
                prop_assert!(sources(stack, name.as_str(), &held).is_none_or(|one| one.ask.is_empty()));
            }
            for member in 0..stack.members.len() {
                prop_assert!(whole.is_none() || refuses_name(stack, member, &file));
                match of_file {
                    Some(called) => {
                        let verdict = decide(stack, member, &file, at(NOW));
                        let rule = verdict.denial().map(|denial| Arc::clone(&denial.rule.name));
                        prop_assert_eq!(rule, Some(called.recall.name()));
                    }
                    None => prop_assert_eq!(
                        decide(stack, member, &file, at(NOW)),
                        decide(freed, member, &file, at(NOW))
                    ),
                }
            }
        }
    }

    #[test]
    fn nothing_changes_before_it_is_announced(
        policies in policies(),
        file in any_file(),
        part in 0.0..1.0_f64,
    ) {
        let now = at(NOW);
        let horizon = at("2026-02-05T00:00:00Z");
        for stack in stacks(&policies) {
            for member in 0..stack.members.len() {
                let candidate = Candidate { file: &file, member, status: ProjectState::Active };
                let listed = beside(&file);
                let next = view(stack, &listed).next_change(&candidate, now);
                let announced = [next, stack.next_rule_change(now)];
                let change = announced.into_iter().flatten().min().unwrap_or(horizon);
                prop_assert!(change > now);
                let between = now + now.duration_until(change).mul_f64(part);
                prop_assert_eq!(
                    decide(stack, member, &file, now),
                    decide(stack, member, &file, between)
                );
            }
        }
    }
}
