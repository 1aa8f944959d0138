//! Adds records from elsewhere in one transaction, so that all of them become visible or none.

use serde_json::{Map, Value};

use crate::db::change;
use crate::db::change::Cause;
use crate::db::error::DbError;
use crate::db::record::{ChangeKind, IndexRecord, ReleaseRecord, Serial, User};
use crate::db::snapshot::{
    DifferingFile, IndexContent, LeftAsIs, ProjectContent, Restoral, Restoration, Restored,
};
use crate::db::sql::engine::Engine;
use crate::db::sql::writing::{About, Writing};
use crate::db::sql::{indexes, publish, read, users};
use crate::model::IndexName;

/// A restoration under way.
struct Restoring<'a> {
    writing: Writing,
    restoration: &'a Restoration,
    restoral: Restoral,
    differing: Vec<DifferingFile>,
    /// Whether there is news that no count shows: a project, or fields of a release.
    has_more: bool,
}

pub(super) async fn restore(
    db: &dyn Engine,
    cause: &Cause,
    restoration: &Restoration,
) -> Result<Restored, DbError> {
    let mut writing = Writing::begin(db, "restore records").await?;
    let before = read::serial(writing.on()).await?;
    let about = About::of(ChangeKind::Restored, None);
    let serial = writing.note(cause, about).await?;
    let mut restoring = Restoring {
        writing,
        restoration,
        restoral: Restoral::default(),
        differing: Vec::new(),
        has_more: false,
    };
    for user in &restoration.snapshot.directory.users {
        restoring.user(user, serial).await?;
    }
    for index in &restoration.snapshot.directory.indexes {
        restoring.index(index, serial).await?;
    }
    for content in &restoration.snapshot.contents {
        restoring.content(content).await?;
    }
    restoring.end(before, serial).await
}

impl Restoring<'_> {
    async fn user(&mut self, user: &User, serial: Serial) -> Result<(), DbError> {
        let there = users::find(&mut self.writing, &user.name).await?;
        let mut user = user.clone();
        user.generation = serial.0;
        let Some(there) = there else {
            users::insert(&mut self.writing, &user).await?;
            self.restoral.users += 1;
            return Ok(());
        };
        let is_same =
            (&there.password_hash, &there.details) == (&user.password_hash, &user.details);
        if is_same {
            return Ok(());
        }
        if self.restoration.replaced_users.contains(&user.name) {
            users::store(&mut self.writing, &user).await?;
            self.restoral.users += 1;
        } else {
            self.restoral.kept.push(LeftAsIs::User(user.name));
        }
        Ok(())
    }

    async fn index(&mut self, index: &IndexRecord, serial: Serial) -> Result<(), DbError> {
        if let Some(there) = indexes::find(&mut self.writing, &index.name).await? {
            if there.config != index.config {
                self.restoral.kept.push(LeftAsIs::Index(index.name.clone()));
            }
            return Ok(());
        }
        indexes::insert(&mut self.writing, index, serial, index.created).await?;
        self.restoral.indexes += 1;
        Ok(())
    }

    async fn content(&mut self, content: &IndexContent) -> Result<(), DbError> {
        for project in &content.projects {
            self.project(&content.index, project).await?;
        }
        Ok(())
    }

    async fn project(
        &mut self,
        index: &IndexName,
        project: &ProjectContent,
    ) -> Result<(), DbError> {
        let place = (index, &project.name);
        self.has_more |=
            publish::store_project(&mut self.writing, place, &project.record.spelling).await?;
        for release in &project.record.releases {
            self.release(index, project, release).await?;
        }
        for file in &project.record.files {
            let facts = &file.facts;
            let there =
                read::file(self.writing.on(), index, &project.name, &facts.filename).await?;
            match there {
                None => {
                    let place = (index, &project.name, file.version.as_str());
                    publish::store_file(&mut self.writing, place, facts).await?;
                    self.restoral.files += 1;
                }
                Some(there) if there.facts.sha256 == facts.sha256 => {
                    self.restoral.files_already += 1;
                }
                Some(_) => self.differing.push(DifferingFile {
                    index: index.clone(),
                    project: project.name.clone(),
                    filename: facts.filename.clone(),
                }),
            }
        }
        Ok(())
    }

    /// Adds a new release; in an existing one, existing fields stay and others are added.
    async fn release(
        &mut self,
        index: &IndexName,
        project: &ProjectContent,
        release: &ReleaseRecord,
    ) -> Result<(), DbError> {
        let place = (index, &project.name, release.version.as_str());
        let known = publish::find_release(&mut self.writing, place).await?;
        let (metadata, created) = match known {
            None => {
                self.restoral.releases += 1;
                (release.metadata.clone(), release.created)
            }
            Some(known) => {
                let mut metadata = release.metadata.clone();
                change::overlay(&mut metadata, &known.metadata);
                if !agree(&known.metadata, &release.metadata) {
                    self.restoral.kept.push(LeftAsIs::Release {
                        index: index.clone(),
                        project: project.name.clone(),
                        version: release.version.clone(),
                    });
                }
                if metadata == known.metadata {
                    return Ok(());
                }
                self.has_more = true;
                (metadata, known.created)
            }
        };
        publish::store_metadata(&mut self.writing, place, metadata, created).await
    }

    /// Commits what is new, unless something is in the way or it was only a rehearsal.
    async fn end(self, before: Serial, serial: Serial) -> Result<Restored, DbError> {
        if !self.differing.is_empty() {
            return Ok(Restored::Differs(self.differing));
        }
        let mut restoral = self.restoral;
        let news = restoral.users + restoral.indexes + restoral.releases + restoral.files;
        let is_new = news > 0 || self.has_more;
        restoral.serial = before;
        if is_new && !self.restoration.is_rehearsal {
            self.writing.commit().await?;
            restoral.serial = serial;
        }
        Ok(Restored::Done(restoral))
    }
}

/// Whether no field has two different values.
fn agree(known: &Map<String, Value>, coming: &Map<String, Value>) -> bool {
    coming
        .iter()
        .all(|(key, value)| known.get(key).is_none_or(|known| known == value))
}
