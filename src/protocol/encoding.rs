//! Which compressed form of a page to send (RFC 9110 §12.5.3).
//!
//! Pages only: an artifact or a range is never encoded, since installers hash the raw bytes.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::protocol::header_list::{elements, weighted};

/// The forms in which pages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl Encoding {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Identity, Self::Gzip, Self::Zstd];

    /// Chooses by weight; on a tie the smaller form wins: zstd, gzip, identity.
    ///
    /// zstd is sent only to clients that name it. If nothing is acceptable the page is sent as it is:
    /// no client would prefer an error.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut weights: [Option<u16>; 3] = [None; 3];
        let mut others = None;
        for (coding, weight) in elements(headers, ACCEPT_ENCODING).filter_map(weighted) {
            let is = |name: &str| coding.eq_ignore_ascii_case(name);
            if is("identity") {
                weights[0] = Some(weight);
            } else if is("gzip") || is("x-gzip") {
                weights[1] = Some(weight);
            } else if is("zstd") {
                weights[2] = Some(weight);
            } else if is("*") {
                others = Some(weight);
            }
        }
        // When not named, identity is acceptable but never preferred to what is.
        let [identity, gzip, zstd] = weights;
        let candidates = [
            (identity.unwrap_or(1), Self::Identity),
            (gzip.or(others).unwrap_or(0), Self::Gzip),
            (zstd.unwrap_or(0), Self::Zstd),
        ];
        let acceptable = candidates.into_iter().filter(|(weight, _)| *weight > 0);
        acceptable
            .max()
            .map_or(Self::Identity, |(_, encoding)| encoding)
    }

    /// The `Content-Encoding`; `None` for identity.
    #[must_use]
    pub fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_smallest_acceptable_form_is_chosen() {
        for (accepted, expected) in [
            ("gzip, deflate", Encoding::Gzip),
            ("gzip, deflate, zstd", Encoding::Zstd),
            ("zstd,gzip,deflate", Encoding::Zstd),
            ("gzip, zstd;q=0.5", Encoding::Gzip),
            ("gzip;q=0, zstd", Encoding::Zstd),
            ("identity", Encoding::Identity),
            ("identity;q=0.5, gzip;q=0.2", Encoding::Identity),
            ("gzip;q=0.001", Encoding::Gzip),
            ("GZIP", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("*", Encoding::Gzip),
            ("*;q=0", Encoding::Identity),
            ("gzip;q=0, *", Encoding::Identity),
            ("identity;q=0", Encoding::Identity),
            ("br, nonsense;q=7", Encoding::Identity),
            ("", Encoding::Identity),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(Encoding::of(&headers), expected, "{accepted:?}");
        }
        assert_eq!(Encoding::of(&HeaderMap::new()), Encoding::Identity);
    }
}
