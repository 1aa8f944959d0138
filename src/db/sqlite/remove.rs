//! Deleting content. What is deleted leaves its digest and name behind, for 410 instead of 404.

use crate::db::change::Cause;
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, FileRecord, Serial};
use crate::db::sqlite::open::Sqlite;
use crate::db::sqlite::publish::release_known_as;
use crate::db::sqlite::read;
use crate::db::sqlite::writing::{About, Writing};
use crate::model::{IndexName, ProjectName};

pub(super) async fn delete_project(
    db: &Sqlite,
    cause: &Cause,
    index: &IndexName,
    project: &ProjectName,
) -> Result<Option<Serial>, DbError> {
    let mut writing = db.write("delete a project").await?;
    if !read::has_project(writing.on(), index, project).await? {
        return Ok(None);
    }
    run(&mut writing, &PROJECT, &[index.as_str(), project.as_str()]).await?;
    let about = About {
        kind: ChangeKind::ProjectDeleted,
        index: Some(index),
        project: Some(project),
        detail: None,
    };
    let serial = writing.note(cause, about).await?;
    writing.commit().await?;
    Ok(Some(serial))
}

pub(super) async fn delete_release(
    db: &Sqlite,
    cause: &Cause,
    index: &IndexName,
    project: &ProjectName,
    version: &str,
) -> Result<Option<Serial>, DbError> {
    let mut writing = db.write("delete a release").await?;
    let known = release_known_as(&mut writing, (index, project, version)).await?;
    let Some(version) = known.as_deref() else {
        return Ok(None);
    };
    let words = [index.as_str(), project.as_str(), version];
    let deleted = run(&mut writing, &RELEASE, &words).await?;
    if deleted == 0 {
        return Ok(None);
    }
    run(&mut writing, &PROJECT_IF_EMPTY, &words[..2]).await?;
    let about = About {
        kind: ChangeKind::ReleaseDeleted,
        index: Some(index),
        project: Some(project),
        detail: Some(version),
    };
    let serial = writing.note(cause, about).await?;
    writing.commit().await?;
    Ok(Some(serial))
}

pub(super) async fn delete_file(
    db: &Sqlite,
    cause: &Cause,
    index: &IndexName,
    project: &ProjectName,
    filename: &str,
) -> Result<Option<Serial>, DbError> {
    let mut writing = db.write("delete a file").await?;
    let Some(there) = read::file(writing.on(), index, project, filename).await? else {
        return Ok(None);
    };
    file(&mut writing, &there).await?;
    release_if_empty(&mut writing, &there).await?;
    let about = About {
        kind: ChangeKind::FileDeleted,
        index: Some(index),
        project: Some(project),
        detail: Some(filename),
    };
    let serial = writing.note(cause, about).await?;
    writing.commit().await?;
    Ok(Some(serial))
}

/// Takes a file away, with the test results about it.
pub(super) async fn file(writing: &mut Writing, file: &FileRecord) -> Result<(), DbError> {
    let words = [
        file.index.as_str(),
        file.project.as_str(),
        &file.facts.filename,
    ];
    run(writing, &FILE, &words).await?;
    Ok(())
}

/// Takes a file's release away if that was its last file, and its project if that was the last release.
pub(super) async fn release_if_empty(
    writing: &mut Writing,
    file: &FileRecord,
) -> Result<(), DbError> {
    let words = [file.index.as_str(), file.project.as_str(), &file.version];
    run(writing, &RELEASE_IF_EMPTY, &words).await?;
    run(writing, &PROJECT_IF_EMPTY, &words[..2]).await?;
    Ok(())
}

/// Takes an index away with everything it holds.
pub(super) async fn index_and_content(
    writing: &mut Writing,
    index: &IndexName,
) -> Result<(), DbError> {
    run(writing, &INDEX, &[index.as_str()]).await?;
    Ok(())
}

/// Runs the statements in order, each with the words it asks for; answers how many rows the last one
/// deleted.
async fn run(
    writing: &mut Writing,
    statements: &[&'static str],
    words: &[&str],
) -> Result<u64, DbError> {
    let failed = writing.failed();
    let mut deleted = 0;
    for statement in statements {
        let mut query = sqlx::query(*statement);
        for word in words {
            query = query.bind(*word);
        }
        deleted = query
            .execute(writing.on())
            .await
            .map_err(&failed)?
            .rows_affected();
    }
    Ok(deleted)
}

/// Of `$1` index.
const INDEX: [&str; 5] = [
    "INSERT INTO deleted_files (index_name, sha256, filename)
     SELECT index_name, sha256, filename FROM files WHERE index_name = $1
     ON CONFLICT (index_name, sha256, filename) DO NOTHING",
    "DELETE FROM files WHERE index_name = $1",
    "DELETE FROM releases WHERE index_name = $1",
    "DELETE FROM projects WHERE index_name = $1",
    "DELETE FROM indexes WHERE name = $1",
];

/// Of `$1` index, `$2` project.
const PROJECT: [&str; 4] = [
    "INSERT INTO deleted_files (index_name, sha256, filename)
     SELECT index_name, sha256, filename FROM files WHERE index_name = $1 AND project = $2
     ON CONFLICT (index_name, sha256, filename) DO NOTHING",
    "DELETE FROM files WHERE index_name = $1 AND project = $2",
    "DELETE FROM releases WHERE index_name = $1 AND project = $2",
    "DELETE FROM projects WHERE index_name = $1 AND name = $2",
];

/// Of `$1` index, `$2` project.
const PROJECT_IF_EMPTY: [&str; 1] = ["DELETE FROM projects WHERE index_name = $1 AND name = $2
     AND NOT EXISTS (SELECT 1 FROM releases WHERE index_name = $1 AND project = $2)"];

/// Of `$1` index, `$2` project, `$3` version.
const RELEASE: [&str; 3] = [
    "INSERT INTO deleted_files (index_name, sha256, filename)
     SELECT index_name, sha256, filename FROM files
     WHERE index_name = $1 AND project = $2 AND version = $3
     ON CONFLICT (index_name, sha256, filename) DO NOTHING",
    "DELETE FROM files WHERE index_name = $1 AND project = $2 AND version = $3",
    "DELETE FROM releases WHERE index_name = $1 AND project = $2 AND version = $3",
];

/// Of `$1` index, `$2` project, `$3` version.
const RELEASE_IF_EMPTY: [&str; 1] = [
    "DELETE FROM releases WHERE index_name = $1 AND project = $2 AND version = $3
     AND NOT EXISTS
         (SELECT 1 FROM files WHERE index_name = $1 AND project = $2 AND version = $3)",
];

/// Of `$1` index, `$2` project, `$3` file name.
const FILE: [&str; 2] = [
    "INSERT INTO deleted_files (index_name, sha256, filename)
     SELECT index_name, sha256, filename FROM files
     WHERE index_name = $1 AND project = $2 AND (filename = $3 OR for_file = $3)
     ON CONFLICT (index_name, sha256, filename) DO NOTHING",
    "DELETE FROM files
     WHERE index_name = $1 AND project = $2 AND (filename = $3 OR for_file = $3)",
];
