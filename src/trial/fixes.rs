//! Fixes and lost provenance, in the words of tests of policies.

use crate::language::{NoFiles, at, index, osv, placed, read_text};
use crate::model::{ProjectState, UploadTime};
use crate::policy::{Candidate, ListedFiles, Policies, file};
use crate::trial::case::{Bench, CaseFile};

const NOW: &str = "2026-01-20T00:00:00Z";

const POLICIES: &str = "
indexes:
  m/one: { type: mirror }
  a/cool: { bases: m/one, policy: cool }
  a/safe: { bases: m/one, policy: safe }
  a/proof: { bases: m/one, policy: proof }
  a/late: { bases: m/one, policy: late }
policies:
  cool:
    rules:
      - deny: { id: cool-down, younger_than: 7d, unless: fixes_advisory }
  safe:
    rules:
      - deny: { id: known, advisory: ['*'] }
      - deny: { id: cool-down, younger_than: 7d, unless: fixes_advisory }
  proof:
    rules:
      - deny: { id: lost, provenance: lost }
      - deny: { id: young, younger_than: 7d }
  late:
    rules:
      - deny: { id: late, late: 14d }
";

/// `six` is mended in 1.2, of `rind` one source says so and another does not, `mould` is malware.
const ADVISORIES: &str = r#"[
  {"id": "GHSA-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "six"},
    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": "1.2"}]}]}]},
  {"id": "GHSA-2", "aliases": ["CVE-2"], "affected": [{"package": {"ecosystem": "PyPI", "name": "rind"},
    "versions": ["1.1"]}]},
  {"id": "PYSEC-2", "aliases": ["CVE-2"], "affected": [{"package": {"ecosystem": "PyPI", "name": "rind"},
    "versions": ["1.1", "1.2"]}]},
  {"id": "MAL-3", "affected": [{"package": {"ecosystem": "PyPI", "name": "mould"},
    "versions": ["1.1"]}]}]"#;

fn policies(rules: &str) -> Policies {
    let mut document = read_text("p.yaml", rules, &mut NoFiles).unwrap().0;
    document.advisories = vec![placed(osv(ADVISORIES))];
    Policies::compile(&[document], &[]).unwrap()
}

/// Which version an installer takes of those listed, by index and project.
fn check(table: &[(&str, &str, &str, Option<&str>)]) {
    let policies = policies(POLICIES);
    let bench = Bench {
        policies: &policies,
        documents: &[],
        now: at(NOW),
    };
    for (index, project, listed, taken) in table {
        let expected = match taken {
            Some(version) => format!("expect: allow, version: '{version}'"),
            None => "expect: deny".to_owned(),
        };
        let test = format!(
            "tests: [{{ index: {index}, given: {project}, listed: [{listed}], {expected} }}]"
        );
        let file = CaseFile::read("t.yaml", &test).unwrap();
        let difference = file.cases[0].run(&bench).unwrap();
        let difference = difference.map(|difference| difference.to_string());
        assert_eq!(difference, None, "{project} {listed}");
    }
}

#[test]
fn a_fix_of_the_newest_allowed_version_does_not_cool_down() {
    let old = "{ version: '1.1', age: 90d }";
    let fix = "{ version: '1.2', age: 1d }";
    check(&[
        ("a/cool", "six", &format!("{old}, {fix}"), Some("1.2")),
        // Nothing is known of it, nor of a version without a date.
        ("a/cool", "seven", &format!("{old}, {fix}"), Some("1.1")),
        (
            "a/cool",
            "six",
            &format!("{old}, {{ version: '1.2' }}"),
            Some("1.2"),
        ),
        // It is not free of it, or it replaces what is already free.
        (
            "a/cool",
            "six",
            &format!("{old}, {{ version: '1.1.1', age: 1d }}"),
            Some("1.1"),
        ),
        (
            "a/cool",
            "six",
            &format!("{old}, {{ version: '1.2', age: 9d }}, {{ version: '1.3', age: 1d }}"),
            Some("1.2"),
        ),
        // What is newer is allowed; an old line that somebody adds to fixes nothing.
        (
            "a/cool",
            "six",
            &format!("{old}, {{ version: '0.9', age: 1d }}"),
            Some("1.1"),
        ),
        // Sources disagree.
        ("a/cool", "rind", &format!("{old}, {fix}"), Some("1.1")),
        // Nobody takes a yanked one.
        (
            "a/cool",
            "six",
            &format!(
                "{{ version: '0.9', age: 99d }}, {{ version: '1.1', age: 90d, yanked: yes }}, {fix}"
            ),
            Some("0.9"),
        ),
    ]);
}

#[test]
fn where_advisories_leave_nothing_a_fix_passes_but_malware_is_not_fixed() {
    let (old, fix) = (
        "{ version: '1.1', age: 90d }",
        "{ version: '1.2', age: 1d }",
    );
    check(&[
        ("a/safe", "six", &format!("{old}, {fix}"), Some("1.2")),
        (
            "a/safe",
            "six",
            &format!("{{ version: '0.9', age: 99d }}, {old}, {fix}"),
            Some("0.9"),
        ),
        ("a/safe", "mould", &format!("{old}, {fix}"), None),
    ]);
}

