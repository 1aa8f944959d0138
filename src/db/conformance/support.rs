//! Small values for the laws.

use serde_json::{Map, Value, json};

use crate::db::change::{Cause, NewUser, OnConflict, Publication};
use crate::db::contract::Db;
use crate::db::file::{FileFacts, FileRole, LogEntry, LogEvent};
use crate::db::record::{FileChanges, FileRecord, IndexRecord, Serial};
use crate::model::{IndexName, ProjectName, Sha256, Timestamp, Yanked};

pub fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub(super) fn cause() -> Cause {
    Cause {
        who: Some("packages".into()),
        at: now(),
    }
}

pub fn index(text: &str) -> IndexName {
    IndexName::parse(text).unwrap()
}

pub(super) fn project(text: &str) -> ProjectName {
    ProjectName::parse(text).unwrap()
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

pub(super) fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.into(),
        password_hash: Some("$argon2id$1".into()),
        ..NewUser::default()
    }
}

pub fn new_index(name: &str, volatile: bool) -> IndexRecord {
    let config = object(json!({ "type": "stage", "volatile": volatile }));
    IndexRecord {
        name: index(name),
        config,
        volatile,
        revision: Serial::default(),
        created: now(),
    }
}

/// A release file with every fact set.
pub fn file(filename: &str, content: &str) -> FileFacts {
    let event = LogEvent::Upload {
        dst: index("packages/stable"),
    };
    FileFacts {
        filename: filename.into(),
        role: FileRole::ReleaseFile,
        sha256: Sha256::of(content.as_bytes()),
        size: content.len() as u64,
        md5: Some("900150983cd24fb0d6963f7d28e17f72".into()),
        blake2b_256: Some("ab".repeat(32)),
        uploaded_at: now(),
        uploader: Some("packages".into()),
        requires_python: Some(">=3.7".into()),
        metadata_sha256: Some(Sha256::of(b"metadata")),
        yanked: Yanked::Yes(Some("too old".into())),
        log: vec![LogEntry {
            who: Some("packages".into()),
            when: now(),
            event,
        }],
    }
}

/// Hello.Pkg on packages/stable, which refuses other content under the same name.
pub fn publication(version: &str, files: Vec<FileFacts>) -> Publication {
    Publication {
        index: index("packages/stable"),
        project: project("hello-pkg"),
        spelling: "Hello.Pkg".into(),
        version: version.into(),
        metadata: object(json!({ "name": "Hello.Pkg", "version": version, "summary": "greets" })),
        files,
        on_conflict: OnConflict::Refuse,
    }
}

/// As much of a digest as a file's URL has.
pub(super) fn leading(digest: &Sha256) -> [u8; 8] {
    digest.as_bytes()[..8].try_into().unwrap()
}

/// All files that an index holds of a project.
pub(super) async fn files(
    db: &dyn Db,
    index: &IndexName,
    project: &ProjectName,
) -> Vec<FileRecord> {
    let since = db.files_since(index, project, None).await.unwrap();
    let FileChanges::All(files) = since.changes else {
        panic!("nothing was known: {since:?}");
    };
    files
}
