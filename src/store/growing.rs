//! A file that is still arriving, as its readers see it.
//!
//! Readers read the file itself, up to what is released. The last [`HELD_BACK_BYTES`] are released only
//! when the digest is verified, and so is the last byte of every answer: no client ever has the whole
//! of a file that is not what its page says, nor a complete part of it.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use tokio::sync::watch;

use crate::store::error::StoreError;

/// How much of the end is held back until the digest is verified: small compared to any file worth
/// streaming, and more than a client could do without.
pub const HELD_BACK_BYTES: u64 = 64 * 1024;

/// How far a growing file can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readable {
    /// Up to this offset for now.
    Until(u64),
    /// It is complete and verified, this long.
    Complete(u64),
    /// It will never be complete.
    Failed(Failure),
}

/// Why a file will never be complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    why: Arc<str>,
    /// Whose fault it is.
    pub blame: Blame,
}

/// Whose fault it is that a file does not become complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The sender stopped, or sent something else.
    Sender,
    /// The disk has no room.
    FullDisk,
    /// The disk fails, or has changed what was written.
    Disk,
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        let blame = match error {
            StoreError::Integrity { .. } | StoreError::Abandoned { .. } => Blame::Sender,
            StoreError::Full { .. } => Blame::FullDisk,
            StoreError::Damaged { .. } | StoreError::Io { .. } => Blame::Disk,
        };
        let why = error.to_string().into();
        Self { why, blame }
    }
}

impl From<String> for Failure {
    /// The sender's.
    fn from(why: String) -> Self {
        let (why, blame) = (why.into(), Blame::Sender);
        Self { why, blame }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.why)
    }
}

/// A file that is arriving.
#[derive(Debug)]
pub struct Growing {
    file: File,
    declared: Option<u64>,
    state: watch::Receiver<Readable>,
}

/// The writer's side: releases what was written, and says how it ended.
#[derive(Debug)]
pub(super) struct Release {
    state: watch::Sender<Readable>,
    declared: Option<u64>,
}

impl Growing {
    /// A file released by somebody else, such as a test of the doors.
    #[must_use]
    pub fn new(file: File) -> (Self, watch::Sender<Readable>) {
        let (growing, release) = Self::arriving(file, None);
        (growing, release.state)
    }

    /// A file of which nothing has arrived yet, and the handle that releases it.
    pub(super) fn arriving(file: File, declared: Option<u64>) -> (Self, Release) {
        let (sender, state) = watch::channel(Readable::Until(0));
        let release = Release {
            state: sender,
            declared,
        };
        let growing = Self {
            file,
            declared,
            state,
        };
        (growing, release)
    }

    /// The file, for reading at offsets that are released.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// How long it will be, if its sender stated that.
    #[must_use]
    pub fn declared_length(&self) -> Option<u64> {
        self.declared
    }

    /// Waits until a byte at `offset` can be read, or no more will come.
    pub async fn readable(&self, offset: u64) -> Readable {
        let mut state = self.state.clone();
        let reached = state.wait_for(|now| !matches!(now, Readable::Until(end) if *end <= offset));
        match reached.await {
            Ok(now) => now.clone(),
            Err(_) => Readable::Failed("its writer went away".to_owned().into()),
        }
    }

    /// Like [`Growing::readable`], for an answer that ends before `end`. Its last byte waits until the
    /// whole is verified, so that no answer is complete if the file is not what its page says, however
    /// little of it was requested.
    pub async fn readable_before(&self, offset: u64, end: u64) -> Readable {
        let last = end.saturating_sub(1);
        if offset >= last {
            return self.settled().await;
        }
        match self.readable(offset).await {
            Readable::Until(until) => Readable::Until(until.min(last)),
            settled @ (Readable::Complete(_) | Readable::Failed(_)) => settled,
        }
    }

    /// Whether it is complete and verified.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(*self.state.borrow(), Readable::Complete(_))
    }

    /// Waits until it is complete or never will be.
    pub async fn settled(&self) -> Readable {
        self.readable(u64::MAX).await
    }
}

impl Release {
    /// So many bytes are written; all except those held back may be read.
    pub(super) fn written(&self, bytes: u64) {
        let end = self
            .declared
            .unwrap_or(bytes)
            .min(bytes.saturating_add(HELD_BACK_BYTES));
        let until = bytes.min(end.saturating_sub(HELD_BACK_BYTES));
        self.state.send_if_modified(|now| {
            let moved = matches!(now, Readable::Until(before) if *before < until);
            if moved {
                *now = Readable::Until(until);
            }
            moved
        });
    }

