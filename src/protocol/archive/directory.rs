//! The directory of a ZIP archive, entry by entry, and whether every reader finds the same one.
//!
//! Where an archive contradicts itself, readers differ: some go by the number of entries and some by the
//! directory's length, some follow a ZIP64 record that nothing asks for, some cut a name at a NUL and some
//! prefer the name in an extra field. One that shows a gateway less than it gives an installer is refused
//! by whoever asks for the names that all agree on (APPNOTE.TXT 4.3.12 to 4.3.16, 4.6.9).

use std::io;
use std::io::{Read, Seek, SeekFrom};

use crate::protocol::archive::zipped::ZipFault;

/// What every entry of the directory begins with.
const SIGNATURE: [u8; 4] = *b"PK\x01\x02";

/// Fixed length of such an entry, before its name.
const ENTRY_BYTES: usize = 46;

/// Length of the end record before its comment, and the longest comment.
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = 65_535;

/// Lengths of the ZIP64 end record and its locator, which stand right before the end record.
const END64_BYTES: usize = 56;
const LOCATOR_BYTES: usize = 20;

/// The extra field with a name in UTF-8, and what stands in it before the name.
const UNICODE_PATH: u16 = 0x7075;
const UNICODE_PATH_HEAD: usize = 5;

/// An entry of the directory.
pub struct Entry {
    fixed: [u8; ENTRY_BYTES],
    /// Its name, as written.
    pub name: Vec<u8>,
    extra: Vec<u8>,
}

impl Entry {
    fn short(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.fixed[at], self.fixed[at + 1]])
    }

    /// The number of four bytes at this place.
    pub fn long(&self, at: usize) -> u32 {
        u32::from(self.short(at)) | u32::from(self.short(at + 2)) << 16
    }

    fn length(&self) -> u64 {
        let parts = [28, 30, 32].map(|at| u64::from(self.short(at)));
        ENTRY_BYTES as u64 + parts.iter().sum::<u64>()
    }

    /// The name that some readers prefer.
    fn unicode_name(&self) -> Option<&[u8]> {
        let mut rest = &self.extra[..];
        while let [a, b, c, d, after @ ..] = rest {
            let length = usize::from(u16::from_le_bytes([*c, *d]));
            let field = after.get(..length)?;
            if u16::from_le_bytes([*a, *b]) == UNICODE_PATH {
                return field.get(UNICODE_PATH_HEAD..);
            }
            rest = &after[length..];
        }
        None
    }
}

/// Shows every entry of the directory that begins at `directory`.
///
/// # Errors
/// When it cannot be read.
pub fn walk<R: Read + Seek>(
    archive: &mut R,
    directory: u64,
    mut show: impl FnMut(&Entry) -> io::Result<()>,
) -> io::Result<()> {
    archive.seek(SeekFrom::Start(directory))?;
    loop {
        let mut entry = Entry {
            fixed: [0; ENTRY_BYTES],
            name: Vec::new(),
            extra: Vec::new(),
        };
        // The directory is followed by its end, which is shorter than an entry.
        archive.read_exact(&mut entry.fixed[..SIGNATURE.len()])?;
        if entry.fixed[..SIGNATURE.len()] != SIGNATURE {
            return Ok(());
        }
        archive.read_exact(&mut entry.fixed[SIGNATURE.len()..])?;
        entry.name = vec![0; entry.short(28).into()];
        archive.read_exact(&mut entry.name)?;
        entry.extra = vec![0; entry.short(30).into()];
        archive.read_exact(&mut entry.extra)?;
        let comment = entry.short(32).into();
        io::copy(&mut archive.by_ref().take(comment), &mut io::sink())?;
        show(&entry)?;
    }
}

