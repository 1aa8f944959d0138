//! Laws of snapshots and restorations.

use std::collections::BTreeSet;

use serde_json::json;

use crate::db::change::{OnConflict, Publication};
use crate::db::conformance::support::{
    cause, file, index, new_user, now, object, project, publication,
};
use crate::db::contract::Db;
use crate::db::error::DbError;
use crate::db::file::{FileFacts, FileRole};
use crate::db::record::{
    ChangeKind, Directory, FileRecord, IndexRecord, ProjectRecord, ReleaseRecord, Serial, User,
    UserDetails,
};
use crate::db::snapshot::{
    DifferingFile, IndexContent, LeftAsIs, ProjectContent, Restoral, Restoration, Restored,
    Snapshot,
};

fn user(name: &str, hash: &str) -> User {
    User {
        name: name.into(),
        password_hash: Some(hash.into()),
        generation: 1,
        details: UserDetails {
            email: Some("p@upstream.example".into()),
            custom_data: Some(json!({ "a": [1] })),
            ..UserDetails::default()
        },
        created: "2020-01-01T11:11:00Z".parse().unwrap(),
        modified: Some(now()),
    }
}

fn release(version: &str, summary: &str) -> ReleaseRecord {
    ReleaseRecord {
        version: version.into(),
        metadata: object(json!({ "name": "Hello.Pkg", "version": version, "summary": summary })),
        created: "2020-01-02T11:11:00Z".parse().unwrap(),
    }
}

fn record(version: &str, facts: FileFacts) -> FileRecord {
    FileRecord {
        index: index("packages/stable"),
        project: project("hello-pkg"),
        version: version.into(),
        facts,
    }
}

/// A user with an index, a project with two releases, and a file of each role.
fn everything() -> Snapshot {
    let wheel = file("hello_pkg-1.0-py3-none-any.whl", "wheel");
    let tox = FileFacts {
        role: FileRole::ToxResult {
            for_file: wheel.filename.clone(),
        },
        ..file("hello_pkg-1.0-py3-none-any.whl.toxresult-1-0", "{}")
    };
    let docs = FileFacts {
        role: FileRole::DocZip,
        ..file("hello-pkg-2.0.doc.zip", "docs")
    };
    let files = vec![
        record("2.0", docs),
        record("1.0", wheel),
        record("1.0", tox),
    ];
    let held = ProjectRecord {
        spelling: "Hello.Pkg".into(),
        releases: vec![release("1.0", "greets"), release("2.0", "greets")],
        files,
    };
    let stable = IndexRecord {
        name: index("packages/stable"),
        config: object(json!({ "type": "stage", "volatile": false })),
        volatile: false,
        revision: Serial(1),
        created: now(),
    };
    let only_a_name = ProjectRecord {
        spelling: "Reserved".into(),
        releases: Vec::new(),
        files: Vec::new(),
    };
    let project = |name: &str, record| ProjectContent {
        name: project(name),
        record,
    };
    Snapshot {
        directory: Directory {
            users: vec![user("packages", "$argon2id$1")],
            indexes: vec![stable],
        },
        contents: vec![IndexContent {
            index: index("packages/stable"),
            projects: vec![project("hello-pkg", held), project("reserved", only_a_name)],
        }],
    }
}

async fn restore(db: &dyn Db, snapshot: Snapshot) -> Restored {
    let restoration = Restoration {
        snapshot,
        ..Restoration::default()
    };
    db.restore(&cause(), &restoration).await.unwrap()
}

fn done(restored: Restored) -> Restoral {
    match restored {
        Restored::Done(restoral) => restoral,
        Restored::Differs(files) => panic!("refused: {files:?}"),
    }
}