    /// So many bytes may be read: they are our own, so none has to be held back.
    pub(super) fn all_of(&self, bytes: u64) {
        self.state.send_replace(Readable::Until(bytes));
    }

    /// It is complete and verified.
    pub(super) fn complete(&self, length: u64) {
        self.state.send_replace(Readable::Complete(length));
    }

    /// It will never be complete. What was verified stays readable, even if it could not be kept.
    pub(super) fn failed(&self, error: &StoreError) {
        self.state.send_if_modified(|now| match now {
            Readable::Until(_) => {
                *now = Readable::Failed(error.into());
                true
            }
            Readable::Complete(_) | Readable::Failed(_) => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn cut() -> StoreError {
        StoreError::Abandoned {
            what: "six".to_owned(),
            why: "cut".to_owned(),
        }
    }

    fn growing(declared: Option<u64>) -> (Growing, Release) {
        Growing::arriving(tempfile::tempfile().unwrap(), declared)
    }

    #[tokio::test]
    async fn the_end_is_held_back_until_it_is_verified() {
        const MIB: u64 = 1 << 20;
        for declared in [None, Some(MIB)] {
            let (growing, release) = growing(declared);
            release.written(MIB);
            assert_eq!(
                growing.readable(0).await,
                Readable::Until(MIB - HELD_BACK_BYTES)
            );
            release.complete(MIB);
            assert_eq!(growing.readable(MIB - 1).await, Readable::Complete(MIB));
        }
    }

    #[tokio::test]
    async fn with_a_declared_length_the_middle_is_not_held_back() {
        let (growing, release) = growing(Some(1 << 20));
        release.written(1000);
        assert_eq!(growing.readable(0).await, Readable::Until(1000));
    }

    #[tokio::test]
    async fn the_last_byte_of_a_part_waits_until_the_whole_is_verified() {
        let (growing, release) = growing(Some(1 << 20));
        release.written(1000);
        let before = |offset, end| growing.readable_before(offset, end);
        assert_eq!(before(0, 100).await, Readable::Until(99));
        assert_eq!(before(0, 5000).await, Readable::Until(1000));
        for (offset, end) in [(99, 100), (0, 1), (0, 0)] {
            assert!(
                before(offset, end).now_or_never().is_none(),
                "{offset} {end}"
            );
        }
        release.complete(1 << 20);
        assert_eq!(before(99, 100).await, Readable::Complete(1 << 20));
    }

    #[tokio::test]
    async fn nobody_waits_for_a_writer_that_is_gone() {
        let (growing, release) = growing(None);
        drop(release);
        assert!(matches!(growing.settled().await, Readable::Failed(_)));
        let (growing, release) = self::growing(Some(10));
        release.written(10);
        release.failed(&cut());
        let cut = Readable::Failed(Failure::from(&cut()));
        assert_eq!(growing.readable(0).await, cut);
    }

    #[tokio::test]
    async fn nothing_of_a_small_file_is_read_before_it_is_verified() {
        for declared in [None, Some(HELD_BACK_BYTES)] {
            let (growing, release) = growing(declared);
            release.written(HELD_BACK_BYTES);
            assert!(growing.readable(0).now_or_never().is_none(), "{declared:?}");
            release.complete(HELD_BACK_BYTES);
            assert_eq!(
                growing.readable(0).await,
                Readable::Complete(HELD_BACK_BYTES)
            );
        }
    }

    #[tokio::test]
    async fn what_was_verified_stays_so() {
        let (growing, release) = growing(None);
        release.complete(10);
        release.written(10);
        release.failed(&StoreError::Full {
            doing: "keep six".to_owned(),
        });
        drop(release);
        assert_eq!(growing.settled().await, Readable::Complete(10));
    }

    #[test]
    fn what_may_be_read_never_reaches_the_end_and_never_goes_back() {
        const MIB: u64 = 1 << 20;
        for declared in [
            None,
            Some(0),
            Some(1),
            Some(HELD_BACK_BYTES),
            Some(MIB),
            Some(u64::MAX),
        ] {
            let (growing, release) = growing(declared);
            let mut before = 0;
            for written in (0..=MIB).step_by(10_000) {
                release.written(written);
                let Readable::Until(until) = *growing.state.borrow() else {
                    panic!()
                };
                assert!(
                    before <= until && until <= written,
                    "{declared:?} {written}"
                );
                let length = declared.unwrap_or(written);
                assert!(
                    until <= length.saturating_sub(HELD_BACK_BYTES),
                    "{declared:?} {written}"
                );
                before = until;
            }
        }
    }
}
