//! A file of which only some ranges are here, readable like a whole one.
//!
//! Reading where nothing is yet fails, and the place of the first such read is kept: the code that
//! parses a format over it (the `zip` crate) need not know, and the code that drives it fetches that
//! range and starts again. No I/O happens here.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use bytes::Bytes;

/// Something that can be read at any place.
pub(super) trait ReadAt {
    /// Reads into `buffer` from `position`; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Length in bytes.
    fn size(&self) -> u64;
}

/// A file with holes.
#[derive(Debug)]
pub(super) struct Sparse {
    size: u64,
    parts: BTreeMap<u64, Bytes>,
    missed: Cell<Option<u64>>,
}

impl Sparse {
    /// A file of this size, empty so far.
    pub(super) fn new(size: u64) -> Self {
        Self {
            size,
            parts: BTreeMap::new(),
            missed: Cell::new(None),
        }
    }

    /// Inserts what was fetched.
    pub(super) fn insert(&mut self, start: u64, bytes: Bytes) {
        if !bytes.is_empty() {
            self.parts.insert(start, bytes);
        }
        self.missed.set(None);
    }

    /// Where the first read failed since the last insertion, as a hole to fill from there: at most
    /// `length_max` bytes, and never what is already here.
    pub(super) fn missed(&self, length_max: u64) -> Option<Range<u64>> {
        let start = self.missed.get()?;
        let next = self.parts.range(start..).next();
        let end = next.map_or(self.size, |(next, _)| *next);
        Some(start..end.min(start.saturating_add(length_max)))
    }

    fn part_at(&self, position: u64) -> Option<&[u8]> {
        let (start, bytes) = self.parts.range(..=position).next_back()?;
        let offset = usize::try_from(position - start).ok()?;
        bytes.get(offset..).filter(|rest| !rest.is_empty())
    }
}

impl ReadAt for Sparse {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if position >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let Some(part) = self.part_at(position) else {
            if self.missed.get().is_none() {
                self.missed.set(Some(position));
            }
            return Err(io::Error::other("not fetched yet"));
        };
        let count = part.len().min(buffer.len());
        buffer[..count].copy_from_slice(&part[..count]);
        Ok(count)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// A position in something, for readers that need `Read` and `Seek`.
#[derive(Debug)]
pub(super) struct Cursor<'a, T> {
    source: &'a T,
    position: u64,
}

impl<'a, T: ReadAt> Cursor<'a, T> {
    /// At the beginning.
    pub(super) fn new(source: &'a T) -> Self {
        Self {
            source,
            position: 0,
        }
    }
}

impl<T: ReadAt> io::Read for Cursor<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<T: ReadAt> io::Seek for Cursor<'_, T> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let position = match to {
            io::SeekFrom::Start(position) => Some(position),
            io::SeekFrom::End(offset) => self.source.size().checked_add_signed(offset),
            io::SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, SeekFrom};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_missing_place_is_reported_up_to_what_is_here() {
        let mut sparse = Sparse::new(100);
        sparse.insert(60, Bytes::from_static(&[1; 40]));
        let mut cursor = Cursor::new(&sparse);
        cursor.seek(SeekFrom::End(-10)).unwrap();
        assert_eq!(cursor.read_to_end(&mut Vec::new()).unwrap(), 10);
        assert_eq!(sparse.missed(1000), None);
        cursor.seek(SeekFrom::Start(50)).unwrap();
        assert!(cursor.read(&mut [0; 20]).is_err());
        cursor.seek(SeekFrom::Start(0)).unwrap();
        assert!(cursor.read(&mut [0; 20]).is_err());
        assert_eq!(sparse.missed(1000), Some(50..60));
        assert_eq!(sparse.missed(4), Some(50..54));
        sparse.insert(50, Bytes::from_static(&[2; 10]));
        assert_eq!(sparse.missed(1000), None);
    }

    #[test]
    fn seeking_out_of_range_is_an_error_and_reading_behind_the_end_is_not() {
        let sparse = Sparse::new(10);
        let mut cursor = Cursor::new(&sparse);
        assert!(cursor.seek(SeekFrom::End(-11)).is_err());
        cursor.seek(SeekFrom::End(5)).unwrap();
        assert_eq!(cursor.read(&mut [0; 4]).unwrap(), 0);
    }

    proptest! {
        #[test]
        fn filling_the_reported_holes_reads_the_whole(
            content in prop::collection::vec(any::<u8>(), 0..400),
            steps in prop::collection::vec(1_u64..90, 1..8),
            tail in 0_usize..100,
        ) {
            let size = content.len() as u64;
            let mut sparse = Sparse::new(size);
            let from = content.len().saturating_sub(tail);
            sparse.insert(from as u64, Bytes::copy_from_slice(&content[from..]));
            let mut read = Vec::new();
            for length in steps.iter().cycle() {
                read.clear();
                match Cursor::new(&sparse).read_to_end(&mut read) {
                    Ok(_) => break,
                    Err(_) => {
                        let hole = sparse.missed(*length).unwrap();
                        prop_assert!(hole.start < hole.end && hole.end <= size);
                        let range = usize::try_from(hole.start).unwrap()..usize::try_from(hole.end).unwrap();
                        sparse.insert(hole.start, Bytes::copy_from_slice(&content[range]));
                    }
                }
            }
            prop_assert_eq!(read, content);
        }
    }
}
