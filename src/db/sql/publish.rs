//! Makes a release visible: every file is checked before anything is written.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::db::change;
use crate::db::change::{Cause, OnConflict, Publication, Published, PublishedFile};
use crate::db::error::DbError;
use crate::db::file::{FileFacts, LogEntry, LogEvent};
use crate::db::record::{ChangeKind, FileRecord, ReleaseRecord};
use crate::db::sql::engine::Engine;
use crate::db::sql::statement::statement;
use crate::db::sql::writing::{About, Writing};
use crate::db::sql::{read, remove, rows};
use crate::model::{IndexName, ProjectName, Timestamp, Version};

pub(super) async fn publish(
    db: &dyn Engine,
    cause: &Cause,
    publication: &Publication,
) -> Result<Published, DbError> {
    let mut writing = Writing::begin(db, "publish a release").await?;
    let spelled = as_spelled(&mut writing, publication).await?;
    publish_spelled(writing, cause, &spelled).await
}

async fn publish_spelled(
    mut writing: Writing,
    cause: &Cause,
    publication: &Publication,
) -> Result<Published, DbError> {
    let mut found = Vec::with_capacity(publication.files.len());
    for facts in &publication.files {
        let there = find(&mut writing, publication, &facts.filename).await?;
        if publication.on_conflict == OnConflict::Refuse
            && there
                .as_ref()
                .is_some_and(|there| there.facts.sha256 != facts.sha256)
        {
            return Ok(Published::Exists {
                filename: facts.filename.clone(),
            });
        }
        found.push(there);
    }
    if let Some(filename) = missing_subject(&mut writing, publication).await? {
        return Ok(Published::NoReleaseFile { filename });
    }
    let outcomes: Vec<PublishedFile> = publication
        .files
        .iter()
        .zip(&found)
        .map(|(facts, there)| outcome(facts, there))
        .collect();
    let all_there = outcomes
        .iter()
        .all(|outcome| *outcome == PublishedFile::Same);
    if publication.on_conflict == OnConflict::Refuse && !outcomes.is_empty() && all_there {
        let serial = read::serial(writing.on()).await?;
        return Ok(Published::Done {
            serial,
            files: outcomes,
            is_new_project: false,
        });
    }
    let is_new_project = store_release(&mut writing, cause, publication).await?;
    let place = (
        &publication.index,
        &publication.project,
        publication.version.as_str(),
    );
    for ((facts, there), outcome) in publication.files.iter().zip(&found).zip(&outcomes) {
        match (outcome, there) {
            (PublishedFile::Same, _) => {}
            (PublishedFile::Replaced { .. }, Some(there)) => {
                remove::file(&mut writing, there).await?;
                let facts = with_overwrite(facts, &there.facts, cause);
                store_file(&mut writing, place, &facts).await?;
                if there.version != publication.version {
                    remove::release_if_empty(&mut writing, there).await?;
                }
            }
            (PublishedFile::Added | PublishedFile::Replaced { .. }, _) => {
                store_file(&mut writing, place, facts).await?;
            }
        }
    }
    let content = (&publication.index, &publication.project);
    let about = About::content(ChangeKind::Published, content, Some(&publication.version));
    let serial = writing.end(cause, about).await?;
    Ok(Published::Done {
        serial,
        files: outcomes,
        is_new_project,
    })
}

/// The publication under the version that the index already has for this release, if that is spelled
/// differently: twine uploads a wheel as `1.0.0rc1` whose sdist came as `1.0.0-rc1`.
async fn as_spelled<'a>(
    writing: &mut Writing,
    publication: &'a Publication,
) -> Result<Cow<'a, Publication>, DbError> {
    let (index, project) = (&publication.index, &publication.project);
    let asked = (index, project, publication.version.as_str());
    let known = read::release(writing.on(), asked).await?;
    Ok(match known.map(|known| known.version) {
        Some(version) if version != publication.version => {
            let mut spelled = publication.clone();
            if let Some(stated) = spelled.metadata.get_mut("version") {
                *stated = version.as_str().into();
            }
            spelled.version = version;
            Cow::Owned(spelled)
        }
        Some(_) | None => Cow::Borrowed(publication),
    })
}

async fn find(
    writing: &mut Writing,
    publication: &Publication,
    filename: &str,
) -> Result<Option<FileRecord>, DbError> {
    read::file(
        writing.on(),
        &publication.index,
        &publication.project,
        filename,
    )
    .await
}

fn outcome(facts: &FileFacts, there: &Option<FileRecord>) -> PublishedFile {
    match there {
        None => PublishedFile::Added,
        Some(there) if there.facts.sha256 == facts.sha256 => PublishedFile::Same,
        Some(there) => PublishedFile::Replaced {
            before: there.facts.sha256,
        },
    }
}

/// The first release file that a test result is about and that will not be there.
async fn missing_subject(
    writing: &mut Writing,
    publication: &Publication,
) -> Result<Option<String>, DbError> {
    let coming: HashSet<&str> = publication
        .files
        .iter()
        .map(|facts| facts.filename.as_str())
        .collect();
    for facts in &publication.files {
        let Some(subject) = facts.role.for_file() else {
            continue;
        };
        if !coming.contains(subject) && find(writing, publication, subject).await?.is_none() {
            return Ok(Some(subject.to_owned()));
        }
    }
    Ok(None)
}

