//! Brings a release from one index to another: all of it or nothing (docs/protocol/devpi.md §13).
//!
//! From a stage the bytes are already here and only records are written. From a mirror each file is
//! first fetched, under the mirror's policy, and then kept a second time as ours, so that it cannot be
//! evicted. Identical files on a non-volatile target count as done.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::account::Operation;
use crate::db::{FileFacts, FileRole, LogEvent, Publication, Published};
use crate::devpi::{ApiAnswer, DevpiWords, Refusal};
use crate::exchange::Reply;
use crate::model::IndexName;
use crate::page::entry_path;
use crate::policy::Index;
use crate::store::Hold;
use crate::telemetry::AuditKind;
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;
use crate::writer::facts::log_entry;
use crate::writer::push_request::{Kinds, PushRequest, Target, parse};
use crate::writer::refusal::answered;
use crate::writer::stages::{acl_of, on_conflict};

/// A release as its index holds it.
#[derive(Debug)]
pub struct HeldRelease {
    pub spelling: String,
    pub version: String,
    pub metadata: Map<String, Value>,
    pub files: Vec<FileFacts>,
    /// Keeps the bytes from being collected until they have a record on the target.
    pub holds: Vec<Hold>,
}

impl Writer {
    /// `PUSH /user/index`.
    ///
    /// # Errors
    /// See `docs/protocol/devpi.md` §13; nothing has changed then.
    pub async fn push(
        &self,
        caller: Caller,
        source: IndexName,
        body: Bytes,
    ) -> Result<Reply, Refusal> {
        let is_logged_in = self.may(&caller, Operation::PushOutside(&source));
        let request = parse(&body, is_logged_in)?;
        let project = Some(request.project.clone());
        let writer = self.clone();
        let pushed = self.to_the_end(async move {
            let source = writer.index(&source)?;
            let mut reply = match &request.target {
                Target::Index(name) => {
                    let target = writer.target(&caller, name)?;
                    writer.carry(&caller, &source, &target, &request).await?
                }
                Target::Elsewhere(place) => {
                    writer.check_place(place)?;
                    let found = writer.find(&caller, &source, &request).await?;
                    let sending = writer.send_outside(&caller, &source, &request, place, found);
                    sending.await?
                }
            };
            reply.record.project = Some(request.project);
            Ok(reply)
        });
        pushed
            .await
            .map_err(|refusal| Refusal { project, ..refusal })
    }

    fn target(&self, caller: &Caller, name: &IndexName) -> Result<Arc<Index>, Refusal> {
        if caller.is_public && self.is_hidden(name) {
            return Err(Refusal::no_index(name.as_str()));
        }
        let target = self.index(name)?;
        if self.may(caller, Operation::Upload(acl_of(&target))) && !target.is_mirror() {
            return Ok(target);
        }
        // 401, as in devpi; its client shows the words.
        let quoted = caller.quoted();
        let words = DevpiWords::MayNotUpload(&quoted, name);
        Err(Refusal::api(StatusCode::UNAUTHORIZED, words))
    }

    /// What is to be pushed, limited to the kinds that are wanted.
    async fn find(
        &self,
        caller: &Caller,
        source: &Index,
        request: &PushRequest,
    ) -> Result<HeldRelease, Refusal> {
        let found = if source.is_mirror() {
            self.find_on_mirror(caller, source, request).await?
        } else {
            self.find_on_stage(&source.name, request).await?
        };
        let (name, version) = (&request.spelling, &request.version);
        let Some(mut found) = found else {
            let words = DevpiWords::NoFiles(name, version, &source.name);
            return Err(Refusal::api(StatusCode::BAD_REQUEST, words));
        };
        self.refuse_recalled(&request.project, &found.version, &found.files)?;
        found.files = wanted(found.files, request.kinds);
        if found.files.is_empty() {
            let words = DevpiWords::NothingToPush(name, version);
            return Err(Refusal::api(StatusCode::NOT_FOUND, words));
        }
        Ok(found)
    }

