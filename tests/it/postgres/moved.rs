//! `move-records`, there and back, and broken off.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use super::{INDEXES, gateway, in_postgres, listed, schema, upload, wait_for};
use crate::support::{Cluster, command};

/// `move-records` of a data folder; `way` is `--to` or `--from`.
fn moving(folder: &Path, way: &str, url: &str) -> Command {
    let policies = folder.join("policies.yaml");
    std::fs::write(&policies, INDEXES).unwrap();
    let mut command = command();
    command.arg("move-records").arg("--policies").arg(policies);
    command.arg("--data").arg(folder.join("data"));
    command.args([way, "env:RECORDS_URL", "--json"]);
    command.env("RECORDS_URL", url);
    command
}

fn said(output: &Output) -> String {
    let (out, error) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(error)
}

#[test]
fn records_move_to_postgresql_and_back_and_a_gateway_goes_on_with_them() {
    let cluster = Cluster::shared();
    let url = schema(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = gateway(INDEXES, &data).start();
    assert_eq!(upload(&first, "1.0").status, 200);
    let busy = moving(folder.path(), "--to", &url).output().unwrap();
    assert_eq!(busy.status.code(), Some(2), "{}", said(&busy));
    assert!(
        said(&busy).contains("in use by a running server"),
        "{}",
        said(&busy)
    );
    assert!(first.stop().success());
    let there = moving(folder.path(), "--to", &url).output().unwrap();
    assert!(there.status.success(), "{}", said(&there));
    let told: Value = serde_json::from_slice(&there.stdout).unwrap();
    let files = told["tables"].as_array().unwrap();
    let files = files.iter().find(|table| table["name"] == "files").unwrap();
    assert_eq!(files["rows"], 1, "{told}");
    std::fs::rename(data.join("records.sqlite"), folder.path().join("old")).unwrap();

    let second = gateway(&in_postgres(&url, INDEXES), &data).start();
    assert_eq!(listed(&second), 1);
    assert_eq!(upload(&second, "2.0").status, 200);
    assert!(second.stop().success());
    let again = moving(folder.path(), "--from", &url).output().unwrap();
    assert!(again.status.success(), "{}", said(&again));
    let third = gateway(INDEXES, &data).start();
    assert_eq!(listed(&third), 2);
    assert_eq!(upload(&third, "3.0").status, 200);
    assert!(third.stop().success());
    // Neither side is written over.
    for way in ["--to", "--from"] {
        let refused = moving(folder.path(), way, &url).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(
            said(&refused).contains("there are records already"),
            "{}",
            said(&refused)
        );
    }
}

#[test]
fn a_move_that_is_killed_in_the_middle_leaves_nothing_and_is_done_again() {
    let cluster = Cluster::start();
    let url = schema(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let first = gateway(INDEXES, &folder.path().join("data")).start();
    assert_eq!(upload(&first, "1.0").status, 200);
    assert!(first.stop().success());
    // The tables have to be there for one to be locked.
    let other = tempfile::tempdir().unwrap();
    let tables = gateway(&in_postgres(&url, INDEXES), other.path()).start();
    assert!(tables.stop().success());
    wait_for(emptied(&url));
    let (locker, mut moving_there) = wait_for(stopped_at_files(&url, folder.path()));
    moving_there.kill().unwrap();
    moving_there.wait().unwrap();
    wait_for(locker.close()).unwrap();
    assert_eq!(wait_for(count(&url, "changes")), 0);
    let again = moving(folder.path(), "--to", &url).output().unwrap();
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(wait_for(count(&url, "files")), 1);
}

/// Takes out what the first start of a gateway wrote.
async fn emptied(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = "DELETE FROM users; DELETE FROM changes; UPDATE server SET serial = 0, holder = NULL";
    connection.execute(sqlx::raw_sql(sql)).await.unwrap();
    connection.close().await.unwrap();
}

async fn count(url: &str, table: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
    connection.close().await.unwrap();
    count.unwrap()
}

/// A move that waits to write its first file, everything before it written, and what it waits for.
async fn stopped_at_files(url: &str, folder: &Path) -> (PgConnection, Child) {
    let mut locker = PgConnection::connect(url).await.unwrap();
    let lock = sqlx::raw_sql("BEGIN; LOCK TABLE files IN SHARE MODE");
    locker.execute(lock).await.unwrap();
    let mut moving = moving(folder, "--to", url);
    let moving = moving.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted
                 AND relation = 'files'::regclass)";
    loop {
        let waits = sqlx::query_scalar(waits).fetch_one(&mut locker);
        if waits.await.unwrap() {
            return (locker, moving.unwrap());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A command on a data folder with its records in PostgreSQL.
fn command_on(url: &str, folder: &Path, name: &str, data: &str) -> Command {
    let policies = folder.join("postgres.yaml");
    std::fs::write(&policies, in_postgres(url, INDEXES)).unwrap();
    let mut command = command();
    command.arg(name).arg("--policies").arg(policies);
    command.arg("--data").arg(folder.join(data));
    command
}

#[test]
fn an_export_is_taken_in_and_backups_are_left_to_postgresql() {
    let cluster = Cluster::shared();
    let url = schema(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let (data, export) = (folder.path().join("data"), folder.path().join("export"));
    let first = gateway(INDEXES, &data).start();
    assert_eq!(upload(&first, "1.0").status, 200);
    assert!(first.stop().success());
    let policies = folder.path().join("policies.yaml");
    std::fs::write(&policies, INDEXES).unwrap();
    let mut exported = command();
    exported.arg("export").arg("--policies").arg(&policies);
    exported.arg("--data").arg(&data).arg(&export);
    let exported = exported.output().unwrap();
    assert!(exported.status.success(), "{}", said(&exported));

    let mut imported = command_on(&url, folder.path(), "import", "other");
    let imported = imported.arg(&export).output().unwrap();
    assert!(imported.status.success(), "{}", said(&imported));
    let second = gateway(&in_postgres(&url, INDEXES), &folder.path().join("other")).start();
    assert_eq!(listed(&second), 1);
    // A gateway elsewhere serves from them: nobody imports beside it.
    let mut beside = command_on(&url, folder.path(), "import", "third");
    let beside = beside.arg(&export).output().unwrap();
    assert_eq!(beside.status.code(), Some(2), "{}", said(&beside));
    assert!(
        said(&beside).contains("serves from these records"),
        "{}",
        said(&beside)
    );
    for name in ["backup", "restore"] {
        let mut refused = command_on(&url, folder.path(), name, "other");
        let refused = refused.arg(folder.path().join("backup")).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains("pg_dump"), "{}", said(&refused));
    }
    for name in ["cache verify", "token list"] {
        let (first, second) = name.split_once(' ').unwrap();
        let mut command = command();
        command.args([first, second]).arg("--policies");
        command.arg(folder.path().join("postgres.yaml"));
        let command = command.arg("--data").arg(folder.path().join("other"));
        let done = command.output().unwrap();
        assert!(done.status.success(), "{name}: {}", said(&done));
    }
}
