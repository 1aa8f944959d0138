//! Reads the zip of a whole ecosystem, within limits, without unpacking it anywhere.
//!
//! The `zip` crate keeps some hundred bytes about every entry and gives no way to come back to one without
//! reading the directory again. Here the directory is walked once, each document is unpacked into the same
//! buffer, and what remains of it is the place of its bytes; so the original can be answered later with one
//! read. Only what OSV's exports use is understood: stored and deflated entries, below 4 GiB.

use std::io;
use std::io::{BufReader, Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::advisory::collected::{Collector, Place};
use crate::model::{FeedLimits, format_bytes};

/// The end of a zip: its record without the comment, and the longest comment.
const END_LENGTH: usize = 22;
const COMMENT_MAX: u64 = 0xffff;

/// What stands before the end record of a zip with more entries than 16 bits count.
const LOCATOR_LENGTH: u64 = 20;
const LARGE_END_LENGTH: usize = 56;

/// The fixed parts of a directory entry, and of the copy of it before the bytes.
const ENTRY_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;

/// Longest directory entry, in bytes: its name is an id, and the rest is times.
const ENTRY_MAX: u64 = 1 << 10;

/// An entry is only judged by how much it is packed from this size on.
const RATIO_FROM: u64 = 1 << 20;

/// Why a feed is not used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFeed {
    /// It is not a zip, or a damaged one.
    #[error("it is no whole zip: {0}")]
    Zip(&'static str),
    /// It is neither of the two forms.
    #[error("it is neither a zip nor an OSV document, but begins with {0:?}")]
    Form(String),
    /// It is longer or larger than allowed.
    #[error("{what} beyond limits.{limit}, which is {most}")]
    TooMuch {
        /// What is.
        what: String,
        /// The key of the limit.
        limit: &'static str,
        /// The limit.
        most: String,
    },
    /// A document in it cannot be read.
    #[error("{name} in it is not an OSV document: {why}")]
    Document {
        /// The entry.
        name: String,
        /// Why.
        why: String,
    },
    /// It says nothing about Python.
    #[error("it holds no advisory about Python")]
    Empty,
    /// It cannot be read from the disk.
    #[error("read it: {0}")]
    Io(#[from] io::Error),
}

/// One entry of the directory.
struct Listed {
    name: String,
    is_deflated: bool,
    crc: u32,
    packed: u32,
    unpacked: u32,
    header: u32,
}

/// Reads every document of a zip of `length` bytes; `file` is its number.
///
/// # Errors
/// See [`InvalidFeed`]; what was collected so far is of no use then.
pub fn read_zip(
    source: impl Read + Seek,
    length: u64,
    file: u32,
    limits: &FeedLimits,
    into: &mut Collector,
) -> Result<(), InvalidFeed> {
    let mut zip = Zip {
        source: BufReader::with_capacity(256 << 10, source),
        position: 0,
        length,
        packed: Vec::new(),
        inflate: Decompress::new(false),
    };
    let directory = zip.directory(limits)?;
    let (mut unpacked_in_all, mut text) = (0_u64, Vec::new());
    let mut rest = &directory[..];
    while !rest.is_empty() {
        let (listed, next) = read_listed(rest)?;
        rest = next;
        if !is_json(&listed.name) {
            continue;
        }
        unpacked_in_all += u64::from(listed.unpacked);
        if unpacked_in_all > limits.feed_unpacked {
            let most = format_bytes(limits.feed_unpacked);
            return Err(too_much(
                "its documents together are",
                "feed_unpacked",
                most,
            ));
        }
        let place = zip.unpack(&listed, file, limits, &mut text)?;
        let read = std::str::from_utf8(&text).map_err(|error| error.to_string());
        let read = read.and_then(|text| into.read(text, place).map_err(|error| error.to_string()));
        read.map_err(|why| InvalidFeed::Document {
            name: listed.name,
            why,
        })?;
    }
    Ok(())
}

/// The original that stands at a place of a zip, or of a plain file.
///
/// # Errors
/// When it cannot be read, or is not there any more.
pub fn unpack_at(mut source: impl Read + Seek, place: Place) -> io::Result<Vec<u8>> {
    source.seek(SeekFrom::Start(place.offset))?;
    let packed = source.take(u64::from(place.packed));
    let wanted = if place.unpacked == 0 {
        place.packed
    } else {
        place.unpacked
    };
    let mut text = Vec::new();
    if place.unpacked == 0 {
        BufReader::new(packed).read_to_end(&mut text)?;
    } else {
        let inflated = DeflateDecoder::new(packed).take(u64::from(wanted) + 1);
        BufReader::new(inflated).read_to_end(&mut text)?;
    }
    if text.len() != wanted as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text)
}

struct Zip<R> {
    source: BufReader<R>,
    position: u64,
    length: u64,
    /// Used again for each entry, as is the state for unpacking it.
    packed: Vec<u8>,
    inflate: Decompress,
}

impl<R: Read + Seek> Zip<R> {
    /// The whole directory.
    fn directory(&mut self, limits: &FeedLimits) -> Result<Vec<u8>, InvalidFeed> {
        let tail_length = self.length.min(END_LENGTH as u64 + COMMENT_MAX);
        let tail_at = self.length - tail_length;
        let tail = self.bytes(tail_at, tail_length)?;
        let end = tail
            .windows(END_LENGTH)
            .rposition(|end| end.starts_with(b"PK\x05\x06"));
        let end = end.ok_or(InvalidFeed::Zip("its end is missing"))?;
        let end_at = tail_at + end as u64;
        let end = &tail[end..];
        let mut entries = u64::from(number16(end, 10));
        let mut size = u64::from(number32(end, 12));
        let mut start = u64::from(number32(end, 16));
        if (entries == 0xffff || start == 0xffff_ffff) && end_at >= LOCATOR_LENGTH {
            let locator = self.bytes(end_at - LOCATOR_LENGTH, LOCATOR_LENGTH)?;
            if locator.starts_with(b"PK\x06\x07") {
                let large = self.bytes(number64(&locator, 8), LARGE_END_LENGTH as u64)?;
                if !large.starts_with(b"PK\x06\x06") {
                    return Err(InvalidFeed::Zip("its large end is damaged"));
                }
                entries = number64(&large, 32);
                size = number64(&large, 40);
                start = number64(&large, 48);
            }
        }
        if entries > limits.feed_entries as u64 {
            let what = format!("it has {entries} entries,");
            let most = limits.feed_entries.to_string();
            return Err(too_much(&what, "feed_entries", most));
        }
        if size > entries * ENTRY_MAX || start.checked_add(size).is_none_or(|end| end > end_at) {
            return Err(InvalidFeed::Zip("its directory is damaged"));
        }
        self.bytes(start, size)
    }

    /// Unpacks one entry; returns where its bytes are.
    fn unpack(
        &mut self,
        listed: &Listed,
        file: u32,
        limits: &FeedLimits,
        text: &mut Vec<u8>,
    ) -> Result<Place, InvalidFeed> {
        let (packed, unpacked) = (u64::from(listed.packed), u64::from(listed.unpacked));
        if unpacked > limits.feed_document {
            let most = format_bytes(limits.feed_document);
            return Err(too_much(
                &format!("{} is", listed.name),
                "feed_document",
                most,
            ));
        }
        let ratio = u64::from(limits.feed_ratio);
        if unpacked > RATIO_FROM && unpacked > packed.saturating_mul(ratio) {
            let what = format!("{} is packed", listed.name);
            return Err(too_much(&what, "feed_ratio", ratio.to_string()));
        }
        let local = self.bytes(u64::from(listed.header), LOCAL_LENGTH as u64)?;
        if !local.starts_with(b"PK\x03\x04") {
            return Err(InvalidFeed::Zip("an entry is not where the directory says"));
        }
        let names = u64::from(number16(&local, 26)) + u64::from(number16(&local, 28));
        let offset = u64::from(listed.header) + LOCAL_LENGTH as u64 + names;
        if unpacked > 0 && packed > limits.feed_document {
            return Err(InvalidFeed::Zip("an entry is longer packed than it may be"));
        }
        self.go(offset)?;
        text.clear();
        self.packed
            .resize(usize::try_from(packed).unwrap_or_default(), 0);
        self.source.read_exact(&mut self.packed)?;
        self.position += packed;
        if listed.is_deflated {
            // One byte more than is stated has room, to be noticed.
            text.reserve_exact(usize::try_from(unpacked).unwrap_or_default() + 1);
            self.inflate.reset(false);
            let finish = FlushDecompress::Finish;
            let end = self.inflate.decompress_vec(&self.packed, text, finish);
            if !matches!(end, Ok(Status::StreamEnd)) {
                return Err(InvalidFeed::Zip("an entry is damaged"));
            }
        } else {
            text.extend_from_slice(&self.packed);
        }
        let mut crc = Crc::new();
        crc.update(text);
        if text.len() as u64 != unpacked || crc.sum() != listed.crc {
            return Err(InvalidFeed::Zip("an entry is damaged"));
        }
        Ok(Place {
            offset,
            packed: listed.packed,
            unpacked: if listed.is_deflated {
                listed.unpacked
            } else {
                0
            },
            file,
        })
    }

    fn bytes(&mut self, at: u64, length: u64) -> Result<Vec<u8>, InvalidFeed> {
        if at.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(InvalidFeed::Zip("it is cut short"));
        }
        self.go(at)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.source.read_exact(&mut bytes)?;
        self.position += length;
        Ok(bytes)
    }

    /// Documents mostly stand in the order of the directory, so what is buffered is mostly kept.
    fn go(&mut self, to: u64) -> io::Result<()> {
        let step = i64::try_from(to).and_then(|to| Ok(to - i64::try_from(self.position)?));
        self.source.seek_relative(step.map_err(io::Error::other)?)?;
        self.position = to;
        Ok(())
    }
}

