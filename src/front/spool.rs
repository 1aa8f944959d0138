//! The body of a passed answer: in memory if it is small, otherwise through a nameless file on disk.
//!
//! The file is read while it is written, like a file being fetched, and is gone with its last reader. So
//! a slow client costs disk, but neither memory nor one of devpi's threads.

use std::fs::File;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;

use crate::exchange::Body;
use crate::store::{Growing, Readable};
use crate::upstream::FleetAnswer;

/// Largest body held in memory: every object except the longest lists.
const MEMORY_BYTES_MAX: usize = 1 << 20;

/// Reads a body, or the beginning of it; the rest arrives on `work` while it is sent. At most `bytes_max`
/// are read.
///
/// # Errors
/// What went wrong before anything could be promised to the client, in words.
pub async fn body_of(
    mut answer: FleetAnswer,
    bytes_max: u64,
    work: &tokio::runtime::Handle,
) -> Result<Body, String> {
    let length = answer.length();
    if length.is_some_and(|length| length > bytes_max) {
        return Err(format!("an answer of more than {bytes_max} bytes"));
    }
    let mut held = BytesMut::new();
    while held.len() <= MEMORY_BYTES_MAX {
        match answer.chunk().await.map_err(|error| error.to_string())? {
            Some(chunk) => held.extend_from_slice(&chunk),
            None => return Ok(Body::Bytes(held.freeze())),
        }
    }
    let file =
        tempfile::tempfile().map_err(|error| format!("make a file to pass through: {error}"))?;
    let reader = file
        .try_clone()
        .map_err(|error| format!("make a file to pass through: {error}"))?;
    let (growing, release) = Growing::new(reader);
    work.spawn(async move {
        let ended = take_in(answer, held.freeze(), file, bytes_max, &release).await;
        release.send_replace(match ended {
            Ok(total) => Readable::Complete(total),
            Err(why) => Readable::Failed(why.into()),
        });
    });
    Ok(Body::Growing {
        growing: Arc::new(growing),
        start: 0,
        length,
    })
}

async fn take_in(
    mut answer: FleetAnswer,
    first: Bytes,
    file: File,
    bytes_max: u64,
    release: &watch::Sender<Readable>,
) -> Result<u64, String> {
    let mut file = tokio::fs::File::from_std(file);
    let mut written = 0_u64;
    let mut next = Some(first);
    while let Some(chunk) = next {
        written += chunk.len() as u64;
        if written > bytes_max {
            return Err(format!("more than {bytes_max} bytes came"));
        }
        file.write_all(&chunk)
            .await
            .map_err(|error| error.to_string())?;
        file.flush().await.map_err(|error| error.to_string())?;
        if release.is_closed() {
            return Err("its client went away".to_owned());
        }
        release.send_replace(Readable::Until(written));
        next = answer.chunk().await.map_err(|error| error.to_string())?;
    }
    Ok(written)
}
