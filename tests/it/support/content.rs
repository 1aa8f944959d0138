//! The content of a fake file: bytes, or noise that is generated while it is sent.

use bytes::Bytes;
use cheesecloth::testing::model::Sha256;
use sha2::Digest as _;

/// Size of the pieces that are generated and hashed.
const PIECE: u64 = 64 << 10;

#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Given bytes.
    Bytes(Bytes),
    /// Pseudo-random bytes that depend on the seed, never all in memory.
    Noise { seed: u64, length: u64 },
    /// A ZIP archive with this many directory entries and nothing else; never all in memory.
    Directory { seed: u64, entries: u16 },
}

/// Size of an entry in such a directory, in bytes.
const ENTRY: usize = 1000;

/// Size of its fixed part, before the name.
const ENTRY_HEAD: usize = 46;

/// Size of the record at the end of a directory.
const DIRECTORY_END: u64 = 22;

impl Content {
    /// Noise of this length.
    pub(crate) fn noise(seed: u64, length: u64) -> Self {
        Self::Noise { seed, length }
    }

    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Noise { length, .. } => *length,
            Self::Directory { entries, .. } => u64::from(*entries) * ENTRY as u64 + DIRECTORY_END,
        }
    }

    pub(crate) fn piece(&self, start: u64, end: u64) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.slice(index(start)..index(end)),
            Self::Noise { seed, .. } => (start / 8..end.div_ceil(8))
                .flat_map(|word| mix(seed.wrapping_add(word)).to_le_bytes())
                .skip(index(start % 8))
                .take(index(end - start))
                .collect(),
            Self::Directory { seed, entries } => {
                let first = index(start) / ENTRY;
                let mut whole = Vec::new();
                for number in first..index(end).div_ceil(ENTRY) {
                    match u16::try_from(number).ok().filter(|number| number < entries) {
                        Some(number) => whole.extend_from_slice(&directory_entry(*seed, number)),
                        None => whole.extend_from_slice(&directory_end(*entries)),
                    }
                }
                let skipped = index(start) - first * ENTRY;
                Bytes::from(whole).slice(skipped..skipped + index(end - start))
            }
        }
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.piece(0, self.length()).to_vec()
    }

    /// The md5 in hexadecimal.
    pub(crate) fn md5(&self) -> String {
        let digest = md5::Md5::digest(self.to_vec());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The digest by another algorithm, in hexadecimal.
    pub(crate) fn digest(&self, algorithm: &str) -> String {
        let bytes = self.to_vec();
        let digest = match algorithm {
            "md5" => md5::Md5::digest(bytes).to_vec(),
            "sha1" => <sha1::Sha1 as sha1::Digest>::digest(bytes).to_vec(),
            "sha224" => sha2::Sha224::digest(bytes).to_vec(),
            "sha384" => sha2::Sha384::digest(bytes).to_vec(),
            "sha512" => sha2::Sha512::digest(bytes).to_vec(),
            "blake2b" => blake2::Blake2b512::digest(bytes).to_vec(),
            other => panic!("no fake states a {other}"),
        };
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn sha256(&self) -> Sha256 {
        let mut hasher = sha2::Sha256::new();
        let mut start = 0;
        while start < self.length() {
            let end = (start + PIECE).min(self.length());
            hasher.update(self.piece(start, end));
            start = end;
        }
        Sha256::from_bytes(hasher.finalize().into())
    }
}

fn directory_entry(seed: u64, number: u16) -> Vec<u8> {
    let name_length = u16::try_from(ENTRY - ENTRY_HEAD).expect("it is short");
    let mut entry = b"PK\x01\x02\x14\0\x14\0".to_vec();
    entry.resize(28, 0);
    entry.extend_from_slice(&name_length.to_le_bytes());
    entry.resize(ENTRY_HEAD, 0);
    entry.extend_from_slice(format!("{seed}/{number}/").as_bytes());
    entry.resize(ENTRY, b'x');
    entry
}

fn directory_end(entries: u16) -> Vec<u8> {
    let length = u32::from(entries) * u32::try_from(ENTRY).expect("it is short");
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend_from_slice(&entries.to_le_bytes());
    end.extend_from_slice(&entries.to_le_bytes());
    end.extend_from_slice(&length.to_le_bytes());
    // The directory begins where the archive does, and there is no comment.
    end.extend_from_slice(&[0; 6]);
    end
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("tests run on 64 bits")
}

/// One step of splitmix64: a well-mixed word for each position.
fn mix(position: u64) -> u64 {
    let mut word = position.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[test]
fn pieces_of_noise_are_pieces_of_one_whole() {
    let noise = Content::noise(3, 1000);
    let whole = noise.to_vec();
    assert_eq!(whole.len(), 1000);
    for (start, end) in [(0, 1), (7, 9), (8, 16), (13, 13), (13, 999), (999, 1000)] {
        assert_eq!(noise.piece(start, end), whole[index(start)..index(end)]);
    }
    assert_eq!(noise.sha256(), Sha256::of(&whole));
}

#[test]
fn pieces_of_a_directory_are_pieces_of_one_archive() {
    let directory = Content::Directory {
        seed: 7,
        entries: 3,
    };
    let whole = directory.to_vec();
    assert_eq!(whole.len(), 3 * ENTRY + 22);
    for (start, end) in [
        (0, 1),
        (999, 1001),
        (1000, 3000),
        (2990, 3022),
        (3010, 3020),
    ] {
        assert_eq!(directory.piece(start, end), whole[index(start)..index(end)]);
    }
}
