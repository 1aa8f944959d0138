//! How a server starts beside another one, and how it ends when nobody reads its output.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
    let ended = wait(&mut child, PATIENCE);
    if ended.is_none() {
        child.kill().unwrap();
    }
    assert!(ended.expect("it does not end").success());
}
