//! The metadata file inside a wheel, an sdist or an egg.
//!
//! The archives come from strangers, so everything has a limit: how much of a zip's directory is read (it
//! ends up in memory), how far an sdist is unpacked to find its `PKG-INFO` (it may be a bomb), and how long
//! the metadata itself may be. Reading blocks; call it off the runtime's threads.

use std::io;
use std::io::{Read, Seek};

use crate::model::{Filename, Kind};
use crate::protocol::archive::bounded::ArchiveBounds;
use crate::protocol::archive::fault::ArchiveFault;
use crate::protocol::archive::sdist::in_tar_gz;
use crate::protocol::archive::zipped::{Around, ZipFault, find_in_zip};

/// The bytes of a file's `METADATA` or `PKG-INFO`. `None` for kinds that have none, for archives that are
/// not unpacked here, and for old sdists without it; a wheel must have it.
///
/// # Errors
/// When the content is not what the name says, or takes more than the limits allow.
pub fn metadata_of(
    content: impl Read + Seek,
    filename: &Filename,
    bounds: ArchiveBounds,
) -> Result<Option<Vec<u8>>, ArchiveFault> {
    let raw = filename.as_str();
    let in_zip = |content, wanted| in_zip(content, bounds, wanted);
    match filename.kind() {
        Kind::Wheel => match in_zip(content, is_dist_info)? {
            (Some(metadata), 1) => Ok(Some(metadata)),
            (_, found) => Err(ArchiveFault::NoMetadata(found)),
        },
        Kind::Egg => Ok(in_zip(content, |name| name == "EGG-INFO/PKG-INFO")?.0),
        Kind::Sdist if raw.ends_with(".zip") => Ok(in_zip(content, is_pkg_info)?.0),
        Kind::Sdist if raw.ends_with(".tar.gz") || raw.ends_with(".tgz") => {
            in_tar_gz(content, bounds.metadata_bytes_max)
        }
        Kind::Sdist | Kind::Other => Ok(None),
    }
}

/// `name-version.dist-info/METADATA` (PEP 427), at the top.
pub fn is_dist_info(name: &str) -> bool {
    let folder = name.strip_suffix("/METADATA");
    folder.is_some_and(|folder| folder.ends_with(".dist-info") && !folder.contains(['/', '\\']))
}

/// `name-version/PKG-INFO` (PEP 625), at the top.
pub(super) fn is_pkg_info(name: &str) -> bool {
    let name = name.strip_prefix("./").unwrap_or(name);
    name.strip_suffix("/PKG-INFO")
        .is_some_and(|folder| !folder.is_empty() && !folder.contains('/'))
}

