//! Reading, on a connection that may be in a transaction.

use crate::db::error::DbError;
use crate::db::record::{Directory, FileRecord, ReleaseRecord, Serial};
use crate::db::sql::connection::Connection;
use crate::db::sql::rows;
use crate::db::sql::statement::statement;
use crate::model::{IndexName, ProjectName, Version};

pub(super) async fn serial(on: &mut Connection) -> Result<Serial, DbError> {
    let doing = "read the serial";
    let last = statement(
        "SELECT coalesce(max(serial), 0) AS serial FROM changes",
        &[],
    );
    let last = on.row(last, doing).await?;
    last.map_or(Ok(Serial(0)), |row| {
        Ok(Serial(rows::reader(&row, doing).number("serial")?))
    })
}

/// All users and indexes.
pub(super) async fn directory(on: &mut Connection) -> Result<Directory, DbError> {
    let doing = "read all users";
    let users = statement("SELECT * FROM users ORDER BY name", &[]);
    let users = on.rows(users, doing).await?;
    let indexes = statement("SELECT * FROM indexes ORDER BY name", &[]);
    let indexes = on.rows(indexes, doing).await?;
    Ok(Directory {
        users: users.iter().map(rows::user).collect::<Result<_, _>>()?,
        indexes: indexes.iter().map(rows::index).collect::<Result<_, _>>()?,
    })
}

/// How a project is spelled, if an index holds it.
pub(super) async fn spelling(
    on: &mut Connection,
    index: &IndexName,
    project: &ProjectName,
) -> Result<Option<String>, DbError> {
    let doing = "look for a project";
    let spelling = statement(
        "SELECT spelling FROM projects WHERE index_name = $1 AND name = $2",
        &[index.as_str(), project.as_str()],
    );
    let row = on.row(spelling, doing).await?;
    row.map(|row| rows::reader(&row, doing).get("spelling"))
        .transpose()
}

pub(super) async fn files(
    on: &mut Connection,
    index: &IndexName,
    project: &ProjectName,
) -> Result<Vec<FileRecord>, DbError> {
    let files = statement(
        "SELECT * FROM files WHERE index_name = $1 AND project = $2 ORDER BY uploaded_at, filename",
        &[index.as_str(), project.as_str()],
    );
    let found = on.rows(files, "list the files of a project").await?;
    found.iter().map(rows::file).collect()
}

/// The files of a release, in the order of arrival; the version is as the index spells it.
pub(super) async fn release_files(
    on: &mut Connection,
    (index, project, version): (&IndexName, &ProjectName, &str),
) -> Result<Vec<FileRecord>, DbError> {
    let files = statement(
        "SELECT * FROM files WHERE index_name = $1 AND project = $2 AND version = $3
         ORDER BY uploaded_at, filename",
        &[index.as_str(), project.as_str(), version],
    );
    let found = on.rows(files, "list the files of a release").await?;
    found.iter().map(rows::file).collect()
}

/// A release in whatever spelling: as asked if the index has that, else another of the same.
pub(super) async fn release(
    on: &mut Connection,
    (index, project, version): (&IndexName, &ProjectName, &str),
) -> Result<Option<ReleaseRecord>, DbError> {
    let normalised = Version::parse(version).normalised();
    let release = statement(
        "SELECT * FROM releases WHERE index_name = $1 AND project = $2 AND normalised = $3
         ORDER BY version <> $4, version LIMIT 1",
        &[index.as_str(), project.as_str(), &normalised, version],
    );
    let row = on.row(release, "look for a release").await?;
    row.as_ref().map(rows::release).transpose()
}

pub(super) async fn file(
    on: &mut Connection,
    index: &IndexName,
    project: &ProjectName,
    filename: &str,
) -> Result<Option<FileRecord>, DbError> {
    let file = statement(
        "SELECT * FROM files WHERE index_name = $1 AND project = $2 AND filename = $3",
        &[index.as_str(), project.as_str(), filename],
    );
    let row = on.row(file, "look for a file").await?;
    row.as_ref().map(rows::file).transpose()
}
