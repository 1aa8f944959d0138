//! PostgreSQL against the conformance suite, and what only a database of its own can do to a gateway.

use std::sync::Arc;

use crate::db::change::{Cause, Published};
use crate::db::conformance::{conformance, file, index, now, publication};
use crate::db::contract::Db as _;
use crate::db::error::DbError;
use crate::db::postgres::cluster::Cluster;
use crate::db::postgres::open::Postgres;
use crate::db::record::Serial;
use crate::db::sql::{Engine as _, reader, statement};
use crate::model::ProjectName;

/// A schema in a cluster of all tests.
pub(super) struct Place {
    cluster: Arc<Cluster>,
    url: String,
}

async fn place() -> Place {
    let cluster = tokio::task::spawn_blocking(Cluster::shared).await.unwrap();
    let url = cluster.schema().await;
    Place { cluster, url }
}

pub(super) async fn open() -> (Place, Postgres) {
    let place = place().await;
    let db = opened(&place.url, "a").await;
    (place, db)
}

async fn opened(url: &str, gateway: &str) -> Postgres {
    Postgres::open(url, gateway, now()).await.unwrap()
}

mod suite {
    use super::*;

    conformance!(open);
}

pub(super) fn cause() -> Cause {
    Cause {
        who: None,
        at: now(),
    }
}

/// A cluster of this test's own, and records in it.
async fn alone() -> (Cluster, Postgres, String) {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let url = cluster.schema().await;
    let db = opened(&url, "a").await;
    (cluster, db, url)
}

const HALF: &str = "INSERT INTO projects VALUES ('packages/stable', 'half', 'Half')";

#[tokio::test]
async fn a_dropped_write_is_rolled_back_and_the_next_one_goes_on() {
    let (_place, db) = open().await;
    {
        let mut writing = db.begin_writing("be dropped").await.unwrap();
        writing
            .run(statement(HALF, &[]), "write half")
            .await
            .unwrap();
    }
    let publication = publication("1.0", vec![]);
    db.publish(&cause(), &publication).await.unwrap();
    let held = db.projects(&index("packages/stable")).await.unwrap();
    assert_eq!(held.len(), 1, "{held:?}");
}

#[tokio::test]
async fn serials_are_committed_in_their_order_however_many_write() {
    let (place, db) = open().await;
    let mut others = Vec::new();
    for number in 0..8 {
        let db = opened(&place.url, "a").await;
        others.push(tokio::spawn(async move {
            for release in 0..10 {
                let publication = publication(&format!("{number}.{release}"), vec![]);
                db.publish(&cause(), &publication).await.unwrap();
            }
            db.close().await;
        }));
    }
    let (mut seen, mut follower) = (Vec::new(), Serial(0));
    while seen.len() < 80 {
        for change in db.changes_after(follower, 100).await.unwrap() {
            follower = change.serial;
            seen.push(change.serial.0);
        }
    }
    for other in others {
        other.await.unwrap();
    }
    assert_eq!(seen, (1..=80).collect::<Vec<_>>(), "one was skipped");
}

#[tokio::test]
async fn uploads_of_one_name_by_several_processes_have_one_winner() {
    let (place, db) = open().await;
    let all = (0..6).map(|_| opened(&place.url, "a"));
    let uploads = futures_util::future::join_all(all).await.into_iter();
    let uploads = uploads.enumerate().map(|(content, db)| async move {
        let file = file("hello_pkg-1.0.zip", &format!("{content}"));
        let published = db.publish(&cause(), &publication("1.0", vec![file])).await;
        matches!(published.unwrap(), Published::Done { .. })
    });
    let outcomes = futures_util::future::join_all(uploads).await;
    let winners = outcomes.into_iter().filter(|is_winner| *is_winner).count();
    assert_eq!((winners, db.serial().await.unwrap()), (1, Serial(1)));
}

#[tokio::test]
async fn whoever_writes_waits_for_the_one_before() {
    let (place, db) = open().await;
    let mut first = db.begin_writing("write first").await.unwrap();
    let own = statement("SELECT pg_backend_pid()::bigint AS pid", &[]);
    let own = first.row(own, "ask who it is").await.unwrap().unwrap();
    let own: i64 = reader(&own, "ask who it is").get("pid").unwrap();
    let other = opened(&place.url, "a").await;
    let second = tokio::spawn(async move {
        let one = publication("1.0", vec![]);
        other.publish(&cause(), &one).await.unwrap();
    });
    let blocked = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                   WHERE $1::int = ANY (pg_blocking_pids(pid)))";
    loop {
        assert!(!second.is_finished(), "it did not wait");
        let blocked = sqlx::query_scalar(blocked).bind(own);
        if blocked.fetch_one(&db.readers).await.unwrap() {
            break;
        }
    }
    first.commit("write first").await.unwrap();
    second.await.unwrap();
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_write_leaves_nothing_of_it() {
    let (cluster, db, _url) = alone().await;
    let first = publication("1.0", vec![file("hello_pkg-1.0.zip", "1")]);
    db.publish(&cause(), &first).await.unwrap();
    // Connections that will have ended when they are used again.
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(db.to_read("read").await.unwrap());
    }
    drop(idle);
    let mut writing = db.begin_writing("be cut off").await.unwrap();
    let half = writing.run(statement(HALF, &[]), "write half").await;
    half.unwrap();
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.stop();
        cluster
    });
    let cluster = cluster.await.unwrap();
    let error = writing.commit("be cut off").await.unwrap_err();
    assert!(matches!(error, DbError::Unavailable { .. }), "{error:?}");
    let error = db.publish(&cause(), &first).await.unwrap_err();
    assert!(matches!(error, DbError::Unavailable { .. }), "{error:?}");
    assert!(!db.is_writable());
    let error = db.serial().await.unwrap_err();
    assert!(matches!(error, DbError::Unavailable { .. }), "{error:?}");
    let going_on = tokio::task::spawn_blocking(move || {
        cluster.go_on();
        cluster
    });
    let _cluster = going_on.await.unwrap();
    // Without a restart of the gateway.
    assert_eq!(db.serial().await.unwrap(), Serial(1));
    let next = publication("2.0", vec![file("hello_pkg-2.0.zip", "2")]);
    let published = db.publish(&cause(), &next).await.unwrap();
    let Published::Done { serial, .. } = published else {
        panic!("{published:?}");
    };
    assert_eq!(serial, Serial(2));
    assert!(db.is_writable());
    let held = db.projects(&index("packages/stable")).await.unwrap();
    assert_eq!(held.len(), 1, "{held:?}");
}