/// All names of an archive about whose directory no two readers can differ; a name that readers may take
/// for another stands there in both forms.
///
/// # Errors
/// When it cannot be read, or contradicts itself.
pub fn agreed_names<R: Read + Seek>(archive: &mut R) -> Result<Vec<Vec<u8>>, ZipFault> {
    let end = End::of(archive)?;
    let (mut names, mut count, mut length) = (Vec::new(), 0, 0);
    walk(archive, end.start, |entry| {
        count += 1;
        length += entry.length();
        names.extend(entry.unicode_name().map(<[u8]>::to_vec));
        names.push(entry.name.clone());
        Ok(())
    })?;
    if (count, length) != (end.count, end.length) {
        return Err(contradiction("its directory is not as long as it says"));
    }
    if names.iter().any(|name| name.contains(&0)) {
        return Err(contradiction("a name in it has a NUL"));
    }
    Ok(names)
}

fn contradiction(what: &str) -> ZipFault {
    ZipFault::Damaged(format!("readers may differ about it: {what}"))
}

/// What the end of an archive says about its directory.
struct End {
    start: u64,
    count: u64,
    length: u64,
}

impl End {
    fn of<R: Read + Seek>(archive: &mut R) -> Result<Self, ZipFault> {
        let size = archive.seek(SeekFrom::End(0))?;
        // Nearly all archives have no comment, and a few bytes may be all that is here of one.
        for comment in [0, COMMENT_BYTES_MAX] {
            let most = (comment + END_BYTES + LOCATOR_BYTES + END64_BYTES) as u64;
            let at = size.saturating_sub(most);
            archive.seek(SeekFrom::Start(at))?;
            let mut tail = Vec::new();
            archive.by_ref().take(most).read_to_end(&mut tail)?;
            if let Some(end) = memchr::memmem::rfind(&tail, b"PK\x05\x06") {
                return Self::at(&tail, end, at);
            }
        }
        Err(ZipFault::Damaged("it has no end record".into()))
    }

    /// Reads the end record at `end` of a tail that begins at `tail_at` of the archive.
    fn at(tail: &[u8], end: usize, tail_at: u64) -> Result<Self, ZipFault> {
        let record = &tail[end..];
        if record.len() < END_BYTES || record.len() != END_BYTES + number(record, 20, 2) as usize {
            return Err(ZipFault::TrailingBytes);
        }
        let plain = [(10, 2), (12, 4), (16, 4)].map(|(at, bytes)| number(record, at, bytes));
        let most = [u64::from(u16::MAX), u32::MAX.into(), u32::MAX.into()];
        let locator = end
            .checked_sub(LOCATOR_BYTES)
            .map(|at| (at, &tail[at..end]));
        let locator = locator.filter(|(_, bytes)| bytes.starts_with(b"PK\x06\x07"));
        let (directory_end, [count, length, start]) = match locator {
            None => (end, plain),
            Some((at, locator)) => {
                let record_at = at.checked_sub(END64_BYTES);
                let record_at = record_at.filter(|at| tail[*at..].starts_with(b"PK\x06\x06"));
                let record_at = record_at.ok_or_else(|| contradiction("its ZIP64 record"))?;
                let record = &tail[record_at..at];
                let long = [32, 40, 48].map(|at| number(record, at, 8));
                let agree = |at: usize| plain[at] == most[at] || plain[at] == long[at];
                let is_there = number(locator, 8, 8) == tail_at + record_at as u64;
                if !is_there || number(record, 4, 8) != 44 || !(0..3).all(agree) {
                    return Err(contradiction("its ZIP64 record"));
                }
                (record_at, long)
            }
        };
        if start.checked_add(length) != Some(tail_at + directory_end as u64) {
            return Err(contradiction("where its directory is"));
        }
        Ok(Self {
            start,
            count,
            length,
        })
    }
}

