//! Laws of users, indexes, serials and the change log.

use serde_json::json;

use crate::db::change::{Cause, Edit, IndexDeletion, UserDeletion, UserUpdate};
use crate::db::conformance::support::{
    cause, file, index, leading, new_index, new_user, object, publication,
};
use crate::db::contract::Db;
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, Serial, UserDetails};

pub(crate) async fn a_new_database_is_empty_and_knows_who_it_is(db: &dyn Db) {
    assert_eq!(db.serial().await.unwrap(), Serial(0));
    assert_eq!(db.changes_after(Serial(0), 10).await.unwrap(), []);
    let directory = db.directory().await.unwrap();
    assert!(directory.users.is_empty() && directory.indexes.is_empty());
    assert_eq!(db.facts().await.unwrap().uuid.len(), 32);
}

pub(crate) async fn a_user_reads_back_as_created(db: &dyn Db) {
    let mut new = new_user("packages");
    new.details = UserDetails {
        email: Some("p@x.example".into()),
        title: Some("Packages".into()),
        description: Some("ünï".into()),
        custom_data: Some(json!({ "team": ["a", 1, null] })),
    };
    assert_eq!(
        db.create_user(&cause(), &new).await.unwrap(),
        Some(Serial(1))
    );
    let user = db.user("packages").await.unwrap().unwrap();
    assert_eq!(
        (&user.name, &user.password_hash),
        (&new.name, &new.password_hash)
    );
    assert_eq!(user.details, new.details);
    assert_eq!((user.created, user.modified), (cause().at, None));
    assert_eq!(db.user("Packages").await.unwrap(), None, "case counts");
}

pub(crate) async fn a_name_is_taken_once(db: &dyn Db) {
    db.create_user(&cause(), &new_user("a"))
        .await
        .unwrap()
        .unwrap();
    let mut second = new_user("a");
    second.password_hash = Some("other".into());
    assert_eq!(db.create_user(&cause(), &second).await.unwrap(), None);
    assert_ne!(
        db.user("a").await.unwrap().unwrap().password_hash,
        second.password_hash
    );
    assert_eq!(
        db.serial().await.unwrap(),
        Serial(1),
        "a refusal is not a write"
    );
}

pub(crate) async fn an_update_changes_what_it_names_and_nothing_else(db: &dyn Db) {
    let mut new = new_user("a");
    new.details.email = Some("a@x.example".into());
    new.details.title = Some("A".into());
    db.create_user(&cause(), &new).await.unwrap().unwrap();
    let update = UserUpdate {
        email: Edit::Clear,
        description: Edit::Set("new".into()),
        ..UserUpdate::default()
    };
    let before = db.user("a").await.unwrap().unwrap();
    let after = db
        .update_user(&cause(), "a", &update)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(db.user("a").await.unwrap().unwrap(), after);
    assert_eq!(after.details.email, None);
    assert_eq!(after.details.title.as_deref(), Some("A"));
    assert_eq!(after.details.description.as_deref(), Some("new"));
    assert_eq!(after.modified, Some(cause().at));
    assert_eq!(after.generation, before.generation, "no login ends");
    assert_eq!(
        db.update_user(&cause(), "nobody", &update).await.unwrap(),
        None
    );
}

pub(crate) async fn a_generation_is_never_used_again(db: &dyn Db) {
    let mut seen = Vec::new();
    for _ in 0..2 {
        db.create_user(&cause(), &new_user("a"))
            .await
            .unwrap()
            .unwrap();
        seen.push(db.user("a").await.unwrap().unwrap().generation);
        let update = UserUpdate {
            password_hash: Some("$argon2id$2".into()),
            ..UserUpdate::default()
        };
        seen.push(
            db.update_user(&cause(), "a", &update)
                .await
                .unwrap()
                .unwrap()
                .generation,
        );
        db.delete_user(&cause(), "a").await.unwrap();
    }
    let mut unique = seen.clone();
    unique.dedup();
    assert!(unique.is_sorted() && unique.len() == 4, "{seen:?}");
}

pub(crate) async fn a_newer_hash_of_the_same_password_ends_no_login(db: &dyn Db) {
    db.create_user(&cause(), &new_user("a"))
        .await
        .unwrap()
        .unwrap();
    let before = db.user("a").await.unwrap().unwrap();
    db.rehash("a", "not this one", "never").await.unwrap();
    assert_eq!(db.user("a").await.unwrap().unwrap(), before);
    db.rehash("a", "$argon2id$1", "$argon2id$3").await.unwrap();
    let after = db.user("a").await.unwrap().unwrap();
    assert_eq!(after.password_hash.as_deref(), Some("$argon2id$3"));
    assert_eq!(after.generation, before.generation);
    assert_eq!(db.serial().await.unwrap(), Serial(1));
}

