//! A project list being written: rendered, compressed and stored piece by piece, and sent to the first
//! who ask while the rest is written.

use crate::exchange::{Error, Flow};
use crate::gateway::encode::{ZSTD_LEVEL, etag_of};
use crate::model::Sha256;
use crate::page::{ListRenderer, Markup};
use crate::protocol::{ETag, Encoding, Packing};
use crate::store::{Making, StoreError, StoredFile};

/// Bytes that are compressed together, on their own. Smaller pieces would be longer in all; and a list
/// that is shorter is only sent when it is whole, with its length and its tag.
const PIECE_BYTES: usize = 256 << 10;

/// A list's client waits for it: at 6, as pages have it, it is a tenth shorter and made in more than twice
/// the time. At 1 it would be a third longer.
const GZIP_LEVEL: u32 = 2;

/// A list being written.
pub struct ListWriting {
    list: ListRenderer,
    plain: Vec<u8>,
    packing: Packing,
    encoding: Encoding,
    making: Making,
    /// Of each piece. The same names are cut at the same places.
    digests: Vec<u8>,
    /// Called once the first piece can be read.
    begun: Option<Box<dyn FnOnce() + Send>>,
}

impl ListWriting {
    pub fn new(
        markup: Markup,
        encoding: Encoding,
        making: Making,
        begun: Box<dyn FnOnce() + Send>,
    ) -> Self {
        let mut plain = Vec::with_capacity(PIECE_BYTES + 1024);
        Self {
            list: ListRenderer::new(markup, &mut plain),
            plain,
            packing: Packing::new(encoding, GZIP_LEVEL, ZSTD_LEVEL),
            encoding,
            making,
            digests: Vec::new(),
            begun: Some(begun),
        }
    }

    /// The next name.
    pub fn name(&mut self, name: &str) -> Flow<()> {
        self.list.name(name, &mut self.plain);
        if self.plain.len() < PIECE_BYTES {
            return Ok(());
        }
        let mut packed = Vec::new();
        self.pack(&mut packed);
        self.making.write(&packed).map_err(not_kept)?;
        if let Some(begun) = self.begun.take() {
            begun();
        }
        Ok(())
    }

    /// All names were written.
    pub fn end(mut self) -> Flow<(StoredFile, ETag)> {
        let mut plain = std::mem::take(&mut self.plain);
        self.list.end(&mut plain);
        self.digests
            .extend_from_slice(Sha256::of(&plain).as_bytes());
        let mut packed = Vec::new();
        self.packing.piece(&plain, &mut packed);
        self.packing.end(&mut packed);
        self.making.write(&packed).map_err(not_kept)?;
        let etag = etag_of(&Sha256::of(&self.digests), self.encoding);
        let file = self.making.finish().map_err(not_kept)?;
        Ok((file, etag))
    }

    /// The names do not come to their end; its readers are told.
    pub fn give_up(self, why: &Error) {
        self.making.give_up(why.to_string());
    }

    fn pack(&mut self, packed: &mut Vec<u8>) {
        let digest = Sha256::of(&self.plain);
        self.digests.extend_from_slice(digest.as_bytes());
        self.packing.piece(&self.plain, packed);
        self.plain.clear();
    }
}

fn not_kept(error: StoreError) -> Error {
    Error::internal("keep the list", error)
}
