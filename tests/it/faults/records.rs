//! A disk that fails while records are written or read.

use super::{gateway, listed, upload};
use crate::support::ask::{self, Answer};
use crate::support::{Calls, Disk, DiskError, Program, Rule};

/// What fails while an upload is recorded, what the upload is told, and SQLite's error in the log.
struct Row {
    error: DiskError,
    calls: Calls,
    text: &'static str,
    status: u16,
    words: &'static str,
    log: &'static str,
}

const WRITES: [Row; 4] = [
    Row {
        error: DiskError::Full,
        calls: Calls::Write,
        text: "records.sqlite",
        status: 507,
        words: "no room on the disk for the records",
        log: "(code: 13) database or disk is full",
    },
    Row {
        error: DiskError::Broken,
        calls: Calls::Write,
        text: "records.sqlite",
        status: 503,
        words: "the records are not available",
        log: "(code: 778) disk I/O error",
    },
    Row {
        error: DiskError::Broken,
        calls: Calls::Sync,
        text: "records.sqlite",
        status: 503,
        words: "the records are not available",
        log: "(code: 1034) disk I/O error",
    },
    Row {
        error: DiskError::Full,
        calls: Calls::Write,
        text: "records.sqlite-wal",
        status: 507,
        words: "no room on the disk for the records",
        log: "(code: 13) database or disk is full",
    },
];

fn readiness(gateway: &Program) -> Answer {
    ask::get(&format!("{}readyz", gateway.metrics_url())).unwrap()
}

#[test]
fn a_record_that_the_disk_does_not_take_is_refused_and_the_next_is_taken_without_a_restart() {
    let disk = Disk::sound();
    let gateway = gateway(&disk);
    assert_eq!(upload(&gateway, "1.0").status, 200);
    for (number, row) in (2..).zip(WRITES) {
        let (version, what) = (format!("{number}.0"), (row.error, row.calls, row.text));
        disk.suffers(&[Rule::new(row.error, row.calls, row.text)]);
        let refused = upload(&gateway, &version);
        assert_eq!(refused.status, row.status, "{what:?}: {refused:?}");
        assert!(refused.body.contains(row.words), "{what:?}: {refused:?}");
        let said = gateway.wait_until_it_says(row.log);
        assert!(said.contains("the records cannot be written"), "{said}");
        assert_eq!(listed(&gateway), number - 1, "{what:?}");
        let unready = readiness(&gateway);
        assert_eq!(unready.status, 503, "{what:?}: {unready:?}");
        let writable = || gateway.metric("cheesecloth_records_writable");
        assert_eq!(writable(), Some(0.0), "{what:?}");
        assert!(unready.body.contains("the records cannot be written"));
        // The next one fails because the disk still does, not because of the failed connection.
        assert_eq!(upload(&gateway, &version).status, row.status, "{what:?}");
        disk.heals();
        gateway.wait_until_ready();
        assert_eq!(writable(), Some(1.0), "{what:?}");
        assert_eq!(upload(&gateway, &version).status, 200, "{what:?}");
        assert_eq!(listed(&gateway), number, "{what:?}");
    }
}

#[test]
fn records_that_cannot_be_read_are_an_error_and_no_absence() {
    let disk = Disk::sound();
    let gateway = gateway(&disk);
    assert_eq!(upload(&gateway, "1.0").status, 200);
    disk.suffers(&[Rule::new(DiskError::Broken, Calls::Read, "records.sqlite")]);
    // SQLite answers what it has in memory; for anything else, a failure must not become "there is
    // none".
    let page = format!("{}hello-pkg/", gateway.index_url("packages/stable"));
    let answers: Vec<u16> = (0..8).map(|_| ask::get(&page).unwrap().status).collect();
    let is_honest = |status: &u16| [200, 500, 503].contains(status);
    assert!(answers.iter().all(is_honest), "{answers:?}");
    assert!(answers.iter().any(|status| *status >= 500), "{answers:?}");
    disk.heals();
    assert_eq!(listed(&gateway), 1);
    assert_eq!(upload(&gateway, "2.0").status, 200);
    assert_eq!(listed(&gateway), 2);
}

#[test]
fn records_that_were_removed_while_it_ran_take_nothing_that_would_be_lost() {
    let data = tempfile::tempdir().unwrap();
    let gateway = Program::with_policies(super::POLICIES)
        .data(data.path())
        .start();
    assert_eq!(upload(&gateway, "1.0").status, 200);
    // From here on it is in memory: a connection that is opened while the records are away finds
    // none.
    assert_eq!(listed(&gateway), 1);
    std::fs::rename(
        data.path().join("records.sqlite"),
        data.path().join("moved-away"),
    )
    .unwrap();
    let refused = upload(&gateway, "2.0");
    assert_eq!(refused.status, 503, "{refused:?}");
    gateway.wait_until_it_says("records.sqlite is gone");
    assert_eq!(readiness(&gateway).status, 503);
    assert_eq!(listed(&gateway), 1);
    // Once they are put back, everything is well again.
    std::fs::rename(
        data.path().join("moved-away"),
        data.path().join("records.sqlite"),
    )
    .unwrap();
    gateway.wait_until_ready();
    assert_eq!(upload(&gateway, "2.0").status, 200);
    // The same content in another file is not the file that was opened at the start.
    std::fs::copy(data.path().join("records.sqlite"), data.path().join("copy")).unwrap();
    std::fs::rename(data.path().join("copy"), data.path().join("records.sqlite")).unwrap();
    assert_eq!(upload(&gateway, "3.0").status, 503);
    gateway.wait_until_it_says("another file stands at");
}