pub(crate) async fn a_user_goes_with_its_volatile_indexes_and_their_content(db: &dyn Db) {
    for name in ["packages", "other"] {
        db.create_user(&cause(), &new_user(name))
            .await
            .unwrap()
            .unwrap();
    }
    for name in ["packages/stable", "packages/dev", "other/dev"] {
        db.create_index(&cause(), &new_index(name, true))
            .await
            .unwrap()
            .unwrap();
    }
    let facts = file("hello_pkg-1.0.zip", "1");
    db.publish(&cause(), &publication("1.0", vec![facts.clone()]))
        .await
        .unwrap();
    let deletion = db.delete_user(&cause(), "packages").await.unwrap();
    assert_eq!(deletion, UserDeletion::Deleted(db.serial().await.unwrap()));
    let left = db.directory().await.unwrap();
    assert_eq!((left.users.len(), left.indexes.len()), (1, 1));
    let stable = index("packages/stable");
    assert!(db.projects(&stable).await.unwrap().is_empty());
    assert!(
        db.was_deleted(&stable, leading(&facts.sha256), &facts.filename)
            .await
            .unwrap()
    );
    assert_eq!(
        db.delete_user(&cause(), "packages").await.unwrap(),
        UserDeletion::Absent
    );
}

pub(crate) async fn a_user_with_a_non_volatile_index_stays_whole(db: &dyn Db) {
    db.create_user(&cause(), &new_user("a"))
        .await
        .unwrap()
        .unwrap();
    db.create_index(&cause(), &new_index("a/dev", true))
        .await
        .unwrap()
        .unwrap();
    db.create_index(&cause(), &new_index("a/stable", false))
        .await
        .unwrap()
        .unwrap();
    let before = (db.directory().await.unwrap(), db.serial().await.unwrap());
    let refused = db.delete_user(&cause(), "a").await.unwrap();
    assert_eq!(refused, UserDeletion::NonVolatile(index("a/stable")));
    let stable = db.delete_index(&cause(), &index("a/stable")).await.unwrap();
    assert_eq!(stable, IndexDeletion::NonVolatile);
    assert_eq!(
        (db.directory().await.unwrap(), db.serial().await.unwrap()),
        before
    );
}

pub(crate) async fn an_index_reads_back_as_created_and_changed(db: &dyn Db) {
    db.create_user(&cause(), &new_user("a"))
        .await
        .unwrap()
        .unwrap();
    let mut new = new_index("a/dev", true);
    let created = db.create_index(&cause(), &new).await.unwrap().unwrap();
    assert_eq!(
        db.create_index(&cause(), &new).await.unwrap(),
        None,
        "taken"
    );
    let record = db.index(&index("a/dev")).await.unwrap().unwrap();
    assert_eq!((&record.config, record.volatile), (&new.config, true));
    assert_eq!(record.revision, created);
    new.config = object(json!({ "type": "stage", "title": "ünï", "bases": ["root/pypi"] }));
    new.volatile = false;
    new.revision = record.revision;
    let changed = db.update_index(&cause(), &new).await.unwrap().unwrap();
    let record = db.index(&index("a/dev")).await.unwrap().unwrap();
    assert_eq!(
        (record.config, record.volatile, record.revision),
        (new.config, false, changed)
    );
    assert_eq!(db.index(&index("a/other")).await.unwrap(), None);
}

pub(crate) async fn of_two_changes_made_from_one_revision_the_second_is_told(db: &dyn Db) {
    db.create_user(&cause(), &new_user("a"))
        .await
        .unwrap()
        .unwrap();
    let mut update = new_index("a/dev", true);
    update.revision = db.create_index(&cause(), &update).await.unwrap().unwrap();
    db.update_index(&cause(), &update).await.unwrap().unwrap();
    let second = db.update_index(&cause(), &update).await;
    assert!(
        matches!(second, Err(DbError::Conflict { .. })),
        "{second:?}"
    );
    let mut gone = new_index("a/gone", true);
    gone.revision = update.revision;
    assert_eq!(db.update_index(&cause(), &gone).await.unwrap(), None);
}

pub(crate) async fn an_index_needs_its_user(db: &dyn Db) {
    let orphan = db
        .create_index(&cause(), &new_index("nobody/dev", true))
        .await;
    assert!(
        matches!(orphan, Err(DbError::Conflict { .. })),
        "{orphan:?}"
    );
    assert_eq!(
        db.serial().await.unwrap(),
        Serial(0),
        "nothing half-visible"
    );
}

pub(crate) async fn the_change_log_tells_who_did_what(db: &dyn Db) {
    db.create_user(&cause(), &new_user("packages"))
        .await
        .unwrap();
    db.create_index(&cause(), &new_index("packages/stable", true))
        .await
        .unwrap();
    let anonymous = Cause {
        who: None,
        at: cause().at,
    };
    db.publish(&anonymous, &publication("1.0", vec![]))
        .await
        .unwrap();
    let log = db.changes_after(Serial(0), 10).await.unwrap();
    let kinds: Vec<_> = log
        .iter()
        .map(|change| (change.serial.0, change.kind))
        .collect();
    let expected = [
        (1, ChangeKind::UserCreated),
        (2, ChangeKind::IndexCreated),
        (3, ChangeKind::Published),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(log[0].who.as_deref(), Some("packages"));
    assert_eq!(log[1].index, Some(index("packages/stable")));
    assert_eq!(
        (log[2].who.as_deref(), log[2].detail.as_deref()),
        (None, Some("1.0"))
    );
    assert_eq!(log[2].project.as_ref().unwrap().as_str(), "hello-pkg");
    let page = db.changes_after(Serial(1), 1).await.unwrap();
    assert_eq!((page.len(), page[0].serial), (1, Serial(2)));
}
