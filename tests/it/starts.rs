//! How a server starts beside another one, and how it ends when nobody reads its output.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::support::{Program, Web, command, wait};

const PATIENCE: Duration = Duration::from_secs(60);

const YAML: &str = "indexes:\n  shop/stage: {}\n";

/// `serve` on this folder, with only the public door.
fn serve(data: &Path) -> Command {
    let mut command = command();
    command.current_dir(data.parent().unwrap());
    command.arg("serve").arg("--data").arg(data);
    command.args(["--manage", "off", "--metrics", "off"]);
    command.args(["--public", "127.0.0.1:0"]);
    command.stdin(Stdio::null());
    command
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Program::with_policies(YAML).data(&data).start();
    let mut second = serve(&data);
    second.env("CHEESECLOTH_MIRROR_URL", "http://127.0.0.1:1/simple/");
    let second = second.output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains("another server runs on"), "{said}");
    assert!(said.contains("--upgrade"), "{said}");
    let status = format!("{}+status", first.public_url());
    assert_eq!(Web::new().get(&status).await.status, 200);
    assert!(first.stop().success());
    let third = Program::with_policies(YAML).data(&data).start();
    assert!(third.stop().success());
}

/// Reads the address of the public door.
fn address_of(child: &mut Child) -> String {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let url = lines.find_map(|line| Some(line.strip_prefix("public ")?.to_owned()));
    // What follows is one line of advice, which fits into the pipe.
    url.unwrap()
}

/// Starts one for a signal.
fn starting(data: &Path) -> Child {
    let mut serving = serve(data);
    serving.env("CHEESECLOTH_MIRROR_URL", "http://127.0.0.1:1/simple/");
    serving.stdout(Stdio::piped()).stderr(Stdio::null());
    serving.spawn().unwrap()
}

/// How it ends.
fn end_of(mut child: Child) -> ExitStatus {
    let ended = wait(&mut child, PATIENCE);
    if ended.is_none() {
        child.kill().unwrap();
    }
    ended.expect("it does not end")
}

#[tokio::test]
async fn a_signal_that_comes_before_the_server_runs_is_heeded() {
    let folder = tempfile::tempdir().unwrap();
    for (name, signal) in [("term", Signal::TERM), ("int", Signal::INT)] {
        let data = folder.path().join(name);
        // Its first trace, before anything is opened.
        let child = starting(&data);
        while !data.exists() {
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert!(end_of(child).success(), "{name}, at its beginning");
        // Its first words, before anybody is answered.
        for _ in 0..5 {
            let mut child = starting(&data);
            address_of(&mut child);
            kill_process(Pid::from_child(&child), signal).unwrap();
            assert!(end_of(child).success(), "{name}, at its first words");
        }
    }
    let mut child = starting(&folder.path().join("hup"));
    let status = format!("{}+status", address_of(&mut child));
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    assert_eq!(Web::new().get(&status).await.status, 200);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(end_of(child).success());
}

#[tokio::test]
async fn sigterm_ends_a_server_whose_words_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = serve(&folder.path().join("data"));
    serving.env("CHEESECLOTH_MIRROR_URL", "http://127.0.0.1:1/simple/");
    let mut child = serving
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let url = address_of(&mut child);
    let web = Web::new();
    // Each request is logged, and so is its failure: several times what a pipe holds.
    for number in 0..200 {
        let name = format!("{}{number}", "x".repeat(500));
        let got = web.get(&format!("{url}root/pypi/+simple/{name}/")).await;
        assert!(got.status >= 400, "{}", got.status);
    }
    assert_eq!(web.get(&format!("{url}+status")).await.status, 200);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(end_of(child).success());
}
