//! Laws of projects, releases and files.

use serde_json::json;

use crate::db::change::{OnConflict, Publication, Published, PublishedFile, Removal, Removed};
use crate::db::conformance::support::{
    cause, file, files, index, leading, now, object, project, publication,
};
use crate::db::contract::Db;
use crate::db::file::{FileFacts, FileRole, LogEvent};
use crate::db::record::Serial;
use crate::model::{Sha256, Yanked};

fn done(published: Published) -> (Serial, Vec<PublishedFile>) {
    match published {
        Published::Done { serial, files, .. } => (serial, files),
        other @ (Published::Exists { .. } | Published::NoReleaseFile { .. }) => {
            panic!("refused: {other:?}")
        }
    }
}

async fn publish(db: &dyn Db, publication: &Publication) -> Vec<PublishedFile> {
    done(db.publish(&cause(), publication).await.unwrap()).1
}

async fn filenames(db: &dyn Db) -> Vec<String> {
    let files = files(db, &index("packages/stable"), &project("hello-pkg")).await;
    files.into_iter().map(|file| file.facts.filename).collect()
}

fn tox_result(filename: &str, for_file: &str) -> FileFacts {
    let role = FileRole::ToxResult {
        for_file: for_file.into(),
    };
    FileFacts {
        role,
        ..file(filename, filename)
    }
}

pub(crate) async fn a_file_reads_back_as_published(db: &dyn Db) {
    let mut bare = file("Hello.Pkg-1.0.zip", "zip");
    bare.md5 = None;
    bare.blake2b_256 = None;
    bare.uploader = None;
    bare.requires_python = None;
    bare.metadata_sha256 = None;
    bare.yanked = Yanked::No;
    bare.log = Vec::new();
    let mut yanked = file("hello_pkg-1.0-py3-none-any.whl", "wheel");
    yanked.yanked = Yanked::Yes(None);
    yanked.uploaded_at = now() + std::time::Duration::from_micros(1);
    let tox = tox_result("zip.toxresult-0", &bare.filename);
    for facts in [&bare, &yanked, &tox] {
        let outcome = publish(db, &publication("1.0", vec![facts.clone()])).await;
        assert_eq!(outcome, [PublishedFile::Added]);
    }
    let stable = index("packages/stable");
    let files = files(db, &stable, &project("hello-pkg")).await;
    let facts: Vec<_> = files.iter().map(|file| file.facts.clone()).collect();
    assert_eq!(facts, [bare, tox, yanked], "oldest first, then by name");
    assert!(
        files
            .iter()
            .all(|file| file.index == stable && file.version == "1.0")
    );
}

pub(crate) async fn releases_are_listed_in_turn_and_say_what_was_sent(db: &dyn Db) {
    let stable = index("packages/stable");
    for (name, version) in [("b", "1.0"), ("a", "2.0"), ("a", "10.0"), ("c", "1.0")] {
        let publication = Publication {
            project: project(name),
            metadata: object(json!({ "summary": format!("{name} {version}") })),
            ..publication(version, Vec::new())
        };
        publish(db, &publication).await;
    }
    let (mut all, mut after) = (Vec::new(), (String::new(), String::new()));
    loop {
        let found = db.releases_from(&stable, (&after.0, &after.1), 2).await;
        let found = found.unwrap().into_iter();
        let found: Vec<_> = found
            .map(|(of, version)| (of.to_string(), version))
            .collect();
        let Some(last) = found.last() else { break };
        after.clone_from(last);
        all.extend(found);
    }
    let expected = [("a", "10.0"), ("a", "2.0"), ("b", "1.0"), ("c", "1.0")];
    assert_eq!(
        all,
        expected.map(|(of, version)| (of.to_owned(), version.to_owned()))
    );
    let said = db.release_metadata(&stable, &project("a"), "2.0").await;
    assert_eq!(said.unwrap(), Some(object(json!({ "summary": "a 2.0" }))));
    for (of, version) in [("a", "2"), ("d", "2.0")] {
        let said = db.release_metadata(&stable, &project(of), version).await;
        assert_eq!(said.unwrap(), None, "{of} {version}");
    }
}

