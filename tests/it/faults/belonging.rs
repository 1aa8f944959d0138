//! Records that are lost or older than the files: a file unknown to such records is not removed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{listed, upload};
use crate::support::{Program, ask};

/// Anything that no record needs would be removed almost immediately.
const POLICIES: &str = "
indexes:
  packages/stable: { volatile: true, acl_upload: [':ANONYMOUS:'] }
limits: { collect_after: 100ms }
";

const RECORDS: &str = "records.sqlite";

fn start(data: &Path) -> Program {
    Program::with_policies(POLICIES).data(data).start()
}

/// The private files, by name, with their content.
fn private(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in fs::read_dir(data.join("private")).unwrap() {
        let folder = folder.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(data).unwrap().display().to_string();
            // A file may be removed between listing and reading it.
            if let Ok(content) = fs::read(&path) {
                files.insert(name, content);
            }
        }
    }
    files
}

/// Waits until the collector has removed all that it would: it has removed something that had to
/// go.
fn wait_for_a_whole_round(gateway: &Program, data: &Path) {
    let before = private(data);
    assert_eq!(upload(gateway, "99.0").status, 200);
    assert_eq!(private(data).len(), before.len() + 2);
    let url = format!("{}packages/stable/hello-pkg/99.0", gateway.manage_url());
    assert_eq!(ask::send("DELETE", &url, &[], b"").unwrap().status, 200);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while private(data).len() > before.len() {
        assert!(std::time::Instant::now() < deadline, "nothing is collected");
        std::thread::yield_now();
    }
    assert_eq!(private(data), before);
}

/// Puts other records where the server looks for its own.
type Loss = fn(&Path, &Path);

#[test]
fn nothing_is_removed_for_records_that_are_lost_or_older_than_the_files() {
    // What happens to the records, and what is logged of it. `old` are records from before the last
    // uploads.
    let table: [(&str, Loss, &str); 3] = [
        (
            "lost",
            |data, _| fs::remove_file(data.join(RECORDS)).unwrap(),
            "are not those that knew the files",
        ),
        (
            "lost, and the files have seen none",
            |data, _| {
                fs::remove_file(data.join(RECORDS)).unwrap();
                fs::remove_file(data.join("private/records.json")).unwrap();
            },
            "files are older than the records",
        ),
        (
            "older",
            |data, old| {
                fs::copy(old, data.join(RECORDS)).unwrap();
            },
            "and the files have seen serial",
        ),
    ];
    for (what, lose, words) in table {
        let folder = tempfile::tempdir().unwrap();
        let (data, old, new) = (
            folder.path().join("data"),
            folder.path().join("old"),
            folder.path().join("new"),
        );
        let gateway = start(&data);
        assert_eq!(upload(&gateway, "1.0").status, 200);
        gateway.stop();
        fs::copy(data.join(RECORDS), &old).unwrap();
        let gateway = start(&data);
        for version in ["2.0", "3.0"] {
            assert_eq!(upload(&gateway, version).status, 200);
        }
        gateway.stop();
        let before = private(&data);
        assert_eq!(before.len(), 6, "{what}");
        fs::rename(data.join(RECORDS), &new).unwrap();
        fs::write(data.join(RECORDS), b"").unwrap();
        lose(&data, &old);

        let gateway = start(&data);
        gateway.wait_until_it_says("records and private files do not belong together");
        let said = gateway.wait_until_it_says("private files without a record are in quarantine");
        assert!(said.contains(words), "{what}: {said}");
        gateway.wait_for_metric("cheesecloth_private_files_quarantined", |files| {
            files >= 4.0
        });
        wait_for_a_whole_round(&gateway, &data);
        assert_eq!(private(&data), before, "{what}");
        // The quarantine survives a restart, whatever has been recorded since.
        gateway.stop();
        let gateway = start(&data);
        gateway.wait_until_it_says("private files without a record are in quarantine");
        wait_for_a_whole_round(&gateway, &data);
        gateway.stop();

        // With the right records everything is well again.
        fs::rename(&new, data.join(RECORDS)).unwrap();
        let gateway = start(&data);
        gateway.wait_until_it_says("the quarantine is over");
        gateway.wait_for_metric("cheesecloth_private_files_quarantined", |files| {
            files == 0.0
        });
        assert!(!data.join("quarantine.json").exists(), "{what}");
        assert_eq!(listed(&gateway), 3, "{what}");
        wait_for_a_whole_round(&gateway, &data);
        assert_eq!(private(&data), before, "{what}");
    }
}

#[test]
fn an_operator_ends_a_quarantine_by_removing_its_file() {
    let data = tempfile::tempdir().unwrap();
    let gateway = start(data.path());
    assert_eq!(upload(&gateway, "1.0").status, 200);
    gateway.stop();
    fs::remove_file(data.path().join(RECORDS)).unwrap();
    let gateway = start(data.path());
    gateway.wait_for_metric("cheesecloth_private_files_quarantined", |files| {
        files == 2.0
    });
    fs::remove_file(data.path().join("quarantine.json")).unwrap();
    gateway.wait_until_it_says("private bytes that no record needs collected");
    gateway.wait_for_metric("cheesecloth_private_files_quarantined", |files| {
        files == 0.0
    });
    assert!(private(data.path()).is_empty());
}

#[test]
fn nothing_that_is_young_is_removed_though_no_record_needs_it() {
    let data = tempfile::tempdir().unwrap();
    // The default is ten minutes, and nothing here is that old.
    let start = || {
        let launch = Program::with_policies(super::POLICIES).data(data.path());
        launch.with("RUST_LOG", "info,cheesecloth=debug").start()
    };
    let gateway = start();
    assert_eq!(upload(&gateway, "1.0").status, 200);
    let stray = data.path().join("private/ab");
    fs::create_dir_all(&stray).unwrap();
    let stray = stray.join("c".repeat(62));
    fs::write(&stray, b"somebody's").unwrap();
    gateway.stop();
    for _ in 0..3 {
        let gateway = start();
        gateway.wait_until_it_says("private files that no record needs are too young to go");
        assert!(stray.exists());
        gateway.stop();
    }
}

#[test]
fn after_a_clean_stop_one_file_holds_all_records() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
        let gateway = start(&data);
        assert_eq!(upload(&gateway, "1.0").status, 200);
        assert_eq!(listed(&gateway), 1);
        gateway.stop();
        for more in ["-wal", "-shm"] {
            assert!(
                !data.join(format!("{RECORDS}{more}")).exists(),
                "{more} is left"
            );
        }
        fs::create_dir(&copy).unwrap();
        fs::copy(data.join(RECORDS), copy.join(RECORDS)).unwrap();
        fs::rename(data.join("private"), copy.join("private")).unwrap();
        let gateway = start(&copy);
        assert_eq!(listed(&gateway), 1);
    }
}
