//! What no simple page lists although a stage holds it: test results and documentation; and what a stage
//! once held (410, docs/protocol/devpi.md §10).

use std::mem::take;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::{StagePages, listed};
use crate::db::{FileRecord, FileRole};
use crate::exchange::{
    Ask, Context, Core, Error, ErrorKind, Record, Reply, file_refused, records_failed,
};
use crate::gateway::content::{Claims, content_reply};
use crate::gateway::held::{About, HeldFiles};
use crate::model::{File, Filename, IndexName, ProjectState};
use crate::page::{FilePath, FilePlace, parse_file_path};
use crate::policy::{Candidate, Denial, ListedFiles, Stack, Verdict};
use crate::protocol::ETag;
use crate::store::{Key, StoredFile};

/// What a test result's name appends to that of its file.
pub const TOX_RESULT: &str = ".toxresult-";

/// The ending of the name of documentation.
pub const DOC_ZIP: &str = ".doc.zip";

/// What is attached to releases.
#[derive(Debug)]
pub struct Attachments {
    core: Arc<Core>,
    held: Arc<HeldFiles>,
    stages: Arc<StagePages>,
}

impl Attachments {
    pub fn new(core: Arc<Core>, held: Arc<HeldFiles>, stages: Arc<StagePages>) -> Self {
        Self { core, held, stages }
    }

    /// Answers a file that no page lists: attached to a release, gone, or not found as `error` says.
    pub async fn answer(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        (index, path): (&IndexName, &str),
        error: Error,
        record: &mut Record,
    ) -> Result<Reply, Error> {
        // Records may outlive their index, or belong to one that this door does not show.
        let stack = cx.generation.policies.stack(index);
        let Some((stack, path)) = stack.zip(parse_file_path(path)) else {
            return Err(error);
        };
        let Some(found) = self.attached_at(index, &path).await? else {
            self.gone(index, &path).await?;
            return Err(error);
        };
        match self.refusal_of_attached(cx, stack, &found).await? {
            None => self.attached(ask, &found, record).await,
            Some(denial) => {
                let metrics = &self.core.metrics;
                Ok(file_refused(metrics, &denial, ask.path, take(record)))
            }
        }
    }

    /// Why an attachment is not served: because what it is about is refused. A test result is about one
    /// file, documentation about all of its release.
    ///
    /// # Errors
    /// When the records fail.
    pub async fn refusal_of_attached(
        &self,
        cx: &Context,
        stack: &Stack,
        attached: &FileRecord,
    ) -> Result<Option<Denial>, Error> {
        let (index, project) = (&attached.index, &attached.project);
        let records = match &attached.facts.role {
            FileRole::ToxResult { for_file } | FileRole::Provenance { for_file } => {
                let file = self.core.file(index, project, for_file).await?;
                file.into_iter().collect()
            }
            FileRole::DocZip | FileRole::ReleaseFile => {
                let release = (index, project, attached.version.as_str());
                self.core.release_files(release).await?
            }
        };
        let subjects = records.iter().filter_map(|one| listed(one, project));
        let subjects: Vec<File> = subjects.collect();
        if subjects.is_empty() {
            let verdict = stack.decide_project(project, cx.now, &|one| one == index);
            return Ok(verdict.denial().cloned());
        }
        let page = self.stages.page(index, project).await?;
        let (member, status) = (
            stack.position(index).unwrap_or_default(),
            ProjectState::Active,
        );
        let files = &page.files;
        let view = stack.view(project).among([ListedFiles {
            member,
            status,
            files,
        }]);
        let mut refused = None;
        for file in &subjects {
            let candidate = Candidate {
                file,
                member,
                status,
            };
            match view.decide_file(&candidate, cx.now) {
                Verdict::Allow(_) => return Ok(None),
                Verdict::Deny(denial) => {
                    refused.get_or_insert(denial);
                }
            }
        }
        Ok(refused)
    }

