//! Hashes bytes as they pass: always sha256, and another digest if only that was promised.

use blake2::Blake2b512;
use blake2::digest::consts::U32;
use sha2::Digest as _;

use crate::model::{Hashes, Sha256};

/// How many hexadecimal digits the long blake2b has.
const BLAKE2B_512_DIGITS: usize = 128;

/// The short one.
type Blake2b256 = blake2::Blake2b<U32>;

/// The digests of an upload's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// How many there are.
    pub size: u64,
    /// Their sha256.
    pub sha256: Sha256,
    /// Their md5, lower-case hex.
    pub md5: String,
    /// Their BLAKE2b-256, lower-case hex.
    pub blake2b_256: String,
    /// Their BLAKE2b-512, lower-case hex.
    pub blake2b_512: String,
}

/// Running digests.
pub(super) struct Digester {
    sha256: sha2::Sha256,
    others: Vec<(String, Box<dyn Running>)>,
}

/// A digest that runs beside the sha256.
trait Running: Send {
    fn take_in(&mut self, bytes: &[u8]);
    fn so_far(&self) -> String;
}

struct Hasher<D>(D);

impl<D: sha2::Digest + Clone + Send> Running for Hasher<D> {
    fn take_in(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn so_far(&self) -> String {
        hex(&self.0.clone().finalize())
    }
}

/// Of a later version of the crates than the others.
impl Running for sha1::Sha1 {
    fn take_in(&mut self, bytes: &[u8]) {
        sha1::Digest::update(self, bytes);
    }

    fn so_far(&self) -> String {
        hex(&sha1::Digest::finalize(self.clone()))
    }
}

fn running<D: sha2::Digest + Clone + Send + 'static>() -> Box<dyn Running> {
    Box::new(Hasher(D::new()))
}

impl Digester {
    /// Runs what is needed to check the promised digests. The others are not needed next to a promised
    /// sha256: no other bytes have that sha256. A promise of an unknown kind is not checked, as if
    /// there were none.
    pub(super) fn for_promise(promised: &Hashes) -> Self {
        let needed = promised.sha256().is_none();
        let others = promised.iter().filter(|_| needed);
        let others = others.filter_map(|(name, hex)| {
            let other: Box<dyn Running> = match name {
                "md5" => running::<md5::Md5>(),
                "sha1" => Box::<sha1::Sha1>::default(),
                "sha384" => running::<sha2::Sha384>(),
                "sha512" => running::<sha2::Sha512>(),
                "sha224" => running::<sha2::Sha224>(),
                // The upload API says `blake2_256`, the JSON API `blake2b_256`, hashlib `blake2b` for
                // the long one, and indexes use that word for both.
                "blake2b" if hex.len() == BLAKE2B_512_DIGITS => running::<Blake2b512>(),
                "blake2b" | "blake2_256" | "blake2b_256" => running::<Blake2b256>(),
                _ => return None,
            };
            Some((name.to_owned(), other))
        });
        Self {
            sha256: sha2::Sha256::new(),
            others: others.collect(),
        }
    }

    /// Runs every digest that an upload's client may state.
    pub(super) fn for_upload() -> Self {
        let others = [
            ("md5", running::<md5::Md5>()),
            ("blake2b_256", running::<Blake2b256>()),
            ("blake2b_512", running::<Blake2b512>()),
        ];
        Self {
            sha256: sha2::Sha256::new(),
            others: others.map(|(name, one)| (name.to_owned(), one)).into(),
        }
    }

    /// The digests of what came so far.
    pub(super) fn so_far(&self, size: u64) -> Digests {
        let of = |wanted: &str| {
            let mut others = self.others.iter();
            let found = others.find(|(name, _)| name == wanted);
            found.map(|(_, one)| one.so_far()).unwrap_or_default()
        };
        Digests {
            size,
            sha256: Sha256::from_bytes(self.sha256.clone().finalize().into()),
            md5: of("md5"),
            blake2b_256: of("blake2b_256"),
            blake2b_512: of("blake2b_512"),
        }
    }

    /// Takes in more bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        for (_, other) in &mut self.others {
            other.take_in(bytes);
        }
    }

    /// The sha256 of everything, or which promise is broken.
    pub(super) fn finish(self, promised: &Hashes) -> Result<Sha256, String> {
        let sha256 = Sha256::from_bytes(self.sha256.finalize().into());
        if promised.is_cut() {
            return Err("the sha256 that is stated of it is cut short".to_owned());
        }
        if let Some(wanted) = promised.sha256()
            && wanted != sha256
        {
            return Err(format!("its sha256 is {sha256}, not {wanted}"));
        }
        for (name, other) in self.others {
            let found = other.so_far();
            let wanted = promised.iter().find(|(promise, _)| *promise == name);
            if let Some((_, wanted)) = wanted
                && wanted != found
            {
                return Err(format!("its {name} is {found}, not {wanted}"));
            }
        }
        Ok(sha256)
    }
}

/// Checks bytes in memory against their promised digests; the error says which promise is broken.
///
/// # Errors
/// When one is.
pub fn check(content: &[u8], promised: &Hashes) -> Result<Sha256, String> {
    let mut digester = Digester::for_promise(promised);
    digester.update(content);
    digester.finish(promised)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(algorithm: &str, hex: &str) -> Hashes {
        let mut hashes = Hashes::default();
        hashes.insert(algorithm, hex).unwrap();
        hashes
    }

    #[test]
    fn every_kind_of_promise_is_checked() {
        let table = [
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "sha256",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "sha384",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                "blake2b",
                "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
            ),
            (
                "sha512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (
                "sha224",
                "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
            ),
            (
                "blake2b",
                "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
            ),
            (
                "blake2_256",
                "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
            ),
            (
                "blake2b_256",
                "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
            ),
        ];
        for (algorithm, hex) in table {
            let promised = promise(algorithm, hex);
            let mut digester = Digester::for_promise(&promised);
            digester.update(b"ab");
            digester.update(b"c");
            assert_eq!(
                digester.finish(&promised),
                Ok(Sha256::of(b"abc")),
                "{algorithm}"
            );
            let mut digester = Digester::for_promise(&promised);
            digester.update(b"abd");
            assert!(digester.finish(&promised).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn a_promise_is_broken_by_any_of_its_digests_unless_a_sha256_holds() {
        let right = "900150983cd24fb0d6963f7d28e17f72";
        let mut promised = promise("md5", right);
        promised.insert("sha512", &"0".repeat(128)).unwrap();
        let mut digester = Digester::for_promise(&promised);
        digester.update(b"abc");
        let why = digester.finish(&promised).unwrap_err();
        assert!(why.starts_with("its sha512 is ddaf35a1"), "{why}");
        let mut promised = promise("sha256", &Sha256::of(b"abc").to_hex());
        promised.insert("md5", &"0".repeat(32)).unwrap();
        let mut digester = Digester::for_promise(&promised);
        digester.update(b"abc");
        assert_eq!(digester.finish(&promised), Ok(Sha256::of(b"abc")));
    }
}
