//! Laws of what is read by what changed, and of single files and releases.

use crate::db::change::{OnConflict, Publication, Published, Removal};
use crate::db::conformance::support::{
    cause, file, files, index, new_user, now, project, publication,
};
use crate::db::contract::Db;
use crate::db::record::{FileChange, FileChanges, FileRecord, FilesSince, Serial};
use crate::db::snapshot::{Restoration, Snapshot};

/// Versions and file names of a small project whose files wander between its releases.
const VERSIONS: [&str; 3] = ["1.0", "2.0", "2.0.0"];
const NAMES: [&str; 4] = ["hello_pkg-1.zip", "hello_pkg-2.zip", "a.zip", "z.zip"];

async fn since(db: &dyn Db, serial: Option<Serial>) -> FilesSince {
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let since = db.files_since(&stable, &hello, serial);
    since.await.unwrap()
}

/// What is known after a look at what changed.
fn apply(known: &mut Vec<FileRecord>, changes: FileChanges) {
    let changes = match changes {
        FileChanges::All(files) => {
            *known = files;
            return;
        }
        FileChanges::Some(changes) => changes,
    };
    for change in changes {
        match change {
            FileChange::Release { version, files } => {
                let names = |one: &FileRecord| {
                    let mut names = files.iter().map(|file| &file.facts.filename);
                    names.any(|name| *name == one.facts.filename)
                };
                known.retain(|one| one.version != version && !names(one));
                known.extend(files);
            }
            FileChange::File { filename, file } => {
                known.retain(|one| one.facts.filename != filename);
                known.extend(file.map(|file| *file));
            }
        }
    }
    known.sort_by(|left, right| {
        let key = |one: &FileRecord| (one.facts.uploaded_at, one.facts.filename.clone());
        key(left).cmp(&key(right))
    });
}

/// Numbers without an order, the same at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

async fn do_something(db: &dyn Db, dice: &mut Dice, number: u64) {
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let (version, name) = (VERSIONS[dice.roll(3)], NAMES[dice.roll(4)]);
    let removal = match dice.roll(12) {
        0 => Removal::Project,
        1 | 2 => Removal::Release(version),
        3 | 4 => Removal::File(name),
        _ => {
            let mut facts = file(name, &number.to_string());
            facts.uploaded_at = now() + std::time::Duration::from_secs(dice.roll(3) as u64);
            let upload = Publication {
                on_conflict: OnConflict::Replace,
                ..publication(version, vec![facts])
            };
            let published = db.publish(&cause(), &upload).await.unwrap();
            assert!(matches!(published, Published::Done { .. }));
            return;
        }
    };
    db.remove(&cause(), (&stable, &hello), removal)
        .await
        .unwrap();
}

pub(crate) async fn what_changed_leads_from_what_was_to_what_is(db: &dyn Db) {
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let (mut dice, mut known, mut serial) = (Dice(7), Vec::new(), None);
    let mut in_part = 0;
    for number in 0..400 {
        do_something(db, &mut dice, number).await;
        if dice.roll(3) == 0 {
            let now = since(db, serial).await;
            in_part += u32::from(matches!(now.changes, FileChanges::Some(_)));
            serial = Some(now.as_of);
            apply(&mut known, now.changes);
            assert_eq!(known, files(db, &stable, &hello).await, "{number}");
        }
    }
    assert!(in_part > 50, "{in_part}");
}

pub(crate) async fn a_project_that_did_not_change_is_not_read_again(db: &dyn Db) {
    let upload = publication("1.0", vec![file("hello_pkg-1.0.zip", "1")]);
    db.publish(&cause(), &upload).await.unwrap();
    let first = since(db, None).await;
    let FileChanges::All(files) = &first.changes else {
        panic!("{first:?}");
    };
    assert_eq!((files.len(), first.as_of), (1, Serial(1)));
    let elsewhere = Publication {
        index: index("packages/dev"),
        ..upload.clone()
    };
    let neighbour = Publication {
        project: project("hello-pkg-2"),
        ..upload
    };
    for other in [elsewhere, neighbour] {
        db.publish(&cause(), &other).await.unwrap();
    }
    db.create_user(&cause(), &new_user("somebody"))
        .await
        .unwrap();
    let nothing = FilesSince {
        as_of: Serial(1),
        changes: FileChanges::Some(Vec::new()),
    };
    assert_eq!(since(db, Some(Serial(1))).await, nothing);
}

pub(crate) async fn what_may_have_changed_every_project_has_all_read_again(db: &dyn Db) {
    let upload = publication("1.0", vec![file("hello_pkg-1.0.zip", "1")]);
    db.publish(&cause(), &upload).await.unwrap();
    db.create_user(&cause(), &new_user("somebody"))
        .await
        .unwrap();
    let before = since(db, None).await.as_of;
    assert!(matches!(
        since(db, Some(before)).await.changes,
        FileChanges::Some(_)
    ));
    db.delete_user(&cause(), "somebody").await.unwrap();
    let deleted = since(db, Some(before)).await;
    assert!(matches!(deleted.changes, FileChanges::All(_)));
    let mut snapshot = db.snapshot().await.unwrap();
    let record = &mut snapshot.contents[0].projects[0].record;
    record.files[0].facts.filename = "hello_pkg-1.0.tar.gz".into();
    let restoration = Restoration {
        snapshot: Snapshot { ..snapshot },
        ..Restoration::default()
    };
    db.restore(&cause(), &restoration).await.unwrap();
    let restored = since(db, Some(deleted.as_of)).await;
    let FileChanges::All(files) = restored.changes else {
        panic!("{restored:?}");
    };
    assert_eq!(files.len(), 2);
}

pub(crate) async fn after_many_changes_all_is_read_again(db: &dyn Db) {
    for number in 0..150 {
        let upload = publication(&format!("1.{number}"), Vec::new());
        db.publish(&cause(), &upload).await.unwrap();
    }
    for (before, expected) in [(49, true), (50, false)] {
        let since = since(db, Some(Serial(before))).await;
        let is_all = matches!(since.changes, FileChanges::All(_));
        assert_eq!((is_all, since.as_of), (expected, Serial(150)), "{before}");
    }
}

pub(crate) async fn a_file_and_a_release_are_found_by_their_names(db: &dyn Db) {
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let zip = file("hello_pkg-1.0.0rc1.zip", "1");
    for (version, files) in [("1.0.0-rc1", vec![zip.clone()]), ("1.0", Vec::new())] {
        let upload = publication(version, files);
        db.publish(&cause(), &upload).await.unwrap();
    }
    let found = db.file(&stable, &hello, &zip.filename).await.unwrap();
    assert_eq!(found.map(|file| file.facts), Some(zip.clone()));
    assert_eq!(db.file(&stable, &hello, "other.zip").await.unwrap(), None);
    let release = db.release(&stable, &hello, "v1.0.0RC1").await.unwrap();
    let release = release.unwrap();
    assert_eq!(
        (&*release.spelling, &*release.record.version),
        ("Hello.Pkg", "1.0.0-rc1")
    );
    assert_eq!(release.files.len(), 1);
    assert_eq!(release.record.metadata["summary"], "greets");
    for (version, expected) in [
        ("1.0", true),
        ("1.0.0rc1", true),
        ("1.0.0", false),
        ("x", false),
    ] {
        let has = db.has_release(&stable, &hello, version).await.unwrap();
        assert_eq!(has, expected, "{version}");
    }
    let elsewhere = index("packages/dev");
    assert_eq!(db.release(&elsewhere, &hello, "1.0").await.unwrap(), None);
}
