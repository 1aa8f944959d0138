//! `cheesecloth test`: operators' own tests of their policies, and ours of those that we ship.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::command;

const YAML: &str = "\
default_index: shop/all
indexes:
  root/dairy: { type: mirror, mirror_url: 'https://upstream.example/simple/', policy: house }
  shop/all: { bases: [root/dairy] }
policies:
  house:
    rules:
      - deny: { id: holes, project: sieve, versions: '>=2', reason: 'too large holes' }
      - deny: { id: fresh, younger_than: 7d }
";

const TESTS: &str = "\
policies: ../shop.yaml
now: 2026-06-15
tests:
  - given: { file: sieve-2.0.tar.gz, age: 30d }
    expect: deny
    by: holes
  - name: the older one will do
    given: sieve
    listed: [{ version: 1.0, age: 30d }, { version: 2.0, age: 20d }]
    expect: allow
    version: '1.0'
";

/// Runs the program in a folder; returns its exit code, and what it wrote.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command().current_dir(folder).args(arguments).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text.trim_end().to_owned())
}

fn shop(tests: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tests")).unwrap();
    fs::write(folder.path().join("shop.yaml"), YAML).unwrap();
    fs::write(folder.path().join("tests/shop.yaml"), tests).unwrap();
    folder
}

#[test]
fn tests_that_pass_are_exit_0_and_the_first_difference_of_others_is_told() {
    let folder = shop(TESTS);
    let path = folder.path();
    let passed = (Some(0), "2 tests passed in tests/shop.yaml".to_owned());
    assert_eq!(run(path, &["test", "tests/shop.yaml"]), passed);
    assert_eq!(run(path, &["test", "tests"]), passed);
    assert_eq!(run(path, &["test", "--policies", "shop.yaml"]), passed);

    // Without the rule both are decided otherwise.
    let laxer = YAML.replace("'>=2'", "'>=3'");
    fs::write(path.join("laxer.yaml"), laxer).unwrap();
    let laxer = ["test", "tests", "--policies", "laxer.yaml"];
    let (code, said) = run(path, &laxer);
    assert_eq!(code, Some(1), "{said}");
    insta::assert_snapshot!(said, @"
    tests/shop.yaml:4: sieve-2.0.tar.gz through shop/all: expected deny by holes, allowed by house/default
    tests/shop.yaml:7: the older one will do: sieve through shop/all: expected allow with version 1.0, 2.0 is taken, allowed by house/default
    2 of 2 tests failed in tests/shop.yaml
    ");
    let (code, said) = run(path, &[&laxer[..], &["--json"]].concat());
    assert_eq!(code, Some(1), "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["passed"], 0);
    let failed = &said["failed"][1];
    assert_eq!(failed["line"], 7, "{said}");
    assert_eq!(failed["name"], "the older one will do");
    assert_eq!(failed["rule"], "house/default");
}

#[test]
fn faults_of_tests_and_of_what_they_test_are_exit_2() {
    let folder = shop(&TESTS.replace("expect: deny", "expect: denied"));
    let path = folder.path();
    let (code, said) = run(path, &["test", "tests"]);
    assert_eq!(code, Some(2), "{said}");
    let words = "tests/shop.yaml:5:13: expect: \"denied\" is not allow or deny";
    assert_eq!(said, words);

    fs::write(path.join("tests/shop.yaml"), TESTS).unwrap();
    fs::write(
        path.join("shop.yaml"),
        YAML.replace("younger_than", "yunger_than"),
    )
    .unwrap();
    let (code, said) = run(path, &["test", "tests"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("shop.yaml:9:"), "{said}");

    for (arguments, words) in [
        (&["test"][..], "there is no"),
        (&["test", "no.yaml"], "no.yaml"),
        (&["test", "--policies", "no.yaml", "tests"], "no.yaml"),
    ] {
        let (code, said) = match arguments.len() {
            1 => run(tempfile::tempdir().unwrap().path(), arguments),
            _ => run(path, arguments),
        };
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn the_schema_of_tests_is_for_editors() {
    let (code, said) = run(Path::new("."), &["schema", "--tests"]);
    assert_eq!(code, Some(0), "{said}");
    let schema: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let case = &schema["properties"]["tests"]["items"]["properties"];
    assert_eq!(case["expect"]["enum"], json!(["allow", "deny"]));
}

#[test]
fn every_policy_that_we_ship_does_what_its_tests_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
        names.sort();
        names
    };
    let policies = names("policies");
    assert!(policies.len() >= 6, "{policies:?}");
    assert_eq!(names("policies/tests"), policies);
    let (code, said) = run(root, &["test", "policies/tests"]);
    assert_eq!(code, Some(0), "{said}");

    // There is nothing to decide in an example that declares no index.
    for name in names("examples") {
        let text = fs::read_to_string(root.join("examples").join(&name)).unwrap();
        assert!(
            !text.contains("\nindexes:") && !text.contains("\npolicies:"),
            "{name}"
        );
    }
}
