//! Imports the bytes of one file: read once, compared with every stated digest, kept under their sha256.
//! Bytes alone are visible to nobody; what was imported before is not read again.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use crate::db::{FileFacts, FileRole};
use crate::exchange::Archives;
use crate::model::{Filename, Sha256};
use crate::moving::planned_file::PlannedFile;
use crate::moving::report::MovingError;
use crate::protocol::{ClaimedDigests, Examined, Unfit, examine};
use crate::store::{Digests, Draft, FsStore, Key, StoreError};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// The outcome for one file.
#[derive(Debug)]
pub enum Taken {
    /// It is what it should be: its facts, and a note if there is one.
    Whole(Box<FileFacts>, Option<String>),
    /// It is not; why, in words.
    Fault(String),
}

/// Where bytes go.
#[derive(Debug, Clone)]
pub struct Taker {
    pub store: Arc<FsStore>,
    pub archives: Archives,
    /// Only read and compare.
    pub verify_only: bool,
}

impl Taker {
    /// Imports one file, as one of a stage or of a mirror.
    pub async fn take(&self, file: &PlannedFile, is_mirror: bool) -> Result<Taken, MovingError> {
        let key = if is_mirror {
            Key::MirrorFile
        } else {
            Key::PrivateFile
        };
        let digests = match self.kept_before(file, key).await? {
            Some(digests) => digests,
            None => match self.compared(file, key).await? {
                Ok(digests) => digests,
                Err(fault) => return Ok(Taken::Fault(format!("{}: {fault}", file.relative))),
            },
        };
        let mut facts = facts(file, &digests);
        if self.verify_only || is_mirror || file.role != FileRole::ReleaseFile {
            return Ok(Taken::Whole(Box::new(facts), None));
        }
        let note = match self.examined(file, digests.sha256).await? {
            Ok(examined) => {
                self.keep_sidecar(&mut facts, examined).await?;
                None
            }
            Err(words) => Some(format!("{}: {words}", file.relative)),
        };
        Ok(Taken::Whole(Box::new(facts), note))
    }

