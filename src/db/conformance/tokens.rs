//! Laws of CI tokens.

use crate::db::change::NewApiToken;
use crate::db::conformance::support::{cause, new_user, now};
use crate::db::contract::Db;
use crate::db::error::DbError;
use crate::db::record::{Serial, TokenOperation};
use crate::model::Sha256;

fn token(id: &str, user: &str) -> NewApiToken {
    NewApiToken {
        id: id.into(),
        user: user.into(),
        secret_hash: Sha256::of(b"secret"),
        note: "build 7".into(),
        indexes: vec!["packages/*".into(), "ci/dev".into()],
        operations: vec![TokenOperation::Upload, TokenOperation::Read],
        expires: now() + std::time::Duration::from_hours(24),
    }
}

pub(crate) async fn a_token_reads_back_as_kept(db: &dyn Db) {
    db.create_user(&cause(), &new_user("a")).await.unwrap();
    let new = token("1", "a");
    db.create_api_token(&cause(), &new).await.unwrap().unwrap();
    assert_eq!(
        db.create_api_token(&cause(), &new).await.unwrap(),
        None,
        "taken"
    );
    let kept = db.api_token("1").await.unwrap().unwrap();
    assert_eq!(
        (&kept.user, &kept.note, &kept.indexes),
        (&new.user, &new.note, &new.indexes)
    );
    assert_eq!(
        (kept.secret_hash, &kept.operations),
        (new.secret_hash, &new.operations)
    );
    assert_eq!(
        (kept.created, kept.expires, kept.last_used),
        (now(), new.expires, None)
    );
    assert_eq!(db.api_token("2").await.unwrap(), None);
    let everywhere = NewApiToken {
        indexes: vec![],
        operations: vec![],
        ..token("2", "a")
    };
    db.create_api_token(&cause(), &everywhere)
        .await
        .unwrap()
        .unwrap();
    let kept = db.api_token("2").await.unwrap().unwrap();
    assert_eq!((kept.indexes, kept.operations), (vec![], vec![]));
    let ids: Vec<_> = db
        .api_tokens("a")
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(ids, ["1", "2"]);
    assert!(db.api_tokens("b").await.unwrap().is_empty());
}

pub(crate) async fn a_token_needs_its_user_and_goes_with_it(db: &dyn Db) {
    let orphan = db.create_api_token(&cause(), &token("1", "a")).await;
    assert!(
        matches!(orphan, Err(DbError::Conflict { .. })),
        "{orphan:?}"
    );
    db.create_user(&cause(), &new_user("a")).await.unwrap();
    db.create_api_token(&cause(), &token("1", "a"))
        .await
        .unwrap()
        .unwrap();
    db.delete_user(&cause(), "a").await.unwrap();
    assert_eq!(db.api_token("1").await.unwrap(), None);
}

pub(crate) async fn a_withdrawn_token_is_gone(db: &dyn Db) {
    db.create_user(&cause(), &new_user("a")).await.unwrap();
    db.create_api_token(&cause(), &token("1", "a"))
        .await
        .unwrap()
        .unwrap();
    assert!(db.delete_api_token(&cause(), "1").await.unwrap().is_some());
    assert_eq!(db.delete_api_token(&cause(), "1").await.unwrap(), None);
    assert_eq!(db.api_token("1").await.unwrap(), None);
}

pub(crate) async fn the_latest_use_of_a_token_is_kept(db: &dyn Db) {
    db.create_user(&cause(), &new_user("a")).await.unwrap();
    db.create_api_token(&cause(), &token("1", "a"))
        .await
        .unwrap()
        .unwrap();
    let later = now() + std::time::Duration::from_mins(1);
    let uses = [
        ("1".to_owned(), later),
        ("1".to_owned(), now()),
        ("gone".to_owned(), now()),
    ];
    db.note_token_uses(&uses).await.unwrap();
    assert_eq!(
        db.api_token("1").await.unwrap().unwrap().last_used,
        Some(later)
    );
    assert_eq!(
        db.serial().await.unwrap(),
        Serial(2),
        "not a write that clients see"
    );
}
