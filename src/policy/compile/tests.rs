//! How documents are combined into a snapshot, and every fault that prevents it.

use crate::language::{Matchers, NamePattern};
use crate::policy::compile::*;
use crate::policy::sample::{
    allow, at, compiled, deny, document, index, mirror, of, osv, placed, policy, stage,
};

fn faults(documents: &[Document], stored: &[IndexDocument]) -> String {
    Policies::compile(documents, stored)
        .unwrap_err()
        .to_string()
}

#[test]
fn every_fault_is_found_at_once_with_its_place() {
    let upstream = |name: &str| Matchers {
        upstream: vec![index(name)],
        ..Matchers::default()
    };
    let advisory = Matchers {
        advisory: vec!["malware".into()],
        python: vec!["[".into()],
        ..Matchers::default()
    };
    let mut first = document(
        vec![
            mirror("root/pypi").line(1),
            stage("a/dev", &["root/pypii"]).line(20).policy("corporat"),
            stage("a/loop", &["a/loop"]).line(30),
            stage("a/bad", &[]).line(40).owns(&["x[*"]),
        ],
        vec![policy(
            "corporate",
            vec![
                deny(upstream("root/pipi")),
                deny(upstream("a/dev")),
                deny(advisory),
            ],
        )],
    );
    first.default_index = Some(placed(index("a/stable")));
    let mut second = document(
        vec![stage("a/dev", &[]).line(50)],
        vec![policy("corporate", vec![])],
    );
    second.default_index = Some(placed(index("a/dev")));
    insta::assert_snapshot!(faults(&[first, second], &[]), @r#"
    policies/web.yaml:1:5: "x[*" is not a glob: unclosed character class; missing ']'
    policies/web.yaml:1:5: default_index is set twice, first at policies/web.yaml:1:5
    policies/web.yaml:1:5: policy "corporate" is declared twice, first at policies/web.yaml:1:5
    policies/web.yaml:1:5: unknown default_index "a/stable"
    policies/web.yaml:1:5: unknown policy "corporat", did you mean "corporate"?
    policies/web.yaml:10:5: unknown upstream "root/pipi", did you mean "root/pypi"?
    policies/web.yaml:11:5: upstream "a/dev" is a stage, not a mirror
    policies/web.yaml:12:5: "[" is not a glob: unclosed character class; missing ']'
    policies/web.yaml:12:5: the rule asks for advisories and there are none, name OSV files, folders or feeds under the top-level key advisories
    policies/web.yaml:21:5: unknown base "root/pypii", did you mean "root/pypi"?
    policies/web.yaml:31:5: index "a/loop" names itself as a base
    policies/web.yaml:50:5: index "a/dev" is declared twice, first at policies/web.yaml:20:5
    "#);
}

#[test]
fn stored_indexes_may_have_unknown_bases_and_cycles() {
    let yaml = document(vec![stage("a/top", &["s/one"])], vec![]);
    let stored = [
        stage("s/one", &["s/two", "s/gone"]),
        stage("s/two", &["s/one", "s/two", "a/top"]),
    ];
    let policies = Policies::compile(std::slice::from_ref(&yaml), &stored).unwrap();
    let stack = policies.stack(&index("a/top")).unwrap();
    let names: Vec<_> = stack
        .members
        .iter()
        .map(|member| member.index.name.as_str())
        .collect();
    assert_eq!(names, ["a/top", "s/one", "s/two"]);
    assert!(policies.index(&index("a/top")).unwrap().location.is_some());
    assert!(policies.index(&index("s/one")).unwrap().location.is_none());
    insta::assert_snapshot!(
        faults(&[yaml], &[]),
        @r#"policies/web.yaml:1:5: unknown base "s/one""#
    );
}

#[test]
fn yaml_takes_over_a_stored_index_unless_files_would_be_lost() {
    let yaml = document(vec![stage("a/b", &[]).line(3)], vec![]);
    let stored = [mirror("a/b"), stage("a/c", &["a/b"])];
    let policies = Policies::compile(&[yaml], &stored).unwrap();
    assert!(!policies.index(&index("a/b")).unwrap().is_mirror());
    let names: Vec<_> = policies
        .indexes()
        .map(|index| index.name.as_str())
        .collect();
    assert_eq!(names, ["a/b", "a/c"]);

    let yaml = document(vec![mirror("a/b").line(3)], vec![]);
    insta::assert_snapshot!(
        faults(&[yaml], &[stage("a/b", &[])]),
        @r#"policies/web.yaml:3:5: "a/b" is a mirror here, but a stage of that name was made through the API and its files would be out of reach, delete that stage or use another name"#
    );
}

#[test]
fn a_stack_has_a_limit() {
    let chain: Vec<IndexDocument> = (0..=STACK_MEMBERS_MAX)
        .map(|number| stage(&format!("a/{number}"), &[&format!("a/{}", number + 1)]))
        .collect();
    let found = Policies::compile(&[], &chain).unwrap_err();
    assert_eq!(found.0.len(), 1);
    insta::assert_snapshot!(found, @r#"the stack of index "a/0" has more than 256 members"#);
}

#[test]
fn rules_about_to_expire_are_listed_soonest_first() {
    let rules = vec![
        allow(of(&["later"])).until("2026-01-20T00:00:00Z"),
        allow(of(&["soon"])).until("2026-01-06T00:00:00Z"),
        allow(of(&["over"])).until("2026-01-01T00:00:00Z"),
        deny(of(&["far"])).until("2027-01-01T00:00:00Z"),
        deny(of(&["never"])),
    ];
    let policies = compiled(vec![], vec![policy("corporate", rules)]);
    let expiring = policies.expiring(at("2026-01-05T00:00:00Z"), Duration::from_hours(15 * 24));
    let lines: Vec<u32> = expiring.iter().map(|one| one.rule.location.line).collect();
    assert_eq!(lines, [11, 10]);
    assert_eq!(
        expiring[0].rule.words(),
        "allow: { project: soon, until: 2026-01-06T00:00:00Z }"
    );
}

#[test]
fn names_of_the_same_list_and_the_default_index_are_kept() {
    let mut yaml = document(vec![stage("a/b", &[])], vec![]);
    yaml.default_index = Some(placed(index("a/b")));
    yaml.advisories = vec![placed(osv("[]"))];
    let rule = deny(Matchers {
        advisory: vec!["malware".into()],
        project: vec![NamePattern::Glob("*".into())],
        ..Matchers::default()
    });
    yaml.policies = vec![policy("p", vec![rule])];
    let policies = Policies::compile(&[yaml], &[]).unwrap();
    assert_eq!(policies.default_index(), Some(&index("a/b")));
    assert_eq!(policies.policies.len(), 1);
}
