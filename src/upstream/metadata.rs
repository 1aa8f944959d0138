//! What a wheel's directory leads to, by range requests, without downloading the wheel: its `METADATA`, or
//! whether it has startup files.
//!
//! The end of the wheel is fetched first, since it holds the archive's directory; then whatever the
//! reader is missing, in pieces of doubling size, until it has read the file or the bounds are reached.
//! Where that cannot work the caller is told to fetch the whole wheel: there are no partial results.

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;
use url::Url;

use crate::model::Filename;
use crate::protocol::{ArchiveBounds, DIRECTORY_WEIGHT};
use crate::upstream::client::Upstream;
use crate::upstream::decoding::Share;
use crate::upstream::error::UpstreamError;
use crate::upstream::file::{ByteRange, FileAnswer, FilePart, UpstreamFile};
use crate::upstream::sparse::{Cursor, Sparse};
use crate::upstream::wheel::{InvalidWheel, metadata, startup_files};

/// First piece from the end, in bytes: the directory of a few hundred files, and often the metadata.
const TAIL_BYTES: u64 = 32 << 10;

/// Most requests for one wheel.
const ROUNDS_MAX: u32 = 10;

/// Most bytes for one wheel: beyond that, fetching the whole wheel is cheaper. It is less if one reader may
/// not have so much of `limits.decoding`.
const BYTES_MAX: u64 = 8 << 20;

/// How much memory the bytes of a wheel take, as a multiple, when held and read as a directory.
const HELD_WEIGHT: u64 = 1 + DIRECTORY_WEIGHT;

/// Reads something out of a wheel of which some ranges are here.
type WheelReader<T> = fn(Cursor<'_, Sparse>, &Filename, ArchiveBounds) -> Result<T, InvalidWheel>;

/// The outcome of the attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WheelAnswer<T> {
    /// What was looked for.
    Found(T),
    /// There is no such wheel (404 or 410).
    NotFound,
    /// It is not available without the whole wheel: the upstream ignores, refuses or misreads ranges,
    /// or too many would be needed.
    NeedWhole,
    /// The wheel has nothing of the kind: it is no archive that can be read, or not of the project.
    Invalid(InvalidWheel),
}

impl Upstream {
    /// Reads the `METADATA` of the wheel at `url`.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn wheel_metadata(
        &self,
        url: &Url,
        filename: &Filename,
    ) -> Result<WheelAnswer<Bytes>, UpstreamError> {
        let read: WheelReader<Bytes> = |wheel, name, bounds| metadata(wheel, name, bounds);
        self.by_ranges_or_whole(url, filename, read).await
    }

    /// Finds out whether the wheel at `url` has startup files.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn wheel_startup_files(
        &self,
        url: &Url,
        filename: &Filename,
    ) -> Result<WheelAnswer<bool>, UpstreamError> {
        let read: WheelReader<bool> = |wheel, name, bounds| startup_files(wheel, name, bounds);
        self.by_ranges_or_whole(url, filename, read).await
    }

    async fn by_ranges_or_whole<T>(
        &self,
        url: &Url,
        filename: &Filename,
        read: WheelReader<T>,
    ) -> Result<WheelAnswer<T>, UpstreamError> {
        match self.by_ranges(url, filename, read).await {
            // Some servers know only `first-last` and take `-count` for malformed or for a first byte,
            // and some answer every range with an error of their own.
            Err(error) if error.is_about_the_question() => Ok(WheelAnswer::NeedWhole),
            found => found,
        }
    }

    async fn by_ranges<T>(
        &self,
        url: &Url,
        filename: &Filename,
        read: WheelReader<T>,
    ) -> Result<WheelAnswer<T>, UpstreamError> {
        let mut tail = match self.open(url, Some(ByteRange::Last(TAIL_BYTES))).await? {
            FileAnswer::Found(file) => file,
            FileAnswer::NotFound => return Ok(WheelAnswer::NotFound),
            FileAnswer::NotSatisfiable => return Ok(WheelAnswer::NeedWhole),
        };
        let FilePart::Range {
            start,
            size: Some(size),
            ..
        } = tail.part
        else {
            return Ok(WheelAnswer::NeedWhole);
        };
        let etag = tail.etag.clone();
        let mut wheel = Sparse::new(size);
        wheel.insert(start, collect(&mut tail).await?);
        let mut fetched = size - start;
        let bytes_max = BYTES_MAX.min(self.decoding.share_bytes_max() / HELD_WEIGHT);
        let mut share = self.decoding.share();
        let mut piece = TAIL_BYTES;
        for _ in 1..ROUNDS_MAX {
            let found = self
                .read_held(&mut wheel, (filename, read), fetched, &mut share)
                .await?;
            let Some(hole) = wheel.missed(piece) else {
                return Ok(found.map_or_else(WheelAnswer::Invalid, WheelAnswer::Found));
            };
            fetched += hole.end - hole.start;
            if fetched > bytes_max {
                break;
            }
            let range = ByteRange::Between(hole.start, hole.end - 1);
            let FileAnswer::Found(mut file) = self.open(url, Some(range)).await? else {
                return Ok(WheelAnswer::NeedWhole);
            };
            let is_same = file.etag == etag
                && matches!(file.part, FilePart::Range { size: total, end, .. }
                    if total.is_none_or(|total| total == size) && end == hole.end);
            if !is_same {
                return Ok(WheelAnswer::NeedWhole);
            }
            wheel.insert(hole.start, collect(&mut file).await?);
            piece *= 2;
        }
        Ok(WheelAnswer::NeedWhole)
    }
}

impl Upstream {
    /// Reads the parts of a wheel that are here, `held` bytes, within a share that covers them, the
    /// directory parsed from them, and the metadata; long metadata takes a second attempt.
    async fn read_held<T>(
        &self,
        wheel: &mut Sparse,
        (filename, read): (&Filename, WheelReader<T>),
        held: u64,
        share: &mut Share,
    ) -> Result<Result<T, InvalidWheel>, UpstreamError> {
        // No directory is longer than what is held.
        let room = |bounds: ArchiveBounds| {
            let directory_bytes_max = held;
            let held_as = ArchiveBounds {
                directory_bytes_max,
                ..bounds
            };
            held.saturating_add(held_as.memory_bytes())
        };
        let bounds = ArchiveBounds::with_metadata(self.limits.metadata);
        let first = bounds.first_of_metadata();
        self.make_room(share, room(first)).await?;
        let found = read(Cursor::new(&*wheel), filename, first);
        if first == bounds || !found.as_ref().is_err_and(InvalidWheel::is_beyond) {
            return Ok(found);
        }
        self.make_room(share, room(bounds)).await?;
        Ok(read(Cursor::new(&*wheel), filename, bounds))
    }

    /// Waits for that much of the budget.
    async fn make_room(&self, share: &mut Share, bytes: u64) -> Result<(), UpstreamError> {
        let grown = share.grow_to(bytes.min(self.decoding.share_bytes_max()));
        let in_time = timeout(self.limits.upstream_total_timeout, grown).await;
        in_time.map_err(|_| UpstreamError::Busy {
            index: self.name.clone(),
        })
    }
}

/// All of a range; its length is bounded by the request.
async fn collect(file: &mut UpstreamFile) -> Result<Bytes, UpstreamError> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = file.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}
