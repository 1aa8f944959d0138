//! The body of an answer that fits in memory: decompressed within a budget, its size counted afterwards.
//!
//! Only gzip is requested, so only gzip is understood; an answer in any other coding cannot be read.
//! Decompression is done here and not by the HTTP client, which would ignore what it does not know, accepts
//! no other spelling of gzip, and has no budget.

use std::io;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use http::{HeaderMap, header};
use reqwest::Response;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use crate::upstream::decoding::Share;

/// The initial share: most pages are smaller.
const FIRST_BYTES: u64 = 64 << 10;

/// How much is decompressed before it is passed on.
const PIECE_BYTES: usize = 64 << 10;

/// The coding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is longer than it may be.
    TooLarge,
    /// It broke off, or its coding is not what it claims.
    Broken(io::Error),
}

impl Coding {
    /// The coding stated in the head (RFC 9110 §8.4; `x-gzip` is gzip, and case is ignored).
    ///
    /// # Errors
    /// When it was not requested; the error says so in words.
    pub(super) fn of(head: &HeaderMap) -> Result<Self, String> {
        let values = head.get_all(header::CONTENT_ENCODING).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let said = values.collect::<Vec<_>>().join(", ");
        let mut found = Self::Plain;
        for coding in said.split(',') {
            match (coding.trim().to_ascii_lowercase().as_str(), found) {
                ("" | "identity", _) => {}
                ("gzip" | "x-gzip", Self::Plain) => found = Self::Gzip,
                _ => {
                    let said: String = said.chars().take(40).collect();
                    return Err(format!("packed as {said:?}, which was not asked for"));
                }
            }
        }
        Ok(found)
    }
}

/// Reads a body of at most so many bytes, decompressed; `share` grows with it.
pub(super) async fn read_body(
    response: Response,
    coding: Coding,
    bytes_max: u64,
    share: &mut Share,
) -> Result<Bytes, Unread> {
    // Compressed data only gets longer, apart from its own header.
    if response
        .content_length()
        .is_some_and(|length| length > bytes_max)
    {
        return Err(Unread::TooLarge);
    }
    let packed = StreamReader::new(response.bytes_stream().map_err(io::Error::other));
    match coding {
        Coding::Plain => gather(packed, bytes_max, share).await,
        Coding::Gzip => {
            let mut plain = Box::new(GzipDecoder::new(packed));
            plain.multiple_members(true);
            gather(plain, bytes_max, share).await
        }
    }
}

/// What an answer is made of as it comes.
#[derive(Debug)]
pub enum BodyPart {
    /// First: the `Content-Type` as sent.
    Begun(Option<String>),
    /// The next bytes of the body, decompressed.
    Bytes(Bytes),
    /// The body is whole. Without this it is not.
    Whole,
}

/// Passes a body of at most so many bytes on as it comes, decompressed; `share` grows with all of it,
/// since what is made of it grows with it. One who takes no more ends it.
pub(super) async fn pass_on(
    mut response: Response,
    coding: Coding,
    bytes_max: u64,
    share: &mut Share,
    to: &mpsc::Sender<BodyPart>,
) -> Result<(), Unread> {
    if response
        .content_length()
        .is_some_and(|length| length > bytes_max)
    {
        return Err(Unread::TooLarge);
    }
    let mut passing = Passing {
        passed: 0,
        bytes_max,
        share,
        to,
    };
    match coding {
        Coding::Plain => {
            let failed = |error| Unread::Broken(io::Error::other(error));
            while let Some(bytes) = response.chunk().await.map_err(failed)? {
                if !passing.on(bytes).await? {
                    return Ok(());
                }
            }
        }
        Coding::Gzip => {
            let packed = StreamReader::new(response.bytes_stream().map_err(io::Error::other));
            let mut plain = Box::new(GzipDecoder::new(packed));
            plain.multiple_members(true);
            loop {
                let mut bytes = BytesMut::with_capacity(PIECE_BYTES);
                let count = plain.read_buf(&mut bytes).await;
                if count.map_err(Unread::Broken)? == 0 {
                    break;
                }
                if !passing.on(bytes.freeze()).await? {
                    return Ok(());
                }
            }
        }
    }
    // Who takes no more knows why.
    let _ = to.send(BodyPart::Whole).await;
    Ok(())
}

struct Passing<'a> {
    passed: u64,
    bytes_max: u64,
    share: &'a mut Share,
    to: &'a mpsc::Sender<BodyPart>,
}