/// The new file's facts, with a log that begins with the overwriting.
fn with_overwrite(facts: &FileFacts, before: &FileFacts, cause: &Cause) -> FileFacts {
    let count = change::times_overwritten(before).saturating_add(1);
    let mut facts = facts.clone();
    let event = LogEvent::Overwrite { count };
    facts.log.insert(
        0,
        LogEntry {
            who: None,
            when: cause.at,
            event,
        },
    );
    facts
}

/// Whether its project is a new one.
async fn store_release(
    writing: &mut Writing,
    cause: &Cause,
    publication: &Publication,
) -> Result<bool, DbError> {
    let (index, project) = (&publication.index, &publication.project);
    let is_new = store_project(writing, (index, project), &publication.spelling).await?;
    let place = (index, project, publication.version.as_str());
    let known = find_release(writing, place).await?;
    let mut metadata = known.map(|release| release.metadata).unwrap_or_default();
    change::overlay(&mut metadata, &publication.metadata);
    store_metadata(writing, place, metadata, cause.at).await?;
    Ok(is_new)
}

/// Adds the row of a project unless it exists; returns whether it was added.
pub(super) async fn store_project(
    writing: &mut Writing,
    (index, project): (&IndexName, &ProjectName),
    spelling: &str,
) -> Result<bool, DbError> {
    let added = statement(
        "INSERT INTO projects (index_name, name, spelling) VALUES ($1, $2, $3)
         ON CONFLICT (index_name, name) DO NOTHING",
        &[index.as_str(), project.as_str(), spelling],
    );
    Ok(writing.run(added).await? > 0)
}

/// One release.
pub(super) async fn find_release(
    writing: &mut Writing,
    (index, project, version): (&IndexName, &ProjectName, &str),
) -> Result<Option<ReleaseRecord>, DbError> {
    let found = statement(
        "SELECT * FROM releases WHERE index_name = $1 AND project = $2 AND version = $3",
        &[index.as_str(), project.as_str(), version],
    );
    let known = writing.row(found).await?;
    known.as_ref().map(rows::release).transpose()
}

/// Writes what is known about a release; its creation time stays.
pub(super) async fn store_metadata(
    writing: &mut Writing,
    (index, project, version): (&IndexName, &ProjectName, &str),
    metadata: Map<String, Value>,
    created: Timestamp,
) -> Result<(), DbError> {
    let normalised = Version::parse(version).normalised();
    let stored = statement(
        "INSERT INTO releases (index_name, project, version, normalised, metadata, created)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (index_name, project, version) DO UPDATE SET metadata = excluded.metadata",
        &[index.as_str(), project.as_str(), version, &normalised],
    )
    .bind(Value::Object(metadata).to_string())
    .bind(created.as_microsecond());
    writing.run(stored).await?;
    Ok(())
}

/// When a file came to an index, by its log.
fn arrived_at(index: &IndexName, facts: &FileFacts) -> Timestamp {
    let came = facts.log.iter().filter_map(|entry| match &entry.event {
        LogEvent::Upload { dst } | LogEvent::Push { dst, .. } if dst == index => Some(entry.when),
        LogEvent::Upload { .. } | LogEvent::Push { .. } | LogEvent::Overwrite { .. } => None,
    });
    came.max().unwrap_or(facts.uploaded_at)
}

/// Adds the row of a file whose name is free.
pub(super) async fn store_file(
    writing: &mut Writing,
    (index, project, version): (&IndexName, &ProjectName, &str),
    facts: &FileFacts,
) -> Result<(), DbError> {
    let log = serde_json::to_string(&facts.log).unwrap_or_else(|_| "[]".to_owned());
    let (sha256, metadata) = (facts.sha256.as_bytes(), facts.metadata_sha256.as_ref());
    let stored = statement(
        "INSERT INTO files (index_name, project, filename, version, role, for_file, sha256, size, md5,
             blake2b_256, uploaded_at, uploader, requires_python, metadata_sha256, yanked, log, arrived_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        &[
            index.as_str(),
            project.as_str(),
            &facts.filename,
            version,
            facts.role.as_str(),
        ],
    )
    .bind(facts.role.for_file())
    .bind(sha256.as_slice())
    .bind(rows::integer(facts.size))
    .bind(facts.md5.as_deref())
    .bind(facts.blake2b_256.as_deref())
    .bind(facts.uploaded_at.as_microsecond())
    .bind(facts.uploader.as_deref())
    .bind(facts.requires_python.as_deref())
    .bind(metadata.map(|digest| digest.as_bytes().as_slice()))
    .bind(facts.yanked.to_text())
    .bind(log)
    .bind(arrived_at(index, facts).as_microsecond());
    writing.run(stored).await?;
    let back = statement(
        "DELETE FROM deleted_files WHERE index_name = $1 AND filename = $2 AND sha256 = $3",
        &[index.as_str(), &facts.filename],
    );
    writing.run(back.bind(sha256.as_slice())).await?;
    Ok(())
}
