//! Looking into archives, each within its share of what may be read at one time (`limits.decoding`).
//!
//! What a directory takes in memory is known only when it has been read, and nearly all are short. So
//! one is read up to a bound at first, with a small share, and only one that is longer waits for a
//! large share and is read again.

use super::error::{Error, ErrorKind};
use crate::protocol::{DIRECTORY_BYTES_FIRST, DIRECTORY_BYTES_MAX, DIRECTORY_WEIGHT};
use crate::upstream::Decoding;

/// Has `look` read an archive, blocking, with the most bytes that it may read of its directory; again
/// with more when what it says `is_beyond` that.
///
/// # Errors
/// When no share could be had in time.
pub(super) async fn look<T, E>(
    decoding: &Decoding,
    look: impl Fn(u64) -> Result<T, E> + Clone + Send + 'static,
    is_beyond: fn(&E) -> bool,
) -> Result<Result<T, E>, Error>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let first = look_once(decoding, look.clone(), DIRECTORY_BYTES_FIRST).await?;
    if first.as_ref().is_err_and(is_beyond) {
        return look_once(decoding, look, DIRECTORY_BYTES_MAX).await;
    }
    Ok(first)
}

async fn look_once<T: Send + 'static>(
    decoding: &Decoding,
    look: impl FnOnce(u64) -> T + Send + 'static,
    bytes_max: u64,
) -> Result<T, Error> {
    let share = decoding.share_of(bytes_max * DIRECTORY_WEIGHT).await;
    let share = share
        .map_err(|crowded| Error::new(ErrorKind::Unavailable(Some(1)), crowded.to_string()))?;
    let work = move || {
        let looked = look(bytes_max);
        // Held until what was read is gone.
        drop(share);
        looked
    };
    let looked = tokio::task::spawn_blocking(work).await;
    looked.map_err(|error| Error::internal("look into an archive", error))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_long_directory_is_read_again_with_a_larger_share() {
        let decoding = Decoding::new(256 << 20, Duration::ZERO);
        let bounds = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&bounds);
        let read = move |bytes_max: u64| {
            seen.lock().unwrap().push(bytes_max);
            if bytes_max < 1 << 20 {
                Err("longer")
            } else {
                Ok(())
            }
        };
        let looked = look(&decoding, read.clone(), |error| *error == "longer").await;
        assert_eq!(looked.unwrap(), Ok(()));
        assert_eq!(*bounds.lock().unwrap(), [512 << 10, 16 << 20]);
        let looked = look(&decoding, read, |error| *error == "broken").await;
        assert_eq!(looked.unwrap(), Err("longer"));
        assert_eq!(bounds.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn where_there_is_no_room_nothing_is_read() {
        let decoding = Decoding::new(2 << 20, Duration::ZERO);
        let all = [
            decoding.share_of(1 << 20).await,
            decoding.share_of(1 << 20).await,
        ];
        let looked = look(
            &decoding,
            |_| -> Result<(), ()> { panic!("read") },
            |()| false,
        )
        .await;
        let error = looked.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable(Some(1)));
        assert!(error.message.contains("limits.decoding"), "{error}");
        drop(all);
    }
}
