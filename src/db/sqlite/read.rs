//! Reading. What consists of several queries is read in one transaction, as of one instant.

use std::collections::HashSet;

use sqlx::{Row, SqliteConnection};

use crate::db::error::DbError;
use crate::db::record::{
    Change, Directory, FileRecord, IndexRecord, ProjectRecord, ProjectSpelling, Serial, User,
};
use crate::db::sqlite::open::Sqlite;
use crate::db::sqlite::rows;
use crate::model::{IndexName, ProjectName, Sha256};

pub(super) async fn serial(on: &mut SqliteConnection) -> Result<Serial, DbError> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(serial) FROM changes")
        .fetch_one(on)
        .await
        .map_err(rows::failed("read the serial"))?;
    Ok(Serial(last.unwrap_or(0).unsigned_abs()))
}

pub(super) async fn changes_after(
    db: &Sqlite,
    after: Serial,
    limit: u32,
) -> Result<Vec<Change>, DbError> {
    let rows = sqlx::query("SELECT * FROM changes WHERE serial > $1 ORDER BY serial LIMIT $2")
        .bind(rows::integer(after.0))
        .bind(i64::from(limit))
        .fetch_all(&db.readers)
        .await
        .map_err(rows::failed("read the change log"))?;
    rows.iter().map(rows::change).collect()
}

pub(super) async fn user(db: &Sqlite, name: &str) -> Result<Option<User>, DbError> {
    let row = sqlx::query("SELECT * FROM users WHERE name = $1")
        .bind(name)
        .fetch_optional(&db.readers)
        .await
        .map_err(rows::failed("read a user"))?;
    row.as_ref().map(rows::user).transpose()
}

pub(super) async fn directory(db: &Sqlite) -> Result<Directory, DbError> {
    let failed = rows::failed("read all users");
    let mut snapshot = db.readers.begin().await.map_err(&failed)?;
    directory_on(&mut snapshot).await
}

/// All users and indexes, inside a transaction.
pub(super) async fn directory_on(on: &mut SqliteConnection) -> Result<Directory, DbError> {
    let failed = rows::failed("read all users");
    let users = sqlx::query("SELECT * FROM users ORDER BY name")
        .fetch_all(&mut *on)
        .await
        .map_err(&failed)?;
    let indexes = sqlx::query("SELECT * FROM indexes ORDER BY name")
        .fetch_all(&mut *on)
        .await
        .map_err(&failed)?;
    Ok(Directory {
        users: users.iter().map(rows::user).collect::<Result<_, _>>()?,
        indexes: indexes.iter().map(rows::index).collect::<Result<_, _>>()?,
    })
}