pub(crate) async fn a_registered_project_is_held_without_files(db: &dyn Db) {
    let stable = index("packages/stable");
    let hello = project("hello-pkg");
    assert!(!db.has_project(&stable, &hello).await.unwrap());
    assert_eq!(db.project(&stable, &hello).await.unwrap(), None);
    let (serial, files) = done(
        db.publish(&cause(), &publication("1.0", vec![]))
            .await
            .unwrap(),
    );
    assert_eq!((serial, files), (Serial(1), vec![]));
    assert!(db.has_project(&stable, &hello).await.unwrap());
    assert!(
        !db.has_project(&index("packages/other"), &hello)
            .await
            .unwrap()
    );
    let projects = db.projects(&stable).await.unwrap();
    assert_eq!(
        (&projects[0].name, projects[0].spelling.as_str()),
        (&hello, "Hello.Pkg")
    );
    let record = db.project(&stable, &hello).await.unwrap().unwrap();
    assert_eq!((record.releases.len(), record.files.len()), (1, 0));
}

pub(crate) async fn metadata_is_laid_over_what_was_known(db: &dyn Db) {
    publish(db, &publication("1.0", vec![])).await;
    let mut second = publication("1.0", vec![]);
    second.spelling = "hello_pkg".into();
    second.metadata = object(json!({ "summary": "says hello", "license": "MIT" }));
    publish(db, &second).await;
    publish(db, &publication("1.0.0", vec![])).await;
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let record = db.project(&stable, &hello).await.unwrap().unwrap();
    assert_eq!(record.spelling, "Hello.Pkg", "the first spelling stays");
    let versions: Vec<_> = record
        .releases
        .iter()
        .map(|one| one.version.as_str())
        .collect();
    assert_eq!(versions, ["1.0", "1.0.0"], "two, as for devpi");
    let expected = json!({
        "name": "Hello.Pkg", "version": "1.0", "summary": "says hello", "license": "MIT"
    });
    assert_eq!(record.releases[0].metadata, object(expected));
}

pub(crate) async fn the_same_file_again_changes_nothing(db: &dyn Db) {
    let mut upload = publication("1.0", vec![file("hello_pkg-1.0.zip", "1")]);
    publish(db, &upload).await;
    upload.metadata = object(json!({ "summary": "changed" }));
    let (serial, files) = done(db.publish(&cause(), &upload).await.unwrap());
    assert_eq!((serial, files), (Serial(1), vec![PublishedFile::Same]));
    let record = db
        .project(&upload.index, &upload.project)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.releases[0].metadata["summary"], "greets");
}

pub(crate) async fn other_content_is_refused_and_nothing_of_the_push_stays(db: &dyn Db) {
    publish(
        db,
        &publication("1.0", vec![file("hello_pkg-1.0.zip", "1")]),
    )
    .await;
    let mut push = publication(
        "1.0",
        vec![
            file("hello_pkg-1.0-py3-none-any.whl", "w"),
            file("hello_pkg-1.0.zip", "2"),
        ],
    );
    push.metadata = object(json!({ "summary": "changed" }));
    let refused = db.publish(&cause(), &push).await.unwrap();
    assert_eq!(
        refused,
        Published::Exists {
            filename: "hello_pkg-1.0.zip".into()
        }
    );
    assert_eq!(filenames(db).await, ["hello_pkg-1.0.zip"]);
    let record = db
        .project(&push.index, &push.project)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.releases[0].metadata["summary"], "greets");
    assert_eq!(db.serial().await.unwrap(), Serial(1));
}

pub(crate) async fn a_push_adds_what_is_missing(db: &dyn Db) {
    let zip = file("hello_pkg-1.0.zip", "1");
    publish(db, &publication("1.0", vec![zip.clone()])).await;
    let wheel = file("hello_pkg-1.0-py3-none-any.whl", "w");
    let tox = tox_result("zip.toxresult-0", &zip.filename);
    let docs = FileFacts {
        role: FileRole::DocZip,
        ..file("hello_pkg-1.0.doc.zip", "d")
    };
    let outcome = publish(db, &publication("1.0", vec![zip, wheel, tox, docs])).await;
    assert_eq!(outcome[0], PublishedFile::Same);
    assert_eq!(outcome[1..], [PublishedFile::Added; 3]);
    assert_eq!(filenames(db).await.len(), 4);
}

