//! Digests of files: the sha256 that names them here, and any others that an index states.

use std::fmt;
use std::str::FromStr;

/// A sha256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256([u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a sha256 digest")]
pub struct InvalidDigest(pub String);

/// What a hexadecimal digit of either case means; more than 15 for any other byte.
const HALVES: [u8; 256] = {
    let mut halves = [0xff; 256];
    let mut half = 0;
    while half < 16 {
        halves[b"0123456789abcdef"[half as usize] as usize] = half;
        halves[b"0123456789ABCDEF"[half as usize] as usize] = half;
        half += 1;
    }
    halves
};

impl Sha256 {
    /// The digest with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of a text or file held in memory.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(content).into())
    }

    /// Parses 64 hexadecimal digits of either case.
    ///
    /// # Errors
    /// When the text has another length or another character.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let invalid = || InvalidDigest(text.chars().take(80).collect());
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(invalid());
        }
        let mut bytes = [0_u8; 32];
        let mut seen = 0;
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| HALVES[usize::from(digit)]);
            *byte = high << 4 | low & 15;
            seen |= high | low;
        }
        if seen > 15 {
            return Err(invalid());
        }
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text
    }
}

impl FromStr for Sha256 {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sha256({self})")
    }
}

/// The algorithm name of a truncated sha256 among the other digests.
pub const CUT_SHA256: &str = "sha256-cut";

/// Its fewest digits: a URL has three in its first folder and some in its second.
const CUT_DIGITS_MIN: usize = 4;

/// Every digest an index states of one file, by algorithm name in lower case (PEP 691 `hashes`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hashes {
    sha256: Option<Sha256>,
    others: Vec<(Box<str>, Box<str>)>,
}

impl Hashes {
    /// Roughly how many bytes they take beyond their own size.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        /// The allocator's share of two texts.
        const TEXTS: usize = 32;
        let texts = self.others.iter().map(|(name, hex)| name.len() + hex.len());
        texts.sum::<usize>() + self.others.capacity() * (size_of::<(Box<str>, Box<str>)>() + TEXTS)
    }

    /// Only a sha256.
    #[must_use]
    pub fn sha256_only(digest: Sha256) -> Self {
        Self {
            sha256: Some(digest),
            others: Vec::new(),
        }
    }

    /// Adds one digest; names and hex digits are lower-cased.
    ///
    /// # Errors
    /// When a sha256 is not 64 hexadecimal digits, or another value is not hexadecimal at all.
    pub fn insert(&mut self, algorithm: &str, hex: &str) -> Result<(), InvalidDigest> {
        if algorithm.eq_ignore_ascii_case("sha256") {
            self.sha256 = Some(Sha256::parse(hex)?);
            return Ok(());
        }
        let algorithm = algorithm.to_ascii_lowercase();
        if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidDigest(hex.chars().take(80).collect()));
        }
        self.others.retain(|(name, _)| **name != *algorithm);
        self.others
            .push((algorithm.into(), hex.to_ascii_lowercase().into()));
        self.others.sort();
        Ok(())
    }

    /// Adds a sha256 that a source states truncated. No file can be compared with it, so none matches
    /// it; but devpi's URL of the file is made from it.
    ///
    /// # Errors
    /// When it is not hexadecimal, or too short for a URL.
    pub fn insert_cut(&mut self, hex: &str) -> Result<(), InvalidDigest> {
        if hex.len() < CUT_DIGITS_MIN {
            return Err(InvalidDigest(hex.to_owned()));
        }
        self.insert(CUT_SHA256, hex)
    }

    /// Whether a source states a truncated digest, which nothing can match.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.others.iter().any(|(name, _)| **name == *CUT_SHA256)
    }

    /// The sha256, if known.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256> {
        self.sha256
    }

    /// Whether no digest is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sha256.is_none() && self.others.is_empty()
    }

    /// What to state to others: the sha256 alone if it is known. Lock files copy everything that is stated,
    /// and a second digest would pin what another index with the same file cannot confirm.
    pub fn strongest(&self) -> impl Iterator<Item = (&str, String)> {
        let most = if self.sha256.is_some() { 1 } else { usize::MAX };
        self.iter().take(most)
    }

    /// Every digest as (algorithm, hex): the sha256 first, the others by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, String)> {
        let first = self.sha256.iter().map(|digest| ("sha256", digest.to_hex()));
        first.chain(
            self.others
                .iter()
                .map(|(name, hex)| (&**name, hex.to_string())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_of_either_case_is_one_digest() {
        let digest = Sha256::of(b"");
        assert_eq!(
            Sha256::parse(&digest.to_hex().to_uppercase()).unwrap(),
            digest
        );
        assert!(digest.to_hex().starts_with("e3b0c44298fc1c14"));
    }

    #[test]
    fn bad_digests_are_refused() {
        for text in ["", "1234", &"g".repeat(64), &"é".repeat(32)] {
            assert!(Sha256::parse(text).is_err(), "{text:?}");
            assert!(
                Hashes::default().insert("sha256", text).is_err(),
                "{text:?}"
            );
        }
        assert!(Hashes::default().insert("md5", "").is_err());
    }

    #[test]
    fn sha256_comes_first() {
        let mut hashes = Hashes::default();
        hashes.insert("MD5", "ABCD").unwrap();
        hashes.insert("sha256", &Sha256::of(b"x").to_hex()).unwrap();
        let names: Vec<_> = hashes.iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["sha256", "md5"]);
        let stated: Vec<_> = hashes.strongest().map(|(name, _)| name).collect();
        assert_eq!(stated, ["sha256"]);
        let mut weak = Hashes::default();
        weak.insert("md5", "abcd").unwrap();
        weak.insert("sha512", "abcd").unwrap();
        assert_eq!(weak.strongest().count(), 2);
    }
}
