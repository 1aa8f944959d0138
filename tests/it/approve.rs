//! `approve`: what an index refuses of a lock file passes once it is approved, and nothing else does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::diff::run;
use super::support::{Client, FakeIndex, Program, Project, Run, Setup, Tool};

const PROJECT: &str = "[project]\nname = \"larder\"\nversion = \"1\"\nrequires-python = \">=3.10\"\n\
                       dependencies = [\"sieve==2.0\", \"whey\"]\n";

fn dairy() -> FakeIndex {
    Setup::default()
        .project(Project::new("sieve").wheel("1.0").wheel("2.0").wheel("3.0"))
        .project(Project::new("whey").wheel("1.0"))
        .start()
}

/// With comments and an indentation of its own.
fn policies(dairy: &FakeIndex, rules: &str) -> String {
    format!(
        "# the dairy\nindexes:\n    root/dairy: {{ type: mirror, mirror_url: '{}' }}   # ours\n    \
         shop/all: {{ bases: [root/dairy], policy: house }}\npolicies:\n    house:   # of the house\n{rules}",
        dairy.url()
    )
}

const STRICT: &str = "      rules:\n\n      # Only what was looked at.\n      - allow: { project: whey }  # harmless\n      default: deny\n";

const ASK: [&str; 8] = [
    "--index",
    "shop/all",
    "--owner",
    "team: data",
    "--ticket",
    "OPS-17",
    "--until",
    "2099-01-31",
];

fn approve(folder: &Path, more: &[&str]) -> super::diff::Ran {
    run(folder, &[&["approve", "uv.lock"], &ASK[..], more].concat())
}

/// A lock file made where everything is allowed, with the addresses of another gateway.
fn lock_for(dairy: &FakeIndex, shop: &Program) -> String {
    let open = Program::with_policies(&policies(dairy, "      mode: audit\n")).start();
    let uv = Client::fresh(Tool::Uv);
    uv.write("pyproject.toml", PROJECT);
    let index = open.index_url("shop/all");
    uv.run(&["lock", "--default-index", &index]).succeeds();
    let lock = uv.read("uv.lock");
    lock.replace(&index, &shop.index_url("shop/all"))
        .replace(open.public_url(), shop.public_url())
}

/// Installs exactly what the lock file says.
fn sync(lock: &str, shop: &Program) -> Run {
    let uv = Client::fresh(Tool::Uv);
    uv.write("pyproject.toml", PROJECT);
    uv.write("uv.lock", lock);
    let index = shop.index_url("shop/all");
    let only = [
        "--frozen",
        "--no-install-project",
        "--default-index",
        &index,
    ];
    uv.run(&[&["sync"], &only[..]].concat())
}

#[test]
fn what_is_approved_installs_after_the_reload_and_another_version_does_not() {
    let dairy = dairy();
    let strict = Program::with_policies(&policies(&dairy, STRICT));
    let folder = strict.folder().to_owned();
    let shop = strict.start();
    let lock = lock_for(&dairy, &shop);
    sync(&lock, &shop).fails().says("no rule allows it");
    fs::write(folder.join("uv.lock"), &lock).unwrap();
    let yaml = folder.join("policies.yaml");
    fs::set_permissions(&yaml, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::read_to_string(&yaml).unwrap();
    let first = approve(&folder, &["--into", "policies.yaml"]);
    assert_eq!(first.code, Some(0), "{}{}", first.out, first.err);
    for words in [
        "sieve 2.0: refused by policy house: no rule allows it",
        "1 of 2 entries approved for shop/all",
    ] {
        assert!(first.out.contains(words), "{}", first.out);
    }
    let after = fs::read_to_string(&yaml).unwrap();
    let mut lines = after.lines();
    for line in before.lines() {
        assert!(lines.any(|one| one == line), "{line} is gone:\n{after}");
    }
    for words in [
        "project: sieve",
        "versions: \"==2.0\"",
        "owner: \"team: data\"",
        "ticket: \"OPS-17\"",
        "until: 2099-01-31",
    ] {
        assert!(after.contains(words), "no {words}:\n{after}");
    }
    let mode = fs::metadata(&yaml).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    shop.hang_up();
    shop.wait_for_metric("cheesecloth_policy_generation", |number| number >= 2.0);
    sync(&lock, &shop).succeeds();
    let pip = Client::fresh(Tool::Pip);
    for other in ["sieve==3.0", "sieve==1.0"] {
        pip.install(&shop.index_url("shop/all"), &[other]).fails();
    }
    // Twice changes nothing.
    let second = approve(&folder, &["--into", "policies.yaml"]);
    assert_eq!(second.code, Some(0), "{}{}", second.out, second.err);
    let done = "nothing to approve: all 2 entries pass shop/all";
    assert!(second.out.contains(done), "{}", second.out);
    assert_eq!(fs::read_to_string(&yaml).unwrap(), after);
}

/// A folder with a lock file of a wheel that nobody has.
fn larder(yaml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("house.yaml"), yaml).unwrap();
    let digest = "0".repeat(63) + "1";
    let lock = format!("sieve==2.0 --hash=sha256:{digest}\nwhey==1.0 --hash=sha256:{digest}\n");
    fs::write(folder.path().join("r.txt"), lock).unwrap();
    folder
}

const YAML: &str = "\
indexes:
  root/dairy: { type: mirror, mirror_url: 'https://upstream.example/simple/', policy: base }
  shop/all: { bases: [root/dairy], policy: house }
