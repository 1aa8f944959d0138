//! The journal of the real program: what installers received and what they were refused is there after
//! it stopped, was killed, or ran on a disk that was full for a time.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cheesecloth::testing::model::Sha256;
use serde_json::Value;

use super::support::{
    Calls, Client, Disk, DiskError, FakeIndex, Program, Project, Rule, Setup, Tool, Wheel, ask,
    command,
};

const POLICIES: &str = "
indexes:
  root/pypi: { type: mirror, policy: p }
policies:
  p: { rules: [{ deny: { id: no-rennet, project: rennet, reason: 'not for us' } }] }
";

fn upstream() -> FakeIndex {
    Setup::default()
        .project(Project::new("sieve").wheel("1.0").wheel("2.0"))
        .project(Project::new("whey").wheel("1.0"))
        .project(Project::new("rennet").wheel("1.0"))
        .start()
}

/// What `cheesecloth journal --json` tells of a data directory.
pub(crate) fn told(data: &Path, options: &[&str]) -> Vec<Value> {
    let mut journal = command();
    journal.current_dir(data.parent().unwrap());
    journal.args(["journal", "--json", "--data"]).arg(data);
    let output = journal.args(options).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// The files among these rows, with what was decided.
pub(crate) fn files(rows: &[Value]) -> Vec<(&str, &str)> {
    let files = rows.iter().filter(|row| row["file"].is_string());
    files
        .map(|row| {
            (
                row["file"].as_str().unwrap(),
                row["decision"].as_str().unwrap(),
            )
        })
        .collect()
}

/// Asks for the file of a release.
fn ask_for_file(program: &Program, project: &str, version: &str) -> ask::Answer {
    let wheel = Wheel::new(project, version);
    let digest = Sha256::of(&wheel.build()).to_hex();
    let (folder, rest) = (&digest[..3], &digest[3..16]);
    let path = format!("root/pypi/+f/{folder}/{rest}/{}", wheel.filename());
    ask::get(&format!("{}{path}", program.public_url())).unwrap()
}

fn ask_for_page(program: &Program, project: &str) -> ask::Answer {
    ask::get(&format!("{}{project}/", program.index_url("root/pypi"))).unwrap()
}

#[test]
fn what_installers_receive_and_are_refused_is_told_after_a_clean_stop() {
    let index = upstream();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::with_policies(POLICIES)
        .mirroring(index.url().as_str())
        .data(&data)
        .start();
    let asked = program.index_url("root/pypi");
    let pip = Client::fresh(Tool::Pip);
    pip.install(&asked, &["sieve==1.0"]).succeeds();
    pip.install(&asked, &["rennet"]).fails();
    let uv = Client::fresh(Tool::Uv);
    uv.install(&asked, &["whey"]).succeeds();
    assert_eq!(ask_for_file(&program, "rennet", "1.0").status, 403);
    assert!(program.stop().success());
    let rows = told(&data, &[]);
    let wheels = [
        ("sieve-1.0-py3-none-any.whl", "allow"),
        ("whey-1.0-py3-none-any.whl", "allow"),
        ("rennet-1.0-py3-none-any.whl", "deny"),
    ];
    assert_eq!(files(&rows), wheels, "{rows:?}");
    let digest = Sha256::of(&Wheel::new("sieve", "1.0").build()).to_hex();
    let sieve = &told(&data, &["--project", "sieve==1"]);
    assert_eq!(files(sieve), wheels[..1]);
    assert_eq!(sieve.len(), 1, "a release has no page: {sieve:?}");
    let expected = [
        ("project", "sieve"),
        ("version", "1.0"),
        ("sha256", &digest),
        ("client", "127.0.0.1"),
        ("index", "root/pypi"),
    ];
    for (key, value) in expected {
        assert_eq!(sieve[0][key], value, "{key}");
    }
    assert_eq!(told(&data, &["--sha256", &digest, "--since", "1h"]), *sieve);
    let rennet = told(&data, &["--project", "rennet"]);
    let page = rennet.iter().find(|row| row["file"].is_null()).unwrap();
    assert_eq!(page["decision"], "deny");
    assert_eq!(page["rule"], "p/no-rennet");
    assert!(told(&data, &["--project", "curd"]).is_empty());
}

#[test]
fn what_was_written_survives_a_power_cut_and_is_read_beside_the_server() {
    let index = upstream();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || {
        Program::with_policies(POLICIES)
            .mirroring(index.url().as_str())
            .data(&data)
            .start()
    };
    for run in 1..=3 {
        let program = start();
        assert_eq!(ask_for_page(&program, "sieve").status, 200);
        assert_eq!(ask_for_file(&program, "sieve", "1.0").status, 200);
        program.wait_for_metric("cheesecloth_journal_rows_total", |rows| rows >= 2.0);
        assert_eq!(files(&told(&data, &[])).len(), run, "beside the server");
        program.kill();
        assert_eq!(files(&told(&data, &[])).len(), run);
    }
}

#[test]
fn installs_go_on_while_the_journal_has_no_room_and_are_told_afterwards() {
    let (index, disk) = (upstream(), Disk::sound());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::with_policies(POLICIES)
        .mirroring(index.url().as_str())
        .data(&data)
        .on(&disk)
        .start();
    let writable = "cheesecloth_journal_writable";
    program.wait_for_metric(writable, |writable| writable == 1.0);
    disk.suffers(&[Rule::new(DiskError::Full, Calls::Write, "journal.sqlite")]);
    assert_eq!(ask_for_page(&program, "sieve").status, 200);
    assert_eq!(ask_for_file(&program, "sieve", "1.0").status, 200);
    program.wait_for_metric(writable, |writable| writable == 0.0);
    let said = program.wait_until_it_says("the journal cannot be written");
    assert!(said.contains("database or disk is full"), "{said}");
    assert_eq!(ask_for_file(&program, "sieve", "2.0").status, 200);
    assert!(program.metric("cheesecloth_journal_failures_total") > Some(0.0));
    disk.heals();
    program.wait_for_metric(writable, |writable| writable == 1.0);
    assert!(program.stop().success());
    let rows = told(&data, &[]);
    let wheels = [
        ("sieve-1.0-py3-none-any.whl", "allow"),
        ("sieve-2.0-py3-none-any.whl", "allow"),
    ];
    assert_eq!(files(&rows), wheels, "{rows:?}");
}

#[test]
fn nothing_is_delivered_that_a_required_journal_does_not_take() {
    let (index, disk) = (upstream(), Disk::sound());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::with_policies(&format!("{POLICIES}journal: {{ required: true }}\n"))
        .mirroring(index.url().as_str())
        .data(&data)
        .on(&disk)
        .start();
    assert_eq!(ask_for_page(&program, "sieve").status, 200);
    let writable = "cheesecloth_journal_writable";
    disk.suffers(&[Rule::new(DiskError::Broken, Calls::Write, "journal.sqlite")]);
    // The last that is delivered: it finds out.
    assert_eq!(ask_for_file(&program, "sieve", "1.0").status, 200);
    program.wait_for_metric(writable, |writable| writable == 0.0);
    let at_manage = program
        .index_url("root/pypi")
        .replace(program.public_url(), program.manage_url());
    for refused in [
        ask_for_page(&program, "sieve"),
        ask_for_file(&program, "sieve", "1.0"),
        ask::get(&format!("{at_manage}sieve/")).unwrap(),
    ] {
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.body.contains("has to be journalled"), "{refused:?}");
        assert_eq!(refused.header("retry-after"), "1");
    }
    let list = ask::get(&program.index_url("root/pypi")).unwrap();
    assert_eq!(list.status, 200, "what is not journalled is answered");
    let pip = Client::fresh(Tool::Pip);
    let asked = program.index_url("root/pypi");
    pip.install(&asked, &["--retries", "0", "sieve"]).fails();
    disk.heals();
    program.wait_for_metric(writable, |writable| writable == 1.0);
    pip.install(&asked, &["sieve"]).succeeds();
    assert!(program.stop().success());
    let rows = told(&data, &[]);
    let wheels = [
        ("sieve-1.0-py3-none-any.whl", "allow"),
        ("sieve-2.0-py3-none-any.whl", "allow"),
    ];
    assert_eq!(files(&rows), wheels, "{rows:?}");
}