pub(crate) async fn an_overwritten_file_is_gone_and_its_successor_says_so(db: &dyn Db) {
    let old = file("hello_pkg-1.0.zip", "1");
    let tox = tox_result("zip.toxresult-0", &old.filename);
    publish(db, &publication("1.0", vec![old.clone(), tox])).await;
    for (content, count) in [("2", 1), ("3", 2)] {
        let mut again = publication("1.0", vec![file("hello_pkg-1.0.zip", content)]);
        again.on_conflict = OnConflict::Replace;
        let outcome = publish(db, &again).await;
        assert!(
            matches!(outcome[..], [PublishedFile::Replaced { .. }]),
            "{outcome:?}"
        );
        let files = files(db, &again.index, &again.project).await;
        assert_eq!(files.len(), 1, "the test result was about the old content");
        let events: Vec<_> = files[0]
            .facts
            .log
            .iter()
            .map(|entry| &entry.event)
            .collect();
        assert_eq!(*events[0], LogEvent::Overwrite { count });
        assert!(matches!(events[1..], [LogEvent::Upload { .. }]));
    }
    let stable = index("packages/stable");
    assert!(
        db.was_deleted(&stable, leading(&old.sha256), &old.filename)
            .await
            .unwrap()
    );
    assert!(!db.is_referenced(&old.sha256).await.unwrap());
}

pub(crate) async fn a_file_that_moves_to_another_version_leaves_no_empty_release(db: &dyn Db) {
    publish(
        db,
        &publication("1.0.0", vec![file("hello_pkg-1.0.zip", "1")]),
    )
    .await;
    let mut again = publication("1.0", vec![file("hello_pkg-1.0.zip", "2")]);
    again.on_conflict = OnConflict::Replace;
    publish(db, &again).await;
    let record = db
        .project(&again.index, &again.project)
        .await
        .unwrap()
        .unwrap();
    let versions: Vec<_> = record
        .releases
        .iter()
        .map(|one| one.version.as_str())
        .collect();
    assert_eq!((versions, record.files.len()), (vec!["1.0"], 1));
}

pub(crate) async fn spellings_of_one_version_are_one_release(db: &dyn Db) {
    let sdist = file("hello_pkg-1.0.0-rc1.zip", "1");
    publish(db, &publication("1.0.0-rc1", vec![sdist])).await;
    let wheel = file("hello_pkg-1.0.0rc1-py3-none-any.whl", "2");
    publish(db, &publication("1.0.0rc1", vec![wheel])).await;
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let record = db.project(&stable, &hello).await.unwrap().unwrap();
    let [release] = &*record.releases else {
        panic!("{:?}", record.releases)
    };
    assert_eq!((&*release.version, record.files.len()), ("1.0.0-rc1", 2));
    assert_eq!(
        release.metadata["version"], "1.0.0-rc1",
        "as its release has it"
    );
    assert!(
        record
            .files
            .iter()
            .all(|file| file.version == release.version)
    );
    let cause = cause();
    let deleted = db.remove(&cause, (&stable, &hello), Removal::Release("v1.0.0.RC1"));
    assert!(deleted.await.unwrap().is_some());
    assert_eq!(db.project(&stable, &hello).await.unwrap(), None);
}

pub(crate) async fn a_test_result_needs_its_release_file(db: &dyn Db) {
    let tox = tox_result("zip.toxresult-0", "hello_pkg-1.0.zip");
    let refused = db
        .publish(&cause(), &publication("1.0", vec![tox]))
        .await
        .unwrap();
    assert_eq!(
        refused,
        Published::NoReleaseFile {
            filename: "hello_pkg-1.0.zip".into()
        }
    );
    assert_eq!(db.serial().await.unwrap(), Serial(0));
}

pub(crate) async fn the_last_file_takes_its_release_and_that_the_project(db: &dyn Db) {
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let zip = file("hello_pkg-1.0.zip", "1");
    let tox = tox_result("zip.toxresult-0", &zip.filename);
    publish(db, &publication("1.0", vec![zip.clone(), tox.clone()])).await;
    publish(
        db,
        &publication("2.0", vec![file("hello_pkg-2.0.zip", "2")]),
    )
    .await;
    let removed = db
        .remove(&cause(), (&stable, &hello), Removal::File(&zip.filename))
        .await
        .unwrap();
    let still_there = Removed {
        serial: Serial(3),
        is_project_gone: false,
    };
    assert_eq!(removed, Some(still_there));
    let record = db.project(&stable, &hello).await.unwrap().unwrap();
    assert_eq!(
        (record.releases.len(), record.files.len()),
        (1, 1),
        "1.0 is gone"
    );
    for gone in [&zip, &tox] {
        assert!(
            db.was_deleted(&stable, leading(&gone.sha256), &gone.filename)
                .await
                .unwrap()
        );
    }
    assert_eq!(
        db.remove(&cause(), (&stable, &hello), Removal::File(&zip.filename))
            .await
            .unwrap(),
        None,
        "twice"
    );
    let last = db
        .remove(
            &cause(),
            (&stable, &hello),
            Removal::File("hello_pkg-2.0.zip"),
        )
        .await
        .unwrap()
        .unwrap();
    assert!(last.is_project_gone);
    assert!(!db.has_project(&stable, &hello).await.unwrap());
}

