//! The commands that look at policies without serving: `check`, `schema`, `explain`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::support::{FakeIndex, Program, Project, Setup, Web, command};

/// Four faults on known lines.
const FAULTY: &str = "\
indexes:
  root/dairy: { type: mirror, mirror_url: 'https://upstream.example/simple/' }
  shop/all: { bases: [root/diary], polcy: house, policy: hose }
policies:
  house:
    rules:
      - deny: { younger_than: soon }
";

struct Said {
    code: Option<i32>,
    text: String,
}

fn run(arguments: &[&str]) -> Said {
    let output = command().args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Said {
        code: output.status.code(),
        text: text.into_owned(),
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path: PathBuf = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn check_says_every_fault_with_its_place_and_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "shop.yaml", FAULTY);
    let said = run(&["check", &path]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let faults: Vec<&str> = said.text.lines().collect();
    for (line, words) in [(3, "polcy"), (7, "soon")] {
        let place = format!("shop.yaml:{line}:");
        let found = faults
            .iter()
            .any(|fault| fault.contains(&place) && fault.contains(words));
        assert!(found, "no fault with {words:?} at {place}\n{}", said.text);
    }
    assert!(said.text.contains("policy"), "no suggestion: {}", said.text);

    // Faults that only show when all documents are put together.
    let text = FAULTY.replace("polcy: house, ", "").replace("soon", "7d");
    let path = write(folder.path(), "shop.yaml", &text);
    let said = run(&["check", &path, "--json"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    for words in ["root/diary", "root/dairy", "hose"] {
        assert!(said.text.contains(words), "no {words}: {}", said.text);
    }
    serde_json::from_str::<Value>(&said.text).unwrap();

    let text = text.replace("diary", "dairy").replace("hose", "house");
    let path = write(folder.path(), "shop.yaml", &text);
    let said = run(&["check", &path]);
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[test]
fn the_schema_names_every_key_and_refuses_others() {
    let said = run(&["schema"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    let schema: Value = serde_json::from_str(&said.text).unwrap();
    assert!(
        schema["$schema"]
            .as_str()
            .unwrap()
            .contains("json-schema.org")
    );
    assert_eq!(schema["additionalProperties"], false);
    let keys = schema["properties"].as_object().unwrap();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let written = text.lines().filter_map(|line| {
            let (key, _) = line.split_once(':')?;
            let is_key = key
                .chars()
                .all(|one| one.is_ascii_lowercase() || one == '_');
            (is_key && !key.is_empty()).then_some(key)
        });
        for key in written {
            assert!(keys.contains_key(key), "{key} of {}", path.display());
        }
    }
}

fn dairy() -> FakeIndex {
    let sieve = Project::new("sieve").wheel("1.10").wheel("1.9");
    let sieve = sieve.wheel("1.0").wheel("2.0");
    Setup::default().project(sieve).start()
}

/// A data directory in which the page of `sieve` is held, and the policies that it was fetched under.
struct Shop {
    folder: TempDir,
    policies: String,
}

impl Shop {
    async fn visited() -> Self {
        let dairy = dairy();
        let folder = tempfile::tempdir().unwrap();
        let yaml = format!(
            "indexes:\n  root/dairy: {{ type: mirror, mirror_url: '{}' }}\n  \
             shop/all: {{ bases: [root/dairy], policy: house, owns: ['acme-*'] }}\n\
             policies:\n  house:\n    rules:\n      \
             - allow: {{ project: whey }}\n      \
             - deny: {{ project: sieve, versions: '>=2', reason: 'too large holes' }}\n",
            dairy.url()
        );
        let policies = write(folder.path(), "shop.yaml", &yaml);
        let data = folder.path().join("data");
        let shop = Program::with_policies(&yaml).data(&data).start();
        let page = format!("{}sieve/", shop.index_url("shop/all"));
        Web::new().page(&page).await;
        shop.stop();
        Self { folder, policies }
    }

    fn explain(&self, subject: &str) -> Said {
        let data = self.folder.path().join("data");
        let data = data.to_str().unwrap();
        let policies = &*self.policies;
        let options = ["--policies", policies, "--data", data];
        run(&[&["explain", "shop/all", subject], &options[..]].concat())
    }
}

#[tokio::test]
async fn explain_names_the_file_and_line_of_each_rule() {
    let shop = Shop::visited().await;
    for subject in ["sieve==2.0", "sieve-2.0-py3-none-any.whl"] {
        let said = shop.explain(subject);
        assert_eq!(said.code, Some(1), "{}", said.text);
        assert!(said.text.contains("shop.yaml:8"), "{}", said.text);
        let rule = ">=2 }: denies, too large holes\n";
        assert!(said.text.contains(rule), "{}", said.text);
    }
    let said = shop.explain("sieve<2");
    assert_eq!(said.code, Some(0), "{}", said.text);
    let file = "sieve-1.0-py3-none-any.whl";
    assert!(said.text.contains(file), "{}", said.text);
    let said = shop.explain("acme-brine");
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("shop.yaml:3"), "{}", said.text);
    assert_eq!(shop.explain("sieve ===").code, Some(2));
}

#[tokio::test]
async fn explain_ends_with_what_an_installer_takes() {
    let shop = Shop::visited().await;
    let refused = "refused by policy house: too large holes (shop.yaml:8)";
    for (subject, last) in [
        (
            "sieve",
            format!("an installer takes sieve 1.10; 2.0 is {refused}"),
        ),
        ("sieve<2", "an installer takes sieve 1.10".to_owned()),
        (
            "sieve==2.0",
            format!("an installer takes nothing: sieve 2.0 is {refused}"),
        ),
        (
            "sieve-2.0-py3-none-any.whl",
            format!("sieve-2.0-py3-none-any.whl is {refused}"),
        ),
        (
            "sieve-1.0-py3-none-any.whl",
            "sieve-1.0-py3-none-any.whl is served".to_owned(),
        ),
        (
            "sieve>2",
            "an installer takes nothing: no file that is held here fits".to_owned(),
        ),
    ] {
        let said = shop.explain(subject);
        assert_eq!(said.text.lines().last(), Some(&*last), "{}", said.text);
    }
    for (subject, words) in [
        (
            "whey",
            "what an installer takes is not known here: a page of whey from root/dairy is not held",
        ),
        (
            "acme-brine",
            "an installer takes nothing: Project acme-brine is refused by owns of shop/all",
        ),
    ] {
        let said = shop.explain(subject);
        let last = said.text.lines().last().unwrap();
        assert!(last.starts_with(words), "{last}");
    }
}

/// Three projects that nobody asked for, and the policies of a shop that has them.
fn unvisited() -> (FakeIndex, String) {
    let whey = Project::new("whey").wheel("1.9").wheel("1.10");
    let other = Project::new("rennet").wheel("1.0");
    let dairy = Setup::default().project(whey).project(other).start();
    let yaml = format!(
        "indexes:\n  root/dairy: {{ type: mirror, mirror_url: '{}' }}\n  \
         shop/all: {{ bases: [root/dairy], policy: house }}\n\
         policies:\n  house:\n    rules:\n      \
         - deny: {{ project: whey, versions: '>=1.10', reason: 'turned sour' }}\n      \
         - deny: {{ project: rennet, reason: 'not for us' }}\n",
        dairy.url()
    );
    (dairy, yaml)
}

const SOUR: &str = "an installer takes whey 1.9; 1.10 is refused by policy house: turned sour";

#[test]
fn a_name_that_nobody_asked_for_is_asked_for_through_the_running_server() {
    let (dairy, yaml) = unvisited();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let shop = Program::with_policies(&yaml).data(&data).start();
    let address = |url: &str| {
        url.trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned()
    };
    let explain = |subject: &str| {
        let mut explain = command();
        explain
            .args(["explain", "shop/all", subject, "--data"])
            .arg(&data);
        explain
            .arg("--policies")
            .arg(shop.folder().join("policies.yaml"));
        explain.env("CHEESECLOTH_PUBLIC", address(shop.public_url()));
        let output = explain.current_dir(folder.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // A refused name is heard of by nobody.
    let said = explain("rennet");
    assert!(
        said.lines().last().unwrap().contains("not for us"),
        "{said}"
    );
    assert_eq!(
        shop.metric("cheesecloth_upstream_requests_total")
            .unwrap_or(0.0),
        0.0
    );
    let said = explain("whey");
    assert!(said.lines().last().unwrap().starts_with(SOUR), "{said}");
    assert_eq!(
        shop.metric("cheesecloth_upstream_requests_total"),
        Some(1.0)
    );
    // Held now.
    explain("whey==1.9");
    assert_eq!(
        shop.metric("cheesecloth_upstream_requests_total"),
        Some(1.0)
    );
    drop(dairy);
}

#[test]
fn without_a_server_the_upstream_is_asked_unless_offline() {
    let (mut dairy, yaml) = unvisited();
    let folder = tempfile::tempdir().unwrap();
    let policies = write(folder.path(), "shop.yaml", &yaml);
    let explain = |words: &[&str]| {
        let mut explain = command();
        explain
            .args(["explain", "shop/all"])
            .args(words)
            .args(["--policies", &policies]);
        let output = explain.current_dir(folder.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = explain(&["whey", "--offline"]);
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("what an installer takes is not known here"),
        "{said}"
    );
    let said = explain(&["whey"]);
    assert!(said.lines().last().unwrap().starts_with(SOUR), "{said}");
    // The rule's reason stands with the file that it refuses.
    assert!(said.contains(">=1.10 }: denies, turned sour\n"), "{said}");
    dairy.stop();
    let said = explain(&["whey"]);
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("what an installer takes is not known here"),
        "{said}"
    );
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn explain_lists_versions_in_their_own_order() {
    let said = Shop::visited().await.explain("sieve");
    let files = said.text.lines().filter(|line| line.starts_with("sieve-"));
    let versions: Vec<&str> = files.filter_map(|line| line.split('-').nth(1)).collect();
    assert_eq!(versions, ["1.0", "1.9", "1.10", "2.0"]);
}
