//! The content of a reply, piece by piece.
//!
//! A piece of a file is read without waiting where the page cache has it, and on a thread that may wait
//! where it has not; either way the runtime never waits for a disk. A file that is still arriving is
//! followed as it grows. Large files on a plaintext socket leave by `sendfile` and bypass this module.

use std::fs::File;
use std::io;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::exchange::{Body, Failure, Growing, Readable, StoredFile};
use crate::listen::presence::Presence;
use crate::listen::reply::Broken;

/// Largest piece: larger ones were slower (docs/protocol/numbers.md §2), and a slow client is judged by
/// the time one piece takes.
pub(super) const PIECE_MAX: u64 = 256 << 10;

/// The content ended before it was whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    /// It was still arriving and will never be complete.
    #[error("the file did not arrive whole: {0}")]
    Failed(Failure),
    /// The file is shorter than stated.
    #[error("the file is shorter than announced")]
    Short,
    /// The disk failed.
    #[error("read a stored file")]
    Read(#[source] io::Error),
}

/// What is left to send.
#[derive(Debug)]
pub(super) enum Pieces {
    Bytes(Bytes),
    File(Stretch),
    /// The end of the part is not final until the file is complete.
    Growing {
        part: Stretch,
        is_length_known: bool,
    },
}

/// A stretch of a file.
#[derive(Debug)]
pub(super) struct Stretch {
    source: Source,
    at: u64,
    left: u64,
    /// The buffer of the last piece, once it is sent.
    spare: Option<BytesMut>,
}

#[derive(Debug, Clone)]
enum Source {
    Stored(Arc<StoredFile>),
    Growing(Arc<Growing>),
}

impl Source {
    fn file(&self) -> &File {
        match self {
            Self::Stored(stored) => stored.file(),
            Self::Growing(growing) => growing.file(),
        }
    }
}

impl Pieces {
    pub(super) fn of(body: Body) -> Self {
        match body {
            Body::Empty => Self::Bytes(Bytes::new()),
            Body::Bytes(bytes) => Self::Bytes(bytes),
            Body::File {
                file,
                start,
                length,
            } => Self::File(Stretch {
                source: Source::Stored(file),
                at: start,
                left: length,
                spare: None,
            }),
            Body::Growing {
                growing,
                start,
                length,
            } => Self::Growing {
                part: Stretch {
                    source: Source::Growing(growing),
                    at: start,
                    left: length.unwrap_or(u64::MAX),
                    spare: None,
                },
                is_length_known: length.is_some(),
            },
        }
    }

    /// The next piece, never empty; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Ok(None),
            Self::Bytes(bytes) => {
                let size = bytes.len().min(PIECE_MAX as usize);
                Ok(Some(bytes.split_to(size)))
            }
            Self::File(part) => {
                let end = part.at.saturating_add(part.left);
                part.read_until(end).await
            }
            Self::Growing {
                part,
                is_length_known,
            } => {
                let end = part.arrived(*is_length_known).await?;
                part.read_until(end).await
            }
        }
    }
}

impl Pieces {
    /// Like [`next`](Self::next), but waits for a file that is still arriving only while its client is
    /// there.
    pub(super) async fn next_for(&mut self, presence: &Presence) -> Result<Option<Bytes>, Broken> {
        let is_arriving = matches!(self, Self::Growing { .. });
        let mut next = pin!(self.next());
        if !is_arriving {
            return Ok(next.await?);
        }
        let next = presence.unless_gone(next.as_mut()).await;
        Ok(next.ok_or(Broken::Gone)??)
    }

    /// Takes back a piece that was sent, so that the next one needs no memory of its own.
    pub(super) fn take_back(&mut self, piece: Bytes) {
        if let Self::File(part) | Self::Growing { part, .. } = self {
            part.spare = piece.try_into_mut().ok();
        }
    }
}

/// For callers that send a file without reading it.
impl Stretch {
    pub(super) fn file(&self) -> &File {
        self.source.file()
    }

    /// The next byte's place in the file.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// A stored file is not what it was stated to be, or its disk cannot read it: it is checked before
    /// it is served again.
    pub(super) fn distrust(&self) {
        if let Source::Stored(stored) = &self.source {
            stored.distrust();
        }
    }

    /// These bytes are sent.
    pub(super) fn skip(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.at += bytes;
        self.left -= bytes;
    }

    /// Whether the page cache has the next `window` bytes, judging by the first and last of them.
    pub(super) fn is_held(&self, window: u64) -> bool {
        let last = self.at + self.left.min(window).saturating_sub(1);
        let has = |at| read_cached(self.file(), &mut [0], at) == Some(1);
        has(self.at) && has(last)
    }
}

impl Stretch {
    /// Waits until there is more; returns up to where.
    async fn arrived(&mut self, is_length_known: bool) -> Result<u64, Cut> {
        if self.left == 0 {
            return Ok(self.at);
        }
        let Source::Growing(growing) = &self.source else {
            return Ok(self.at.saturating_add(self.left));
        };
        let end = self.at.saturating_add(self.left);
        match growing.readable_before(self.at, end).await {
            Readable::Until(end) => Ok(end),
            Readable::Complete(total) if is_length_known => {
                let is_short = total < self.at.saturating_add(self.left);
                if is_short { Err(Cut::Short) } else { Ok(total) }
            }
            Readable::Complete(total) => {
                self.left = total.saturating_sub(self.at);
                Ok(total)
            }
            Readable::Failed(failure) => Err(Cut::Failed(failure)),
        }
    }

