//! Looking for one small file in a tar archive, read front to back (POSIX ustar, with GNU's numbers).
//!
//! Only names in the plain header are looked at. The extensions for long names come as entries of their
//! own and are passed over: `name-version/PKG-INFO` fits the plain header of every archive met.

use std::io;
use std::io::Read;

const BLOCK: usize = 512;

/// What a search through a tar archive found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The content of the first entry that was wanted.
    Entry(Vec<u8>),
    /// The archive has no such entry.
    Nothing,
    /// The bytes are not a tar archive, or it ends in the middle.
    Broken,
    /// The entry is longer than allowed.
    TooLong,
}

/// Reads entries until one with a wanted name, and of that at most `length_max` bytes.
pub(super) fn find(
    mut archive: impl Read,
    wanted: impl Fn(&str) -> bool,
    length_max: u64,
) -> io::Result<Found> {
    loop {
        let mut header = [0_u8; BLOCK];
        if !read_block(&mut archive, &mut header)? {
            return Ok(Found::Broken);
        }
        if header.iter().all(|byte| *byte == 0) {
            return Ok(Found::Nothing);
        }
        let (Some(length), true) = (number(&header[124..136]), checksum_holds(&header)) else {
            return Ok(Found::Broken);
        };
        let is_file = matches!(header[156], b'0' | 0);
        if is_file && wanted(&name(&header)) {
            if length > length_max {
                return Ok(Found::TooLong);
            }
            let mut content = Vec::new();
            archive.take(length).read_to_end(&mut content)?;
            let whole = content.len() as u64 == length;
            return Ok(if whole {
                Found::Entry(content)
            } else {
                Found::Broken
            });
        }
        let padded = length.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        let passed = io::copy(&mut archive.by_ref().take(padded), &mut io::sink())?;
        if passed < padded {
            return Ok(Found::Broken);
        }
    }
}

/// Fills the block; `false` when the archive ends before.
fn read_block(archive: &mut impl Read, block: &mut [u8; BLOCK]) -> io::Result<bool> {
    match archive.read_exact(block) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Prefix and name; what is not UTF-8 is nobody's metadata.
fn name(header: &[u8; BLOCK]) -> String {
    let text = |field: &[u8]| {
        let end = field
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).into_owned()
    };
    let name = text(&header[..100]);
    let prefix = text(&header[345..500]);
    if header[257..263] == *b"ustar\0" && !prefix.is_empty() {
        format!("{prefix}/{name}")
    } else {
        name
    }
}

/// Octal digits with blanks around, or GNU's binary form for what does not fit.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        let bytes: [u8; 8] = field[field.len() - 8..].try_into().ok()?;
        return Some(u64::from_be_bytes(bytes));
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(digits, 8).ok()
}

/// The sum of all bytes, with blanks in the place of the sum.
fn checksum_holds(header: &[u8; BLOCK]) -> bool {
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    let field: u64 = header[148..156].iter().map(|byte| u64::from(*byte)).sum();
    number(&header[148..156]) == Some(sum - field + 8 * u64::from(b' '))
}

/// An archive with these entries, for tests.
#[cfg(test)]
pub(super) fn archive_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in entries {
        let mut header = [0_u8; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(content);
        archive.resize(archive.len().div_ceil(BLOCK) * BLOCK, 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(archive: &[u8]) -> Found {
        find(archive, |name| name == "a-1/PKG-INFO", 16).unwrap()
    }

    #[test]
    fn the_first_wanted_entry_is_found() {
        let archive = archive_of(&[
            ("a-1/x", &[7; 700]),
            ("a-1/PKG-INFO", b"Name: a"),
            ("b", b""),
        ]);
        assert_eq!(search(&archive), Found::Entry(b"Name: a".into()));
        assert_eq!(search(&archive_of(&[("a-1/x", b"1")])), Found::Nothing);
        assert_eq!(
            search(&archive_of(&[("a-1/PKG-INFO", &[b'x'; 17])])),
            Found::TooLong
        );
    }

    #[test]
    fn a_prefix_belongs_to_the_name() {
        let mut archive = archive_of(&[("PKG-INFO", b"Name: a")]);
        archive[345..348].copy_from_slice(b"a-1");
        archive[148..156].fill(b' ');
        let sum: u32 = archive[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
        archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(search(&archive), Found::Entry(b"Name: a".into()));
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
        huge[148..156].fill(b' ');
        let sum: u32 = huge[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
        huge[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        for broken in [
            &b""[..],
            &[1; 2000],
            &whole[..600],
            &whole[..2051],
            &wrong_sum,
            &huge,
        ] {
            assert_eq!(search(broken), Found::Broken, "{} bytes", broken.len());
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
            prop_assert!(find(&*archive, |_| false, 16).is_ok());
        }
    }
}
