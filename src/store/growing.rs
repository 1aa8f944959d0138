//! A file that is still arriving, as everyone who waits for it sees it.
//!
//! Readers read the file itself, up to what is released. The last [`HELD_BACK_BYTES`] are released
//! only when the digest holds, so that no client ever has the whole of a file that is not what its
//! page says.

use std::fs::File;
use std::sync::Arc;

use tokio::sync::watch;

/// How much of the end is held back until the digest holds: small beside any file worth streaming,
/// and more than what a client could do without.
pub const HELD_BACK_BYTES: u64 = 64 * 1024;

/// How far a growing file can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readable {
    /// Up to this offset for now.
    Until(u64),
    /// It is whole and verified, this long.
    Complete(u64),
    /// It will never be whole.
    Failed(Arc<str>),
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
    /// A file of which nothing has arrived yet, and the hand that releases it.
    pub(super) fn new(file: File, declared: Option<u64>) -> (Self, Release) {
        let (sender, state) = watch::channel(Readable::Until(0));
        (
            Self {
                file,
                declared,
                state,
            },
            Release {
                state: sender,
                declared,
            },
        )
    }

    /// The file, for reading at offsets that are released.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// How long it will be, where its sender said so.
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
            Err(_) => Readable::Failed("its writer went away".into()),
        }
    }

    /// Waits until it is whole or never will be.
    pub async fn settled(&self) -> Readable {
        self.readable(u64::MAX).await
    }
}

impl Release {
    /// So many bytes are written; all but the held back ones may be read.
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

    /// It is whole and verified.
    pub(super) fn complete(&self, length: u64) {
        self.state.send_replace(Readable::Complete(length));
    }

    /// It will never be whole.
    pub(super) fn failed(&self, why: &str) {
        self.state.send_replace(Readable::Failed(why.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(declared: Option<u64>) -> (Growing, Release) {
        Growing::new(tempfile::tempfile().unwrap(), declared)
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
    async fn nobody_waits_for_a_writer_that_is_gone() {
        let (growing, release) = growing(None);
        drop(release);
        assert!(matches!(growing.settled().await, Readable::Failed(_)));
        let (growing, release) = super::tests::growing(Some(10));
        release.written(10);
        release.failed("cut");
        assert_eq!(growing.readable(0).await, Readable::Failed("cut".into()));
    }
}
