//! Laws of recalls.

use crate::db::change::{NewRecall, RecallMade};
use crate::db::conformance::support::{cause, now};
use crate::db::contract::Db;
use crate::db::record::{ChangeKind, Serial};
use crate::model::Recall;

fn new(subject: &str) -> NewRecall {
    NewRecall {
        subject: subject.parse().unwrap(),
        reason: "stolen token".into(),
        is_kept: true,
    }
}

async fn made(db: &dyn Db, subject: &str) -> Recall {
    match db.recall(&cause(), &new(subject)).await.unwrap() {
        RecallMade::Made(recall) => recall,
        RecallMade::Already(there) => panic!("{there:?}"),
    }
}

pub(crate) async fn a_recall_reads_back_as_made(db: &dyn Db) {
    assert!(db.recalls().await.unwrap().is_empty());
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let mut all = Vec::new();
    for subject in ["six", "six==1.0", "six<1, !=0.5", "six-1.0.tar.gz", digest] {
        let recall = made(db, subject).await;
        assert_eq!(recall.subject, subject.parse().unwrap());
        assert_eq!((&*recall.reason, recall.is_kept), ("stolen token", true));
        assert_eq!(recall.who.as_deref(), Some("packages"));
        assert_eq!(recall.at, now());
        all.push(recall);
    }
    assert_eq!(db.recalls().await.unwrap(), all);
    assert_eq!(db.serial().await.unwrap(), Serial(5));
    let changes = db.changes_after(Serial(0), 9).await.unwrap();
    let told = (changes[1].kind, changes[1].detail.as_deref());
    assert_eq!(told, (ChangeKind::Recalled, Some("six==1.0")));
}

pub(crate) async fn the_same_is_recalled_once(db: &dyn Db) {
    let first = made(db, "six==1.0").await;
    let again = db.recall(&cause(), &new("Six == 1.0")).await.unwrap();
    assert_eq!(again, RecallMade::Already(first));
    assert_eq!(db.serial().await.unwrap(), Serial(1));
}

pub(crate) async fn a_withdrawn_recall_is_gone_and_its_number_not_used_again(db: &dyn Db) {
    let first = made(db, "six").await;
    let withdrawn = db.withdraw_recall(&cause(), first.id).await.unwrap();
    assert_eq!(withdrawn, Some(first.clone()));
    assert_eq!(db.withdraw_recall(&cause(), first.id).await.unwrap(), None);
    assert!(db.recalls().await.unwrap().is_empty());
    let changes = db.changes_after(Serial(1), 9).await.unwrap();
    assert_eq!(changes[0].kind, ChangeKind::RecallWithdrawn);
    assert!(made(db, "six").await.id > first.id);
}