#[tokio::test]
async fn while_all_connections_are_in_use_whoever_comes_is_told_to_come_back() {
    let (_place, db) = open().await;
    let mut all = Vec::new();
    for _ in 0..db.readers.options().get_max_connections() {
        all.push(db.to_read("keep it").await.unwrap());
    }
    let error = db.serial().await.unwrap_err();
    assert!(matches!(error, DbError::Unavailable { .. }), "{error:?}");
    assert!(db.is_writable(), "it says nothing about the database");
    all.pop();
    assert_eq!(db.serial().await.unwrap(), Serial(0));
}

#[tokio::test]
async fn a_second_gateway_is_refused_and_one_that_was_displaced_writes_no_more() {
    let (place, first) = open().await;
    let second = opened(&place.url, "b").await;
    first.hold("here:/data", false).await.unwrap();
    let told = second.hold("there:/data", false).await.unwrap_err();
    assert!(told.to_string().contains("here:/data"), "{told}");
    let told = second
        .publish(&cause(), &publication("1.0", vec![]))
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("here:/data"), "{told}");
    // The same gateway's next process may come before the first has ended.
    let next = opened(&place.url, "a").await;
    next.hold("here:/data", true).await.unwrap();
    let both = [&first, &next];
    for (db, version) in both.into_iter().zip(["1.0", "2.0"]) {
        db.publish(&cause(), &publication(version, vec![]))
            .await
            .unwrap();
    }
    first.close().await;
    next.close().await;
    second.hold("there:/data", false).await.unwrap();
    let displaced = opened(&place.url, "a").await;
    let told = displaced
        .publish(&cause(), &publication("3.0", vec![]))
        .await
        .unwrap_err();
    assert!(
        matches!(&told, DbError::Unavailable { cause, .. } if cause.to_string().contains("there:/data")),
        "{told}"
    );
}

#[tokio::test]
async fn records_that_a_newer_program_expanded_are_used_and_those_it_contracted_are_not() {
    let (Place { cluster, url }, _db) = open().await;
    let schema = url.rsplit("%3D").next().unwrap().to_owned();
    let schema = schema.split('&').next().unwrap();
    cluster
        .run(format!(
            "INSERT INTO {schema}._sqlx_migrations
                 (version, description, success, checksum, execution_time)
             VALUES (999, 'tomorrow', true, '', 0)"
        ))
        .await;
    let old = opened(&url, "a").await;
    old.publish(&cause(), &publication("1.0", vec![]))
        .await
        .unwrap();
    let contracted = format!("UPDATE {schema}.server SET schema_min = 999");
    cluster.run(contracted).await;
    for told in [
        Postgres::open(&url, "a", now()).await.unwrap_err(),
        old.publish(&cause(), &publication("2.0", vec![]))
            .await
            .unwrap_err(),
    ] {
        let told = told.to_string();
        assert!(told.contains("upgrade this gateway"), "{told}");
    }
}

#[tokio::test]
async fn several_that_start_together_make_the_tables_once() {
    let Place {
        cluster: _cluster,
        url,
    } = place().await;
    let all = futures_util::future::join_all((0..6).map(|_| opened(&url, "a"))).await;
    let uuid = all[0].facts().await.unwrap().uuid;
    for db in &all {
        assert_eq!(db.facts().await.unwrap().uuid, uuid);
    }
}

#[tokio::test]
async fn a_text_that_postgresql_cannot_hold_is_refused_and_asked_for_in_vain() {
    let (_place, db) = open().await;
    let refused = publication("1.0", vec![file("a\0b.zip", "1")]);
    let error = db.publish(&cause(), &refused).await.unwrap_err();
    assert!(matches!(error, DbError::Unstorable { .. }), "{error:?}");
    let (stable, hello) = (
        index("packages/stable"),
        ProjectName::parse("hello-pkg").unwrap(),
    );
    assert_eq!(db.file(&stable, &hello, "a\0b.zip").await.unwrap(), None);
    assert_eq!(db.serial().await.unwrap(), Serial(0));
    assert!(db.is_writable(), "it says nothing about the database");
}

#[tokio::test]
async fn what_cannot_be_opened_says_where_and_why_without_the_password() {
    let Place { cluster, .. } = place().await;
    let socket = cluster.socket().display();
    for (url, expected) in [
        (
            format!("postgres://cheesecloth:hunter2@localhost/none?host={socket}"),
            "database \"none\" does not exist",
        ),
        (
            "postgres://cheesecloth:hunter2@localhost/x?host=/no/such/folder".to_owned(),
            "/no/such/folder",
        ),
        ("mysql://me:hunter2@localhost/x".to_owned(), "postgres://"),
    ] {
        let told = Postgres::open(&url, "a", now()).await.unwrap_err();
        let told = format!("{told} {told:?}");
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let (_place, db) = open().await;
    assert!(!format!("{db:?}").contains("socket: "), "{db:?}");
}
