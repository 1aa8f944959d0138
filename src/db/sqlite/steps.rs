//! What a write costs: counted in the steps of SQLite's machine, of which each row that is looked at
//! takes some. They are as many in a large project as in a small one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::db::change::{Cause, OnConflict, Publication, Published, Removal};
use crate::db::conformance::{file, index, now, publication};
use crate::db::contract::Db;
use crate::db::file::{FileFacts, FileRole};
use crate::db::record::{FileChanges, Serial};
use crate::db::sqlite::open::Sqlite;
use crate::model::{IndexName, ProjectName};

/// A project of many files, each in its own release, and a counter of the steps from there on.
struct Counted {
    _folder: tempfile::TempDir,
    db: Sqlite,
    steps: Arc<AtomicU64>,
    stable: IndexName,
    hello: ProjectName,
}

fn cause() -> Cause {
    Cause {
        who: None,
        at: now(),
    }
}

fn wheel(number: u64) -> FileFacts {
    file(
        &format!("hello_pkg-1.{number}-py3-none-any.whl"),
        &number.to_string(),
    )
}

impl Counted {
    async fn of(files: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let db = Sqlite::open(&path, now()).await.unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let counted = Self {
            _folder: folder,
            db,
            steps,
            stable: index("packages/stable"),
            hello: ProjectName::parse("hello-pkg").unwrap(),
        };
        for number in 0..files {
            counted.publish(number, vec![wheel(number)]).await;
        }
        for pool in [&counted.db.writer, &counted.db.readers] {
            let mut connections = Vec::new();
            for _ in 0..pool.options().get_max_connections() {
                connections.push(pool.acquire().await.unwrap());
            }
            for connection in &mut connections {
                let steps = Arc::clone(&counted.steps);
                let mut handle = connection.lock_handle().await.unwrap();
                handle.set_progress_handler(1, move || {
                    steps.fetch_add(1, Ordering::Relaxed);
                    true
                });
            }
        }
        counted
    }

    async fn publish(&self, number: u64, files: Vec<FileFacts>) {
        let publication = Publication {
            on_conflict: OnConflict::Replace,
            ..publication(&format!("1.{number}"), files)
        };
        let published = self.db.publish(&cause(), &publication).await.unwrap();
        assert!(matches!(published, Published::Done { .. }));
    }

    async fn remove(&self, removal: Removal<'_>) {
        let content = (&self.stable, &self.hello);
        let removed = self.db.remove(&cause(), content, removal).await.unwrap();
        assert!(removed.is_some());
    }

    /// The steps of everything that an upload or a removal asks, one after the other.
    async fn steps_of_each(&self) -> Vec<(&'static str, u64)> {
        let (db, place) = (&self.db, (&self.stable, &self.hello));
        let mut taken = Vec::new();
        let mut before = 0;
        let mut note = |what: &'static str, steps: &AtomicU64| {
            let now = steps.load(Ordering::Relaxed);
            taken.push((what, now - before));
            before = now;
        };
        let serial = db.serial().await.unwrap();
        note("serial", &self.steps);
        db.file(place.0, place.1, "hello_pkg-1.3-py3-none-any.whl")
            .await
            .unwrap();
        note("file", &self.steps);
        db.has_release(place.0, place.1, "v1.3").await.unwrap();
        note("has_release", &self.steps);
        self.publish(900_000, vec![wheel(900_000)]).await;
        note("publish a new release", &self.steps);
        let tox = FileFacts {
            role: FileRole::ToxResult {
                for_file: wheel(900_000).filename,
            },
            ..file("tox", "tox")
        };
        self.publish(900_000, vec![tox]).await;
        note("publish a test result", &self.steps);
        self.publish(900_001, vec![wheel(900_000)]).await;
        note("move a file", &self.steps);
        db.release(place.0, place.1, "1.900001").await.unwrap();
        note("release", &self.steps);
        self.changed(serial, 2).await;
        note("files_since", &self.steps);
        self.remove(Removal::File(&wheel(900_000).filename)).await;
        note("remove a file", &self.steps);
        self.remove(Removal::Release("1.3")).await;
        note("remove a release", &self.steps);
        taken
    }

    async fn changed(&self, since: Serial, expected: usize) {
        let since = self.db.files_since(&self.stable, &self.hello, Some(since));
        let since = since.await.unwrap();
        let FileChanges::Some(changes) = &since.changes else {
            panic!("{since:?}");
        };
        assert_eq!(changes.len(), expected);
    }
}

#[tokio::test]
async fn a_write_takes_as_many_steps_in_a_large_project_as_in_a_small_one() {
    let small = Counted::of(10).await.steps_of_each().await;
    let large = Counted::of(1_000).await.steps_of_each().await;
    for ((what, few), (_, many)) in small.iter().zip(&large) {
        // Where a row comes to stand between others makes some steps of difference.
        let is_alike = few.abs_diff(*many) <= 20;
        assert!(is_alike && *few > 0, "{what}: {few} and {many}");
    }
}
