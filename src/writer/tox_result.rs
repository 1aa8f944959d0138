//! The result of a test run, kept next to the file it is about (docs/protocol/devpi.md §15).

use bytes::Bytes;
use http::StatusCode;

use crate::account::Operation;
use crate::db::{FileRecord, FileRole, OnConflict, Publication, Published};
use crate::devpi::{ApiAnswer, DevpiWords, Refusal};
use crate::exchange::Reply;
use crate::gateway::{TOX_RESULT, stands_at};
use crate::model::{Filename, IndexName, Timestamp, format_bytes};
use crate::page::{entry_path, parse_file_path};
use crate::telemetry::AuditKind;
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;
use crate::writer::refusal::answered;
use crate::writer::stages::acl_of;

impl Writer {
    /// `POST /user/index/+f/…`: stores the body as it is.
    ///
    /// # Errors
    /// 403, 404 for what is not a release file, 400 for invalid JSON.
    pub async fn add_tox_result(
        &self,
        caller: Caller,
        index: IndexName,
        path: String,
        body: Bytes,
    ) -> Result<Reply, Refusal> {
        let writer = self.clone();
        self.to_the_end(async move {
            let found = writer.index(&index).ok();
            let may = found.is_some_and(|index| {
                let operation = Operation::UploadToxResult(acl_of(&index));
                !index.is_mirror() && writer.may(&caller, operation)
            });
            if !may {
                let words = DevpiWords::MayNotAddResult;
                return Err(Refusal::api(StatusCode::FORBIDDEN, words));
            }
            let Some(subject) = writer.file_at(&index, &path).await? else {
                let words = DevpiWords::NoReleaseFile(&index, &path);
                return Err(Refusal::api(StatusCode::NOT_FOUND, words));
            };
            if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
                return Err(Refusal::abort(StatusCode::BAD_REQUEST, DevpiWords::NoJson));
            }
            writer.keep_result(&caller, &index, &subject, body).await
        })
        .await
    }

    /// The release file of a stage at a path below it.
    pub async fn file_at(
        &self,
        index: &IndexName,
        path: &str,
    ) -> Result<Option<FileRecord>, Refusal> {
        let Some(path) = parse_file_path(path) else {
            return Ok(None);
        };
        for project in Filename::projects(&path.filename) {
            let records = &self.flows.core.records;
            let found = records.file(index, &project, &path.filename).await?;
            let found = found.filter(|file| stands_at(&file.facts.sha256, &path.place));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn keep_result(
        &self,
        caller: &Caller,
        index: &IndexName,
        subject: &FileRecord,
        body: Bytes,
    ) -> Result<Reply, Refusal> {
        let core = &self.flows.core;
        // One after the other; otherwise all that come at the same time would find the same room.
        let _turn = match caller.principal.name() {
            None => Some(self.results.take().await),
            Some(_) => None,
        };
        let held = core
            .records
            .release(index, &subject.project, &subject.version);
        let held = held
            .await?
            .ok_or_else(|| Refusal::api(StatusCode::NOT_FOUND, "the release has gone"))?;
        let about = &subject.facts.filename;
        let number = held
            .files
            .iter()
            .filter(|file| file.facts.role.for_file() == Some(about))
            .count();
        if caller.principal.name().is_none() {
            self.check_room(&held.files, body.len() as u64)?;
        }
        let filename = format!("{about}{TOX_RESULT}{}-{number}", compact(self.now()));
        let role = FileRole::ToxResult {
            for_file: about.clone(),
        };
        let file = (filename.as_str(), role);
        let kept = self.keep_bytes((caller, index), ("the test result", body), file);
        let (facts, _held) = kept.await?;
        let digest = facts.sha256;
        let publication = Publication {
            index: index.clone(),
            project: subject.project.clone(),
            spelling: held.spelling,
            version: subject.version.clone(),
            metadata: serde_json::Map::new(),
            files: vec![facts],
            // Two in the same second with the same number: both are complete, and the later one stays.
            on_conflict: OnConflict::Replace,
        };
        let about = (AuditKind::Upload, Some(filename.as_str()));
        match self.publish(caller, &publication, about).await? {
            Published::Done { .. } => {}
            Published::Exists { filename } | Published::NoReleaseFile { filename } => {
                let words = format!("no release file found at {index}: {filename}");
                return Err(Refusal::api(StatusCode::NOT_FOUND, words));
            }
        }
        let path = entry_path(index, &digest, &filename);
        let result = format!("{path}#sha256={digest}");
        let answer = ApiAnswer::result("toxresultpath", result.into());
        Ok(answered(&answer))
    }
}

impl Writer {
    /// Refuses one more result that nobody answers for, when a release has its share of them.
    fn check_room(&self, files: &[FileRecord], bytes: u64) -> Result<(), Refusal> {
        let (count, size) = anonymous_results(files);
        let limits = &self.flows.core.settings.limits.writes;
        if count < limits.anonymous_results
            && size.saturating_add(bytes) <= limits.anonymous_results_size
        {
            return Ok(());
        }
        let words = format!(
            "this release has {count} test results of people who did not log in, {}: log in, or have \
             some removed (limits.anonymous_results, limits.anonymous_results_size)",
            format_bytes(size)
        );
        Err(Refusal::api(StatusCode::FORBIDDEN, words))
    }
}

/// How many results among the files of a release nobody answers for, and how many bytes they have.
fn anonymous_results(files: &[FileRecord]) -> (usize, u64) {
    let of_nobody = files.iter().filter(|file| {
        matches!(file.facts.role, FileRole::ToxResult { .. }) && file.facts.uploader.is_none()
    });
    of_nobody.fold((0, 0), |(count, size), file| {
        (count + 1, size + file.facts.size)
    })
}

/// `20260102030405`
fn compact(now: Timestamp) -> String {
    now.strftime("%Y%m%d%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_named_by_the_second() {
        assert_eq!(
            compact("2026-01-02T03:04:05.6Z".parse().unwrap()),
            "20260102030405"
        );
    }
}
