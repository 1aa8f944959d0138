//! The `METADATA` inside a wheel (PEP 427, PEP 658), wherever the wheel's bytes are.
//!
//! A sidecar must equal this file byte for byte, so nothing is guessed: there is exactly one
//! `*.dist-info/METADATA` at the top of the archive, and it belongs to the project in the file name. It may
//! occur twice, as some tools write it, if both copies are equal: readers differ in which one they take. A
//! wheel that is anything else gets no sidecar, and installers read the wheel.

use std::fs::File;
use std::io;
use std::io::{BufReader, Seek};
use std::os::unix::fs::FileExt as _;

use crate::model::{Filename, ProjectName};
use crate::protocol::{
    ArchiveBounds, ArchiveFault, Around, ZipFault, find_in_zip, has_startup_files, is_dist_info,
    metadata_of,
};
use crate::upstream::sparse::{Cursor, ReadAt};
use bytes::Bytes;

/// The wheel has no `METADATA` that could be its sidecar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWheel {
    /// Not a zip archive, or a broken one.
    #[error("not a readable zip archive: {0}")]
    Archive(String),
    /// No or more than one `*.dist-info/METADATA` at the top, or two copies with different contents.
    #[error("{0}")]
    Layout(&'static str),
    /// The metadata belongs to a project other than the file name's.
    #[error("its metadata stands in {directory:?}, which is not of {project}")]
    Project {
        /// The directory it stands in.
        directory: String,
        /// The project of the file name.
        project: ProjectName,
    },
    /// Its metadata or directory exceeds these bounds. A reader holds a directory in memory at several
    /// times its size.
    #[error(
        "its metadata is longer than {} bytes, or its directory than {}",
        .0.metadata_bytes_max, .0.directory_bytes_max
    )]
    TooLarge(ArchiveBounds),
    /// The file on disk could not be read.
    #[error("cannot be read: {0}")]
    Io(String),
}

impl InvalidWheel {
    /// Whether it exceeds the bounds within which it was read.
    #[must_use]
    pub fn is_beyond(&self) -> bool {
        matches!(self, Self::TooLarge(_))
    }
}

/// Reads the `METADATA` of a wheel on disk. Blocks; does not move the file's own position.
///
/// # Errors
/// See [`InvalidWheel`].
pub fn metadata_of_file(
    file: &File,
    filename: &Filename,
    bounds: ArchiveBounds,
) -> Result<Bytes, InvalidWheel> {
    let source = OnDisk::of(file)?;
    metadata(BufReader::new(Cursor::new(&source)), filename, bounds)
}

/// Reads the `METADATA` or `PKG-INFO` of a file of any kind on disk, if its kind has any. Blocks; does not
/// move the file's own position.
///
/// # Errors
/// See [`ArchiveFault`].
pub fn core_metadata_of_file(
    file: &File,
    filename: &Filename,
    bounds: ArchiveBounds,
) -> Result<Option<Vec<u8>>, ArchiveFault> {
    let size = file.metadata().map_err(ArchiveFault::Io)?.len();
    let source = OnDisk { file, size };
    metadata_of(Cursor::new(&source), filename, bounds)
}

/// Whether a wheel on disk has startup files. Blocks; does not move the file's own position.
///
/// # Errors
/// See [`InvalidWheel`].
pub fn startup_files_of_file(
    file: &File,
    filename: &Filename,
    bounds: ArchiveBounds,
) -> Result<bool, InvalidWheel> {
    let source = OnDisk::of(file)?;
    startup_files(BufReader::new(Cursor::new(&source)), filename, bounds)
}

/// Whether a wheel has startup files.
pub(super) fn startup_files<R: io::Read + Seek>(
    wheel: R,
    _: &Filename,
    bounds: ArchiveBounds,
) -> Result<bool, InvalidWheel> {
    has_startup_files(wheel, bounds).map_err(|fault| of_wheel(fault, bounds))
}

