//! What people copy out of this repository works, and names no public registry.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::{Client, FakeIndex, Program, Project, Setup, Tool, command, python};

/// Not ours to check: built, fetched or written by tools.
const PASSED_OVER: [&str; 4] = [".git", "Cargo.lock", "data", "target"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file in the repository, as relative paths.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if PASSED_OVER
                .iter()
                .any(|passed| entry.file_name() == *passed)
            {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn files_ending(folders: &[&str], extension: &str) -> Vec<PathBuf> {
    let wanted = |path: &PathBuf| {
        let ends = path.extension().is_some_and(|found| found == extension);
        ends && folders.iter().any(|folder| path.starts_with(folder))
    };
    files().into_iter().filter(wanted).collect()
}

/// The configurations in these folders; what is in folders called `tests` are tests of them.
fn policies_in(folders: &[&str]) -> Vec<PathBuf> {
    let is_test = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "tests");
    let mut files = files_ending(folders, "yaml");
    files.retain(|path| !is_test(path));
    files
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text between ```` ```language ```` and ```` ``` ````.
fn code_blocks<'a>(markdown: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    let blocks = markdown.split(&opening).skip(1);
    blocks
        .filter_map(|rest| rest.split_once("```").map(|(block, _)| block))
        .collect()
}

/// Runs `check` on a policy; returns its exit status and output.
fn check(path: &Path) -> (Option<i32>, String) {
    let output = command().arg("check").arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said.into_owned())
}

#[track_caller]
fn assert_no_faults(path: &Path) {
    let (code, said) = check(path);
    assert_eq!(code, Some(0), "check {}\n{said}", path.display());
}

