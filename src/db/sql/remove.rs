//! Deletes content. What is deleted leaves its digest and name behind, for 410 instead of 404.

use crate::db::change::{Cause, Removal, Removed};
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, FileRecord};
use crate::db::sql::engine::Engine;
use crate::db::sql::read;
use crate::db::sql::statement::statement;
use crate::db::sql::writing::{About, Writing};
use crate::model::{IndexName, ProjectName};

pub(super) async fn remove(
    db: &dyn Engine,
    cause: &Cause,
    (index, project): (&IndexName, &ProjectName),
    removal: Removal<'_>,
) -> Result<Option<Removed>, DbError> {
    let (doing, kind) = match removal {
        Removal::Project => ("delete a project", ChangeKind::ProjectDeleted),
        Removal::Release(_) => ("delete a release", ChangeKind::ReleaseDeleted),
        Removal::File(_) => ("delete a file", ChangeKind::FileDeleted),
    };
    let mut writing = Writing::begin(db, doing).await?;
    let words = [index.as_str(), project.as_str()];
    let detail = match removal {
        Removal::Project => {
            let there = read::spelling(writing.on(), index, project).await?;
            if there.is_none() {
                return Ok(None);
            }
            run(&mut writing, &PROJECT, &words).await?;
            None
        }
        Removal::Release(version) => {
            let known = read::release(writing.on(), (index, project, version)).await?;
            let Some(version) = known.map(|known| known.version) else {
                return Ok(None);
            };
            run(&mut writing, &RELEASE, &[words[0], words[1], &version]).await?;
            run(&mut writing, &PROJECT_IF_EMPTY, &words).await?;
            Some(version)
        }
        Removal::File(filename) => {
            let Some(there) = read::file(writing.on(), index, project, filename).await? else {
                return Ok(None);
            };
            file(&mut writing, &there).await?;
            release_if_empty(&mut writing, &there).await?;
            Some(filename.to_owned())
        }
    };
    let left = read::spelling(writing.on(), index, project).await?;
    let about = About::content(kind, (index, project), detail.as_deref());
    let serial = writing.end(cause, about).await?;
    Ok(Some(Removed {
        serial,
        is_project_gone: left.is_none(),
    }))
}

/// Removes a file, with the test results about it.
pub(super) async fn file(writing: &mut Writing, file: &FileRecord) -> Result<(), DbError> {
    let words = [
        file.index.as_str(),
        file.project.as_str(),
        &file.facts.filename,
    ];
    run(writing, &FILE, &words).await
}

/// Removes a file's release if that was its last file, and its project if that was the last release.
pub(super) async fn release_if_empty(
    writing: &mut Writing,
    file: &FileRecord,
) -> Result<(), DbError> {
    let words = [file.index.as_str(), file.project.as_str(), &file.version];
    run(writing, &RELEASE_IF_EMPTY, &words).await?;
    run(writing, &PROJECT_IF_EMPTY, &words[..2]).await
}

/// Removes an index with everything it holds.
pub(super) async fn index_and_content(
    writing: &mut Writing,
    index: &IndexName,
) -> Result<(), DbError> {
    run(writing, &INDEX, &[index.as_str()]).await
}

/// Runs the statements in order, each with the words it asks for.
async fn run(
    writing: &mut Writing,
    statements: &[&'static str],
    words: &[&str],
) -> Result<(), DbError> {
    for sql in statements {
        writing.run(statement(sql, words)).await?;
    }
    Ok(())
}

/// For `$1` index.
const INDEX: [&str; 5] = [
    "INSERT INTO deleted_files (index_name, sha256, filename)
     SELECT index_name, sha256, filename FROM files WHERE index_name = $1
     ON CONFLICT (index_name, sha256, filename) DO NOTHING",
    "DELETE FROM files WHERE index_name = $1",
    "DELETE FROM releases WHERE index_name = $1",
    "DELETE FROM projects WHERE index_name = $1",
    "DELETE FROM indexes WHERE name = $1",
];

/// For `$1` index, `$2` project.
const PROJECT: [&str; 4] = [
    "INSERT INTO deleted_files (index_name, sha256, filename)
     SELECT index_name, sha256, filename FROM files WHERE index_name = $1 AND project = $2
     ON CONFLICT (index_name, sha256, filename) DO NOTHING",
    "DELETE FROM files WHERE index_name = $1 AND project = $2",
    "DELETE FROM releases WHERE index_name = $1 AND project = $2",
    "DELETE FROM projects WHERE index_name = $1 AND name = $2",
];

/// For `$1` index, `$2` project.
const PROJECT_IF_EMPTY: [&str; 1] = ["DELETE FROM projects WHERE index_name = $1 AND name = $2
     AND NOT EXISTS (SELECT 1 FROM releases WHERE index_name = $1 AND project = $2)"];

/// For `$1` index, `$2` project, `$3` version.
const RELEASE: [&str; 3] = [
    "INSERT INTO deleted_files (index_name, sha256, filename)
     SELECT index_name, sha256, filename FROM files
     WHERE index_name = $1 AND project = $2 AND version = $3
     ON CONFLICT (index_name, sha256, filename) DO NOTHING",
    "DELETE FROM files WHERE index_name = $1 AND project = $2 AND version = $3",
    "DELETE FROM releases WHERE index_name = $1 AND project = $2 AND version = $3",
];

/// For `$1` index, `$2` project, `$3` version.
const RELEASE_IF_EMPTY: [&str; 1] = [
    "DELETE FROM releases WHERE index_name = $1 AND project = $2 AND version = $3
     AND NOT EXISTS
         (SELECT 1 FROM files WHERE index_name = $1 AND project = $2 AND version = $3)",
];

/// Of `$1` index, `$2` project, `$3` file name. Each by a key of its own: with `OR` the records would be
/// searched through.
const FILE: [&str; 4] = [
    "INSERT INTO deleted_files (index_name, sha256, filename)
     SELECT index_name, sha256, filename FROM files
     WHERE index_name = $1 AND project = $2 AND filename = $3
     ON CONFLICT (index_name, sha256, filename) DO NOTHING",
    "INSERT INTO deleted_files (index_name, sha256, filename)
     SELECT index_name, sha256, filename FROM files
     WHERE index_name = $1 AND project = $2 AND for_file = $3
     ON CONFLICT (index_name, sha256, filename) DO NOTHING",
    "DELETE FROM files WHERE index_name = $1 AND project = $2 AND filename = $3",
    "DELETE FROM files WHERE index_name = $1 AND project = $2 AND for_file = $3",
];