/// Takes one entry off the directory.
fn read_listed(directory: &[u8]) -> Result<(Listed, &[u8]), InvalidFeed> {
    let damaged = InvalidFeed::Zip("its directory is damaged");
    let is_whole = directory.len() >= ENTRY_LENGTH && directory.starts_with(b"PK\x01\x02");
    if !is_whole {
        return Err(damaged);
    }
    let name_end = ENTRY_LENGTH + usize::from(number16(directory, 28));
    let others = usize::from(number16(directory, 30)) + usize::from(number16(directory, 32));
    let (Some(name), Some(rest)) = (
        directory.get(ENTRY_LENGTH..name_end),
        directory.get(name_end + others..),
    ) else {
        return Err(damaged);
    };
    let is_encrypted = number16(directory, 8) & 1 != 0;
    let is_deflated = match (number16(directory, 10), is_encrypted) {
        (0, false) => false,
        (8, false) => true,
        _ => return Err(InvalidFeed::Zip("an entry is neither stored nor deflated")),
    };
    let listed = Listed {
        name: String::from_utf8_lossy(name).into_owned(),
        is_deflated,
        crc: number32(directory, 16),
        packed: number32(directory, 20),
        unpacked: number32(directory, 24),
        header: number32(directory, 42),
    };
    Ok((listed, rest))
}

fn is_json(name: &str) -> bool {
    let name = name.as_bytes();
    name.len() > 5 && name[name.len() - 5..].eq_ignore_ascii_case(b".json")
}

fn too_much(what: &str, limit: &'static str, most: String) -> InvalidFeed {
    InvalidFeed::TooMuch {
        what: what.to_owned(),
        limit,
        most,
    }
}

fn number16(bytes: &[u8], at: usize) -> u16 {
    let two = bytes.get(at..at + 2).and_then(|two| two.try_into().ok());
    u16::from_le_bytes(two.unwrap_or_default())
}

fn number32(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    u32::from_le_bytes(four.unwrap_or_default())
}

fn number64(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes
        .get(at..at + 8)
        .and_then(|eight| eight.try_into().ok());
    u64::from_le_bytes(eight.unwrap_or_default())
}

#[cfg(test)]
mod tests;
