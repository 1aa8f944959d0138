//! The copies of one name in a ZIP archive: readers that index by name show only one of them.
//!
//! The archive was read before, so its directory is known to be valid; this walks through it once more.

use std::io;
use std::io::{Read, Seek, SeekFrom};

use zip::ZipReadOptions;
use zip::read::{ZipFile, read_zipfile_from_stream_with_options};
use zip::result::{ZipError, ZipResult};

use crate::protocol::archive::directory::walk;

/// Where an entry says where its file begins.
const STARTS_AT: usize = 42;

/// Most copies of one name. Tools that write a file twice do it twice.
const COPIES_MAX: usize = 8;

/// Marks a number that is stored elsewhere (ZIP64), which no metadata needs.
const ELSEWHERE: u32 = u32::MAX;

/// One of the copies.
#[derive(Debug)]
struct Copy {
    /// Where it begins.
    start: u64,
    crc: u32,
    compressed: u64,
    size: u64,
}

impl Copy {
    /// Opens it in a reader positioned at its beginning; `None` if no file begins there.
    fn open<'a, R: Read>(&self, archive: &'a mut R) -> ZipResult<Option<ZipFile<'a, R>>> {
        let options = ZipReadOptions::new()
            .override_compressed_size(self.compressed)
            .override_uncompressed_size(self.size)
            .override_crc(self.crc);
        read_zipfile_from_stream_with_options(archive, options)
    }
}

/// Whether every copy of `name` has this content, in an archive that begins at `offset` and whose
/// directory begins at `directory`.
///
/// # Errors
/// When it cannot be read, or there are implausibly many copies.
pub fn copies_agree<R: Read + Seek>(
    name: &[u8],
    archive: &mut R,
    (directory, offset): (u64, u64),
    content: &[u8],
) -> ZipResult<bool> {
    for copy in copies_of(name, archive, (directory, offset))? {
        archive.seek(SeekFrom::Start(copy.start))?;
        let Some(file) = copy.open(archive)? else {
            return Ok(false);
        };
        let mut found = Vec::new();
        // One more byte shows that it is longer.
        let most = (content.len() as u64).saturating_add(1);
        file.take(most)
            .read_to_end(&mut found)
            .map_err(ZipError::Io)?;
        if found != content {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The copies of `name`, in an archive that begins at `offset` and whose directory begins at `directory`.
fn copies_of<R: Read + Seek>(
    name: &[u8],
    archive: &mut R,
    (directory, offset): (u64, u64),
) -> io::Result<Vec<Copy>> {
    let mut copies = Vec::new();
    walk(archive, directory, |entry| {
        if entry.name != name {
            return Ok(());
        }
        let (crc, compressed, size) = (entry.long(16), entry.long(20), entry.long(24));
        let start = entry.long(STARTS_AT);
        if [compressed, size, start].contains(&ELSEWHERE) || copies.len() == COPIES_MAX {
            let what = "too many copies of its metadata, or too large ones";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        copies.push(Copy {
            start: offset.saturating_add(start.into()),
            crc,
            compressed: compressed.into(),
            size: size.into(),
        });
        Ok(())
    })?;
    Ok(copies)
}

/// Where the first of its files begins, in an archive that begins at `offset` and whose directory begins at
/// `directory`; `None` for an empty one. Files that begin beyond 4 GiB are not the first.
///
/// # Errors
/// When it cannot be read.
pub fn first_start<R: Read + Seek>(
    archive: &mut R,
    (directory, offset): (u64, u64),
) -> io::Result<Option<u64>> {
    let mut first = None;
    walk(archive, directory, |entry| {
        let start = entry.long(STARTS_AT);
        first = Some(first.map_or(start, |first: u32| first.min(start)));
        Ok(())
    })?;
    Ok(first.map(|first| offset.saturating_add(first.into())))
}
