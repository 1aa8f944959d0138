//! The original document of an advisory, read from where it is kept.

use std::path::PathBuf;
use std::{fs, io};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::advisory::{KnownAdvisories, Place, unpack_at};

/// Where the original of an advisory may be.
#[derive(Debug, Clone)]
pub struct Originals {
    id: String,
    places: Vec<(PathBuf, Place)>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

impl Originals {
    /// The places of an advisory's originals; `None` if nobody has heard of it.
    #[must_use]
    pub fn of(known: &KnownAdvisories, id: &str) -> Option<Self> {
        let places = known.sources().filter_map(|source| source.original(id));
        let places: Vec<_> = places
            .map(|(path, place)| (path.to_owned(), place))
            .collect();
        let id = id.to_owned();
        (!places.is_empty()).then_some(Self { id, places })
    }
}

/// Reads the original, as it was written. Blocks.
///
/// # Errors
/// When it is not there any more: its file has changed since it was read.
pub fn read_original(originals: &Originals) -> io::Result<String> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (path, place) in &originals.places {
        let read = fs::File::open(path).and_then(|file| unpack_at(file, *place));
        match read.and_then(|bytes| the_one(&bytes, &originals.id)) {
            Ok(text) => return Ok(text),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The document with this id of what stands at a place: it, or a list with it.
fn the_one(bytes: &[u8], id: &str) -> io::Result<String> {
    let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
    let is_it = |text: &str| {
        let named: Result<Named, _> = serde_json::from_str(text);
        named.is_ok_and(|named| named.id == id)
    };
    if is_it(text) {
        return Ok(text.to_owned());
    }
    let listed: Vec<&RawValue> = serde_json::from_str(text)?;
    let mut listed = listed.into_iter().map(RawValue::get);
    let found = listed.find(|text| is_it(text));
    found
        .map(str::to_owned)
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}
