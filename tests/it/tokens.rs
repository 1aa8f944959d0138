//! Tokens for pipelines: created, listed and revoked on the command line beside the running server,
//! and passed as a password by the real clients.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::support::{Client, FakeIndex, Program, Run, Setup, Tool, Wheel, command};

/// A server with the user `ci`, who has two indexes, and its data directory.
struct Shop {
    program: Program,
    data: tempfile::TempDir,
    _index: FakeIndex,
}

impl Shop {
    fn open() -> Self {
        let index = Setup::default().start();
        let data = tempfile::tempdir().unwrap();
        let launch = Program::without_policies().mirroring(index.url().as_str());
        let program = launch.data(data.path()).start();
        let devpi = Client::fresh(Tool::Devpi);
        devpi.run(&["use", program.manage_url()]).succeeds();
        devpi.run(&["user", "-c", "ci", "password=pw"]).succeeds();
        devpi.run(&["login", "ci", "--password", "pw"]).succeeds();
        for name in ["dev", "stable"] {
            devpi.run(&["index", "-c", name]).succeeds();
        }
        Self {
            program,
            data,
            _index: index,
        }
    }

    fn token(&self, words: &[&str]) -> Output {
        let mut token = command();
        token
            .arg("token")
            .args(words)
            .arg("--data")
            .arg(self.data.path());
        token.current_dir(self.data.path()).output().unwrap()
    }

    /// What a command prints as JSON.
    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        let output = self.token(&[words, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[track_caller]
    fn make(&self, words: &[&str]) -> (String, String) {
        let made = self.json(&[&["create", "ci"], words].concat());
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        (text("id"), text("token"))
    }

    fn url(&self, index: &str) -> String {
        format!("{}ci/{index}/", self.program.manage_url())
    }

    /// Runs `twine upload` for a version; the user name does not matter.
    fn upload(&self, index: &str, version: &str, token: &str) -> Run {
        let twine = Client::fresh(Tool::Twine);
        let name = wheel(&twine.folder(), version);
        let url = self.url(index);
        let words = [
            "upload",
            "--non-interactive",
            "-u",
            "__token__",
            "-p",
            token,
        ];
        twine.run(&[&words[..], &["--repository-url", &url, &name]].concat())
    }
}

fn wheel(folder: &Path, version: &str) -> String {
    let wheel = Wheel::new("acme-tool", version);
    fs::write(folder.join(wheel.filename()), wheel.build()).unwrap();
    wheel.filename()
}

#[test]
fn a_token_is_a_password_within_its_scope_until_it_is_revoked() {
    let shop = Shop::open();
    let (id, token) = shop.make(&["--index", "ci/d*", "--note", "nightly builds"]);
    shop.upload("dev", "1.0", &token).succeeds();
    let uv = Client::fresh(Tool::Uv).with("UV_PUBLISH_TOKEN", token.clone());
    let name = wheel(&uv.folder(), "2.0");
    uv.run(&["publish", "--publish-url", &shop.url("dev"), &name])
        .succeeds();
    let with_login = shop
        .url("dev")
        .replace("://", &format!("://anybody:{token}@"));
    Client::fresh(Tool::Pip)
        .install(&with_login, &["acme-tool==2.0"])
        .succeeds();
    let outside = shop.upload("stable", "1.0", &token).fails();
    outside.says("no permission to submit: this token is not for ci/stable");

    let listed = shop.json(&["list", "ci"]);
    assert_eq!(listed[0]["id"], *id);
    assert_eq!(listed[0]["note"], "nightly builds");
    assert_eq!(listed[0]["operations"], serde_json::json!(["upload"]));
    let shown = String::from_utf8(shop.token(&["list"]).stdout).unwrap();
    assert!(
        shown.contains(&id) && shown.contains("nightly builds"),
        "{shown}"
    );
    // A secret may have dashes of its own.
    let secret = token.split_once(&format!("{id}-")).unwrap().1;
    assert!(!shown.contains(secret) && !listed.to_string().contains(secret));

    // It was valid a moment ago, and the server that accepted it is still running.
    assert!(shop.token(&["revoke", &id]).status.success());
    let after = shop.upload("dev", "3.0", &token).fails();
    after.says("no permission to submit: this token is unknown or was revoked");
    assert_eq!(shop.token(&["revoke", &id]).status.code(), Some(1));
    assert_eq!(shop.json(&["list"]), serde_json::json!([]));
}

#[test]
fn a_token_ends_and_is_for_what_it_says_only() {
    let shop = Shop::open();
    let (_, ended) = shop.make(&["--expires", "0s"]);
    shop.upload("dev", "1.0", &ended)
        .fails()
        .says("this token has expired");
    let (_, reader) = shop.make(&["--allow", "read,delete"]);
    shop.upload("dev", "1.0", &reader)
        .fails()
        .says("this token is not for uploads");
    let (_, everywhere) = shop.make(&[]);
    for index in ["dev", "stable"] {
        shop.upload(index, "1.0", &everywhere).succeeds();
    }
    // Nobody can log in with it, since that would turn it into a token that does not end.
    let devpi = Client::fresh(Tool::Devpi);
    devpi.run(&["use", shop.program.manage_url()]).succeeds();
    devpi
        .run(&["login", "ci", "--password", &everywhere])
        .fails();
    for (words, said) in [
        (&["create", "nobody"][..], "no user \"nobody\""),
        (
            &["create", "ci", "--index", "dev"],
            "user/index, or a glob such as team/*",
        ),
        (
            &["create", "ci", "--allow", "push"],
            "read, upload or delete",
        ),
    ] {
        let output = shop.token(words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
        assert!(stderr.contains(said), "{words:?}: {stderr}");
    }
}
