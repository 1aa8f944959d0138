//! What is called back is refused from then on, with the words of who did it, and who has it is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cheesecloth::testing::model::Sha256;
use serde_json::Value;

use super::support::ask::{self, Answer};
use super::support::{
    Calls, Client, Disk, DiskError, FakeIndex, Form, Launch, Program, Project, Rule, Setup, Tool,
    Wheel, command, python,
};

const POLICIES: &str = "
indexes:
  root/pypi: { type: mirror }
  team/dev: { bases: [root/pypi], volatile: true, acl_upload: [':ANONYMOUS:'] }
";

const WHY: &str = "a stolen token";

/// Only a program that hangs takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory, and the index that it mirrors.
struct Shop {
    index: FakeIndex,
    folder: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let setup = Setup::default().project(Project::new("whey").wheel("1.0").wheel("2.0"));
        Self {
            index: setup.start(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn launch(&self) -> Launch {
        let launch = Program::with_policies(POLICIES);
        launch
            .mirroring(self.index.url().as_str())
            .data(&self.data())
    }

    /// `cheesecloth recall`, as somebody types it for a server, or without one.
    fn recall(&self, program: Option<&Program>, words: &[&str]) -> Output {
        let mut recall = self.command();
        recall.arg("recall").args(words);
        if let Some(program) = program {
            recall.args(["--url", program.manage_url()]);
        }
        recall.output().unwrap()
    }

    fn command(&self) -> Command {
        let policies = self.folder.path().join("closed.yaml");
        // There is nothing to be found at the usual address.
        fs::write(&policies, format!("{POLICIES}listen: {{ manage: off }}\n")).unwrap();
        let mut command = command();
        command.current_dir(self.folder.path());
        command.env("CHEESECLOTH_DATA", self.data());
        command.env("CHEESECLOTH_POLICIES", policies);
        command.env("CHEESECLOTH_MIRROR_URL", self.index.url().as_str());
        command
    }

    /// What it prints as JSON.
    #[track_caller]
    fn json(&self, program: Option<&Program>, words: &[&str]) -> Value {
        let output = self.recall(program, &[words, &["--json"]].concat());
        serde_json::from_str(&said(&output)).unwrap()
    }

    /// Where the bytes of a wheel of whey stand once they were fetched.
    fn bytes_of(&self, version: &str) -> PathBuf {
        let digest = digest_of(version).to_hex();
        self.data()
            .join("files")
            .join(&digest[..2])
            .join(&digest[2..])
    }
}

/// What a command printed, if it went well.
#[track_caller]
fn said(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a command complained of, which failed for the configuration or what was typed.
#[track_caller]
fn complains(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn digest_of(version: &str) -> Sha256 {
    Sha256::of(&Wheel::new("whey", version).build())
}

/// A wheel of whey through an index.
fn file(program: &Program, index: &str, version: &str) -> Answer {
    let digest = digest_of(version).to_hex();
    let (folder, rest) = (&digest[..3], &digest[3..16]);
    let name = Wheel::new("whey", version).filename();
    let url = format!("{}{index}/+f/{folder}/{rest}/{name}", program.public_url());
    ask::get(&url).unwrap()
}

fn page(program: &Program, index: &str, project: &str) -> Answer {
    let url = format!("{}{project}/", program.index_url(index));
    let json = [("Accept", "application/vnd.pypi.simple.v1+json")];
    ask::send("GET", &url, &json, b"").unwrap()
}

/// Makes a user, and the URL of an index for pip and uv as they log in with it.
fn user(program: &Program, name: &str, index: &str) -> String {
    let url = format!("{}{name}", program.manage_url());
    let made = ask::send("PUT", &url, &[], br#"{"password": "pw"}"#).unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    let door = program.manage_url().trim_start_matches("http://");
    format!("http://{name}:pw@{door}{index}/+simple/")
}

#[test]
fn three_clients_install_the_fourth_is_refused_in_its_tools_words_and_the_three_are_named() {
    let shop = Shop::new();
    let program = shop.launch().start();
    let (pip, uv) = (|| Client::fresh(Tool::Pip), || Client::fresh(Tool::Uv));
    let alice = user(&program, "alice", "root/pypi");
    let bob = user(&program, "bob", "team/dev");
    let carol = user(&program, "carol", "root/pypi");
    pip().install(&alice, &["whey==1.0"]).succeeds();
    uv().install(&bob, &["whey==1.0"]).succeeds();
    pip().install(&carol, &["whey==1.0"]).succeeds();
    assert!(shop.bytes_of("1.0").exists());

    let report = said(&shop.recall(Some(&program), &["whey==1.0", "--reason", WHY]));
    for words in [
        "recall/1: whey==1.0 is refused everywhere: a stolen token",
        "alice",
        "bob",
        "carol",
        "whey-1.0-py3-none-any.whl through root/pypi",
        "whey-1.0-py3-none-any.whl through team/dev",
        "which reaches back to 20",
    ] {
        assert!(report.contains(words), "no {words:?} in\n{report}");
    }
    assert!(!shop.bytes_of("1.0").exists(), "its bytes stay");

    for index in ["root/pypi", "team/dev"] {
        let asked = program.index_url(index);
        for client in [pip(), uv()] {
            let refused = client.install(&asked, &["whey==1.0"]).fails();
            refused.says("recall 1: a stolen token");
            client.install(&asked, &["whey"]).succeeds();
        }
        let refused = file(&program, index, "1.0");
        assert_eq!(refused.status, 403, "{refused:?}");
        assert!(refused.body.contains(WHY), "{refused:?}");
        let listed = page(&program, index, "whey").json();
        let yanked = &listed["files"][0]["yanked"];
        assert_eq!(yanked, "refused by recall 1: a stolen token", "{listed}");
    }
    let delivered = &shop.json(Some(&program), &["whey==1.0", "--reason", "again"])["delivered"];
    let to = delivered["to"].as_array().unwrap();
    let named: Vec<_> = to.iter().map(|one| one["user"].as_str().unwrap()).collect();
    assert_eq!(named, ["alice", "bob", "carol"], "{delivered}");
}

/// The decision of `explain`, the page for people, audit and `recall --list`.
#[track_caller]
fn is_told(shop: &Shop, program: &Program) {
    let mut explain = shop.command();
    explain.args(["explain", "root/pypi", "whey==1.0"]);
    let explained = String::from_utf8(explain.output().unwrap().stdout).unwrap();
    let line = "recall/1 of root/pypi: recalled: whey==1.0: denies, a stolen token";
    assert!(explained.contains(line), "{explained}");
    let url = format!("{}root/pypi/whey", program.public_url());
    let html = ask::send("GET", &url, &[("Accept", "text/html")], b"").unwrap();
    assert!(html.body.contains("recall 1: a stolen token"), "{html:?}");
    let list = said(&shop.recall(Some(program), &["--list"]));
    assert!(list.starts_with("recall/1  whey==1.0  "), "{list}");
}

#[test]
fn a_recall_is_told_everywhere_outlives_a_restart_and_is_withdrawn() {
    let shop = Shop::new();
    let program = shop.launch().start();
    assert_eq!(page(&program, "root/pypi", "whey").status, 200);
    assert_eq!(file(&program, "root/pypi", "1.0").status, 200);
    said(&shop.recall(Some(&program), &["whey==1.0", "--reason", WHY]));
    is_told(&shop, &program);
    assert!(program.stop().success());

    let program = shop.launch().start();
    assert_eq!(file(&program, "root/pypi", "1.0").status, 403);
    assert_eq!(file(&program, "root/pypi", "2.0").status, 200);
    is_told(&shop, &program);
    // Reloading reads policies again, and recalls with them.
    let root = program.manage_url();
    let login = format!("Basic {}", BASE64_STANDARD.encode("root:"));
    let headers = [("Authorization", login.as_str())];
    let reloaded = ask::send("POST", &format!("{root}+reload"), &headers, b"").unwrap();
    assert_eq!(reloaded.status, 200, "{reloaded:?}");
    assert_eq!(file(&program, "root/pypi", "1.0").status, 403);

    let undone = said(&shop.recall(Some(&program), &["--undo", "recall/1"]));
    assert!(
        undone.contains("whey==1.0 is no longer recalled"),
        "{undone}"
    );
    assert_eq!(file(&program, "root/pypi", "1.0").status, 200);
    assert_eq!(said(&shop.recall(Some(&program), &["--list"])), "");
    assert!(program.stop().success());
    let audit = fs::read_to_string(shop.data().join("audit.jsonl")).unwrap();
    let events: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = events.iter().filter(|event| event["event"] == "recall");
    let told: Vec<_> = told
        .map(|event| event["detail"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        ["recalled whey==1.0", "no longer recalled: whey==1.0"]
    );
    let refusals = fs::read_to_string(shop.data().join("refusals.jsonl")).unwrap();
    assert!(refusals.contains(r#""rule":"recall/1""#), "{refusals}");
}

#[test]
fn a_private_file_is_refused_and_not_lost() {
    let shop = Shop::new();
    let program = shop.launch().start();
    let stage = format!("{}team/dev/", program.manage_url());
    let uploaded = Form::of_wheel("curd", "1.0").post(&stage).unwrap();
    assert_eq!(uploaded.status, 200, "{uploaded:?}");
    let listed = page(&program, "team/dev", "curd").json();
    let path = listed["files"][0]["url"].as_str().unwrap().to_owned();
    let base: url::Url = format!("{}curd/", program.index_url("team/dev"))
        .parse()
        .unwrap();
    let url = base.join(&path).unwrap().to_string();
    let before = ask::get(&url).unwrap();
    assert_eq!(before.status, 200);

    let report = shop.json(Some(&program), &["curd", "--reason", WHY]);
    let private = &report["purged"]["private_files"];
    assert_eq!(
        private[0], "curd-1.0-py3-none-any.whl of team/dev",
        "{report}"
    );
    assert_eq!(page(&program, "team/dev", "curd").status, 451);
    for ending in ["", ".metadata"] {
        let refused = ask::get(&format!("{url}{ending}")).unwrap();
        assert_eq!(refused.status, 403, "{refused:?}");
    }
    said(&shop.recall(Some(&program), &["--undo", "curd"]));
    let after = ask::get(&url).unwrap();
    assert_eq!((after.status, after.body), (200, before.body));
}

#[test]
fn without_a_server_bytes_are_set_aside_and_come_back() {
    let shop = Shop::new();
    let program = shop.launch().start();
    assert_eq!(page(&program, "root/pypi", "whey").status, 200);
    assert_eq!(file(&program, "root/pypi", "1.0").status, 200);
    assert!(program.stop().success());
    assert!(shop.bytes_of("1.0").exists());

    let digest = format!("sha256:{}", digest_of("1.0"));
    let report = shop.json(None, &[&digest, "--reason", WHY, "--keep"]);
    let folder = PathBuf::from(report["purged"]["kept_in"].as_str().unwrap());
    let inside = shop.bytes_of("1.0");
    let inside = folder.join(inside.strip_prefix(shop.data()).unwrap());
    assert_eq!(Sha256::of(&fs::read(inside).unwrap()), digest_of("1.0"));
    let to = report["delivered"]["to"].as_array().unwrap();
    assert_eq!(to.len(), 1, "{report}");

    let program = shop.launch().start();
    assert_eq!(file(&program, "root/pypi", "1.0").status, 403);
    assert!(program.stop().success());
    said(&shop.recall(None, &["--undo", &digest]));
    assert!(shop.bytes_of("1.0").exists());
    let program = shop.launch().offline().start();
    assert_eq!(file(&program, "root/pypi", "1.0").status, 200);
}

#[test]
fn a_server_follows_what_is_recalled_beside_it() {
    let shop = Shop::new();
    let program = shop.launch().start();
    assert_eq!(page(&program, "root/pypi", "whey").status, 200);
    assert_eq!(file(&program, "root/pypi", "1.0").status, 200);
    // The configuration names no management door.
    let output = shop.recall(None, &["whey<2", "--reason", WHY]);
    said(&output);
    let warning = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warning.contains("follows within a second"), "{warning}");
    wait_for(|| file(&program, "root/pypi", "1.0").status == 403);
    wait_for(|| !shop.bytes_of("1.0").exists());
    said(&shop.recall(None, &["--undo", "whey<2"]));
    wait_for(|| file(&program, "root/pypi", "1.0").status == 200);
}

#[track_caller]
fn wait_for(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come to that");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_cannot_be_done_is_said_and_what_is_unknown_here_too() {
    let shop = Shop::new();
    let recalled = |words: &[&str]| shop.recall(None, words);
    let nowhere = complains(&recalled(&["whey", "--reason", WHY]));
    assert!(
        nowhere.contains("name its directory with --data"),
        "{nowhere}"
    );
    for (words, expected) in [
        (&["whey ~ 1", "--reason", WHY][..], "write name==1.2.3"),
        (&["whey[extra]", "--reason", WHY], "extras or a marker"),
        (&["sha256:12", "--reason", WHY], "64 hexadecimal digits"),
        (&["whey==1.0"], "--reason"),
        (&["whey==1.0", "--reason", " "], "needs a reason"),
        (&["--reason", WHY], "WHAT"),
    ] {
        let told = complains(&recalled(words));
        assert!(told.contains(expected), "{words:?}: {told}");
    }

    let launch = shop
        .launch()
        .with("CHEESECLOTH_ROOT_PASSWORD", "grey-mould");
    let program = launch.start();
    let mut wrong = shop.command();
    wrong.env("PASSWORD", "green-mould");
    wrong.args([
        "recall",
        "whey",
        "--reason",
        WHY,
        "--url",
        program.manage_url(),
    ]);
    wrong.args(["--user", "root", "--password-env", "PASSWORD"]);
    let told = complains(&wrong.output().unwrap());
    assert!(told.contains("does not let root do this"), "{told}");
    let undone = complains(&shop.recall(Some(&program), &["--undo", "curd"]));
    assert!(undone.contains("is not recalled"), "{undone}");
    let list = said(&shop.recall(Some(&program), &["--list"]));
    assert_eq!(list, "", "something was recalled all the same");

    let unknown = shop.recall(Some(&program), &["whey==9.9", "--reason", WHY]);
    assert!(said(&unknown).contains("nobody got it, by the journal"));
    let told = String::from_utf8_lossy(&unknown.stderr);
    assert!(
        told.contains("nothing of whey==9.9 is known here"),
        "{told}"
    );
}

#[test]
fn a_recall_is_made_whatever_has_become_of_the_journal() {
    let (shop, disk) = (Shop::new(), Disk::sound());
    let program = shop.launch().on(&disk).start();
    assert_eq!(page(&program, "root/pypi", "whey").status, 200);
    disk.suffers(&[Rule::new(DiskError::Full, Calls::Write, "journal.sqlite")]);
    assert_eq!(file(&program, "root/pypi", "1.0").status, 200);
    let full = shop.json(Some(&program), &["whey==1.0", "--reason", WHY]);
    let unknown = full["delivered"]["unknown"].to_string();
    assert!(unknown.contains("cannot be written now"), "{full}");
    assert_eq!(file(&program, "root/pypi", "1.0").status, 403);
    disk.heals();
    assert!(program.stop().success());

    for damage in [Some("no database".repeat(1000)), None] {
        let journal = shop.data().join("journal.sqlite");
        for ending in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{ending}", journal.display()));
        }
        let expected = match &damage {
            Some(text) => {
                fs::write(&journal, text).unwrap();
                "the journal cannot be read"
            }
            None => {
                fs::remove_file(&journal).unwrap();
                "there is no journal"
            }
        };
        let told = shop.json(None, &["whey==1.0", "--reason", WHY]);
        let unknown = told["delivered"]["unknown"].to_string();
        assert!(unknown.contains(expected), "{told}");
    }
}

#[test]
fn recalls_that_cannot_be_read_are_a_fault_and_not_none() {
    let shop = Shop::new();
    let program = shop.launch().start();
    said(&shop.recall(Some(&program), &["whey==1.0", "--reason", WHY]));
    assert!(program.stop().success());
    spoil(&shop.data().join("records.sqlite"));
    let mut serve = shop.command();
    serve.args([
        "serve",
        "--public",
        "127.0.0.1:0",
        "--manage",
        "off",
        "--metrics",
        "off",
    ]);
    let told = complains(&serve.output().unwrap());
    assert!(told.contains("read the recalls"), "{told}");
}

/// Makes the only recall unreadable.
fn spoil(records: &Path) {
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                  c.execute(\"UPDATE recalls SET subject = '~'\"); c.commit(); c.close()";
    let mut spoiling = Command::new(python());
    let done = spoiling.args(["-c", script]).arg(records).status().unwrap();
    assert!(done.success());
}
