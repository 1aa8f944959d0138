//! `warm`: what a lock file pins is in the running server's cache before anybody installs it.

use std::fs;
use std::process::Output;

use cheesecloth::testing::model::Sha256;
use serde_json::Value;

use super::support::{Client, FakeIndex, Fault, Program, Project, Setup, Tool, Wheel, command};

fn upstream() -> FakeIndex {
    Setup::default()
        .project(Project::new("sieve").wheel("1.0").sdist("1.0").wheel("2.0"))
        .project(Project::new("whey").wheel("1.0").wheel("3.0"))
        .project(Project::new("curd").wheel("1.0"))
        .start()
}

/// Runs `cheesecloth warm` with files of these names and texts.
fn warm(files: &[(&str, &str)], options: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut warm = command();
    warm.arg("warm").args(options).current_dir(folder.path());
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
        warm.arg(name);
    }
    warm.output().unwrap()
}

#[test]
fn what_lock_files_pin_is_there_when_the_upstream_is_not() {
    let mut index = upstream();
    let program = Program::without_policies()
        .mirroring(index.url().as_str())
        .start();
    let digest = Sha256::of(&Wheel::new("sieve", "1.0").build()).to_hex();
    let lock = format!("sieve==1.0 --hash=sha256:{digest}\nwhey\n");
    let options = ["--url", program.public_url(), "--json"];
    let output = warm(&[("requirements.txt", &lock)], &options);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    // The pinned wheel without its sdist, and the newest release of the project that is not pinned.
    assert_eq!(said["files"], 2, "{said}");
    assert_eq!(index.journal().count("/files/sieve/sieve-1.0.tar.gz"), 0);
    // One request for the file, and one for its metadata unless that was read out of the file by
    // then.
    let asked = index
        .journal()
        .count("/files/whey/whey-3.0-py3-none-any.whl");
    assert!(matches!(asked, 1 | 2), "{asked}");
    index.stop();
    let pip = Client::fresh(Tool::Pip);
    let asked = program.index_url("root/pypi");
    pip.install(&asked, &["sieve==1.0", "whey"])
        .succeeds()
        .says("sieve-1.0 whey-3.0");
}

#[test]
fn what_cannot_be_had_is_named_and_counts() {
    let index = upstream();
    let policies = "indexes: {root/pypi: {type: mirror, policy: p}}\n\
                    policies: {p: {rules: [{deny: {project: curd, reason: 'too soft'}}]}}\n";
    let program = Program::with_policies(policies)
        .mirroring(index.url().as_str())
        .start();
    let lock = "curd==1.0\nsieve==9.0\nnothing==1.0\nwhey==1.0\n";
    let output = warm(
        &[("requirements.txt", lock)],
        &["--url", program.public_url()],
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for words in [
        "curd: ",
        "too soft",
        "nothing: the server has no such project",
        "sieve 9.0: the server lists none of its files",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("1 files"),
        "{output:?}"
    );
    assert_eq!(
        index.journal().count("/simple/curd/"),
        0,
        "a denied name was sent upstream"
    );
    let nobody = warm(
        &[("requirements.txt", "whey==1.0\n")],
        &["--url", "http://127.0.0.1:9/"],
    );
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&nobody.stderr).contains("whey: "),
        "{nobody:?}"
    );
}

/// A `Cache-Status` header as another gateway sends it.
fn saying(status: &str) -> Fault {
    Fault::new().header("cache-status", status)
}

#[test]
fn what_is_said_to_be_warm_is_kept_and_not_only_sent() {
    let path = "/files/curd/curd-1.0-py3-none-any.whl";
    let pinned = [("requirements.txt", "curd==1.0\n")];
    // The index in the URL does not matter: this server has a single one, below its root.
    let server = Setup::default()
        .project(Project::new("curd").wheel("1.0"))
        .redirect("/root/pypi/+simple/curd/", "/simple/curd/")
        .start();
    let url = server.at("/").to_string();
    let arriving = "cheesecloth; fwd=uri-miss; collapsed";
    server.misbehave(path, saying(arriving).times(3));
    let output = warm(&pinned, &["--url", &url]);
    assert!(output.status.success(), "{output:?}");
    let asked = |server: &FakeIndex| {
        let all = server.journal().count(path);
        all - server.journal().count(&format!("{path}.metadata"))
    };
    assert_eq!(asked(&server), 4, "as long as it was arriving");

    server.misbehave(path, saying("cheesecloth; fwd=uri-miss; stored"));
    let output = warm(&pinned, &["--url", &url]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("did not keep it"), "{told}");
}
