//! Reads archives, each within bounds and its share of what may be read at one time (`limits.decoding`).
//!
//! How much memory a directory or metadata takes is known only once it has been read, and nearly all
//! are short. So an archive is first read up to a bound, with a small share, and only one that exceeds
//! it waits for a large share and is read again.

use crate::exchange::error::{Error, blocking};
use crate::protocol::ArchiveBounds;
use crate::upstream::Decoding;

/// Reads archives, within the budget and the operator's bounds.
#[derive(Debug, Clone)]
pub struct Archives {
    decoding: Decoding,
    bounds: ArchiveBounds,
}

impl Archives {
    pub fn new(decoding: Decoding, metadata_bytes_max: u64) -> Self {
        let bounds = ArchiveBounds::with_metadata(metadata_bytes_max);
        Self { decoding, bounds }
    }

    /// Has `look` read an archive, blocking, within bounds; again within wider ones if its error
    /// `is_beyond` the first.
    ///
    /// # Errors
    /// When no share could be had in time.
    pub async fn look<T, E>(
        &self,
        look: impl Fn(ArchiveBounds) -> Result<T, E> + Clone + Send + 'static,
        is_beyond: fn(&E) -> bool,
    ) -> Result<Result<T, E>, Error>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let first = self.look_once(look.clone(), self.bounds.first()).await?;
        if first.as_ref().is_err_and(is_beyond) {
            return self.look_once(look, self.bounds).await;
        }
        Ok(first)
    }

    async fn look_once<T: Send + 'static>(
        &self,
        look: impl FnOnce(ArchiveBounds) -> T + Send + 'static,
        bounds: ArchiveBounds,
    ) -> Result<T, Error> {
        let share = self.decoding.share_of(bounds.memory_bytes()).await;
        let share = share.map_err(Error::busy)?;
        let bounds = bounds.within(share.bytes());
        let work = move || {
            let looked = look(bounds);
            // Held until what was read has been dropped.
            drop(share);
            looked
        };
        blocking("look into an archive", work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::exchange::error::ErrorKind;

    #[tokio::test]
    async fn a_long_directory_is_read_again_with_a_larger_share() {
        let decoding = Decoding::new(256 << 20, Duration::ZERO);
        let bounds = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&bounds);
        let read = move |bounds: ArchiveBounds| {
            seen.lock()
                .unwrap()
                .push((bounds.directory_bytes_max, bounds.metadata_bytes_max));
            if bounds.directory_bytes_max < 1 << 20 {
                Err("longer")
            } else {
                Ok(())
            }
        };
        let archives = Archives::new(decoding, 4 << 20);
        let looked = archives
            .look(read.clone(), |error| *error == "longer")
            .await;
        assert_eq!(looked.unwrap(), Ok(()));
        let (first, second) = ((512 << 10, 256 << 10), (16 << 20, 4 << 20));
        assert_eq!(*bounds.lock().unwrap(), [first, second]);
        let looked = archives.look(read, |error| *error == "broken").await;
        assert_eq!(looked.unwrap(), Err("longer"));
        assert_eq!(bounds.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn no_directory_is_longer_than_what_one_reader_may_have_bears() {
        let archives = Archives::new(Decoding::new(2 << 20, Duration::ZERO), 64 << 10);
        let read = |bounds: ArchiveBounds| -> Result<(), u64> { Err(bounds.directory_bytes_max) };
        let looked = archives.look(read, |_| true).await;
        assert_eq!(looked.unwrap(), Err(128 << 10));
    }

    #[tokio::test]
    async fn where_there_is_no_room_nothing_is_read() {
        let decoding = Decoding::new(2 << 20, Duration::ZERO);
        let all = [
            decoding.share_of(1 << 20).await,
            decoding.share_of(1 << 20).await,
        ];
        let archives = Archives::new(decoding, 1 << 10);
        let looked = archives
            .look(|_| -> Result<(), ()> { panic!("read") }, |()| false)
            .await;
        let error = looked.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable(Some(1)));
        assert!(error.message.contains("limits.decoding"), "{error}");
        drop(all);
    }
}
