//! Records that are brought to PostgreSQL and back.

use serde_json::json;
use tempfile::TempDir;

use crate::db::change::{NewApiToken, NewRecall, NewUser, Removal};
use crate::db::conformance::{file, index, new_index, now, publication};
use crate::db::contract::Db;
use crate::db::error::DbError;
use crate::db::postgres::laws::{cause, open};
use crate::db::record::{Serial, TokenOperation, UserDetails};
use crate::db::snapshot::Snapshot;
use crate::db::sql::{Kind, TABLES, move_records};
use crate::db::sqlite::Sqlite;
use crate::model::{ProjectName, RecallSubject, Sha256};

async fn in_file() -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.sqlite");
    let db = Sqlite::open(&path, now()).await.unwrap();
    (folder, db)
}

/// Something in every table, and something that was withdrawn.
async fn filled() -> (TempDir, Sqlite) {
    let (folder, db) = in_file().await;
    let details = UserDetails {
        title: Some("ünï".into()),
        custom_data: Some(json!({ "a": [1, null] })),
        ..UserDetails::default()
    };
    let user = NewUser {
        name: "packages".into(),
        password_hash: Some("$argon2id$1".into()),
        details,
    };
    db.create_user(&cause(), &user).await.unwrap();
    let stable = new_index("packages/stable", true);
    db.create_index(&cause(), &stable).await.unwrap();
    for version in ["1.0", "1.0-rc1", "2.0"] {
        let files = ["zip", "tar.gz"].map(|ending| {
            let name = format!("hello_pkg-{version}.{ending}");
            file(&name, &name)
        });
        let publication = publication(version, files.into());
        db.publish(&cause(), &publication).await.unwrap();
    }
    let place = (
        &index("packages/stable"),
        &ProjectName::parse("hello-pkg").unwrap(),
    );
    let gone = Removal::Release("2.0");
    db.remove(&cause(), place, gone).await.unwrap().unwrap();
    let token = NewApiToken {
        id: "1".into(),
        user: "packages".into(),
        secret_hash: Sha256::of(b"secret"),
        note: "build".into(),
        indexes: vec!["packages/*".into()],
        operations: vec![TokenOperation::Upload],
        expires: now(),
    };
    db.create_api_token(&cause(), &token).await.unwrap();
    for what in ["sha256", "other"] {
        let recall = NewRecall {
            subject: RecallSubject::Sha256(Sha256::of(what.as_bytes())),
            reason: "malware".into(),
            is_kept: true,
        };
        db.recall(&cause(), &recall).await.unwrap();
    }
    let last = db.recalls().await.unwrap().pop().unwrap();
    db.withdraw_recall(&cause(), last.id).await.unwrap();
    (folder, db)
}

#[tokio::test]
async fn records_go_to_postgresql_and_back_as_they_are() {
    let (_folder, from) = filled().await;
    let (_place, postgres) = open().await;
    let there = move_records(&from, &postgres).await.unwrap();
    for table in &there.tables {
        assert!(table.rows > 0, "{table:?}");
    }
    let (_back_folder, back) = in_file().await;
    let again = move_records(&postgres, &back).await.unwrap();
    assert_eq!(there, again);
    let dbs: [&dyn Db; 3] = [&from, &postgres, &back];
    let mut seen = Vec::new();
    for db in dbs {
        seen.push((
            db.facts().await.unwrap(),
            db.snapshot().await.unwrap(),
            db.changes_after(Serial(0), 100).await.unwrap(),
            db.recalls().await.unwrap(),
            db.api_tokens("packages").await.unwrap(),
            db.holdings().await.unwrap(),
            db.latest_files(&index("packages/stable"), 9).await.unwrap(),
        ));
    }
    assert!(seen[0].0.secret.0 == seen[1].0.secret.0);
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    // They go on from there, each as the first would have.
    let mut next = Vec::new();
    for db in dbs {
        let recall = NewRecall {
            subject: RecallSubject::Sha256(Sha256::of(b"third")),
            reason: "malware".into(),
            is_kept: false,
        };
        let made = db.recall(&cause(), &recall).await.unwrap();
        next.push((format!("{made:?}"), db.serial().await.unwrap()));
    }
    assert!(next[0] == next[1] && next[1] == next[2], "{next:?}");
}

#[tokio::test]
async fn what_holds_records_already_is_left_as_it_is() {
    let (_folder, from) = filled().await;
    let (_place, postgres) = open().await;
    let one = publication("9.0", vec![]);
    postgres.publish(&cause(), &one).await.unwrap();
    let before = postgres.snapshot().await.unwrap();
    let told = move_records(&from, &postgres).await.unwrap_err();
    assert!(matches!(told, DbError::Occupied { .. }), "{told:?}");
    assert_eq!(postgres.snapshot().await.unwrap(), before);
}

#[tokio::test]
async fn what_postgresql_cannot_hold_keeps_everything_out() {
    let (_folder, from) = filled().await;
    let odd = publication("9.0", vec![file("a\0b.zip", "1")]);
    from.publish(&cause(), &odd).await.unwrap();
    let (_place, postgres) = open().await;
    let uuid = postgres.facts().await.unwrap().uuid;
    let told = move_records(&from, &postgres).await.unwrap_err();
    assert!(matches!(told, DbError::Unstorable { .. }), "{told:?}");
    let snapshot = postgres.snapshot().await.unwrap();
    assert_eq!(snapshot, Snapshot::default());
    assert_eq!(postgres.facts().await.unwrap().uuid, uuid);
}

#[tokio::test]
async fn every_table_and_column_of_both_schemas_is_brought_over() {
    let (_folder, sqlite) = in_file().await;
    let found: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE '_sqlx%'
             AND m.name NOT IN ('server', 'holdings') ORDER BY 1, 2",
    )
    .fetch_all(&sqlite.readers)
    .await
    .unwrap();
    compare(found);
    let (_place, postgres) = open().await;
    let found: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type::text
         FROM information_schema.columns WHERE table_schema = current_schema()
             AND table_name NOT LIKE '\\_sqlx%' AND table_name NOT IN ('server', 'holdings')
         ORDER BY 1, 2",
    )
    .fetch_all(&postgres.readers)
    .await
    .unwrap();
    compare(found);
}

fn compare(mut found: Vec<(String, String, String)>) {
    let mut told = Vec::new();
    for table in &TABLES {
        for column in table.columns {
            told.push((table.name.to_owned(), column.name.to_owned(), column.kind));
        }
    }
    found.sort();
    told.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    assert_eq!(found.len(), told.len(), "{found:?} {told:?}");
    for ((table, column, of_schema), (name, known, kind)) in found.iter().zip(&told) {
        assert_eq!((table, column), (name, known));
        let is_alike = match &*of_schema.to_uppercase() {
            "TEXT" => *kind == Kind::Text,
            "BLOB" | "BYTEA" => *kind == Kind::Bytes,
            "INTEGER" => matches!(kind, Kind::Integer | Kind::Truth),
            "BIGINT" => *kind == Kind::Integer,
            "BOOLEAN" => *kind == Kind::Truth,
            _ => false,
        };
        assert!(is_alike, "{table}.{column}: {of_schema}, {kind:?}");
    }
}
