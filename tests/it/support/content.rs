//! What a fake file holds: bytes, or noise that is made as it is sent.

use bytes::Bytes;
use cheesecloth::model::Sha256;
use sha2::Digest as _;

/// Piece that is made and hashed at once.
const PIECE: u64 = 64 << 10;

/// The bytes of a file.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// These.
    Bytes(Bytes),
    /// Pseudo-random bytes, the same for the same seed, never all in memory.
    Noise { seed: u64, length: u64 },
}

impl Content {
    /// Noise of this length.
    pub(crate) fn noise(seed: u64, length: u64) -> Self {
        Self::Noise { seed, length }
    }

    /// How many bytes there are.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Noise { length, .. } => *length,
        }
    }

    /// The bytes from `start` to before `end`.
    pub(crate) fn piece(&self, start: u64, end: u64) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.slice(index(start)..index(end)),
            Self::Noise { seed, .. } => (start / 8..end.div_ceil(8))
                .flat_map(|word| mix(seed.wrapping_add(word)).to_le_bytes())
                .skip(index(start % 8))
                .take(index(end - start))
                .collect(),
        }
    }

    /// All of it in memory.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.piece(0, self.length()).to_vec()
    }

    /// Its md5, in hexadecimal digits.
    pub(crate) fn md5(&self) -> String {
        let digest = md5::Md5::digest(self.to_vec());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its digest.
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