    /// What an import that broke off has kept already: it was compared then, and the disk has not
    /// changed it since. A digest that only reading can compare is a reason to read it again.
    async fn kept_before(
        &self,
        file: &PlannedFile,
        key: fn(Sha256) -> Key,
    ) -> Result<Option<Digests>, MovingError> {
        let ClaimedDigests {
            sha256: Some(sha256),
            md5: None,
            blake2b: None,
        } = file.claimed
        else {
            return Ok(None);
        };
        if self.verify_only {
            return Ok(None);
        }
        let (store, key) = (Arc::clone(&self.store), key(sha256));
        let kept = spawn_blocking(move || store.open_checked(&key)).await;
        let is_kept = match kept.map_err(broken)? {
            Ok(kept) => kept.is_some_and(|kept| kept.len() == file.bytes),
            // It is imported again, over what is there.
            Err(StoreError::Damaged { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(is_kept.then(|| Digests {
            size: file.bytes,
            sha256,
            md5: String::new(),
            blake2b_256: String::new(),
            blake2b_512: String::new(),
        }))
    }

    /// Computes all stated digests of the content, compares them, and keeps it.
    async fn compared(
        &self,
        file: &PlannedFile,
        key: fn(Sha256) -> Key,
    ) -> Result<Result<Digests, String>, MovingError> {
        let mut draft = self.store.upload_draft(&file.relative, file.bytes)?;
        let source = File::open(&file.path).map_err(MovingError::io("open", &file.path))?;
        let read = pour(source, &mut draft).await?;
        read.map_err(MovingError::io("read", &file.path))?;
        let digests = draft.digests().await?;
        let blake2b = [&*digests.blake2b_256, &*digests.blake2b_512];
        let held = file.claimed.check(&digests.sha256, &digests.md5, blake2b);
        if let Err(fault) = held {
            return Ok(Err(fault.to_string()));
        }
        if !self.verify_only {
            draft.finish(key).await?;
        }
        Ok(Ok(digests))
    }

    /// What a release file says about itself, or why it cannot be asked. devpi accepts files that are no
    /// archives, so they are imported too: only what would be read out of them is missing.
    async fn examined(
        &self,
        file: &PlannedFile,
        sha256: Sha256,
    ) -> Result<Result<Examined, String>, MovingError> {
        let filename = match Filename::parse(&file.filename, &file.project) {
            Ok(filename) => filename,
            Err(error) => return Ok(Err(format!("it is kept, but on no page: {error}"))),
        };
        let Some(kept) = self.store.open_file(&Key::PrivateFile(sha256))? else {
            return Err(MovingError::Broken(format!("{} is gone", file.filename)));
        };
        let kept = Arc::new(kept);
        let (project, version) = (file.project.clone(), file.version.clone());
        let examine = move |bounds| {
            let release = (&project, &*version);
            examine(kept.file(), &filename, release, bounds)
        };
        let examined = self.archives.look(examine, Unfit::is_beyond).await;
        match examined.map_err(|error| MovingError::Broken(error.to_string()))? {
            Ok(examined) => Ok(Ok(examined)),
            Err(Unfit::Fault(words) | Unfit::Beyond(words)) => {
                Ok(Err(format!("it comes without its metadata: {words}")))
            }
            Err(Unfit::Unreadable(fault)) => Err(MovingError::Broken(fault.to_string())),
        }
    }

    async fn keep_sidecar(
        &self,
        facts: &mut FileFacts,
        examined: Examined,
    ) -> Result<(), MovingError> {
        if let Some(requirement) = examined.requires_python {
            facts.requires_python = Some(requirement);
        }
        let Some(sidecar) = examined.sidecar else {
            return Ok(());
        };
        facts.metadata_sha256 = Some(Sha256::of(&sidecar));
        let (store, key) = (Arc::clone(&self.store), Key::PrivateMetadata(facts.sha256));
        let kept = spawn_blocking(move || store.put_small(&key, &sidecar)).await;
        Ok(kept.map_err(broken)??)
    }
}

pub fn broken(error: tokio::task::JoinError) -> MovingError {
    MovingError::Broken(error.to_string())
}

/// Reads a file into a draft, off the runtime's threads; the inner error is a failure to read.
pub async fn pour(mut source: File, draft: &mut Draft) -> Result<std::io::Result<()>, MovingError> {
    loop {
        let read = spawn_blocking(move || chunk_of(source)).await;
        match read.map_err(broken)? {
            Ok((_, chunk)) if chunk.is_empty() => return Ok(Ok(())),
            Ok((open, chunk)) => {
                draft.write(chunk).await?;
                source = open;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// The next bytes of a file; empty at its end.
fn chunk_of(mut file: File) -> std::io::Result<(File, Bytes)> {
    let mut chunk = Vec::new();
    std::io::Read::by_ref(&mut file)
        .take(CHUNK as u64)
        .read_to_end(&mut chunk)?;
    Ok((file, chunk.into()))
}

/// What is recorded. Besides sha256 only the stated digests, as for an upload.
fn facts(file: &PlannedFile, digests: &Digests) -> FileFacts {
    let stated = |claim: &Option<String>, found: &str| claim.is_some().then(|| found.to_owned());
    FileFacts {
        filename: file.filename.clone(),
        role: file.role.clone(),
        sha256: digests.sha256,
        size: digests.size,
        md5: stated(&file.claimed.md5, &digests.md5),
        blake2b_256: stated(&file.claimed.blake2b, &digests.blake2b_256),
        uploaded_at: file.uploaded_at,
        uploader: file.uploader.clone(),
        requires_python: file.requires_python.clone(),
        metadata_sha256: None,
        yanked: file.yanked.clone(),
        log: file.log.clone(),
    }
}
