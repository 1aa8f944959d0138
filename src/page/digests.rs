//! Digests as pages state them: in `hashes`, in URL fragments, in attributes of sidecars.

use crate::model::{CUT_SHA256, CoreMetadata, Hashes};
use crate::page::wire::Loose;

/// Digest names that may stand in a fragment (PEP 503); other keys there are not digests (`#egg=…`).
const FRAGMENT_DIGESTS: [&str; 6] = ["sha256", "sha512", "sha384", "sha224", "sha1", "md5"];

/// Fewest hexadecimal digits of a digest: those of md5.
const DIGITS_MIN: usize = 32;

/// Most hexadecimal digits of a digest: those of sha512.
const DIGITS_MAX: usize = 128;

/// Longest name of an algorithm; those of hashlib are far below.
const ALGORITHM_BYTES_MAX: usize = 32;

/// Adds a digest that a source states; one that cannot be a digest is ignored.
pub(super) fn add_digest(hashes: &mut Hashes, algorithm: &str, hex: &str) {
    let is_sha256 = algorithm.eq_ignore_ascii_case("sha256");
    if algorithm == CUT_SHA256 || (is_sha256 && hex.len() < DIGITS_MIN) {
        // An invalid digest leaves `hashes` as it was.
        let _ = hashes.insert_cut(hex);
        return;
    }
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=ALGORITHM_BYTES_MAX).contains(&algorithm.len())
        && algorithm.bytes().all(in_name)
        && (DIGITS_MIN..=DIGITS_MAX).contains(&hex.len())
    {
        // An invalid digest leaves `hashes` as it was.
        let _ = hashes.insert(algorithm, hex);
    }
}

/// The digests in a URL's fragment, without the `#`.
pub(super) fn fragment_digests(fragment: &str) -> Hashes {
    let mut hashes = Hashes::default();
    for (algorithm, hex) in fragment.split('&').filter_map(|part| part.split_once('=')) {
        if FRAGMENT_DIGESTS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(algorithm))
        {
            add_digest(&mut hashes, algorithm, hex);
        }
    }
    hashes
}

/// The digest to write into a fragment or an attribute, which have room for one: the first that all
/// installers support there, sha256 before any other.
pub(super) fn fragment_digest(hashes: &Hashes) -> Option<(&'static str, String)> {
    let [strongest, others @ ..] = FRAGMENT_DIGESTS;
    let sha256 = hashes.sha256().map(|digest| (strongest, digest.to_hex()));
    sha256.or_else(|| {
        others.into_iter().find_map(|known| {
            let (_, hex) = hashes.iter().find(|(algorithm, _)| *algorithm == known)?;
            Some((known, hex))
        })
    })
}

/// The digests of a `hashes` object.
pub(super) fn table_digests(table: &Loose<'_>) -> Hashes {
    let mut hashes = Hashes::default();
    for (algorithm, hex) in table.entries() {
        add_digest(&mut hashes, algorithm, hex.text().unwrap_or(""));
    }
    hashes
}

/// What `data-core-metadata="…"` announces (PEP 658): `true` or `sha256=…`.
pub(super) fn attribute_metadata(text: &str) -> CoreMetadata {
    match text.trim() {
        "false" => CoreMetadata::Absent,
        other => hashed_metadata(fragment_digests(other)),
    }
}

/// An announced sidecar with the digests stated for it, if any.
pub(super) fn hashed_metadata(hashes: Hashes) -> CoreMetadata {
    if hashes.is_empty() {
        CoreMetadata::Present
    } else {
        CoreMetadata::Hashed(hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "ABCDEF0123456789abcdef0123456789";

    #[test]
    fn only_digests_are_taken_from_a_fragment() {
        let fragment = format!(
            "egg={DIGITS}&MD5={DIGITS}&sha256=12&sha1={}",
            "g".repeat(40)
        );
        let hashes = fragment_digests(&fragment);
        let found: Vec<_> = hashes.iter().collect();
        assert_eq!(found, [("md5", DIGITS.to_lowercase())]);
    }

    #[test]
    fn what_cannot_be_a_digest_is_none() {
        let table = [
            ("md5", "d41d"),
            ("md5", &"0".repeat(129)),
            ("", DIGITS),
            ("md5 ", DIGITS),
            (&"m".repeat(33), DIGITS),
            ("sha256", DIGITS),
        ];
        for (algorithm, hex) in table {
            let text = Loose::Text(hex.into());
            let hashes = table_digests(&Loose::Table(vec![(algorithm.to_owned().into(), text)]));
            assert!(hashes.is_empty(), "{algorithm:?} {hex:?}");
        }
    }

    #[test]
    fn an_attribute_announces_a_sidecar() {
        let hashed = attribute_metadata(&format!("md5={DIGITS}"));
        assert!(matches!(hashed, CoreMetadata::Hashed(_)));
        assert_eq!(attribute_metadata("true"), CoreMetadata::Present);
        assert_eq!(attribute_metadata("sha256=12"), CoreMetadata::Present);
        assert_eq!(attribute_metadata("false"), CoreMetadata::Absent);
    }
}
