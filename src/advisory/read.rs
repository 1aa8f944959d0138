//! Reads what a feed sent, whichever form it has.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::advisory::collected::{Advisories, Collector, Place};
use crate::advisory::zipped::{InvalidFeed, read_zip};
use crate::model::{FeedLimits, format_bytes};

/// How a zip begins.
const ZIP: &[u8] = b"PK";

/// How much of something else is repeated.
const SHOWN: usize = 24;

/// Reads a zip of documents, or one document, of `length` bytes. One entry that cannot be read makes the
/// whole of no use: it may be the one that names what somebody is about to install.
///
/// # Errors
/// See [`InvalidFeed`].
pub fn read_feed(
    mut source: impl Read + Seek,
    length: u64,
    path: &Path,
    limits: &FeedLimits,
) -> Result<Advisories, InvalidFeed> {
    let mut start = Vec::new();
    source.by_ref().take(SHOWN as u64).read_to_end(&mut start)?;
    source.seek(SeekFrom::Start(0))?;
    let mut collector = Collector::default();
    let file = collector.begin(path);
    if start.starts_with(ZIP) {
        read_zip(source, length, file, limits, &mut collector)?;
    } else if matches!(first(&start), Some(b'{' | b'[')) {
        read_document(source, length, file, limits, &mut collector)?;
    } else {
        let start = String::from_utf8_lossy(&start);
        return Err(InvalidFeed::Form(start.escape_debug().to_string()));
    }
    let advisories = collector.finish();
    if advisories.is_empty() {
        return Err(InvalidFeed::Empty);
    }
    Ok(advisories)
}

fn read_document(
    mut source: impl Read,
    length: u64,
    file: u32,
    limits: &FeedLimits,
    into: &mut Collector,
) -> Result<(), InvalidFeed> {
    let most = limits.feed_json;
    if length > most {
        return Err(InvalidFeed::TooMuch {
            what: "it is".to_owned(),
            limit: "feed_json",
            most: format_bytes(most),
        });
    }
    let mut text = String::new();
    source.read_to_string(&mut text)?;
    let place = Place {
        file,
        ..Place::default()
    };
    into.read(&text, place)
        .map_err(|error| InvalidFeed::Document {
            name: "what is".to_owned(),
            why: error.to_string(),
        })
}

fn first(text: &[u8]) -> Option<u8> {
    text.iter()
        .copied()
        .find(|byte| !byte.is_ascii_whitespace())
}