/// The first wanted file in an uploaded zip, and how many wanted files there are.
fn in_zip(
    content: impl Read + Seek,
    bounds: ArchiveBounds,
    wanted: fn(&str) -> bool,
) -> Result<(Option<Vec<u8>>, usize), ArchiveFault> {
    let content = io::BufReader::new(content);
    match find_in_zip(content, wanted, bounds, Around::Nothing) {
        Ok(Some(zipped)) => Ok((Some(zipped.content), zipped.count)),
        Ok(None) => Ok((None, 0)),
        Err(fault) => Err(match fault {
            ZipFault::Io(source) => ArchiveFault::Io(source),
            ZipFault::Damaged(_) => ArchiveFault::NotAnArchive("zip"),
            ZipFault::DirectoryTooLong => ArchiveFault::Directory(bounds.directory_bytes_max),
            ZipFault::ContentTooLong => ArchiveFault::Metadata(bounds.metadata_bytes_max),
            ZipFault::TrailingBytes => ArchiveFault::TrailingBytes,
            ZipFault::LeadingBytes => ArchiveFault::LeadingBytes,
            ZipFault::Differing(name) => ArchiveFault::Differing(name),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;
    use crate::model::ProjectName;
    use crate::protocol::archive::sample::zip_of;
    use crate::protocol::archive::sdist::archive_of;

    const BOUNDS: ArchiveBounds = ArchiveBounds::with_metadata(8 << 20);

    const METADATA: &[u8] = b"Name: a\nVersion: 1\n";

    fn named(raw: &str) -> Filename {
        Filename::parse(raw, &ProjectName::parse("a").unwrap()).unwrap()
    }

    fn gzip_of(content: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(content).unwrap();
        packed.finish().unwrap()
    }

    fn read(content: Vec<u8>, raw: &str) -> Result<Option<Vec<u8>>, String> {
        let read = metadata_of(Cursor::new(content), &named(raw), BOUNDS);
        read.map_err(|fault| format!("{raw} {fault}"))
    }

    const WHEEL: &str = "a-1-py3-none-any.whl";

    #[test]
    fn each_kind_keeps_its_metadata_in_its_place() {
        let tar = archive_of(&[("a-1/a.py", b"1"), ("a-1/PKG-INFO", METADATA)]);
        let deeper = ("a-1/a.egg-info/PKG-INFO", &b"Name: other"[..]);
        let table = [
            (
                WHEEL,
                zip_of(&[("a.py", b""), ("a-1.dist-info/METADATA", METADATA)]),
            ),
            ("a-1.tar.gz", gzip_of(&tar)),
            ("a-1.tgz", gzip_of(&tar)),
            ("a-1.zip", zip_of(&[deeper, ("a-1/PKG-INFO", METADATA)])),
            ("a-1-py3.8.egg", zip_of(&[("EGG-INFO/PKG-INFO", METADATA)])),
        ];
        for (raw, content) in table {
            assert_eq!(read(content, raw), Ok(Some(METADATA.to_vec())), "{raw}");
        }
    }

    #[test]
    fn an_sdist_may_have_none_and_other_kinds_are_not_opened() {
        let table = [
            ("a-1.tar.gz", gzip_of(&archive_of(&[("a-1/a.py", b"1")]))),
            ("a-1.zip", zip_of(&[("a-1/a.py", b"1")])),
            ("a-1.exe", b"MZ".to_vec()),
            ("a-1.tar.bz2", b"BZh".to_vec()),
        ];
        for (raw, content) in table {
            assert_eq!(read(content, raw), Ok(None), "{raw}");
        }
    }

    #[test]
    fn what_is_not_what_its_name_says_is_told() {
        let wheel = zip_of(&[("a-1.dist-info/METADATA", METADATA)]);
        let two = [
            ("a-1.dist-info/METADATA", METADATA),
            ("b-1.dist-info/METADATA", METADATA),
        ];
        let vendored = zip_of(&[("a/_vendor/b-1.dist-info/METADATA", METADATA)]);
        let sdist = gzip_of(&archive_of(&[("a-1/PKG-INFO", METADATA)]));
        let table = [
            (
                WHEEL,
                b"any bytes".to_vec(),
                "a-1-py3-none-any.whl is not a readable zip archive",
            ),
            (
                WHEEL,
                Vec::new(),
                "a-1-py3-none-any.whl is not a readable zip archive",
            ),
            (
                WHEEL,
                wheel[..wheel.len() - 30].to_vec(),
                "a-1-py3-none-any.whl is not a readable zip archive",
            ),
            (
                WHEEL,
                zip_of(&two),
                "a-1-py3-none-any.whl holds 2 .dist-info/METADATA files, a wheel holds one",
            ),
            (
                WHEEL,
                vendored,
                "a-1-py3-none-any.whl holds 0 .dist-info/METADATA files, a wheel holds one",
            ),
            (
                "a-1.tar.gz",
                wheel,
                "a-1.tar.gz is not a readable tar.gz archive",
            ),
            (
                "a-1.tar.gz",
                sdist[..40].to_vec(),
                "a-1.tar.gz is not a readable tar.gz archive",
            ),
            ("a-1.zip", sdist, "a-1.zip is not a readable zip archive"),
        ];
        for (raw, content, text) in table {
            assert_eq!(read(content, raw), Err(text.to_owned()));
        }
    }

    #[test]
    fn bombs_go_off_at_their_limit() {
        let long = vec![b' '; usize::try_from(BOUNDS.metadata_bytes_max).unwrap() + 1];
        let text = "has metadata over the limit of 8388608 bytes";
        let wheel = zip_of(&[("a-1.dist-info/METADATA", &long)]);
        assert_eq!(read(wheel, WHEEL), Err(format!("{WHEEL} {text}")));
        let sdist = gzip_of(&archive_of(&[("a-1/PKG-INFO", &long)]));
        assert_eq!(read(sdist, "a-1.tar.gz"), Err(format!("a-1.tar.gz {text}")));
    }

    #[test]
    fn metadata_that_stands_twice_has_to_say_the_same() {
        let twice = |second: &[u8]| {
            let entries = [
                ("a-1.dist-info/METADATA", METADATA),
                ("a.py", b"import this"),
                ("a-1.dist-info/METADATB", second),
            ];
            let mut wheel = zip_of(&entries);
            while let Some(at) = wheel.windows(7).position(|window| window == b"ETADATB") {
                wheel[at + 6] = b'A';
            }
            read(wheel, WHEEL)
        };
        assert_eq!(twice(METADATA), Ok(Some(METADATA.to_vec())));
        for second in [
            &b"Name: a\nVersion: 2\n"[..],
            b"",
            &[METADATA, b"x"].concat(),
        ] {
            let refused = twice(second).unwrap_err();
            assert!(
                refused.contains("METADATA twice, and they differ"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_zip_with_something_after_its_end_is_refused() {
        let zip = zip_of(&[("a-1.dist-info/METADATA", METADATA)]);
        let mut commented = zip.clone();
        let end = commented.len();
        commented[end - 2..].copy_from_slice(&7_u16.to_le_bytes());
        commented.extend_from_slice(b"comment");
        assert_eq!(read(commented.clone(), WHEEL), Ok(Some(METADATA.to_vec())));
        let other = zip_of(&[("b-1.dist-info/METADATA", METADATA)]);
        for (what, content) in [
            ("a byte", [&zip[..], b"x"].concat()),
            ("much", [&zip[..], &[0; 70_000]].concat()),
            ("a byte after a comment", [&commented[..], b"x"].concat()),
            (
                "less than its comment",
                commented[..commented.len() - 1].to_vec(),
            ),
            ("another end in the comment", {
                let mut hidden = zip.clone();
                let comment = [&other[other.len() - 22..], b"x"].concat();
                hidden[end - 2..].copy_from_slice(&23_u16.to_le_bytes());
                hidden.extend_from_slice(&comment);
                hidden
            }),
        ] {
            let refused = read(content, WHEEL).unwrap_err();
            let words = if what == "much" {
                "is not a readable zip"
            } else {
                "does not end where"
            };
            assert!(refused.contains(words), "{what}: {refused}");
        }
    }

    #[test]
    fn a_zip_with_something_before_its_beginning_is_refused() {
        let zip = zip_of(&[("a.py", b"1"), ("a-1.dist-info/METADATA", METADATA)]);
        let other = zip_of(&[("b-1.dist-info/METADATA", METADATA)]);
        // Some tools count offsets from the beginning of the file then.
        let mut counted = [b"#!/bin/sh\n", &zip[..]].concat();
        let long = |at: usize| u32::from_le_bytes(counted[at..at + 4].try_into().unwrap());
        let (end, directory) = (counted.len() - 22, long(counted.len() - 6));
        let mut at = directory as usize + 10;
        let mut moved = vec![(end + 16, directory + 10)];
        while at < end {
            moved.push((at + 42, long(at + 42) + 10));
            let name = u16::from_le_bytes(counted[at + 28..at + 30].try_into().unwrap());
            at += 46 + usize::from(name);
        }
        for (at, number) in moved {
            counted[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        for (what, content) in [
            ("a byte", [b"x", &zip[..]].concat()),
            ("a script", [b"#!/bin/sh\n", &zip[..]].concat()),
            ("a script that is counted", counted),
            ("another zip", [&other[..], &zip[..]].concat()),
        ] {
            for name in [WHEEL, "a-1.zip"] {
                let refused = read(content.clone(), name).unwrap_err();
                assert!(
                    refused.contains("does not begin where"),
                    "{what}: {refused}"
                );
            }
        }
        assert!(read(zip, WHEEL).is_ok());
    }

    #[test]
    fn a_zip_whose_directory_is_too_long_is_not_read_into_memory() {
        let mut content = zip_of(&[("a-1.dist-info/METADATA", METADATA)]);
        // Says that its directory has 65,535 entries, with names of 65,535 bytes, and brings them.
        let end = content.len() - 22;
        let start = u32::from_le_bytes(content[end + 16..end + 20].try_into().unwrap());
        let mut entry = content[start as usize..end].to_vec();
        let tail = content.split_off(end);
        content.truncate(start as usize);
        entry[28..30].copy_from_slice(&u16::MAX.to_le_bytes());
        entry.resize(46 + usize::from(u16::MAX), b'x');
        let count = 400_u16;
        for _ in 0..count {
            content.extend_from_slice(&entry);
        }
        let length = u32::from(count) * u32::try_from(entry.len()).unwrap();
        content.extend_from_slice(&tail[..8]);
        content.extend_from_slice(&count.to_le_bytes());
        content.extend_from_slice(&count.to_le_bytes());
        content.extend_from_slice(&length.to_le_bytes());
        content.extend_from_slice(&start.to_le_bytes());
        content.extend_from_slice(&[0, 0]);
        let text = "has a directory over the limit of 16777216 bytes";
        assert_eq!(read(content, WHEEL), Err(format!("{WHEEL} {text}")));
    }
}
