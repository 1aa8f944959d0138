//! Depots that are refused before anything is served, in words.

use std::path::Path;
use std::process::Stdio;

use super::{INDEXES, KEY, S3, SOON, gateway, upload};
use crate::support::{command, wait};

/// Starts a server that has to end by itself; returns its words.
fn refused(yaml: &str, data: &Path) -> String {
    let policies = data.join("policies.yaml");
    std::fs::write(&policies, yaml).unwrap();
    let mut serve = command();
    serve.arg("serve").arg("--policies").arg(&policies);
    serve.arg("--data").arg(data.join("data")).envs(KEY);
    serve.args([
        "--public",
        "127.0.0.1:0",
        "--manage",
        "off",
        "--metrics",
        "off",
    ]);
    let log = data.join("log");
    serve.stderr(std::fs::File::create(&log).unwrap());
    let mut serve = serve.stdout(Stdio::null()).spawn().unwrap();
    let ended = wait(&mut serve, SOON);
    serve.kill().unwrap();
    serve.wait().unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    let code = ended.expect("it ends by itself").code();
    assert_eq!(code, Some(2), "{said}");
    said
}

/// What `doctor --depot` says, and whether it is content.
fn doctor(yaml: &str, data: &Path) -> (String, bool) {
    let policies = data.join("policies.yaml");
    std::fs::write(&policies, yaml).unwrap();
    let mut doctor = command();
    doctor
        .args(["doctor", "--depot", "--policies"])
        .arg(&policies);
    let ended = doctor
        .arg("--data")
        .arg(data.join("data"))
        .envs(KEY)
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    (said, ended.status.success())
}

#[test]
fn a_server_without_conditional_writes_is_refused_at_the_start_and_by_doctor() {
    let (s3, blind) = (S3::start(), S3::without_conditions());
    let folder = tempfile::tempdir().unwrap();
    let said = refused(&blind.yaml("x", INDEXES), folder.path());
    assert!(said.contains("does not honour If-None-Match"), "{said}");
    assert!(said.contains("conditional writes"), "{said}");
    let missing = s3
        .yaml("x", INDEXES)
        .replace("bucket: wheels", "bucket: nowhere");
    let said = refused(&missing, folder.path());
    assert!(said.contains("there is no such bucket"), "{said}");
    assert!(
        said.contains("bucket nowhere at http://127.0.0.1"),
        "{said}"
    );
    // Said once, on one line, and without what was sent and how often.
    let lines: Vec<_> = said
        .lines()
        .filter(|line| line.contains("no such bucket"))
        .collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(
        lines[0].contains("make it, or name another (404 Not Found: NoSuchBucket"),
        "{said}"
    );
    assert!(
        !lines[0].contains("retry_timeout") && !lines[0].contains("<?xml"),
        "{said}"
    );
    assert!(blind.objects().is_empty());
    for (yaml, finding) in [
        (blind.yaml("x", INDEXES), Some("If-None-Match")),
        (missing, Some("there is no such bucket")),
        (s3.yaml("x", INDEXES), None),
    ] {
        let (said, is_content) = doctor(&yaml, folder.path());
        assert_eq!(is_content, finding.is_none(), "{said}");
        let words = finding.unwrap_or("can hold uploaded files");
        assert!(said.contains(words), "{said}");
    }
    assert!(s3.objects().is_empty());
}

#[test]
fn a_depot_of_other_records_is_refused_and_loses_nothing() {
    let s3 = S3::start();
    let yaml = s3.yaml("whose", INDEXES);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = gateway(&yaml, folders[0].path()).start();
    assert_eq!(upload(&first, "1.0").status, 200);
    let deposited = s3.deposited();
    let said = refused(&yaml, folders[1].path());
    assert!(said.contains("belongs to records with the uuid"), "{said}");
    assert!(said.contains("name another bucket or prefix"), "{said}");
    assert_eq!(s3.deposited(), deposited);
    let apart = gateway(&s3.yaml("apart", INDEXES), folders[1].path()).start();
    assert_eq!(upload(&apart, "1.0").status, 200);
}