pub(super) async fn index(db: &Sqlite, name: &IndexName) -> Result<Option<IndexRecord>, DbError> {
    let row = sqlx::query("SELECT * FROM indexes WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(&db.readers)
        .await
        .map_err(rows::failed("read an index"))?;
    row.as_ref().map(rows::index).transpose()
}

pub(super) async fn projects(
    db: &Sqlite,
    index: &IndexName,
) -> Result<Vec<ProjectSpelling>, DbError> {
    let doing = "list the projects of an index";
    let found: Vec<(String, String)> =
        sqlx::query_as("SELECT name, spelling FROM projects WHERE index_name = $1 ORDER BY name")
            .bind(index.as_str())
            .fetch_all(&db.readers)
            .await
            .map_err(rows::failed(doing))?;
    let named = found.into_iter().map(|(name, spelling)| {
        let parsed = ProjectName::parse(&name);
        let name = parsed.map_err(|error| DbError::Corrupt {
            doing,
            what: error.to_string(),
        })?;
        Ok(ProjectSpelling { name, spelling })
    });
    named.collect()
}

pub(super) async fn has_project(
    on: &mut SqliteConnection,
    index: &IndexName,
    project: &ProjectName,
) -> Result<bool, DbError> {
    Ok(spelling(on, index, project).await?.is_some())
}

async fn spelling(
    on: &mut SqliteConnection,
    index: &IndexName,
    project: &ProjectName,
) -> Result<Option<String>, DbError> {
    sqlx::query_scalar("SELECT spelling FROM projects WHERE index_name = $1 AND name = $2")
        .bind(index.as_str())
        .bind(project.as_str())
        .fetch_optional(on)
        .await
        .map_err(rows::failed("look for a project"))
}

pub(super) async fn project(
    db: &Sqlite,
    index: &IndexName,
    project: &ProjectName,
) -> Result<Option<ProjectRecord>, DbError> {
    let failed = rows::failed("read a project");
    let mut snapshot = db.readers.begin().await.map_err(&failed)?;
    let Some(spelling) = spelling(&mut snapshot, index, project).await? else {
        return Ok(None);
    };
    let releases = sqlx::query(
        "SELECT * FROM releases WHERE index_name = $1 AND project = $2 ORDER BY version",
    )
    .bind(index.as_str())
    .bind(project.as_str())
    .fetch_all(&mut *snapshot)
    .await
    .map_err(&failed)?;
    Ok(Some(ProjectRecord {
        spelling,
        releases: releases
            .iter()
            .map(rows::release)
            .collect::<Result<_, _>>()?,
        files: files(&mut snapshot, index, project).await?,
    }))
}

pub(super) async fn files(
    on: &mut SqliteConnection,
    index: &IndexName,
    project: &ProjectName,
) -> Result<Vec<FileRecord>, DbError> {
    let rows = sqlx::query(
        "SELECT * FROM files WHERE index_name = $1 AND project = $2 ORDER BY uploaded_at, filename",
    )
    .bind(index.as_str())
    .bind(project.as_str())
    .fetch_all(on)
    .await
    .map_err(rows::failed("list the files of a project"))?;
    rows.iter().map(rows::file).collect()
}

pub(super) async fn file(
    on: &mut SqliteConnection,
    index: &IndexName,
    project: &ProjectName,
    filename: &str,
) -> Result<Option<FileRecord>, DbError> {
    let row =
        sqlx::query("SELECT * FROM files WHERE index_name = $1 AND project = $2 AND filename = $3")
            .bind(index.as_str())
            .bind(project.as_str())
            .bind(filename)
            .fetch_optional(on)
            .await
            .map_err(rows::failed("look for a file"))?;
    row.as_ref().map(rows::file).transpose()
}

pub(super) async fn was_deleted(
    db: &Sqlite,
    index: &IndexName,
    leading: [u8; 8],
    filename: &str,
) -> Result<bool, DbError> {
    let (mut first, mut last) = ([0_u8; 32], [0xff_u8; 32]);
    first[..8].copy_from_slice(&leading);
    last[..8].copy_from_slice(&leading);
    let row = sqlx::query(
        "SELECT 1 FROM deleted_files
         WHERE index_name = $1 AND sha256 BETWEEN $2 AND $3 AND filename = $4",
    )
    .bind(index.as_str())
    .bind(first.as_slice())
    .bind(last.as_slice())
    .bind(filename)
    .fetch_optional(&db.readers)
    .await
    .map_err(rows::failed("look for a deleted file"))?;
    Ok(row.is_some())
}

pub(super) async fn referenced(db: &Sqlite) -> Result<HashSet<Sha256>, DbError> {
    let doing = "list the bytes that records need";
    let rows = sqlx::query(
        "SELECT sha256 FROM files
         UNION SELECT metadata_sha256 FROM files WHERE metadata_sha256 IS NOT NULL",
    )
    .fetch_all(&db.readers)
    .await
    .map_err(rows::failed(doing))?;
    rows.iter()
        .map(|row| rows::digest(row, "sha256", doing))
        .collect()
}

pub(super) async fn is_referenced(db: &Sqlite, sha256: &Sha256) -> Result<bool, DbError> {
    let failed = rows::failed("ask whether bytes are needed");
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM files WHERE sha256 = $1)
             OR EXISTS (SELECT 1 FROM files WHERE metadata_sha256 = $1) AS needed",
    )
    .bind(sha256.as_bytes().as_slice())
    .fetch_one(&db.readers)
    .await
    .map_err(&failed)?;
    row.try_get("needed").map_err(&failed)
}
