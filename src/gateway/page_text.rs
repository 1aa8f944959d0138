//! The text of a page as it is kept: what stands around its stretches, and each stretch with its
//! compressed form.

mod sending;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::thread;

use crate::gateway::encode::{GZIP_LEVEL, etag, pack};
use crate::model::Timestamp;
use crate::page::{Decided, Entry, Heading, PageWriter, ProjectPage, Stretch};
use crate::protocol::{ETag, Encoding, GzipMember, GzipPiece};

pub use sending::Begun;
use sending::{Aside, Sending};

/// What a page takes besides its stretches.
const ENTRY_BYTES: usize = 1_000;

/// What decides besides the files themselves.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The generation of the policies.
    pub generation: u64,
    /// The members whose upstream cannot be asked, and since when.
    pub silent: Vec<(usize, Timestamp)>,
    /// The pages of the files' siblings, if a rule asks how a file stands to them. Such a page is written
    /// as a whole when one of them is another.
    pub siblings: Vec<Weak<ProjectPage>>,
    /// When one of the rules ends.
    pub end_at: Option<Timestamp>,
}

/// The text of a page.
#[derive(Debug)]
pub struct PageText {
    rules: Rules,
    head: Arc<Packed>,
    separator: Arc<Packed>,
    rows: Vec<Row>,
    middle: Packed,
    tail: Packed,
}

/// A stretch, and the versions that no stretch before it has.
#[derive(Debug, Clone)]
struct Row {
    stretch: Arc<PackedStretch>,
    versions: Arc<Packed>,
}

#[derive(Debug)]
struct PackedStretch {
    stretch: Stretch,
    gzip: OnceLock<GzipPiece>,
}

/// A text, compressed when that is first asked for.
#[derive(Debug, Default)]
struct Packed {
    text: Vec<u8>,
    gzip: OnceLock<GzipPiece>,
}

impl From<Vec<u8>> for Packed {
    fn from(text: Vec<u8>) -> Self {
        let gzip = OnceLock::new();
        Self { text, gzip }
    }
}

impl Rules {
    fn still_hold(&self, rules: &Self, now: Timestamp) -> bool {
        let same = (self.generation, &self.silent) == (rules.generation, &rules.silent);
        let same = same && self.siblings.len() == rules.siblings.len();
        let mut siblings = self.siblings.iter().zip(&rules.siblings);
        let same = same && siblings.all(|(left, right)| Weak::ptr_eq(left, right));
        same && self.end_at.is_none_or(|end| now < end)
    }
}

/// The stretches of a page, those of before where they are still what would be written.
fn rows<'a>(
    before: Option<&PageText>,
    cut: Vec<&[Entry<'a>]>,
    writer: &PageWriter,
    decide: &mut dyn FnMut(&Entry<'a>) -> Decided,
    now: Timestamp,
    made: &mut dyn FnMut(&Arc<PackedStretch>),
) -> Vec<Row> {
    let known = before.iter().flat_map(|before| &before.rows);
    let known = known.filter_map(|row| Some((row.stretch.stretch.first_name()?, row)));
    let known: HashMap<&str, &Row> = known.collect();
    let stretches = cut.into_iter().map(|entries| {
        let name = entries.first().map(|entry| entry.file.filename.as_str());
        let row = name.and_then(|name| known.get(name));
        match row.filter(|row| row.stretch.stretch.is_still(entries, now)) {
            Some(row) => (Arc::clone(&row.stretch), Some(&row.versions)),
            None => {
                let stretch = writer.stretch(entries, decide, now);
                let gzip = OnceLock::new();
                let stretch = Arc::new(PackedStretch { stretch, gzip });
                made(&stretch);
                (stretch, None)
            }
        }
    });
    let stretches: Vec<_> = stretches.collect();
    let versions = writer.versions(stretches.iter().map(|(packed, _)| &packed.stretch));
    let rows = stretches.into_iter().zip(versions);
    let rows = rows.map(|((stretch, known), versions)| Row {
        stretch,
        versions: match known.filter(|known| known.text == versions) {
            Some(known) => Arc::clone(known),
            None => Arc::new(versions.into()),
        },
    });
    rows.collect()
}

/// A text, and where it stands compressed.
#[derive(Clone, Copy)]
struct Piece<'a>(&'a [u8], &'a OnceLock<GzipPiece>);

impl<'a> Piece<'a> {
    fn packed(self) -> &'a GzipPiece {
        self.1.get_or_init(|| GzipPiece::of(self.0, GZIP_LEVEL))
    }
}

