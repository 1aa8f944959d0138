//! An upload: received piece by piece, compared with what it claims to be, made visible as a whole.
//!
//! Nothing of it is kept until everything is valid: fields wait in memory, the file in a draft that
//! vanishes with this value. Whether the caller may upload is checked before the first byte is read.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::db::{FileFacts, FileRole, OnConflict, Publication, Published, provenance_name};
use crate::devpi::{DevpiWords, Refusal};
use crate::exchange::Reply;
use crate::gateway::DOC_ZIP;
use crate::model::{IndexName, ProjectName, Sha256, Version};
use crate::policy::Index;
use crate::protocol::{
    ClaimedDigests, Examined, FileSubmission, ReleaseMetadata, Submission, SubmittedRelease, Unfit,
    UploadForm, complete, examine, stated_requirement,
};
use crate::store::{Digests, Draft, Hold, Key};
use crate::telemetry::AuditKind;
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;
use crate::writer::refusal::managed;
use crate::writer::stages::on_conflict;
use crate::writer::subject::WriteSubject;
use crate::writer::turns::Turn;

/// An upload that is being received.
#[derive(Debug)]
pub struct Upload {
    writer: Writer,
    caller: Caller,
    index: Arc<Index>,
    form: UploadForm,
    draft: Option<Draft>,
    bytes: u64,
    /// Held to the end: while it is examined and published it still holds its draft.
    _turn: Turn,
}

impl Writer {
    /// Lets the caller upload to an index, or refuses before anything is read.
    ///
    /// # Errors
    /// See `docs/protocol/devpi.md` §12: 404, 401 and 403; 503 when too many are under way.
    pub async fn begin_upload(&self, caller: Caller, index: &IndexName) -> Result<Upload, Refusal> {
        let index = self.stage_to_upload(&caller, index)?;
        let turn = self.turns.take().await?;
        let form = UploadForm::default();
        Ok(Upload {
            writer: self.clone(),
            caller,
            index,
            form,
            draft: None,
            bytes: 0,
            _turn: turn,
        })
    }
}

impl Upload {
    /// A field of the form.
    pub fn field(&mut self, name: String, value: String) {
        self.form.fields.push((name, value));
    }

    /// What the upload is about, as far as it has come.
    pub fn describe(&self, subject: &mut WriteSubject) {
        let filename = self.form.content_filename.as_deref();
        subject.of_form(self.form.name(), filename);
    }

    /// The file called `content` begins.
    ///
    /// # Errors
    /// When there was one already, or the disk has no room for it.
    pub fn begin_content(&mut self, filename: &str) -> Result<(), Refusal> {
        if self.draft.is_some() {
            return Err(bad("the form has two files called content"));
        }
        let store = &self.writer.flows.core.store;
        let draft = store.upload_draft("the upload", self.most())?;
        self.form.content_filename = Some(filename.to_owned());
        self.draft = Some(draft);
        Ok(())
    }

    /// The next bytes of the file.
    ///
    /// # Errors
    /// 413 when it is too large; when the disk fails.
    pub async fn chunk(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        let most = self.most();
        let Some(draft) = &mut self.draft else {
            return Ok(());
        };
        self.bytes += bytes.len() as u64;
        if self.bytes > most {
            let words =
                format!("the file is larger than the {most} bytes that limits.upload allows");
            return Err(Refusal::exception(StatusCode::PAYLOAD_TOO_LARGE, words));
        }
        Ok(draft.write(bytes).await?)
    }

    fn most(&self) -> u64 {
        self.writer.flows.core.settings.limits.writes.upload
    }

    /// The form has ended: it is carried out, or refused with everything that is wrong with it.
    ///
    /// # Errors
    /// See `docs/protocol/devpi.md` §12.
    pub async fn finish(self) -> Result<Reply, Refusal> {
        let submission = self.form.read().map_err(|faults| bad(faults.to_string()))?;
        let writer = self.writer.clone();
        writer
            .to_the_end(async move {
                match submission {
                    Submission::Register(release) => self.register(release).await,
                    Submission::File(file) => self.add_file(file).await,
                    Submission::Docs {
                        project,
                        spelling,
                        version,
                        claimed,
                    } => self.add_docs(project, spelling, version, &claimed).await,
                }
            })
            .await
    }

    async fn register(self, release: SubmittedRelease) -> Result<Reply, Refusal> {
        // Even on a non-volatile index: devpi lets metadata be corrected there.
        self.publish(release, Vec::new()).await
    }