/// Reads the `METADATA` of a wheel.
pub(super) fn metadata<R: io::Read + Seek>(
    wheel: R,
    filename: &Filename,
    bounds: ArchiveBounds,
) -> Result<Bytes, InvalidWheel> {
    let found = find_in_zip(wheel, is_dist_info, bounds, Around::Anything);
    let found = found.map_err(|fault| of_wheel(fault, bounds))?;
    let Some(found) = found else {
        return Err(InvalidWheel::Layout("it has no dist-info/METADATA"));
    };
    if found.count > 1 {
        return Err(InvalidWheel::Layout(
            "it has more than one dist-info/METADATA",
        ));
    }
    let directory = found.name.trim_end_matches("/METADATA");
    if !is_of(directory, filename.project()) {
        return Err(InvalidWheel::Project {
            directory: directory.chars().take(200).collect(),
            project: filename.project().clone(),
        });
    }
    Ok(found.content.into())
}

/// Whether `name-version.dist-info` belongs to the project; the version is not compared, as in pip.
fn is_of(directory: &str, project: &ProjectName) -> bool {
    directory
        .strip_suffix(".dist-info")
        .and_then(|stem| stem.rsplit_once('-'))
        .and_then(|(name, _)| ProjectName::parse(name).ok())
        .is_some_and(|name| name == *project)
}

fn of_wheel(fault: ZipFault, bounds: ArchiveBounds) -> InvalidWheel {
    match fault {
        ZipFault::Io(error) => InvalidWheel::Io(error.to_string()),
        ZipFault::Damaged(what) => InvalidWheel::Archive(what),
        ZipFault::DirectoryTooLong | ZipFault::ContentTooLong => InvalidWheel::TooLarge(bounds),
        ZipFault::TrailingBytes => {
            InvalidWheel::Layout("it does not end where its zip archive ends")
        }
        ZipFault::LeadingBytes => {
            InvalidWheel::Layout("it does not begin where its zip archive begins")
        }
        ZipFault::Differing(_) => {
            InvalidWheel::Layout("its metadata stands in it twice and is not the same")
        }
    }
}

struct OnDisk<'a> {
    file: &'a File,
    size: u64,
}

impl<'a> OnDisk<'a> {
    fn of(file: &'a File) -> Result<Self, InvalidWheel> {
        let about = file.metadata();
        let about = about.map_err(|error| InvalidWheel::Io(error.to_string()))?;
        let size = about.len();
        Ok(Self { file, size })
    }
}

