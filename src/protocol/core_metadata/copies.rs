//! The copies of one name in a ZIP archive: readers that index by name show only one of them.
//!
//! The archive was read before, so its directory is known to be sound; this walks over it once more.

use std::io;
use std::io::{Read, Seek, SeekFrom};

use zip::ZipReadOptions;
use zip::read::{ZipFile, read_zipfile_from_stream_with_options};
use zip::result::{ZipError, ZipResult};

/// What every entry of the directory begins with.
const SIGNATURE: [u8; 4] = *b"PK\x01\x02";

/// Fixed length of such an entry, before its name.
const ENTRY_BYTES: usize = 46;

/// Most copies of one name. Tools that write a file twice do it twice.
const COPIES_MAX: usize = 8;

/// A number that stands elsewhere (ZIP64), which no metadata needs.
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
    /// Opens it in a reader that stands at its beginning; nothing when no file begins there.
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
/// When it cannot be read, or there are more copies than anybody writes.
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
        // One byte more tells that it is longer.
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
    archive.seek(SeekFrom::Start(directory))?;
    loop {
        let mut entry = [0; ENTRY_BYTES];
        // The directory is followed by its end, which is shorter than an entry.
        archive.read_exact(&mut entry[..SIGNATURE.len()])?;
        if entry[..SIGNATURE.len()] != SIGNATURE {
            return Ok(copies);
        }
        archive.read_exact(&mut entry[SIGNATURE.len()..])?;
        let short = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let long = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
        let mut found = vec![0; short(28).into()];
        archive.read_exact(&mut found)?;
        archive.seek_relative(i64::from(short(30)) + i64::from(short(32)))?;
        if found != name {
            continue;
        }
        let (crc, compressed, size, start) = (long(16), long(20), long(24), long(42));
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
    }
}