    async fn add_file(mut self, submitted: FileSubmission) -> Result<Reply, Refusal> {
        let FileSubmission {
            mut release,
            filename,
            claimed,
            attestations,
        } = submitted;
        let content = self.new_content(&release.project, filename.as_str(), &claimed);
        let Some((draft, digests)) = content.await? else {
            return Ok(done(Some(DevpiWords::SameFile)));
        };
        let provenance = attestations
            .map(|all| all.provenance(filename.as_str(), &digests.sha256))
            .transpose()
            .map_err(|fault| bad(fault.to_string()))?;
        let growing = draft.growing();
        let (project, version) = (release.project.clone(), release.version.clone());
        let name = filename.clone();
        let examine = move |bounds| {
            let release = (&project, &*version);
            examine(growing.file(), &name, release, bounds)
        };
        let archives = self.writer.flows.core.archives();
        let examined = archives.look(examine, Unfit::is_beyond).await;
        let examined = examined?.map_err(|unfit| match unfit {
            Unfit::Fault(words) | Unfit::Beyond(words) => bad(words),
            Unfit::Unreadable(fault) => Refusal::internal("look into the file", fault),
        })?;
        let kept = (filename.as_str(), FileRole::ReleaseFile);
        let (mut facts, _held) = self.keep(draft, digests.sha256, kept).await?;
        facts.md5 = claimed.md5.is_some().then_some(digests.md5);
        facts.blake2b_256 = claimed.blake2b.is_some().then_some(digests.blake2b_256);
        facts.metadata_sha256 = self.keep_sidecar(&facts.sha256, &examined).await?;
        facts.requires_python = examined
            .requires_python
            .or_else(|| stated_requirement(&release.metadata));
        add_imports(&mut release, examined.sidecar.as_deref());
        let Some(provenance) = provenance else {
            return self.publish(release, vec![facts]).await;
        };
        let (attached, _kept) = self.keep_provenance(&facts, provenance).await?;
        self.publish(release, vec![facts, attached]).await
    }

    /// Keeps the provenance of a file as a file of its own, which is recorded in the same step.
    async fn keep_provenance(
        &self,
        of: &FileFacts,
        provenance: Vec<u8>,
    ) -> Result<(FileFacts, Hold), Refusal> {
        let limits = &self.writer.flows.core.settings.limits;
        let (length, most) = (provenance.len() as u64, limits.upstream.metadata);
        if length > most {
            let words = format!(
                "the attestations make a provenance of {length} bytes, and limits.metadata allows {most}"
            );
            return Err(Refusal::exception(StatusCode::PAYLOAD_TOO_LARGE, words));
        }
        let name = provenance_name(&of.filename, &of.sha256);
        let role = FileRole::Provenance {
            for_file: of.filename.clone(),
        };
        let place = (&self.caller, &self.index.name);
        let sent = ("the provenance", provenance.into());
        self.writer.keep_bytes(place, sent, (&name, role)).await
    }

    async fn add_docs(
        mut self,
        project: ProjectName,
        spelling: String,
        version: Option<String>,
        claimed: &ClaimedDigests,
    ) -> Result<Reply, Refusal> {
        let version = match version {
            Some(version) => version,
            None => self.latest(&project, &spelling).await?,
        };
        let filename = format!("{project}-{version}{DOC_ZIP}");
        let content = self.new_content(&project, &filename, claimed).await?;
        let Some((draft, digests)) = content else {
            return Ok(done(Some(DevpiWords::SameFile)));
        };
        let kept = (filename.as_str(), FileRole::DocZip);
        let (facts, _held) = self.keep(draft, digests.sha256, kept).await?;
        let mut release = SubmittedRelease {
            project,
            spelling,
            version,
            metadata: Default::default(),
        };
        let own = [("name", &release.spelling), ("version", &release.version)];
        let own = own.map(|(key, value)| (key.to_owned(), value.as_str().into()));
        release.metadata.extend(own);
        self.publish(release, vec![facts]).await
    }

    /// The draft with its digests, unless a non-volatile index already holds this exact file: then its
    /// bytes are kept again.
    async fn new_content(
        &mut self,
        project: &ProjectName,
        filename: &str,
        claimed: &ClaimedDigests,
    ) -> Result<Option<(Draft, Digests)>, Refusal> {
        let (draft, digests) = self.settled(claimed).await?;
        if !self.is_there(project, filename, &digests.sha256).await? {
            return Ok(Some((draft, digests)));
        }
        self.heal(draft, digests.sha256).await?;
        Ok(None)
    }

    async fn keep(
        &self,
        draft: Draft,
        digest: Sha256,
        file: (&str, FileRole),
    ) -> Result<(FileFacts, Hold), Refusal> {
        let place = (&self.caller, &self.index.name);
        let kept = self.writer.keep_uploaded(place, (draft, digest), file);
        kept.await
    }

    /// The draft with all its bytes in the file, and their digests, which match the stated ones.
    async fn settled(&mut self, claimed: &ClaimedDigests) -> Result<(Draft, Digests), Refusal> {
        let draft = self.draft.take();
        let mut draft = draft.ok_or_else(|| bad(DevpiWords::NoContent))?;
        let digests = draft.digests().await?;
        let blake2b = [&*digests.blake2b_256, &*digests.blake2b_512];
        let held = claimed.check(&digests.sha256, &digests.md5, blake2b);
        held.map_err(|fault| bad(fault.to_string()))?;
        Ok((draft, digests))
    }

