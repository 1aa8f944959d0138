//! Texts as they are sent: their encodings and tags.

use crate::model::Sha256;
use crate::protocol::{ETag, Encoding, GzipMember, GzipPiece};

/// gzip's level: past 6 a page shrinks by little and costs much.
pub const GZIP_LEVEL: u32 = 6;

/// zstd's level: its own default.
pub const ZSTD_LEVEL: i32 = 3;

/// Hexadecimal digits of a tag: 128 bits of a sha256 tell versions of a text apart.
const ETAG_DIGITS: usize = 32;

/// The tag of a text in an encoding.
pub fn etag(plain: &[u8], encoding: Encoding) -> ETag {
    etag_of(&Sha256::of(plain), encoding)
}

/// The tag of a text of this digest.
pub fn etag_of(digest: &Sha256, encoding: Encoding) -> ETag {
    let digits = &digest.to_hex()[..ETAG_DIGITS];
    let inside = match encoding.content_encoding() {
        Some(encoding) => format!("{digits}-{encoding}"),
        None => digits.to_owned(),
    };
    ETag::parse(&inside).expect("hexadecimal digits may stand in an entity tag")
}

/// Compresses a text; `gzip_level` is for gzip alone.
pub fn pack(plain: Vec<u8>, encoding: Encoding, gzip_level: u32) -> Vec<u8> {
    match encoding {
        Encoding::Identity => plain,
        Encoding::Gzip => GzipMember::of([&GzipPiece::of(&plain, gzip_level)]),
        Encoding::Zstd => {
            let packed = zstd::bulk::compress(&plain, ZSTD_LEVEL);
            packed.expect("compressing from memory to memory cannot fail")
        }
    }
}