    /// An attachment whose bytes are right, to be read here.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub async fn open(&self, file: &FileRecord) -> Result<Option<Arc<StoredFile>>, Error> {
        let about = About {
            name: &file.facts.filename,
            size: Some(file.facts.size),
        };
        let key = Key::PrivateFile(file.facts.sha256);
        self.held.checked_file(&key, about).await
    }

    /// The bytes of an attachment; `None` if it is longer than that, or is not here.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub async fn read(&self, file: &FileRecord, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        if file.facts.size > bytes_max {
            return Ok(None);
        }
        let Some(stored) = self.open(file).await? else {
            return Ok(None);
        };
        let work = move || {
            let mut bytes = vec![0; usize::try_from(stored.len()).unwrap_or_default()];
            stored.file().read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        let failed = |error: std::io::Error| Error::internal("read an attachment", error);
        let read = tokio::task::spawn_blocking(work).await;
        let read = read.map_err(|error| Error::internal("read an attachment", error))?;
        Ok(Some(read.map_err(failed)?.into()))
    }

    /// The test result or documentation at a path.
    ///
    /// # Errors
    /// When the records fail.
    pub async fn attached_at(
        &self,
        index: &IndexName,
        path: &FilePath,
    ) -> Result<Option<FileRecord>, Error> {
        let Some(subject) = subject(&path.filename) else {
            return Ok(None);
        };
        for project in Filename::projects(&subject) {
            let found = self.core.file(index, &project, &path.filename).await?;
            let found = found.filter(|file| stands_at(&file.facts.sha256, &path.place));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Refuses with 410 what was once here.
    async fn gone(&self, index: &IndexName, path: &FilePath) -> Result<(), Error> {
        let Some(leading) = leading(&path.place) else {
            return Ok(());
        };
        let (records, name) = (&self.core.records, &path.filename);
        let gone = records.was_deleted(index, leading, name).await;
        let doing = || format!("look for {name}");
        if gone.map_err(|error| records_failed(&doing(), error))? {
            let words = "file existed, deleted in later serial";
            return Err(Error::new(ErrorKind::Gone, words));
        }
        Ok(())
    }

    async fn attached(
        &self,
        ask: &Ask<'_>,
        file: &FileRecord,
        record: &mut Record,
    ) -> Result<Reply, Error> {
        record.project = Some(file.project.clone());
        let name = &file.facts.filename;
        let about = About {
            name,
            size: Some(file.facts.size),
        };
        let key = Key::PrivateFile(file.facts.sha256);
        let content = self.held.held_file(&key, about).await?;
        let content = content.ok_or_else(|| self.core.lost_upload(name))?;
        let is_zip = name.ends_with(DOC_ZIP);
        let claims = Claims {
            is_stated: false,
            content_type: if is_zip {
                "application/zip"
            } else {
                "application/octet-stream"
            },
            etag: Some(ETag::of_digest(&file.facts.sha256)),
            last_modified: Some(file.facts.uploaded_at),
        };
        Ok(content_reply(ask, content, claims, take(record)))
    }
}

/// A file name of the release that something is attached to; `None` for release files.
fn subject(filename: &str) -> Option<String> {
    if let Some((subject, _)) = filename.split_once(TOX_RESULT) {
        return Some(subject.to_owned());
    }
    filename
        .strip_suffix(DOC_ZIP)
        .map(|stem| format!("{stem}.zip"))
}

/// Whether a digest matches the place in a URL.
pub fn stands_at(digest: &crate::model::Sha256, place: &FilePlace) -> bool {
    leading(place).is_some_and(|leading| digest.as_bytes().starts_with(&leading))
}

/// The leading bytes of the digest in a URL.
pub fn leading(place: &FilePlace) -> Option<[u8; 8]> {
    match place {
        // A truncated digest has fewer digits, and no private file has one.
        FilePlace::Digest(digits) if digits.len() < 16 => None,
        FilePlace::Digest(digits) => u64::from_str_radix(digits, 16).ok().map(u64::to_be_bytes),
        FilePlace::Directory(_) | FilePlace::Any => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;
    use crate::page::file_path;

    #[test]
    fn the_subject_of_an_attachment_is_a_file_name_of_its_release() {
        for (name, expected) in [
            (
                "six-1.0.tar.gz.toxresult-20260102030405-0",
                Some("six-1.0.tar.gz"),
            ),
            ("six-1.0.doc.zip", Some("six-1.0.zip")),
            ("six-1.0.zip", None),
        ] {
            assert_eq!(subject(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_place_shows_the_first_eight_bytes_of_the_digest() {
        let digest = Sha256::of(b"six");
        let project = "six".parse::<String>().unwrap();
        let project = crate::model::ProjectName::parse(&project).unwrap();
        let mut file = crate::model::File::named(Filename::parse("six-1.0.zip", &project).unwrap());
        file.hashes = crate::model::Hashes::sha256_only(digest);
        let place = parse_file_path(&file_path(&file)).unwrap().place;
        assert!(stands_at(&digest, &place));
        assert!(!stands_at(&Sha256::of(b"seven"), &place));
        assert!(!stands_at(&digest, &FilePlace::Directory("x".into())));
    }
}