    /// Keeps the bytes of a file that is already there: if its disk has damaged the held bytes, noticed
    /// or not, it becomes whole again wherever it is listed.
    async fn heal(&self, draft: Draft, digest: Sha256) -> Result<(), Refusal> {
        let (flows, key) = (&self.writer.flows, Key::PrivateFile(digest));
        let _held = self.writer.hold(digest).await?;
        draft.finish(Key::PrivateFile).await?;
        flows.core.deposit_again(digest).await?;
        flows.small.forget(&key);
        Ok(())
    }

    /// Whether a non-volatile index already holds this exact file; another one of its name is a conflict.
    async fn is_there(
        &self,
        project: &ProjectName,
        filename: &str,
        sha256: &Sha256,
    ) -> Result<bool, Refusal> {
        if on_conflict(&self.index) == OnConflict::Replace {
            return Ok(false);
        }
        let records = &self.writer.flows.core.records;
        let there = records.file(&self.index.name, project, filename).await?;
        match there {
            None => Ok(false),
            Some(there) if there.facts.sha256 == *sha256 => Ok(true),
            Some(_) => Err(exists(filename)),
        }
    }

    async fn keep_sidecar(
        &self,
        wheel: &Sha256,
        examined: &Examined,
    ) -> Result<Option<Sha256>, Refusal> {
        let Some(sidecar) = examined.sidecar.clone() else {
            return Ok(None);
        };
        let digest = Sha256::of(&sidecar);
        let (store, key) = (
            Arc::clone(&self.writer.flows.core.store),
            Key::PrivateMetadata(*wheel),
        );
        let kept = tokio::task::spawn_blocking(move || store.put_small(&key, &sidecar)).await;
        kept.map_err(|error| Refusal::internal("keep the metadata", error))??;
        Ok(Some(digest))
    }

    async fn latest(&self, project: &ProjectName, spelling: &str) -> Result<String, Refusal> {
        let records = &self.writer.flows.core.records;
        let held = records.project(&self.index.name, project).await?;
        let versions = held.into_iter().flat_map(|held| held.releases);
        let latest = versions
            .map(|release| release.version)
            .max_by_key(|text| Version::parse(text));
        latest.ok_or_else(|| bad(DevpiWords::NoDocsVersion(spelling)))
    }

    async fn publish(
        &self,
        release: SubmittedRelease,
        files: Vec<FileFacts>,
    ) -> Result<Reply, Refusal> {
        let records = &self.writer.flows.core.records;
        let (index, project) = (&self.index.name, &release.project);
        let is_known = records.has_release(index, project, &release.version);
        // Of a new release all fields are there; of a known one only those that were sent change.
        let metadata = if is_known.await? {
            release.metadata
        } else {
            complete(&release.metadata)
        };
        let name = files.first().map(|facts| facts.filename.clone());
        let publication = Publication {
            index: self.index.name.clone(),
            project: release.project,
            spelling: release.spelling,
            version: release.version,
            metadata,
            files,
            on_conflict: on_conflict(&self.index),
        };
        let about = (AuditKind::Upload, name.as_deref());
        match self
            .writer
            .publish(&self.caller, &publication, about)
            .await?
        {
            Published::Done { .. } => Ok(done(None)),
            Published::Exists { filename } => Err(exists(&filename)),
            Published::NoReleaseFile { filename } => {
                Err(bad(format!("no release file {filename}")))
            }
        }
    }
}

/// Adds what a wheel says that it is imported as (PEP 794) where the form does not: twine sends no field that
/// it does not know.
fn add_imports(release: &mut SubmittedRelease, metadata: Option<&[u8]>) {
    let Some(metadata) = metadata else { return };
    let own = ReleaseMetadata::of_file(metadata);
    for field in ["import_names", "import_namespaces"] {
        let names = own.list(field);
        let is_said = release
            .metadata
            .get(field)
            .is_some_and(|said| said.as_array().is_none_or(|said| !said.is_empty()));
        if !is_said && !names.is_empty() {
            release.metadata.insert(field.to_owned(), names.into());
        }
    }
}

fn exists(filename: &str) -> Refusal {
    Refusal::exception(StatusCode::CONFLICT, DevpiWords::FileExists(filename))
}

fn bad(words: impl ToString) -> Refusal {
    Refusal::exception(StatusCode::BAD_REQUEST, words)
}

/// 200 without content, as devpi answers uploads.
fn done(reason: Option<DevpiWords<'_>>) -> Reply {
    Reply {
        reason: reason.map(|words| words.to_string().into()),
        ..managed(StatusCode::OK, "text/html", Bytes::new())
    }
}
