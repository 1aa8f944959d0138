//! One gzip member made of pieces that were packed apart from each other, so that a text of which a
//! part has changed is not packed again as a whole, and its beginning can be sent before its end is
//! known.
//!
//! A deflate stream is a row of blocks (RFC 1951 §2.3). A piece is packed with an empty window, so that
//! it refers to nothing before it, and ends at a whole byte with an empty block, as zlib's flush has
//! it. Such pieces may follow each other in any order, in one stream. Several members (RFC 1952 §2.2)
//! would be simpler; but there are clients that read the first one only. The checksum of the whole is
//! put together from those of the pieces, without their texts.
//!
//! Frames of zstd cannot be made so: a block may repeat an offset that the block before it used, which
//! a piece on its own does not know, and clients differ on whether several frames are read.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// Identification, deflate, no flags, no time, no word on the level, an unknown system (RFC 1952 §2.3).
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The last block of the stream: empty, by the fixed codes.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// What a block that cannot be packed adds to its bytes, and how many bytes such a block holds at
/// least; and what flushing adds.
const STORED_BLOCK: (usize, usize) = (5, 8 << 10);
const FLUSH: usize = 16;

/// A stretch of a text, packed to stand anywhere in a gzip member.
#[derive(Debug)]
pub struct GzipPiece {
    packed: Bytes,
    crc: Crc,
}

impl GzipPiece {
    /// Packs a stretch of a text. `level` is zlib's, of 0 to 9.
    #[must_use]
    pub fn of(plain: &[u8], level: u32) -> Self {
        let mut crc = Crc::new();
        crc.update(plain);
        Self {
            packed: deflate(plain, level).into(),
            crc,
        }
    }

    /// How many bytes it is packed.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.packed.len()
    }
}

/// What stands around the pieces, and after which of them.
#[derive(Debug, Default)]
pub struct GzipMember {
    crc: Crc,
}

impl GzipMember {
    /// What stands before the first piece.
    #[must_use]
    pub fn head() -> &'static [u8] {
        &HEAD
    }

    /// The bytes of the next piece.
    pub fn next<'a>(&mut self, piece: &'a GzipPiece) -> &'a Bytes {
        self.crc.combine(&piece.crc);
        &piece.packed
    }

    /// What stands behind the last piece.
    #[must_use]
    pub fn tail(&self) -> [u8; 10] {
        let mut tail = [0; 10];
        tail[..2].copy_from_slice(&LAST_BLOCK);
        tail[2..6].copy_from_slice(&self.crc.sum().to_le_bytes());
        // The length modulo 2^32, as the format has it.
        tail[6..].copy_from_slice(&self.crc.amount().to_le_bytes());
        tail
    }

    /// A whole member of these pieces.
    pub fn of<'a>(pieces: impl IntoIterator<Item = &'a GzipPiece, IntoIter: Clone>) -> Vec<u8> {
        let pieces = pieces.into_iter();
        let length: usize = pieces.clone().map(|piece| piece.packed.len()).sum();
        let mut member = Self::default();
        let mut whole = Vec::with_capacity(HEAD.len() + length + 10);
        whole.extend_from_slice(Self::head());
        for piece in pieces {
            whole.extend_from_slice(member.next(piece));
        }
        whole.extend_from_slice(&member.tail());
        whole
    }
}