pub(crate) async fn what_is_restored_reads_back_and_once_is_enough(db: &dyn Db) {
    let everything = everything();
    let restoral = done(restore(db, everything.clone()).await);
    let expected = Restoral {
        serial: Serial(1),
        users: 1,
        indexes: 1,
        releases: 2,
        files: 3,
        ..Restoral::default()
    };
    assert_eq!(restoral, expected);
    assert_eq!(db.snapshot().await.unwrap(), everything);
    let changes = db.changes_after(Serial(0), 10).await.unwrap();
    assert_eq!(changes.len(), 1, "all of it is one write");
    assert_eq!(changes[0].kind, ChangeKind::Restored);

    let again = done(restore(db, everything.clone()).await);
    let expected = Restoral {
        serial: Serial(1),
        files_already: 3,
        ..Restoral::default()
    };
    assert_eq!(again, expected);
    assert_eq!(db.snapshot().await.unwrap(), everything);
    assert_eq!(db.serial().await.unwrap(), Serial(1));
}

pub(crate) async fn one_differing_file_keeps_everything_out(db: &dyn Db) {
    let there = publication("1.0", vec![file("hello_pkg-1.0-py3-none-any.whl", "other")]);
    db.publish(&cause(), &there).await.unwrap();
    let before = db.snapshot().await.unwrap();
    let differing = DifferingFile {
        index: index("packages/stable"),
        project: project("hello-pkg"),
        filename: "hello_pkg-1.0-py3-none-any.whl".into(),
    };
    let restored = restore(db, everything()).await;
    assert_eq!(restored, Restored::Differs(vec![differing]));
    assert_eq!(db.snapshot().await.unwrap(), before);
    assert_eq!(db.serial().await.unwrap(), Serial(1));
}

pub(crate) async fn a_rehearsal_tells_and_changes_nothing(db: &dyn Db) {
    let rehearsal = Restoration {
        snapshot: everything(),
        is_rehearsal: true,
        ..Restoration::default()
    };
    let restoral = done(db.restore(&cause(), &rehearsal).await.unwrap());
    assert_eq!((restoral.files, restoral.serial), (3, Serial(0)));
    assert_eq!(db.snapshot().await.unwrap(), Snapshot::default());
    assert_eq!(db.serial().await.unwrap(), Serial(0));
}

pub(crate) async fn what_is_there_stays_and_is_named(db: &dyn Db) {
    for name in ["packages", "root"] {
        db.create_user(&cause(), &new_user(name)).await.unwrap();
    }
    let publication = Publication {
        metadata: object(json!({ "name": "Hello.Pkg", "summary": "ours", "license": "MIT" })),
        on_conflict: OnConflict::Refuse,
        ..publication("1.0", vec![])
    };
    db.publish(&cause(), &publication).await.unwrap();
    let mut snapshot = everything();
    snapshot.directory.users = vec![user("packages", "$other"), user("root", "$other")];
    let restoration = Restoration {
        snapshot,
        replaced_users: BTreeSet::from(["root".to_owned()]),
        is_rehearsal: false,
    };
    let restoral = done(db.restore(&cause(), &restoration).await.unwrap());
    let kept = [
        LeftAsIs::User("packages".into()),
        LeftAsIs::Release {
            index: index("packages/stable"),
            project: project("hello-pkg"),
            version: "1.0".into(),
        },
    ];
    assert_eq!((restoral.users, restoral.kept), (1, kept.to_vec()));
    let hash = |user: Option<User>| user.unwrap().password_hash.unwrap();
    assert_eq!(hash(db.user("packages").await.unwrap()), "$argon2id$1");
    let root = db.user("root").await.unwrap();
    assert_eq!(root.as_ref().unwrap().generation, restoral.serial.0);
    assert_eq!(hash(root), "$other");
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let held = db.project(&stable, &hello).await.unwrap();
    let metadata = held.unwrap().releases.remove(0).metadata;
    let both =
        json!({ "name": "Hello.Pkg", "version": "1.0", "summary": "ours", "license": "MIT" });
    assert_eq!(metadata, object(both), "ours, and what only theirs has");
}

pub(crate) async fn an_index_is_not_restored_without_its_user(db: &dyn Db) {
    let mut snapshot = everything();
    snapshot.directory.users.clear();
    let restoration = Restoration {
        snapshot,
        ..Restoration::default()
    };
    let error = db.restore(&cause(), &restoration).await.unwrap_err();
    assert!(matches!(error, DbError::Conflict { .. }), "{error}");
    assert_eq!(db.snapshot().await.unwrap(), Snapshot::default());
}
