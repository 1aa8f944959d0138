//! How much of an archive is read to find out what it contains.
//!
//! A zip is read from its directory, which a reader holds in memory at several times its size. So the bytes
//! read for it are bounded, whoever made the archive: at first by what all but a few wheels need, and for
//! those few by much more, which may have to wait for a turn.

use std::io;
use std::io::{Read, Seek, SeekFrom};

/// Bytes of a directory that are read at first: some four thousand files.
const DIRECTORY_BYTES_FIRST: u64 = 512 << 10;

/// Most bytes of a directory: room for 100,000 files.
const DIRECTORY_BYTES_MAX: u64 = 16 << 20;

/// How many times its size a directory takes in memory while it is read, at most. Measured with the
/// shortest possible names: 6.4.
pub const DIRECTORY_WEIGHT: u64 = 8;

/// Bytes of metadata that are unpacked at first: several times the common length.
const METADATA_BYTES_FIRST: u64 = 256 << 10;

/// How many times its size metadata takes while it is unpacked: memory grows by doubling, and copies
/// of it are compared.
const METADATA_WEIGHT: u64 = 3;

/// Most bytes of an archive that are held while it is read for its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveBounds {
    /// Of a zip's directory.
    pub directory_bytes_max: u64,
    /// Of the metadata, unpacked: the operator's `limits.metadata`.
    pub metadata_bytes_max: u64,
}

impl ArchiveBounds {
    /// The most that any archive may take, given a limit on its metadata.
    #[must_use]
    pub const fn with_metadata(metadata_bytes_max: u64) -> Self {
        Self {
            directory_bytes_max: DIRECTORY_BYTES_MAX,
            metadata_bytes_max,
        }
    }

    /// Bounds that all but a few archives stay within.
    #[must_use]
    pub fn first(self) -> Self {
        Self {
            directory_bytes_max: self.directory_bytes_max.min(DIRECTORY_BYTES_FIRST),
            ..self.first_of_metadata()
        }
    }

    /// The same directory, and a bound that nearly all metadata stays within.
    #[must_use]
    pub fn first_of_metadata(self) -> Self {
        Self {
            metadata_bytes_max: self.metadata_bytes_max.min(METADATA_BYTES_FIRST),
            ..self
        }
    }

    /// The memory that reading within these bounds takes, in bytes.
    #[must_use]
    pub fn memory_bytes(self) -> u64 {
        let metadata = self.metadata_bytes_max.saturating_mul(METADATA_WEIGHT);
        let directory = self.directory_bytes_max.saturating_mul(DIRECTORY_WEIGHT);
        directory.saturating_add(metadata)
    }

    /// The same, with a directory no larger than so much memory allows.
    #[must_use]
    pub fn within(self, memory_bytes: u64) -> Self {
        let borne = memory_bytes / DIRECTORY_WEIGHT;
        Self {
            directory_bytes_max: self.directory_bytes_max.min(borne),
            ..self
        }
    }
}

/// A reader that stops with [`Spent`] after a number of bytes.
#[derive(Debug)]
pub struct Bounded<R> {
    inner: R,
    left: u64,
}

/// More was read than allowed.
#[derive(Debug, thiserror::Error)]
#[error("more was read than is allowed")]
pub struct Spent;

impl Spent {
    /// Whether this is why a read failed.
    #[must_use]
    pub fn is_cause_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl<R> Bounded<R> {
    /// Reads at most `bytes_max` from `inner`.
    pub fn new(inner: R, bytes_max: u64) -> Self {
        Self {
            inner,
            left: bytes_max,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other(Spent))?;
        Ok(count)
    }
}

impl<R: Seek> Seek for Bounded<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_read_is_spent_once() {
        let mut reader = Bounded::new(io::Cursor::new([0_u8; 100]), 99);
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(Spent::is_cause_of(&error));
        let mut enough = Bounded::new(&[0_u8; 99][..], 99);
        assert_eq!(enough.read_to_end(&mut Vec::new()).unwrap(), 99);
        let mut again = Bounded::new(io::Cursor::new([0_u8; 60]), 99);
        again.read_to_end(&mut Vec::new()).unwrap();
        again.rewind().unwrap();
        assert!(again.read_to_end(&mut Vec::new()).is_err());
        assert!(!Spent::is_cause_of(&io::Error::other("another")));
    }
}
