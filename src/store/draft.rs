//! Bytes on their way in: written and hashed on one blocking thread, visible only once they hold.
//!
//! Order at the end: length and digest are checked; readers get the last bytes; the file is synced
//! and renamed. A power cut before the rename leaves a temporary file, which nobody serves; after it,
//! the content is on the disk, because the sync came first.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::digester::Digester;
use super::digester::Digests;
use super::error::StoreError;
use super::growing::Growing;
use super::growing::Release;
use super::key::Key;
use crate::model::Hashes;
use crate::model::Sha256;

/// Most chunks waiting for the disk. With chunks of at most 64 KiB or so this bounds a fill's memory
/// to a few megabytes; a full queue makes the sender wait.
const QUEUED_CHUNKS_MAX: usize = 32;

/// What was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The digest of the content.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
}

/// A file being written. Dropped before [`Draft::finish`], nothing of it remains.
#[derive(Debug)]
pub struct Draft {
    chunks: mpsc::Sender<Step>,
    growing: Arc<Growing>,
    outcome: oneshot::Receiver<Result<Stored, StoreError>>,
}

enum Step {
    Chunk(Bytes),
    Look(oneshot::Sender<Digests>),
    Finish(fn(Sha256) -> Key),
}

/// What the writing thread needs to know.
pub(super) struct Plan {
    /// Where keys are below.
    pub(super) root: PathBuf,
    /// The temporary file's path.
    pub(super) temporary: PathBuf,
    /// What is being written, for messages.
    pub(super) what: String,
    /// Digests that must hold.
    pub(super) promised: Hashes,
    /// The length that must hold, where it was declared.
    pub(super) declared: Option<u64>,
    /// Most bytes taken.
    pub(super) bytes_max: u64,
    /// Whether every digest that an upload may state is to be known.
    pub(super) is_upload: bool,
    /// Told after the rename.
    pub(super) published: Box<dyn Fn(&Key, u64) + Send>,
}

impl Draft {
    /// Starts the writing thread on the current runtime's blocking pool.
    pub(super) fn start(plan: Plan, file: File, reader: File) -> Self {
        let (growing, release) = Growing::new(reader, plan.declared);
        let (chunks, steps) = mpsc::channel(QUEUED_CHUNKS_MAX);
        let (sender, outcome) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let written = Writer {
                plan: &plan,
                file,
                written: 0,
            }
            .run(steps, &release);
            if let Err(error) = &written {
                // Gone or never there: either way it is not there now.
                let _ = std::fs::remove_file(&plan.temporary);
                release.failed(&error.to_string());
            }
            let _ = sender.send(written);
        });
        Self {
            chunks,
            growing: Arc::new(growing),
            outcome,
        }
    }

    /// What readers read while it is written.
    #[must_use]
    pub fn growing(&self) -> Arc<Growing> {
        Arc::clone(&self.growing)
    }

    /// Hands over the next bytes; waits while the disk is behind.
    ///
    /// # Errors
    /// Those of the disk or of a limit, as soon as they are known.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        if self.chunks.send(Step::Chunk(chunk)).await.is_err() {
            return Err(self.failure().await);
        }
        Ok(())
    }

    /// The digests of what was handed over so far, once all of it is in the file and can be read
    /// there. Of a draft for an upload md5 and BLAKE2b are among them.
    ///
    /// # Errors
    /// Those of the disk or of a limit.
    pub async fn digests(&mut self) -> Result<Digests, StoreError> {
        let (sender, digests) = oneshot::channel();
        if self.chunks.send(Step::Look(sender)).await.is_err() {
            return Err(self.failure().await);
        }
        match digests.await {
            Ok(digests) => Ok(digests),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Checks length and digests and makes the content visible under the key of its sha256.
    ///
    /// # Errors
    /// `Integrity` when it is not what was promised; nothing is kept then.
    pub async fn finish(mut self, key: fn(Sha256) -> Key) -> Result<Stored, StoreError> {
        if self.chunks.send(Step::Finish(key)).await.is_err() {
            return Err(self.failure().await);
        }
        (&mut self.outcome)
            .await
            .unwrap_or_else(|_| Err(abandoned("the file")))
    }

    async fn failure(&mut self) -> StoreError {
        match (&mut self.outcome).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => abandoned("the file"),
        }
    }
}

fn abandoned(what: &str) -> StoreError {
    StoreError::Abandoned {
        what: what.to_owned(),
    }
}

/// The writing thread.
struct Writer<'a> {
    plan: &'a Plan,
    file: File,
    written: u64,
}

impl Writer<'_> {
    fn run(
        mut self,
        mut steps: mpsc::Receiver<Step>,
        release: &Release,
    ) -> Result<Stored, StoreError> {
        let mut digester = if self.plan.is_upload {
            Digester::for_upload()
        } else {
            Digester::for_promise(&self.plan.promised)
        };
        loop {
            match steps.blocking_recv() {
                Some(Step::Chunk(chunk)) => {
                    self.append(&chunk)?;
                    release.written(self.written);
                    digester.update(&chunk);
                }
                Some(Step::Look(sender)) => {
                    // Whoever asked may have gone; then the next step tells.
                    let _ = sender.send(digester.so_far(self.written));
                }
                Some(Step::Finish(key)) => {
                    let stored = self.check(digester)?;
                    release.complete(stored.size);
                    self.publish(&key(stored.sha256))?;
                    return Ok(stored);
                }
                None => return Err(abandoned(&self.plan.what)),
            }
        }
    }

    fn append(&mut self, chunk: &Bytes) -> Result<(), StoreError> {
        let after = self.written.saturating_add(chunk.len() as u64);
        let most = self
            .plan
            .declared
            .unwrap_or(u64::MAX)
            .min(self.plan.bytes_max);
        if after > most {
            return Err(self.not_whole(format!("it is longer than the {most} bytes allowed")));
        }
        self.file
            .write_all(chunk)
            .map_err(|error| StoreError::io(format!("write {}", self.plan.what), error))?;
        self.written = after;
        Ok(())
    }

    fn check(&self, digester: Digester) -> Result<Stored, StoreError> {
        if let Some(declared) = self.plan.declared
            && declared != self.written
        {
            let why = format!("{} of {declared} bytes came", self.written);
            return Err(self.not_whole(why));
        }
        let sha256 = digester
            .finish(&self.plan.promised)
            .map_err(|why| self.not_whole(why))?;
        Ok(Stored {
            sha256,
            size: self.written,
        })
    }

    fn publish(&self, key: &Key) -> Result<(), StoreError> {
        let failed = |error| StoreError::io(format!("keep {}", self.plan.what), error);
        self.file.sync_data().map_err(failed)?;
        let path = self.plan.root.join(key.path());
        place(&self.plan.temporary, &path).map_err(failed)?;
        if key.is_private() {
            sync_folder(&path).map_err(failed)?;
        }
        (self.plan.published)(key, self.written);
        Ok(())
    }

    fn not_whole(&self, why: String) -> StoreError {
        StoreError::Integrity {
            what: self.plan.what.clone(),
            why,
        }
    }
}

/// Renames a file to where it belongs, making its folder first.
pub(super) fn place(temporary: &Path, path: &Path) -> std::io::Result<()> {
    match std::fs::rename(temporary, path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::rename(temporary, path)
        }
        renamed => renamed,
    }
}

/// Makes a rename survive a power cut.
pub(super) fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
