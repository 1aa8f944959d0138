//! An export can be imported again, whatever things are called.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::account::{Cost, Passwords};
use crate::db::{
    Cause, Db, Directory, FileFacts, FileRecord, FileRole, IndexContent, IndexRecord, LogEntry,
    LogEvent, ProjectContent, ProjectRecord, ReleaseRecord, Restoration, Serial, Snapshot, Sqlite,
    User, UserDetails,
};
use crate::devpi::{CheckIndexes, IndexSettings};
use crate::exchange::Archives;
use crate::model::{Faults, IndexName, ProjectName, Sha256, Timestamp, Yanked};
use crate::moving::export::Exporter;
use crate::moving::import::{ImportOptions, Importer};
use crate::store::{FsStore, Key};
use crate::upstream::Decoding;

#[derive(Debug)]
struct Anything;

impl CheckIndexes for Anything {
    fn check(&self, _would_be: &Directory) -> Result<(), Faults> {
        Ok(())
    }
}

/// Bytes and records in a folder.
struct Place {
    store: Arc<FsStore>,
    records: Arc<dyn Db>,
}

impl Place {
    async fn below(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let store = Arc::new(FsStore::open(folder, 1 << 30).unwrap());
        let records = Sqlite::open(&folder.join("records"), now()).await.unwrap();
        Self {
            store,
            records: Arc::new(records),
        }
    }

    async fn import(&self, folder: &Path) -> crate::moving::report::ImportReport {
        let cheap = Cost {
            memory_kib: 64,
            iterations: 1,
            lanes: 1,
        };
        let importer = Importer {
            store: Arc::clone(&self.store),
            records: Arc::clone(&self.records),
            declared: BTreeMap::new(),
            archives: Archives::new(Decoding::new(256 << 20, Duration::ZERO), 1 << 20),
            check: Arc::new(Anything),
            passwords: Passwords::new(cheap, 1),
            now: now(),
        };
        let options = ImportOptions::default();
        importer.import(folder, &options, &|_| ()).await.unwrap()
    }
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05.678901Z".parse().unwrap()
}

fn index() -> IndexName {
    IndexName::parse("packages/stable").unwrap()
}

fn user(name: &str, password_hash: Option<&str>) -> User {
    User {
        name: name.to_owned(),
        password_hash: password_hash.map(str::to_owned),
        generation: 1,
        details: UserDetails {
            title: Some("Whoever".to_owned()),
            custom_data: Some(json!({ "a": [1, null] })),
            ..UserDetails::default()
        },
        created: "2020-01-02T03:04:05Z".parse().unwrap(),
        modified: None,
    }
}

/// A file whose content is its name.
fn file(project: &str, version: &str, filename: &str, role: FileRole) -> FileRecord {
    let when = "2025-01-02T03:04:05Z".parse().unwrap();
    let dst = index();
    FileRecord {
        index: index(),
        project: ProjectName::parse(project).unwrap(),
        version: version.to_owned(),
        facts: FileFacts {
            filename: filename.to_owned(),
            role,
            sha256: Sha256::of(filename.as_bytes()),
            size: filename.len() as u64,
            md5: None,
            blake2b_256: None,
            uploaded_at: now(),
            uploader: Some("packages".to_owned()),
            requires_python: None,
            metadata_sha256: None,
            yanked: Yanked::No,
            log: vec![LogEntry {
                who: None,
                when,
                event: LogEvent::Upload { dst },
            }],
        },
    }
}

fn project(name: &str, spelling: &str, files: Vec<FileRecord>) -> ProjectContent {
    let mut releases: BTreeMap<String, ReleaseRecord> = BTreeMap::new();
    for file in &files {
        let metadata = json!({ "name": spelling, "version": file.version });
        releases.insert(
            file.version.clone(),
            ReleaseRecord {
                version: file.version.clone(),
                metadata: metadata.as_object().unwrap().clone(),
                created: "2024-01-02T03:04:05.6Z".parse().unwrap(),
            },
        );
    }
    ProjectContent {
        name: ProjectName::parse(name).unwrap(),
        record: ProjectRecord {
            spelling: spelling.to_owned(),
            releases: releases.into_values().collect(),
            files,
        },
    }
}

/// Everything that a foreign form could lose.
fn everything() -> Snapshot {
    let mut first = file("a", "1+local.2", "A-1+local.2.zip", FileRole::ReleaseFile);
    first.facts.yanked = Yanked::Yes(Some("broken".into()));
    first.facts.requires_python = Some(">=3.7".to_owned());
    first.facts.uploader = None;
    let mut lower = file("a", "1+local.2", "a-1+local.2.zip", FileRole::ReleaseFile);
    lower.facts.yanked = Yanked::Yes(None);
    let result = FileRole::ToxResult {
        for_file: first.facts.filename.clone(),
    };
    let name = format!("{}.toxresult-20250102030405-0", first.facts.filename);
    let result = file("a", "1+local.2", &name, result);
    // Two projects whose documentation has the same name.
    let docs = file("a", "1-2", "a-1-2.doc.zip", FileRole::DocZip);
    let mut same = file("a-1", "2", "a-1-2.doc.zip", FileRole::DocZip);
    same.facts.sha256 = Sha256::of(b"other docs 12");
    let config = IndexSettings::create(&index(), &serde_json::Map::new(), &|_| true).unwrap();
    Snapshot {
        directory: Directory {
            users: vec![
                user("nobody", None),
                user(
                    "packages",
                    Some(&format!("$devpi-sha256$c2FsdA==${}", "ab".repeat(32))),
                ),
            ],
            indexes: vec![IndexRecord {
                name: index(),
                config: config.to_json(),
                volatile: true,
                revision: Serial(1),
                created: now(),
            }],
        },
        contents: vec![IndexContent {
            index: index(),
            projects: vec![
                project("a", "A", vec![first, result, docs, lower]),
                project("a-1", "A.1", vec![same]),
                project("reserved", "Reserved", Vec::new()),
            ],
        }],
    }
}

#[tokio::test]
async fn everything_that_is_recorded_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let here = Place::below(&folder.path().join("here")).await;
    for project in &everything().contents[0].projects {
        for file in &project.record.files {
            let content = match file.project.as_str() {
                "a-1" => "other docs 12",
                _ => &file.facts.filename,
            };
            let key = Key::PrivateFile(file.facts.sha256);
            here.store.put_small(&key, content.as_bytes()).unwrap();
        }
    }
    let restoration = Restoration {
        snapshot: everything(),
        ..Restoration::default()
    };
    let cause = Cause {
        who: None,
        at: now(),
    };
    here.records.restore(&cause, &restoration).await.unwrap();
    let before = here.records.snapshot().await.unwrap();

    let exporter = Exporter {
        store: Arc::clone(&here.store),
        depot: None,
        records: Arc::clone(&here.records),
        declared: BTreeMap::new(),
    };
    let out = folder.path().join("out");
    let exported = exporter.export(&out, &|_| ()).await.unwrap();
    assert_eq!((exported.faults, exported.files), (vec![], 5));
    let there = Place::below(&folder.path().join("there")).await;
    let imported = there.import(&out).await;
    assert_eq!(imported.faults, Vec::<String>::new());
    assert_eq!(imported.files, 5);
    assert_eq!(there.records.snapshot().await.unwrap(), before);
}
