//! `cheesecloth doctor` on a developer's machine, with the configuration files of pip, uv and poetry, and beside
//! a server.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::support::{Client, FakeIndex, Program, Project, Setup, Tool, ask, command};

const INDEX: &str = "shop/all";

fn dairy() -> FakeIndex {
    Setup::default()
        .project(Project::new("sieve").wheel("1.0"))
        .project(Project::new("whey").wheel("1.0"))
        .start()
}

fn serve(dairy: &FakeIndex, data: &Path) -> Program {
    let url = dairy.url();
    let policies = format!(
        "default_index: {INDEX}\nindexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{url}\" }}\n  \
         {INDEX}: {{ bases: [root/dairy] }}\n"
    );
    let launch = Program::with_policies(&policies).data(data);
    launch.with("CHEESECLOTH_ROOT_PASSWORD", "s3cret").start()
}

/// A machine with these files in its home and its project.
struct Machine(tempfile::TempDir);

impl Machine {
    fn with(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(home.path().join("project/src")).unwrap();
        Self(home)
    }

    fn doctor(&self, words: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
        let mut doctor = command();
        doctor
            .arg("doctor")
            .args(words)
            .current_dir(self.0.path().join("project/src"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("PIP_") || text.starts_with("UV_") {
                doctor.env_remove(&name);
            }
        }
        doctor
            .env("HOME", self.0.path())
            .env("XDG_CONFIG_HOME", self.0.path().join(".config"));
        doctor
            .env("PYTHONNOUSERSITE", "1")
            .envs(variables.iter().copied());
        told(&doctor.output().unwrap())
    }
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_leads_elsewhere_is_named_with_its_file_and_without_its_password() {
    let (dairy, data) = (dairy(), tempfile::tempdir().unwrap());
    let shop = serve(&dairy, data.path());
    let ours = shop.index_url(INDEX);
    let pip = format!(
        "[global]\nindex-url = {ours}\nextra-index-url =\n    https://u:s3cret@extra.example/simple/\n    {ours}\n\
         [install]\nfind-links = /srv/wheels\n"
    );
    let pyproject = format!(
        "[project]\nname = \"a\"\nversion = \"1\"\n[tool.uv]\nindex-strategy = \"unsafe-best-match\"\n\
         [[tool.uv.index]]\nname = \"corp\"\nurl = \"https://s3cret@uv.example/simple/\"\n\
         [[tool.uv.index]]\nurl = \"{ours}\"\ndefault = true\n\
         [[tool.poetry.source]]\nname = \"ours\"\nurl = \"{ours}\"\n\
         [[tool.poetry.source]]\nname = \"more\"\nurl = \"https://poetry.example/simple/\"\n\
         priority = \"supplemental\"\n"
    );
    let machine = Machine::with(&[
        (".config/pip/pip.conf", &pip),
        ("project/pyproject.toml", &pyproject),
    ]);
    let (code, said, errors) = machine.doctor(&[&ours], &[]);
    assert_eq!(code, 1, "{said}{errors}");
    for (whose, elsewhere, place) in [
        ("pip", "https://***@extra.example/simple/", "pip.conf"),
        ("pip", "/srv/wheels", "pip.conf"),
        ("uv", "https://***@uv.example/simple/", "pyproject.toml"),
        ("uv", "unsafe-best-match", "pyproject.toml"),
        ("poetry", "https://poetry.example/simple/", "pyproject.toml"),
    ] {
        let finding = format!("finding: {whose}: {elsewhere} ");
        let line = said.lines().find(|line| line.starts_with(&finding));
        assert!(
            line.is_some_and(|line| line.contains(place)),
            "{finding} in {said}"
        );
    }
    assert!(
        !said.contains("s3cret") && !errors.contains("s3cret"),
        "{said}{errors}"
    );
    assert!(
        !said
            .lines()
            .any(|line| line.starts_with("finding") && line.contains(&ours)),
        "{said}"
    );
    for words in [
        "door      public",
        "index     shop/all",
        "stack     shop/all > root/dairy",
    ] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    assert!(
        said.contains("application/vnd.pypi.simple.v1+json, gzip"),
        "{said}"
    );

    let (code, said, _) = machine.doctor(&[&ours, "--json"], &[]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["answer"]["door"]), (1, &"public".into()));
    let settings = report["settings"].as_array().unwrap();
    let ours: Vec<_> = settings
        .iter()
        .filter(|one| one["is_ours"] == true)
        .collect();
    assert!(ours.len() >= 4, "{report}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_machine_that_uses_nothing_else_has_no_findings_and_needs_no_url() {
    let (dairy, data) = (dairy(), tempfile::tempdir().unwrap());
    let shop = serve(&dairy, data.path());
    let ours = shop.index_url(INDEX);
    let pip = format!("[global]\nindex-url = {ours}\n");
    let machine = Machine::with(&[(".config/pip/pip.conf", &pip)]);
    let uv = [("UV_DEFAULT_INDEX", &*ours)];
    let (code, said, errors) = machine.doctor(&[], &uv);
    assert_eq!(code, 0, "{said}{errors}");
    assert!(said.contains(&format!("asked     {ours}")), "{said}");
    assert!(said.ends_with("nothing leads elsewhere\n"), "{said}");
    // A variable has its say before the file.
    let variables = [uv[0], ("PIP_INDEX_URL", "https://upstream.example/simple/")];
    let (code, said, _) = machine.doctor(&[&ours], &variables);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("pip       overridden"), "{said}");
    assert!(
        said.contains("https://upstream.example/simple/ is asked instead"),
        "{said}"
    );
    // The door that knows accounts says who asks.
    let manage = shop.manage_url().replace("http://", "http://root:s3cret@");
    let (_, said, errors) = machine.doctor(&[&format!("{manage}{INDEX}/+simple/")], &uv);
    assert!(
        said.contains("user      root") && said.contains("door      management"),
        "{said}"
    );
    assert!(
        !said.contains("s3cret") && !errors.contains("s3cret"),
        "{said}{errors}"
    );
}

#[test]
fn another_index_is_told_apart() {
    let (dairy, data) = (dairy(), tempfile::tempdir().unwrap());
    let shop = serve(&dairy, data.path());
    let machine = Machine::with(&[]);
    let (code, said, _) = machine.doctor(&[dairy.url().as_str()], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is no index of this gateway"), "{said}");
    let unknown = shop.index_url("no/where");
    let (code, said, _) = machine.doctor(&[&unknown], &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is no index of this gateway (404"), "{said}");
    let (code, _, errors) = machine.doctor(&["no url"], &[]);
    assert_eq!(code, 2, "{errors}");
}

#[test]
fn who_asks_here_and_fetches_elsewhere_is_told_from_the_journal() {
    let (dairy, data) = (dairy(), tempfile::tempdir().unwrap());
    let shop = serve(&dairy, data.path());
    let pip = Client::fresh(Tool::Pip);
    pip.install(&shop.index_url(INDEX), &["sieve"]).succeeds();
    let page = ask::get(&format!("{}whey/", shop.index_url(INDEX))).unwrap();
    assert_eq!(page.status, 200);
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        shop.folder().join("policies.yaml"),
        folder.path().join("p.yaml"),
    )
    .unwrap();
    assert!(shop.stop().success());
    let doctor = |words: &[&str]| {
        let mut doctor = command();
        doctor
            .args(["doctor", "--journal", "--policies", "p.yaml", "--data"])
            .arg(data.path());
        told(
            &doctor
                .args(words)
                .current_dir(folder.path())
                .output()
                .unwrap(),
        )
    };
    let (code, said, errors) = doctor(&[]);
    assert_eq!(code, 1, "{said}{errors}");
    let finding = "finding: 127.0.0.1 asked for whey and fetched no file of them\n";
    assert!(said.starts_with(finding), "{said}");
    let (_, said, _) = doctor(&["--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    let expected = serde_json::json!([{ "client": "127.0.0.1", "asked_never_fetched": ["whey"] }]);
    assert_eq!(report["findings"], expected);
}
