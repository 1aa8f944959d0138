//! Bytes on their way in: written and hashed on one blocking thread, visible only once they are verified.
//!
//! The thread is occupied while the bytes come, so the caller limits how many drafts there are.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::model::Sha256;
use crate::store::digester::Digests;
use crate::store::error::StoreError;
use crate::store::growing::Growing;
use crate::store::key::Key;
use crate::store::temporary::Temporary;
use crate::store::writer::{Plan, Step, Stored, Writer};

/// Most chunks waiting for the disk. With chunks of at most 64 KiB or so this bounds a fill's memory
/// to a few megabytes; a full queue makes the sender wait.
const QUEUED_CHUNKS_MAX: usize = 32;

/// A file being written. Dropped before [`Draft::finish`], nothing of it remains.
#[derive(Debug)]
pub struct Draft {
    what: String,
    chunks: mpsc::Sender<Step>,
    growing: Arc<Growing>,
    /// `None` once it was taken.
    outcome: Option<oneshot::Receiver<Result<Stored, StoreError>>>,
    /// Whether a chunk is on its way to the queue.
    is_sending: bool,
}

impl Draft {
    /// Starts the writing thread on the current runtime's blocking pool.
    pub(super) fn start(plan: Plan) -> Result<Self, StoreError> {
        plan.check_declared()?;
        let failed = |error| StoreError::io(format!("make a file for {}", plan.what), error);
        let temporary = plan.tree.temporary().map_err(failed)?;
        let reader = temporary.reader().map_err(failed)?;
        Ok(Self::over(plan, temporary, reader))
    }

    fn over(plan: Plan, temporary: Temporary, reader: File) -> Self {
        let (growing, release) = Growing::arriving(reader, plan.declared);
        let (chunks, steps) = mpsc::channel(QUEUED_CHUNKS_MAX);
        let (sender, outcome) = oneshot::channel();
        let what = plan.what.clone();
        tokio::task::spawn_blocking(move || {
            let written = Writer::new(&plan, temporary).run(steps, &release);
            if let Err(error) = &written {
                release.failed(error);
            }
            let _ = sender.send(written);
        });
        let (growing, outcome) = (Arc::new(growing), Some(outcome));
        Self {
            what,
            chunks,
            growing,
            outcome,
            is_sending: false,
        }
    }

    /// What readers read while it is written.
    #[must_use]
    pub fn growing(&self) -> Arc<Growing> {
        Arc::clone(&self.growing)
    }

