//! What tests say about policies, in the words that their authors read.

use crate::language::{Document, NoFiles, Shape, at, osv, placed, read_text};
use crate::model::Faults;
use crate::policy::Policies;
use crate::trial::case::document::CASE;
use crate::trial::case::given::GIVEN;
use crate::trial::case::{Bench, CASES, CaseFile};

const POLICIES: &str = "
default_index: a/top
indexes:
  m/one: { type: mirror, undated: first_seen }
  m/two: { type: mirror, policy: watch }
  a/top: { bases: [a/base], policy: corporate, owns: ['acme-*'] }
  a/base: { bases: [m/one, m/two], whitelist: ['*'] }
policies:
  corporate:
    rules:
      - allow: { id: waiver, project: numpy, until: 2026-01-31 }
      - deny: { id: leak, project: requests, versions: '<2.31', reason: 'leaks' }
      - deny: { id: cool-down, younger_than: 7d }
      - deny: { id: large, size_over: 1MiB }
      - deny: { id: bad, advisory: 'MAL-*' }
      - deny: { yanked: true }
      - deny: { id: late, kind: egg, late: 14d, reason: 'a late file' }
  watch: { mode: audit, rules: [ deny: { id: odd, kind: sdist, reason: 'no sdists' } ] }
";

fn document() -> Document {
    // Rules about advisories need some, and none of these matters here.
    let mut document = read_text("p.yaml", POLICIES, &mut NoFiles).unwrap().0;
    document.advisories = vec![placed(osv("[]"))];
    document
}

/// What the tests of a text say: `ok`, or how they differ; a fault on a line of its own.
fn run(tests: &str) -> String {
    let documents = [document()];
    let policies = Policies::compile(&documents, &[]).unwrap();
    let bench = Bench {
        policies: &policies,
        documents: &documents,
        now: at("2026-01-20T00:00:00Z"),
    };
    let file = match CaseFile::read("t.yaml", tests) {
        Ok(file) => file,
        Err(faults) => return faults.to_string(),
    };
    let said = file.cases.iter().map(|case| match case.run(&bench) {
        Ok(None) => "ok".to_owned(),
        Ok(Some(difference)) => difference.to_string(),
        Err(fault) => fault.to_string(),
    });
    said.collect::<Vec<_>>().join("\n")
}

#[test]
fn whatever_a_matcher_looks_at_can_be_given() {
    let tests = "
tests:
  - { given: { file: requests-2.30.0.tar.gz, age: 30d, size: 1KiB }, expect: deny, by: leak }
  - { given: { file: six-1.tar.gz, age: 6d }, expect: deny, by: corporate/cool-down }
  - { given: { file: six-1.tar.gz, uploaded: 2026-01-13, size: 1KiB }, expect: allow }
  - { given: { file: six-1.tar.gz, uploaded: 2026-01-13T00:00:01Z, size: 1KiB }, expect: deny }
  - { given: { file: six-1.tar.gz, first_seen: 8d, size: 1KiB }, expect: allow }
  - { given: { file: six-1.tar.gz, first_seen: 8d, size: 1KiB, upstream: m/two }, expect: deny, by: cool-down }
  - { given: { project: six, version: '1', age: 9d, size: 2MiB }, expect: deny, by: large }
  - { given: { project: six, version: '1', age: 9d, size: 1, advisories: MAL-2026-1 }, expect: deny, by: bad }
  - { given: { project: six, version: '1', age: 9d, size: 1, yanked: yes }, expect: deny, by: corporate }
  - { given: { project: six, version: '1', kind: egg, age: 9d, size: 1, release_began: 40d }, expect: deny, by: late }
  - { given: { project: six, version: '1', kind: egg, age: 9d, size: 1, release_began: 20d }, expect: allow }
  - { given: { project: six, version: '1', kind: egg, age: 9d, size: 1 }, expect: deny, by: late }
  - given: six
    listed: [{ version: '1', age: 90d, size: 1 }, { version: '1', kind: egg, age: 9d, size: 1 }]
    expect: allow
  - { given: numpy==2.0, expect: allow, by: waiver }
  - { given: numpy==2.0, now: 2026-02-01, expect: deny, by: cool-down }
  - { given: acme-tools, expect: deny, by: owns }
  - { given: { project: acme-tools, held_by: a/top }, expect: allow }
  - { given: { project: six, upstream: m/one, held_by: a/base }, expect: deny, by: mirror_whitelist }
  - { given: whey, index: a/base, expect: allow, by: whitelist }
";
    assert_eq!(run(tests), ["ok"; 19].join("\n"));
}

