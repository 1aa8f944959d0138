//! What is done with the stretches of a long page on a second thread, while the next are written: they are
//! compressed, and sent to the first who asked.

use std::sync::{Arc, mpsc};
use std::thread::{self, Scope, ScopedJoinHandle};

use crate::gateway::page_text::{Packed, PackedStretch, Piece};
use crate::protocol::{Encoding, GzipMember};
use crate::store::{Growing, Passing, StoreError};

/// From so many stretches that are written anew, they are compressed aside: starting a thread takes a
/// tenth of what compressing one takes.
const ASIDE_MIN: usize = 3;

/// Called with the page as it grows, once the first of its files can be read.
pub type Begun = Box<dyn FnOnce(Arc<Growing>) + Send>;

/// A page on its way to those who ask before it is whole. Dropped before its end, their answer ends
/// early, visibly.
pub struct Sending {
    begun: Option<Begun>,
    member: Option<GzipMember>,
    head: Arc<Packed>,
    separator: Arc<Packed>,
    passing: Option<Passing>,
}

impl Sending {
    /// Nothing was sent; `None` for an encoding that is not sent in pieces.
    pub fn new(
        begun: Begun,
        encoding: Encoding,
        head: &Arc<Packed>,
        separator: &Arc<Packed>,
    ) -> Option<Self> {
        let member = match encoding {
            Encoding::Identity => None,
            Encoding::Gzip => Some(GzipMember::default()),
            // Its bytes depend on all of the text.
            Encoding::Zstd => return None,
        };
        Some(Self {
            begun: Some(begun),
            member,
            head: Arc::clone(head),
            separator: Arc::clone(separator),
            passing: None,
        })
    }

    /// The next stretch. Those without a file that is listed are not on the page.
    fn stretch(&mut self, stretch: &PackedStretch) {
        let piece = stretch.piece();
        if piece.0.is_empty() {
            return;
        }
        let Some(begun) = self.begun.take() else {
            let separator = Arc::clone(&self.separator);
            self.send(&[separator.piece(), piece], false);
            return;
        };
        self.passing = Passing::new().map_err(not_sent).ok();
        let head = Arc::clone(&self.head);
        self.send(&[head.piece(), piece], true);
        if let Some(passing) = &self.passing {
            begun(passing.growing());
        }
    }

    /// What stands behind the stretches.
    pub fn end(mut self, pieces: &[Piece<'_>]) {
        if self.passing.is_none() {
            return;
        }
        self.send(pieces, false);
        if let (Some(member), Some(passing)) = (&self.member, &mut self.passing)
            && let Err(error) = passing.write(&member.tail())
        {
            not_sent(error);
            return;
        }
        if let Some(passing) = self.passing {
            passing.finish();
        }
    }

    fn send(&mut self, pieces: &[Piece<'_>], is_first: bool) {
        let Some(passing) = &mut self.passing else {
            return;
        };
        let mut bytes = Vec::new();
        if self.member.is_some() && is_first {
            bytes.extend_from_slice(GzipMember::head());
        }
        for piece in pieces.iter().filter(|piece| !piece.0.is_empty()) {
            match &mut self.member {
                Some(member) => bytes.extend_from_slice(member.next(piece.packed())),
                None => bytes.extend_from_slice(piece.0),
            }
        }
        if let Err(error) = passing.write(&bytes) {
            not_sent(error);
            self.passing = None;
        }
    }
}

/// The page is made all the same, for whoever asks next.
fn not_sent(error: StoreError) {
    tracing::error!(%error, "a page cannot be sent while it is made");
}

/// The second thread, once there is enough for it to do.
pub struct Aside<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    encoding: Encoding,
    sending: Option<Sending>,
    made: usize,
    work: Option<AsideWork<'scope>>,
}

struct AsideWork<'scope> {
    stretches: mpsc::Sender<Arc<PackedStretch>>,
    thread: ScopedJoinHandle<'scope, Option<Sending>>,
}

impl<'scope, 'env> Aside<'scope, 'env> {
    pub fn new(
        scope: &'scope Scope<'scope, 'env>,
        encoding: Encoding,
        sending: Option<Sending>,
    ) -> Self {
        Self {
            scope,
            encoding,
            sending,
            made: 0,
            work: None,
        }
    }

    /// The next stretch was made.
    pub fn take(&mut self, stretch: &Arc<PackedStretch>) {
        self.made += 1;
        let is_enough = match self.encoding {
            Encoding::Gzip => self.made >= ASIDE_MIN,
            Encoding::Identity | Encoding::Zstd => false,
        };
        if self.work.is_none() && (self.sending.is_some() || is_enough) {
            self.start();
        }
        if let Some(work) = &self.work {
            // It takes them until there are no more.
            let _ = work.stretches.send(Arc::clone(stretch));
        }
    }

    fn start(&mut self) {
        let (sender, stretches) = mpsc::channel::<Arc<PackedStretch>>();
        let (encoding, mut sending) = (self.encoding, self.sending.take());
        let work = move || {
            for stretch in stretches {
                if encoding == Encoding::Gzip {
                    stretch.packed();
                }
                if let Some(sending) = &mut sending {
                    sending.stretch(&stretch);
                }
            }
            sending
        };
        // Without a thread, the page is made whole, and whoever needs a stretch compresses it.
        let thread = thread::Builder::new().spawn_scoped(self.scope, work);
        self.work = thread.ok().map(|thread| AsideWork {
            stretches: sender,
            thread,
        });
    }

    /// No more stretches are made; helps with those that are not compressed yet.
    pub fn join<'r>(
        self,
        made: impl DoubleEndedIterator<Item = &'r Arc<PackedStretch>>,
    ) -> Option<Sending> {
        let AsideWork { stretches, thread } = self.work?;
        drop(stretches);
        if self.encoding == Encoding::Gzip {
            // From the other end, until the two meet.
            made.rev().for_each(|stretch| {
                stretch.packed();
            });
        }
        thread.join().ok().flatten()
    }
}
