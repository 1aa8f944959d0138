//! Files that come from where there was no depot, and go where there is none.

use std::path::Path;
use std::process::Output;

use super::{INDEXES, KEY, S3, download, gateway, large, lose_files, upload, upload_of, waiting};
use crate::support::{Program, Wheel, command};

/// Runs a command on a data folder with these policies.
fn run(yaml: &str, data: &Path, words: &[&str]) -> Output {
    let policies = data.join("policies.yaml");
    std::fs::write(&policies, yaml).unwrap();
    let mut program = command();
    program.args(words).arg("--policies").arg(&policies);
    program.arg("--data").arg(data).envs(KEY);
    program.output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{told}");
}

#[test]
fn what_was_uploaded_before_there_was_a_depot_moves_into_it() {
    let s3 = S3::start();
    let data = tempfile::tempdir().unwrap();
    let before = Program::with_policies(INDEXES).data(data.path()).start();
    assert_eq!(upload(&before, "1.0").status, 200);
    assert_eq!(upload_of(&before, &large("2.0"), "2.0").status, 200);
    assert!(before.stop().success());
    assert_eq!(waiting(data.path()).len(), 4);
    let yaml = s3.yaml("moved", INDEXES);
    let after = gateway(&yaml, data.path()).start();
    after.wait_until_it_says("what was only here is in the depot");
    assert_eq!(s3.deposited().len(), 4);
    assert!(waiting(data.path()).is_empty());
    assert!(after.stop().success());
    lose_files(data.path());
    let after = gateway(&yaml, data.path()).start();
    assert_eq!(download(&after, &large("2.0")).bytes, large("2.0").build());
}

#[test]
fn a_backup_an_export_and_a_check_have_what_only_the_depot_has() {
    let s3 = S3::start();
    let yaml = s3.yaml("backup", INDEXES);
    let data = tempfile::tempdir().unwrap();
    let server = gateway(&yaml, data.path()).start();
    let (small, large) = (Wheel::new("hello-pkg", "1.0"), large("2.0"));
    assert_eq!(upload(&server, "1.0").status, 200);
    assert_eq!(upload_of(&server, &large, "2.0").status, 200);
    assert!(server.stop().success());
    lose_files(data.path());
    let out = tempfile::tempdir().unwrap();
    let place = |name: &str| out.path().join(name).display().to_string();
    succeeds(&run(&yaml, data.path(), &["cache", "verify"]));
    succeeds(&run(&yaml, data.path(), &["backup", &place("backup")]));
    succeeds(&run(&yaml, data.path(), &["export", &place("export")]));

    // Back into a folder without a depot, and as an import into another depot.
    let restored = tempfile::tempdir().unwrap();
    succeeds(&run(
        INDEXES,
        restored.path(),
        &["restore", &place("backup")],
    ));
    let server = Program::with_policies(INDEXES)
        .data(restored.path())
        .start();
    assert_eq!(download(&server, &large).bytes, large.build());
    assert_eq!(download(&server, &small).bytes, small.build());
    let imported = tempfile::tempdir().unwrap();
    let other = s3.yaml("imported", INDEXES);
    succeeds(&run(&other, imported.path(), &["import", &place("export")]));
    assert!(waiting(imported.path()).is_empty());
    lose_files(imported.path());
    let server = gateway(&other, imported.path()).start();
    assert_eq!(download(&server, &large).bytes, large.build());

    let damaged = s3
        .deposited()
        .into_iter()
        .find(|key| key.starts_with("backup/p/") && !key.ends_with("metadata"));
    s3.put(&damaged.unwrap(), b"whale");
    let check = run(&yaml, data.path(), &["cache", "verify"]);
    assert!(!check.status.success());
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(
        said.contains("in the depot is not what its key says"),
        "{said}"
    );
}