impl PageText {
    /// The page of these files, with the stretches of `before` where they are still what would be
    /// written; and the same as it is sent. One of which nothing is known before is passed to `begun`
    /// while it is written, if it is long.
    pub fn write<'a>(
        before: Option<&Self>,
        rules: Rules,
        (writer, heading): (&PageWriter, &Heading<'_>),
        cut: Vec<&[Entry<'a>]>,
        decide: &mut dyn FnMut(&Entry<'a>) -> Decided,
        (encoding, now): (Encoding, Timestamp),
        begun: Option<Begun>,
    ) -> (Self, Vec<u8>) {
        let before = before.filter(|before| before.rules.still_hold(&rules, now));
        let frame = writer.frame(heading);
        let head = Arc::new(frame.head.into());
        let separator = before.map(|before| Arc::clone(&before.separator));
        let separator = separator.unwrap_or_else(|| Arc::new(frame.separator.to_vec().into()));
        let begun = begun.filter(|_| before.is_none() && cut.len() > 1);
        let sending = begun.and_then(|begun| Sending::new(begun, encoding, &head, &separator));
        thread::scope(|scope| {
            let mut aside = Aside::new(scope, encoding, sending);
            let made = &mut |stretch: &Arc<PackedStretch>| aside.take(stretch);
            let text = Self {
                rules,
                head,
                separator,
                rows: rows(before, cut, writer, decide, now, made),
                middle: frame.middle.into(),
                tail: frame.tail.to_vec().into(),
            };
            let stretches = text.rows.iter().map(|row| &row.stretch);
            if let Some(sending) = aside.join(stretches) {
                sending.end(&text.pieces_behind());
            }
            let body = text.encoded(encoding);
            (text, body)
        })
    }

    /// How many stretches it has.
    pub fn stretches(&self) -> usize {
        self.rows.len()
    }

    /// When time alone changes a decision on one of its files.
    pub fn next_change(&self) -> Option<Timestamp> {
        let stretches = self.rows.iter().map(|row| &row.stretch.stretch);
        stretches.filter_map(Stretch::next_change).min()
    }

    /// Everything that stands on the page, in order.
    fn pieces(&self) -> Vec<Piece<'_>> {
        let separator = self.separator.piece();
        let stretches = self.rows.iter().map(|row| row.stretch.piece());
        let mut pieces = vec![self.head.piece()];
        pieces.extend(separated(separator, stretches));
        pieces.extend(self.pieces_behind());
        pieces
    }

    /// What stands behind the stretches.
    fn pieces_behind(&self) -> Vec<Piece<'_>> {
        let versions = self.rows.iter().map(|row| row.versions.piece());
        let mut pieces = vec![self.middle.piece()];
        pieces.extend(separated(self.separator.piece(), versions));
        pieces.push(self.tail.piece());
        pieces
    }

    /// As it is sent.
    fn encoded(&self, encoding: Encoding) -> Vec<u8> {
        let pieces = self.pieces();
        match encoding {
            Encoding::Gzip if self.is_cut() => {
                GzipMember::of(pieces.into_iter().map(Piece::packed).collect::<Vec<_>>())
            }
            Encoding::Identity | Encoding::Gzip | Encoding::Zstd => {
                let texts: Vec<&[u8]> = pieces.into_iter().map(|piece| piece.0).collect();
                pack(texts.concat(), encoding, GZIP_LEVEL)
            }
        }
    }

    /// Whether there are files in several stretches; else the page is compressed in one piece.
    fn is_cut(&self) -> bool {
        self.listed().nth(1).is_some()
    }

    /// The stretches in which any file is listed.
    fn listed(&self) -> impl Iterator<Item = &Stretch> {
        let stretches = self.rows.iter().map(|row| &row.stretch.stretch);
        stretches.filter(|stretch| !stretch.files().is_empty())
    }

    /// The tag: of the digests of all files in their order, and of what stands around them, from which
    /// everything else on the page follows. Where the page is compressed in pieces, its bytes depend on
    /// where it was cut too.
    pub fn etag(&self, encoding: Encoding) -> ETag {
        let mut content = Vec::new();
        let mut add = |part: &[u8]| {
            content.extend_from_slice(&(part.len() as u64).to_le_bytes());
            content.extend_from_slice(part);
        };
        add(&self.head.text);
        add(&self.middle.text);
        if encoding == Encoding::Gzip {
            let counts = self.listed().map(|stretch| stretch.files().len() as u64);
            add(&counts.flat_map(u64::to_le_bytes).collect::<Vec<u8>>());
        }
        for stretch in self.listed() {
            for digest in stretch.files() {
                content.extend_from_slice(digest.as_bytes());
            }
        }
        etag(&content, encoding)
    }

    pub fn weight_bytes(&self) -> usize {
        let around = [&*self.head, &*self.separator, &self.middle, &self.tail];
        let around = around.map(Packed::weight_bytes).iter().sum::<usize>();
        let rows = self.rows.iter().map(|row| {
            let stretch = &row.stretch;
            let packed = packed_bytes(&stretch.gzip);
            size_of::<Row>() + stretch.stretch.weight_bytes() + packed + row.versions.weight_bytes()
        });
        ENTRY_BYTES + around + rows.sum::<usize>()
    }
}

impl PackedStretch {
    fn packed(&self) -> &GzipPiece {
        self.piece().packed()
    }

    fn piece(&self) -> Piece<'_> {
        Piece(self.stretch.text(), &self.gzip)
    }
}

impl Packed {
    fn piece(&self) -> Piece<'_> {
        Piece(&self.text, &self.gzip)
    }

    fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.text.len() + packed_bytes(&self.gzip)
    }
}

fn packed_bytes(gzip: &OnceLock<GzipPiece>) -> usize {
    gzip.get().map_or(0, GzipPiece::packed_bytes)
}

/// The pieces that are not empty, with the separator between them.
fn separated<'a>(
    separator: Piece<'a>,
    pieces: impl Iterator<Item = Piece<'a>>,
) -> impl Iterator<Item = Piece<'a>> {
    let pieces = pieces.filter(|piece| !piece.0.is_empty());
    let pieces = pieces.flat_map(move |piece| [separator, piece]);
    pieces.skip(1).filter(|piece| !piece.0.is_empty())
}