#[test]
fn a_damaged_journal_is_set_aside_and_installs_go_on() {
    let index = upstream();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("journal.sqlite"), "no database".repeat(1000)).unwrap();
    let program = Program::with_policies(POLICIES)
        .mirroring(index.url().as_str())
        .data(&data)
        .start();
    program.wait_until_it_says("the journal is damaged: it is set aside, and a new one begun");
    assert_eq!(
        program.metric("cheesecloth_journal_set_aside_total"),
        Some(1.0)
    );
    assert_eq!(ask_for_page(&program, "sieve").status, 200);
    assert_eq!(ask_for_file(&program, "sieve", "1.0").status, 200);
    assert!(program.stop().success());
    assert_eq!(files(&told(&data, &[])).len(), 1);
    let entries = fs::read_dir(&data).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let aside: Vec<_> = names
        .filter(|name| name.starts_with("journal.sqlite.damaged-"))
        .collect();
    assert_eq!(aside.len(), 1);
}

#[test]
fn a_journal_without_clients_has_no_address() {
    let index = upstream();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = |more: &str| {
        Program::with_policies(&format!("{POLICIES}{more}"))
            .mirroring(index.url().as_str())
            .data(&data)
            .start()
    };
    let deliver = |program: Program| {
        assert_eq!(ask_for_page(&program, "sieve").status, 200);
        assert_eq!(ask_for_file(&program, "sieve", "1.0").status, 200);
        assert!(program.stop().success());
    };
    let stands = || {
        let bytes = fs::read(data.join("journal.sqlite")).unwrap();
        bytes.windows(9).any(|window| window == b"127.0.0.1")
    };
    deliver(start(""));
    assert!(stands());
    deliver(start("journal: { clients: none }\n"));
    assert!(!stands(), "neither that of before nor one of now");
    let rows = told(&data, &[]);
    assert_eq!(files(&rows).len(), 2);
    assert!(rows.iter().all(|row| row["client"].is_null()), "{rows:?}");
}

#[test]
fn who_logged_in_is_told_with_what_they_received() {
    let index = upstream();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let program = Program::with_policies(POLICIES)
        .mirroring(index.url().as_str())
        .with("CHEESECLOTH_ROOT_PASSWORD", "grey-mould")
        .data(&data)
        .start();
    let page = format!("{}root/pypi/+simple/sieve/", program.manage_url());
    let login = BASE64_STANDARD.encode("root:grey-mould");
    let login = format!("Basic {login}");
    for headers in [&[("Authorization", login.as_str())][..], &[]] {
        assert_eq!(ask::send("GET", &page, headers, b"").unwrap().status, 200);
    }
    assert!(program.stop().success());
    let rows = told(&data, &["--project", "sieve"]);
    let users: Vec<_> = rows.iter().map(|row| row["user"].as_str()).collect();
    assert_eq!(users, [Some("root"), None], "{rows:?}");
}

#[test]
fn a_command_without_a_journal_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = command();
    journal.current_dir(folder.path());
    let output = journal
        .args(["journal", "--data", "nowhere"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no journal at nowhere"), "{said}");
}