/// A stream without a last block, which ends at a whole byte.
fn deflate(plain: &[u8], level: u32) -> Vec<u8> {
    if plain.is_empty() {
        return Vec::new();
    }
    let mut compress = Compress::new(Compression::new(level), false);
    let (added, of) = STORED_BLOCK;
    let mut packed = Vec::with_capacity(plain.len() + (plain.len() / of + 1) * added + FLUSH);
    let mut taken = 0;
    // Room that was left over says that everything was written out.
    while taken < plain.len() || packed.len() == packed.capacity() {
        packed.reserve(FLUSH);
        compress
            .compress_vec(&plain[taken..], &mut packed, FlushCompress::Sync)
            .expect("compressing from memory to memory cannot fail");
        taken = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
    }
    // What was kept ready for a text that cannot be packed.
    packed.shrink_to_fit();
    packed
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    /// The text of the first member, and how many bytes stand behind it.
    fn read(member: &[u8]) -> (Vec<u8>, usize) {
        let mut decoder = GzDecoder::new(member);
        let mut text = Vec::new();
        decoder.read_to_end(&mut text).unwrap();
        (text, decoder.into_inner().len())
    }

    fn pieces(texts: &[Vec<u8>], level: u32) -> Vec<GzipPiece> {
        texts
            .iter()
            .map(|text| GzipPiece::of(text, level))
            .collect()
    }

    /// Lines as a page has them: much alike, and digests that nothing shortens.
    fn lines(range: std::ops::Range<u32>) -> Vec<u8> {
        let line = |number: u32| {
            let digest = crate::model::Sha256::of(&number.to_le_bytes());
            format!(
                "{{\"filename\":\"acme_tools-{}.{}.{}-py3-none-any.whl\",\"url\":\"../../+f/{}/x.whl\",\
                 \"hashes\":{{\"sha256\":\"{digest}\"}},\"size\":{},\"upload-time\":\"2026-05-04T10:11:{:02}.{}Z\",\
                 \"requires-python\":\">=3.9\",\"yanked\":false}},",
                number / 100,
                number / 10 % 10,
                number % 10,
                &digest.to_hex()[..16],
                40_000 + number * 7,
                number % 60,
                number,
            )
        };
        range.map(line).collect::<String>().into_bytes()
    }

    #[test]
    fn a_member_of_nothing_is_the_empty_text() {
        assert_eq!(read(&GzipMember::of([])), (Vec::new(), 0));
        let empty = pieces(&[Vec::new(), Vec::new()], 6);
        assert_eq!(read(&GzipMember::of(&empty)), (Vec::new(), 0));
    }

    #[test]
    fn a_text_that_cannot_be_packed_comes_through() {
        for length in [1, 8 << 10, 64 << 10, 300 << 10] {
            let mut noise = Vec::new();
            let mut counter = 0_u32;
            while noise.len() < length {
                noise
                    .extend_from_slice(crate::model::Sha256::of(&counter.to_le_bytes()).as_bytes());
                counter += 1;
            }
            for level in [0, 1, 6, 9] {
                let pieces = pieces(&[noise.clone(), b"x".to_vec(), noise.clone()], level);
                let whole = [&noise[..], b"x", &noise].concat();
                assert_eq!(
                    read(&GzipMember::of(&pieces)),
                    (whole, 0),
                    "{length} {level}"
                );
            }
        }
    }

    /// What pieces of this size cost a page: the figure that their size was chosen by.
    #[test]
    fn pieces_of_a_page_are_hardly_longer_than_the_page_in_one() {
        let texts: Vec<Vec<u8>> = (0..16).map(|at| lines(at * 192..(at + 1) * 192)).collect();
        let apart = GzipMember::of(&pieces(&texts, 6)).len();
        let whole = GzipMember::of(&pieces(&[texts.concat()], 6)).len();
        assert!(apart * 100 <= whole * 103, "{apart} against {whole}");
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_are_one_member_of_the_whole_text(
            texts in prop::collection::vec(prop::collection::vec(0..4_u8, 0..5_000), 0..6),
            level in 0..10_u32,
            turn in 0..6_usize,
        ) {
            let mut order: Vec<usize> = (0..texts.len()).collect();
            let turns = turn % texts.len().max(1);
            order.rotate_left(turns);
            let pieces = pieces(&texts, level);
            let text: Vec<u8> = order.iter().flat_map(|at| texts[*at].clone()).collect();
            let member = GzipMember::of(order.iter().map(|at| &pieces[*at]));
            prop_assert_eq!(read(&member), (text, 0));
        }

        #[test]
        fn a_member_that_is_sent_as_it_is_made_is_the_same(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2_000), 0..6),
        ) {
            let pieces = pieces(&texts, 6);
            let mut member = GzipMember::default();
            let mut sent = GzipMember::head().to_vec();
            for piece in &pieces {
                sent.extend_from_slice(member.next(piece));
            }
            sent.extend_from_slice(&member.tail());
            prop_assert_eq!(sent, GzipMember::of(&pieces));
        }
    }
}