#[test]
fn the_first_difference_is_told_with_the_rule_and_its_place() {
    let tests = "
tests:
  - given: { file: requests-2.30.0.tar.gz, age: 30d, size: 1KiB }
    expect: allow
  - name: it is too young
    given: { file: requests-2.30.0.tar.gz, age: 1d }
    expect: deny
    by: cool-down
  - given: numpy==2.0
    expect: deny
  - given: { file: six-1.tar.gz, age: 9d, size: 1, upstream: m/two }
    expect: deny
  - given: six
    expect: deny
  - given: { project: six, upstream: m/one, held_by: a/base }
    expect: allow
  - given: six==1
    expect: allow
";
    insta::assert_snapshot!(run(tests), @"
    t.yaml:3: requests-2.30.0.tar.gz through a/top: expected allow, denied by corporate/leak (p.yaml:12): leaks
    t.yaml:5: it is too young: requests-2.30.0.tar.gz through a/top: expected deny by cool-down, denied by corporate/leak (p.yaml:12): leaks
    t.yaml:9: numpy-2.0-py3-none-any.whl through a/top: expected deny, allowed by corporate/waiver (p.yaml:11) and whitelist (p.yaml:7)
    t.yaml:11: six-1.tar.gz through a/top: expected deny, allowed by corporate/default and whitelist (p.yaml:7), and watch/odd (p.yaml:18) would deny it, but only audits: no sdists
    t.yaml:13: six through a/top: expected deny, allowed by corporate/default and whitelist (p.yaml:7)
    t.yaml:15: six through a/top: expected allow, a/base holds the name, which is then not taken from mirrors
    t.yaml:17: six-1-py3-none-any.whl through a/top: expected allow, denied by corporate/cool-down (p.yaml:13): it has no upload-time, which this rule needs: younger_than: 7d
    ");
}

#[test]
fn a_fallback_is_the_version_that_an_installer_takes_of_those_that_pass() {
    let tests = "
now: 2026-01-20
tests:
  - given: requests
    listed: [ { version: 2.30.0, age: 90d, size: 1 }, { version: 2.31.0, age: 80d, size: 1 }, { version: 2.32.0, age: 1d } ]
    expect: allow
    version: 2.31.0
  - given: requests>2.31
    listed: [ { version: 2.31.0, age: 80d, size: 1 }, { version: 2.32.0, age: 1d, size: 1 } ]
    expect: deny
    by: cool-down
  - given: requests
    listed: [ { version: 2.30.0, age: 90d, size: 1 }, { version: 2.31.0, age: 80d, size: 1 } ]
    expect: allow
    version: 2.30.0
  - given: requests==2.30.0
    listed: [ 2.30.0, 2.31.0 ]
    expect: allow
  - given: six
    listed: [ { version: 1.0, held_by: a/base, age: 8d, size: 1 }, { version: 9.0, upstream: m/one, age: 8d, size: 1 } ]
    expect: allow
    version: '1.0'
  - given: requests>3
    listed: [ 2.30.0 ]
    expect: deny
";
    insta::assert_snapshot!(run(tests), @"
    ok
    ok
    t.yaml:12: requests through a/top: expected allow with version 2.30.0, 2.31.0 is taken, allowed by corporate/default and whitelist (p.yaml:7)
    t.yaml:16: requests==2.30.0 through a/top: expected allow, denied by corporate/leak (p.yaml:12): leaks
    ok
    t.yaml:23:12: none of the files listed is one that an installer would take
    ");
}

#[test]
fn what_is_wrong_with_a_test_is_a_fault_at_its_place() {
    let faulty = "
nwo: 2026-01-01
tests:
  - { given: six-1.tar.gz, expect: allowed }
  - { expect: deny }
  - { given: six-1.tar.gz }
  - { given: { file: six.txt }, expect: deny }
  - { given: { file: six-1.tar.gz, version: '1' }, expect: deny }
  - { given: { project: six, age: 3d }, expect: deny }
  - { given: { age: 3d, knid: wheel }, expect: deny }
  - { given: six-1.tar.gz, listed: [ 1.0 ], expect: allow }
  - { given: six, listed: [ whey-1.tar.gz ], expect: allow }
  - { given: six>1, expect: allow }
  - { given: six, version: '1', expect: allow }
  - { given: 'six ~ 1', expect: allow }
";
    insta::assert_snapshot!(run(faulty), @r#"
  t.yaml:2:1: unknown key "nwo", did you mean "now"?
  t.yaml:4:36: expect: "allowed" is not allow or deny, did you mean "allow"?
  t.yaml:5:5: a test to which nothing is given, name a file or a project: given: six-1.17.0-py2.py3-none-any.whl
  t.yaml:6:5: a test that expects nothing, say expect: allow or expect: deny
  t.yaml:7:22: file: "six.txt" is no name of a file, write it as an index lists it: six-1.17.0.tar.gz
  t.yaml:8:45: version: the name of the file states it, leave one of them out
  t.yaml:9:30: age is about a file, and a project is given, give it a file or a version
  t.yaml:10:14: neither a file nor a project is given, say file: or project:
  t.yaml:10:25: unknown key "knid", did you mean "kind"?
  t.yaml:11:14: files are listed, and a single one is given, give the project or a requirement
  t.yaml:12:29: "whey-1.tar.gz" does not name a file of six
  t.yaml:13:14: a requirement takes one of several versions, and none are listed, list them: listed: [1.0, 2.0]
  t.yaml:14:28: version is what is taken of the files listed, and none are, list them: listed: [1.0, 2.0]
  t.yaml:15:14: given: "~ 1" is not a version specifier (PEP 440)
  "#);
    assert_eq!(
        run("tests: []"),
        "t.yaml:1:1: a file of tests without a test, write each under tests: as \"- { given: …, expect: … }\""
    );
}

#[test]
fn what_the_configuration_has_not_is_a_fault_too() {
    let tests = "
tests:
  - { given: six, index: a/tpo, expect: allow }
  - { given: { project: six, upstream: m/on }, expect: allow }
  - { given: { project: six, held_by: m/one }, expect: allow }
";
    insta::assert_snapshot!(run(tests), @r#"
  t.yaml:3:26: unknown index "a/tpo", did you mean "a/top"?
  t.yaml:4:40: m/on is no mirror in the stack of a/top, did you mean "m/one"?
  t.yaml:5:39: m/one is no stage in the stack of a/top
  "#);
}

#[test]
fn without_any_index_to_ask_the_test_is_at_fault() {
    let mut document = document();
    document.default_index = None;
    let policies = Policies::compile(&[document], &[]).unwrap();
    let bench = Bench {
        policies: &policies,
        documents: &[],
        now: at("2026-01-20T00:00:00Z"),
    };
    let file = CaseFile::read("t.yaml", "tests: [ { given: six, expect: allow } ]").unwrap();
    let fault = file.cases[0].run(&bench).unwrap_err();
    let faults = Faults(vec![fault]);
    insta::assert_snapshot!(faults, @"t.yaml:1:10: the test asks no index, and there is no default_index, say which: index: user/index");
}

/// A value of the wrong type at every key: one that nobody reads would be silent.
#[test]
fn no_key_of_the_tables_is_left_unread() {
    for (frame, table) in [
        ("@", CASES),
        ("tests: [@]", CASE),
        ("tests: [{given: @, expect: deny}]", GIVEN),
        ("tests: [{given: six, listed: [@], expect: deny}]", GIVEN),
    ] {
        for key in table {
            let wrong = match key.shape {
                Shape::Either(..) => "[[]]",
                _ => "{'': [[]]}",
            };
            let text = frame.replace('@', &format!("{{{}: {wrong}}}", key.name));
            let faults = CaseFile::read("t.yaml", &text).unwrap_err().to_string();
            let words = format!("{}: expected ", key.name);
            assert!(faults.contains(&words), "{text}: {faults}");
        }
    }
}