fn written(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("cheesecloth.yaml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn every_policy_we_ship_has_no_faults() {
    // CI definitions end in `.yml`; `.yaml` files are policies.
    let policies = policies_in(&["policies", "examples"]);
    assert!(policies.len() >= 6, "{policies:?}");
    for path in policies {
        assert_no_faults(&root().join(path));
    }
}

#[test]
fn check_tells_of_rules_that_can_be_gone_around_and_ours_cannot() {
    let readme = read("README.md");
    let policy = code_blocks(&readme, "yaml")[0];
    let around = policy
        .replace("type: mirror, policy: corporate", "type: mirror")
        .replace("owns: [\"acme-*\"]", "policy: corporate");
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = check(&written(folder.path(), &around));
    let words = "cheesecloth.yaml:2:3: root/pypi can be asked at the public door without policy corporate, \
                 which root/acme above it has, give it the same, or public: false";
    assert!(said.contains("warning: ") && said.contains(words), "{said}");
    assert_eq!(code, Some(0), "a warning is no fault: {said}");

    let (_, said) = check(&written(folder.path(), policy));
    assert!(said.starts_with("no faults in "), "{said}");
    for path in policies_in(&["policies"]) {
        let (_, said) = check(&root().join(&path));
        assert!(said.starts_with("no faults in "), "{said}");
    }
}

#[test]
fn check_tells_of_what_holds_nowhere_is_over_or_goes_round() {
    let yaml = "\
listen: { public: 127.0.0.1:4040 }
indexes:
  root/loop: { type: mirror, mirror_url: 'http://127.0.0.1:4040/root/used/+simple/' }
  root/used: { policy: used }
policies:
  used: { rules: [ allow: { project: six, until: 2020-01-31, owner: data }, deny: { kind: egg } ] }
  forgotten: { rules: [ deny: { kind: egg } ] }
";
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = check(&written(folder.path(), yaml));
    assert_eq!(code, Some(0), "{said}");
    for words in [
        "cheesecloth.yaml:3:42: mirror_url of root/loop leads back to this gateway",
        "cheesecloth.yaml:6:20: allow: { project: six, until: 2020-01-31T23:59:59.999999999Z } of policy used \
         ended at 2020-01-31T23:59:59.999999999Z (data)",
        "cheesecloth.yaml:7:3: no index has policy forgotten",
    ] {
        assert!(said.contains(words), "{words} in\n{said}");
    }
    assert!(said.contains("\nno faults, 3 warnings in "), "{said}");
    assert_eq!(said.lines().count(), 4, "{said}");
}

#[test]
fn the_policy_in_the_readme_has_no_faults_until_one_is_made() {
    let readme = read("README.md");
    let blocks = code_blocks(&readme, "yaml");
    assert_eq!(blocks.len(), 1);
    let folder = tempfile::tempdir().unwrap();
    assert_no_faults(&written(folder.path(), blocks[0]));

    let faulty = blocks[0].replace("policies:", "polices:");
    let (code, said) = check(&written(folder.path(), &faulty));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cheesecloth.yaml:4:1"), "{said}");
}

/// The stable, staging and develop stack that we ship, over an index that holds `sieve`.
fn shipped_stack() -> (FakeIndex, Program) {
    let index = Setup::default()
        .project(Project::new("sieve").wheel("1.0"))
        .start();
    let policies = read("policies/stable-staging-develop.yaml");
    let program = Program::with_policies(&policies)
        .mirroring(index.url().as_str())
        .start();
    (index, program)
}

/// An example, with the address of a running program instead of the one that people replace.
fn example(name: &str, program: &Program) -> String {
    let text = read(Path::new("examples").join(name));
    let written_for = "http://devpi:4040/";
    assert!(
        text.contains(written_for),
        "{name} does not name {written_for}"
    );
    text.replace(written_for, program.public_url())
}

#[test]
fn our_examples_make_pip_uv_and_poetry_use_the_gateway() {
    let (_index, program) = shipped_stack();

    let pip = Client::fresh(Tool::Pip).with("PIP_CONFIG_FILE", "pip.conf");
    pip.write("pip.conf", &example("pip.conf", &program));
    pip.run(&["install", "--target", "out", "sieve"]).succeeds();
    assert_eq!(pip.read("out/sieve/__init__.py"), "__version__ = \"1.0\"\n");

    let uv = Client::fresh(Tool::Uv).with("UV_NO_CONFIG", "false");
    uv.write("uv.toml", &example("uv/uv.toml", &program));
    uv.run(&["pip", "install", "--target", "out", "sieve"])
        .succeeds();
    assert_eq!(uv.read("out/sieve/__init__.py"), "__version__ = \"1.0\"\n");

    let uv = Client::fresh(Tool::Uv).with("UV_NO_CONFIG", "false");
    uv.write("pyproject.toml", &example("uv/pyproject.toml", &program));
    uv.run(&["lock"]).succeeds();
    assert!(uv.read("uv.lock").contains("sieve-1.0-py3-none-any.whl"));

    let poetry = Client::fresh(Tool::Poetry);
    poetry.write(
        "pyproject.toml",
        &example("poetry/pyproject.toml", &program),
    );
    poetry.run(&["lock"]).succeeds();
    assert!(
        poetry
            .read("poetry.lock")
            .contains("sieve-1.0-py3-none-any.whl")
    );
}

#[test]
fn the_readme_names_the_commands_that_are_run_on_every_change() {
    let readme = read("README.md");
    let lines = code_blocks(&readme, "sh").into_iter().flat_map(str::lines);
    let named: BTreeSet<&str> = lines.filter(|line| line.starts_with("cargo ")).collect();
    let script = read(".ci/run");
    let run: BTreeSet<&str> = script
        .lines()
        .filter(|line| line.starts_with("cargo "))
        .collect();
    assert!(run.len() >= 3, "{run:?}");

    let missing: Vec<_> = run.difference(&named).collect();
    assert!(
        missing.is_empty(),
        "run, but not in the readme: {missing:?}"
    );
    // The readme names more commands only for the first try.
    let beyond: Vec<_> = named.difference(&run).copied().collect();
    assert_eq!(beyond, ["cargo run --release -- serve", "cargo test"]);
}

#[test]
fn links_between_our_pages_lead_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in files()
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
    {
        let text = read(page);
        for after in text.split("](").skip(1) {
            let target = after.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            followed += 1;
            let folder = root().join(page.parent().unwrap_or(Path::new("")));
            if !folder.join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(followed > 15, "only {followed} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The hosts of PyPI and its test instance, as pip knows them, so that none is written here.
fn registry_hosts() -> Vec<String> {
    let names = "from pip._internal.models.index import PyPI, TestPyPI\n\
                 for index in (PyPI, TestPyPI): print(index.netloc, index.file_storage_domain)";
    let output = Command::new(python()).args(["-c", names]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let hosts: BTreeSet<String> = text.split_whitespace().map(str::to_owned).collect();
    assert!(
        hosts.len() >= 3 && hosts.iter().all(|host| host.contains('.')),
        "{hosts:?}"
    );
    hosts.into_iter().collect()
}

#[test]
fn no_file_names_the_host_of_a_public_registry() {
    let hosts = registry_hosts();
    let files = files();
    assert!(files.len() > 50, "{} files were found", files.len());
    let mut named = Vec::new();
    for path in files {
        let content = fs::read(root().join(&path)).unwrap();
        let text = String::from_utf8_lossy(&content);
        for (number, line) in text.lines().enumerate() {
            if let Some(host) = hosts.iter().find(|host| line.contains(*host)) {
                named.push(format!("{}:{}: {host}", path.display(), number + 1));
            }
        }
    }
    assert!(
        named.is_empty(),
        "a mirror without a URL finds its upstream by pip:\n{}",
        named.join("\n")
    );
}