impl ReadAt for OnDisk<'_> {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::CompressionMethod::{Deflated, Stored};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::upstream::sparse::Sparse;

    const BOUNDS: ArchiveBounds = ArchiveBounds::with_metadata(8 << 20);

    const TEXT: &str = "Metadata-Version: 2.1\nName: a.b\nVersion: 1.0\n";

    fn filename() -> Filename {
        Filename::parse(
            "a_b-1.0-py3-none-any.whl",
            &ProjectName::parse("a-b").unwrap(),
        )
        .unwrap()
    }

    /// An archive of these entries, with `prefix` before it and a comment at its end.
    fn archive(
        prefix: &[u8],
        method: zip::CompressionMethod,
        comment: &str,
        entries: &[(&str, &[u8])],
    ) -> Vec<u8> {
        let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        for (name, content) in entries {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.set_comment(comment).unwrap();
        let archive = writer.finish().unwrap().into_inner();
        [prefix, &archive].concat()
    }

    fn read(wheel: &[u8]) -> Result<Bytes, InvalidWheel> {
        metadata(io::Cursor::new(wheel), &filename(), BOUNDS)
    }

    /// Reads as over the network: the tail first, then hole after hole. Returns how much was fetched.
    fn read_in_ranges(wheel: &[u8], tail: usize, step: u64) -> (Bytes, u64) {
        let mut sparse = Sparse::new(wheel.len() as u64);
        let from = wheel.len().saturating_sub(tail);
        sparse.insert(from as u64, Bytes::copy_from_slice(&wheel[from..]));
        let mut fetched = (wheel.len() - from) as u64;
        for _ in 0..1000 {
            let found = metadata(Cursor::new(&sparse), &filename(), BOUNDS);
            let Some(hole) = sparse.missed(step) else {
                return (found.unwrap(), fetched);
            };
            fetched += hole.end - hole.start;
            let range = usize::try_from(hole.start).unwrap()..usize::try_from(hole.end).unwrap();
            sparse.insert(hole.start, Bytes::copy_from_slice(&wheel[range]));
        }
        panic!("a thousand rounds and no end");
    }

    /// Bytes that do not compress.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .take(length)
        .collect()
    }

    #[test]
    fn metadata_is_found_however_the_wheel_was_packed() {
        let module = noise(300_000);
        let big = noise(1 << 20);
        for method in [Deflated, Stored] {
            for (prefix, comment) in [(&b""[..], ""), (b"#!/bin/sh\njunk\n", "a comment")] {
                for after in [&b"one line"[..], &big] {
                    let wheel = archive(
                        prefix,
                        method,
                        comment,
                        &[
                            ("a_b/__init__.py", &module),
                            ("a_b-1.0.dist-info/METADATA", TEXT.as_bytes()),
                            ("a_b-1.0.dist-info/RECORD", after),
                        ],
                    );
                    assert_eq!(read(&wheel).unwrap(), TEXT);
                    for (tail, step) in [(64, 16), (4096, 4096), (10_000_000, 1)] {
                        assert_eq!(read_in_ranges(&wheel, tail, step).0, TEXT);
                    }
                }
            }
        }
    }

    /// Such an upload is refused. But what an upstream has released is what its digest says, and
    /// installers read such a wheel.
    #[test]
    fn bytes_before_or_after_an_upstreams_wheel_leave_it_its_metadata() {
        let entries = [("a_b-1.0.dist-info/METADATA", TEXT.as_bytes())];
        let wheel = archive(b"", Deflated, "", &entries);
        for odd in [[b"before", &*wheel].concat(), [&*wheel, b"after"].concat()] {
            assert_eq!(read(&odd).unwrap(), TEXT);
        }
    }

    #[test]
    fn ranges_fetch_a_small_part_of_a_big_wheel() {
        let module = noise(5 << 20);
        let wheel = archive(
            b"",
            Deflated,
            "",
            &[
                ("a_b-1.0.dist-info/METADATA", TEXT.as_bytes()),
                ("a_b/data.bin", &module),
                ("a_b-1.0.dist-info/RECORD", b""),
            ],
        );
        let (text, fetched) = read_in_ranges(&wheel, 32 << 10, 32 << 10);
        assert_eq!(text, TEXT);
        assert!(fetched <= 64 << 10, "{fetched}");
    }

    #[test]
    fn a_wheel_on_disk_is_read_without_moving_its_position() {
        let wheel = archive(
            b"",
            Deflated,
            "",
            &[("a_b-1.0.dist-info/METADATA", TEXT.as_bytes())],
        );
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&wheel).unwrap();
        assert_eq!(metadata_of_file(&file, &filename(), BOUNDS).unwrap(), TEXT);
        assert_eq!(file.stream_position().unwrap(), wheel.len() as u64);
    }

    #[test]
    fn what_is_not_one_wheel_of_the_project_has_no_metadata() {
        let table: [(&[&str], &str); 7] = [
            (&["a_b/METADATA"], "no dist-info"),
            (&["x/a_b-1.0.dist-info/METADATA"], "no dist-info"),
            (&["a_b-1.0.dist-info\\METADATA"], "no dist-info"),
            (
                &["a_b-1.0.dist-info/METADATA", "c-1.dist-info/METADATA"],
                "more than one",
            ),
            (&["a_bc-1.0.dist-info/METADATA"], "not of a-b"),
            (&["a_b.dist-info/METADATA"], "not of a-b"),
            (&[], "no dist-info"),
        ];
        for (names, words) in table {
            let entries: Vec<_> = names.iter().map(|name| (*name, TEXT.as_bytes())).collect();
            let error = read(&archive(b"", Stored, "", &entries)).unwrap_err();
            assert!(error.to_string().contains(words), "{names:?}: {error}");
        }
    }

    /// An archive in which the content of `…B` stands under the name that ends in `…A`.
    fn doubled(method: zip::CompressionMethod, entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut wheel = archive(b"#!/bin/sh\n", method, "a comment", entries);
        while let Some(at) = wheel.windows(7).position(|window| window == b"ETADATB") {
            wheel[at + 6] = b'A';
        }
        wheel
    }

    #[test]
    fn metadata_that_stands_twice_counts_if_it_says_the_same() {
        let other = b"Metadata-Version: 2.1\nName: a.b\nVersion: 9.9\n";
        for method in [Deflated, Stored] {
            let twice = |second: &[u8]| {
                let entries = [
                    ("a_b-1.0.dist-info/METADATA", TEXT.as_bytes()),
                    ("a_b/__init__.py", b"import this"),
                    ("a_b-1.0.dist-info/METADATB", second),
                ];
                doubled(method, &entries)
            };
            assert_eq!(read(&twice(TEXT.as_bytes())).unwrap(), TEXT);
            let same = twice(TEXT.as_bytes());
            assert_eq!(read_in_ranges(&same, 64, 16).0, TEXT);
            for second in [&other[..], b""] {
                let refused = read(&twice(second)).unwrap_err();
                assert!(refused.to_string().contains("twice"), "{refused}");
            }
        }
    }

    #[test]
    fn another_entry_may_stand_twice() {
        let entries = [
            ("a_b/ETADATA", &b"one"[..]),
            ("a_b/ETADATB", b"another"),
            ("a_b-1.0.dist-info/METADATA", TEXT.as_bytes()),
        ];
        assert_eq!(read(&doubled(Deflated, &entries)).unwrap(), TEXT);
    }

    #[test]
    fn copies_without_number_are_refused() {
        let names: Vec<String> = (0..20)
            .map(|n| format!("a_b-1.{n:02}.dist-info/METADATA"))
            .collect();
        let entries: Vec<_> = names
            .iter()
            .map(|name| (&**name, TEXT.as_bytes()))
            .collect();
        let mut wheel = archive(b"", Deflated, "", &entries);
        for at in 0..wheel.len() - 8 {
            if wheel[at..].starts_with(b"a_b-1.") {
                wheel[at + 6..at + 8].copy_from_slice(b"00");
            }
        }
        assert!(read(&wheel).is_err());
    }

    #[test]
    fn a_bomb_is_refused_whatever_it_claims() {
        let zeros = vec![0; usize::try_from(BOUNDS.metadata_bytes_max).unwrap() + 1];
        let mut wheel = archive(b"", Deflated, "", &[("a_b-1.0.dist-info/METADATA", &zeros)]);
        assert!(wheel.len() < 20_000, "{}", wheel.len());
        assert_eq!(read(&wheel), Err(InvalidWheel::TooLarge(BOUNDS)));
        // The same with a modest claim in both headers: uncompressed sizes at +22 and +24.
        for (signature, offset) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
            let at = wheel
                .windows(4)
                .position(|window| window == signature)
                .unwrap();
            wheel[at + offset..at + offset + 4].copy_from_slice(&100_u32.to_le_bytes());
        }
        assert!(read(&wheel).is_err());
    }

    #[test]
    fn a_directory_without_end_is_not_read_to_its_end() {
        let mut wheel = archive(
            b"",
            Stored,
            "",
            &[("a_b-1.0.dist-info/METADATA", TEXT.as_bytes())],
        );
        // Claims that its directory has this many entries with the longest possible names, and has them.
        let end = wheel.split_off(wheel.len() - 22);
        let start = u32::from_le_bytes(end[16..20].try_into().unwrap());
        let mut entry = wheel.split_off(usize::try_from(start).unwrap());
        entry[28..30].copy_from_slice(&u16::MAX.to_le_bytes());
        entry.resize(46 + usize::from(u16::MAX), b'x');
        let count = 500_u16;
        for _ in 0..count {
            wheel.extend_from_slice(&entry);
        }
        let length = u32::from(count) * u32::try_from(entry.len()).unwrap();
        wheel.extend_from_slice(&end[..8]);
        wheel.extend_from_slice(&count.to_le_bytes());
        wheel.extend_from_slice(&count.to_le_bytes());
        wheel.extend_from_slice(&length.to_le_bytes());
        wheel.extend_from_slice(&start.to_le_bytes());
        wheel.extend_from_slice(&[0, 0]);
        assert_eq!(read(&wheel), Err(InvalidWheel::TooLarge(BOUNDS)));
    }

    #[test]
    fn damaged_archives_are_errors() {
        let wheel = archive(
            b"",
            Deflated,
            "",
            &[("a_b-1.0.dist-info/METADATA", TEXT.as_bytes())],
        );
        for length in 0..wheel.len() {
            assert!(read(&wheel[..length]).is_err(), "{length}");
        }
        assert!(read(&noise(100_000)).is_err());
        let mut flipped = wheel;
        flipped[60] ^= 0x10;
        assert!(read(&flipped).is_err());
    }
}
