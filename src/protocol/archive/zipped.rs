//! Reads one small file in a ZIP archive, found by its name: the only place that reads ZIP archives.
//!
//! It serves uploads, mirrors' wheels on disk, and wheels of which only some ranges are here, so that
//! metadata is found in the same way everywhere. Uploads have to meet one more requirement: nothing may
//! surround their archive ([`Around`]), since readers differ in what they make of it.

use std::io;
use std::io::{Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::protocol::archive::bounded::{ArchiveBounds, Bounded, Spent};
use crate::protocol::archive::copies::{copies_agree, first_start};
use crate::protocol::archive::directory::agreed_names;

/// How far from its end a zip's directory record can be: its own length, and the longest comment.
const END_BYTES_MAX: u64 = 22 + 65_535;

/// What may stand before the archive and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// Nothing, and all readers agree about its directory: for uploads, which their owners can build again.
    Nothing,
    /// Anything, such as a self-extracting program: for what others have published that way, and installers
    /// accept.
    Anything,
}

/// The first wanted file of an archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Zipped {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
    /// How many wanted names there are.
    pub count: usize,
}

/// Why an archive cannot be read, or not unambiguously.
#[derive(Debug)]
pub enum ZipFault {
    /// Its bytes are unavailable.
    Io(io::Error),
    /// It is no ZIP archive, or a damaged one.
    Damaged(String),
    /// Its directory exceeds the bounds.
    DirectoryTooLong,
    /// The file exceeds the bounds.
    ContentTooLong,
    /// Something follows its end, or looks like another end.
    TrailingBytes,
    /// Something precedes its beginning.
    LeadingBytes,
    /// The name occurs twice, with different contents.
    Differing(String),
}

impl From<io::Error> for ZipFault {
    fn from(error: io::Error) -> Self {
        if Spent::is_cause_of(&error) {
            Self::DirectoryTooLong
        } else if error.raw_os_error().is_some() && error.kind() != io::ErrorKind::InvalidInput {
            Self::Io(error)
        } else {
            // `InvalidInput` from the system is a seek to before the start, caused by the archive.
            Self::Damaged(error.to_string())
        }
    }
}

impl From<ZipError> for ZipFault {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Reads the first file with a wanted name, if there is one. `content` is read in small pieces.
///
/// # Errors
/// See [`ZipFault`].
pub fn find_in_zip(
    mut content: impl Read + Seek,
    wanted: impl Fn(&str) -> bool,
    bounds: ArchiveBounds,
    around: Around,
) -> Result<Option<Zipped>, ZipFault> {
    if around == Around::Nothing && !ends_as_a_zip(&mut content)? {
        return Err(ZipFault::TrailingBytes);
    }
    // The file is read from there too, and may be as long compressed as uncompressed.
    let most = bounds
        .directory_bytes_max
        .saturating_add(bounds.metadata_bytes_max);
    let mut archive = ZipArchive::new(Bounded::new(&mut content, most))?;
    let starts = (archive.central_directory_start(), archive.offset());
    let found = first_wanted(&mut archive, wanted, bounds.metadata_bytes_max)?;
    drop(archive);
    if around == Around::Nothing {
        let first = first_start(&mut Bounded::new(&mut content, most), starts)?;
        if first.unwrap_or(starts.1) != 0 {
            return Err(ZipFault::LeadingBytes);
        }
        agreed_names(&mut Bounded::new(&mut content, most))?;
    }
    let Some((zipped, repeated)) = found else {
        return Ok(None);
    };
    if let Some(raw) = repeated {
        let mut content = Bounded::new(&mut content, most);
        if !copies_agree(&raw, &mut content, starts, &zipped.content)? {
            return Err(ZipFault::Differing(zipped.name));
        }
    }
    Ok(Some(zipped))
}

/// The first wanted file, and its raw name if the archive has that twice.
type Found = (Zipped, Option<Vec<u8>>);

/// The first wanted file; with its raw name if the archive has a name twice.
fn first_wanted(
    archive: &mut ZipArchive<impl Read + Seek>,
    wanted: impl Fn(&str) -> bool,
    bytes_max: u64,
) -> Result<Option<Found>, ZipFault> {
    let names = archive.file_names().filter_map(Result::ok);
    let mut found: Vec<String> = names
        .filter(|name| wanted(name))
        .map(|name| name.into_owned())
        .collect();
    let count = found.len();
    if count == 0 {
        return Ok(None);
    }
    let name = found.swap_remove(0);
    let mut content = Vec::new();
    // The declared size is only a claim: what comes out is counted.
    let entry = archive.by_name(&name)?;
    entry
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(ZipFault::ContentTooLong);
    }
    let position = archive.index_for_name(&name);
    let repeated = position.filter(|_| archive.has_duplicate_names());
    let repeated = repeated.and_then(|position| archive.file_names_raw().nth(position));
    let repeated = repeated.map(<[u8]>::to_vec);
    let zipped = Zipped {
        name,
        content,
        count,
    };
    Ok(Some((zipped, repeated)))
}

/// Whether the last thing that looks like the end of an archive is its end. Without any it is no archive,
/// which its reader will report.
fn ends_as_a_zip(content: &mut (impl Read + Seek)) -> io::Result<bool> {
    let length = content.seek(SeekFrom::End(0))?;
    content.seek(SeekFrom::Start(length.saturating_sub(END_BYTES_MAX)))?;
    let mut tail = Vec::new();
    content.take(END_BYTES_MAX).read_to_end(&mut tail)?;
    let Some(at) = memchr::memmem::rfind(&tail, b"PK\x05\x06") else {
        return Ok(true);
    };
    // Its last two bytes say how long the comment after them is.
    let end = tail.get(at + 20..at + 22);
    let comment = end.map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])));
    Ok(comment.is_some_and(|comment| at + 22 + comment == tail.len()))
}
