//! The thread that writes and hashes incoming bytes, and publishes them once they are verified.
//!
//! Order at the end: length and digest are checked; readers get the last bytes; the file is synced and
//! renamed. A power cut before the rename leaves a temporary file, which is never served; after it, the
//! content is on the disk, because the sync came first. If the rename fails, the file is lost only to
//! later readers: those who read it while it arrived have the right bytes.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::model::{Hashes, Sha256};
use crate::store::digester::{Digester, Digests};
use crate::store::error::StoreError;
use crate::store::growing::Release;
use crate::store::key::Key;
use crate::store::temporary::Temporary;
use crate::store::tree::Tree;

/// What was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The digest of the content.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
}

/// What the thread is told.
pub(super) enum Step {
    Chunk(Bytes),
    Look(oneshot::Sender<Digests>),
    Finish(fn(Sha256) -> Key),
    /// No more will come; why, in words.
    GiveUp(String),
}

/// What the writing thread needs to know.
pub(super) struct Plan {
    /// Where it is kept.
    pub(super) tree: Arc<Tree>,
    /// What is being written, for messages.
    pub(super) what: String,
    /// Digests that must match.
    pub(super) promised: Hashes,
    /// The length that must match, if it was declared.
    pub(super) declared: Option<u64>,
    /// Most bytes accepted.
    pub(super) bytes_max: u64,
    /// Whether every digest that an upload may state has to be computed.
    pub(super) is_upload: bool,
}

impl Plan {
    /// Refuses something that declares itself too long, before a byte of it comes.
    pub(super) fn check_declared(&self) -> Result<(), StoreError> {
        match self.declared {
            Some(declared) if declared > self.bytes_max => {
                let most = self.bytes_max;
                Err(self.not_whole(format!("{declared} bytes are declared and {most} allowed")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn not_whole(&self, why: String) -> StoreError {
        StoreError::Integrity {
            what: self.what.clone(),
            why,
        }
    }
}

/// The writing thread.
pub(super) struct Writer<'a> {
    plan: &'a Plan,
    temporary: Temporary,
    written: u64,
}

impl<'a> Writer<'a> {
    /// Nothing is written yet.
    pub(super) fn new(plan: &'a Plan, temporary: Temporary) -> Self {
        Self {
            plan,
            temporary,
            written: 0,
        }
    }

    /// Writes until it is told to finish, or nobody is left to tell it.
    pub(super) fn run(
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
                    // The asker may have gone; the next step then shows that.
                    let _ = sender.send(digester.so_far(self.written));
                }
                Some(Step::Finish(key)) => {
                    let stored = self.check(digester)?;
                    release.complete(stored.size);
                    self.publish(&key(stored.sha256))?;
                    return Ok(stored);
                }
                Some(Step::GiveUp(why)) => return Err(self.abandoned(why)),
                None => return Err(self.abandoned("nobody sends the rest".to_owned())),
            }
        }
    }

    fn abandoned(&self, why: String) -> StoreError {
        let what = self.plan.what.clone();
        StoreError::Abandoned { what, why }
    }

    fn append(&mut self, chunk: &Bytes) -> Result<(), StoreError> {
        let after = self.written.saturating_add(chunk.len() as u64);
        if let Some(declared) = self.plan.declared
            && after > declared
        {
            let why = format!("more than the declared {declared} bytes came");
            return Err(self.plan.not_whole(why));
        }
        if after > self.plan.bytes_max {
            let why = format!(
                "it is longer than the {} bytes allowed",
                self.plan.bytes_max
            );
            return Err(self.plan.not_whole(why));
        }
        let (file, at) = (self.temporary.file(), self.written);
        let write = || file.write_all_at(chunk, at);
        self.plan
            .tree
            .with_room(chunk.len() as u64, write)
            .map_err(|error| StoreError::io(format!("write {}", self.plan.what), error))?;
        self.written = after;
        Ok(())
    }

    fn check(&self, digester: Digester) -> Result<Stored, StoreError> {
        if let Some(declared) = self.plan.declared
            && declared != self.written
        {
            let why = format!("{} of {declared} bytes came", self.written);
            return Err(self.plan.not_whole(why));
        }
        let promised = &self.plan.promised;
        let sha256 = digester
            .finish(promised)
            .map_err(|why| self.plan.not_whole(why))?;
        Ok(Stored {
            sha256,
            size: self.written,
        })
    }

    fn publish(self, key: &Key) -> Result<(), StoreError> {
        self.plan
            .tree
            .publish_right(self.temporary, key)
            .map_err(|error| StoreError::io(format!("keep {}", self.plan.what), error))
    }
}