    async fn carry(
        &self,
        caller: &Caller,
        source: &Index,
        target: &Index,
        request: &PushRequest,
    ) -> Result<Reply, Refusal> {
        let found = self.find(caller, source, request).await?;
        let now = self.now();
        let mut files = found.files;
        for facts in &mut files {
            facts
                .log
                .retain(|entry| !matches!(entry.event, LogEvent::Overwrite { .. }));
            let event = LogEvent::Push {
                src: source.name.clone(),
                dst: target.name.clone(),
            };
            facts.log.push(log_entry(caller, now, event));
        }
        let publication = Publication {
            index: target.name.clone(),
            project: request.project.clone(),
            spelling: found.spelling,
            version: found.version,
            metadata: found.metadata,
            files,
            on_conflict: on_conflict(target),
        };
        let published = self.publish_push(caller, &publication).await;
        drop(found.holds);
        published
    }

    async fn publish_push(
        &self,
        caller: &Caller,
        publication: &Publication,
    ) -> Result<Reply, Refusal> {
        let published = self.publish(caller, publication, (AuditKind::Push, None));
        let (status, words) = match published.await? {
            Published::Done { .. } => {
                let log = action_log(publication);
                return Ok(answered(&ApiAnswer::result("actionlog", log)));
            }
            Published::Exists { filename } => {
                let words = DevpiWords::FileExists(&filename).to_string();
                (StatusCode::CONFLICT, words)
            }
            Published::NoReleaseFile { filename } => {
                let words = format!("no release file {filename} on {}", publication.index);
                (StatusCode::NOT_FOUND, words)
            }
        };
        Err(Refusal::api(status, words))
    }

    /// The release on the stage itself, without its bases.
    async fn find_on_stage(
        &self,
        index: &IndexName,
        request: &PushRequest,
    ) -> Result<Option<HeldRelease>, Refusal> {
        let records = &self.flows.core.records;
        let held = records.release(index, &request.project, &request.version);
        let Some(held) = held.await? else {
            return Ok(None);
        };
        let files: Vec<FileFacts> = held.files.into_iter().map(|file| file.facts).collect();
        let mut holds = Vec::new();
        for facts in &files {
            holds.push(self.hold(facts.sha256).await?);
            // Deleted from the source meanwhile, and collected before it was held.
            if !self.flows.core.has_bytes(facts.sha256).await? {
                return Ok(None);
            }
        }
        Ok(Some(HeldRelease {
            spelling: held.spelling,
            version: held.record.version,
            metadata: held.record.metadata,
            files,
            holds,
        }))
    }
}

/// The files to take along: documentation if wanted; test results and provenance go where their file goes.
fn wanted(files: Vec<FileFacts>, kinds: Kinds) -> Vec<FileFacts> {
    let is_wanted = |facts: &FileFacts| match (&facts.role, kinds) {
        (FileRole::DocZip, kinds) => kinds != Kinds::NoDocs,
        (
            FileRole::ReleaseFile | FileRole::ToxResult { .. } | FileRole::Provenance { .. },
            kinds,
        ) => kinds != Kinds::OnlyDocs,
    };
    files.into_iter().filter(is_wanted).collect()
}

/// devpi's list of what was done, in its order: the release, files, test results, documentation.
fn action_log(publication: &Publication) -> Value {
    let (name, version) = (&publication.spelling, &publication.version);
    let target = publication.index.as_str();
    let mut log = vec![json!([200, "register", name, version, "->", target])];
    let of = |wanted: fn(&FileRole) -> bool| {
        publication
            .files
            .iter()
            .filter(move |facts| wanted(&facts.role))
    };
    let stored = |word: &str, facts: &FileFacts| {
        json!([
            200,
            word,
            entry_path(&publication.index, &facts.sha256, &facts.filename)
        ])
    };
    let files = of(|role| *role == FileRole::ReleaseFile);
    log.extend(files.map(|facts| stored("store_releasefile", facts)));
    let results = of(|role| matches!(role, FileRole::ToxResult { .. }));
    log.extend(results.map(|facts| stored("store_toxresult", facts)));
    let docs = of(|role| *role == FileRole::DocZip);
    log.extend(docs.map(|_| json!([200, "store_doczip", name, version, "->", target])));
    log.into()
}