impl Passing<'_> {
    /// Tells whether more is taken.
    async fn on(&mut self, bytes: Bytes) -> Result<bool, Unread> {
        self.passed += bytes.len() as u64;
        if self.passed > self.bytes_max {
            return Err(Unread::TooLarge);
        }
        if self.passed > self.share.bytes() {
            let next = (2 * self.passed).max(FIRST_BYTES).min(self.bytes_max);
            self.share.grow_to(next).await;
        }
        Ok(self.to.send(BodyPart::Bytes(bytes)).await.is_ok())
    }
}

async fn gather(
    mut from: impl AsyncRead + Unpin,
    bytes_max: u64,
    share: &mut Share,
) -> Result<Bytes, Unread> {
    let mut body = Vec::new();
    loop {
        let held = body.len() as u64;
        if held > bytes_max {
            return Err(Unread::TooLarge);
        }
        if held == share.bytes() {
            // One byte over the limit shows that it is exceeded.
            let next = (2 * held).max(FIRST_BYTES).min(bytes_max + 1);
            share.grow_to(next).await;
            body.reserve_exact(usize::try_from(share.bytes() - held).unwrap_or(0));
        }
        let room = usize::try_from(share.bytes() - held).unwrap_or(usize::MAX);
        let count = from.read_buf(&mut (&mut body).limit(room)).await;
        if count.map_err(Unread::Broken)? == 0 {
            return Ok(body.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;
    use crate::upstream::decoding::Decoding;

    #[test]
    fn only_what_was_asked_for_is_understood_in_every_spelling() {
        let table: [(&[&str], Result<Coding, ()>); 12] = [
            (&[], Ok(Coding::Plain)),
            (&[""], Ok(Coding::Plain)),
            (&["identity"], Ok(Coding::Plain)),
            (&["gzip"], Ok(Coding::Gzip)),
            (&["GZIP"], Ok(Coding::Gzip)),
            (&[" x-gzip , identity"], Ok(Coding::Gzip)),
            (&["br"], Err(())),
            (&["deflate"], Err(())),
            (&["zstd"], Err(())),
            (&["gzip, gzip"], Err(())),
            (&["gzip", "br"], Err(())),
            (&["nosuch"], Err(())),
        ];
        for (values, expected) in table {
            let mut head = HeaderMap::new();
            for value in values {
                head.append(
                    header::CONTENT_ENCODING,
                    HeaderValue::from_str(value).unwrap(),
                );
            }
            assert_eq!(Coding::of(&head).map_err(drop), expected, "{values:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_its_share_grows_with_it() {
        let budget = Decoding::new(8 << 20, Duration::ZERO);
        let long = vec![7; 300_000];
        for (bytes_max, is_read) in [
            (300_000, true),
            (1 << 20, true),
            (299_999, false),
            (0, false),
        ] {
            let mut share = budget.share();
            let read = gather(&long[..], bytes_max, &mut share).await;
            match read {
                Ok(body) => assert!(is_read && body == long, "{bytes_max}"),
                Err(Unread::TooLarge) => assert!(!is_read, "{bytes_max}"),
                Err(Unread::Broken(error)) => panic!("{bytes_max}: {error}"),
            }
            assert!(share.bytes() <= bytes_max + (1 << 10), "{}", share.bytes());
        }
        let mut share = budget.share();
        assert_eq!(gather(&b""[..], 10, &mut share).await.unwrap(), "");
    }

    #[tokio::test]
    async fn what_is_packed_is_counted_as_it_comes_out() {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(&vec![b' '; 4 << 20]).unwrap();
        let packed = writer.finish().unwrap();
        assert!(packed.len() < 10_000);
        let twice = [&packed[..], &packed[..]].concat();
        for (packed, bytes) in [(&packed, 4 << 20), (&twice, 8 << 20)] {
            for bytes_max in [bytes - 1, bytes] {
                let mut decoder = GzipDecoder::new(&packed[..]);
                decoder.multiple_members(true);
                let mut share = Decoding::new(32 << 20, Duration::ZERO).share();
                let read = gather(decoder, bytes_max, &mut share).await;
                match read {
                    Ok(body) => assert_eq!((body.len() as u64, bytes_max), (bytes, bytes)),
                    Err(Unread::TooLarge) => assert_eq!(bytes_max, bytes - 1),
                    Err(Unread::Broken(error)) => panic!("{error}"),
                }
            }
        }
        let cut = &packed[..packed.len() - 9];
        let mut share = Decoding::new(32 << 20, Duration::ZERO).share();
        let read = gather(GzipDecoder::new(cut), 8 << 20, &mut share).await;
        assert!(matches!(read, Err(Unread::Broken(_))), "{read:?}");
    }
}
