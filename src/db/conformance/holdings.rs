//! Laws of what an index holds, and of what came to it last.

use std::time::Duration;

use crate::db::change::{OnConflict, Publication, Removal};
use crate::db::conformance::support::{
    cause, file, index, new_index, new_user, now, project, publication,
};
use crate::db::contract::Db;
use crate::db::file::{FileFacts, FileRole, LogEntry, LogEvent};
use crate::db::record::IndexHoldings;

async fn held(db: &dyn Db, name: &str) -> Option<(u64, u64, u64)> {
    let all = db.holdings().await.unwrap();
    let one = all.into_iter().find(|(one, _)| one.as_str() == name);
    one.map(|(_, held)| {
        let IndexHoldings {
            projects,
            files,
            bytes,
        } = held;
        (projects, files, bytes)
    })
}

async fn publish(db: &dyn Db, publication: &Publication) {
    db.publish(&cause(), publication).await.unwrap();
}

pub(crate) async fn holdings_follow_whatever_comes_and_goes(db: &dyn Db) {
    let stable = "packages/stable";
    assert_eq!(held(db, stable).await, None);
    let tox = FileFacts {
        role: FileRole::ToxResult {
            for_file: "hello_pkg-1.0.zip".into(),
        },
        ..file("zip.toxresult-0", "tox")
    };
    let first = vec![file("hello_pkg-1.0.zip", "1"), tox];
    publish(db, &publication("1.0", first)).await;
    assert_eq!(held(db, stable).await, Some((1, 1, 4)), "1 and 3 bytes");
    let registered = Publication {
        project: project("six"),
        ..publication("1.0", Vec::new())
    };
    publish(db, &registered).await;
    let mut again = publication("1.0", vec![file("hello_pkg-1.0.zip", "longer")]);
    again.on_conflict = OnConflict::Replace;
    publish(db, &again).await;
    // The test result was about what was overwritten.
    assert_eq!(held(db, stable).await, Some((2, 1, 6)));
    let content = (&again.index, &again.project);
    let removed = db.remove(&cause(), content, Removal::Project).await;
    assert!(removed.unwrap().is_some());
    assert_eq!(held(db, stable).await, Some((1, 0, 0)));

    db.create_user(&cause(), &new_user("me")).await.unwrap();
    let mine = new_index("me/dev", true);
    db.create_index(&cause(), &mine).await.unwrap();
    let elsewhere = Publication {
        index: mine.name.clone(),
        ..publication("1.0", vec![file("hello_pkg-1.0.zip", "1")])
    };
    publish(db, &elsewhere).await;
    assert_eq!(held(db, "me/dev").await, Some((1, 1, 1)));
    db.delete_index(&cause(), &mine.name).await.unwrap();
    assert_eq!(held(db, "me/dev").await.unwrap_or_default(), (0, 0, 0));
    assert_eq!(held(db, stable).await, Some((1, 0, 0)));
}

pub(crate) async fn what_came_last_comes_first(db: &dyn Db) {
    let stable = index("packages/stable");
    let at = |seconds| now() + Duration::from_secs(seconds);
    let came = |filename: &str, uploaded: u64, pushed: Option<u64>| {
        let upload = LogEvent::Upload {
            dst: index("packages/develop"),
        };
        let push = LogEvent::Push {
            src: index("packages/develop"),
            dst: stable.clone(),
        };
        let entry = |when, event| LogEntry {
            who: None,
            when,
            event,
        };
        let mut log = vec![entry(at(uploaded), upload)];
        log.extend(pushed.map(|pushed| entry(at(pushed), push)));
        FileFacts {
            uploaded_at: at(uploaded),
            log,
            ..file(filename, filename)
        }
    };
    let files = [
        came("hello_pkg-1.0.zip", 1, Some(50)),
        came("hello_pkg-1.1.zip", 2, None),
        came("hello_pkg-1.2.zip", 3, Some(40)),
        FileFacts {
            role: FileRole::DocZip,
            ..came("hello_pkg-1.2.doc.zip", 90, None)
        },
    ];
    for facts in files {
        publish(db, &publication("1.0", vec![facts])).await;
    }
    let other = Publication {
        index: index("packages/develop"),
        ..publication("9.0", vec![came("hello_pkg-9.0.zip", 99, None)])
    };
    publish(db, &other).await;
    let latest = db.latest_files(&stable, 2).await.unwrap();
    let told: Vec<_> = latest
        .iter()
        .map(|one| (one.file.facts.filename.as_str(), one.at))
        .collect();
    let expected = [("hello_pkg-1.0.zip", at(50)), ("hello_pkg-1.2.zip", at(40))];
    assert_eq!(told, expected);
    assert_eq!(db.latest_files(&stable, 9).await.unwrap().len(), 3);
}
