//! Bytes in memory that are read while they are made, and are gone with their last reader.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::store::error::StoreError;
use crate::store::growing::{Growing, Release};

/// What is being made. Dropped before [`Passing::finish`], its readers are told that it will never be
/// whole.
#[derive(Debug)]
pub struct Passing {
    file: File,
    written: u64,
    growing: Arc<Growing>,
    release: Release,
}

impl Passing {
    /// Nothing is made yet.
    ///
    /// # Errors
    /// When there is no memory, or no descriptor.
    pub fn new() -> Result<Self, StoreError> {
        let opened = memfd_create("passing", MemfdFlags::CLOEXEC);
        let opened = opened.map_err(io::Error::from).map(File::from);
        let (file, reader) = opened
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(failed)?;
        let (growing, release) = Growing::arriving(reader, None);
        Ok(Self {
            file,
            written: 0,
            growing: Arc::new(growing),
            release,
        })
    }

    /// What readers read while it is made.
    #[must_use]
    pub fn growing(&self) -> Arc<Growing> {
        Arc::clone(&self.growing)
    }

    /// Adds what comes next, and lets readers have it.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all_at(bytes, self.written)
            .map_err(failed)?;
        self.written += bytes.len() as u64;
        self.release.all_of(self.written);
        Ok(())
    }

    /// It is whole.
    pub fn finish(self) {
        self.release.complete(self.written);
    }
}

fn failed(error: io::Error) -> StoreError {
    StoreError::io("hold an answer in memory", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::growing::Readable;

    #[tokio::test]
    async fn it_is_read_as_far_as_it_is_made_and_whole_only_when_it_is_finished() {
        let mut passing = Passing::new().unwrap();
        let growing = passing.growing();
        passing.write(b"abc").unwrap();
        assert_eq!(growing.readable(0).await, Readable::Until(3));
        passing.write(b"de").unwrap();
        passing.finish();
        assert_eq!(growing.readable(5).await, Readable::Complete(5));
        let mut read = [0; 5];
        growing.file().read_exact_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"abcde");

        let mut broken = Passing::new().unwrap();
        let growing = broken.growing();
        broken.write(b"abc").unwrap();
        drop(broken);
        assert!(matches!(growing.settled().await, Readable::Failed(_)));
    }
}
