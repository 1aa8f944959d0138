//! Compresses a text that comes in pieces, so that its beginning can be sent before its end is known.

use std::io::Write as _;

use crate::protocol::encoding::Encoding;
use crate::protocol::gzip_piece::{GzipMember, GzipPiece};

/// A text being compressed.
pub struct Packing(PackingForm);

enum PackingForm {
    Identity,
    Gzip {
        level: u32,
        member: GzipMember,
        is_begun: bool,
    },
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Packing {
    /// Begins; the levels are for gzip and zstd.
    ///
    /// # Panics
    /// Not by an input: zstd knows every level of an `i32`.
    #[must_use]
    pub fn new(encoding: Encoding, gzip_level: u32, zstd_level: i32) -> Self {
        Self(match encoding {
            Encoding::Identity => PackingForm::Identity,
            Encoding::Gzip => PackingForm::Gzip {
                level: gzip_level,
                member: GzipMember::default(),
                is_begun: false,
            },
            Encoding::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), zstd_level);
                PackingForm::Zstd(encoder.expect("an encoder that writes to memory can be made"))
            }
        })
    }

    /// Appends the next piece, so that everything up to its end can be unpacked.
    ///
    /// # Panics
    /// Not by an input: compressing from memory to memory cannot fail.
    pub fn piece(&mut self, plain: &[u8], to: &mut Vec<u8>) {
        match &mut self.0 {
            PackingForm::Identity => to.extend_from_slice(plain),
            PackingForm::Gzip {
                level,
                member,
                is_begun,
            } => {
                if !*is_begun {
                    to.extend_from_slice(GzipMember::head());
                    *is_begun = true;
                }
                to.extend_from_slice(member.next(&GzipPiece::of(plain, *level)));
            }
            PackingForm::Zstd(encoder) => {
                let packed = encoder.write_all(plain).and_then(|()| encoder.flush());
                packed.expect("compressing from memory to memory cannot fail");
                to.append(encoder.get_mut());
            }
        }
    }

    /// Appends what stands behind the last piece.
    ///
    /// # Panics
    /// As of [`Packing::piece`].
    pub fn end(self, to: &mut Vec<u8>) {
        match self.0 {
            PackingForm::Identity => {}
            PackingForm::Gzip {
                member, is_begun, ..
            } => {
                if !is_begun {
                    to.extend_from_slice(GzipMember::head());
                }
                to.extend_from_slice(&member.tail());
            }
            PackingForm::Zstd(encoder) => {
                let mut rest = encoder
                    .finish()
                    .expect("compressing from memory to memory cannot fail");
                to.append(&mut rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn unpacked(encoding: Encoding, packed: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        match encoding {
            Encoding::Identity => text.extend_from_slice(packed),
            Encoding::Gzip => {
                let mut decoder = flate2::read::GzDecoder::new(packed);
                decoder.read_to_end(&mut text).unwrap();
            }
            Encoding::Zstd => text = zstd::stream::decode_all(packed).unwrap(),
        }
        text
    }

    /// What can be unpacked of a beginning.
    fn unpacked_so_far(encoding: Encoding, packed: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        // It breaks off, which the error says.
        let _ = match encoding {
            Encoding::Identity => return packed.to_vec(),
            Encoding::Gzip => flate2::read::GzDecoder::new(packed).read_to_end(&mut text),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(packed).unwrap();
                decoder.read_to_end(&mut text)
            }
        };
        text
    }

    proptest! {
        #[test]
        fn a_text_in_pieces_is_the_text_and_each_piece_is_there_when_it_has_come(
            texts in prop::collection::vec(prop::collection::vec(0..4_u8, 0..3_000), 0..5),
        ) {
            for encoding in Encoding::ALL {
                let mut packing = Packing::new(encoding, 1, 3);
                let (mut packed, mut plain) = (Vec::new(), Vec::new());
                for text in &texts {
                    packing.piece(text, &mut packed);
                    plain.extend_from_slice(text);
                    prop_assert_eq!(&unpacked_so_far(encoding, &packed), &plain);
                }
                packing.end(&mut packed);
                prop_assert_eq!(unpacked(encoding, &packed), plain);
            }
        }
    }
}
