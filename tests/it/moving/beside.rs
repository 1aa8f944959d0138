//! An export from a running server while everything on it is deleted.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::export::{import, of_wheels, read};
use crate::support::{Program, ask, command};

const FILES: usize = 60;

const POLICIES: &str = "
indexes: {root/pypi: {type: mirror, mirror_url: \"http://127.0.0.1:9/simple/\"}}
limits: {collect_after: 100ms}
";

/// Logged by every collection that leaves something because it is held.
const ROUND: &str = "private files that no record needs are too young to go, or held";

#[test]
fn an_export_has_what_is_deleted_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (exported, data, out) = (
        folder.path().join("export"),
        folder.path().join("data"),
        folder.path().join("out"),
    );
    fs::create_dir(&exported).unwrap();
    of_wheels(&exported, FILES);
    import(&exported, &data).ends_with(0);
    let server = Program::with_policies(POLICIES).data(&data);
    let server = server.with("RUST_LOG", "info,cheesecloth=debug").start();
    let login = serde_json::json!({ "user": "root", "password": "secret" }).to_string();
    let login = ask::send(
        "POST",
        &format!("{}+login", server.manage_url()),
        &[("Accept", "application/json")],
        login.as_bytes(),
    );
    let login = login.unwrap();
    assert_eq!(login.status, 200, "{login:?}");
    let password = login.json()["result"]["password"]
        .as_str()
        .unwrap()
        .to_owned();

    let policies = folder.path().join("policies.yaml");
    fs::write(&policies, POLICIES).unwrap();
    let mut export = command();
    export.args(["export", "--policies"]).arg(&policies);
    export.arg("--data").arg(&data).arg(&out);
    export.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut export = export.spawn().unwrap();
    let mut told = BufReader::new(export.stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert!(line.contains(&format!("of {FILES} files")), "{line}");
    // Stopped half-way, for longer than it takes to remove everything.
    kill_process(Pid::from_child(&export), Signal::STOP).unwrap();
    let token = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("root:{password}"))
    };
    let url = format!("{}root/dev/hello-pkg", server.manage_url());
    let deleted = ask::send("DELETE", &url, &[("X-Devpi-Auth", &*token)], b"").unwrap();
    assert_eq!(deleted.status, 200, "{deleted:?}");
    let (before, deadline) = (
        server.stderr().matches(ROUND).count(),
        Instant::now() + Duration::from_secs(60),
    );
    while server.stderr().matches(ROUND).count() < before + 5 {
        assert!(Instant::now() < deadline, "nobody looks for what can go");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&export), Signal::CONT).unwrap();
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert_eq!(export.wait().unwrap().code(), Some(0), "{rest}");
    let files = &read(&out)["indexes"]["root/dev"]["files"];
    assert_eq!(files.as_array().unwrap().len(), FILES);
    // Nothing holds the files any more.
    server.wait_until_it_says("private bytes that no record needs collected");
}