pub(crate) async fn the_last_release_takes_the_project(db: &dyn Db) {
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    publish(
        db,
        &publication("1.0", vec![file("hello_pkg-1.0.zip", "1")]),
    )
    .await;
    publish(db, &publication("2.0", vec![])).await;
    assert_eq!(
        db.remove(&cause(), (&stable, &hello), Removal::Release("7.7"))
            .await
            .unwrap(),
        None
    );
    db.remove(&cause(), (&stable, &hello), Removal::Release("1.0"))
        .await
        .unwrap()
        .unwrap();
    assert!(db.has_project(&stable, &hello).await.unwrap());
    db.remove(&cause(), (&stable, &hello), Removal::Release("2.0"))
        .await
        .unwrap()
        .unwrap();
    assert!(!db.has_project(&stable, &hello).await.unwrap());
    assert!(
        db.was_deleted(&stable, leading(&Sha256::of(b"1")), "hello_pkg-1.0.zip")
            .await
            .unwrap()
    );
}

pub(crate) async fn a_deleted_project_leaves_other_indexes_and_projects_alone(db: &dyn Db) {
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let upload = publication("1.0", vec![file("hello_pkg-1.0.zip", "1")]);
    let elsewhere = Publication {
        index: index("packages/dev"),
        ..upload.clone()
    };
    let neighbour = Publication {
        project: project("hello-pkg-2"),
        ..upload.clone()
    };
    for one in [&upload, &elsewhere, &neighbour] {
        publish(db, one).await;
    }
    db.remove(&cause(), (&stable, &hello), Removal::Project)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        db.remove(&cause(), (&stable, &hello), Removal::Project)
            .await
            .unwrap(),
        None
    );
    assert!(!db.has_project(&stable, &hello).await.unwrap());
    assert_eq!(files(db, &elsewhere.index, &hello).await.len(), 1);
    assert_eq!(files(db, &stable, &neighbour.project).await.len(), 1);
    assert!(db.is_referenced(&Sha256::of(b"1")).await.unwrap());
}

pub(crate) async fn a_file_uploaded_again_was_not_deleted(db: &dyn Db) {
    let (stable, hello) = (index("packages/stable"), project("hello-pkg"));
    let zip = file("hello_pkg-1.0.zip", "1");
    let upload = publication("1.0", vec![zip.clone()]);
    publish(db, &upload).await;
    assert!(
        !db.was_deleted(&stable, leading(&zip.sha256), &zip.filename)
            .await
            .unwrap()
    );
    db.remove(&cause(), (&stable, &hello), Removal::Project)
        .await
        .unwrap()
        .unwrap();
    assert!(
        db.was_deleted(&stable, leading(&zip.sha256), &zip.filename)
            .await
            .unwrap()
    );
    assert!(
        !db.was_deleted(&stable, leading(&Sha256::of(b"2")), &zip.filename)
            .await
            .unwrap()
    );
    publish(db, &upload).await;
    assert!(
        !db.was_deleted(&stable, leading(&zip.sha256), &zip.filename)
            .await
            .unwrap()
    );
}

pub(crate) async fn every_byte_a_record_needs_is_referenced(db: &dyn Db) {
    assert!(db.referenced().await.unwrap().is_empty());
    let zip = file("hello_pkg-1.0.zip", "1");
    publish(db, &publication("1.0", vec![zip.clone()])).await;
    let sidecar = zip.metadata_sha256.unwrap();
    let referenced = db.referenced().await.unwrap();
    assert_eq!(referenced, [zip.sha256, sidecar].into());
    assert!(db.is_referenced(&sidecar).await.unwrap());
    assert!(!db.is_referenced(&Sha256::of(b"unknown")).await.unwrap());
}

pub(crate) async fn uploads_of_one_name_at_the_same_time_have_one_winner(db: &dyn Db) {
    let contents: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let uploads = contents.iter().map(|content| async move {
        let upload = publication("1.0", vec![file("hello_pkg-1.0.zip", content)]);
        db.publish(&cause(), &upload).await.unwrap()
    });
    let outcomes = futures_util::future::join_all(uploads).await;
    let won = outcomes
        .iter()
        .filter(|one| matches!(one, Published::Done { .. }))
        .count();
    assert_eq!((won, filenames(db).await.len()), (1, 1), "{outcomes:?}");
    assert_eq!(db.serial().await.unwrap(), Serial(1));
}