#[test]
fn provenance_is_lost_where_the_allowed_predecessor_had_it() {
    let with = |version: &str| format!("{{ version: '{version}', age: 90d, provenance: yes }}");
    let without = |version: &str| format!("{{ version: '{version}', age: 80d }}");
    let sdist = |version: &str| format!("{{ version: '{version}', kind: sdist, age: 80d }}");
    let young = "{ version: '1.1', age: 1d }";
    let table = [
        (vec![with("1.0"), without("1.1")], Some("1.0")),
        // One that was refused for it is no predecessor.
        (
            vec![with("1.0"), without("1.1"), without("1.2")],
            Some("1.0"),
        ),
        (
            vec![with("1.0"), young.to_owned(), without("1.2")],
            Some("1.0"),
        ),
        (vec![without("1.0"), without("1.1")], Some("1.1")),
        (vec![without("1.0"), with("1.1")], Some("1.1")),
        // The order on the page does not matter.
        (vec![without("1.10"), with("1.9")], Some("1.9")),
        (vec![without("1.1")], Some("1.1")),
        // Sdists are compared with sdists.
        (vec![with("1.0"), sdist("1.0"), sdist("1.1")], Some("1.1")),
        (vec![with("1.0"), sdist("1.1")], Some("1.0")),
    ];
    let table: Vec<_> = table
        .iter()
        .map(|(listed, taken)| ("a/proof", "six", listed.join(", "), *taken))
        .collect();
    let table: Vec<_> = table
        .iter()
        .map(|(index, project, listed, taken)| (*index, *project, listed.as_str(), *taken))
        .collect();
    check(&table);
}

#[test]
fn explain_says_what_a_rule_found_among_other_files() {
    let policies = policies(POLICIES);
    let mut files = ["six-1.1.zip", "six-1.2.zip", "six-1.3.zip"].map(|name| file(name, "six"));
    let days = ["2025-10-01", "2026-01-19", "2026-01-19"];
    for (file, day) in files.iter_mut().zip(days) {
        let at = at(&format!("{day}T00:00:00Z"));
        file.upload_time = file.upload_time.map(|time| UploadTime { at, ..time });
    }
    files[0].provenance = Some("https://upstream.example/p".into());
    let said = |asked: &str, at_file: usize| {
        let stack = policies.stack(&index(asked)).unwrap();
        let (member, status) = (
            stack.position(&index("m/one")).unwrap(),
            ProjectState::Active,
        );
        let view = stack.view(files[0].filename.project());
        let view = view.among([ListedFiles {
            member,
            status,
            files: &files,
        }]);
        let file = &files[at_file];
        let lines = view.explain_file(
            &Candidate {
                file,
                member,
                status,
            },
            at(NOW),
        );
        lines[0].to_string()
    };
    insta::assert_snapshot!(said("a/cool", 1), @"m/one: cool/cool-down of a/cool (p.yaml:11): deny: { younger_than: 7d, unless: fixes_advisory }: passes over, it fixes GHSA-1, which the newest allowed version has");
    insta::assert_snapshot!(said("a/proof", 0), @"m/one: proof/lost of a/proof (p.yaml:18): deny: { provenance: lost }: passes over, it has provenance");
    insta::assert_snapshot!(said("a/proof", 1), @"m/one: proof/lost of a/proof (p.yaml:18): deny: { provenance: lost }: denies");
    insta::assert_snapshot!(said("a/late", 2), @"m/one: late/late of a/late (p.yaml:22): deny: { late: 14d }: passes over, its release began at 2026-01-19T00:00:00Z");
}

#[test]
fn unless_stands_in_a_deny_beside_a_matcher_and_needs_advisories() {
    let said = |rule: &str| {
        let text = format!(
            "indexes: {{ m/one: {{ type: mirror, policy: p }} }}\npolicies: {{ p: {{ rules: [\n{rule} ] }} }}"
        );
        match read_text("p.yaml", &text, &mut NoFiles) {
            Err(faults) => faults.to_string(),
            Ok((document, _)) => Policies::compile(&[document], &[]).unwrap_err().to_string(),
        }
    };
    insta::assert_snapshot!(said("allow: { older_than: 7d, unless: fixes_advisory }"), @"p.yaml:3:26: unless: of an allow, which refuses nothing, write it into the deny that others are held back by");
    insta::assert_snapshot!(said("deny: { unless: fixes_advisory }"), @r#"p.yaml:3:1: deny without a matcher would decide about every file, say which files, or "default: deny" for all others"#);
    insta::assert_snapshot!(said("deny: { younger_than: 7d, unless: fixes_advisory }"), @"p.yaml:3:1: the rule asks for advisories and there are none, name OSV files, folders or feeds under the top-level key advisories");
    insta::assert_snapshot!(said("deny: { younger_than: 7d, unless: fixes }"), @r#"p.yaml:3:35: unless: "fixes" is not fixes_advisory"#);
}

#[test]
fn without_the_other_versions_a_rule_refuses_and_says_so() {
    let policies = policies(POLICIES);
    let mut young = file("six-1.2.zip", "six");
    young.upload_time = young.upload_time.map(|time| UploadTime {
        at: at(NOW),
        ..time
    });
    let said = |asked: &str| {
        let stack = policies.stack(&index(asked)).unwrap();
        let candidate = Candidate {
            file: &young,
            member: stack.position(&index("m/one")).unwrap(),
            status: ProjectState::Active,
        };
        let view = stack.view(young.filename.project());
        let verdict = view.decide_file(&candidate, at(NOW));
        verdict.denial().unwrap().short()
    };
    insta::assert_snapshot!(said("a/cool"), @"six 1.2 is refused by policy cool: it has no known versions beside it, which this rule needs: younger_than: 7d, unles...");
    insta::assert_snapshot!(said("a/proof"), @"six 1.2 is refused by policy proof: it has no known versions beside it, which this rule needs: provenance: lost");
    insta::assert_snapshot!(said("a/late"), @"six 1.2 is refused by policy late: it has no upload-time of its release's first file, which this rule needs: late: 14d");
}
