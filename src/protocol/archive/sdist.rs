//! The `PKG-INFO` of an sdist, a compressed tar archive that is read front to back.
//!
//! Only names in the plain header are considered. Extensions for long names are entries of their own and
//! are skipped: the crate would hold them in memory, however long they are, and `name-version/PKG-INFO`
//! fits the plain header of every archive seen so far.

use std::io;
use std::io::Read;

use crate::protocol::archive::bounded::{Bounded, Spent};
use crate::protocol::archive::fault::ArchiveFault;
use crate::protocol::archive::metadata::is_pkg_info;

/// Most bytes of an sdist that are unpacked while looking for its `PKG-INFO`: seconds of work.
const UNPACKED_MAX: u64 = 1 << 30;

const NOT_AN_ARCHIVE: ArchiveFault = ArchiveFault::NotAnArchive("tar.gz");

/// Reads entries until one is a `PKG-INFO`, and at most `bytes_max` of it; `None` if there is none.
pub(super) fn in_tar_gz(
    content: impl Read,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, ArchiveFault> {
    let unpacked = flate2::read::MultiGzDecoder::new(io::BufReader::new(content));
    in_tar(Bounded::new(unpacked, UNPACKED_MAX), bytes_max)
}

fn in_tar(content: impl Read, bytes_max: u64) -> Result<Option<Vec<u8>>, ArchiveFault> {
    let mut archive = tar::Archive::new(content);
    let mut is_empty = true;
    for entry in archive.entries().map_err(fault)?.raw(true) {
        let mut entry = entry.map_err(fault)?;
        is_empty = false;
        let is_file = entry.header().entry_type().is_file();
        if !is_file || !is_pkg_info(&String::from_utf8_lossy(&entry.path_bytes())) {
            continue;
        }
        if entry.size() > bytes_max {
            return Err(ArchiveFault::Metadata(bytes_max));
        }
        let mut metadata = Vec::new();
        entry.read_to_end(&mut metadata).map_err(fault)?;
        let is_whole = metadata.len() as u64 == entry.size();
        return is_whole.then_some(Some(metadata)).ok_or(NOT_AN_ARCHIVE);
    }
    if is_empty {
        return Err(NOT_AN_ARCHIVE);
    }
    Ok(None)
}

/// A failed read: over the budget, an I/O error, or (from a decoder) invalid data.
fn fault(error: io::Error) -> ArchiveFault {
    if Spent::is_cause_of(&error) {
        ArchiveFault::Unpacked(UNPACKED_MAX)
    } else if error.raw_os_error().is_some() {
        ArchiveFault::Io(error)
    } else {
        NOT_AN_ARCHIVE
    }
}

/// An archive with these entries, for tests.
#[cfg(test)]
pub(super) fn archive_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: usize = 512;
    const BROKEN: &str = "is not a readable tar.gz archive";

    fn search(archive: &[u8]) -> Result<Option<Vec<u8>>, String> {
        in_tar(archive, 16).map_err(|fault| fault.to_string())
    }

    /// Corrects the checksum of a changed first header.
    fn sum_up(archive: &mut [u8]) {
        archive[148..156].fill(b' ');
        let sum: u32 = archive[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
        archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }

    #[test]
    fn the_first_wanted_entry_is_found() {
        let archive = archive_of(&[
            ("a-1/x", &[7; 700]),
            ("a-1/PKG-INFO", b"Name: a"),
            ("b", b""),
        ]);
        assert_eq!(search(&archive), Ok(Some(b"Name: a".into())));
        assert_eq!(search(&archive_of(&[("a-1/x", b"1")])), Ok(None));
        let long = search(&archive_of(&[("a-1/PKG-INFO", &[b'x'; 17])]));
        assert_eq!(long.unwrap_err(), "has metadata over the limit of 16 bytes");
    }

    #[test]
    fn a_prefix_belongs_to_the_name() {
        let mut archive = archive_of(&[("PKG-INFO", b"Name: a")]);
        archive[345..348].copy_from_slice(b"a-1");
        sum_up(&mut archive);
        assert_eq!(search(&archive), Ok(Some(b"Name: a".into())));
    }

    #[test]
    fn a_name_that_is_an_entry_of_its_own_is_nobodys() {
        let mut archive = archive_of(&[("a-1/PKG-INFO", b"b-1/x"), ("a-1/PKG-INFO", b"Name: a")]);
        for kind in *b"LKxg" {
            archive[156] = kind;
            sum_up(&mut archive);
            assert_eq!(search(&archive), Ok(Some(b"Name: a".into())), "{kind}");
        }
    }

    #[test]
    fn what_is_no_archive_is_told() {
        let whole = archive_of(&[("a-1/x", &[7; 700]), ("a-1/PKG-INFO", b"Name: a")]);
        let mut wrong_sum = whole.clone();
        wrong_sum[0] = b'A';
        let mut huge = whole.clone();
        huge[124..136].copy_from_slice(&[
            0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ]);
        sum_up(&mut huge);
        for broken in [
            &b""[..],
            &[1; 2000],
            &whole[..600],
            &whole[..2051],
            &wrong_sum,
            &huge,
        ] {
            let found = search(broken);
            assert_eq!(found, Err(BROKEN.to_owned()), "{} bytes", broken.len());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(
            at in 0usize..512, byte in any::<u8>(), cut in 0usize..3000,
        ) {
            let mut archive = archive_of(&[("a-1/x", &[7; 700]), ("a-1/PKG-INFO", b"Name: a")]);
            archive[at] = byte;
            archive.truncate(cut);
            match search(&archive) {
                Ok(found) => prop_assert!(found.is_none_or(|metadata| metadata == b"Name: a")),
                Err(words) => prop_assert_eq!(words, BROKEN),
            }
        }
    }
}