    async fn read_until(&mut self, end: u64) -> Result<Option<Bytes>, Cut> {
        let size = end.saturating_sub(self.at).min(self.left).min(PIECE_MAX);
        if size == 0 {
            return if self.left == 0 {
                Ok(None)
            } else {
                Err(Cut::Short)
            };
        }
        let mut buffer = self.spare.take().unwrap_or_default();
        buffer.resize(size as usize, 0);
        let read = match read_cached(self.source.file(), &mut buffer, self.at) {
            Some(read) => read,
            None => {
                let (source, at) = (self.source.clone(), self.at);
                let reading = tokio::task::spawn_blocking(move || {
                    let read = source.file().read_at(&mut buffer, at);
                    read.map(|read| (buffer, read))
                });
                let outcome = reading
                    .await
                    .map_err(|error| Cut::Read(io::Error::other(error)))?;
                let (filled, read) = outcome.map_err(|error| {
                    self.distrust();
                    Cut::Read(error)
                })?;
                buffer = filled;
                read
            }
        };
        if read == 0 {
            self.distrust();
            return Err(Cut::Short);
        }
        buffer.truncate(read);
        self.at += read as u64;
        self.left -= read as u64;
        Ok(Some(buffer.freeze()))
    }
}

/// Reads what the page cache has; `None` if a blocking read is needed: not cached, or the file system
/// does not support the question, or an error that the blocking read will meet again.
fn read_cached(file: &File, buffer: &mut [u8], at: u64) -> Option<usize> {
    loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match preadv2(file, &mut slices, at, ReadWriteFlags::NOWAIT) {
            Ok(read) => return Some(read),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    async fn collect(mut pieces: Pieces) -> (Vec<u8>, Result<(), Cut>) {
        let mut content = Vec::new();
        loop {
            match pieces.next().await {
                Ok(Some(piece)) => {
                    assert!(!piece.is_empty() && piece.len() as u64 <= PIECE_MAX);
                    content.extend_from_slice(&piece);
                }
                Ok(None) => return (content, Ok(())),
                Err(cut) => return (content, Err(cut)),
            }
        }
    }

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|at| (at % 251) as u8).collect()
    }

    fn stored(content: &[u8]) -> Arc<StoredFile> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(StoredFile::new(file).unwrap())
    }

    #[tokio::test]
    async fn a_stretch_of_a_file_comes_whole() {
        let content = content(600_000);
        let file = stored(&content);
        for (start, length) in [(0, 600_000), (1, 1), (599_999, 1), (100, 300_000), (0, 0)] {
            let body = Body::File {
                file: Arc::clone(&file),
                start,
                length,
            };
            let (found, outcome) = collect(Pieces::of(body)).await;
            assert!(outcome.is_ok());
            assert!(
                found == content[start as usize..(start + length) as usize],
                "{start}+{length}"
            );
        }
    }

    #[tokio::test]
    async fn a_file_that_shrank_is_cut() {
        let body = Body::File {
            file: stored(b"abc"),
            start: 1,
            length: 10,
        };
        let (found, outcome) = collect(Pieces::of(body)).await;
        assert_eq!(found, b"bc");
        assert!(matches!(outcome, Err(Cut::Short)));
    }

    #[tokio::test]
    async fn memory_is_cut_up_too() {
        let content = content(600_000);
        let (found, outcome) = collect(Pieces::of(Body::Bytes(content.clone().into()))).await;
        assert!(outcome.is_ok() && found == content);
        assert!(collect(Pieces::of(Body::Empty)).await.0.is_empty());
    }

    /// Lets a file arrive in the given steps while it is followed.
    async fn follow(
        size: usize,
        start: u64,
        length: Option<u64>,
        steps: Vec<Readable>,
    ) -> (Vec<u8>, Result<(), Cut>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content(size)).unwrap();
        let (growing, hand) = Growing::new(file);
        let body = Body::Growing {
            growing: Arc::new(growing),
            start,
            length,
        };
        let filling = async {
            for step in steps {
                hand.send_replace(step);
                tokio::task::yield_now().await;
            }
        };
        let (outcome, ()) = tokio::join!(collect(Pieces::of(body)), filling);
        outcome
    }

    #[tokio::test]
    async fn a_growing_file_is_followed_to_its_end() {
        let steps = || {
            vec![
                Readable::Until(10),
                Readable::Until(300_000),
                Readable::Complete(500_000),
            ]
        };
        for (start, length, expected) in [
            (0, Some(500_000), 0..500_000),
            (0, None, 0..500_000),
            (5, Some(3), 5..8),
            (499_990, Some(10), 499_990..500_000),
            (400_000, None, 400_000..500_000),
            (500_000, None, 500_000..500_000),
        ] {
            let (found, outcome) = follow(500_000, start, length, steps()).await;
            assert!(outcome.is_ok(), "{start} {length:?}: {outcome:?}");
            assert!(found == content(500_000)[expected], "{start} {length:?}");
        }
    }

    #[tokio::test]
    async fn a_failed_fill_is_a_cut_after_what_came() {
        for length in [Some(100), None] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&content(50)).unwrap();
            let (growing, hand) = Growing::new(file);
            let growing = Arc::new(growing);
            let mut pieces = Pieces::of(Body::Growing {
                growing,
                start: 0,
                length,
            });
            hand.send_replace(Readable::Until(50));
            assert_eq!(pieces.next().await.unwrap().unwrap().len(), 50);
            hand.send_replace(Readable::Failed("wrong digest".to_owned().into()));
            assert!(
                matches!(pieces.next().await, Err(Cut::Failed(_))),
                "{length:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_file_that_ends_before_its_announced_length_is_cut() {
        let (_, outcome) = follow(50, 0, Some(100), vec![Readable::Complete(50)]).await;
        assert!(matches!(outcome, Err(Cut::Short)));
    }
}
