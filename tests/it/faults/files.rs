//! A disk that fails while bytes are written or read.

use super::{gateway, listed, upload};
use crate::support::{Calls, Disk, DiskError, Rule};

/// What fails, and what an upload is told.
struct Row {
    error: DiskError,
    calls: Calls,
    text: &'static str,
    status: u16,
    words: &'static str,
}

const UPLOADS: [Row; 1] = [Row {
    error: DiskError::Full,
    calls: Calls::Write,
    text: "/tmp/",
    status: 507,
    words: "no room on the disk",
}];

#[test]
fn an_upload_that_the_disk_does_not_take_is_refused_in_words_and_the_next_is_taken() {
    let disk = Disk::sound();
    let gateway = gateway(&disk);
    assert_eq!(upload(&gateway, "1.0").status, 200);
    for (number, row) in (2..).zip(UPLOADS) {
        let (version, what) = (format!("{number}.0"), (row.error, row.calls, row.text));
        disk.suffers(&[Rule::new(row.error, row.calls, row.text)]);
        let refused = upload(&gateway, &version);
        assert_eq!(refused.status, row.status, "{what:?}: {refused:?}");
        assert!(refused.body.contains(row.words), "{what:?}: {refused:?}");
        assert_eq!(listed(&gateway), number - 1, "{what:?}");
        disk.heals();
        assert_eq!(upload(&gateway, &version).status, 200, "{what:?}");
        assert_eq!(listed(&gateway), number, "{what:?}");
    }
}
