//! Deletes projects, releases and files (docs/protocol/devpi.md §14). On a mirror it removes what is
//! cached.

use http::StatusCode;

use crate::account::Operation;
use crate::db::{Removal, Removed};
use crate::devpi::{ApiAnswer, DevpiWords, Refusal};
use crate::exchange::Reply;
use crate::gateway::{leading, mirror_metadata_key};
use crate::model::{AskedPart, File, Filename, IndexName, ProjectName, Version};
use crate::page::parse_file_path;
use crate::policy::Index;
use crate::protocol::Deletable;
use crate::store::Key;
use crate::telemetry::AuditKind;
use crate::writer::caller::Caller;
use crate::writer::desk::{About, Writer};
use crate::writer::refusal::answered;
use crate::writer::stages::acl_of;

impl Writer {
    /// `DELETE` of a project, a release or a file; with `force` also on a non-volatile index.
    ///
    /// # Errors
    /// 401 and 403, 404 for what does not exist, 410 for what once did.
    pub async fn delete(
        &self,
        caller: Caller,
        index: IndexName,
        content: Deletable,
        force: bool,
    ) -> Result<Reply, Refusal> {
        let writer = self.clone();
        self.to_the_end(async move {
            let index = writer.index(&index)?;
            let operation = Operation::DeleteContent(acl_of(&index));
            if !writer.may(&caller, operation) {
                return Err(Refusal::denied());
            }
            if !index.settings.volatile() && !force {
                return Err(non_volatile(&index.name, &content));
            }
            if index.is_mirror() {
                return writer.let_go(&caller, &index, &content).await;
            }
            let (project, removed) = writer.remove(&caller, &index.name, &content).await?;
            writer.flows.garbage.suspect();
            writer.flows.forget_project(&project);
            if removed.is_project_gone {
                writer.flows.forget_lists();
            }
            writer.deleted(&caller, &index.name, &project, &content);
            Ok(of_project(done(&index.name, &content), &project))
        })
        .await
    }

    /// Removes what a stage holds; the project it belonged to, and what came of it.
    async fn remove(
        &self,
        caller: &Caller,
        index: &IndexName,
        content: &Deletable,
    ) -> Result<(ProjectName, Removed), Refusal> {
        let (records, cause) = (&self.flows.core.records, caller.cause(self.now()));
        let held;
        let (project, removal) = match content {
            Deletable::Project(project) => (project, Removal::Project),
            Deletable::Release(project, version) => (project, Removal::Release(version)),
            Deletable::File(path) => {
                held = self.held_at(index, path).await?;
                let Some((project, filename)) = &held else {
                    return Err(self.no_file(index, path).await?);
                };
                (project, Removal::File(filename))
            }
        };
        let removed = records.remove(&cause, (index, project), removal).await?;
        let removed = removed.ok_or_else(|| missing(index, content))?;
        Ok((project.clone(), removed))
    }

    /// A release file, test result or documentation at a path.
    async fn held_at(
        &self,
        index: &IndexName,
        path: &str,
    ) -> Result<Option<(ProjectName, String)>, Refusal> {
        if let Some(file) = self.file_at(index, path).await? {
            return Ok(Some((file.project, file.facts.filename)));
        }
        let Some(parsed) = parse_file_path(path) else {
            return Ok(None);
        };
        let attached = self.flows.attachments.attached_at(index, &parsed).await?;
        Ok(attached.map(|file| (file.project, file.facts.filename)))
    }

    async fn no_file(&self, index: &IndexName, path: &str) -> Result<Refusal, Refusal> {
        let place = parse_file_path(path);
        let leading = place.as_ref().and_then(|parsed| leading(&parsed.place));
        if let (Some(parsed), Some(leading)) = (place, leading)
            && self
                .flows
                .core
                .records
                .was_deleted(index, leading, &parsed.filename)
                .await?
        {
            let words = DevpiWords::FileGone(index, path);
            return Ok(Refusal::abort(StatusCode::GONE, words));
        }
        Ok(missing(index, &Deletable::File(path.to_owned())))
    }

