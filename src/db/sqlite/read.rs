//! Reading, on a connection that may be in a transaction.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::db::error::DbError;
use crate::db::record::{Directory, FileRecord, ReleaseRecord, Serial};
use crate::db::sqlite::rows;
use crate::db::sqlite::statement::{Statement, statement};
use crate::model::{IndexName, ProjectName, Version};

pub(super) async fn serial(on: &mut SqliteConnection) -> Result<Serial, DbError> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(serial) FROM changes")
        .fetch_one(on)
        .await
        .map_err(rows::failed("read the serial"))?;
    Ok(Serial(last.unwrap_or(0).unsigned_abs()))
}

/// All users and indexes.
pub(super) async fn directory(on: &mut SqliteConnection) -> Result<Directory, DbError> {
    let doing = "read all users";
    let users = statement("SELECT * FROM users ORDER BY name", &[]);
    let users = all(&mut *on, users, doing).await?;
    let indexes = statement("SELECT * FROM indexes ORDER BY name", &[]);
    let indexes = all(on, indexes, doing).await?;
    Ok(Directory {
        users: users.iter().map(rows::user).collect::<Result<_, _>>()?,
        indexes: indexes.iter().map(rows::index).collect::<Result<_, _>>()?,
    })
}

/// How a project is spelled, if an index holds it.
pub(super) async fn spelling(
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

pub(super) async fn files(
    on: &mut SqliteConnection,
    index: &IndexName,
    project: &ProjectName,
) -> Result<Vec<FileRecord>, DbError> {
    let files = statement(
        "SELECT * FROM files WHERE index_name = $1 AND project = $2 ORDER BY uploaded_at, filename",
        &[index.as_str(), project.as_str()],
    );
    let found = all(on, files, "list the files of a project").await?;
    found.iter().map(rows::file).collect()
}

/// The files of a release, in the order of arrival; the version is as the index spells it.
pub(super) async fn release_files(
    on: &mut SqliteConnection,
    (index, project, version): (&IndexName, &ProjectName, &str),
) -> Result<Vec<FileRecord>, DbError> {
    let files = statement(
        "SELECT * FROM files WHERE index_name = $1 AND project = $2 AND version = $3
         ORDER BY uploaded_at, filename",
        &[index.as_str(), project.as_str(), version],
    );
    let found = all(on, files, "list the files of a release").await?;
    found.iter().map(rows::file).collect()
}

/// A release in whatever spelling: as asked if the index has that, else another of the same.
pub(super) async fn release(
    on: &mut SqliteConnection,
    (index, project, version): (&IndexName, &ProjectName, &str),
) -> Result<Option<ReleaseRecord>, DbError> {
    let normalised = Version::parse(version).normalised();
    let release = statement(
        "SELECT * FROM releases WHERE index_name = $1 AND project = $2 AND normalised = $3
         ORDER BY version <> $4, version LIMIT 1",
        &[index.as_str(), project.as_str(), &normalised, version],
    );
    let row = release.fetch_optional(on).await;
    let row = row.map_err(rows::failed("look for a release"))?;
    row.as_ref().map(rows::release).transpose()
}

pub(super) async fn file(
    on: &mut SqliteConnection,
    index: &IndexName,
    project: &ProjectName,
    filename: &str,
) -> Result<Option<FileRecord>, DbError> {
    let file = statement(
        "SELECT * FROM files WHERE index_name = $1 AND project = $2 AND filename = $3",
        &[index.as_str(), project.as_str(), filename],
    );
    let row = file.fetch_optional(on).await;
    let row = row.map_err(rows::failed("look for a file"))?;
    row.as_ref().map(rows::file).transpose()
}

/// The rows that a statement finds.
pub(super) async fn all(
    on: &mut SqliteConnection,
    statement: Statement<'_>,
    doing: &'static str,
) -> Result<Vec<SqliteRow>, DbError> {
    let found = statement.fetch_all(on).await;
    found.map_err(rows::failed(doing))
}