policies:
  base: { rules: [{ deny: { id: sour, project: whey, reason: sour } }] }
  house: { rules: [{ deny: { id: holes, project: sieve, versions: '>=2', reason: 'holes' } }] } # house
";

#[test]
fn without_a_file_the_rules_are_printed_ready_to_paste() {
    let folder = larder(YAML);
    let ran = run(
        folder.path(),
        &[
            &["approve", "r.txt", "--offline", "--policies", "house.yaml"],
            &ASK[..],
        ]
        .concat(),
    );
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    insta::assert_snapshot!(ran.out, @r#"
    # To stand above the rule that refuses, in policy house (house.yaml:6).
    # sieve 2.0: refused by policy house: holes (house.yaml:6)
    - allow:
        project: sieve
        versions: "==2.0"
        sha256:
        - "0000000000000000000000000000000000000000000000000000000000000001"
        owner: "team: data"
        ticket: "OPS-17"
        until: 2099-01-31
    "#);
}

#[test]
fn only_what_a_rule_there_can_allow_is_written() {
    let folder = larder(YAML);
    let into = ["approve", "r.txt", "--offline", "--into", "house.yaml"];
    let ran = run(folder.path(), &[&into, &ASK[..]].concat());
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(
        ran.err.contains(
            "not approved, since no rule there could: whey 1.0: refused by policy base: sour"
        ),
        "{}",
        ran.err
    );
    let after = fs::read_to_string(folder.path().join("house.yaml")).unwrap();
    assert!(after.contains("allow: { project: sieve"), "{after}");
    assert!(!after.contains("allow: { project: whey"), "{after}");
    assert!(
        after.ends_with(
            "{ deny: { id: holes, project: sieve, versions: '>=2', reason: 'holes' } }] } # house\n"
        ),
        "{after}"
    );
}

/// The YAML, the lock file, further options, and what is said.
type Wrong = (String, &'static str, &'static [&'static str], &'static str);

const INTO: &[&str] = &["--until", "2099-01-31", "--into", "house.yaml"];

const INTO_OTHER: &[&str] = &[
    "--until",
    "2099-01-31",
    "--into",
    "other.yaml",
    "--policies",
    "house.yaml",
];

const OTHER: &[&str] = &["--until", "2099-01-31", "--policies", "other.yaml"];

/// What is wrong with a configuration or a command line.
fn wrong() -> Vec<Wrong> {
    let ruled =
        "{ rules: [{ deny: { id: holes, project: sieve, versions: '>=2', reason: 'holes' } }] }";
    let shared = YAML
        .replace("base: { rules: [", "base: { rules: &r [")
        .replace(ruled, "{ rules: *r }");
    let mut all: Vec<Wrong> = vec![
        (
            format!("{YAML}nonsense: 1\n"),
            "r.txt",
            INTO,
            "unknown key \"nonsense\"",
        ),
        (
            shared,
            "r.txt",
            INTO,
            "rules cannot be put into policy house",
        ),
    ];
    let over: &[&str] = &["--until", "2001-01-31"];
    let soon: &[&str] = &["--until", "soon"];
    let of_yaml = [
        ("r.txt", over, "--until 2001-01-31 is over"),
        ("r.txt", soon, "not a date such as 2027-01-31"),
        (
            "plain.txt",
            INTO,
            "plain.txt:1:1: sieve 2.0 is not pinned to a sha256",
        ),
        (
            "plain.txt",
            INTO,
            "plain.txt:2:1: whey is not pinned to a version",
        ),
        ("odd.lock", INTO, "odd.lock"),
        ("none.lock", INTO, "none.lock"),
        ("r.txt", OTHER, "there is no index shop/all"),
        (
            "r.txt",
            INTO_OTHER,
            "other.yaml is no file of this configuration",
        ),
    ];
    let rows = of_yaml.map(|(lock, more, words)| (YAML.to_owned(), lock, more, words));
    all.extend(rows);
    all
}

#[test]
fn what_cannot_be_approved_is_said_and_the_file_is_left_alone() {
    for (yaml, lock, more, words) in wrong() {
        let folder = larder(&yaml);
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("plain.txt", "sieve==2.0\nwhey\n");
        write("odd.lock", "[[thing]]\nname = \"x\"\n");
        write("other.yaml", "indexes: { a/b: {} }\n");
        let ran = run(
            folder.path(),
            &[&["approve", lock], &ASKED[..], more].concat(),
        );
        assert_eq!(ran.code, Some(2), "{lock} {more:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(words), "{lock} {more:?}: {}", ran.err);
        let after = fs::read_to_string(folder.path().join("house.yaml")).unwrap();
        assert_eq!(after, yaml, "{lock} {more:?}");
    }
    let folder = larder(YAML);
    let asked = [
        "approve",
        "r.txt",
        "--policies",
        "house.yaml",
        "--index",
        "shop/al",
    ];
    let rest = [
        "--offline",
        "--owner",
        "o",
        "--ticket",
        "t",
        "--until",
        "2099-01-31",
    ];
    let ran = run(folder.path(), &[&asked[..], &rest].concat());
    assert!(ran.err.contains("did you mean shop/all?"), "{}", ran.err);
}

/// All that has to be said but the end.
const ASKED: [&str; 7] = [
    "--offline",
    "--index",
    "shop/all",
    "--owner",
    "o",
    "--ticket",
    "t",
];