    /// Removes what is cached of a mirror; upstream's own files are not affected.
    async fn let_go(
        &self,
        caller: &Caller,
        index: &Index,
        content: &Deletable,
    ) -> Result<Reply, Refusal> {
        let projects = match content {
            Deletable::Project(project) | Deletable::Release(project, _) => vec![project.clone()],
            Deletable::File(path) => {
                Filename::projects(path.rsplit('/').next().unwrap_or_default())
            }
        };
        let mut held = None;
        for project in projects {
            if let Some(page) = self.flows.mirrors.held_page(index, &project).await {
                held = Some((project, page));
                break;
            }
        }
        let Some((project, page)) = held else {
            return Err(missing(&index.name, content));
        };
        for file in &page.files {
            let is_meant = match content {
                Deletable::Project(_) => true,
                Deletable::Release(_, version) => {
                    file.filename.version() == Version::parse(version)
                }
                Deletable::File(path) => is_at(file, path),
            };
            if let Some(sha256) = file.hashes.sha256().filter(|_| is_meant) {
                let store = &self.flows.core.store;
                store.remove(&Key::MirrorFile(sha256))?;
                store.remove(&mirror_metadata_key(&index.name, &sha256))?;
            }
        }
        if let Deletable::Project(_) = content {
            let key = Key::Page {
                index: index.name.clone(),
                project: project.clone(),
            };
            self.flows.core.store.remove(&key)?;
            self.flows.mirrors.forget(&index.name, &project);
        }
        self.flows.forget_project(&project);
        self.deleted(caller, &index.name, &project, content);
        Ok(of_project(done(&index.name, content), &project))
    }

    fn deleted(
        &self,
        caller: &Caller,
        index: &IndexName,
        project: &ProjectName,
        content: &Deletable,
    ) {
        let (file, detail) = match content {
            Deletable::Project(_) => (None, None),
            Deletable::Release(_, version) => (None, Some(version.as_str())),
            Deletable::File(path) => (Some(path.as_str()), None),
        };
        let about = About {
            index: Some(index),
            project: Some(project),
            file,
            detail,
        };
        self.account_for(AuditKind::Delete, caller, about);
    }
}

/// Whether a mirror's file is the one at this decoded path.
fn is_at(file: &File, path: &str) -> bool {
    parse_file_path(path).is_some_and(|path| {
        path.filename == file.filename.as_str()
            && path.place.holds(file)
            && path.part == AskedPart::Whole
    })
}

/// A reply that is recorded as one about this project.
fn of_project(mut reply: Reply, project: &ProjectName) -> Reply {
    reply.record.project = Some(project.clone());
    reply
}

fn done(index: &IndexName, content: &Deletable) -> Reply {
    let words = match content {
        Deletable::Project(project) => DevpiWords::ProjectDeleted(project, index),
        Deletable::Release(project, version) => DevpiWords::VersionDeleted(project, version),
        Deletable::File(path) => DevpiWords::FileDeleted(index, path),
    };
    answered(&ApiAnswer::message(words))
}

fn non_volatile(index: &IndexName, content: &Deletable) -> Refusal {
    match content {
        Deletable::Project(project) => {
            let words = DevpiWords::ProjectStays(project, index);
            Refusal::api(StatusCode::FORBIDDEN, words)
        }
        Deletable::Release(..) | Deletable::File(_) => {
            Refusal::abort(StatusCode::FORBIDDEN, DevpiWords::VersionStays)
        }
    }
}

fn missing(index: &IndexName, content: &Deletable) -> Refusal {
    let words = match content {
        Deletable::Project(_) => {
            return Refusal::api(StatusCode::NOT_FOUND, DevpiWords::ProjectNotFound);
        }
        Deletable::Release(project, version) => {
            DevpiWords::VersionNotFound(project, version, index)
        }
        Deletable::File(path) => DevpiWords::FileNotFound(index, path),
    };
    Refusal::abort(StatusCode::NOT_FOUND, words)
}