/// A number of so many bytes, the lowest first.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let bytes = bytes[at..at + length].iter().rev();
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// An archive's directory and end, without the files.
    struct Made {
        name: &'static [u8],
        extra: Vec<u8>,
        count: u16,
        length_more: u32,
        start_more: u32,
        before_end: Vec<u8>,
        behind: &'static [u8],
    }

    impl Made {
        fn of(name: &'static [u8]) -> Self {
            Self {
                name,
                extra: Vec::new(),
                count: 1,
                length_more: 0,
                start_more: 0,
                before_end: Vec::new(),
                behind: b"",
            }
        }

        fn bytes(&self) -> Vec<u8> {
            let mut entry = SIGNATURE.to_vec();
            entry.resize(ENTRY_BYTES, 0);
            let lengths = [(28, self.name.len()), (30, self.extra.len())];
            for (at, length) in lengths {
                entry[at..at + 2].copy_from_slice(&u16::try_from(length).unwrap().to_le_bytes());
            }
            entry.extend([self.name, &self.extra].concat());
            let files = b"what stands before the directory";
            let length = u32::try_from(entry.len()).unwrap() + self.length_more;
            let start = u32::try_from(files.len()).unwrap() + self.start_more;
            let mut bytes = [&files[..], &entry, &self.before_end, b"PK\x05\x06\0\0\0\0"].concat();
            bytes.extend([self.count.to_le_bytes(), self.count.to_le_bytes()].concat());
            bytes.extend([length.to_le_bytes(), start.to_le_bytes()].concat());
            bytes.extend([&[0, 0], self.behind].concat());
            bytes
        }

        fn names(&self) -> Result<Vec<Vec<u8>>, ZipFault> {
            agreed_names(&mut Cursor::new(self.bytes()))
        }
    }

    /// A ZIP64 record and its locator, for the archive that [`Made`] makes.
    fn zip64(record_at: u64, count: u64, length: u64) -> Vec<u8> {
        let mut bytes = b"PK\x06\x06".to_vec();
        bytes.extend(44_u64.to_le_bytes());
        bytes.resize(24, 0);
        bytes.extend([count, count, length, 32].map(u64::to_le_bytes).concat());
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(record_at.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes
    }

    #[test]
    fn an_archive_that_says_one_thing_has_its_names() {
        let plain = Made::of(b"curd.pth");
        assert_eq!(plain.names().unwrap(), [b"curd.pth"]);
        let length = (ENTRY_BYTES + 8) as u64;
        let long = Made {
            count: u16::MAX,
            before_end: zip64(32 + length, 1, length),
            ..Made::of(b"curd.pth")
        };
        assert_eq!(long.names().unwrap(), [b"curd.pth"]);
        let mut extra = UNICODE_PATH.to_le_bytes().to_vec();
        extra.extend([9, 0, 1, 0, 0, 0, 0]);
        extra.extend(b".txt");
        let two = Made {
            extra,
            ..Made::of(b".pth")
        };
        assert_eq!(two.names().unwrap(), [b".txt", b".pth"]);
    }

    #[test]
    fn where_readers_may_differ_there_is_no_answer() {
        let made = || Made::of(b"curd.pth");
        let length = (ENTRY_BYTES + 8) as u64;
        let zip64_of = |record_at, count, length| Made {
            before_end: zip64(record_at, count, length),
            ..made()
        };
        let table = [
            ("fewer", Made { count: 0, ..made() }),
            ("more", Made { count: 2, ..made() }),
            (
                "longer",
                Made {
                    length_more: 1,
                    ..made()
                },
            ),
            (
                "elsewhere",
                Made {
                    start_more: 1,
                    ..made()
                },
            ),
            (
                "behind",
                Made {
                    behind: b"x",
                    ..made()
                },
            ),
            ("NUL", Made::of(b"curd.pth\0.txt")),
            (
                "gap",
                Made {
                    before_end: vec![0; 4],
                    ..made()
                },
            ),
            ("another count", zip64_of(32 + length, 2, length)),
            ("another length", zip64_of(32 + length, 1, 0)),
            ("another record", zip64_of(31 + length, 1, length)),
            (
                "no record",
                Made {
                    count: u16::MAX,
                    ..made()
                },
            ),
        ];
        for (what, made) in table {
            assert!(made.names().is_err(), "{what}: {:?}", made.names());
        }
        assert!(agreed_names(&mut Cursor::new(b"no zip")).is_err());
    }
}