    /// Hands over the next bytes; waits while the disk is behind. A cancelled call may have lost its
    /// chunk, so every later call fails.
    ///
    /// # Errors
    /// Those of the disk or of a limit, as soon as they are known.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.send(Step::Chunk(chunk)).await
    }

    /// The digests of everything handed over so far, once all of it is in the file and can be read
    /// there. For an upload's draft they include md5 and BLAKE2b.
    ///
    /// # Errors
    /// Those of the disk or of a limit.
    pub async fn digests(&mut self) -> Result<Digests, StoreError> {
        let (sender, digests) = oneshot::channel();
        self.send(Step::Look(sender)).await?;
        if let Ok(digests) = digests.await {
            return Ok(digests);
        }
        Err(self.failure().await)
    }

    /// Checks length and digests and makes the content visible under the key of its sha256. If the call
    /// is cancelled, it may be kept all the same.
    ///
    /// # Errors
    /// `Integrity` when it is not what was promised; nothing is kept then.
    pub async fn finish(mut self, key: fn(Sha256) -> Key) -> Result<Stored, StoreError> {
        self.send(Step::Finish(key)).await?;
        self.ended().await
    }

    /// States why no more will come; its readers are told.
    pub async fn give_up(mut self, why: String) {
        // An error means that it has ended already.
        let _ = self.send(Step::GiveUp(why)).await;
        let _ = self.ended().await;
    }

    async fn send(&mut self, step: Step) -> Result<(), StoreError> {
        if self.is_sending {
            return Err(self.abandoned());
        }
        self.is_sending = true;
        let sent = self.chunks.send(step).await;
        self.is_sending = false;
        if sent.is_ok() {
            return Ok(());
        }
        Err(self.failure().await)
    }

    /// How it ended.
    async fn ended(&mut self) -> Result<Stored, StoreError> {
        match self.outcome.take() {
            Some(outcome) => outcome.await.unwrap_or_else(|_| Err(self.abandoned())),
            None => Err(self.abandoned()),
        }
    }

    /// Why it ended before it was told to.
    async fn failure(&mut self) -> StoreError {
        let ended = self.ended().await;
        ended.err().unwrap_or_else(|| self.abandoned())
    }

    fn abandoned(&self) -> StoreError {
        StoreError::Abandoned {
            what: self.what.clone(),
            why: "its writer went away".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;
    use crate::model::Hashes;
    use crate::store::fs::FsStore;
    use crate::store::growing::{Blame, Readable};
    use crate::store::tree::Tree;

    const CONTENT: &[u8] = b"the content of a wheel";
    const WRONG: &[u8] = b"the content of a whale";

    fn store() -> (tempfile::TempDir, FsStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        (folder, store)
    }

    fn promise() -> Hashes {
        Hashes::sha256_only(Sha256::of(CONTENT))
    }

    fn assert_nothing_kept(folder: &Path, store: &FsStore) {
        assert_eq!(std::fs::read_dir(folder.join("tmp")).unwrap().count(), 0);
        assert!(store.contents().next().is_none());
        assert_eq!(store.quota().used_bytes(), 0);
    }

    /// Sends the chunks and finishes, as far as it goes.
    async fn send(mut draft: Draft, chunks: &[&'static [u8]]) -> Result<Stored, StoreError> {
        for chunk in chunks {
            draft.write(Bytes::from_static(chunk)).await?;
        }
        draft.finish(Key::MirrorFile).await
    }

    #[tokio::test]
    async fn what_is_not_what_it_claims_to_be_is_refused_with_the_reason() {
        let right = CONTENT.len() as u64;
        let table = [
            (vec![WRONG], Some(right), 100, "its sha256 is "),
            (
                vec![&CONTENT[..11]],
                Some(right),
                100,
                "11 of 22 bytes came",
            ),
            (vec![&CONTENT[..11]], None, 100, "its sha256 is "),
            (
                vec![CONTENT, b"x"],
                Some(right),
                100,
                "more than the declared 22 bytes came",
            ),
            (
                vec![CONTENT, CONTENT],
                None,
                30,
                "it is longer than the 30 bytes allowed",
            ),
        ];
        for (chunks, declared, bytes_max, why) in table {
            let (folder, store) = store();
            let draft = store
                .draft("six.whl", promise(), declared, bytes_max)
                .unwrap();
            let growing = draft.growing();
            let error = send(draft, &chunks).await.unwrap_err().to_string();
            assert!(
                error.starts_with("six.whl is not what it claims to be: "),
                "{error}"
            );
            assert!(error.contains(why), "{error}");
            assert!(
                matches!(growing.settled().await, Readable::Failed(_)),
                "{why}"
            );
            assert_nothing_kept(folder.path(), &store);
        }
        let (folder, store) = store();
        let error = store
            .draft("six.whl", promise(), Some(31), 30)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("31 bytes are declared and 30 allowed"),
            "{error}"
        );
        assert_nothing_kept(folder.path(), &store);
    }

    #[tokio::test]
    async fn what_is_dropped_leaves_nothing() {
        let (folder, store) = store();
        let mut draft = store.draft("six.whl", promise(), None, 100).unwrap();
        let growing = draft.growing();
        draft.write(Bytes::from_static(CONTENT)).await.unwrap();
        drop(draft);
        assert!(matches!(growing.settled().await, Readable::Failed(_)));
        assert_nothing_kept(folder.path(), &store);
    }

    #[tokio::test]
    async fn who_reads_what_is_given_up_is_told_why() {
        let (folder, store) = store();
        let mut draft = store.draft("six.whl", promise(), None, 100).unwrap();
        let growing = draft.growing();
        draft.write(Bytes::from_static(CONTENT)).await.unwrap();
        draft.give_up("upstream hung up".to_owned()).await;
        let Readable::Failed(failure) = growing.settled().await else {
            panic!("it is whole");
        };
        insta::assert_snapshot!(failure, @"six.whl was left unfinished: upstream hung up; nothing was kept");
        assert_eq!(failure.blame, Blame::Sender);
        assert_nothing_kept(folder.path(), &store);
    }

    #[test]
    fn what_is_under_way_when_the_runtime_ends_leaves_nothing() {
        let (folder, store) = store();
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let growing = runtime.block_on(async {
            let mut draft = store.draft("six.whl", promise(), None, 100).unwrap();
            let growing = draft.growing();
            draft.write(Bytes::from_static(CONTENT)).await.unwrap();
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(draft);
            });
            growing
        });
        drop(runtime);
        let settled = growing.settled().now_or_never().unwrap();
        assert!(matches!(settled, Readable::Failed(_)), "{settled:?}");
        assert_nothing_kept(folder.path(), &store);
    }

    #[tokio::test]
    async fn a_full_disk_is_said_to_be_full_once_and_for_all() {
        let (folder, store) = store();
        let tree = Arc::new(
            Tree::open(
                folder.path(),
                1 << 30,
                crate::telemetry::WaitMeter::default(),
            )
            .unwrap(),
        );
        let path = folder.path().join("tmp/full");
        std::fs::write(&path, b"").unwrap();
        let (what, promised) = ("six.whl".to_owned(), promise());
        let plan = Plan {
            tree,
            what,
            promised,
            declared: None,
            bytes_max: 100,
            is_upload: false,
        };
        let full = File::options().write(true).open("/dev/full").unwrap();
        let reader = File::open(&path).unwrap();
        let mut draft = Draft::over(plan, Temporary::over(full, path), reader);
        let growing = draft.growing();
        draft.write(Bytes::from_static(CONTENT)).await.unwrap();
        let Readable::Failed(failure) = growing.settled().await else {
            panic!("it is whole");
        };
        assert_eq!(failure.blame, Blame::FullDisk);
        draft.chunks.closed().await;
        let error = draft.write(Bytes::from_static(CONTENT)).await.unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        let error = draft.write(Bytes::from_static(CONTENT)).await.unwrap_err();
        assert!(matches!(error, StoreError::Abandoned { .. }), "{error}");
        assert!(draft.finish(Key::MirrorFile).await.is_err());
        assert_nothing_kept(folder.path(), &store);
    }

    #[tokio::test]
    async fn readers_have_what_was_verified_even_if_it_cannot_be_kept() {
        let (folder, store) = store();
        std::fs::write(folder.path().join("files"), b"in the way").unwrap();
        let draft = store.draft("six.whl", promise(), None, 100).unwrap();
        let growing = draft.growing();
        let error = send(draft, &[CONTENT]).await.unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        assert_eq!(
            growing.settled().await,
            Readable::Complete(CONTENT.len() as u64)
        );
        assert_eq!(
            std::fs::read_dir(folder.path().join("tmp"))
                .unwrap()
                .count(),
            0
        );
    }

    #[tokio::test]
    async fn a_write_given_up_half_way_never_leaves_a_gap() {
        let (chunks, mut steps) = mpsc::channel(1);
        let (growing, _release) = Growing::arriving(tempfile::tempfile().unwrap(), None);
        let (what, growing) = ("upload".to_owned(), Arc::new(growing));
        let mut draft = Draft {
            what,
            chunks,
            growing,
            outcome: None,
            is_sending: false,
        };
        draft.write(Bytes::from_static(b"first")).await.unwrap();
        let given_up = draft.write(Bytes::from_static(b"second")).now_or_never();
        assert!(given_up.is_none());
        assert!(steps.recv().await.is_some());
        let error = draft.write(Bytes::from_static(b"third")).await.unwrap_err();
        assert!(matches!(error, StoreError::Abandoned { .. }), "{error}");
        assert!(draft.finish(Key::PrivateFile).await.is_err());
        assert!(steps.recv().await.is_none());
    }

    #[tokio::test]
    async fn drafts_of_one_digest_end_in_one_file() {
        let (_folder, store) = store();
        let drafts = (0..8).map(|_| store.draft("six.whl", promise(), None, 100).unwrap());
        let ended = join_all(drafts.map(|draft| send(draft, &[CONTENT]))).await;
        let (sha256, size) = (Sha256::of(CONTENT), CONTENT.len() as u64);
        for stored in ended {
            assert_eq!(stored.unwrap(), Stored { sha256, size });
        }
        assert_eq!(store.contents().count(), 1);
        assert_eq!(store.quota().used_bytes(), size);
    }

    #[tokio::test]
    async fn a_second_process_leaves_drafts_of_the_first_alone() {
        let (folder, first) = store();
        let mut draft = first.draft("six.whl", promise(), None, 100).unwrap();
        draft
            .write(Bytes::from_static(&CONTENT[..5]))
            .await
            .unwrap();
        let second = FsStore::open(folder.path(), 1 << 30).unwrap();
        let other = second.draft("other", Hashes::default(), None, 100).unwrap();
        send(draft, &[&CONTENT[5..]]).await.unwrap();
        send(other, &[b"other"]).await.unwrap();
        assert_eq!(first.contents().count(), 2);
    }
}
